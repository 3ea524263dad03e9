"""Which limits each load counts against: the rows of the packing problem."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.phases import PHASES, Phase
from optimizer.problem import Load, Node, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One phase of one node."""

    node: str
    phase: Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A problem's structure in canonical order: loads by id, rows by node id and phase."""

    loads: tuple[Load, ...]
    rows: tuple[Row, ...]
    """Only rows that carry at least one load."""
    available_a: tuple[float, ...]
    """Per row. Below 0 means: already over. Shape (n_rows,). [A]"""
    rows_of: tuple[tuple[int, ...], ...]
    """Per load the rows it counts against, its own node first. Shape (n_loads, any)."""


def tree_of(problem: Problem) -> Tree:
    """Lay out a problem so that the order of its nodes and loads does not matter."""
    nodes = {node.id: node for node in sorted(problem.nodes, key=lambda node: node.id)}
    loads = tuple(sorted(problem.loads, key=lambda load: load.id))
    paths: dict[str, tuple[str, ...]] = {load.node: () for load in loads}
    for node in paths:
        paths[node] = _path(nodes, node)
    used = {(node, phase) for load in loads for node in paths[load.node] for phase in load.phases}
    keys = [(node, phase) for node in nodes for phase in PHASES if (node, phase) in used]
    index = {key: i for i, key in enumerate(keys)}
    return Tree(
        loads=loads,
        rows=tuple(Row(node=node, phase=phase) for node, phase in keys),
        available_a=tuple(nodes[node].available.of(phase) for node, phase in keys),
        rows_of=tuple(
            tuple(
                index[node, phase]
                for node in paths[load.node]
                for phase in PHASES
                if phase in load.phases
            )
            for load in loads
        ),
    )


def _path(nodes: dict[str, Node], node: str) -> tuple[str, ...]:
    """Return the node and everything above it."""
    path = [node]
    while (parent := nodes[path[-1]].parent) is not None:
        path.append(parent)
    return tuple(path)
