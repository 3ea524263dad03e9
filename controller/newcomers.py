"""What is kept free for vehicles that plug in next (invariant I5)."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter

from controller.draw import Draw
from controller.memory import Memory
from controller.phases import ZERO, PhaseCurrents
from controller.policy import Policy
from controller.site import CircuitId, EvseId
from controller.snapshot import Snapshot
from controller.station import EvseState

_Idle = tuple[float, Draw]
"""Who may start, with its fallback. [A]"""
_FALLBACK_A = itemgetter(0)


def can_start(draw: Draw) -> bool:
    """Tell whether a vehicle may plug in here and draw the fallback at once."""
    return draw.connected and not draw.is_charging and draw.view.state is EvseState.AVAILABLE


def newcomers_reserve(
    snapshot: Snapshot, draws: Mapping[EvseId, Draw], memory: Memory, policy: Policy
) -> dict[CircuitId, PhaseCurrents]:
    """Return what is kept free per circuit. [A].

    A vehicle that plugs in takes its fallback at once, before anybody can give way. Vehicles come
    in rushes: as many as came lately may come again.
    """
    site, remembered = snapshot.site, memory.evses
    idle: dict[CircuitId, list[_Idle]] = {c: [] for c in site.circuits}
    count: dict[CircuitId, int] = dict.fromkeys(site.circuits, policy.newcomers)
    for evse, draw in draws.items():
        if not draw.is_charging:
            if can_start(draw):
                one = (draw.fallback_a, draw)
                for circuit in site.path_to_root(draw.evse.circuit):
                    idle[circuit].append(one)
            continue
        arrived_s = remembered[evse].arrived_s if evse in remembered else None
        if arrived_s is not None and snapshot.now_s - arrived_s < policy.rush_s:
            for circuit in site.path_to_root(draw.evse.circuit):
                count[circuit] += 1
    return {c: _largest(idle[c], count[c]) for c in site.circuits}


def _largest(idle: list[_Idle], count: int) -> PhaseCurrents:
    if count == 1:
        largest = max(idle, key=_FALLBACK_A, default=None)
        chosen = [] if largest is None else [largest]
    else:
        chosen = sorted(idle, key=_FALLBACK_A, reverse=True)[:count]
    if not chosen:
        return ZERO
    total = ZERO
    for fallback_a, draw in chosen:
        total = total + PhaseCurrents.on(draw.evse.grid_phases, fallback_a)
    return total
