"""What a charger can signal: whole steps, as clean decimals.

A value is always written as count x step, because 309 x 0.1 A must be 30.9 A, never
30.900000000000002 A: OCPP 1.6 refuses the latter (multipleOf 0.1).
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from math import ceil, floor

from optimizer.problem import Load

STEP_TOLERANCE = 1e-6
"""A value this close below a whole step counts as that step. [steps]"""


@lru_cache(maxsize=65536)
def amperes(step_a: float, count: int) -> float:
    """Return `count` steps as the shortest decimal. [A]"""
    return float(Decimal(repr(step_a)) * count)


def whole_steps(current_a: float, step_a: float) -> int:
    """Return how many whole steps fit into a current."""
    return floor(current_a / step_a + STEP_TOLERANCE)


def lowest_count(load: Load) -> int:
    """Return the smallest number of steps that is not below the load's minimum."""
    return ceil(load.min_a / load.step_a - STEP_TOLERANCE)


def highest_count(load: Load) -> int:
    """Return the largest number of steps that is not above the load's maximum."""
    return whole_steps(load.max_a, load.step_a)
