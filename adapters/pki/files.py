"""Certificates and keys as files: keys readable by their owner only, replaced in one step."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from controller.care import SigningRefused

KEY_MODE = 0o600
FOLDER_MODE = 0o700

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class PkiError(SigningRefused):
    """The authority cannot do what was asked; the text names the place and the mend."""


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner may enter.

    Raises:
        PkiError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    except OSError as error:
        raise PkiError(
            f"{folder}: cannot be made ({error.strerror}). Name another folder in ocpp.tls.folder."
        ) from error


def write(path: Path, data: bytes, *, mode: int) -> None:
    """Write a file beside its place and move it there, so that nobody reads half of it.

    Raises:
        PkiError: It cannot be written.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise
    except OSError as error:
        raise PkiError(
            f"{path}: cannot be written ({error.strerror}). Give this user the right to write there."
        ) from error


def write_key(path: Path, key: PrivateKey, passphrase: bytes | None) -> None:
    """Write a private key, encrypted when there is a passphrase."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    write(path, pem, mode=KEY_MODE)


def read_key(path: Path, passphrase: bytes | None) -> PrivateKey:
    """Read a private key.

    Raises:
        PkiError: It is missing, not a key, locked, or open to other users.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise PkiError(f"{path}: others may read this key. Run `chmod 600 {path}`.")
        key = serialization.load_pem_private_key(path.read_bytes(), passphrase)
    except OSError as error:
        raise PkiError(
            f"{path}: cannot be read ({error.strerror}). Run `wattkeeper ca init`."
        ) from error
    except (ValueError, TypeError) as error:
        raise PkiError(
            f"{path}: is not a readable key ({error}). Set WATTKEEPER_CA_PASSPHRASE if it has a "
            "passphrase, and leave it unset if it has none."
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise PkiError(f"{path}: is neither an RSA nor an ECDSA key.")
    return key


def read_certificate(path: Path) -> x509.Certificate:
    """Read the first certificate of a file.

    Raises:
        PkiError: It is missing or not a certificate.
    """
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise PkiError(
            f"{path}: cannot be read ({error.strerror}). Run `wattkeeper ca init`."
        ) from error
    except ValueError as error:
        raise PkiError(f"{path}: is not a certificate ({error}).") from error


def pem_of(*certificates: x509.Certificate) -> bytes:
    """Return certificates as PEM text, in order."""
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)
