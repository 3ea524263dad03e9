"""Whose session is ended: its station does not keep to its limit, and no other vehicle can make room.

Limits are all that is needed as long as stations keep to them. Where one does not, what it draws is
reserved and the others are reduced; once all of them are paused and the circuit still carries more than
its rating, only opening a contactor is left (facts/faults.md, row "accepts, ignores").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from controller.assess import Assessment, CircuitState
from controller.commands import Stop
from controller.decision import SiteMode
from controller.draw import Draw
from controller.memory import EvseMemory, Memory
from controller.phases import PHASES, ZERO, PhaseCurrents
from controller.policy import Policy
from controller.site import CircuitId, EvseId
from controller.snapshot import Snapshot
from controller.station import EvseState, EvseView, LeaseMode

AGAIN_S = 15.0
"""A stop that has shown no effect is asked for again after so long. [s]"""
EXCESS_A = 0.5
"""Less above a rating is within what is measured. [A]"""
_IN_SIGHT = frozenset({SiteMode.NORMAL, SiteMode.HOLD})
"""A worst case that is only assumed ends nobody's session: it is no current that flows."""
_GOVERNED = frozenset({LeaseMode.LEASED, LeaseMode.PERMANENT})


def to_stop(
    snapshot: Snapshot,
    draws: Mapping[EvseId, Draw],
    assessment: Assessment,
    memory: Memory,
    policy: Policy,
    *,
    below: Mapping[CircuitId, tuple[EvseId, ...]],
) -> tuple[Stop, ...]:
    """Return the sessions that must end so that no circuit stays above its rating.

    Only stations that were proven to disobey are stopped, the one that draws most first, and no more
    than needed. One that was just asked counts as gone until `AGAIN_S` has passed.
    """
    if not policy.stop_disobedient:
        return ()
    suspects = [d for e, d in draws.items() if memory.evse(e).disobeys and _may_be_stopped(d)]
    if not suspects:
        return ()
    now_s = snapshot.now_s
    gone = {e for e in draws if _is_asked(memory.evse(e), now_s)}
    stops: list[Stop] = []
    for circuit, state in assessment.circuits.items():
        if state.mode not in _IN_SIGHT:
            continue
        on_it = [draws[e] for e in below[circuit] if e not in gone]
        excess = _excess(snapshot, state, on_it, memory)
        culprits = [d for d in suspects if d in on_it]
        for draw in sorted(culprits, key=lambda d: (-d.committed_a, d.evse.id)):
            transaction = draw.view.transaction
            if transaction is None or not _relieves(draw, excess):
                continue
            excess = excess - draw.committed
            gone.add(draw.evse.id)
            stops.append(Stop(evse=draw.evse.id, transaction=transaction.id))
    return tuple(stops)


def _may_be_stopped(draw: Draw) -> bool:
    return draw.connected and draw.is_charging and not draw.evse.is_load


def _is_asked(memory: EvseMemory, now_s: float) -> bool:
    asked_s = memory.stop_asked_s
    return asked_s is not None and now_s - asked_s < AGAIN_S


def _excess(
    snapshot: Snapshot, state: CircuitState, on_it: list[Draw], memory: Memory
) -> PhaseCurrents:
    """Return what flows above a circuit's rating once everybody who listens is paused. [A]"""
    left = state.building
    for draw in on_it:
        left = left + _least(snapshot, draw, memory)
    return left - state.circuit.limit_a


def _least(snapshot: Snapshot, draw: Draw, memory: Memory) -> PhaseCurrents:
    """Return what an EVSE draws at the smallest limit that it keeps to. [A]"""
    station = snapshot.stations.get(draw.evse.station)
    is_governed = station is not None and station.connected and station.lease_mode in _GOVERNED
    if not is_governed or memory.evse(draw.evse.id).disobeys:
        return draw.committed
    if draw.floor_a <= 0.0:
        return ZERO
    return PhaseCurrents.on(draw.phases, draw.floor_a).lowest(draw.committed)


def _relieves(draw: Draw, excess: PhaseCurrents) -> bool:
    """Tell whether it draws on a phase that carries too much."""
    return any(excess.of(p) > EXCESS_A and draw.committed.of(p) > 0.0 for p in PHASES)


def stop_asked(memory: EvseMemory, now_s: float) -> EvseMemory:
    """Return what is remembered once the session of an EVSE is asked to end."""
    return replace(memory, stop_asked_s=now_s)


def with_stop_over(memory: EvseMemory, view: EvseView) -> EvseMemory:
    """Forget a stop once the vehicle has left."""
    is_over = view.transaction is None and view.state is EvseState.AVAILABLE
    return replace(memory, stop_asked_s=None) if is_over else memory
