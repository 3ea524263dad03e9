"""Keeps secrets that have to be read again, tokens of partners: encrypted, the key in a file of its own."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken


class VaultError(Exception):
    """A secret cannot be kept or read; the text names the file and the mend."""


class Vault:
    """Encrypts short secrets with a key beside the store, readable by its owner only."""

    def __init__(self, key: bytes, path: Path) -> None:
        self._fernet = Fernet(key)
        self._path = path

    @classmethod
    def open(cls, path: Path) -> Vault:
        """Read the key, or make one at the first use.

        Raises:
            VaultError: The file cannot be used, or others may read it.
        """
        try:
            if not path.exists():
                _write_new(path)
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise VaultError(f"{path}: others may read this key. Run `chmod 600 {path}`.")
            return cls(path.read_bytes().strip(), path)
        except (OSError, ValueError) as error:
            raise VaultError(
                f"{path}: the key of partners' tokens cannot be used ({error}). Restore it from "
                "a backup, or delete it and register with every partner again."
            ) from error

    def seal(self, secret: str) -> str:
        """Encrypt."""
        return self._fernet.encrypt(secret.encode()).decode()

    def unseal(self, sealed: str) -> str:
        """Decrypt.

        Raises:
            VaultError: It was sealed with another key, or damaged.
        """
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken as error:
            raise VaultError(
                f"{self._path}: this key does not open a partner's token. Restore the key that "
                "belongs to the store, or register with the partner again."
            ) from error


def _write_new(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(Fernet.generate_key())
