"""The partners: who they are, which tokens open which door, what went wrong last."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit

from controller.roaming import Document, DocumentQuery, DocumentStore

KIND = "ocpi.partner"
MAX_PARTNERS = 200


class PartnerState(StrEnum):
    """How far a registration is."""

    INVITED = "invited"
    """It has our token A and nothing more."""
    REGISTERED = "registered"
    BLOCKED = "blocked"
    """Its tokens are gone; what it had is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A party behind a partner's connection."""

    country_code: str
    party_id: str
    role: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """One connection. No secret stands here in clear."""

    id: str
    name: str
    state: PartnerState
    token_digest: str
    """Of the token that opens our door: A while invited, then what we gave at registration."""
    sealed_token: str | None = None
    """The token that opens theirs, encrypted."""
    encodes_token: bool = True
    """They send their token in Base64, as 2.2.1 asks; many do not."""
    version: str = ""
    versions_url: str = ""
    endpoints: Mapping[str, str] = field(default_factory=dict)
    """`module/ROLE` to URL."""
    hosts: tuple[str, ...] = ()
    parties: tuple[Party, ...] = ()
    registered_at: str = ""
    last_error: str = ""
    last_error_at: str = ""
    last_heard_at: str = ""

    def endpoint(self, module: str, role: str) -> str | None:
        """Return the address of a module."""
        return self.endpoints.get(f"{module}/{role}") or self.endpoints.get(f"{module}/")

    def owns(self, country_code: str, party_id: str) -> bool:
        """Tell whether a party speaks through this connection."""
        wanted = (country_code.upper(), party_id.upper())
        return any((p.country_code.upper(), p.party_id.upper()) == wanted for p in self.parties)


class PartnerBook:
    """All partners, in the store; few enough to be read whole."""

    def __init__(self, store: DocumentStore) -> None:
        self._store = store
        self._partners: dict[str, Partner] = {}
        self._digests: dict[str, str] = {}
        # Without it a read that began before a change would bring the old token back.
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        """Read all; also what another process wrote."""
        async with self._changing:
            found = await self._store.documents(DocumentQuery(kind=KIND, limit=MAX_PARTNERS))
            self._partners = {d.key: partner_from(d.body) for d in found}
            self._index()

    def all(self) -> tuple[Partner, ...]:
        """List by id."""
        return tuple(self._partners[k] for k in sorted(self._partners))

    def get(self, partner: str) -> Partner | None:
        """Find by id."""
        return self._partners.get(partner)

    def by_authorization(self, header: str) -> tuple[Partner, bool] | None:
        """Find who sends an Authorization header, and whether the token came in Base64."""
        for token, is_encoded in candidates(header):
            partner = self._digests.get(digest(token))
            if partner is not None:
                return self._partners[partner], is_encoded
        return None

    def by_party(self, country_code: str, party_id: str) -> Partner | None:
        """Find the registered connection of a party."""
        return next(
            (
                p
                for p in self.all()
                if p.state is PartnerState.REGISTERED and p.owns(country_code, party_id)
            ),
            None,
        )

    async def save(self, partner: Partner, at: datetime) -> None:
        """Keep a partner."""
        async with self._changing:
            await self._save(partner, at)

    async def _save(self, partner: Partner, at: datetime) -> None:
        document = Document(
            kind=KIND, key=partner.id, body=json.dumps(asdict(partner)), updated_at=at
        )
        await self._store.put_document(document)
        self._partners[partner.id] = partner
        self._index()

    async def note_error(self, partner: str, text: str, at: datetime) -> None:
        """Remember what went wrong last, for people."""
        async with self._changing:
            known = self._partners.get(partner)
            if known is not None and known.last_error != text[:300]:
                changed = replace(known, last_error=text[:300], last_error_at=at.isoformat())
                await self._save(changed, at)

    async def note_heard(self, partner: str, at: datetime) -> None:
        """Remember when a partner last answered."""
        async with self._changing:
            known = self._partners.get(partner)
            if known is not None:
                await self._save(replace(known, last_heard_at=at.isoformat()), at)

    async def remove(self, partner: str) -> bool:
        """Forget a partner and its tokens."""
        self._partners.pop(partner, None)
        self._index()
        return await self._store.delete_document(KIND, partner)

    def _index(self) -> None:
        self._digests = {
            p.token_digest: p.id
            for p in self._partners.values()
            if p.state is not PartnerState.BLOCKED
        }


def invited(name: str, *, taken: frozenset[str]) -> tuple[Partner, str]:
    """Return a new partner and its token A, which is shown once.

    Raises:
        ValueError: The name cannot be an id, or is taken.
    """
    cleaned = name.strip().casefold().replace(" ", "-")
    if not cleaned or not cleaned.replace("-", "").isalnum() or len(cleaned) > 40:
        raise ValueError("a partner's name has 1 to 40 letters, digits, spaces or dashes")
    if cleaned in taken:
        raise ValueError(f"there is a partner {cleaned} already; remove it or choose another name")
    token = new_token()
    partner = Partner(
        id=cleaned, name=name.strip(), state=PartnerState.INVITED, token_digest=digest(token)
    )
    return partner, token


def new_token() -> str:
    """Return an unguessable token."""
    return secrets.token_urlsafe(36)


def digest(token: str) -> str:
    """Return what is stored of a token; it is random, so that one round is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_token(partner: Partner, token: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(partner.token_digest, digest(token))


def candidates(header: str) -> list[tuple[str, bool]]:
    """Return what a header may mean: the decoded token first, then the raw one."""
    scheme, _, credentials = header.strip().partition(" ")
    credentials = credentials.strip()
    if scheme.casefold() != "token" or not credentials or len(credentials) > 200:
        return []
    found: list[tuple[str, bool]] = []
    try:
        decoded = base64.b64decode(credentials, validate=True).decode("ascii").strip()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        decoded = ""
    if decoded.isprintable() and decoded:
        found.append((decoded, True))
    found.append((credentials, False))
    return found


def host_of(url: str) -> str:
    """Return a URL's host, for comparing."""
    return (urlsplit(url).hostname or "").casefold()


def partner_from(body: str) -> Partner:
    """Read a stored partner."""
    data = json.loads(body)
    return Partner(
        **{
            **data,
            "state": PartnerState(data["state"]),
            "hosts": tuple(data["hosts"]),
            "parties": tuple(Party(**p) for p in data["parties"]),
        }
    )
