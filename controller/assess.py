"""How far each circuit may be trusted and used now: the meter ladder, limits, base load and heat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from controller import baseload, thermal
from controller.baseload import DrawBounds
from controller.decision import Condition, Severity, SiteMode
from controller.draw import Draw, believe_after_s
from controller.memory import CircuitMemory, Memory
from controller.phases import PHASES, ZERO, Phase, PhaseCurrents
from controller.policy import Policy
from controller.site import Circuit, CircuitId, EvseId, Site
from controller.snapshot import MeterView, Snapshot
from controller.values import replace

OVERLOAD_TOLD_A = 0.5
OVERLOAD_TOLD_RATIO = 0.02
"""Less above the limit, for a moment, is the noise of a building where no ampere is left unused. It is
reduced at once as well, and counts for the heat of the device."""
OVERLOAD_LASTS_S = 10.0
"""What lasts so long is no noise. [s]"""
METER_LOST_LONG_S = 900.0
"""A meter that is lost for so long has been forgotten: it is told again, as critical. [s]"""
RAMP_INTERVALS = 4
"""Rises stay small for so many increase intervals after a recovery."""
_ORDER = (SiteMode.NORMAL, SiteMode.HOLD, SiteMode.BLIND, SiteMode.FALLBACK)


def worse(one: SiteMode, other: SiteMode) -> SiteMode:
    """Return the worse of two modes."""
    return max(one, other, key=_ORDER.index)


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitState:
    """One circuit, assessed."""

    circuit: Circuit
    mode: SiteMode
    limit: PhaseCurrents
    """In force now. [A]"""
    measured: PhaseCurrents | None
    measured_age_s: float | None
    building: PhaseCurrents
    """What is counted for everything that is not one of our stations. [A]"""
    committed: PhaseCurrents
    """What our stations below may draw. [A]"""
    memory: CircuitMemory
    is_ramping: bool
    """Whether it recovered only lately, so that rises are small."""
    is_still: bool
    """Whether its meter may be frozen: nothing rises above its minimum before the registers move."""
    headroom: PhaseCurrents
    """What is left below the limit, margin not counted. [A]"""
    usable: PhaseCurrents
    """What stations below may share. [A]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """All circuits, assessed."""

    circuits: Mapping[CircuitId, CircuitState]
    modes: Mapping[EvseId, SiteMode]
    """The worst mode on each EVSE's way to the grid."""
    conditions: tuple[Condition, ...]

    @property
    def mode(self) -> SiteMode:
        """The worst mode of any circuit."""
        return max(
            (state.mode for state in self.circuits.values()),
            key=_ORDER.index,
            default=SiteMode.NORMAL,
        )


def assess(
    snapshot: Snapshot,
    draws: Mapping[EvseId, Draw],
    memory: Memory,
    policy: Policy,
    *,
    peaks: Mapping[CircuitId, PhaseCurrents],
    below: Mapping[CircuitId, tuple[EvseId, ...]],
) -> Assessment:
    """Assess every circuit of the site.

    Args:
        snapshot: What is known.
        draws: What each EVSE draws and may draw.
        memory: What the decision before left.
        policy: Thresholds and times.
        peaks: Each circuit's `building_worst_case`. [A]
        below: The EVSEs on each circuit and on those below it.
    """
    site = snapshot.site
    circuits: dict[CircuitId, CircuitState] = {}
    conditions: list[Condition] = []
    for circuit in site.circuits.values():
        on_it = [draws[evse] for evse in below[circuit.id]]
        state, found = _assess_circuit(
            circuit,
            on_it,
            _totals(on_it),
            peak=peaks[circuit.id],
            snapshot=snapshot,
            memory=memory,
            policy=policy,
        )
        circuits[circuit.id] = state
        conditions.extend(found)
    return Assessment(
        circuits=circuits,
        modes=_modes(site, circuits, draws),
        conditions=tuple(conditions),
    )


def building_worst_case(site: Site, circuit: CircuitId) -> PhaseCurrents:
    """Return the largest load below a circuit that is not one of our stations. [A].

    A circuit's own figure includes the circuits below it; the larger of both counts.
    """
    children = [c.id for c in site.circuits.values() if c.parent == circuit]
    total = ZERO
    for child in children:
        total = total + building_worst_case(site, child)
    return site.circuits[circuit].building_peak_a.highest(total)


def _modes(
    site: Site, circuits: Mapping[CircuitId, CircuitState], evses: Iterable[EvseId]
) -> dict[EvseId, SiteMode]:
    if all(state.mode is SiteMode.NORMAL for state in circuits.values()):
        return dict.fromkeys(evses, SiteMode.NORMAL)
    on_path = {
        circuit: max((circuits[c].mode for c in site.path_to_root(circuit)), key=_ORDER.index)
        for circuit in circuits
    }
    return {e.id: on_path[e.circuit] for e in site.evses()}


def _assess_circuit(
    circuit: Circuit,
    draws: list[Draw],
    totals: _Totals,
    *,
    peak: PhaseCurrents,
    snapshot: Snapshot,
    memory: Memory,
    policy: Policy,
) -> tuple[CircuitState, list[Condition]]:
    now_s = snapshot.now_s
    before = memory.circuit(circuit.id)
    meter = snapshot.meters.get(circuit.meter) if circuit.meter is not None else None
    age_s = _effective_age_s(circuit, meter, draws, snapshot=snapshot, memory=memory, policy=policy)
    rung = _rung(age_s, policy)
    is_starting = rung is SiteMode.BLIND and (meter is None or meter.reading is None)
    after = before if is_starting else _climbed(before, rung, now_s=now_s, policy=policy)
    mode = _mode(after, rung)
    measured = _measured(meter, policy, now_s)
    limit, after = _limit(circuit, after, measured, totals, snapshot, policy)
    after = _with_base(after, meter, totals, limit=limit, policy=policy, now_s=now_s)
    after = _with_overload(after, measured, limit, now_s)
    if _is_learning(after, draws, now_s, policy):
        mode = worse(mode, SiteMode.HOLD)
    committed = totals.committed
    building = _building(circuit, after, mode, peak)
    state = CircuitState(
        circuit=circuit,
        mode=mode,
        limit=limit,
        measured=measured,
        measured_age_s=meter.reading.age_s(now_s) if meter and meter.reading else None,
        building=building,
        committed=committed,
        memory=after,
        is_ramping=after.recovered_s is not None
        and now_s - after.recovered_s < RAMP_INTERVALS * policy.increase_interval_s,
        is_still=_is_still(meter, now_s=now_s, policy=policy),
        headroom=_less(limit, building, committed),
        usable=_less(limit, PhaseCurrents.balanced(circuit.margin_a), building),
    )
    return state, _conditions(state, meter, 0.0 if is_starting else age_s, policy, now_s)


def _with_overload(
    memory: CircuitMemory, measured: PhaseCurrents | None, limit: PhaseCurrents, now_s: float
) -> CircuitMemory:
    """Remember since when more flows than the limit."""
    is_over = measured is not None and not measured.fits(limit, tolerance_a=OVERLOAD_TOLD_A)
    if is_over is (memory.over_since_s is not None):
        return memory
    return replace(memory, over_since_s=now_s if is_over else None)


def _less(limit: PhaseCurrents, one: PhaseCurrents, other: PhaseCurrents) -> PhaseCurrents:
    """Return what two currents leave of a limit, in one step. [A]"""
    return PhaseCurrents(
        l1_a=limit.l1_a - one.l1_a - other.l1_a,
        l2_a=limit.l2_a - one.l2_a - other.l2_a,
        l3_a=limit.l3_a - one.l3_a - other.l3_a,
    )


# --- the ladder -----------------------------------------------------------------------------------


def _effective_age_s(
    circuit: Circuit,
    meter: MeterView | None,
    draws: list[Draw],
    *,
    snapshot: Snapshot,
    memory: Memory,
    policy: Policy,
) -> float:
    """Return how old the circuit's knowledge is; 0 without a meter, whose load is configured. [s]."""
    if circuit.meter is None:
        return 0.0
    if meter is None or meter.reading is None:
        started_s = memory.started_s if memory.started_s is not None else snapshot.now_s
        waited_s = snapshot.now_s - started_s
        # Blind, not lost: a restart must not wait as long as a recovery for its first increase.
        if waited_s <= policy.meter_blind_s:
            return policy.meter_blind_s + 0.1
        return policy.meter_fallback_s + waited_s
    age_s = meter.reading.age_s(snapshot.now_s)
    was_lost = memory.circuit(circuit.id).worst in (SiteMode.BLIND, SiteMode.FALLBACK)
    return max(
        age_s, _frozen_s(meter, draws, now_s=snapshot.now_s, policy=policy, was_lost=was_lost)
    )


def _frozen_s(
    meter: MeterView, draws: list[Draw], *, now_s: float, policy: Policy, was_lost: bool
) -> float:
    """Return for how long the registers stood still while vehicles drew; 0 while that is harmless. [s].

    A meter that was lost is not found again by vehicles that stopped: its registers must move.
    """
    if meter.changed_s is None or not _is_still(meter, now_s=now_s, policy=policy):
        return 0.0
    still_s = now_s - meter.changed_s
    if was_lost:
        return still_s
    return still_s if any((d.measured_max_a or 0.0) > 1.0 for d in draws) else 0.0


def _is_still(meter: MeterView | None, *, now_s: float, policy: Policy) -> bool:
    """Tell whether the registers have stood still for so long that the meter may be frozen."""
    if meter is None or meter.changed_s is None:
        return False
    return now_s - meter.changed_s >= policy.meter_frozen_s


def _rung(age_s: float, policy: Policy) -> SiteMode:
    if age_s > policy.meter_fallback_s:
        return SiteMode.FALLBACK
    if age_s > policy.meter_blind_s:
        return SiteMode.BLIND
    return SiteMode.HOLD if age_s > policy.meter_hold_s else SiteMode.NORMAL


def _climbed(
    before: CircuitMemory, rung: SiteMode, *, now_s: float, policy: Policy
) -> CircuitMemory:
    """Track how bad it was and for how long it has been good since."""
    if rung is not SiteMode.NORMAL:
        return replace(before, worst=worse(before.worst, rung), good_since_s=None)
    if before.worst is SiteMode.NORMAL:
        return before
    since_s = before.good_since_s if before.good_since_s is not None else now_s
    was_lost = before.worst is not SiteMode.HOLD
    needed_s = policy.recovery_good_s if was_lost else policy.meter_hold_s
    if now_s - since_s < needed_s:
        return replace(before, good_since_s=since_s)
    return replace(
        before,
        worst=SiteMode.NORMAL,
        good_since_s=None,
        recovered_s=now_s if was_lost else before.recovered_s,
    )


def _mode(after: CircuitMemory, rung: SiteMode) -> SiteMode:
    """Return the mode: while recovering nothing rises, whatever the last reading says."""
    if rung is SiteMode.NORMAL and after.worst is not SiteMode.NORMAL:
        return SiteMode.HOLD
    return rung


def _is_learning(memory: CircuitMemory, draws: list[Draw], now_s: float, policy: Policy) -> bool:
    """Tell whether vehicles charge whose stations have not said yet what they draw."""
    if memory.base is None:
        return False
    if not baseload.is_first(memory.base, now_s=now_s, believe_after_s=believe_after_s(policy)):
        return False
    return any(d.connected and d.is_charging and d.measured is None for d in draws)


# --- limits, base load and heat -------------------------------------------------------------------


def _measured(meter: MeterView | None, policy: Policy, now_s: float) -> PhaseCurrents | None:
    if meter is None or meter.reading is None:
        return None
    is_fresh = meter.reading.age_s(now_s) <= policy.meter_blind_s
    return meter.reading.value.current if is_fresh else None


def _limit(
    circuit: Circuit,
    before: CircuitMemory,
    measured: PhaseCurrents | None,
    totals: _Totals,
    snapshot: Snapshot,
    policy: Policy,
) -> tuple[PhaseCurrents, CircuitMemory]:
    """Return the limit in force and the memory with the device's heat advanced."""
    current = measured if measured is not None else totals.committed
    heat, heating = thermal.advanced(
        before.heat,
        before.heating,
        current=current,
        rating=circuit.limit_a,
        device=circuit.device,
        now_s=snapshot.now_s,
    )
    hot = thermal.overheat_ratio(heat, device=circuit.device)
    release = policy.thermal_shed_ratio / 2 if before.is_shedding else policy.thermal_shed_ratio
    is_shedding = hot > release
    limit = circuit.limit_a
    for lower in (snapshot.overrides.circuit_limit_a, snapshot.signal_limit_a):
        if circuit.id in lower:
            limit = limit.lowest(lower[circuit.id])
    if is_shedding:
        limit = limit.lowest(circuit.limit_a.scaled(policy.thermal_shed_to_ratio))
    if heat == before.heat and heating is before.heating and is_shedding == before.is_shedding:
        return limit, before
    return limit, replace(before, heat=heat, heating=heating, is_shedding=is_shedding)


def _with_base(
    before: CircuitMemory,
    meter: MeterView | None,
    totals: _Totals,
    *,
    limit: PhaseCurrents,
    policy: Policy,
    now_s: float,
) -> CircuitMemory:
    if meter is None or meter.reading is None:
        return before
    if meter.reading.age_s(now_s) > policy.meter_hold_s:
        return before
    current = meter.reading.value.current
    base = baseload.estimated(
        before.base,
        meter=current,
        bounds=totals.bounds,
        overloaded=current - limit,
        now_s=now_s,
        believe_after_s=believe_after_s(policy),
    )
    return before if base is before.base or base == before.base else replace(before, base=base)


def _building(
    circuit: Circuit, memory: CircuitMemory, mode: SiteMode, peak: PhaseCurrents
) -> PhaseCurrents:
    """Return the load to count. Export never makes room beyond the circuit's own limit. [A]."""
    if circuit.meter is None:
        return peak
    estimate = baseload.value(memory.base) if memory.base is not None else peak
    if mode in (SiteMode.BLIND, SiteMode.FALLBACK):
        return estimate.highest(peak)
    return estimate.highest(ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Totals:
    """What the stations below a circuit draw and may draw together. [A]"""

    committed: PhaseCurrents
    bounds: DrawBounds


def _totals(draws: list[Draw]) -> _Totals:
    """Add up; those that draw nothing and may draw nothing add nothing."""
    busy = [d for d in draws if d.is_busy]
    if not busy:
        return _NO_TOTALS
    bounds = [d.bounds for d in busy]
    return _Totals(
        committed=_sum([d.committed for d in busy]),
        bounds=DrawBounds(
            least=_sum([b.least for b in bounds]),
            last_seen=_sum([b.last_seen for b in bounds]),
            reported=_sum([b.reported for b in bounds]),
            most=_sum([b.most for b in bounds]),
        ),
    )


_NO_TOTALS = _Totals(
    committed=ZERO, bounds=DrawBounds(least=ZERO, last_seen=ZERO, reported=ZERO, most=ZERO)
)


def _sum(currents: list[PhaseCurrents]) -> PhaseCurrents:
    l1_a = l2_a = l3_a = 0.0
    for current in currents:
        l1_a += current.l1_a
        l2_a += current.l2_a
        l3_a += current.l3_a
    return PhaseCurrents(l1_a=l1_a, l2_a=l2_a, l3_a=l3_a)


# --- conditions -----------------------------------------------------------------------------------


def _conditions(
    state: CircuitState, meter: MeterView | None, age_s: float, policy: Policy, now_s: float
) -> list[Condition]:
    circuit = state.circuit
    found = []
    if age_s > policy.meter_blind_s and circuit.meter is not None:
        found.append(
            _meter_condition(
                circuit, meter, age_s=age_s, measured_age_s=state.measured_age_s, policy=policy
            )
        )
        if age_s > METER_LOST_LONG_S:
            found.append(_lost_long(circuit))
    if state.measured is not None and state.memory.over_since_s is not None:
        lasts = now_s - state.memory.over_since_s >= OVERLOAD_LASTS_S
        found.extend(_overload(circuit, state.measured, state.limit, lasts=lasts))
    if state.memory.is_shedding:
        found.append(
            Condition(
                code="PROTECTION_HOT",
                subject=circuit.id,
                text=f"The protective device of {circuit.id} is close to tripping; its limit is "
                "lowered while it cools. If charging is not the cause, reduce other load.",
                severity=Severity.ALARM,
            )
        )
    return found


def _overload(
    circuit: Circuit, measured: PhaseCurrents, limit: PhaseCurrents, *, lasts: bool
) -> Iterator[Condition]:
    """Yield the worst phase that is over its limit, for long or by more than the building's noise. [A]"""
    ratio = 0.0 if lasts else OVERLOAD_TOLD_RATIO

    def excess_a(phase: Phase) -> float:
        limit_a = limit.of(phase)
        return measured.of(phase) - limit_a - max(OVERLOAD_TOLD_A, ratio * limit_a)

    phase = max(PHASES, key=excess_a)
    limit_a = limit.of(phase)
    if excess_a(phase) <= 0.0:
        return
    drawn, most = f"{measured.of(phase):.1f}", f"{limit_a:g}"
    yield Condition(
        code="OVERLOAD",
        subject=circuit.id,
        text=f"{circuit.id} carries {drawn} A on {phase.name}, more than its limit of {most} A; charging "
        "is being reduced.",
        severity=Severity.ALARM,
        values={"phase": phase.name, "drawn_a": drawn, "limit_a": most},
    )


def _lost_long(circuit: Circuit) -> Condition:
    minutes = round(METER_LOST_LONG_S / 60.0)
    return Condition(
        code="METER_LOST_LONG",
        subject=str(circuit.meter),
        text=f"Meter {circuit.meter} has been lost for more than {minutes} minutes. Charging goes on "
        f"with what {circuit.id} has left beside the building's worst case. Have it repaired today.",
        severity=Severity.CRITICAL,
        values={"minutes": f"{minutes}"},
    )


def _meter_condition(
    circuit: Circuit,
    meter: MeterView | None,
    *,
    age_s: float,
    measured_age_s: float | None,
    policy: Policy,
) -> Condition:
    if measured_age_s is not None and measured_age_s <= policy.meter_blind_s:
        text = (
            f"Meter {circuit.meter} has sent the same values for {age_s:.0f} s while vehicles "
            "charge. It is treated as lost. Restart the meter or its gateway."
        )
        return Condition(
            code="METER_FROZEN",
            subject=str(circuit.meter),
            text=text,
            severity=Severity.ALARM,
            values={"age_s": f"{age_s:.0f}"},
        )
    fault = meter.fault if meter is not None and meter.fault else "no sample yet"
    return Condition(
        code="METER_LOST",
        subject=str(circuit.meter),
        text=f"Meter {circuit.meter} has not been read for {age_s:.0f} s: {fault}. "
        "The building counts with its worst case until it is back.",
        severity=Severity.ALARM,
        values={"age_s": f"{age_s:.0f}", "fault": fault},
    )
