"""Which limits each load counts against: the rows of the packing problem.

The `Layout` is what stays the same from cycle to cycle and is made once; the `Tree` is one cycle's
numbers on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, permutations
from operator import attrgetter

import numpy

from optimizer.arrays import Floats, Ints
from optimizer.phases import PHASES, Phase
from optimizer.problem import Binding, BindingCause, Load, Node, Problem

_NUMBERS = attrgetter("min_a", "max_a", "step_a", "weight", "current_a", "rank")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One phase of one node; how far a phase may exceed another; or a budget."""

    node: str
    """Id of the node or budget."""
    phase: Phase | None
    """None for a budget."""
    against: Phase | None = None
    """The phase that `phase` is compared with in an unbalance row."""

    @property
    def name(self) -> str:
        """The row as people read it: `garage-a,L1`, `garage-a,L1-L2` or `surplus`."""
        if self.phase is None:
            return self.node
        against = f"-{self.against.name}" if self.against is not None else ""
        return f"{self.node},{self.phase.name}{against}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """A problem's structure in canonical order: loads by id, rows by node id and phase.

    An entry says that a load counts against a row. Entries are ordered by load, its own node first.
    """

    key: object
    """Equal for problems that this layout suits."""
    order: tuple[int, ...]
    """Where the canonical loads stand in the problem. Shape (n_loads,)."""
    rows: tuple[Row, ...]
    """Only rows that carry at least one load."""
    rows_of: tuple[tuple[int, ...], ...]
    """Per load the rows it counts against with a positive factor. Shape (n_loads, any)."""
    entries_of: tuple[tuple[tuple[int, float], ...], ...]
    """Per load its rows and factors. Shape (n_loads, any)."""
    fills_of: tuple[tuple[tuple[int, float], ...], ...]
    """Per load its rows and factors above 0. Shape (n_loads, any)."""
    bindings: tuple[Binding, ...]
    """Per row what a load is told that it holds. Shape (n_rows,)."""
    refusals: tuple[Binding, ...]
    """Per row what a load is told that it keeps out. Shape (n_rows,)."""
    n_phases: Ints
    """Per load how many phases it uses. Shape (n_loads,)."""
    entry_load: Ints
    entry_row: Ints
    entry_factor: Floats
    """What one ampere of the load takes from the row; below 0 in unbalance rows. [A/A]"""
    load_start: Ints
    """First entry of each load. Shape (n_loads,)."""
    has_credits: bool
    """Whether some load gives room to a row (a factor below 0)."""
    is_plain: bool
    """Whether all factors are 1."""

    @property
    def n_loads(self) -> int:
        """Count loads."""
        return len(self.order)

    def used_a(self, current_a: Floats) -> Floats:
        """Return what loads take from each row. Shape (n_rows,). [A]"""
        taken_a = self.entry_factor * current_a[self.entry_load]
        used_a: Floats = numpy.bincount(self.entry_row, taken_a, len(self.rows)).astype(float)
        return used_a

    def first_lowest_rows(self, value: Floats) -> Ints:
        """Return per load the row of its lowest entry, the first of equals. Shape (n_loads,).

        Args:
            value: One per entry. Shape (n_entries,).
        """
        lowest = numpy.minimum.reduceat(value, self.load_start)
        is_lowest = value == lowest[self.entry_load]
        place = numpy.where(is_lowest, numpy.arange(len(value)), len(value))
        rows: Ints = self.entry_row[numpy.minimum.reduceat(place, self.load_start)]
        return rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tree:
    """One problem on its layout; arrays of shape (n_loads,) unless said otherwise."""

    layout: Layout
    loads: tuple[Load, ...]
    available_a: Floats
    """Per row. Below 0 means: already over. Shape (n_rows,). [A]"""
    min_a: Floats
    max_a: Floats
    step_a: Floats
    weight: Floats
    current_a: Floats
    rank: Floats

    @property
    def rows(self) -> tuple[Row, ...]:
        """The layout's rows."""
        return self.layout.rows

    @property
    def rows_of(self) -> tuple[tuple[int, ...], ...]:
        """Per load the rows that it fills."""
        return self.layout.rows_of


def tree_of(problem: Problem, layout: Layout | None = None) -> Tree:
    """Lay out a problem so that the order of its nodes and loads does not matter.

    Args:
        problem: The problem.
        layout: The last one; used again if it still suits.
    """
    key = _key_of(problem)
    if layout is None or layout.key != key:
        layout = _layout(problem, key)
    loads = tuple([problem.loads[i] for i in layout.order])
    flat = chain.from_iterable(map(_NUMBERS, loads))
    numbers = numpy.fromiter(flat, float, 6 * len(loads)).reshape(-1, 6).T.copy()
    return Tree(
        layout=layout,
        loads=loads,
        available_a=_available_a(problem, layout),
        min_a=numbers[0],
        max_a=numbers[1],
        step_a=numbers[2],
        weight=numbers[3],
        current_a=numbers[4],
        rank=numbers[5],
    )


def _key_of(problem: Problem) -> object:
    return (
        [(load.id, load.node, load.phases) for load in problem.loads],
        [(node.id, node.parent, node.unbalance_a is None) for node in problem.nodes],
        [(budget.id, budget.loads) for budget in problem.budgets],
    )


def _available_a(problem: Problem, layout: Layout) -> Floats:
    nodes = {node.id: node for node in problem.nodes}
    budgets = {budget.id: budget.available_a for budget in problem.budgets}
    values = [
        budgets[row.node]
        if row.phase is None
        else _row_available_a(nodes[row.node], row, row.phase)
        for row in layout.rows
    ]
    return numpy.array(values, float)


def _row_available_a(node: Node, row: Row, phase: Phase) -> float:
    """Return what a node's phase, or the difference between two, leaves to the loads. [A]

    A difference that is too large without any load must not be made worse; all at 0 always fits.
    """
    if row.against is None or node.unbalance_a is None:
        return node.available.of(phase)
    flowing_a = node.flowing.of(phase) - node.flowing.of(row.against)
    return max(0.0, node.unbalance_a - flowing_a)


def _layout(problem: Problem, key: object) -> Layout:
    nodes = {node.id: node for node in sorted(problem.nodes, key=lambda node: node.id)}
    order = sorted(range(len(problem.loads)), key=lambda i: problem.loads[i].id)
    loads = [problem.loads[i] for i in order]
    paths = {load.node: _path(nodes, load.node) for load in loads}
    entries = [list(_entries(problem, load, paths[load.node])) for load in loads]
    rows = sorted({row for of_load in entries for row, factor in of_load if factor > 0}, key=_order)
    index = {row: i for i, row in enumerate(rows)}
    entries_of = tuple(
        tuple((index[row], factor) for row, factor in of_load if row in index)
        for of_load in entries
    )
    counts = [len(of_load) for of_load in entries_of]
    flat = [entry for of_load in entries_of for entry in of_load]
    return Layout(
        key=key,
        order=tuple(order),
        rows=tuple(rows),
        rows_of=tuple(
            tuple(row for row, factor in of_load if factor > 0) for of_load in entries_of
        ),
        entries_of=entries_of,
        fills_of=tuple(
            tuple((row, factor) for row, factor in of_load if factor > 0) for of_load in entries_of
        ),
        bindings=tuple(_binding_at(row) for row in rows),
        refusals=tuple(
            Binding(node=row.node, phase=row.phase, cause=BindingCause.NOT_ADMITTED) for row in rows
        ),
        n_phases=numpy.array([len(load.phases) for load in loads], int),
        entry_load=numpy.repeat(numpy.arange(len(loads)), counts),
        entry_row=numpy.array([row for row, _ in flat], int),
        entry_factor=numpy.array([factor for _, factor in flat], float),
        load_start=numpy.cumsum([0, *counts])[:-1],
        has_credits=any(factor < 0 for _, factor in flat),
        is_plain=all(factor == 1.0 for _, factor in flat),
    )


def _binding_at(row: Row) -> Binding:
    cause = BindingCause.NODE if row.against is None else BindingCause.UNBALANCE
    return Binding(node=row.node, phase=row.phase, cause=cause)


def _order(row: Row) -> tuple[str, str, str]:
    return (
        row.node,
        row.phase.value if row.phase is not None else "",
        row.against.value if row.against is not None else "",
    )


def _entries(problem: Problem, load: Load, path: tuple[Node, ...]) -> Iterator[tuple[Row, float]]:
    """Yield what a load counts against: the phases of its path, their unbalance, its budgets."""
    for node in path:
        for phase in PHASES:
            if phase in load.phases:
                yield Row(node=node.id, phase=phase), 1.0
    for node in path:
        if node.unbalance_a is None:
            continue
        for phase, against in permutations(PHASES, 2):
            factor = float((phase in load.phases) - (against in load.phases))
            if factor:
                yield Row(node=node.id, phase=phase, against=against), factor
    for budget in problem.budgets:
        if load.id in budget.loads:
            yield Row(node=budget.id, phase=None), float(len(load.phases))


def _path(nodes: dict[str, Node], node: str) -> tuple[Node, ...]:
    """Return the node and everything above it."""
    path = [nodes[node]]
    while (parent := path[-1].parent) is not None:
        path.append(nodes[parent])
    return tuple(path)
