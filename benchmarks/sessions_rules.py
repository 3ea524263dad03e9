"""The rules that `benchmarks/sessions.py` compares: the product's, and the classic ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

import numpy

from benchmarks.sessions_world import STEP_H, World
from controller.guidance import Guidance, guided
from controller.outlook import Place, Terms, horizon_problem
from controller.phases import PHASES, Phase, PhaseCurrents, PhaseSet
from controller.roster import Room, TurnRules, roster
from controller.site import CircuitId, EvseId
from controller.timegrid import grid_from
from controller.visit import Visit
from optimizer.allocate import Allocator
from optimizer.horizon import HorizonLp
from optimizer.horizon_problem import HorizonNode
from optimizer.problem import Load, Method, Node, Problem

MAIN = CircuitId("main")
LEAST_STAY_H = 0.5
"""A vehicle that is still there after the time it said is expected to stay so long. [h]"""
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class Vehicle:
    """A vehicle during its stay."""

    index: int
    station: str
    begin: int
    end: int
    leaves: float
    """Step at which it is expected to leave."""
    phases: PhaseSet
    volts: float
    min_a: float
    most_a: float
    step_a: float
    need_ah: float
    taken_ah: float = 0.0
    held_a: float = 0.0
    ran_h: float = 0.0
    waited_h: float = 0.0
    pauses: int = 0
    evse: EvseId = field(default=EvseId(""))

    @property
    def useful_a(self) -> float:
        """What it can use within a step: the product learns of a full vehicle in seconds. [A]"""
        useful = numpy.ceil(self.need_ah / STEP_H / self.step_a - 1e-6) * self.step_a
        return float(max(self.min_a, min(self.most_a, useful)))

    def take(self, current_a: float) -> None:
        """Charge for one step."""
        self.pauses += self.held_a > 0 and current_a == 0
        self.held_a = current_a
        charge_ah = min(self.need_ah, current_a * STEP_H)
        self.need_ah -= charge_ah
        self.taken_ah += charge_ah
        self.waited_h = self.waited_h + STEP_H if current_a == 0 else 0.0
        self.ran_h = self.ran_h + STEP_H if current_a > 0 else 0.0

    def visit(self, step: int) -> Visit:
        """Return what the planner is told."""
        return Visit(
            evse=self.evse,
            circuit=MAIN,
            phases=self.phases,
            min_a=self.min_a,
            max_a=self.useful_a,
            step_a=self.step_a,
            stay_h=max((self.leaves - step) * STEP_H, LEAST_STAY_H),
            need_ah=self.need_ah,
            taken_ah=self.taken_ah,
            held_a=self.held_a,
            ran_h=self.ran_h,
            waited_h=self.waited_h,
            pauses=self.pauses,
        )


class Rule(Protocol):
    """Answers step after step."""

    def currents_a(self, step: int, present: Sequence[Vehicle]) -> dict[int, float]:
        """Return the current of every vehicle, by its index. [A]"""


class Ours:
    """The product: planner, roster, guidance, allocator."""

    def __init__(self, on: World, *, terms: Terms, turns: TurnRules) -> None:
        self._line_a = on.line_a
        self._terms = terms
        self._turns = turns
        self._lp = HorizonLp()
        self._allocator = Allocator()
        self._places: dict[EvseId, Place] = {}
        self._free: dict[PhaseSet, list[EvseId]] = {}
        self._seated: dict[int, EvseId] = {}

    def currents_a(self, step: int, present: Sequence[Vehicle]) -> dict[int, float]:
        """Plan, decide whose turn it is, and allocate. [A]"""
        self._seat(present)
        visits = {v.evse: v.visit(step) for v in present}
        line = PhaseCurrents.balanced(self._line_a)
        guidance = Guidance(
            evses=roster(
                list(visits.values()),
                wish_a=self._wishes_a(step, visits),
                rooms={MAIN: Room(parent=None, available=line)},
                rules=self._turns,
            )
        )
        problem = guided(_problem(present, line, self._turns), guidance)
        answer = self._allocator.allocate(problem, deadline_s=10.0)
        assert answer.method is Method.LP, answer.note
        return {v.index: answer.current_a[v.evse] for v in present}

    def _wishes_a(self, step: int, visits: dict[EvseId, Visit]) -> dict[EvseId, float]:
        grid = grid_from(BEGIN + timedelta(hours=step * STEP_H))
        node = HorizonNode(
            id=MAIN, parent=None, available_ah=numpy.tile(self._line_a * grid.length_h, (3, 1))
        )
        program = horizon_problem(
            grid,
            nodes=(node,),
            places=self._places.values(),
            visits=visits,
            terms=self._terms,
        )
        plan = self._lp.plan(program, deadline_s=10.0)
        return {e: float(plan.charge_ah[e][0] / grid.length_h[0]) for e in visits}

    def _seat(self, present: Sequence[Vehicle]) -> None:
        """Give every vehicle a place of its wiring, so that the program stays the same."""
        here = {v.index for v in present}
        for index in [i for i in self._seated if i not in here]:
            place = self._places[self._seated.pop(index)]
            self._free.setdefault(place.phases, []).append(place.evse)
        for vehicle in present:
            if vehicle.index in self._seated:
                continue
            free = self._free.setdefault(vehicle.phases, [])
            if not free:
                evse = EvseId(f"place-{len(self._places):04d}")
                self._places[evse] = Place(evse=evse, circuit=MAIN, phases=vehicle.phases)
                free.append(evse)
            vehicle.evse = self._seated[vehicle.index] = free.pop()


def _problem(present: Sequence[Vehicle], line: PhaseCurrents, turns: TurnRules) -> Problem:
    ranks = _ranks(present, turns)
    return Problem(
        nodes=(Node(id=MAIN, parent=None, available=line),),
        loads=tuple(
            Load(
                id=v.evse,
                node=MAIN,
                phases=v.phases,
                min_a=v.min_a,
                max_a=v.useful_a,
                step_a=v.step_a,
                rank=ranks[v.index],
                current_a=v.held_a,
            )
            for v in present
        ),
    )


def _ranks(present: Sequence[Vehicle], turns: TurnRules) -> dict[int, int]:
    """Order the vehicles as the product's line does: below 0 who has waited as long as anybody may."""
    ordered = sorted(present, key=lambda v: (-v.waited_h, v.begin, v.index))
    overdue = sum(v.waited_h >= turns.turn_h - 1e-9 for v in present)
    return {v.index: place - overdue for place, v in enumerate(ordered)}


class Greedy:
    """One vehicle after the other gets all it can use."""

    def __init__(self, on: World, key: Callable[[Vehicle, int], float]) -> None:
        self._line_a = on.line_a
        self._key = key

    def currents_a(self, step: int, present: Sequence[Vehicle]) -> dict[int, float]:
        """Serve by the key, lowest first. [A]"""
        left = dict.fromkeys(PHASES, self._line_a)
        currents: dict[int, float] = {}
        for vehicle in sorted(present, key=lambda v: (self._key(v, step), v.index)):
            room_a = min(left[phase] for phase in vehicle.phases)
            current_a = _floored(min(vehicle.useful_a, room_a), vehicle)
            currents[vehicle.index] = current_a
            for phase in vehicle.phases:
                left[phase] -= current_a
        return currents


class Equal:
    """Everybody gets the same, and who cannot use so little gets nothing."""

    def __init__(self, on: World) -> None:
        self._line_a = on.line_a

    def currents_a(self, step: int, present: Sequence[Vehicle]) -> dict[int, float]:
        """Raise all together until a line is full; those below go on rising. [A]"""
        left: dict[Phase, float] = dict.fromkeys(PHASES, self._line_a)
        share = dict.fromkeys((v.index for v in present), 0.0)
        rising = list(present)
        while rising:
            counts = {p: sum(p in v.phases for v in rising) for p in PHASES}
            rise_a = min(
                *(left[p] / counts[p] for p in PHASES if counts[p]),
                *(v.useful_a - share[v.index] for v in rising),
                1e9,
            )
            for vehicle in rising:
                share[vehicle.index] += rise_a
            for phase in PHASES:
                left[phase] -= rise_a * counts[phase]
            full = {p for p in PHASES if left[p] <= 1e-9}
            rising = [
                v for v in rising if v.useful_a - share[v.index] > 1e-9 and not full & set(v.phases)
            ]
        return {v.index: _floored(share[v.index], v) for v in present}


def _floored(current_a: float, vehicle: Vehicle) -> float:
    steps = numpy.floor(current_a / vehicle.step_a + 1e-9)
    floored_a = float(steps * vehicle.step_a)
    return floored_a if floored_a >= max(vehicle.min_a, 1e-9) else 0.0


def rule_named(name: str, on: World) -> Rule:
    """Return a rule, freshly started."""
    greedy: dict[str, Callable[[Vehicle, int], float]] = {
        "first_come": lambda v, _: float(v.begin),
        "deadline": lambda v, _: v.leaves,
        "laxity": lambda v, step: (v.leaves - step) * STEP_H - v.need_ah / v.most_a,
    }
    if name == "ours":
        return Ours(on, terms=Terms(), turns=TurnRules())
    return Equal(on) if name == "equal" else Greedy(on, greedy[name])
