"""The judge is judged with planted defects: answers that a wrong program would have given."""

from __future__ import annotations

import pytest

from optimizer.check import Rule, Violation, check
from optimizer.problem import Load
from tests.optimizer.sites import L1, L2, L3, a_car, a_node, a_site

GARAGE = a_site(
    a_node("main", a=(40, 23, 40)),
    a_node("garage-a", parent="main", a=32),
    a_car("cp1/1", node="garage-a"),
    a_car("cp2/1", node="garage-a"),
    a_car("cp3/1"),
)


def broken(current_a: dict[str, float]) -> list[tuple[Rule, str]]:
    return [(x.rule, x.subject) for x in check(GARAGE, current_a)]


def values(a: float, b: float, c: float) -> dict[str, float]:
    return {"cp1/1": a, "cp2/1": b, "cp3/1": c}


def test_a_good_answer_has_no_violations() -> None:
    assert check(GARAGE, values(7.6, 7.6, 7.6)) == ()


def test_all_zero_is_always_good() -> None:
    assert check(a_site(a_node(a=-5), a_car("a")), {"a": 0.0}) == ()


def test_a_dropped_phase_is_found() -> None:
    """Who forgets L2 shares 40 A instead of 23 A."""
    (violation,) = check(GARAGE, values(13.3, 13.3, 13.3))
    expected = (Rule.LIMIT, "main", L2, 16.9)
    found = (violation.rule, violation.subject, violation.phase, round(violation.excess_a, 6))
    assert expected == found


@pytest.mark.parametrize("phase", [L1, L2, L3])
def test_each_phase_is_judged(phase: object) -> None:
    tight = tuple(5.0 if x is phase else 63.0 for x in (L1, L2, L3))
    violations = check(a_site(a_node(a=tight), a_car("a")), {"a": 6.0})
    assert [phase] == [x.phase for x in violations]


def test_rounding_to_nearest_is_found() -> None:
    """23 A / 3 = 7.667 A: to the nearest tenth it is 7.7 A for each, 0.1 A too much."""
    assert broken(values(7.7, 7.7, 7.7)) == [(Rule.LIMIT, "main")]


def test_a_sign_error_is_found() -> None:
    """Available minus building turned into available plus building."""
    problem = a_site(a_node(a=63 - 45), a_car("a", max_a=80), a_car("b", max_a=80))
    assert [x.rule for x in check(problem, {"a": 54.0, "b": 54.0})] == [Rule.LIMIT] * 3


def test_a_negative_current_is_found_and_does_not_pay_for_another() -> None:
    assert (Rule.BELOW_MINIMUM, "cp1/1") in broken(values(-20.0, 16.0, 16.0))


def test_a_forgotten_sub_circuit_is_found() -> None:
    problem = a_site(
        a_node("main", a=100), a_node("garage-a", parent="main", a=20), a_car("a", node="garage-a")
    )
    assert {"garage-a"} == {x.subject for x in check(problem, {"a": 32.0})}


def test_a_forgotten_ancestor_two_levels_up_is_found() -> None:
    problem = a_site(
        a_node("main", a=10),
        a_node("hall", parent="main", a=100),
        a_node("row", parent="hall", a=100),
        a_car("a", node="row"),
    )
    assert {"main"} == {x.subject for x in check(problem, {"a": 32.0})}


def test_a_value_between_zero_and_the_minimum_is_found() -> None:
    assert broken(values(5.9, 6.0, 6.0)) == [(Rule.BELOW_MINIMUM, "cp1/1")]


def test_a_value_above_the_maximum_is_found() -> None:
    problem = a_site(a_node(a=100), a_car("a", max_a=16))
    violations = check(problem, {"a": 16.1})
    assert [x.rule for x in violations] == [Rule.ABOVE_MAXIMUM]


def test_a_value_off_the_step_is_found() -> None:
    assert broken(values(7.65, 6.0, 6.0)) == [(Rule.OFF_STEP, "cp1/1")]


@pytest.mark.parametrize("value_a", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_a_number_is_found(value_a: float) -> None:
    assert broken(values(value_a, 6.0, 6.0)) == [(Rule.NOT_A_NUMBER, "cp1/1")]


def test_a_missing_load_is_found() -> None:
    assert broken({"cp1/1": 6.0, "cp2/1": 6.0}) == [(Rule.MISSING_LOAD, "cp3/1")]


def test_an_unknown_load_is_found() -> None:
    expected = Violation(rule=Rule.UNKNOWN_LOAD, subject="cp9/1")
    assert (expected,) == check(GARAGE, {**values(6.0, 6.0, 6.0), "cp9/1": 6.0})


def test_an_answer_without_a_problem_is_nothing_but_unknown() -> None:
    loads: tuple[Load, ...] = ()
    assert [x.rule for x in check(a_site(*loads), {"cp9/1": 6.0})] == [Rule.UNKNOWN_LOAD]
