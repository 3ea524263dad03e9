"""Partners' reservations: their names, and the numbers that OCPP wants."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import datetime

from controller.roaming import Document, DocumentStore
from controller.site import EvseId

KIND = "ocpi.reservation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A place that is kept."""

    number: int
    """In OCPP: a signed 32-bit integer."""
    evse: EvseId


class Reservations:
    """All reservations, in the store. A partner's second request of the same name keeps the number."""

    def __init__(self, store: DocumentStore) -> None:
        self._store = store

    async def hold(self, partner: str, name: str, evse: EvseId, now: datetime) -> Reservation:
        """Give a reservation its number."""
        known = await self.find(partner, name)
        number = known.number if known is not None else secrets.randbelow(2**31 - 1) + 1
        body = json.dumps({"number": number, "evse": evse})
        await self._store.put_document(
            Document(kind=KIND, key=_key(partner, name), body=body, updated_at=now)
        )
        return Reservation(number=number, evse=evse)

    async def find(self, partner: str, name: str) -> Reservation | None:
        """Find a partner's reservation."""
        found = await self._store.document(KIND, _key(partner, name))
        if found is None:
            return None
        data = json.loads(found.body)
        return Reservation(number=data["number"], evse=EvseId(data["evse"]))


def _key(partner: str, name: str) -> str:
    return f"{partner}|{name.casefold()}"
