"""Unknown stations wait for an operator: bounded, remembered when decided, never let in before."""

from __future__ import annotations

import json
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from math import isfinite
from typing import Any, Protocol

from controller.care import Adopted, AdoptedEvse, Approval, PendingStation, Stranger
from controller.ports import Clock
from controller.records import AuditEntry
from controller.roaming import Document, DocumentQuery
from controller.site import Site, StationId

MAX_PENDING = 64
MAX_PENDING_PER_ADDRESS = 16
MAX_DECIDED = 2000
KIND = "adoption"
_ROTATIONS = frozenset({"RST", "RTS", "SRT", "STR", "TRS", "TSR", "L1", "L2", "L3"})
_SECRET_BYTES = 24
"""Makes 32 characters; OCPP takes 16 to 40."""


class AdoptionStore(Protocol):
    """The part of the store that this needs."""

    async def put_document(self, document: Document, *, once: bool = False) -> bool:
        """Keep a decision."""

    async def documents(self, query: DocumentQuery) -> tuple[Document, ...]:
        """List decisions."""

    async def set_station_secret(self, station: StationId, secret: str) -> None:
        """Store a digest of a station's password."""

    async def audit(self, entry: AuditEntry) -> None:
        """Append to the audit log."""


class SiteFileWriter(Protocol):
    """Brings a station into the site file of the running controller."""

    async def add(self, station: StationId, approval: Approval, actor: str) -> bool:
        """Write a station's entry and put it in force.

        Returns:
            Whether it was written; False: the file is not kept by this controller, or locked.

        Raises:
            ValueError: With it the file would not be valid, or somebody else is changing it.
        """


class AdoptionDesk:
    """Implements `Adoption`. What nobody decided on is kept in memory only."""

    def __init__(self, *, site: Site, store: AdoptionStore, clock: Clock) -> None:
        """Adopt for a site."""
        self._site = site
        self._store = store
        self._clock = clock
        self._pending: OrderedDict[str, PendingStation] = OrderedDict()
        self._rejected: set[str] = set()
        self._writer: SiteFileWriter | None = None

    def write_with(self, writer: SiteFileWriter) -> None:
        """Write what is approved into the site file from now on."""
        self._writer = writer

    def note(self, stranger: Stranger) -> None:
        """Remember a station that knocked; the ones not heard of for longest are forgotten first."""
        if stranger.identity in self._rejected:
            return
        now = self._clock.now()
        known = self._pending.pop(stranger.identity, None)
        if known is None and self._is_crowded(stranger.peer):
            return
        self._pending[stranger.identity] = (
            PendingStation(stranger=stranger, first_at=now, last_at=now, attempts=1)
            if known is None
            else replace(known, stranger=stranger, last_at=now, attempts=known.attempts + 1)
        )
        if len(self._pending) > MAX_PENDING:
            self._pending.popitem(last=False)

    def _is_crowded(self, peer: str) -> bool:
        """Tell whether one address has invented enough identities."""
        same = sum(1 for p in self._pending.values() if p.stranger.peer == peer)
        return same >= MAX_PENDING_PER_ADDRESS

    def pending(self) -> tuple[PendingStation, ...]:
        """Return those that wait, by identity."""
        waiting = list(self._pending.values())
        return tuple(
            sorted(
                (p for p in waiting if p.stranger.identity not in self._site.stations),
                key=lambda p: p.stranger.identity,
            )
        )

    async def approve(self, station: StationId, approval: Approval, actor: str) -> Adopted:
        """Take a station in: into the site file where that can be written, and with a password."""
        self._require_new(station)
        if approval.circuit not in self._site.circuits:
            raise KeyError(approval.circuit)
        _check(approval.evses)
        is_written = self._writer is not None and await self._writer.add(station, approval, actor)
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        await self._decide(station, "approved", asdict(approval), actor)
        await self._store.set_station_secret(station, secret)
        self._rejected.discard(station)
        self._pending.pop(station, None)
        return Adopted(station=station, secret=secret, approval=approval, in_site_file=is_written)

    async def reject(self, station: StationId, actor: str) -> None:
        """Turn a station away."""
        self._require_new(station)
        await self._decide(station, "rejected", {}, actor)
        self._rejected.add(station)
        self._pending.pop(station, None)

    async def approved(self) -> Mapping[StationId, Approval]:
        """Return what was approved and is not in the site file yet."""
        decisions = await self._decisions()
        return {
            station: _approval(data["approval"])
            for station, data in decisions.items()
            if data["state"] == "approved" and station not in self._site.stations
        }

    async def restore(self) -> None:
        """Remember whom operators turned away."""
        decisions = await self._decisions()
        self._rejected = {s for s, data in decisions.items() if data["state"] == "rejected"}

    def follow(self, site: Site) -> None:
        """Use a site that was changed while running."""
        self._site = site

    def _require_new(self, station: StationId) -> None:
        if station in self._site.stations:
            raise ValueError(f"{station} is in the site file already")

    async def _decide(
        self, station: StationId, state: str, approval: Mapping[str, object], actor: str
    ) -> None:
        now: datetime = self._clock.now()
        body = json.dumps({"state": state, "approval": approval, "by": actor})
        await self._store.put_document(Document(kind=KIND, key=station, body=body, updated_at=now))
        await self._store.audit(
            AuditEntry(
                at=now,
                actor=actor,
                action=f"station.{state}",
                subject=station,
                after=json.dumps(approval),
            )
        )

    async def _decisions(self) -> dict[StationId, dict[str, Any]]:
        found = await self._store.documents(DocumentQuery(kind=KIND, limit=MAX_DECIDED))
        return {StationId(d.key): json.loads(d.body) for d in found}


def _approval(data: Mapping[str, Any]) -> Approval:
    return Approval(
        circuit=str(data["circuit"]), evses=tuple(AdoptedEvse(**evse) for evse in data["evses"])
    )


def _check(evses: tuple[AdoptedEvse, ...]) -> None:
    numbers = [e.number for e in evses]
    if not evses or len(set(numbers)) != len(numbers) or min(numbers) < 1:
        raise ValueError("a station has at least one EVSE, each with a number of its own from 1")
    for evse in evses:
        if not (isfinite(evse.max_a) and 0 < evse.max_a <= 1000):
            raise ValueError(f"EVSE {evse.number}: max_a is more than 0 and at most 1000 A")
        if evse.phases not in (1, 2, 3):
            raise ValueError(f"EVSE {evse.number}: phases is 1, 2 or 3")
        if evse.rotation is not None and evse.rotation not in _ROTATIONS:
            raise ValueError(f"EVSE {evse.number}: rotation is RST to TSR, or L1, L2, L3")
        fallback_a = evse.fallback_a
        if fallback_a is not None and not 0 <= fallback_a <= evse.max_a:
            raise ValueError(f"EVSE {evse.number}: fallback_a is from 0 to max_a")
