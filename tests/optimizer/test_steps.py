from __future__ import annotations

from optimizer.steps import amperes, highest_count, lowest_count, whole_steps
from tests.optimizer.sites import a_car


def test_309_tenths_are_exactly_30_9_a() -> None:
    assert repr(amperes(0.1, 309)) == "30.9"


def test_every_tenth_up_to_500_a_is_the_shortest_decimal() -> None:
    assert [n / 10 for n in range(5001)] == [amperes(0.1, n) for n in range(5001)]


def test_a_value_a_hair_below_a_step_counts_as_the_step() -> None:
    assert whole_steps(30.9 - 1e-9, 0.1) == 309


def test_a_value_clearly_below_a_step_does_not() -> None:
    assert whole_steps(30.899, 0.1) == 308


def test_bounds_between_steps_shrink_inwards() -> None:
    car = a_car("cp1/1", min_a=6.05, max_a=15.97)
    assert (lowest_count(car), highest_count(car)) == (61, 159)
