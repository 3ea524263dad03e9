"""The last stage: few and small changes, within a tolerance and never against a limit.

A setpoint that moves by 0.2 A every cycle wears chargers out and helps nobody. Loads that would rise
a little stay where they are, and what that leaves lets others keep what they hold instead of giving
up a little. What is left over then is given out in as few hands as possible, so nothing is wasted.
"""

from __future__ import annotations

import numpy

from optimizer.admission import FIT_TOLERANCE_A, Admission
from optimizer.arrays import Floats, Ints
from optimizer.rounding import Rounding


def settle(admission: Admission, rounded_a: Floats, *, tolerance_a: float) -> Floats:
    """Leave loads where they are when the change would be small.

    Where loads give room to one another (unbalance), one that stays low can cost another its
    current, so nothing is moved there.

    Args:
        admission: Who takes part.
        rounded_a: Whole steps per load, feasible. Shape (n_loads,). [A]
        tolerance_a: No load loses more than this for the sake of another's steadiness. [A]

    Returns:
        As many whole steps on every row as before, or more. Shape (n_loads,). [A]
    """
    count = numpy.rint(rounded_a / admission.tree.step_a).astype(numpy.int64)
    held = _held(admission)
    gap_a = (held - count) * admission.tree.step_a
    near = admission.admitted & (held > 0) & (numpy.abs(gap_a) <= tolerance_a + FIT_TOLERANCE_A)
    rises, falls = numpy.flatnonzero(near & (gap_a < 0)), numpy.flatnonzero(near & (gap_a > 0))
    if not falls.size or not rises.size or admission.tree.layout.has_credits:
        return rounded_a
    rounding = Rounding(admission, numpy.where(near & (gap_a < 0), held, count).tolist())
    for i in falls[numpy.argsort(gap_a[falls], kind="stable")].tolist():
        _raise(rounding, i, int(held[i] - count[i]))
    for i in rises[numpy.argsort(gap_a[rises], kind="stable")].tolist():
        _raise(rounding, i, int(count[i] - held[i]))
    rounding.hand_out()
    return rounding.currents_a()


def _raise(rounding: Rounding, load: int, steps: int) -> None:
    if rounding.fits(load, steps):
        rounding.move(load, steps)


def _held(admission: Admission) -> Ints:
    """Return the whole steps that each load holds now; 0 where it could not hold them any more."""
    tree = admission.tree
    held = numpy.floor(tree.current_a / tree.step_a + 1e-6).astype(numpy.int64)
    return numpy.where((held >= admission.low) & (held <= admission.high), held, 0)
