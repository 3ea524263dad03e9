"""Whose session is ended: its station does not keep to its limit, and no other vehicle can make room.

Limits are all that is needed as long as stations keep to them. Where one does not, what it draws is
reserved and the others are reduced; once all of them are paused and the circuit still carries more than
its rating, only opening a contactor is left (facts/faults.md, row "accepts, ignores").

Unlike a limit, a stop cannot be taken back: only what was measured counts here, never an assumed worst
case, and only what lasts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from controller.assess import Assessment, CircuitState
from controller.commands import Stop
from controller.decision import SiteMode
from controller.draw import Draw
from controller.memory import EvseMemory, Memory
from controller.phases import PHASES, ZERO, PhaseCurrents
from controller.policy import Policy
from controller.site import CircuitId, EvseId, Site
from controller.snapshot import Snapshot
from controller.station import EvseState, EvseView, LeaseMode
from controller.values import replace

AGAIN_S = 15.0
"""A stop that has shown no effect is asked for again after so long; others are tried first. [s]"""
LASTS_S = 5.0
"""So long a meter must show too much: a motor that starts ends nobody's session. [s]"""
EXCESS_A = 0.5
"""Less above a rating is within what is measured. [A]"""
_METERED = frozenset({SiteMode.NORMAL, SiteMode.HOLD})
_GOVERNED = frozenset({LeaseMode.LEASED, LeaseMode.PERMANENT})
_GONE = frozenset({EvseState.AVAILABLE, EvseState.RESERVED, EvseState.UNAVAILABLE})


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

    Only stations that were proven to disobey and still do are stopped: first those that were not asked
    before, of them the one that draws most, and no more than needed. One that was just asked counts as
    gone until `AGAIN_S` has passed.
    """
    if not policy.stop_disobedient:
        return ()
    suspects = {e for e, d in draws.items() if _is_suspect(d, memory.evse(e))}
    if not suspects:
        return ()
    now_s = snapshot.now_s
    gone = {e for e in draws if _is_asked(memory.evse(e), now_s)}
    stops: list[Stop] = []
    for circuit in _innermost_first(snapshot.site, assessment):
        on_it = [draws[e] for e in below[circuit]]
        excess = _excess(snapshot, assessment.circuits[circuit], on_it, memory, gone)
        culprits = [d for d in on_it if d.evse.id in suspects and d.evse.id not in gone]
        for draw in sorted(culprits, key=lambda d: _order(d, memory)):
            transaction = draw.view.transaction
            if transaction is None or not _relieves(draw, excess):
                continue
            excess = excess - _flowing(draw)
            gone.add(draw.evse.id)
            stops.append(Stop(evse=draw.evse.id, transaction=transaction.id))
    return tuple(stops)


def _is_suspect(draw: Draw, memory: EvseMemory) -> bool:
    is_astray = memory.disobeys and memory.over_since_s is not None
    return is_astray and draw.connected and draw.is_charging and not draw.evse.is_load


def _is_asked(memory: EvseMemory, now_s: float) -> bool:
    asked_s = memory.stop_asked_s
    return asked_s is not None and now_s - asked_s < AGAIN_S


def _order(draw: Draw, memory: Memory) -> tuple[bool, float, EvseId]:
    was_asked = memory.evse(draw.evse.id).stop_asked_s is not None
    return was_asked, -_flowing(draw).largest_a, draw.evse.id


def _innermost_first(site: Site, assessment: Assessment) -> Iterable[CircuitId]:
    """Return the circuits, those farthest from the grid first: who is stopped there helps all above."""
    return sorted(assessment.circuits, key=lambda c: -len(tuple(site.path_to_root(c))))


def _excess(
    snapshot: Snapshot,
    state: CircuitState,
    on_it: list[Draw],
    memory: Memory,
    gone: set[EvseId],
) -> PhaseCurrents:
    """Return what flows above a circuit's rating once everybody who listens is paused. [A]

    Beside a meter all that may still be given back is taken off what it shows. Without one the vehicles
    that do not listen count with what they draw, and the building, which nobody sees, with nothing.
    """
    rating = state.circuit.limit_a
    if state.measured is None or state.mode not in _METERED:
        left = ZERO
        for draw in on_it:
            if draw.evse.id not in gone:
                left = left + _left(snapshot, draw, memory)
        return left - rating
    since_s = state.memory.over_since_s
    if since_s is None or snapshot.now_s - since_s < LASTS_S:
        return ZERO
    left = state.measured
    for draw in on_it:
        if draw.evse.id in gone:
            left = left - draw.committed
        elif _listens(snapshot, draw, memory):
            left = left - (draw.committed - _least(draw))
    return left - rating


def _left(snapshot: Snapshot, draw: Draw, memory: Memory) -> PhaseCurrents:
    """Return what an EVSE surely goes on drawing. [A]"""
    if _listens(snapshot, draw, memory):
        return _least(draw)
    return draw.measured if draw.measured is not None else ZERO


def _listens(snapshot: Snapshot, draw: Draw, memory: Memory) -> bool:
    """Tell whether an EVSE follows a lower limit; one seen above its limit, proven or not, does not."""
    station = snapshot.stations.get(draw.evse.station)
    is_governed = station is not None and station.connected and station.lease_mode in _GOVERNED
    return is_governed and memory.evse(draw.evse.id).over_since_s is None


def _least(draw: Draw) -> PhaseCurrents:
    """Return what an EVSE draws at the smallest limit that it keeps to. [A]"""
    if draw.floor_a <= 0.0:
        return ZERO
    return PhaseCurrents.on(draw.phases, draw.floor_a).lowest(draw.committed)


def _flowing(draw: Draw) -> PhaseCurrents:
    return draw.measured if draw.measured is not None else draw.committed


def _relieves(draw: Draw, excess: PhaseCurrents) -> bool:
    """Tell whether it draws on a phase that carries too much."""
    flowing = _flowing(draw)
    return any(excess.of(p) > EXCESS_A and flowing.of(p) > EXCESS_A for p in PHASES)


# --- what is remembered -----------------------------------------------------------------------------


def stop_asked(memory: EvseMemory, now_s: float) -> EvseMemory:
    """Return what is remembered once the session of an EVSE is asked to end."""
    return replace(memory, stop_asked_s=now_s)


def carried_over(before: EvseMemory, after: EvseMemory) -> EvseMemory:
    """Carry a stop into what follows it: the same vehicle may start anew at the same station."""
    if before.stop_asked_s is None:
        return after
    is_anew = after.transaction is not None
    return replace(after, stop_asked_s=before.stop_asked_s, disobeys=is_anew)


def with_stop_over(memory: EvseMemory, view: EvseView) -> EvseMemory:
    """Forget a stop once the vehicle has left, or its station obeys again."""
    if memory.stop_asked_s is None:
        return memory
    is_over = view.state in _GONE if view.transaction is None else not memory.disobeys
    return replace(memory, stop_asked_s=None) if is_over else memory
