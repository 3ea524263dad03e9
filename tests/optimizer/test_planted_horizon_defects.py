"""Mistakes planted in one stage of the horizon program at a time: that stage's own test finds each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy
import pytest

from optimizer import horizon
from optimizer.arrays import Floats, Ints
from optimizer.horizon import HorizonError, HorizonLp
from optimizer.horizon_problem import HorizonLoad, HorizonNode, HorizonPlan, HorizonProblem
from optimizer.phases import PHASES, Phase
from optimizer.solver import KeptProgram
from tests.optimizer.test_horizon import SLOTS, a_load, a_node, a_problem

Stage = Callable[[HorizonProblem], HorizonPlan]
L1, L2 = Phase.L1, Phase.L2


def right(problem: HorizonProblem) -> HorizonPlan:
    return HorizonLp().plan(problem, deadline_s=10)


def is_near(values: Any, expected: Any) -> bool:
    return bool(numpy.allclose(values, expected, atol=1e-6))


# --- one test per stage: true for the right stage --------------------------------------------------


def limits_are_right(stage: Stage) -> bool:
    """Main L1 holds a, hall L2 holds b although main has more."""
    available = numpy.array([[4.4] * SLOTS, [10.0] * SLOTS, [10.0] * SLOTS])
    main = replace(a_node(), available_ah=available)
    a = a_load("a", phases=(L1,), need_ah=99)
    b = a_load("b", node="hall", phases=(L2,), need_ah=99)
    c = a_load("c", node="hall", phases=(L1,), need_ah=99, worth=0.5)
    charge = stage(a_problem(main, a_node("hall", parent="main", ah=3), a, b, c)).charge_ah
    return is_near(charge["a"], 4.4) and is_near(charge["b"], 3) and is_near(charge["c"], 0)


def needs_are_right(stage: Stage) -> bool:
    return is_near(stage(a_problem(a_node(), a_load(need_ah=13.5))).charge_ah["a"].sum(), 13.5)


def worths_are_right(stage: Stage) -> bool:
    load = replace(a_load(need_ah=20.0), worth=numpy.array([0.2, 0.9, 0.9, 0.2]))
    return is_near(stage(a_problem(a_node(), load)).charge_ah["a"], [0, 10, 10, 0])


def first_parts_are_right(stage: Stage) -> bool:
    rich, poor = a_load("rich", worth=1.5, need_ah=40), a_load("poor", first_ah=5.0, need_ah=40)
    return is_near(stage(a_problem(a_node(), rich, poor)).charge_ah["poor"].sum(), 5)


def changes_are_right(stage: Stage) -> bool:
    one = a_load("one", worth=1.01, change=0.5)
    other = a_load("other", held_ah=10.0, change=0.5)
    return is_near(stage(a_problem(a_node(), one, other)).charge_ah["other"][0], 10)


def totals_are_right(stage: Stage) -> bool:
    load = a_load(phases=PHASES, need_ah=99)
    return is_near(stage(a_problem(a_node(total_ah=12.0), load)).charge_ah["a"], 4)


def excess_is_right(stage: Stage) -> bool:
    node = replace(a_node(total_ah=4.0), excess_cost=numpy.array([5.0, 5.0, 0.1, 5.0]))
    return is_near(stage(a_problem(node, a_load(need_ah=99))).excess_ah["main"], [0, 0, 6, 0])


def prices_are_right(stage: Stage) -> bool:
    nodes = a_node(ah=100), a_node("hall", parent="main", ah=3)
    price = stage(a_problem(*nodes, a_load(node="hall"))).price
    return is_near(price["main"], 0) and bool(price["hall"][0].min() > 0.5)


TESTS: dict[str, Callable[[Stage], bool]] = {
    "limits": limits_are_right,
    "needs": needs_are_right,
    "worths": worths_are_right,
    "first parts": first_parts_are_right,
    "changes": changes_are_right,
    "totals": totals_are_right,
    "excess": excess_is_right,
    "prices": prices_are_right,
}


@pytest.mark.parametrize("stage", sorted(TESTS))
def test_the_right_stage_passes(stage: str) -> None:
    assert TESTS[stage](right)


# --- the defects ------------------------------------------------------------------------------------


def with_nodes(change: Callable[[HorizonNode], HorizonNode]) -> Stage:
    return lambda p: right(replace(p, nodes=tuple(map(change, p.nodes))))


def with_loads(change: Callable[[HorizonLoad], HorizonLoad]) -> Stage:
    return lambda p: right(replace(p, loads=tuple(map(change, p.loads))))


def with_part(owner: Any, name: str, broken: Any) -> Stage:
    """Run with one part of the program replaced."""

    def stage(problem: HorizonProblem) -> HorizonPlan:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, broken)
            return right(problem)

    return stage


def afterwards(change: Callable[[HorizonPlan], HorizonPlan]) -> Stage:
    return lambda p: change(right(p))


ROWS_OF, COSTS, FIX = horizon._limits, KeptProgram.cost_columns, horizon._Model._fix_rows


def without_l1(problem: HorizonProblem) -> list[tuple[int, int, list[int]]]:
    return [row for row in ROWS_OF(problem) if PHASES[row[1]] is not L1]


def turned_costs(program: KeptProgram, columns: Ints, costs: Floats) -> None:
    COSTS(program, columns, -costs)


def turned_held(model: Any, index: Ints, at: Floats) -> None:
    FIX(model, index, -at)


def per_phase(node: HorizonNode) -> HorizonNode:
    """The total counts for each phase alone."""
    total_ah = node.total_ah
    return node if total_ah is None else replace(node, total_ah=3 * total_ah)


def rounded(how: Callable[[Any], Any]) -> Stage:
    return afterwards(
        lambda plan: replace(plan, charge_ah={k: how(v) for k, v in plan.charge_ah.items()})
    )


DEFECTS: dict[str, tuple[str, Stage]] = {
    "limits: a phase dropped": ("limits", with_part(horizon, "_limits", without_l1)),
    "limits: ancestors forgotten": ("limits", with_nodes(lambda n: replace(n, parent=None))),
    "limits: rounded up": ("limits", rounded(numpy.ceil)),
    "limits: rounded to the nearest": ("limits", rounded(numpy.round)),
    "needs: skipped": ("needs", with_loads(lambda x: replace(x, need_ah=1e4))),
    "needs: rounded up": ("needs", rounded(numpy.ceil)),
    "worths: a sign error": ("worths", with_part(KeptProgram, "cost_columns", turned_costs)),
    "worths: skipped": ("worths", with_loads(lambda x: replace(x, worth=numpy.ones(SLOTS)))),
    "first parts: skipped": (
        "first parts",
        with_loads(lambda x: replace(x, first_worth_per_ah=0.0)),
    ),
    "changes: skipped": ("changes", with_loads(lambda x: replace(x, change_cost_per_ah=0.0))),
    "changes: a sign error": ("changes", with_part(horizon._Model, "_fix_rows", turned_held)),
    "totals: skipped": ("totals", with_nodes(lambda n: replace(n, total_ah=None))),
    "totals: for each phase": ("totals", with_nodes(per_phase)),
    "excess: never allowed": ("excess", with_nodes(lambda n: replace(n, excess_cost=None))),
    "excess: a sign error": ("excess", with_part(KeptProgram, "cost_columns", turned_costs)),
    "prices: a sign error": (
        "prices",
        afterwards(lambda x: replace(x, price={k: -v for k, v in x.price.items()})),
    ),
    "prices: of the parent": (
        "prices",
        afterwards(lambda x: replace(x, price=dict.fromkeys(x.price, x.price["main"]))),
    ),
}


@pytest.mark.parametrize("defect", sorted(DEFECTS))
def test_the_stages_own_test_finds_it(defect: str) -> None:
    stage, broken = DEFECTS[defect]
    assert not _passes(TESTS[stage], broken)


def _passes(is_right: Callable[[Stage], bool], stage: Stage) -> bool:
    """Tell whether a stage passes its test; refusing to answer is failing."""
    try:
        return is_right(stage)
    except HorizonError:
        return False
