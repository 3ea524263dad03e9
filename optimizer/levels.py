"""The fair level of every load: weighted max-min over rows that only sum up, in arrays.

All rows that are a bottleneck for everybody on them are settled in one round, not one row after the
other, so a few rounds do (about the depth of the tree), whatever the number of loads.

A row is a bottleneck when none of its rising loads is held lower elsewhere: each of them has the
least of its own maximum and its rows' full levels here. A load whose maximum lies below the full
levels of all its rows ends at its maximum, because those levels can only rise when others stop.

Source: Bertsekas, Gallager, Data Networks, 6.5.2: a share is max-min fair exactly when every load
has a bottleneck.
"""

from __future__ import annotations

import numpy

from optimizer.admission import Admission
from optimizer.arrays import Floats, Ints

SAME_LEVEL = 1e-9
"""Levels that differ by less than this part are the same level."""


def fair_above(admission: Admission) -> Floats:
    """Return the fair share above the minimum, rows with credits taken without them.

    Args:
        admission: Who takes part, and what is left on each row.

    Returns:
        Current above the minimum per load; 0 if not admitted. Shape (n_loads,). [A]
    """
    layout, weight = admission.tree.layout, admission.tree.weight
    n_rows, n_loads = len(layout.rows), layout.n_loads
    left_a = admission.left_a.copy()
    above_a = numpy.zeros(n_loads)
    rising = admission.admitted.copy()
    own = admission.room_a / weight
    place = numpy.zeros(n_loads, numpy.int64)
    keep = rising[layout.entry_load] & (layout.entry_factor > 0)
    load, row = layout.entry_load[keep], layout.entry_row[keep]
    factor = layout.entry_factor[keep]
    while load.size:
        rising_weight = numpy.bincount(row, factor * weight[load], n_rows)
        full_at = left_a / numpy.maximum(rising_weight, 1e-300)
        first = _starts(load)
        here = load[first]
        path_full = numpy.minimum.reduceat(full_at[row], first)
        level = numpy.minimum(path_full, own[here])
        place[here] = numpy.arange(here.size)
        spread = level[place[load]]
        is_held_here = spread >= full_at[row] - SAME_LEVEL * (1.0 + full_at[row])
        elsewhere = numpy.bincount(row, ~is_held_here, n_rows)
        holds = is_held_here & (elsewhere[row] == 0)
        stops = (own[here] <= path_full) | numpy.logical_or.reduceat(holds, first)
        stopped = here[stops]
        above_a[stopped] = numpy.minimum(level[stops] * weight[stopped], admission.room_a[stopped])
        rising[stopped] = False
        gone = ~rising[load]
        left_a -= numpy.bincount(row[gone], factor[gone] * above_a[load[gone]], n_rows)
        numpy.maximum(left_a, 0.0, out=left_a)
        load, row, factor = load[~gone], row[~gone], factor[~gone]
    return above_a


def _starts(load: Ints) -> Ints:
    """Return where the entries of each load begin."""
    is_first = numpy.empty(load.size, bool)
    is_first[0] = True
    numpy.not_equal(load[1:], load[:-1], out=is_first[1:])
    return numpy.flatnonzero(is_first)
