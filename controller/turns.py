"""Whose turn it is when not everybody can charge at once, and what each was given so far.

Who wants current stands in one line. A place in it begins when a vehicle wants current and ends with
a full turn of `min_on_s`: who was started keeps the place while the turn lasts, so that nobody behind
can push it out; who is paused after a full turn lines up again at the end. A vehicle that fits beside
those ahead of it may overtake, and gives way again when the one it overtook fits.

Priority goes before the line, and so does a vehicle that would otherwise miss its departure. But who
has stood in line for `max_wait_s` goes before everybody who has not. Therefore the wait is bounded:

    wait <= max_wait_s + n x (min_on_s + delay)

where n is the number of other vehicles that are in line when it gets there and share a full circuit
with it, and `delay` is what handing over takes (a decrease confirmed and settled, then an increase).
With equal priorities and no departures near, `max_wait_s` counts as 0. It holds for a vehicle that
wants current all the time and whose minimum alone fits on every circuit of its way.

The account says what a vehicle was given beyond an equal share: who has most gives way first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import NamedTuple

from controller.draw import Draw
from controller.memory import EvseMemory, Memory, Turn
from controller.operator import EvseOverride
from controller.policy import Policy
from controller.site import EvseId
from controller.snapshot import Snapshot
from controller.station import EvseState
from controller.values import replace
from controller.wishes import priority_with

BOOK_S = 30.0
"""The account is booked so often. [s]"""
LONGEST_BOOKED_S = 120.0
"""A longer gap was a stop, and nobody knows what flowed. [s]"""
RELAXED_S = 2 * 3600.0
"""A vehicle with so much time to spare gives way before those without a known departure. [s]"""


class Class(IntEnum):
    """What comes first within one priority."""

    URGENT = 0
    """Would miss its departure if it sat out another turn."""
    IN_LINE = 1
    """Waits, or is in its turn."""
    AFTER_TURN = 2
    """Has had its turn and goes on as long as nobody waits."""
    RESTING = 3
    """Was paused just now (`min_off_s`)."""
    SATISFIED = 4
    """Has the energy that was asked for."""
    FINISHED = 5
    """Takes nothing."""


class Place(NamedTuple):
    """Where an EVSE stands: compared field by field, the lowest is served first."""

    is_on_time: bool
    """False: has stood in line for `max_wait_s`."""
    priority: int
    """Negated: the highest comes first."""
    kind: Class
    within_factor: float
    """Order within the class: slack of the urgent, start in line, ampere-hours after the turn."""


def ranks(
    snapshot: Snapshot,
    draws: Mapping[EvseId, Draw],
    memory: Memory,
    policy: Policy,
    wishes: Callable[[EvseId], EvseOverride],
) -> dict[EvseId, int]:
    """Order the EVSEs with a vehicle for admission. Overdue ones have ranks below 0."""
    line = sorted(
        (
            place_of(
                draw,
                memory.evse(evse),
                memory.turn(evse),
                override=wishes(evse),
                snapshot=snapshot,
                policy=policy,
            ),
            evse,
        )
        for evse, draw in draws.items()
        if draw.is_charging
    )
    overdue = sum(not place.is_on_time for place, _ in line)
    return {evse: rank - overdue for rank, (_, evse) in enumerate(line)}


def place_of(
    draw: Draw,
    memory: EvseMemory,
    turn: Turn,
    *,
    override: EvseOverride,
    snapshot: Snapshot,
    policy: Policy,
) -> Place:
    """Return where an EVSE with a vehicle stands."""
    now_s = snapshot.now_s
    since_s = turn.in_line_s if turn.in_line_s is not None else now_s
    slack_s = slack_of(draw, override, snapshot)
    kind = _class_of(draw, memory, override, slack_s, now_s=now_s, policy=policy)
    within = 0.0
    if kind is Class.URGENT and slack_s is not None:
        within = slack_s
    elif kind in (Class.IN_LINE, Class.RESTING):
        within = since_s
    elif kind is Class.AFTER_TURN:
        is_relaxed = slack_s is not None and slack_s > RELAXED_S
        within = turn.surplus_ah + (1e6 if is_relaxed else 0.0)
    is_in_line = kind <= Class.IN_LINE and not _has_had_turn(memory, now_s, policy)
    waits_in_line = is_in_line and not draw.evse.is_load  # a load gives way however long it takes
    has_waited_long = waits_in_line and now_s - since_s >= policy.max_wait_s
    return Place(
        is_on_time=not has_waited_long,
        priority=0 if has_waited_long else -priority_with(draw.evse, override, draw.view),
        kind=Class.IN_LINE if has_waited_long else kind,
        within_factor=since_s if has_waited_long else within,
    )


def _class_of(
    draw: Draw,
    memory: EvseMemory,
    override: EvseOverride,
    slack_s: float | None,
    *,
    now_s: float,
    policy: Policy,
) -> Class:
    if draw.view.state is EvseState.SUSPENDED_EV and memory.demand_a is not None:
        return Class.FINISHED
    if _missing_wh(draw, override) == 0:
        return Class.SATISFIED
    waiting_s = memory.waiting_since_s
    if memory.ran_before and waiting_s is not None and now_s - waiting_s < policy.min_off_s:
        return Class.RESTING
    if slack_s is not None and slack_s < 2 * policy.min_on_s:
        return Class.URGENT
    return Class.AFTER_TURN if _has_had_turn(memory, now_s, policy) else Class.IN_LINE


def _has_had_turn(memory: EvseMemory, now_s: float, policy: Policy) -> bool:
    """Tell whether it has been running for a full turn."""
    running_s = memory.running_since_s
    return running_s is not None and now_s - running_s >= policy.min_on_s


def slack_of(draw: Draw, override: EvseOverride, snapshot: Snapshot) -> float | None:
    """Return how long it could still wait and leave with what it needs; None: not known. [s]

    Below 0 it will not make it. A departure in the past asks for nothing more.
    """
    if override.departure_at is None:
        return None
    missing_wh = _missing_wh(draw, override)
    if missing_wh is None:
        return None
    stays_s = (override.departure_at - snapshot.at).total_seconds()
    if stays_s <= 0:
        return None
    power_w = draw.evse.max_a * len(draw.phases) * snapshot.site.voltage_v
    return stays_s - missing_wh / power_w * 3600.0 if power_w > 0 else None


def _missing_wh(draw: Draw, override: EvseOverride) -> float | None:
    """Return what is missing of the energy asked for; None: nothing was asked. [Wh]"""
    if override.energy_need_wh is None:
        return None
    transaction = draw.view.transaction
    had_wh = transaction.energy_wh if transaction is not None else None
    return max(0.0, override.energy_need_wh - (had_wh or 0.0))


# --- what is remembered -----------------------------------------------------------------------------


def advanced(
    memory: Memory, evses: Mapping[EvseId, EvseMemory], *, now_s: float, policy: Policy
) -> tuple[Mapping[EvseId, Turn], float | None]:
    """Carry the line and the account on.

    Args:
        memory: What the decision before left, its turns included.
        evses: What is remembered after this decision.
        now_s: Now. [s]
        policy: Times.

    Returns:
        The turns of all EVSEs with a transaction, and when the account was booked last. [s]
    """
    turns: dict[EvseId, Turn] = {}
    for evse, after in evses.items():
        if after.transaction is None:
            continue
        turn, before = memory.turn(evse), memory.evse(evse)
        if before is after and turn.transaction == after.transaction:
            turns[evse] = turn  # it still runs, or did not run before either
            continue
        if turn.transaction != after.transaction:
            turn = Turn(transaction=after.transaction, in_line_s=now_s)
        elif _has_ended(before, after, now_s, policy):
            turn = replace(turn, in_line_s=now_s)
        turns[evse] = turn
    booked_s = memory.booked_s
    if booked_s is None or now_s - booked_s >= BOOK_S:
        length_s = min(now_s - booked_s, LONGEST_BOOKED_S) if booked_s is not None else 0.0
        return _booked(turns, evses, length_s), now_s
    return turns, booked_s


def _has_ended(before: EvseMemory, after: EvseMemory, now_s: float, policy: Policy) -> bool:
    """Tell whether a full turn has just ended."""
    return after.running_since_s is None and _has_had_turn(before, now_s, policy)


def _booked(
    turns: Mapping[EvseId, Turn], evses: Mapping[EvseId, EvseMemory], length_s: float
) -> dict[EvseId, Turn]:
    """Add what each was given beyond the mean of all that have a vehicle. [Ah]"""
    if not turns:
        return {}
    mean_a = sum(evses[evse].setpoint_a for evse in turns) / len(turns)
    return {
        evse: replace(
            turn,
            surplus_ah=turn.surplus_ah + (evses[evse].setpoint_a - mean_a) * length_s / 3600.0,
        )
        for evse, turn in turns.items()
    }
