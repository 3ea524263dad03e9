"""Secrets at rest: nothing here can be turned back into a password or a token."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from controller.access import canonical_secret

API_TOKEN_PREFIX = "wk_"  # noqa: S105 - marks our tokens for secret scanners, is none itself
SALT_BYTES = 16
COST = 1024
"""Of scrypt: 1 MiB and about 3 ms. Station passwords are generated or up to 40 characters long, and
hundreds of stations may reconnect at once; a slow hash would cost their sites more than a thief."""
BLOCK_SIZE = 8
_AS_WRITTEN = "scrypt"
"""Digests of passwords as they were written; a station may send them in four forms."""
_CANONICAL = "scrypt-c"
"""Digests of canonical passwords: one comparison finds every form."""

_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""Source: OWASP Password Storage Cheat Sheet, argon2id with 19 MiB and two passes."""
_UNKNOWN_USER = _HASHER.hash(secrets.token_hex(16))


def station_digest(secret: str) -> str:
    """Return a salted digest of a station's password, in its canonical spelling."""
    salt = secrets.token_bytes(SALT_BYTES)
    digest = _scrypt(canonical_secret(secret.encode()), salt, COST)
    return f"{_CANONICAL}${COST}${salt.hex()}${digest.hex()}"


def station_secret_matches(digest: str | None, candidate: bytes) -> bool:
    """Compare in constant time; without a digest the same work is done and the answer is False."""
    if digest is not None and digest.startswith(f"{_AS_WRITTEN}$"):
        return sum(_is_secret_of(digest, form) for form in _written_forms(candidate)) > 0
    return _is_secret_of(digest, canonical_secret(candidate))


def _is_secret_of(digest: str | None, candidate: bytes) -> bool:
    cost, salt, expected = COST, b"\x00" * SALT_BYTES, b"\x00" * 32
    if digest is not None:
        _, cost_text, salt_text, hash_text = digest.split("$")
        cost, salt, expected = int(cost_text), bytes.fromhex(salt_text), bytes.fromhex(hash_text)
    is_equal = hmac.compare_digest(_scrypt(candidate, salt, cost), expected)
    return is_equal and digest is not None


def _written_forms(candidate: bytes) -> tuple[bytes, ...]:
    """Return what a station may mean, for digests of passwords as they were written."""
    try:
        decoded = bytes.fromhex(candidate.decode("ascii"))
    except ValueError:
        decoded = candidate
    return (candidate, candidate.hex().encode(), candidate.hex().upper().encode(), decoded)


def password_hash(password: str) -> str:
    """Return a slow hash of a person's password."""
    return _HASHER.hash(password)


def password_matches(stored: str | None, password: str) -> bool:
    """Check a person's password, in about the same time for unknown accounts."""
    try:
        _HASHER.verify(stored if stored is not None else _UNKNOWN_USER, password)
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False
    return stored is not None


def new_api_token() -> str:
    """Return a random token of 256 bits."""
    return API_TOKEN_PREFIX + secrets.token_urlsafe(32)


def api_token_digest(token: str) -> str:
    """Return the digest under which a token is stored; it is random enough to need no salt."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _scrypt(secret: bytes, salt: bytes, cost: int) -> bytes:
    return hashlib.scrypt(secret, salt=salt, n=cost, r=BLOCK_SIZE, p=1, dklen=32)
