"""What the planner and the policy ask of the allocator: who goes first, how much, and no more than.

Guidance is a wish within the limits. `guided` is the one place where it meets the allocator's
problem, and it can only lower: no limit, no maximum and no node ever grows by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite

from controller.phases import PHASES, ZERO, Phase, PhaseCurrents
from controller.site import CircuitId, EvseId, Site
from optimizer.problem import Budget, Load, Node, Problem

LEAST_WEIGHT = 0.02
"""A load that the plan gives only its minimum takes part in what is left over, after the others: with
0.25 the vehicles that should wait took a sixth of a small connection from those that leave soon. [A]"""

NO_TOTAL_A = 1e6
"""A total of so much limits nothing. [A]"""
MOST_WEIGHT = 100.0
"""No wish counts more than this against one without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseGuidance:
    """What is asked for one EVSE. The defaults ask nothing."""

    target_a: float | None = None
    """What the plan gives it now. Room for it is kept from those in later tiers. [A]"""
    cap_a: float | None = None
    """No more than this; below its minimum it is not started. [A]"""
    weight: float = 1.0
    """Share of what lies above the minimums, where no target says more. > 0"""
    tier: int = 0
    """Lower tiers are served first; within a tier the turn decides."""
    note: str = ""
    """Why, in words for a facility manager."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guidance:
    """All that is asked of the allocator. A missing key asks nothing."""

    evses: Mapping[EvseId, EvseGuidance] = field(default_factory=dict)
    circuit_cap_a: Mapping[CircuitId, PhaseCurrents] = field(default_factory=dict)
    """What all stations below a circuit may share, per phase. [A]"""
    circuit_total_a: Mapping[CircuitId, float] = field(default_factory=dict)
    """What they may share on all phases together. [A]"""
    policy: str = ""
    """Name of the policy that it was made by."""
    until_s: float | None = None
    """Monotonic time after which it is out of date and asks nothing; None: no end. [s]"""

    def evse(self, evse: EvseId) -> EvseGuidance:
        """Return what is asked for an EVSE."""
        return self.evses.get(evse, _NOTHING)

    def holds(self, now_s: float) -> bool:
        """Tell whether it is still in force."""
        return self.until_s is None or now_s <= self.until_s


def with_loads_last(
    evses: Mapping[EvseId, EvseGuidance], site: Site
) -> Mapping[EvseId, EvseGuidance]:
    """Return what is asked for vehicles, with the site's other loads in a tier after all of them."""
    if not evses:
        return evses
    last = 1 + max(asked.tier for asked in evses.values())
    loads = {
        e.id: EvseGuidance(tier=last, note="takes what is left") for e in site.evses() if e.is_load
    }
    return {**evses, **loads}


Row = tuple[str, Phase]
"""A phase of a node."""

_NOTHING = EvseGuidance()
NO_GUIDANCE = Guidance()
"""What the allocator works with when there is no plan."""


def guided(problem: Problem, guidance: Guidance) -> Problem:
    """Return the problem with the guidance in it.

    Args:
        problem: What the limits allow. Ids of nodes and loads are those of circuits and EVSEs.
        guidance: What is asked; values that are not finite numbers ask nothing.

    Returns:
        The same nodes and loads; `available` and `max_a` are the same or lower. Overdue loads
        (rank below 0: the bounded wait of `controller.turns`) stay first and in their order;
        the others are ordered by tier, then as before. A load whose minimum does not fit beside
        the targets of the tiers before it gets a maximum of 0 and waits, unless it is overdue.
    """
    if not (guidance.evses or guidance.circuit_cap_a or guidance.circuit_total_a):
        return problem
    nodes = tuple(_guided_node(node, guidance) for node in problem.nodes)
    loads = [_guided_load(load, guidance) for load in problem.loads]
    order = sorted(loads, key=lambda load: _place(load, guidance))
    rank = {load.id: n for n, load in enumerate(order)}
    waiting = _waiting(nodes, order, guidance)
    return replace(
        problem,
        nodes=nodes,
        loads=tuple(
            replace(
                load,
                rank=rank[load.id],
                min_a=0.0 if load.id in waiting else load.min_a,
                max_a=0.0 if load.id in waiting else load.max_a,
            )
            for load in loads
        ),
        budgets=(*problem.budgets, *_budgets(problem, guidance)),
    )


def _is_overdue(load: Load) -> bool:
    return load.rank < 0


def _place(load: Load, guidance: Guidance) -> tuple[bool, int, int, str]:
    """Order the loads. Tiers do not count among the overdue either: the last tier would starve."""
    tier = 0 if _is_overdue(load) else guidance.evse(EvseId(load.id)).tier
    return (not _is_overdue(load), tier, load.rank, load.id)


def _budgets(problem: Problem, guidance: Guidance) -> list[Budget]:
    """Return the totals as limits on all phases together."""
    by_id = {node.id: node for node in problem.nodes}
    budgets = []
    for circuit, total_a in sorted(guidance.circuit_total_a.items()):
        below = frozenset(x.id for x in problem.loads if circuit in _path(by_id, x.node))
        if below and isfinite(total_a) and total_a < NO_TOTAL_A:
            budget = Budget(id=f"plan:{circuit}", available_a=max(0.0, total_a), loads=below)
            budgets.append(budget)
    return budgets


def _guided_node(node: Node, guidance: Guidance) -> Node:
    cap = guidance.circuit_cap_a.get(CircuitId(node.id))
    if cap is None or not cap.is_finite():
        return node
    return replace(node, available=node.available.lowest(cap.highest(ZERO)))


def _guided_load(load: Load, guidance: Guidance) -> Load:
    asked = guidance.evse(EvseId(load.id))
    most_a = load.max_a
    if asked.cap_a is not None and isfinite(asked.cap_a):
        most_a = min(most_a, max(0.0, asked.cap_a))
    if most_a < load.min_a:
        return replace(load, min_a=0.0, max_a=0.0)
    weight = asked.weight if isfinite(asked.weight) and asked.weight > 0 else 1.0
    weight = min(max(weight, LEAST_WEIGHT), MOST_WEIGHT)
    target_a = _target_a(load, asked)
    if target_a is not None:
        weight = max(LEAST_WEIGHT, target_a - load.min_a)
    return replace(load, max_a=most_a, weight=load.weight * weight)


def _target_a(load: Load, asked: EvseGuidance) -> float | None:
    if asked.target_a is None or not isfinite(asked.target_a):
        return None
    return min(max(0.0, asked.target_a), load.max_a)


def _waiting(nodes: tuple[Node, ...], order: list[Load], guidance: Guidance) -> frozenset[str]:
    """Return the loads that wait, so that those in earlier tiers reach their targets.

    The overdue never wait for a target: their minimums are set aside before all targets.
    """
    by_id = {node.id: node for node in nodes}
    left = {(n.id, phase): n.available.of(phase) for n in nodes for phase in PHASES}
    rows = {x.id: [(n, p) for n in _path(by_id, x.node) for p in x.phases] for x in order}
    kept_a = dict.fromkeys(rows, 0.0)
    for load in order:
        if _is_overdue(load) and min(left[row] for row in rows[load.id]) >= load.min_a:
            kept_a[load.id] = load.min_a
            _take(left, rows[load.id], load.min_a)
    waiting = []
    for load in order:
        target_a = _target_a(load, guidance.evse(EvseId(load.id)))
        room_a = min(left[row] for row in rows[load.id]) + kept_a[load.id]
        waits_by_plan = target_a is not None and target_a < load.min_a
        if waits_by_plan and room_a < load.min_a and not _is_overdue(load):
            waiting.append(load.id)
            continue
        taken_a = min(max(load.min_a, target_a or 0.0), max(load.min_a, room_a))
        _take(left, rows[load.id], taken_a - kept_a[load.id])
    return frozenset(waiting)


def _take(left: dict[Row, float], rows: list[Row], current_a: float) -> None:
    for row in rows:
        left[row] -= current_a


def _path(by_id: Mapping[str, Node], node: str) -> tuple[str, ...]:
    path = [node]
    while (parent := by_id[path[-1]].parent) is not None:
        path.append(parent)
    return tuple(path)
