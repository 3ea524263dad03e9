from __future__ import annotations

from hypothesis import given

from optimizer.problem import Binding, BindingCause, Problem
from optimizer.steps import amperes, lowest_counts
from tests.optimizer.sites import L1, L2, L3, MANY, a_car, a_node, a_site, posed, sites


def admitted(problem: Problem) -> list[str]:
    admission = posed(problem)
    pairs = zip(admission.tree.loads, admission.admitted, strict=True)
    return [load.id for load, yes in pairs if yes]


def test_all_are_admitted_when_all_minimums_fit() -> None:
    assert admitted(a_site(a_node(a=18), *map(a_car, "abc"))) == ["a", "b", "c"]


def test_a_minimum_that_fits_exactly_survives_binary_fractions() -> None:
    cars = [a_car(f"cp{i}", min_a=6.1, max_a=6.1) for i in range(3)]
    assert len(admitted(a_site(a_node(a=63 - 44.7), *cars))) == 3


def test_the_lower_rank_goes_first_and_ties_go_by_id() -> None:
    cars = (a_car("a", rank=1), a_car("b"), a_car("c"))
    assert admitted(a_site(a_node(a=17.9), *cars)) == ["b", "c"]


def test_within_one_rank_as_many_as_possible_are_served() -> None:
    cars = (
        a_car("a"),
        a_car("b", phases=(L1,)),
        a_car("c", phases=(L2,)),
        a_car("d", phases=(L3,)),
    )
    assert admitted(a_site(a_node(a=6), *cars)) == ["b", "c", "d"]


def test_a_car_that_does_not_fit_does_not_stop_a_smaller_one_behind_it() -> None:
    assert admitted(a_site(a_node(a=7), a_car("a", min_a=8), a_car("b", rank=1))) == ["b"]


def test_a_refusal_names_the_node_and_the_phase() -> None:
    problem = a_site(
        a_node("main", a=63),
        a_node("garage-a", parent="main", a=(20, 5, 20)),
        a_car("cp1/1", node="garage-a"),
    )
    expected = Binding(node="garage-a", phase=L2, cause=BindingCause.NOT_ADMITTED)
    assert {"cp1/1": expected} == posed(problem).refused


def test_a_node_already_over_refuses_even_a_minimum_of_zero_on_that_phase_only() -> None:
    problem = a_site(
        a_node(a=(-3, 10, 10)), a_car("a", min_a=0, phases=(L1,)), a_car("b", phases=(L2,))
    )
    assert admitted(problem) == ["b"]


def test_a_car_that_takes_nothing_is_held_by_its_own_maximum() -> None:
    refused = posed(a_site(a_node(a=-1), a_car("a", min_a=0, max_a=0))).refused
    assert BindingCause.OWN_MAXIMUM is refused["a"].cause


def test_a_car_without_a_whole_step_between_its_bounds_gets_nothing() -> None:
    refused = posed(a_site(a_node(a=63), a_car("a", min_a=6.2, max_a=6.8, step_a=1))).refused
    assert BindingCause.OWN_MAXIMUM is refused["a"].cause


@MANY
@given(sites())
def test_minimums_of_the_admitted_fit_everywhere(problem: Problem) -> None:
    admission = posed(problem)
    drawn_a = [0.0] * len(admission.tree.rows)
    for rows, base_a in zip(admission.tree.rows_of, admission.base_a, strict=True):
        for row in rows:
            drawn_a[row] += base_a
    pairs = zip(drawn_a, admission.tree.available_a, strict=True)
    assert [(drawn, limit) for drawn, limit in pairs if drawn > max(0, limit) + 1e-6] == []


@MANY
@given(sites())
def test_nobody_is_refused_whose_minimum_fits_beside_all_others(problem: Problem) -> None:
    admission = posed(problem)
    tree = admission.tree
    left_a = list(tree.available_a)
    for rows, base_a in zip(tree.rows_of, admission.base_a, strict=True):
        for row in rows:
            left_a[row] -= base_a
    for i, load in enumerate(tree.loads):
        binding = admission.refused.get(load.id)
        if binding is not None and binding.cause is BindingCause.NOT_ADMITTED:
            assert min(left_a[row] for row in tree.rows_of[i]) < amperes(
                load.step_a, int(lowest_counts(tree)[i])
            )
