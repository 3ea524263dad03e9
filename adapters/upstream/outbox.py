"""What the back office has not confirmed yet, in order, on the disk; and which ids it gave."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from adapters.upstream.wire import Json
from controller.roaming import Document, DocumentQuery, DocumentStore
from controller.site import StationId

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A message of a station that waits for the back office."""

    number: int
    action: str
    payload: Json
    local_id: str = ""
    """1.6: our id of the transaction that the message belongs to; empty: none."""


class Outbox:
    """One station's transaction messages. Order is that of their numbers, whatever the clock does."""

    def __init__(self, store: DocumentStore, station: StationId) -> None:
        self._store = store
        self._kind = queue_query(station).kind
        self._ids = ids_query(station).kind
        self._next: int | None = None
        self._numbering = asyncio.Lock()
        self.length = 0

    async def load(self) -> None:
        """Find out what waits since the last run; only the first call reads."""
        async with self._numbering:
            if self._next is None:
                await self._load()

    async def _load(self) -> None:
        query = DocumentQuery(kind=self._kind)
        self.length = await self._store.count_documents(query)
        newest = DocumentQuery(kind=self._kind, limit=1, offset=max(0, self.length - 1))
        found = await self._store.documents(newest)
        self._next = int(found[0].key) + 1 if found else 0

    async def put(self, action: str, payload: Json, *, local_id: str = "") -> int:
        """Keep a message, durably, behind all others; return its number."""
        async with self._numbering:
            if self._next is None:
                await self._load()
            number = self._next or 0
            self._next = number + 1
        body = {"action": action, "payload": payload, "local_id": local_id}
        await self._store.put_document(
            Document(
                kind=self._kind,
                key=f"{number:012}",
                body=json.dumps(body),
                # The list is ordered by this time: it counts numbers, not seconds.
                updated_at=EPOCH + timedelta(microseconds=number),
            )
        )
        self.length += 1
        return number

    async def first(self) -> Waiting | None:
        """Return the oldest message."""
        found = await self._store.documents(DocumentQuery(kind=self._kind, limit=1))
        if not found:
            self.length = 0
            return None
        body = json.loads(found[0].body)
        return Waiting(
            number=int(found[0].key),
            action=body["action"],
            payload=body["payload"],
            local_id=body["local_id"],
        )

    async def done(self, waiting: Waiting) -> None:
        """Forget a message that was confirmed."""
        await self._store.delete_document(self._kind, f"{waiting.number:012}")
        self.length = max(0, self.length - 1)

    # --- ids of 1.6 transactions ------------------------------------------------------------------

    async def note_id(self, local_id: str, their_id: int, now: datetime) -> None:
        """Remember the id that the back office gave to a transaction."""
        await self._store.put_document(
            Document(kind=self._ids, key=local_id, body=str(their_id), updated_at=now)
        )

    async def their_id(self, local_id: str) -> int | None:
        """Return the back office's id of our transaction."""
        found = await self._store.document(self._ids, local_id)
        return int(found.body) if found is not None else None

    async def local_id(self, their_id: int) -> str | None:
        """Return our id of a transaction of the back office; the newest counts."""
        count = await self._store.count_documents(DocumentQuery(kind=self._ids))
        query = DocumentQuery(kind=self._ids, limit=500, offset=max(0, count - 500))
        for document in reversed(await self._store.documents(query)):
            if document.body == str(their_id):
                return document.key
        return None


def queue_query(station: StationId) -> DocumentQuery:
    """Return the query of a station's waiting messages."""
    return DocumentQuery(kind=f"upstream.queue.{station}")


def ids_query(station: StationId) -> DocumentQuery:
    """Return the query of the ids that the back office gave to a station's transactions."""
    return DocumentQuery(kind=f"upstream.ids.{station}")
