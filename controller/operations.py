"""What people and programs may ask of the running controller: the `Control` port.

Reads return published references and are safe from any thread; writes run on the control loop.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from math import isfinite

import structlog

from controller import persist
from controller.alarms import AlarmBook
from controller.commands import ActionRequest, CommandResult, StationAction
from controller.cycle import Cycle
from controller.decision import Alarm, Plan
from controller.image import ProcessImage, fitted_overrides
from controller.operator import EvseOverride, Overrides
from controller.phases import PhaseCurrents
from controller.ports import Clock, Fleet, Store
from controller.records import AuditEntry
from controller.site import CircuitId, EvseId, StationId
from controller.snapshot import Snapshot
from controller.station import FrameLogged
from controller.why import Explanation, explained
from controller.wiring import WiringView

log = structlog.get_logger(__name__)


class Operations:
    """Implements `Control`."""

    def __init__(
        self,
        *,
        image: ProcessImage,
        cycle: Cycle,
        alarms: AlarmBook,
        fleet: Fleet,
        store: Store,
        clock: Clock,
    ) -> None:
        """Operate a running controller."""
        self._image = image
        self._cycle = cycle
        self._alarms = alarms
        self._fleet = fleet
        self._store = store
        self._clock = clock
        self.figures: Callable[[], Mapping[str, float]] = dict
        """Figures of what runs beside the loop, for `stats`."""

    # --- reads ------------------------------------------------------------------------------------

    def plan(self) -> Plan | None:
        """Return the latest plan."""
        return self._cycle.plan

    def snapshot(self) -> Snapshot | None:
        """Return the snapshot behind the latest plan."""
        return self._cycle.snapshot

    def alarms(self) -> tuple[Alarm, ...]:
        """Return the alarms in force."""
        return self._alarms.active()

    def overrides(self) -> Overrides:
        """Return the overrides in force."""
        return self._image.overrides

    def frames(self, station: StationId) -> tuple[FrameLogged, ...]:
        """Return the station's latest frames."""
        return self._image.frames(station)

    def stats(self) -> Mapping[str, float]:
        """Return figures of the loop and of what runs beside it, units in their names."""
        stats = self._cycle.stats
        age_s = (
            self._clock.monotonic_s() - stats.completed_s
            if stats.completed_s is not None
            else float("inf")
        )
        return {
            "cycles": stats.cycles,
            "failures": stats.failures,
            "overruns": stats.overruns,
            "commands": stats.commands,
            "last_ms": stats.last_ms,
            "decision_s": stats.decide_ms / 1000,
            "worst_ms": stats.worst_ms,
            "age_s": age_s,
            "interval_s": self._cycle.policy.interval_s,
            **self.figures(),
        }

    def explain(self, evse: EvseId) -> Explanation | None:
        """Explain an EVSE's setpoint from the latest snapshot."""
        plan, snapshot = self._cycle.plan, self._cycle.snapshot
        if plan is None or snapshot is None:
            return None
        return explained(snapshot, self._cycle.memory, self._cycle.policy, plan, evse)

    def wiring(self) -> tuple[WiringView, ...]:
        """Return how far the wiring is known."""
        return self._cycle.wiring

    # --- writes -----------------------------------------------------------------------------------

    async def set_circuit_limit(
        self, circuit: CircuitId, limit_a: PhaseCurrents | None, actor: str
    ) -> None:
        """Set or lift an operating limit, at or below the rating."""
        rating = self._image.site.circuits[circuit].limit_a
        if limit_a is not None:
            _check_limit(circuit, limit_a, rating)
        before = self._image.overrides
        limits = {c: x for c, x in before.circuit_limit_a.items() if c != circuit}
        if limit_a is not None:
            limits[circuit] = limit_a
        was = before.circuit_limit_a.get(circuit)
        await self._replace(replace(before, circuit_limit_a=limits))
        await self._audit(actor, "set_circuit_limit", circuit, _currents(was), _currents(limit_a))

    async def set_evse_override(self, evse: EvseId, override: EvseOverride, actor: str) -> None:
        """Replace an EVSE's override."""
        configured = self._image.site.evse(evse)
        if configured is None:
            raise KeyError(evse)
        _check_override(override, most_a=configured.max_a)
        before = self._image.overrides
        was = before.evses.get(evse, EvseOverride())
        evses = {e: o for e, o in before.evses.items() if e != evse}
        if override != EvseOverride():
            evses[evse] = override
        await self._replace(replace(before, evses=evses))
        await self._audit(actor, "set_evse_override", evse, _text(was), _text(override))

    async def act(self, request: ActionRequest, actor: str) -> CommandResult:
        """Carry out a station action."""
        result = await self._fleet.act(request)
        subject = request.evse if request.evse is not None else request.station
        action = request.action.value
        if request.action is StationAction.CALL:
            action = f"{action} {str(request.parameters.get('message', ''))[:50]}"
        await self._audit(actor, action, subject, "", type(result).__name__)
        return result

    async def restore(self) -> None:
        """Bring back the overrides of the last run; those of things that are gone are dropped."""
        text = await self._store.load_overrides()
        if text is None:
            return
        try:
            stored = persist.overrides_from_text(text)
        except ValueError as error:
            log.warning("overrides.damaged", error=str(error))
            return
        self._image.overrides = fitted_overrides(stored, self._image.site)

    async def _replace(self, overrides: Overrides) -> None:
        """Make overrides durable, then effective: what an operator was told survives a restart."""
        await self._store.save_overrides(persist.overrides_to_text(overrides))
        self._image.overrides = overrides
        self._cycle.wake("operator")

    async def _audit(self, actor: str, action: str, subject: str, before: str, after: str) -> None:
        entry = AuditEntry(
            at=self._clock.now(),
            actor=actor,
            action=action,
            subject=subject,
            before=before,
            after=after,
        )
        await self._store.audit(entry)


def _check_limit(circuit: CircuitId, limit: PhaseCurrents, rating: PhaseCurrents) -> None:
    if not limit.is_finite() or min(limit) < 0:
        raise ValueError(f"{circuit}: an operating limit is a number of amperes, 0 or more")
    if not limit.fits(rating):
        raise ValueError(f"{circuit}: an operating limit is at or below the rating, {rating}")


def _check_override(override: EvseOverride, *, most_a: float) -> None:
    max_a = override.max_a
    if max_a is not None and not (isfinite(max_a) and 0 <= max_a <= most_a):
        raise ValueError(f"max_a is between 0 and the rating, {most_a:g} A")
    for other_a in (override.partner_max_a, override.upstream_max_a):
        if other_a is not None and not (isfinite(other_a) and other_a >= 0):
            raise ValueError("a partner's limit is a number of amperes, 0 or more")


def _currents(current: PhaseCurrents | None) -> str:
    return "null" if current is None else json.dumps(list(current))


def _text(override: EvseOverride) -> str:
    return json.dumps(asdict(override), default=str)
