"""Who gets at least its minimum when not everybody fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optimizer.problem import Binding, BindingCause
from optimizer.steps import amperes, highest_count, lowest_count
from optimizer.tree import Tree

FIT_TOLERANCE_A = 5e-7
"""What the sum of the minimums may exceed a row by; half of what the check forgives. [A]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Which loads share what is left above their minimums: a weighted packing problem."""

    tree: Tree
    admitted: tuple[bool, ...]
    """Per load of the tree. Shape (n_loads,)."""
    refused: Mapping[str, Binding]
    """Why a load that was not admitted stays at 0, by load id."""
    base_a: tuple[float, ...]
    """The smallest value the load can be given; 0 unless admitted. Shape (n_loads,). [A]"""
    room_a: tuple[float, ...]
    """What the load can take above `base_a`; 0 unless admitted. Shape (n_loads,). [A]"""
    left_a: tuple[float, ...]
    """What the minimums leave of each row, never below 0. Shape (n_rows,). [A]"""


def admit(tree: Tree) -> Admission:
    """Admit loads by rank, then by id, as long as the minimum fits on the whole path.

    A load that does not fit does not stop the ones behind it. On a row that is already over,
    nothing is admitted, not even a load whose minimum is 0.
    """
    left_a = list(tree.available_a)
    loads = tree.loads
    base_a, room_a = [0.0] * len(loads), [0.0] * len(loads)
    refused: dict[str, Binding] = {}
    for i in sorted(range(len(loads)), key=lambda i: (loads[i].rank, loads[i].id)):
        load = loads[i]
        low, high = lowest_count(load), highest_count(load)
        if high < low or high == 0:
            refused[load.id] = Binding(node=None, phase=None, cause=BindingCause.OWN_MAXIMUM)
            continue
        need_a = amperes(load.step_a, low)
        full = _first_full(tree.rows_of[i], left_a, need_a)
        if full is not None:
            row = tree.rows[full]
            refused[load.id] = Binding(
                node=row.node, phase=row.phase, cause=BindingCause.NOT_ADMITTED
            )
            continue
        base_a[i], room_a[i] = need_a, amperes(load.step_a, high) - need_a
        for row_index in tree.rows_of[i]:
            left_a[row_index] -= need_a
    return Admission(
        tree=tree,
        admitted=tuple(load.id not in refused for load in loads),
        refused=refused,
        base_a=tuple(base_a),
        room_a=tuple(room_a),
        left_a=tuple(max(0.0, x) for x in left_a),
    )


def _first_full(rows: Sequence[int], left_a: Sequence[float], need_a: float) -> int | None:
    """Return the row with the least left among those that cannot give `need_a`."""
    full = [row for row in rows if left_a[row] < max(0.0, need_a) - FIT_TOLERANCE_A]
    return min(full, key=lambda row: left_a[row]) if full else None
