from __future__ import annotations

import numpy

from optimizer.steps import amperes, highest_counts, lowest_counts, whole_steps
from optimizer.tree import tree_of
from tests.optimizer.sites import a_car, a_node, a_site


def test_309_tenths_are_exactly_30_9_a() -> None:
    assert repr(amperes(0.1, 309)) == "30.9"


def test_every_tenth_up_to_500_a_is_the_shortest_decimal() -> None:
    assert [n / 10 for n in range(5001)] == [amperes(0.1, n) for n in range(5001)]


def test_a_value_a_hair_below_a_step_counts_as_the_step() -> None:
    assert whole_steps(numpy.array([30.9 - 1e-9]), numpy.array([0.1])).tolist() == [309]


def test_a_value_clearly_below_a_step_does_not() -> None:
    assert whole_steps(numpy.array([30.899]), numpy.array([0.1])).tolist() == [308]


def test_bounds_between_steps_shrink_inwards() -> None:
    tree = tree_of(a_site(a_node(a=63), a_car("cp1/1", min_a=6.05, max_a=15.97)))
    assert (lowest_counts(tree).tolist(), highest_counts(tree).tolist()) == ([61], [159])
