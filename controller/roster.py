"""Who is on now, and with how much: from the plan's wish to what chargers and drivers can live with.

A plan may give a vehicle 2 A; a charger knows 0 or at least 6 A. So vehicles take turns, and the
rules of the turns are promises to drivers: whoever waits gets a turn within a bounded time, whoever
is on stays on for a while, and nobody's limit moves without need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby
from math import ceil, floor

from controller.guidance import EvseGuidance
from controller.phases import Phase, PhaseCurrents
from controller.policy import Policy
from controller.site import CircuitId, EvseId
from controller.visit import Visit
from optimizer.steps import STEP_TOLERANCE, amperes

FIT_A = 1e-6
FIRST_TURN_H = 0.75
"""Nobody who stays for an hour leaves with nothing. [h]"""

Row = tuple[CircuitId, Phase]
_Kind = tuple[int, tuple[Row, ...]]
"""Vehicles of which one makes as much room as another: priority, and those phases that lack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRules:
    """The promises."""

    first_turn_h: float = FIRST_TURN_H
    """Whoever has waited so long since arrival is served before those who are on. [h]"""
    turn_h: float = Policy().max_wait_s / 3600
    """The same after a pause: the one bound on waiting, `max_wait_s`. [h]"""
    min_on_h: float = 0.5
    """Whoever was started is not paused before. [h]"""
    band_a: float = 1.0
    """A limit moves only for a wish that differs by so much. [A]"""
    keeps_room: bool = True
    """Whether somebody whose turn has not come waits while others have not what the plan gives."""


def turns_within(max_wait_s: float) -> TurnRules:
    """Return the promises that keep the bound on waiting, so that plan and line cannot contradict."""
    turn_h = max_wait_s / 3600
    return TurnRules(first_turn_h=min(FIRST_TURN_H, turn_h), turn_h=turn_h)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What one circuit leaves for the vehicles below it."""

    parent: CircuitId | None
    available: PhaseCurrents
    """[A]"""


def roster(
    visits: Sequence[Visit],
    *,
    wish_a: Mapping[EvseId, float],
    rooms: Mapping[CircuitId, Room],
    rules: TurnRules,
) -> dict[EvseId, EvseGuidance]:
    """Decide who is on and with how much.

    Args:
        visits: The vehicles.
        wish_a: What the plan gives each of them now. [A]
        rooms: What the circuits leave.
        rules: The promises.

    Returns:
        For every visit its place in the order as `tier`, and as `target_a` what it shall have: 0,
        or a multiple of its step within its minimum and maximum; together they fit the rooms.
    """
    turns = {visit.evse: _turn(visit, wish_a, rules) for visit in visits}
    line = sorted(visits, key=lambda visit: turns[visit.evse])
    share = _Share(visits, rooms)
    order: list[Visit] = []
    on: list[Visit] = []
    for group, members in groupby(line, key=lambda visit: turns[visit.evse][0]):
        same = list(members)
        if group is _Group.ON:
            same = share.with_fewest_paused(same)
        order += same
        on += [v for v in same if _is_admitted(v, share, wish_a.get(v.evse, 0.0), rules)]
    _fill(share, on, wish_a, rules)
    return {
        visit.evse: EvseGuidance(
            target_a=share.given_a(visit), tier=tier, note=_note(visit, share.given_a(visit))
        )
        for tier, visit in enumerate(order)
    }


def filled_in_order(
    visits: Sequence[Visit], rooms: Mapping[CircuitId, Room]
) -> dict[EvseId, float]:
    """Fill up one vehicle after the other, in the order given. [A]"""
    share = _Share(visits, rooms)
    for visit in visits:
        if share.admit(visit, 0.0, must_leave_room=False):
            share.raise_to(visit, visit.max_a)
    return {visit.evse: share.given_a(visit) for visit in visits}


# --- who is on ------------------------------------------------------------------------------------


class _Group(IntEnum):
    """The order of turns."""

    JUST_STARTED = 0
    DUE = 1
    ON = 2
    WANTED = 3
    """Off, and the plan would have it on."""
    WAITING = 4


def _turn(
    visit: Visit, wish_a: Mapping[EvseId, float], rules: TurnRules
) -> tuple[_Group, int, float, EvseId]:
    """Order the vehicles by group, then by priority.

    Of those that are on, and of those that may start, the one that will soon be done comes first:
    it makes room for good. Of those that are due, the one that has waited longest.
    """
    group, key = _Group.WAITING, visit.need_ah
    if visit.is_on:
        group = _Group.JUST_STARTED if visit.ran_h < rules.min_on_h else _Group.ON
    elif visit.waited_h >= _due_h(visit, rules):
        group, key = _Group.DUE, _due_h(visit, rules) - visit.waited_h
    elif wish_a.get(visit.evse, 0.0) >= visit.min_a:
        group = _Group.WANTED
    return (group, -visit.priority, key, visit.evse)


def _due_h(visit: Visit, rules: TurnRules) -> float:
    return rules.first_turn_h if visit.pauses == 0 and visit.taken_ah <= 0 else rules.turn_h


def _is_admitted(visit: Visit, share: _Share, wish_a: float, rules: TurnRules) -> bool:
    """Give a vehicle its minimum if that fits."""
    is_waiting = not visit.is_on and visit.waited_h < _due_h(visit, rules)
    must_leave_room = rules.keeps_room and is_waiting and wish_a < visit.min_a
    return share.admit(visit, wish_a, must_leave_room=must_leave_room)


class _Share:
    """Who has how much, and what each circuit and phase has left."""

    def __init__(self, visits: Sequence[Visit], rooms: Mapping[CircuitId, Room]) -> None:
        self._left: dict[Row, float] = {
            (c, phase): room.available.of(phase) for c, room in rooms.items() for phase in Phase
        }
        self._promised = dict.fromkeys(self._left, 0.0)
        self._rows = {v.evse: _rows(v, rooms) for v in visits}
        self._least = {v.evse: (n := _least_steps(v), amperes(v.step_a, n)) for v in visits}
        self._count: dict[EvseId, int] = dict.fromkeys(self._rows, 0)

    def given_a(self, visit: Visit) -> float:
        """Return what it has. [A]"""
        return amperes(visit.step_a, self._count[visit.evse])

    def with_fewest_paused(self, on: Sequence[Visit]) -> list[Visit]:
        """Return those that are on, in their order, but behind the others those that give way.

        Circuits and phases differ: one vehicle on all three phases makes as much room as three
        vehicles on one phase each. So of the lowest priority the one gives way whose phases lack
        most, and of those alike the last in order.
        """
        lack = self._lack(on)
        if not lack:
            return list(on)
        kinds: dict[_Kind, list[int]] = {}
        for place, visit in enumerate(on):
            if lacking := tuple(row for row in self._rows[visit.evse] if row in lack):
                kinds.setdefault((-visit.priority, lacking), []).append(place)
        paused: set[int] = set()
        while lack and kinds:
            reliefs = {k: sum(lack.get(row, 0.0) for row in k[1]) for k in kinds}
            kind = max(kinds, key=lambda k: (reliefs[k] > 0, k[0], reliefs[k], kinds[k][-1]))
            if reliefs[kind] <= 0:
                break
            place = kinds[kind].pop()
            paused.add(place)
            if not kinds[kind]:
                del kinds[kind]
            _give_back(lack, kind[1], self._least[on[place].evse][1])
        kept = [visit for place, visit in enumerate(on) if place not in paused]
        return kept + [on[place] for place in sorted(paused)]

    def _lack(self, on: Sequence[Visit]) -> dict[Row, float]:
        """Return what is missing, and where, for all of them to have their minimum. [A]"""
        left = dict(self._left)
        for visit in on:
            least_a = self._least[visit.evse][1]
            for row in self._rows[visit.evse]:
                left[row] -= least_a
        return {row: -room_a for row, room_a in left.items() if room_a < -FIT_A}

    def admit(self, visit: Visit, wish_a: float, *, must_leave_room: bool) -> bool:
        """Give the minimum if it fits; `must_leave_room`: also beside what others are to get."""
        least, need_a = self._least[visit.evse]
        rows = self._rows[visit.evse]
        if need_a > visit.max_a + FIT_A or min(self._left[r] for r in rows) < need_a - FIT_A:
            return False
        if must_leave_room and min(self._left[r] - self._promised[r] for r in rows) < need_a:
            return False
        self._count[visit.evse] = least
        for row in rows:
            self._left[row] -= need_a
            self._promised[row] += max(0.0, min(wish_a, visit.max_a) - need_a)
        return True

    def raise_to(self, visit: Visit, goal_a: float) -> None:
        """Give as many steps towards the goal as fit."""
        room_a = min(self._left[row] for row in self._rows[visit.evse])
        goal = _steps(min(goal_a, visit.max_a), visit.step_a)
        steps = min(goal - self._count[visit.evse], _steps(max(0.0, room_a), visit.step_a))
        if steps <= 0:
            return
        self._count[visit.evse] += steps
        for row in self._rows[visit.evse]:
            self._left[row] -= amperes(visit.step_a, steps)


def _give_back(lack: dict[Row, float], rows: Sequence[Row], current_a: float) -> None:
    for row in rows:
        if row in lack:
            lack[row] -= current_a
            if lack[row] <= FIT_A:
                del lack[row]


def _least_steps(visit: Visit) -> int:
    return ceil(visit.min_a / visit.step_a - STEP_TOLERANCE)


def _steps(current_a: float, step_a: float) -> int:
    return floor(current_a / step_a + STEP_TOLERANCE)


def _rows(visit: Visit, rooms: Mapping[CircuitId, Room]) -> tuple[Row, ...]:
    rows: list[Row] = []
    at: CircuitId | None = visit.circuit
    while at is not None:
        rows += [(at, phase) for phase in visit.phases]
        at = rooms[at].parent
    return tuple(rows)


# --- with how much --------------------------------------------------------------------------------


def _fill(
    share: _Share, on: Sequence[Visit], wish_a: Mapping[EvseId, float], rules: TurnRules
) -> None:
    """Give what the plan wishes, then what is left; each first to those who only keep what they hold."""
    urgent = sorted(on, key=lambda visit: (visit.laxity_h, visit.evse))
    goal_a = {v.evse: _goal_a(v, wish_a.get(v.evse, 0.0), rules) for v in on}
    rounds: tuple[Callable[[Visit], float], ...] = (
        lambda v: min(goal_a[v.evse], v.held_a),
        lambda v: goal_a[v.evse],
        lambda v: min(v.held_a, v.max_a),
        lambda v: v.max_a,
    )
    for goal_of in rounds:
        for visit in urgent:
            share.raise_to(visit, goal_of(visit))


def _goal_a(visit: Visit, wish_a: float, rules: TurnRules) -> float:
    """Return the wish, or what it holds if that is near. [A]"""
    if visit.is_on and abs(wish_a - visit.held_a) < rules.band_a:
        return visit.held_a
    return wish_a + visit.step_a * (0.5 - STEP_TOLERANCE)


def _note(visit: Visit, given_a: float) -> str:
    if given_a <= 0:
        return "waits for its turn"
    return "its turn" if not visit.is_on else "goes on"
