"""The passwords of stations at the back office: encrypted in the store, or one from a variable."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime

from adapters.vault import Vault
from controller.roaming import Document, DocumentStore
from controller.site import StationId

KIND = "upstream.secret"


class LegSecrets:
    """Passwords of this leg; they have nothing to do with those that stations use here."""

    def __init__(
        self,
        *,
        documents: DocumentStore,
        vault: Vault,
        variable: str | None,
        now: Callable[[], datetime],
    ) -> None:
        self._documents = documents
        self._vault = vault
        self._variable = variable
        self._now = now

    async def secret(self, station: StationId) -> str | None:
        """Return a station's password; None: the line is opened without one."""
        found = await self._documents.document(KIND, station)
        if found is not None:
            return self._vault.unseal(found.body)
        return os.environ.get(self._variable) or None if self._variable else None

    async def keep(self, station: StationId, secret: str) -> None:
        """Keep a password that an operator or the back office set."""
        await self._documents.put_document(
            Document(kind=KIND, key=station, body=self._vault.seal(secret), updated_at=self._now())
        )
