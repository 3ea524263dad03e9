"""What roaming needs of the rest: documents that outlive the process, and a second opinion on tokens."""

from __future__ import annotations

from collections.abc import Sequence
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerParty:
    """A party that speaks through a partner's connection."""

    country_code: str
    party_id: str
    role: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerView:
    """What people are shown of a partner: nothing that opens a door."""

    id: str
    name: str
    state: str
    """`invited`, `registered` or `blocked`."""
    version: str = ""
    parties: tuple[PartnerParty, ...] = ()
    registered_at: datetime | None = None
    last_error: str = ""
    last_error_at: datetime | None = None
    last_heard_at: datetime | None = None
    sessions: int = 0
    cdrs: int = 0
    undelivered_cdrs: int | None = None
    """Made since the registration and not yet taken; None: nothing is pushed to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A new partner, with what it needs to register. Shown once."""

    partner: PartnerView
    versions_url: str
    token: str


class InvitationError(ValueError):
    """Nobody can be invited by this name; the text says why."""


class PartnerRegister(Protocol):
    """The roaming partners, for people. Same loop as the store."""

    async def partners(self) -> tuple[PartnerView, ...]:
        """List all, by id."""

    async def count_tokens(self) -> int:
        """Count the id tokens of all partners."""

    async def invite(self, name: str) -> Invitation:
        """Let a partner in that is not one yet.

        Raises:
            InvitationError: The name cannot be an id or is taken, or there are too many partners.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamLine:
    """One station's line to the back office."""

    station: StationId
    is_connected: bool
    waiting: int
    """Messages that the back office has not confirmed."""
    profiles: int
    """Charging profiles of the back office that are kept."""
    mapped_ids: int
    """Transactions with an id of the back office's own."""
    last_error: str


class UpstreamStatus(Protocol):
    """The lines to the back office, for people. Same loop as the store."""

    async def lines(self, stations: Sequence[StationId]) -> tuple[UpstreamLine, ...]:
        """Return the lines of stations, in the order asked for."""
