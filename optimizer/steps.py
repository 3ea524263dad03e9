"""What a charger can signal: whole steps, as clean decimals.

A value is always written as count x step, because 309 x 0.1 A must be 30.9 A, never
30.900000000000002 A: OCPP 1.6 refuses the latter (multipleOf 0.1).
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

import numpy

from optimizer.arrays import Floats, Ints
from optimizer.tree import Tree

STEP_TOLERANCE = 1e-6
"""A value this close below a whole step counts as that step. [steps]"""


@lru_cache(maxsize=65536)
def amperes(step_a: float, count: int) -> float:
    """Return `count` steps as the shortest decimal. [A]"""
    return float(Decimal(repr(step_a)) * count)


def whole_steps(current_a: Floats, step_a: Floats) -> Ints:
    """Return how many whole steps fit into each current. Shape as given."""
    return numpy.floor(current_a / step_a + STEP_TOLERANCE).astype(numpy.int64)


def lowest_counts(tree: Tree) -> Ints:
    """Return per load the smallest number of steps that is not below its minimum."""
    return numpy.ceil(tree.min_a / tree.step_a - STEP_TOLERANCE).astype(numpy.int64)


def highest_counts(tree: Tree) -> Ints:
    """Return per load the largest number of steps that is not above its maximum."""
    return whole_steps(tree.max_a, tree.step_a)
