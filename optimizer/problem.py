"""What the allocator is asked: nodes with limits, loads that want current.

The optimizer's own small vocabulary. It knows no charger, no clock and no IO.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import isfinite

from optimizer.phases import Phase, PhaseCurrents, PhaseSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A set of conductors with a limit on what the loads below it may draw together."""

    id: str
    parent: str | None
    available: PhaseCurrents
    """What all loads below may draw together, per phase. Below 0 means: already over. [A]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Something that takes 0 or between `min_a` and `max_a`, the same on each of its phases."""

    id: str
    node: str
    phases: PhaseSet
    min_a: float
    max_a: float
    step_a: float = 0.1
    """The charger's resolution; every non-zero value is a multiple of it. [A]"""
    weight: float = 1.0
    """Share in weighted max-min fairness, above the minimum. > 0"""
    rank: int = 0
    """Admission order when not all minimums fit: lower ranks first; ties by id."""
    current_a: float = 0.0
    """What the load holds now; the last stage prefers to leave it there. [A]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One cycle's question. Nodes form one or more trees; loads hang on nodes."""

    nodes: tuple[Node, ...]
    loads: tuple[Load, ...]

    def __post_init__(self) -> None:
        """Check the whole problem.

        Raises:
            ProblemError: With every defect found, not only the first.
        """
        defects = [*_node_defects(self.nodes), *_load_defects(self)]
        if defects:
            raise ProblemError(defects)


class ProblemError(ValueError):
    """The problem contradicts itself; `defects` lists every contradiction."""

    def __init__(self, defects: list[str]) -> None:
        """Keep all defects."""
        super().__init__("; ".join(defects))
        self.defects = tuple(defects)


class Method(Enum):
    """Which method produced an allocation."""

    LP = "lp"
    FILLING = "filling"
    """Progressive filling, after the LP failed or its answer did not pass the check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Why a load has no more: a node's phase is full, or one of the load's own bounds."""

    node: str | None
    phase: Phase | None
    cause: BindingCause


class BindingCause(Enum):
    """What kind of bound holds a load at its value."""

    NODE = "node"
    OWN_MAXIMUM = "own_maximum"
    NOT_ADMITTED = "not_admitted"
    """Its minimum did not fit; node and phase say where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """The answer: a current for every load, rounded to its step and checked."""

    current_a: Mapping[str, float]
    """By load id: 0, or a multiple of the step within [min, max]. [A]"""
    binding: Mapping[str, Binding]
    method: Method
    note: str = ""
    """Why the LP was not used, empty otherwise."""
    stages: Mapping[str, float] = field(default_factory=dict)
    """Objective value by stage name, for records and tests."""


def _node_defects(nodes: tuple[Node, ...]) -> list[str]:
    defects: list[str] = []
    by_id = {node.id: node for node in nodes}
    if len(by_id) != len(nodes):
        defects.append("two nodes have the same id")
    for node in nodes:
        if not node.available.is_finite():
            defects.append(f"node {node.id}: available current is not a finite number")
        if node.parent is not None and node.parent not in by_id:
            defects.append(f"node {node.id}: parent {node.parent} does not exist")
    return defects or _cycle_defects(by_id)


def _cycle_defects(by_id: dict[str, Node]) -> list[str]:
    for node in by_id.values():
        seen = {node.id}
        parent = node.parent
        while parent is not None:
            if parent in seen:
                return [f"node {node.id}: its parents form a circle"]
            seen.add(parent)
            parent = by_id[parent].parent
    return []


def _load_defects(problem: Problem) -> list[str]:
    nodes = {node.id for node in problem.nodes}
    defects: list[str] = []
    if len({load.id for load in problem.loads}) != len(problem.loads):
        defects.append("two loads have the same id")
    for load in problem.loads:
        numbers = (load.min_a, load.max_a, load.step_a, load.weight, load.current_a)
        if not all(isfinite(x) for x in numbers):
            defects.append(f"load {load.id}: a value is not a finite number")
            continue
        if load.node not in nodes:
            defects.append(f"load {load.id}: node {load.node} does not exist")
        if not load.phases or len(set(load.phases)) != len(load.phases):
            defects.append(f"load {load.id}: phases must be distinct and not empty")
        if not 0 <= load.min_a <= load.max_a:
            defects.append(f"load {load.id}: needs 0 <= min_a <= max_a")
        if load.step_a <= 0 or load.weight <= 0:
            defects.append(f"load {load.id}: step_a and weight must be above 0")
    return defects
