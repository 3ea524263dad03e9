"""Public names: stable, and nobody learns from them what a station is called in OCPP."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime

from controller.roaming import Document, DocumentStore
from controller.site import Evse, EvseId, StationId
from controller.transaction import TransactionId

KIND = "ocpi.salt"
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class PublicIds:
    """Names of EVSEs and sessions, made with a secret of the site."""

    def __init__(
        self, salt: str, evses: Iterable[Evse], *, country_code: str, party_id: str
    ) -> None:
        self._salt = salt.encode()
        self._prefix = f"{country_code}*{party_id}*E"
        self._by_uid = {self.uid(e.id): e for e in evses}

    @classmethod
    async def load(
        cls,
        store: DocumentStore,
        evses: Iterable[Evse],
        *,
        country_code: str,
        party_id: str,
        now: datetime,
    ) -> PublicIds:
        """Read the site's secret, or make it at the first start."""
        fresh = Document(kind=KIND, key="salt", body=secrets.token_hex(16), updated_at=now)
        await store.put_document(fresh, once=True)
        stored = await store.document(KIND, "salt")
        salt = stored.body if stored is not None else fresh.body
        return cls(salt, evses, country_code=country_code, party_id=party_id)

    def uid(self, evse: EvseId) -> str:
        """Return an EVSE's uid."""
        return self._name("evse", evse)

    def evse_id(self, evse: EvseId) -> str:
        """Return an EVSE's id as drivers see it (eMI3)."""
        return self._prefix + self.uid(evse)

    def evse(self, uid: str) -> Evse | None:
        """Find an EVSE by its uid, whatever the case."""
        return self._by_uid.get(uid.upper())

    def session(self, station: StationId, transaction: TransactionId) -> str:
        """Return a session's id."""
        return self._name("session", f"{station}/{transaction}", length=20)

    def _name(self, kind: str, what: str, *, length: int = 12) -> str:
        made = hmac.new(self._salt, f"{kind}:{what}".encode(), hashlib.sha256).digest()
        return "".join(_ALPHABET[byte & 31] for byte in made[:length])
