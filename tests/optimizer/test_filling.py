from __future__ import annotations

import pytest
from hypothesis import given

from optimizer.filling import fill
from optimizer.problem import Problem
from tests.optimizer.sites import L1, MANY, a_car, a_node, a_site, posed, sites


def shares(problem: Problem) -> dict[str, float]:
    admission = posed(problem)
    return dict(zip((x.id for x in admission.tree.loads), fill(admission), strict=True))


def test_three_cars_share_what_the_fuse_leaves() -> None:
    expected = {"a": 23 / 3, "b": 23 / 3, "c": 23 / 3}
    assert pytest.approx(expected) == shares(a_site(a_node(a=23), *map(a_car, "abc")))


def test_what_a_small_car_leaves_goes_to_the_others() -> None:
    cars = (a_car("a", max_a=8), a_car("b"), a_car("c"))
    assert pytest.approx({"a": 8, "b": 14, "c": 14}) == shares(a_site(a_node(a=36), *cars))


def test_weights_count_above_the_minimum() -> None:
    cars = (a_car("a", weight=2), a_car("b", weight=1))
    assert pytest.approx({"a": 12, "b": 9}) == shares(a_site(a_node(a=21), *cars))


def test_a_full_garage_leaves_the_rest_to_the_other_one() -> None:
    problem = a_site(
        a_node("main", a=40),
        a_node("garage-a", parent="main", a=14),
        a_node("garage-b", parent="main", a=63),
        a_car("a1", node="garage-a"),
        a_car("a2", node="garage-a"),
        a_car("b1", node="garage-b"),
    )
    assert pytest.approx({"a1": 7, "a2": 7, "b1": 26}) == shares(problem)


def test_a_single_phase_car_is_held_by_its_own_phase_only() -> None:
    problem = a_site(a_node(a=(20, 10, 30)), a_car("three"), a_car("one", phases=(L1,)))
    assert pytest.approx({"three": 10, "one": 10}) == shares(problem)


@MANY
@given(sites())
def test_everyone_is_at_a_maximum_or_worst_case_best_served_on_a_full_row(
    problem: Problem,
) -> None:
    """The certificate of weighted max-min fairness, stated without the algorithm."""
    admission = posed(problem)
    tree, share_a = admission.tree, fill(admission)
    above_a = [x - base for x, base in zip(share_a, admission.base_a, strict=True)]
    level = [x / load.weight for x, load in zip(above_a, tree.loads, strict=True)]
    below: list[list[int]] = [[] for _ in tree.rows]
    for i, rows in enumerate(tree.rows_of):
        for row in rows:
            below[row].append(i)
    left_a = [
        left - sum(above_a[i] for i in loads)
        for left, loads in zip(admission.left_a, below, strict=True)
    ]
    assert min(left_a, default=0) >= -1e-6
    for i in (i for i, yes in enumerate(admission.admitted) if yes):
        is_held = any(
            left_a[row] <= 1e-6 and level[i] >= max(level[j] for j in below[row]) - 1e-6
            for row in tree.rows_of[i]
        )
        assert above_a[i] >= admission.room_a[i] - 1e-6 or is_held
