from __future__ import annotations

from itertools import permutations
from math import ceil

import numpy
import pytest
from hypothesis import given

from optimizer.filling import fill
from optimizer.problem import Load, Problem
from optimizer.rounding import quantise
from tests.optimizer.sites import L1, L2, MANY, a_car, a_node, a_site, posed, sites


def rounded(problem: Problem) -> dict[str, float]:
    admission = posed(problem)
    values = quantise(admission, fill(admission)).tolist()
    return dict(zip((x.id for x in admission.tree.loads), values, strict=True))


def test_what_is_left_after_rounding_down_goes_to_whole_steps_in_order_of_id() -> None:
    assert rounded(a_site(a_node(a=23), *map(a_car, "abc"))) == {"a": 7.7, "b": 7.7, "c": 7.6}


def test_a_car_that_would_only_keep_what_it_holds_gets_the_spare_step() -> None:
    cars = (a_car("a"), a_car("b"), a_car("c", current_a=7.7))
    assert rounded(a_site(a_node(a=23), *cars)) == {"a": 7.7, "b": 7.6, "c": 7.7}


def test_values_are_clean_decimals() -> None:
    assert repr(rounded(a_site(a_node(a=30.95), a_car("a")))["a"]) == "30.9"


def test_a_coarse_charger_gets_its_step_before_fine_ones_take_the_rest() -> None:
    cars = (a_car("coarse", step_a=1), a_car("fine"))
    assert rounded(a_site(a_node(a=15.8), *cars)) == {"coarse": 8.0, "fine": 7.8}


def test_a_step_moves_to_a_worse_off_car_if_its_giver_stays_better_off() -> None:
    """Rounding down would leave "fine" 10.3 A above its minimum, "heavy" 11 A per weight."""
    cars = (
        a_car("heavy", step_a=1, weight=2),
        a_car("fine"),
        a_car("light", step_a=1, weight=0.3),
    )
    expected = {"heavy": 27.0, "fine": 17.3, "light": 10.0}
    assert rounded(a_site(a_node(a=54.3), *cars)) == expected


def test_many_roundings_to_the_tolerance_do_not_add_up_to_an_overload() -> None:
    cars = [a_car(f"cp{i:03}", phases=(L1,)) for i in range(200)]
    problem = a_site(a_node(a=200 * 7.7 - 200 * 0.9e-7), *cars)
    assert sum(rounded(problem).values()) <= 1540 - 0.05


def test_a_step_on_one_phase_is_not_taken_from_another() -> None:
    problem = a_site(a_node(a=(7, 9, 9)), a_car("a", phases=(L1,)), a_car("b", phases=(L2,)))
    assert rounded(problem) == {"a": 7.0, "b": 9.0}


def test_a_share_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        quantise(posed(a_site(a_node(a=23), a_car("a"))), numpy.array([float("nan")]))


def test_shares_that_overfill_a_row_are_refused_not_repaired() -> None:
    with pytest.raises(ValueError, match="overfill main,L1"):
        quantise(posed(a_site(a_node(a=23), a_car("a"), a_car("b"))), numpy.array([12.0, 12.0]))


def test_a_share_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="0 shares for 1 loads"):
        quantise(posed(a_site(a_node(a=23), a_car("a"))), numpy.array([]))


@MANY
@given(sites())
def test_zero_or_between_the_bounds_and_always_a_whole_step(problem: Problem) -> None:
    for load_id, value_a in rounded(problem).items():
        load = next(x for x in problem.loads if x.id == load_id)
        assert value_a == 0 or load.min_a <= value_a <= load.max_a
        assert abs(value_a / load.step_a - round(value_a / load.step_a)) < 1e-9


@MANY
@given(sites())
def test_no_whole_step_is_wasted(problem: Problem) -> None:
    admission = posed(problem)
    values = quantise(admission, fill(admission))
    slack_a = list(admission.tree.available_a)
    for rows, value_a in zip(admission.tree.rows_of, values, strict=True):
        for row in rows:
            slack_a[row] -= value_a
    for i, load in enumerate(admission.tree.loads):
        top_a = admission.base_a[i] + admission.room_a[i]
        if admission.admitted[i] and values[i] < top_a - 1e-6:
            assert min(slack_a[row] for row in admission.tree.rows_of[i]) < load.step_a


def _given_up(load: Load, value_a: float, need_a: float) -> float:
    """Return what is left to a load after it gave up at least `need_a` in whole steps. [A]"""
    return value_a - ceil(need_a / load.step_a - 1e-5) * load.step_a


@MANY
@given(sites())
def test_nobody_could_gain_a_step_from_one_who_would_stay_better_off(problem: Problem) -> None:
    admission = posed(problem)
    tree, base_a = admission.tree, admission.base_a
    values = quantise(admission, fill(admission))
    slack_a = list(tree.available_a)
    for rows, value_a in zip(tree.rows_of, values, strict=True):
        for row in rows:
            slack_a[row] -= value_a
    some = [i for i, yes in enumerate(admission.admitted) if yes]
    for poor, rich in permutations(some, 2):
        load, giver = tree.loads[poor], tree.loads[rich]
        full = [row for row in tree.rows_of[poor] if slack_a[row] < load.step_a - 1e-6]
        if values[poor] + load.step_a > base_a[poor] + admission.room_a[poor] + 1e-6:
            continue
        if not set(full) <= set(tree.rows_of[rich]):
            continue
        left_a = _given_up(giver, values[rich], load.step_a - min(slack_a[row] for row in full))
        level = (values[poor] - base_a[poor]) / load.weight
        assert left_a < base_a[rich] or (left_a - base_a[rich]) / giver.weight <= level + 1e-6
