"""The binding limit really binds: raise it and the load gets more."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from optimizer.counterfactual import Counterfactuals
from optimizer.phases import PhaseCurrents
from optimizer.problem import Budget, Problem
from tests.optimizer.sites import L1, L2, MANY, a_car, a_node, a_site, sites

GARAGE = a_site(
    a_node("main", a=40),
    a_node("garage-a", parent="main", a=(40, 15, 40)),
    a_car("a1", node="garage-a"),
    a_car("a2", node="garage-a"),
    a_car("b1", max_a=16),
)


def test_the_phase_that_holds_a_car_is_found_with_what_an_ampere_is_worth() -> None:
    held = Counterfactuals(GARAGE).held("a1")
    assert held is not None
    assert [row.name for row in held.rows] == ["garage-a,L2"]
    assert pytest.approx(0.5) == held.marginal_factor
    assert held.shared_with == ("a2",)


def test_a_car_at_its_maximum_is_held_by_nothing_else() -> None:
    assert Counterfactuals(GARAGE).held("b1") is None


def test_two_limits_that_hold_together_are_named_together() -> None:
    problem = a_site(
        a_node("main", a=10), a_node("garage-a", parent="main", a=10), a_car("a", node="garage-a")
    )
    held = Counterfactuals(problem).held("a")
    assert held is not None
    assert {row.node for row in held.rows} == {"main", "garage-a"}
    assert pytest.approx(1.0) == held.marginal_factor


def test_who_waits_learns_what_is_missing() -> None:
    problem = a_site(a_node(a=(10, 63, 63)), a_car("a"), a_car("b", rank=1))
    held = Counterfactuals(problem).held("b")
    assert held is not None
    assert [row.name for row in held.rows] == ["main,L1"]
    assert pytest.approx(2.0) == held.missing_a


def test_an_unbalance_limit_is_named_with_both_phases() -> None:
    node = replace(a_node(a=63), unbalance_a=20.0)
    held = Counterfactuals(a_site(node, a_car("a", phases=(L1,)), a_car("b", phases=(L2,)))).held(
        "a"
    )
    assert held is not None
    assert {row.name for row in held.rows} == {"main,L1-L3"}


def test_a_budget_is_named() -> None:
    budget = Budget(id="surplus", available_a=21, loads=frozenset({"a"}))
    problem = replace(a_site(a_node(a=63), a_car("a")), budgets=(budget,))
    held = Counterfactuals(problem).held("a")
    assert held is not None
    assert ([row.node for row in held.rows], pytest.approx(1 / 3)) == (
        ["surplus"],
        held.marginal_factor,
    )


def test_what_another_fuse_would_give() -> None:
    asked = Counterfactuals(GARAGE)
    more = asked.with_available("garage-a", PhaseCurrents.balanced(8))
    assert asked.gain_a("a1", more) == pytest.approx(4.0)


@settings(MANY, max_examples=150)
@given(sites(max_loads=6))
def test_raising_what_holds_a_load_by_one_ampere_gives_it_more(problem: Problem) -> None:
    asked = Counterfactuals(problem)
    for load in problem.loads:
        held = asked.held(load.id)
        if held is None or asked.share_a(load.id) == 0:
            continue
        rows = [i for i, row in enumerate(asked._tree.rows) if row in held.rows]
        assert asked.gain_a(load.id, asked.raised(rows, 1.0)) > 0


@settings(MANY, max_examples=150)
@given(sites(max_loads=6))
def test_who_is_held_by_nothing_is_at_its_maximum_or_cannot_start(problem: Problem) -> None:
    asked = Counterfactuals(problem)
    for load in problem.loads:
        if asked.held(load.id) is None:
            share_a = asked.share_a(load.id)
            assert share_a >= load.max_a - load.step_a or share_a == 0
