"""Limits a circuit while a relay of the grid operator says so (facts/faults.md 6, broken wire).

As a rule the contact is closed while nothing is limited: a broken wire then limits as well. A module
that does not answer is taken for a contact that limits.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from adapters.gridlimit import HeldLimit, Signals
from controller.decision import Condition, Severity
from controller.errors import ContactLostError
from controller.ports import Clock, ConditionSink
from controller.site import CircuitId

log = structlog.get_logger(__name__)

LOST: Final = "GRID_RELAY_LOST"
ACTOR: Final = "grid relay"
SPAN_S: Final = 7200.0
"""The limit outlives this process by so much: afterwards the relay is read anew or the site at rest. [s]"""
LOOK_EVERY_S: Final = 0.5
STEADY_S: Final = 3.0
"""A contact that bounces lifts nothing before it has been steady for so long. [s]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """One entry under `grid_relays` of the site file."""

    id: str
    circuit: CircuitId
    limit_w: float
    """Building and vehicles together while the relay limits. [W]"""
    is_closed_at_rest: bool = True
    """Closed while nothing is limited."""
    lost_after_s: float = 5.0
    """A module that is silent for so long counts as a contact that limits. [s]"""


class Contact(Protocol):
    """A contact that can be read."""

    async def is_closed(self) -> bool:
        """Tell whether it is closed; raises ContactLostError."""

    async def close(self) -> None:
        """Let go of what it is read through."""


class GridRelay:
    """Follows one contact. All of it on the control loop."""

    def __init__(
        self,
        settings: RelaySettings,
        *,
        contact: Contact,
        signals: Signals,
        conditions: ConditionSink,
        clock: Clock,
    ) -> None:
        """Prepare; a limit of the last run holds until the contact is read."""
        self._settings = settings
        self._contact = contact
        self._conditions = conditions
        self._clock = clock
        self._limit = HeldLimit(
            id=f"relay-{settings.id}",
            circuit=settings.circuit,
            limit_w=settings.limit_w,
            span_s=SPAN_S,
            note=f"relay {settings.id}",
            actor=ACTOR,
            signals=signals,
            clock=clock,
        )
        self._heard_s = clock.monotonic_s()
        self._resting_since_s: float | None = None

    @property
    def id(self) -> str:
        """Its id in the site file."""
        return self._settings.id

    async def follow(self) -> None:
        """Follow the contact until cancelled."""
        try:
            while True:
                try:
                    await self.look()
                except Exception:  # whatever a planner does, the next look tries again
                    log.exception("relay.not_followed", relay=self._settings.id)
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            await self._contact.close()

    async def look(self) -> None:
        """Read the contact; begin, hold or lift the limit."""
        try:
            is_closed = await self._contact.is_closed()
        except ContactLostError as error:
            await self._miss(str(error))
            return
        except Exception as error:  # a defect is no contact at rest: it limits like a silent module
            log.exception("relay.failed", relay=self._settings.id)
            await self._miss(f"an internal defect, {type(error).__name__}; please report it")
            return
        now_s = self._clock.monotonic_s()
        self._heard_s = now_s
        self._conditions.end(LOST, self._settings.id)
        if is_closed is not self._settings.is_closed_at_rest:
            self._resting_since_s = None
            await self._limit.hold()
            return
        if self._resting_since_s is None:
            self._resting_since_s = now_s
        if self._limit.is_held and now_s - self._resting_since_s >= STEADY_S:
            await self._limit.release()

    async def _miss(self, why: str) -> None:
        """Take a module that has been silent for long for a contact that limits."""
        self._resting_since_s = None
        silent_s = self._clock.monotonic_s() - self._heard_s
        if silent_s < self._settings.lost_after_s:
            return
        self._conditions.begin(_lost(self._settings, why))
        await self._limit.hold()


def _lost(settings: RelaySettings, why: str) -> Condition:
    values = {
        "circuit": settings.circuit,
        "limit_w": f"{settings.limit_w:.0f}",
        "silent_s": f"{settings.lost_after_s:g}",
        "fault": why,
    }
    return Condition(
        code=LOST,
        subject=settings.id,
        text=f"The relay {settings.id} of the grid operator has not been read for {values['silent_s']} s: "
        f"{why}. {settings.circuit} is limited to {values['limit_w']} W, building and vehicles together, "
        "until it is.",
        severity=Severity.ALARM,
        values=values,
    )
