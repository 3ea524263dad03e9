"""What roaming needs of the rest: documents that outlive the process, and a second opinion on tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from controller.records import Authorization
from controller.site import StationId
from controller.transaction import IdToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A stored text of a partner's or of ours, with the time of its last change."""

    kind: str
    key: str
    body: str
    """JSON."""
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentQuery:
    """Which documents of a kind: oldest change first."""

    kind: str
    since: datetime | None = None
    """Inclusive."""
    until: datetime | None = None
    """Exclusive."""
    prefix: str = ""
    """Of the key."""
    limit: int = 100
    offset: int = 0


class DocumentStore(Protocol):
    """Documents by kind and key. Durable when the call returns."""

    async def put_document(self, document: Document, *, once: bool = False) -> bool:
        """Insert or replace; with `once` an existing one stays. Return whether it was stored as new."""

    async def document(self, kind: str, key: str) -> Document | None:
        """Find one."""

    async def documents(self, query: DocumentQuery) -> tuple[Document, ...]:
        """List, oldest change first, then by key."""

    async def count_documents(self, query: DocumentQuery) -> int:
        """Count what the query finds without its limit and offset."""

    async def delete_document(self, kind: str, key: str) -> bool:
        """Delete; False when it did not exist."""


class RoamingDesk(Protocol):
    """A second opinion on id tokens that the site itself does not know."""

    async def authorize(self, station: StationId, token: IdToken) -> Authorization | None:
        """Decide; None: no partner knows the token. Bounded in time; never raises."""
