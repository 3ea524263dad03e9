from __future__ import annotations

from collections.abc import Callable
from math import floor
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizer.admission import admit
from optimizer.check import check
from optimizer.filling import fill
from optimizer.lp import FairShareLp, SolverError, _Model
from optimizer.problem import Problem
from optimizer.rounding import quantise
from optimizer.tree import tree_of
from tests.optimizer.sites import MANY, a_car, a_node, a_site, posed, sites


def shares(problem: Problem) -> dict[str, float]:
    admission = posed(problem)
    share_a = FairShareLp().share(admission, deadline_s=5)
    return dict(zip((x.id for x in admission.tree.loads), share_a, strict=True))


def test_three_cars_share_what_the_fuse_leaves() -> None:
    expected = {"a": 23 / 3, "b": 23 / 3, "c": 23 / 3}
    assert pytest.approx(expected) == shares(a_site(a_node(a=23), *map(a_car, "abc")))


@pytest.mark.parametrize("phase", range(3))
def test_every_phase_of_every_node_limits(phase: int) -> None:
    tight = tuple(10.0 if i == phase else 63.0 for i in range(3))
    problem = a_site(
        a_node("main", a=63), a_node("g", parent="main", a=tight), a_car("a", node="g")
    )
    assert pytest.approx({"a": 10}) == shares(problem)


def test_rows_carry_the_names_of_the_site_even_when_two_differ_in_signs_only() -> None:
    model = _Model(
        posed(
            a_site(
                a_node("garage-a", a=9),
                a_node("garage_a", a=9),
                a_car("x-1", node="garage-a"),
                a_car("x_1", node="garage_a"),
            )
        ).tree.layout
    )
    highs = model.program.highs
    names = {highs.getRowName(row)[1] for row in range(highs.getNumRow())}
    assert {"limit[garage-a,L1]", "limit[garage_a,L1]"} <= names


def test_no_time_is_an_error_and_not_a_guess() -> None:
    admission = posed(a_site(a_node(a=23), *map(a_car, "abc")))
    with pytest.raises(SolverError, match="deadline"):
        FairShareLp().share(admission, deadline_s=0.0)


def test_a_large_problem_is_left_soon_after_its_time(
    record_property: Callable[[str, object], None],
) -> None:
    cars = [a_car(f"c{n}") for n in range(600)]
    admission, allowed_s = posed(a_site(a_node(a=4800), *cars)), 0.001
    begun_s = perf_counter()
    with pytest.raises(SolverError, match="deadline"):
        FairShareLp().share(admission, deadline_s=allowed_s)
    record_property("fault_past_budget_s", perf_counter() - begun_s - allowed_s)


def test_after_a_failure_the_next_problem_is_solved() -> None:
    lp, admission = FairShareLp(), posed(a_site(a_node(a=23), *map(a_car, "abc")))
    with pytest.raises(SolverError):
        lp.share(admission, deadline_s=0.0)
    assert pytest.approx((23 / 3,) * 3) == lp.share(admission, deadline_s=5)


def test_nobody_admitted_is_all_zero() -> None:
    assert shares(a_site(a_node(a=5), a_car("a"))) == {"a": 0.0}


@MANY
@given(sites())
def test_it_agrees_with_progressive_filling(problem: Problem) -> None:
    admission = posed(problem)
    assert pytest.approx(fill(admission), abs=1e-6) == FairShareLp().share(admission, deadline_s=5)


@MANY
@given(sites())
def test_its_answer_passes_the_check_without_any_fallback(problem: Problem) -> None:
    admission = posed(problem)
    share_a = FairShareLp().share(admission, deadline_s=5)
    rounded_a = quantise(admission, share_a)
    assert (
        check(problem, dict(zip((x.id for x in admission.tree.loads), rounded_a, strict=True)))
        == ()
    )


@MANY
@given(sites())
def test_its_share_floored_without_repair_passes_the_check(problem: Problem) -> None:
    """Rounding takes back what an overfull row cannot carry; here nothing may need that."""
    admission = posed(problem)
    share_a = FairShareLp().share(admission, deadline_s=5)
    pairs = zip(admission.tree.loads, share_a, strict=True)
    floored_a = {x.id: round(floor(a / x.step_a + 1e-6) * x.step_a, 9) for x, a in pairs}
    assert check(problem, floored_a) == ()


@MANY
@given(st.lists(sites(max_loads=4), min_size=2, max_size=4), sites())
def test_history_does_not_change_a_bit(before: list[Problem], problem: Problem) -> None:
    lp = FairShareLp()
    for earlier in before:
        lp.share(posed(earlier), deadline_s=5)
    again = FairShareLp().share(posed(problem), deadline_s=5)
    assert again.tolist() == lp.share(posed(problem), deadline_s=5).tolist()


@MANY
@given(sites(), st.lists(st.integers(0, 900), min_size=18, max_size=18))
def test_a_kept_model_with_new_bounds_answers_like_a_new_one(
    problem: Problem, tenths: list[int]
) -> None:
    warm = FairShareLp()
    tree = tree_of(problem)
    other = tree_of(_with_limits(problem, tenths), tree.layout)
    warm.share(admit(other), deadline_s=5)
    model = warm._model
    cold = FairShareLp().share(admit(tree), deadline_s=5)
    assert cold.tolist() == warm.share(admit(tree), deadline_s=5).tolist()
    assert warm._model is model or not admit(other).admitted.any()


def _with_limits(problem: Problem, tenths: list[int]) -> Problem:
    nodes = tuple(
        a_node(x.id, parent=x.parent, a=tuple(n / 10 for n in tenths[3 * i : 3 * i + 3]))
        for i, x in enumerate(problem.nodes)
    )
    return Problem(nodes=nodes, loads=problem.loads)
