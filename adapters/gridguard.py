"""Limits the site when the sender of grid signals falls silent (facts/faults.md 6, LPC).

Optional: only a site file with `grid_signal` has it, and only a heartbeat that was once alive is missed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

import structlog

from adapters.gridlimit import HeldLimit, Signals
from controller.decision import Condition, Severity
from controller.errors import StoreUnavailableError
from controller.ports import Clock, ConditionSink
from controller.roaming import Document, DocumentStore
from controller.site import CircuitId

log = structlog.get_logger(__name__)

SIGNAL: Final = "grid-failsafe"
"""Id of the signal that holds the failsafe limit."""
LOST: Final = "GRID_SIGNAL_LOST"
KIND: Final = "grid_guard"
ACTOR: Final = "grid guard"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSettings:
    """What the site file says under `grid_signal`."""

    circuit: CircuitId
    failsafe_w: float
    """Building and vehicles together. [W]"""
    failsafe_s: float = 7200.0
    """How long the failsafe limit stays at least, unless heartbeat and limit come back. [s]"""
    heartbeat_s: float = 120.0
    """Silence that counts as lost. [s]"""


class GridState(Enum):
    """How the heartbeat is."""

    WAITING = "waiting"
    """None has ever come: nothing is missed."""
    ALIVE = "alive"
    FAILSAFE = "failsafe"


class GridGuard:
    """Hears the heartbeat and holds the failsafe limit. All of it on the control loop."""

    def __init__(
        self,
        settings: GuardSettings,
        *,
        signals: Signals,
        documents: DocumentStore,
        conditions: ConditionSink,
        clock: Clock,
    ) -> None:
        """Prepare; `restore` before `look`."""
        self._settings = settings
        self._limit = HeldLimit(
            id=SIGNAL,
            circuit=settings.circuit,
            limit_w=settings.failsafe_w,
            span_s=settings.failsafe_s,
            note="no heartbeat of the grid signal's sender",
            actor=ACTOR,
            signals=signals,
            clock=clock,
        )
        self._documents = documents
        self._conditions = conditions
        self._clock = clock
        self._state = GridState.WAITING
        self._beat_s = clock.monotonic_s()
        self._until_s = 0.0
        self._is_limit_back = False

    @property
    def state(self) -> str:
        """`waiting`, `alive` or `failsafe`. Read from any thread."""
        return self._state.value

    @property
    def heartbeat_s(self) -> float:
        """Silence that counts as lost. [s]"""
        return self._settings.heartbeat_s

    @property
    def failsafe_until_at(self) -> datetime | None:
        """Until when the failsafe limit stays at least; None: it is not in force."""
        if self._state is not GridState.FAILSAFE:
            return None
        left_s = max(0.0, self._until_s - self._clock.monotonic_s())
        return self._clock.now() + timedelta(seconds=left_s)

    async def restore(self) -> None:
        """Go on where the last run ended; a sender that was alive gets its time anew."""
        document = await self._documents.document(KIND, self._settings.circuit)
        known = _read(document.body) if document is not None else {}
        now_s = self._clock.monotonic_s()
        self._beat_s = now_s
        match known.get("state"):
            case GridState.ALIVE.value:
                self._state = GridState.ALIVE
            case GridState.FAILSAFE.value:
                # Whatever the clock says after a restart: never longer than the whole time.
                self._beat_s = now_s - self._settings.heartbeat_s
                self._until_s = now_s + _left_s(
                    known.get("until"), self._clock.now(), self._settings.failsafe_s
                )
                self._state = GridState.FAILSAFE
                self._tell()

    async def beat(self) -> None:
        """Take a heartbeat."""
        self._beat_s = self._clock.monotonic_s()
        if self._state is GridState.WAITING:
            await self._enter(GridState.ALIVE)

    async def limit_told(self) -> None:
        """Note that the sender set or lifted a limit."""
        self._is_limit_back = True

    async def look(self) -> None:
        """Begin, hold or end the failsafe limit."""
        now_s = self._clock.monotonic_s()
        is_silent = now_s - self._beat_s >= self._settings.heartbeat_s
        if self._state is GridState.ALIVE and is_silent:
            self._until_s = now_s + self._settings.failsafe_s
            self._is_limit_back = False
            self._tell()
            await self._limit.hold()
            await self._enter(GridState.FAILSAFE)
        elif self._state is GridState.FAILSAFE:
            if not is_silent and (self._is_limit_back or now_s >= self._until_s):
                await self._end()
            else:
                await self._limit.hold()

    async def _end(self) -> None:
        await self._limit.release()
        self._conditions.end(LOST, self._settings.circuit)
        await self._enter(GridState.ALIVE)

    async def _enter(self, state: GridState) -> None:
        """Change the state, and keep it for the next run; a store that fails is told by itself."""
        self._state = state
        until = self.failsafe_until_at
        body = {"state": state.value, "until": until.isoformat() if until is not None else None}
        document = Document(
            kind=KIND,
            key=self._settings.circuit,
            body=json.dumps(body),
            updated_at=self._clock.now(),
        )
        try:
            await self._documents.put_document(document)
        except StoreUnavailableError as error:
            log.warning("grid.state_not_stored", error=str(error))

    def _tell(self) -> None:
        circuit = self._settings.circuit
        values = {
            "silent_s": f"{self._settings.heartbeat_s:.0f}",
            "failsafe_w": f"{self._settings.failsafe_w:.0f}",
        }
        self._conditions.begin(
            Condition(
                code=LOST,
                subject=circuit,
                text=f"The sender of grid signals has been silent for {values['silent_s']} s. {circuit} is "
                f"limited to {values['failsafe_w']} W, building and vehicles together, until heartbeat and "
                "limit are back. Check the sender and the network between it and this controller.",
                severity=Severity.ALARM,
                values=values,
            )
        )


def _read(body: str) -> Mapping[str, Any]:
    try:
        known = json.loads(body)
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}


def _left_s(until: object, now: datetime, most_s: float) -> float:
    """Return how much of the failsafe time is left; all of it where that is not readable. [s]"""
    try:
        left_s = (datetime.fromisoformat(str(until)) - now).total_seconds()
    except (ValueError, TypeError):
        return most_s
    return min(most_s, max(0.0, left_s))
