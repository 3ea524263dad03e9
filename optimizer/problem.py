"""What the allocator is asked: nodes with limits, loads that want current.

The optimizer's own small vocabulary. It knows no charger, no clock and no IO.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import permutations
from math import inf, isfinite

from optimizer.phases import PHASES, ZERO, Phase, PhaseCurrents, PhaseSet
from optimizer.values import quick

_PHASE_SETS = frozenset(p for count in (1, 2, 3) for p in permutations(PHASES, count))


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A set of conductors with a limit on what the loads below it may draw together."""

    id: str
    parent: str | None
    available: PhaseCurrents
    """What all loads below may draw together, per phase. Below 0 means: already over. [A]"""
    unbalance_a: float | None = None
    """By how much any phase may exceed any other, all that flows counted; None: no limit. [A]"""
    flowing: PhaseCurrents = ZERO
    """What else flows through the node; counts for the unbalance only. [A]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A limit on what some loads take on all their phases together, wherever they hang.

    For example the surplus of a PV plant that only these loads may use.
    """

    id: str
    available_a: float
    """Sum over loads and phases. Below 0 means: nothing may be taken. [A]"""
    loads: frozenset[str]
    """Ids of the loads that count."""


@quick
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
    """Admission order when not all minimums fit: lower ranks first. Within a rank as many as possible."""
    current_a: float = 0.0
    """What the load holds now; the last stage prefers to leave it there. [A]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One cycle's question. Nodes form one or more trees; loads hang on nodes."""

    nodes: tuple[Node, ...]
    loads: tuple[Load, ...]
    budgets: tuple[Budget, ...] = ()
    settle_a: float = 0.0
    """Changes up to this size are avoided at the cost of fairness, never of a limit. [A]"""

    def __post_init__(self) -> None:
        """Check the whole problem.

        Raises:
            ProblemError: With every defect found, not only the first.
        """
        defects = [*_node_defects(self.nodes), *_load_defects(self), *_budget_defects(self)]
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
    """Id of the node or budget that is full."""
    phase: Phase | None
    """None for a budget, which counts all phases together."""
    cause: BindingCause


class BindingCause(Enum):
    """What kind of bound holds a load at its value."""

    NODE = "node"
    OWN_MAXIMUM = "own_maximum"
    UNBALANCE = "unbalance"
    """The phase may not exceed another by more than the node's unbalance limit."""
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
        if not (node.available.is_finite() and node.flowing.is_finite()):
            defects.append(f"node {node.id}: available current is not a finite number")
        if node.unbalance_a is not None and not 0 <= node.unbalance_a < inf:
            defects.append(f"node {node.id}: unbalance_a must be 0 or more")
        if node.parent is not None and node.parent not in by_id:
            defects.append(f"node {node.id}: parent {node.parent} does not exist")
    return defects or _cycle_defects(by_id)


def _cycle_defects(by_id: dict[str, Node]) -> list[str]:
    """Walk up from every node once; what leads to a known good node is good."""
    good: set[str] = set()
    for node in by_id.values():
        seen: set[str] = set()
        at: str | None = node.id
        while at is not None and at not in good:
            if at in seen:
                return [f"node {node.id}: its parents form a circle"]
            seen.add(at)
            at = by_id[at].parent
        good |= seen
    return []


def _load_defects(problem: Problem) -> list[str]:
    nodes = {node.id for node in problem.nodes}
    defects: list[str] = []
    if len({load.id for load in problem.loads}) != len(problem.loads):
        defects.append("two loads have the same id")
    for load in problem.loads:
        # One comparison clears a good load; this runs in every cycle for every load.
        if (
            0 <= load.min_a <= load.max_a < inf
            and 0 < load.step_a < inf
            and 0 < load.weight < inf
            and -inf < load.current_a < inf
            and load.node in nodes
            and load.phases in _PHASE_SETS
        ):
            continue
        defects.extend(_defects_of(load, nodes))
    return defects


def _defects_of(load: Load, nodes: set[str]) -> list[str]:
    """Name everything that is wrong with one load."""
    numbers = (load.min_a, load.max_a, load.step_a, load.weight, load.current_a)
    if not all(isfinite(x) for x in numbers):
        return [f"load {load.id}: a value is not a finite number"]
    defects: list[str] = []
    if load.node not in nodes:
        defects.append(f"load {load.id}: node {load.node} does not exist")
    if not load.phases or len(set(load.phases)) != len(load.phases):
        defects.append(f"load {load.id}: phases must be distinct and not empty")
    if not 0 <= load.min_a <= load.max_a:
        defects.append(f"load {load.id}: needs 0 <= min_a <= max_a")
    if load.step_a <= 0 or load.weight <= 0:
        defects.append(f"load {load.id}: step_a and weight must be above 0")
    return defects


def _budget_defects(problem: Problem) -> list[str]:
    defects: list[str] = []
    taken = {node.id for node in problem.nodes}
    for budget in problem.budgets:
        if budget.id in taken:
            defects.append(f"budget {budget.id}: its id is taken")
        taken.add(budget.id)
        if not isfinite(budget.available_a):
            defects.append(f"budget {budget.id}: available current is not a finite number")
        unknown = budget.loads - {load.id for load in problem.loads}
        if unknown:
            defects.append(f"budget {budget.id}: load {min(unknown)} does not exist")
    if not 0 <= problem.settle_a < inf:
        defects.append("settle_a must be 0 or more")
    return defects
