"""What the planner keeps in the store: documents, who changed them, and the history it learns from."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from controller import planning_documents as texts
from controller.forecast import Observation, Profile, profile_of
from controller.phases import PHASES
from controller.ports import Clock
from controller.records import AuditEntry, SeriesPoint
from controller.roaming import Document, DocumentQuery
from controller.site import CircuitId, Site
from controller.tariffs import Series

LEARN_FROM = timedelta(days=28)


class PlanningStore(Protocol):
    """What the planner keeps, and the history that it learns from."""

    async def put_document(self, document: Document, *, once: bool = False) -> bool:
        """Insert or replace."""

    async def documents(self, query: DocumentQuery) -> tuple[Document, ...]:
        """List."""

    async def delete_document(self, kind: str, key: str) -> bool:
        """Delete."""

    async def audit(self, entry: AuditEntry) -> None:
        """Keep who changed what."""

    async def history(
        self,
        *,
        measurement: str,
        field: str,
        tags: dict[str, str],
        since: datetime,
        until: datetime,
        step_s: float,
    ) -> tuple[SeriesPoint, ...]:
        """Return the mean of a field per step."""


class PlanningArchive:
    """Writes and reads the planner's documents. Every method may raise `StoreUnavailableError`."""

    def __init__(self, store: PlanningStore, clock: Clock) -> None:
        """Prepare."""
        self._store = store
        self._clock = clock

    async def documents(self) -> tuple[Document, ...]:
        """Return everything that was kept."""
        return await self._store.documents(DocumentQuery(kind=texts.KIND, limit=1000))

    async def put(self, key: str, body: str) -> None:
        """Insert or replace a document; durable when this returns."""
        document = Document(kind=texts.KIND, key=key, body=body, updated_at=self._clock.now())
        await self._store.put_document(document)

    async def delete(self, key: str) -> None:
        """Remove a document, if there is one."""
        await self._store.delete_document(texts.KIND, key)

    async def put_series(
        self, key: str, before: Series | None, after: Series | None, actor: str
    ) -> None:
        """Replace or remove a series, and keep who did it."""
        if after is None:
            await self.delete(key)
        else:
            await self.put(key, texts.series_to_text(after))
        await self.audit(actor, f"put_{key}", "site", _span(before), _span(after))

    async def audit(self, actor: str, action: str, subject: str, before: str, after: str) -> None:
        """Keep who changed what."""
        entry = AuditEntry(
            at=self._clock.now(),
            actor=actor,
            action=action,
            subject=subject,
            before=before,
            after=after,
        )
        await self._store.audit(entry)

    async def profiles(self, site: Site) -> dict[CircuitId, dict[str, Profile]]:
        """Learn the building's typical day from the stored history, by circuit and phase name."""
        until = self._clock.now()
        return {
            circuit.id: {
                phase.value: await self._profile(circuit.id, number, site, until)
                for number, phase in enumerate(PHASES, start=1)
            }
            for circuit in site.circuits.values()
            if circuit.meter is not None
        }

    async def _profile(
        self, circuit: CircuitId, number: int, site: Site, until: datetime
    ) -> Profile:
        points = await self._store.history(
            measurement="circuit",
            field=f"building_l{number}",
            tags={"circuit": circuit},
            since=until - LEARN_FROM,
            until=until,
            step_s=900,
        )
        seen = (Observation(at=p.at, current_a=p.value) for p in points)
        return profile_of(seen, timezone=site.timezone)


def _span(series: Series | None) -> str:
    if series is None:
        return ""
    return f"{series.begin_at.isoformat()} to {series.end_at.isoformat()}"
