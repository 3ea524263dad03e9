"""Which vehicles the planner plans for, and what is known of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.decision import EvseStatus, Plan
from controller.memory import EvseMemory, Memory
from controller.operator import EvseOverride
from controller.phases import PhaseSet
from controller.pose import is_shut, override_of, wanted_a
from controller.site import Evse, EvseId
from controller.snapshot import Snapshot
from controller.station import EvseState
from controller.visit import Visit

LEAST_STAY_H = 0.5
"""A vehicle that is still there after its departure is expected to stay so long. [h]"""
LEAST_NEED_WH = 1000.0
"""A vehicle that has had its need and still takes current is expected to want so much. [Wh]"""
_OUT = frozenset({EvseState.FAULTED, EvseState.UNAVAILABLE, EvseState.FINISHING})


@dataclass(frozen=True, slots=True, kw_only=True)
class TypicalStay:
    """What is assumed of a vehicle of which nothing is known."""

    stay_h: float = 8.0
    need_wh: float = 20_000.0


def visits_of(
    snapshot: Snapshot, plan: Plan, memory: Memory, typical: TypicalStay
) -> Mapping[EvseId, Visit]:
    """Return the vehicles that want charge and can be steered; an empty site has none."""
    visits = {}
    for evse in snapshot.site.evses():
        status = plan.evses.get(evse.id)
        if status is None or status.transaction is None or not status.connected:
            continue
        remembered = memory.evse(evse.id)
        if status.state in _OUT or is_shut(snapshot, evse) or is_full(status, remembered):
            continue
        visits[evse.id] = _visit(snapshot, evse, status, remembered, typical)
    return visits


def is_full(status: EvseStatus, memory: EvseMemory) -> bool:
    """Tell whether the vehicle takes nothing though it may: its battery is full or it is set so."""
    return status.state is EvseState.SUSPENDED_EV and memory.demand_a is not None


def remaining_wh(override: EvseOverride, status: EvseStatus, typical: TypicalStay) -> float:
    """Return the energy it still wants; never below a small rest while it is there. [Wh]"""
    need_wh = typical.need_wh if override.energy_need_wh is None else override.energy_need_wh
    return max(LEAST_NEED_WH, need_wh - (status.energy_wh or 0.0))


def _visit(
    snapshot: Snapshot,
    evse: Evse,
    status: EvseStatus,
    memory: EvseMemory,
    typical: TypicalStay,
) -> Visit:
    override = override_of(snapshot, evse.id)
    phases = _phases(evse, memory)
    per_ah_wh = snapshot.site.voltage_v * len(phases)
    here_h = _since_h(snapshot, memory.arrived_s)
    most_a = wanted_a(snapshot, evse)
    if memory.demand_a is not None:
        most_a = min(most_a, max(memory.demand_a, evse.min_a))
    return Visit(
        evse=evse.id,
        circuit=evse.circuit,
        phases=phases,
        min_a=evse.min_a,
        max_a=most_a,
        step_a=evse.step_a,
        stay_h=_stay_h(snapshot, override, typical, here_h),
        need_ah=remaining_wh(override, status, typical) / per_ah_wh,
        taken_ah=(status.energy_wh or 0.0) / per_ah_wh,
        held_a=status.setpoint_a,
        ran_h=_since_h(snapshot, memory.running_since_s),
        waited_h=_since_h(snapshot, memory.waiting_since_s),
        here_h=here_h,
        priority=evse.priority if override.priority is None else override.priority,
        stated=override.departure_at is not None and override.energy_need_wh is not None,
    )


def _phases(evse: Evse, memory: EvseMemory) -> PhaseSet:
    return memory.vehicle_phases or evse.grid_phases


def _since_h(snapshot: Snapshot, since_s: float | None) -> float:
    return 0.0 if since_s is None else max(0.0, snapshot.now_s - since_s) / 3600


def _stay_h(
    snapshot: Snapshot, override: EvseOverride, typical: TypicalStay, here_h: float
) -> float:
    """Return the time left; a departure in the past means that it may leave any time."""
    if override.departure_at is None:
        return max(LEAST_STAY_H, typical.stay_h - here_h)
    return max(LEAST_STAY_H, (override.departure_at - snapshot.at).total_seconds() / 3600)
