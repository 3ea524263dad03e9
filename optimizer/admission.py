"""Who gets at least its minimum when not everybody fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy

from optimizer.arrays import Bools, Floats, Ints
from optimizer.problem import Binding, BindingCause
from optimizer.steps import highest_counts, lowest_counts
from optimizer.tree import Tree

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
        admitted, full = _one_by_one(tree, able.tolist(), need_a.tolist())
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
    tree: Tree, able: Sequence[bool], need_a: Sequence[float]
) -> tuple[Bools, dict[str, Binding]]:
    """Admit in order; say for everybody else which row has no room."""
    left_a: list[float] = tree.available_a.tolist()
    entries_of, fills_of = tree.layout.entries_of, tree.layout.fills_of
    loads, over_a = tree.loads, -FIT_TOLERANCE_A
    admitted = numpy.zeros(len(loads), bool)
    waiting = [i for i in _order(tree, need_a) if able[i]]
    has_gained = True
    while has_gained:
        still = []
        for i in waiting:
            needs_a = need_a[i]
            for row, factor in fills_of[i]:  # written out: half of the time of a scarce cycle
                if left_a[row] < factor * needs_a - FIT_TOLERANCE_A or left_a[row] < over_a:
                    still.append(i)
                    break
            else:
                admitted[i] = True
                for row, factor in entries_of[i]:
                    left_a[row] -= factor * needs_a
        # Only where loads give room to one another can a second look find more.
        has_gained = tree.layout.has_credits and len(still) < len(waiting)
        waiting = still
    refused = {}
    for i in waiting:
        full = _full_row(fills_of[i], left_a, need_a[i])
        refused[loads[i].id] = _refusal(tree, full if full is not None else fills_of[i][0][0])
    return admitted, refused


def _order(tree: Tree, need_a: Sequence[float]) -> list[int]:
    """Return the loads by rank, what they need on all phases, weight and maximum; then by id."""
    phases = numpy.array([len(load.phases) for load in tree.loads])
    keys = (-tree.max_a, -tree.weight, numpy.array(need_a) * phases, tree.rank)
    order: list[int] = numpy.lexsort(keys).tolist()
    return order


def _refusal(tree: Tree, row: int) -> Binding:
    at = tree.rows[row]
    return Binding(node=at.node, phase=at.phase, cause=BindingCause.NOT_ADMITTED)


def _full_row(
    entries: Sequence[tuple[int, float]], left_a: Sequence[float], need_a: float
) -> int | None:
    """Return the row that lacks most for `need_a`; None when it fits everywhere."""
    worst, worst_a = None, -FIT_TOLERANCE_A
    for row, factor in entries:
        spare_a = min(left_a[row] - factor * need_a, left_a[row])
        if spare_a < worst_a:
            worst, worst_a = row, spare_a
    return worst
