"""Keeps roll-outs of firmware: their orders to the stations, their record, their alarm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, assert_never
from uuid import uuid4

from controller.commands import (
    ActionRequest,
    Applied,
    CommandResult,
    NotConnected,
    Rejected,
    StationAction,
    TimedOut,
)
from controller.decision import Condition, Severity
from controller.ports import Clock, ConditionSink
from controller.roaming import Document, DocumentQuery, DocumentStore
from controller.rollout import (
    Rollout,
    RolloutState,
    Step,
    Views,
    advanced,
    from_text,
    has_transaction,
    refused,
    resumed,
    to_text,
)
from controller.site import StationId
from controller.station import StationView

KIND: Final = "firmware_rollout"
PAUSED: Final = "ROLLOUT_PAUSED"
MOST_KEPT: Final = 200
ACTOR: Final = "(roll-out)"


class RolloutError(Exception):
    """A roll-out is not begun or changed; the text says why and what to do."""


class Actions(Protocol):
    """Sends an operator's action, audited."""

    async def act(self, request: ActionRequest, actor: str) -> CommandResult:
        """Carry out a station action."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutOrder:
    """What an operator wants."""

    location: str
    version: str
    stations: tuple[StationId, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)


class RolloutDesk:
    """All roll-outs; one is open at a time."""

    def __init__(
        self,
        *,
        documents: DocumentStore,
        conditions: ConditionSink,
        clock: Clock,
        actions: Actions,
        views: Callable[[], Views],
        groups: Callable[[], Mapping[str, tuple[StationId, ...]]],
    ) -> None:
        self._documents = documents
        self._conditions = conditions
        self._clock = clock
        self._actions = actions
        self._views = views
        self._groups = groups
        self._rollouts: dict[str, Rollout] = {}

    async def restore(self) -> None:
        """Bring back the roll-outs of the last run; a damaged record is left where it is."""
        query = DocumentQuery(kind=KIND, limit=MOST_KEPT)
        for document in await self._documents.documents(query):
            try:
                rollout = from_text(document.body)
            except (ValueError, KeyError, TypeError):
                continue
            self._rollouts[rollout.id] = rollout
            self._tell(rollout)

    def all(self) -> tuple[Rollout, ...]:
        """Return all that are known, the latest first. Safe from any thread."""
        known = tuple(self._rollouts.values())
        return tuple(sorted(known, key=lambda r: r.created_at, reverse=True))

    def members(self, group: str) -> tuple[StationId, ...]:
        """Return the stations of a group of the site file; none where there is no such group."""
        return self._groups().get(group, ())

    async def start(self, order: RolloutOrder, actor: str) -> Rollout:
        """Begin a roll-out.

        Raises:
            RolloutError: Another is open.
        """
        running = next((r for r in self._rollouts.values() if r.is_open), None)
        if running is not None:
            raise RolloutError(f"roll-out {running.id} is {running.state.value}; cancel it first")
        rollout = Rollout(
            id=uuid4().hex[:12],
            location=order.location,
            version=order.version,
            by=actor,
            created_at=self._clock.now(),
            steps=tuple(Step(station=s) for s in dict.fromkeys(order.stations)),
            parameters=order.parameters,
        )
        await self._keep(rollout)
        return rollout

    async def cancel(self, rollout_id: str) -> Rollout:
        """End a roll-out; a station that updates already is not stopped.

        Raises:
            KeyError: There is none.
            RolloutError: It is over.
        """
        rollout = self._open(rollout_id)
        return await self._keep(replace(rollout, state=RolloutState.CANCELLED))

    async def resume(self, rollout_id: str) -> Rollout:
        """Let a paused roll-out go on with the station that failed.

        Raises:
            KeyError: There is none.
            RolloutError: It is over.
        """
        return await self._keep(resumed(self._open(rollout_id)))

    async def tick(self) -> None:
        """Look at the stations and order the next update; what is ordered is on record before."""
        for before in [r for r in self._rollouts.values() if r.is_open]:
            after, station = advanced(before, self._views(), self._clock.now())
            if after != before:
                await self._keep(after)
            if station is not None:
                await self._order(after, station)

    async def _order(self, rollout: Rollout, station: StationId) -> None:
        request = ActionRequest(
            station=station,
            evse=None,
            action=StationAction.UPDATE_FIRMWARE,
            parameters={"location": rollout.location, **rollout.parameters},
        )
        result = await self._actions.act(request, f"{ACTOR} {rollout.by}")
        now = self._rollouts[rollout.id]
        if not now.is_open:
            return
        match result:
            case Applied() | TimedOut():
                return  # it may have been taken: what the station does next tells
            case NotConnected():
                await self._keep(refused(now, station, "not connected", is_final=False))
            case Rejected(reason=reason):
                is_busy = has_transaction(self._views().get(station) or StationView(id=station))
                await self._keep(refused(now, station, reason, is_final=not is_busy))
            case other:
                assert_never(other)

    def _open(self, rollout_id: str) -> Rollout:
        rollout = self._rollouts[rollout_id]
        if not rollout.is_open:
            raise RolloutError(f"roll-out {rollout_id} is {rollout.state.value}")
        return rollout

    async def _keep(self, rollout: Rollout) -> Rollout:
        document = Document(
            kind=KIND, key=rollout.id, body=to_text(rollout), updated_at=self._clock.now()
        )
        self._rollouts[rollout.id] = rollout  # before the write: who comes meanwhile sees it
        self._tell(rollout)
        await self._documents.put_document(document)
        return rollout

    def _tell(self, rollout: Rollout) -> None:
        failed = rollout.failed
        if rollout.state is not RolloutState.PAUSED or failed is None:
            self._conditions.end(PAUSED, rollout.id)
            return
        text = (
            f"Roll-out of firmware {rollout.version} stopped: {failed.station}: {failed.text}. Look "
            "at that charger, then let the roll-out go on or cancel it."
        )
        self._conditions.begin(
            Condition(
                code=PAUSED,
                subject=rollout.id,
                text=text,
                severity=Severity.ALARM,
                values={
                    "version": rollout.version,
                    "station": failed.station,
                    "fault": failed.text,
                },
            )
        )
