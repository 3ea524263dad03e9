"""Who gets at least its minimum when not everybody fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy

from optimizer.arrays import Bools, Floats, Ints
from optimizer.problem import Binding, BindingCause
from optimizer.steps import highest_counts, lowest_counts
from optimizer.tree import Layout, Tree

FIT_TOLERANCE_A = 5e-7
"""What the sum of the minimums may exceed a row by; half of what the check forgives. [A]"""

_OWN_MAXIMUM = Binding(node=None, phase=None, cause=BindingCause.OWN_MAXIMUM)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Admission:
    """Which loads share what is left above their minimums: a weighted packing problem.

    Arrays have shape (n_loads,), in the order of the tree, unless said otherwise.
    """

    tree: Tree
    admitted: Bools
    refused: Mapping[str, Binding]
    """Why a load that was not admitted stays at 0, by load id."""
    low: Ints
    """The smallest whole number of steps; 0 unless admitted. [steps]"""
    high: Ints
    """The largest whole number of steps; 0 unless admitted. [steps]"""
    base_a: Floats
    """The smallest value the load can be given; 0 unless admitted. [A]"""
    room_a: Floats
    """What the load can take above `base_a`; 0 unless admitted. [A]"""
    left_a: Floats
    """What the minimums leave of each row, never below 0. Shape (n_rows,). [A]"""


def admit(tree: Tree) -> Admission:
    """Admit loads by rank as long as the minimum fits on the whole path.

    Within one rank the loads that take least of the conductors come first, so that as many as
    possible are served; then those who can make most of it, then the id decides. A load that does not fit does not stop the ones
    behind it. On a row that is already over, nothing is admitted, not even a load whose minimum
    is 0.
    """
    low, high = lowest_counts(tree), highest_counts(tree)
    able = (high >= low) & (high > 0)
    need_a = low * tree.step_a
    refused = {tree.loads[i].id: _OWN_MAXIMUM for i in numpy.flatnonzero(~able)}
    admitted = able
    if not _all_fit(tree, numpy.where(able, need_a, 0.0)):
        admitted, full = _one_by_one(tree, able.tolist(), need_a)
        refused.update(full)
    base_a = numpy.where(admitted, need_a, 0.0)
    left_a = tree.available_a - tree.layout.used_a(base_a)
    return Admission(
        tree=tree,
        admitted=admitted,
        refused=refused,
        low=numpy.where(admitted, low, 0),
        high=numpy.where(admitted, high, 0),
        base_a=base_a,
        room_a=numpy.where(admitted, (high - low) * tree.step_a, 0.0),
        left_a=numpy.maximum(left_a, 0.0),
    )


def _all_fit(tree: Tree, need_a: Floats) -> bool:
    """Tell whether nobody has to wait, which is so in most cycles."""
    left_a = tree.available_a - tree.layout.used_a(need_a)
    return bool(numpy.all(numpy.minimum(left_a, tree.available_a) >= -FIT_TOLERANCE_A))


def _one_by_one(
    tree: Tree, able: Sequence[bool], need_a: Floats
) -> tuple[Bools, dict[str, Binding]]:
    """Admit in order; say for everybody else which row has no room."""
    layout = tree.layout
    waiting = [i for i in _order(tree, need_a) if able[i]]
    admit_some = _admit_alike if layout.is_plain else _admit_by_factor
    admitted, left_a, waiting = admit_some(layout, tree.available_a.tolist(), need_a, waiting)
    full = _full_rows(layout, numpy.array(left_a), need_a)
    refused = {tree.loads[i].id: layout.refusals[full[i]] for i in waiting}
    return admitted, refused


def _admit_alike(
    layout: Layout, left_a: list[float], need_a: Floats, order: list[int]
) -> tuple[Bools, list[float], list[int]]:
    """Admit where every load takes from each of its rows what it draws, as on most sites.

    The same as `_admit_by_factor` without the factors, in half of its time, which is a good part of
    a cycle in which many wait.

    Returns:
        Who is admitted, what the rows have left [A], and who waits, in order.
    """
    needs_a: list[float] = need_a.tolist()
    rows_of = layout.rows_of
    left_a = [a + FIT_TOLERANCE_A for a in left_a]
    able, still = [], []
    for i in order:
        rows, least_a = rows_of[i], needs_a[i]
        for row in rows:
            if left_a[row] < least_a:
                still.append(i)
                break
        else:
            able.append(i)
            for row in rows:
                left_a[row] -= least_a
    admitted = numpy.zeros(len(needs_a), bool)
    admitted[able] = True
    return admitted, [a - FIT_TOLERANCE_A for a in left_a], still


def _admit_by_factor(
    layout: Layout, left_a: list[float], need_a: Floats, order: list[int]
) -> tuple[Bools, list[float], list[int]]:
    """Admit where some take more than they draw (budgets) or give room to others (unbalance)."""
    needs_a: list[float] = need_a.tolist()
    entries_of, fills_of = layout.entries_of, layout.fills_of
    admitted = numpy.zeros(len(needs_a), bool)
    waiting, has_gained = order, True
    while has_gained:
        still = []
        for i in waiting:
            least_a = needs_a[i]
            if any(left_a[row] < f * least_a - FIT_TOLERANCE_A for row, f in fills_of[i]):
                still.append(i)
                continue
            admitted[i] = True
            for row, factor in entries_of[i]:
                left_a[row] -= factor * least_a
        # Only where loads give room to one another can a second look find more.
        has_gained = layout.has_credits and len(still) < len(waiting)
        waiting = still
    return admitted, left_a, waiting


def _full_rows(layout: Layout, left_a: Floats, need_a: Floats) -> list[int]:
    """Return for each load the row that lacks most for its minimum. Shape (n_loads,)."""
    lacks_a = left_a[layout.entry_row] - layout.entry_factor * need_a[layout.entry_load]
    lacks_a = numpy.where(layout.entry_factor > 0, lacks_a, numpy.inf)
    rows: list[int] = layout.first_lowest_rows(lacks_a).tolist()
    return rows


def _order(tree: Tree, need_a: Floats) -> list[int]:
    """Return the loads by rank, what they need on all phases, weight and maximum; then by id."""
    keys = (-tree.max_a, -tree.weight, need_a * tree.layout.n_phases, tree.rank)
    order: list[int] = numpy.lexsort(keys).tolist()
    return order
