"""Unbalance limits, budgets and settling: what goes beyond summing up a tree."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.allocate import Allocator
from optimizer.check import check
from optimizer.filling import fill
from optimizer.lp import FairShareLp
from optimizer.phases import PHASES, PhaseCurrents
from optimizer.problem import (
    Allocation,
    Binding,
    BindingCause,
    Budget,
    Method,
    Node,
    Problem,
    ProblemError,
)
from optimizer.rounding import quantise
from optimizer.settling import settle
from tests.optimizer.sites import L1, L2, L3, MANY, a_car, a_node, a_site, posed, sites

FEW = settings(MANY, max_examples=120)


def lopsided(a: float, *, unbalance_a: float, flowing: tuple[float, ...] = (0, 0, 0)) -> Node:
    l1_a, l2_a, l3_a = flowing
    return replace(
        a_node(a=a),
        unbalance_a=unbalance_a,
        flowing=PhaseCurrents(l1_a=l1_a, l2_a=l2_a, l3_a=l3_a),
    )


def allocated(problem: Problem) -> Allocation:
    return Allocator().allocate(problem, deadline_s=5)


def test_one_single_phase_car_gets_no_more_than_the_unbalance() -> None:
    answer = allocated(a_site(lopsided(63, unbalance_a=20), a_car("a", phases=(L1,))))
    assert answer.current_a == {"a": 20.0}
    assert answer.binding["a"] == Binding(node="main", phase=L1, cause=BindingCause.UNBALANCE)


def test_cars_on_all_phases_give_room_to_one_another() -> None:
    cars = [a_car(x, phases=(phase,)) for x, phase in zip("abc", PHASES, strict=True)]
    answer = allocated(a_site(lopsided(63, unbalance_a=10), *cars))
    assert answer.current_a == {"a": 32.0, "b": 32.0, "c": 32.0}
    assert answer.method is Method.LP


def test_unequal_cars_share_the_unbalance_fairly() -> None:
    """L2 has one car of 8 A at most; two cars on L1 may have 8 + 10 A together, L3 has none."""
    cars = (a_car("a", phases=(L1,)), a_car("b", phases=(L1,)), a_car("c", phases=(L2,), max_a=8))
    answer = allocated(a_site(lopsided(63, unbalance_a=18), *cars))
    assert answer.current_a == {"a": 9.0, "b": 9.0, "c": 8.0}


def test_what_flows_already_counts() -> None:
    node = lopsided(63, unbalance_a=10, flowing=(15, 5, 5))
    cars = (a_car("a", phases=(L1,)), a_car("b", phases=(L2,)))
    assert allocated(a_site(node, *cars)).current_a["a"] == 0.0


def test_a_three_phase_car_is_not_held_by_unbalance() -> None:
    assert allocated(a_site(lopsided(63, unbalance_a=0), a_car("a"))).current_a == {"a": 32.0}


@st.composite
def lopsided_sites(draw: st.DrawFn) -> Problem:
    problem = draw(sites(max_loads=8))
    limit_a = st.sampled_from([None, 0.0, 5.0, 20.0])
    flow_a = st.sampled_from([0.0, 0.0, 3.5, 12.0])
    nodes = tuple(
        replace(
            node,
            unbalance_a=draw(limit_a),
            flowing=PhaseCurrents(l1_a=draw(flow_a), l2_a=draw(flow_a), l3_a=draw(flow_a)),
        )
        for node in problem.nodes
    )
    return replace(problem, nodes=nodes)


@FEW
@given(lopsided_sites())
def test_the_lp_keeps_every_unbalance_limit(problem: Problem) -> None:
    answer = allocated(problem)
    assert (answer.method, answer.note) == (Method.LP, "")
    assert check(problem, answer.current_a) == ()


@FEW
@given(lopsided_sites())
def test_filling_keeps_them_without_using_the_room_that_others_give(problem: Problem) -> None:
    admission = posed(problem)
    values = quantise(admission, fill(admission)).tolist()
    pairs = zip((x.id for x in admission.tree.loads), values, strict=True)
    assert check(problem, dict(pairs)) == ()


@FEW
@given(lopsided_sites())
def test_the_lp_leaves_nobody_worse_off_than_the_worst_off_of_filling(problem: Problem) -> None:
    admission = posed(problem)
    some = admission.admitted & (admission.room_a > 1e-9)
    if not some.any():
        return
    weight = admission.tree.weight
    by_lp = (FairShareLp().share(admission, deadline_s=5) - admission.base_a) / weight
    by_filling = (fill(admission) - admission.base_a) / weight
    assert min(by_lp[some]) >= min(by_filling[some]) - 1e-6


# --- budgets --------------------------------------------------------------------------------------


def surplus(available_a: float, *loads: str) -> Budget:
    return Budget(id="surplus", available_a=available_a, loads=frozenset(loads))


def test_a_budget_is_shared_over_all_phases() -> None:
    problem = a_site(a_node(a=63), a_car("three", min_a=0), a_car("one", phases=(L1,), min_a=0))
    problem = replace(problem, budgets=(surplus(40, "three", "one"),))
    assert allocated(problem).current_a == {"three": 10.0, "one": 10.0}


def test_who_is_not_in_a_budget_is_not_held_by_it() -> None:
    problem = a_site(a_node(a=63), a_car("solar"), a_car("other", max_a=16))
    problem = replace(problem, budgets=(surplus(21, "solar"),))
    answer = allocated(problem)
    assert answer.current_a == {"solar": 7.0, "other": 16.0}
    assert answer.binding["solar"] == Binding(node="surplus", phase=None, cause=BindingCause.NODE)


def test_without_surplus_who_may_use_nothing_else_waits() -> None:
    problem = replace(a_site(a_node(a=63), a_car("solar")), budgets=(surplus(-4, "solar"),))
    answer = allocated(problem)
    assert answer.current_a == {"solar": 0.0}
    assert answer.binding["solar"].node == "surplus"


def test_the_judge_counts_a_budget() -> None:
    problem = replace(a_site(a_node(a=63), a_car("solar")), budgets=(surplus(21, "solar"),))
    assert [x.subject for x in check(problem, {"solar": 7.1})] == ["surplus"]


@FEW
@given(st.data(), sites())
def test_budgets_hold_on_any_site(data: st.DataObject, problem: Problem) -> None:
    ids = st.sets(st.sampled_from([x.id for x in problem.loads])) if problem.loads else st.just([])
    budget = surplus(data.draw(st.integers(-50, 900)) / 10, *data.draw(ids))
    problem = replace(problem, budgets=(budget,))
    answer = allocated(problem)
    assert (answer.method, check(problem, answer.current_a)) == (Method.LP, ())


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (surplus(float("nan"), "a"), "not a finite number"),
        (surplus(5, "ghost"), "load ghost does not exist"),
        (replace(surplus(5), id="main"), "its id is taken"),
    ],
)
def test_a_wrong_budget_is_named(budget: Budget, said: str) -> None:
    with pytest.raises(ProblemError, match=said):
        replace(a_site(a_node(a=9), a_car("a")), budgets=(budget,))


# --- few and small changes --------------------------------------------------------------------------


def test_small_changes_are_not_made_for_fairness_alone() -> None:
    cars = (a_car("a", current_a=7.9), a_car("b", current_a=7.5), a_car("c", current_a=7.6))
    problem = replace(a_site(a_node(a=23), *cars), settle_a=0.5)
    assert allocated(problem).current_a == {"a": 7.9, "b": 7.5, "c": 7.6}


def test_what_a_limit_takes_is_taken() -> None:
    cars = (a_car("a", current_a=7.7), a_car("b", current_a=7.7))
    problem = replace(a_site(a_node(a=15), *cars), settle_a=0.5)
    assert allocated(problem).current_a == {"a": 7.5, "b": 7.5}


def test_large_unfairness_is_not_kept() -> None:
    cars = (a_car("a", current_a=9.0), a_car("b", current_a=7.0))
    problem = replace(a_site(a_node(a=16), *cars), settle_a=0.5)
    assert allocated(problem).current_a == {"a": 8.0, "b": 8.0}


@FEW
@given(sites(), st.sampled_from([0.2, 0.5, 2.0]))
def test_settling_wastes_nothing_and_takes_no_more_than_the_tolerance(
    problem: Problem, tolerance_a: float
) -> None:
    admission = posed(problem)
    rounded_a = quantise(admission, FairShareLp().share(admission, deadline_s=5))
    settled_a = settle(admission, rounded_a, tolerance_a=tolerance_a)
    ids = [x.id for x in admission.tree.loads]
    assert check(problem, dict(zip(ids, settled_a.tolist(), strict=True))) == ()
    assert all(settled_a >= rounded_a - tolerance_a - 1e-6)
    for load, value_a in zip(admission.tree.loads, settled_a.tolist(), strict=True):
        if 0 < value_a <= load.max_a - load.step_a:
            values = dict(zip(ids, settled_a.tolist(), strict=True))
            values[load.id] = round(value_a + load.step_a, 6)
            assert check(problem, values) != ()


def churn_a(settle_a: float) -> float:
    """Add up all changes while one car's demand wavers and the building breathes. [A]"""
    held = {f"cp{i}": 8.0 for i in range(5)}
    allocator, total_a = Allocator(), 0.0
    for cycle in range(200):
        breath_a = 0.2 * ((cycle * 7919) % 3)
        first = a_car("cp0", current_a=held["cp0"], max_a=8.6 + 0.4 * (cycle % 2))
        cars = [first, *(a_car(x, current_a=held[x]) for x in list(held)[1:])]
        problem = replace(a_site(a_node(a=45 + breath_a), *cars), settle_a=settle_a)
        answer = allocator.allocate(problem, deadline_s=5).current_a
        total_a += sum(abs(answer[x] - held[x]) for x in held)
        held = dict(answer)
    return total_a


def test_settling_halves_the_changes_that_help_nobody() -> None:
    assert churn_a(0.5) < 0.5 * churn_a(0.0)


def test_l3_alone_is_named_in_an_unbalance() -> None:
    problem = a_site(
        lopsided(63, unbalance_a=6), a_car("a", phases=(L3,)), a_car("b", phases=(L2,))
    )
    assert {L2, L3} == {b.phase for b in allocated(problem).binding.values()}
