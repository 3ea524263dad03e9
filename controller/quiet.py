"""When the next decision can be left out: nothing is new, and no time that matters has come.

A decision is a function of what was heard, what is remembered and the clock. When the one before
sent nothing and left the memory as it was, another on the same values differs only once a comparison
with the clock turns out differently. All of them are listed here; `tests/simulation` proves on random
sites that leaving decisions out changes neither a command nor a current.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf, log
from typing import Protocol

from controller.assess import METER_LOST_LONG_S, OVERLOAD_LASTS_S, RAMP_INTERVALS
from controller.baseload import BaseLoad
from controller.decide import Decision
from controller.draw import (
    ACTIVE_STATES,
    ARRIVED_A,
    bare_from_s,
    believe_after_s,
    followed_from_s,
    governed_from_s,
    settle_s,
)
from controller.due import (
    AFTER_S,
    first_due_s,
    learning_instants_s,
    ledger_instants_s,
    state_instants_s,
)
from controller.faults import OFFLINE_AFTER_S, OUTAGE_BACK_S
from controller.ledger import Grant
from controller.memory import CircuitMemory, EvseMemory, Memory, Turn
from controller.policy import Policy
from controller.questions import is_doubtful, proof_due_s
from controller.site import Circuit, EvseId, MeterId
from controller.snapshot import MeterView, Snapshot
from controller.station import EvseView, StationView
from controller.stopping import AGAIN_S
from controller.thermal import TIME_CONSTANT_S, final_heat, heat_at
from controller.timing import OVERTAKE_S, renewal_s, retry_wait_s
from controller.turns import BOOK_S
from controller.walltime import BELIEVED_AFTER_S, TOLD_AFTER_S
from controller.worth import top_up_s


class Steady(Protocol):
    """Which values go on arriving unchanged; whoever leaves decisions out must know."""

    def sample_s(self, evse: EvseId, not_before_s: float) -> float | None:
        """Return when the first sample not earlier than an instant arrives; None: not known. [s]"""

    def is_read(self, meter: MeterId) -> bool:
        """Tell whether a meter is read every second, with registers that move."""


def quiet_until_s(
    snapshot: Snapshot, before: Memory, decision: Decision, policy: Policy, steady: Steady
) -> float:
    """Return until when decisions on the same values would be the same; now: not known. [s]

    Args:
        snapshot: What was decided on.
        before: The memory that the decision was given.
        decision: What came out.
        policy: Thresholds and times.
        steady: What goes on arriving.
    """
    wave = decision.wave
    is_sending = len(wave) or wave.questions or wave.stops
    if is_sending or not _is_settled(before, decision.memory):
        return snapshot.now_s
    return _soonest_s(snapshot, decision.memory, policy, steady)


def _is_settled(before: Memory, after: Memory) -> bool:
    """Tell whether the decision learned nothing but answers, which it has taken into account."""
    known = before.evses
    for evse, memory in after.evses.items():
        earlier = known.get(evse)
        if earlier is not memory and (earlier is None or not _same_but_account(earlier, memory)):
            return False
    if not _same_line(before.turns, after.turns):
        return False
    for circuit, state in after.circuits.items():
        past = before.circuits.get(circuit)
        if past is not state and (past is None or not _same_but_heat(past, state)):
            return False
    return True


def _same_line(one: Mapping[EvseId, Turn], other: Mapping[EvseId, Turn]) -> bool:
    """Tell whether the same stand in the same order; by how much the accounts differ orders nobody."""
    if one is other or one == other:
        return True
    if one.keys() != other.keys():
        return False
    is_same = all(
        one[e].transaction == other[e].transaction and one[e].in_line_s == other[e].in_line_s
        for e in one
    )
    return is_same and _by_surplus(one) == _by_surplus(other)


def _by_surplus(turns: Mapping[EvseId, Turn]) -> list[EvseId]:
    return sorted(turns, key=lambda e: (turns[e].surplus_ah, e))


def _same_but_account(one: EvseMemory, other: EvseMemory) -> bool:
    return (
        one.transaction == other.transaction
        and one.arrived_s == other.arrived_s
        and one.vehicle_phases == other.vehicle_phases
        and one.demand_a == other.demand_a
        and one.under_since_s == other.under_since_s
        and one.over_since_s == other.over_since_s
        and one.obeyed_since_s == other.obeyed_since_s
        and one.disobeys == other.disobeys
        and one.running_since_s == other.running_since_s
        and one.waiting_since_s == other.waiting_since_s
        and one.ran_before == other.ran_before
        and one.asked_s == other.asked_s
        and one.stop_asked_s == other.stop_asked_s
        and one.setpoint_a == other.setpoint_a
    )


def _same_but_heat(one: CircuitMemory, other: CircuitMemory) -> bool:
    return (
        one.base == other.base
        and one.is_shedding == other.is_shedding
        and one.worst is other.worst
        and one.good_since_s == other.good_since_s
        and one.recovered_s == other.recovered_s
        and one.over_since_s == other.over_since_s
    )


# --- every comparison with the clock ----------------------------------------------------------------


def _soonest_s(snapshot: Snapshot, memory: Memory, policy: Policy, steady: Steady) -> float:
    """Return the first of them; now, as soon as one lies before the next cycle's end. [s]"""
    now_s = snapshot.now_s
    found = [*_of_turns(snapshot, memory, policy), *_of_site(memory)]
    found += _of_circuits(snapshot, memory, policy, steady)
    soonest_s = first_due_s(found, now_s)
    waits = any(map(_has_drift, memory.circuits.values()))
    for station in snapshot.stations.values():
        if soonest_s <= now_s + policy.interval_s:
            return now_s  # there may be an earlier one: nothing is left out
        found = _of_station(station, memory, policy, steady, waits=waits)
        soonest_s = min(soonest_s, first_due_s(found, now_s))
    return soonest_s


def _of_station(
    station: StationView, memory: Memory, policy: Policy, steady: Steady, *, waits: bool
) -> list[float]:
    """Return those of a station. A list, not a generator: this runs after every decision. [s]"""
    found: list[float] = []
    if not station.connected:
        lost_s = station.lost_since_s if station.lost_since_s is not None else memory.started_s
        found.append((lost_s if lost_s is not None else -inf) + OFFLINE_AFTER_S + AFTER_S)
    found.append(bare_from_s(station))
    settling_s = settle_s(station, policy)
    for evse, view in station.evses.items():
        remembered = memory.evse(evse)
        if remembered.account.commanded_s is None and _is_idle(view, remembered):
            continue
        _of_evse(found, evse, view, remembered, policy, steady, settling_s, waits=waits)
        if remembered.account.grants:
            found.extend(ledger_instants_s(remembered.account, settling_s))
        if station.connected:
            _of_account(found, evse, remembered, policy)
    return found


def _has_drift(circuit: CircuitMemory) -> bool:
    """Tell whether a change of the building waits to be believed, or the estimate is young."""
    base = circuit.base
    return base is not None and any(
        p.rise is not None or p.fall is not None or p.first_s is not None for p in base
    )


def _of_circuits(snapshot: Snapshot, memory: Memory, policy: Policy, steady: Steady) -> list[float]:
    found: list[float] = []
    for circuit in snapshot.site.circuits.values():
        meter = snapshot.meters.get(circuit.meter) if circuit.meter is not None else None
        found.extend(_of_circuit(circuit, memory.circuit(circuit.id), policy, snapshot.now_s))
        if circuit.meter is not None and not steady.is_read(circuit.meter):
            found.extend(_of_meter(meter, memory, policy))
    return found


def _is_idle(view: EvseView, memory: EvseMemory) -> bool:
    """Tell whether no time matters at an EVSE: no vehicle, no sample and nothing granted."""
    return (
        view.sample is None
        and view.faulted_since_s is None
        and view.transaction is None
        and view.state not in ACTIVE_STATES
        and memory.transaction is None
        and not memory.account.grants
        and memory.account.raised_s is None
        and memory.arrived_s is None
        and memory.running_since_s is None
        and memory.waiting_since_s is None
        and memory.under_since_s is None
        and memory.over_since_s is None
        and not memory.disobeys
    )


def _of_site(memory: Memory) -> Iterator[float]:
    """Yield when an outage is over, or a step of our own clock is told or believed. [s]"""
    if memory.outage is not None and memory.outage.back_since_s is not None:
        yield memory.outage.back_since_s + OUTAGE_BACK_S
    if memory.clock.off_since_s is not None:
        yield memory.clock.off_since_s + TOLD_AFTER_S + AFTER_S
        yield memory.clock.off_since_s + BELIEVED_AFTER_S


def _of_turns(snapshot: Snapshot, memory: Memory, policy: Policy) -> Iterator[float]:
    """Yield when the account is booked, a wait becomes too long, or a departure comes near. [s]"""
    if memory.turns and memory.booked_s is not None:
        yield memory.booked_s + BOOK_S
    for turn in memory.turns.values():
        if turn.in_line_s is not None:
            yield turn.in_line_s + policy.max_wait_s
    for override in snapshot.overrides.evses.values():
        if override.departure_at is not None and override.departure_at > snapshot.at:
            yield snapshot.now_s + policy.interval_s  # its slack changes with every second


def _of_evse(
    found: list[float],
    evse: EvseId,
    view: EvseView,
    memory: EvseMemory,
    policy: Policy,
    steady: Steady,
    settling_s: float,
    *,
    waits: bool,
) -> None:
    """Add when an EVSE and its samples may be judged differently. [s]

    `waits`: somewhere a change of the building waits to be believed.
    """
    if memory.arrived_s is not None:
        found.append(memory.arrived_s + policy.rush_s)
    if memory.running_since_s is not None:
        found.append(memory.running_since_s + policy.min_on_s)
    if memory.waiting_since_s is not None:
        found.append(memory.waiting_since_s + policy.min_off_s)
    if memory.under_since_s is not None or memory.disobeys:
        found.extend(_suspicions_s(memory, policy))
    if view.fallback_since_s is not None:
        found.append(view.fallback_since_s + settling_s)
    if view.transaction is None:
        found.extend(state_instants_s(view))
    proof_s = proof_due_s(memory, policy)
    if proof_s is not None:
        found.append(proof_s)
    if view.sample is not None:
        _of_sample(
            found, evse, view, view.sample.taken_s, memory, policy, steady, settling_s, waits=waits
        )
    elif view.transaction is not None or is_doubtful(view):
        found.append(max(0.0, memory.asked_s or 0.0) + policy.ask_after_s)


def _of_sample(
    found: list[float],
    evse: EvseId,
    view: EvseView,
    taken_s: float,
    memory: EvseMemory,
    policy: Policy,
    steady: Steady,
    settling_s: float,
    *,
    waits: bool,
) -> None:
    if steady.sample_s(evse, taken_s) is not None:
        for awaited_s in _awaited_s(view, memory, policy, settling_s):
            arrival_s = steady.sample_s(evse, awaited_s) if awaited_s > taken_s else None
            if arrival_s is not None:
                found.append(arrival_s)
        return
    if waits or _is_above(view, memory.account.grants):
        # Bounds that become wider move no estimate that lies within them.
        found.append(taken_s + believe_after_s(policy) + AFTER_S)
    found.append(taken_s + policy.sample_stale_s + AFTER_S)
    found.append(max(taken_s, memory.asked_s or 0.0) + policy.ask_after_s)


def _suspicions_s(memory: EvseMemory, policy: Policy) -> Iterator[float]:
    """Yield when what is suspected of a vehicle or its station may be judged differently."""
    yield from learning_instants_s(memory, policy)
    if memory.stop_asked_s is not None:
        yield memory.stop_asked_s + AGAIN_S


def _awaited_s(
    view: EvseView, memory: EvseMemory, policy: Policy, settling_s: float
) -> Iterator[float]:
    """Yield the instants that the age of a sample is compared with."""
    grants = memory.account.grants
    if grants and not _has_arrived(view, memory):
        yield max(map(followed_from_s, grants)) + settling_s
    governed_s = governed_from_s(memory, view, settling_s)
    if governed_s is not None and _is_above(view, grants):
        yield governed_s
    if memory.over_since_s is not None:
        yield memory.over_since_s + policy.disobey_after_s


def _is_above(view: EvseView, grants: tuple[Grant, ...]) -> bool:
    """Tell whether the sample is above every grant: then it matters whether there was time to follow."""
    sample = view.sample
    if sample is None or sample.value.terminal_a is None:
        return False
    highest_a = max((g.limit_a for g in grants), default=view.fallback_a or 0.0)
    return max(sample.value.terminal_a) > highest_a


def _has_arrived(view: EvseView, memory: EvseMemory) -> bool:
    """Tell whether the vehicle draws its limit: then it does not matter when that was measured."""
    latest, sample = memory.account.latest, view.sample
    if latest is None or sample is None or sample.value.terminal_a is None:
        return False
    return abs(max(sample.value.terminal_a) - latest.limit_a) <= ARRIVED_A


def _of_account(found: list[float], evse: EvseId, memory: EvseMemory, policy: Policy) -> None:
    """Add when a command may be sent, or a rise too small to be told at once is worth one. [s]"""
    account, latest = memory.account, memory.account.latest
    if account.commanded_s is not None:
        found.append(account.commanded_s + retry_wait_s(account))
        if account.in_flight:
            found.append(account.commanded_s + OVERTAKE_S + AFTER_S)
    gap_a = memory.setpoint_a - latest.limit_a if latest is not None else inf
    if gap_a > 0:  # whoever has what it shall have is not raised, however long ago it was
        if account.raised_s is not None:
            found.append(account.raised_s + policy.increase_interval_s)
        if account.commanded_s is not None:
            found.append(account.commanded_s + policy.command_interval_s)
            found.append(top_up_s(gap_a, account.commanded_s))
    if latest is not None and latest.until_s is not None:
        found.append(renewal_s(latest, evse, policy))


def _of_circuit(
    circuit: Circuit, memory: CircuitMemory, policy: Policy, now_s: float
) -> Iterator[float]:
    if memory.good_since_s is not None:
        yield memory.good_since_s + policy.recovery_good_s
        yield memory.good_since_s + policy.meter_hold_s
    if memory.recovered_s is not None:
        yield memory.recovered_s + RAMP_INTERVALS * policy.increase_interval_s
    if memory.over_since_s is not None:
        yield memory.over_since_s + OVERLOAD_LASTS_S
    if memory.base is not None:
        yield from _of_base(memory.base, believe_after_s(policy))
    yield from _of_heat(circuit, memory, policy, now_s)


def _of_base(base: BaseLoad, believe_s: float) -> Iterator[float]:
    for phase in base:
        if phase.first_s is not None:
            yield phase.first_s + believe_s
        if phase.rise is not None:
            yield phase.rise.since_s + believe_s
        if phase.fall is not None:
            yield phase.fall.since_s + believe_s


def _of_heat(
    circuit: Circuit, memory: CircuitMemory, policy: Policy, now_s: float
) -> Iterator[float]:
    """Yield when the heat of a pole crosses the threshold that lowers or restores the limit."""
    if memory.heating is None:
        return
    ratio = policy.thermal_shed_ratio / 2 if memory.is_shedding else policy.thermal_shed_ratio
    threshold = heat_at(ratio, device=circuit.device)
    poles = zip(memory.heat, memory.heating.current, circuit.limit_a, strict=True)
    for heat, current_a, rating_a in poles:
        end = final_heat(current_a, rating_a=rating_a, device=circuit.device)
        if (heat - threshold) * (end - threshold) < 0:
            yield now_s + AFTER_S + TIME_CONSTANT_S * log((heat - end) / (threshold - end))
        elif end == threshold or heat == threshold:
            yield now_s + AFTER_S


def _of_meter(meter: MeterView | None, memory: Memory, policy: Policy) -> Iterator[float]:
    rungs_s: tuple[float, ...] = (
        policy.meter_hold_s,
        policy.meter_blind_s,
        policy.meter_fallback_s,
    )
    if meter is not None and meter.reading is not None:
        rungs_s = (*rungs_s, METER_LOST_LONG_S)
    if meter is None or meter.reading is None:
        started_s = memory.started_s if memory.started_s is not None else -inf
        yield from (started_s + rung_s + AFTER_S for rung_s in rungs_s)
        yield started_s + METER_LOST_LONG_S - policy.meter_fallback_s + AFTER_S
        return
    yield from (meter.reading.taken_s + rung_s + AFTER_S for rung_s in rungs_s)
    if meter.changed_s is not None:
        yield meter.changed_s + policy.meter_frozen_s
        yield from (meter.changed_s + rung_s + AFTER_S for rung_s in rungs_s)
