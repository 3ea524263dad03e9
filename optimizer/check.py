"""The independent judge: it shares no code with what made the answer.

It reads the problem and the final values, nothing else, and adds up in its own way, so that one
mistake in admission, solver or rounding cannot hide itself here. Sums are floating-point; where one
comes so close to a limit that its last digits decide, it is added up again in exact numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from itertools import permutations
from math import fsum, isfinite

from optimizer.phases import Phase
from optimizer.problem import Load, Node, Problem

_PLACE = {phase: index for index, phase in enumerate(Phase)}

LIMIT_TOLERANCE_A = 1e-6
"""What a sum may exceed a limit by. [A]"""

DOUBT_A = 1e-9
"""Closer to the tolerance than this, a sum is added up again in exact numbers. [A]"""

OFF_STEP_TOLERANCE_A = 1e-9
"""How far a value may lie from a whole step. [A]"""


class Rule(Enum):
    """What an answer must obey."""

    LIMIT = "limit"
    UNBALANCE = "unbalance"
    BUDGET = "budget"
    BELOW_MINIMUM = "below_minimum"
    ABOVE_MAXIMUM = "above_maximum"
    OFF_STEP = "off_step"
    NOT_A_NUMBER = "not_a_number"
    MISSING_LOAD = "missing_load"
    UNKNOWN_LOAD = "unknown_load"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One broken rule."""

    rule: Rule
    subject: str
    """The id of the load, or of the node."""
    phase: Phase | None = None
    excess_a: float = 0.0
    """By how much; how far off for steps. [A]"""


def check(problem: Problem, current_a: Mapping[str, float]) -> tuple[Violation, ...]:
    """Return everything that is wrong with an answer; empty means it may be sent.

    Args:
        problem: What was asked.
        current_a: The value of every load, by id. [A]
    """
    known = {load.id for load in problem.loads}
    violations = [
        Violation(rule=Rule.UNKNOWN_LOAD, subject=load) for load in sorted(current_a.keys() - known)
    ]
    flow_a: dict[str, float] = {}
    for load in problem.loads:
        value_a = current_a.get(load.id)
        if value_a is None:
            violations.append(Violation(rule=Rule.MISSING_LOAD, subject=load.id))
        elif not isfinite(value_a):
            violations.append(Violation(rule=Rule.NOT_A_NUMBER, subject=load.id))
        elif value_a != 0:
            flow_a[load.id] = value_a
            # The common case in one line: this runs for every load in every cycle.
            steps = value_a / load.step_a
            if (
                value_a < load.min_a
                or value_a > load.max_a
                or abs(steps - round(steps)) * load.step_a > OFF_STEP_TOLERANCE_A
            ):
                violations.extend(_load_violations(load, value_a))
    violations.extend(_node_violations(problem, flow_a))
    violations.extend(_budget_violations(problem, flow_a))
    return tuple(violations)


def _load_violations(load: Load, value_a: float) -> list[Violation]:
    """Judge one load's value against its own bounds."""
    violations: list[Violation] = []
    if value_a < load.min_a - OFF_STEP_TOLERANCE_A or value_a < 0:
        violations.append(_off(load, Rule.BELOW_MINIMUM, load.min_a - value_a))
    if value_a > load.max_a + OFF_STEP_TOLERANCE_A:
        violations.append(_off(load, Rule.ABOVE_MAXIMUM, value_a - load.max_a))
    distance_a = abs(value_a - round(value_a / load.step_a) * load.step_a)
    if distance_a > OFF_STEP_TOLERANCE_A:
        violations.append(_off(load, Rule.OFF_STEP, distance_a))
    return violations


def _off(load: Load, rule: Rule, excess_a: float) -> Violation:
    return Violation(rule=rule, subject=load.id, excess_a=excess_a)


# --- nodes ----------------------------------------------------------------------------------------


def _node_violations(problem: Problem, flow_a: Mapping[str, float]) -> list[Violation]:
    """Judge what flows through each node, phase by phase and phase against phase.

    A node that is over by itself forbids every load, but is no violation as long as all are 0.
    """
    totals = _totals(problem, flow_a)
    violations: list[Violation] = []
    for node in problem.nodes:
        total_a = totals.get(node.id)
        if total_a is None:
            continue
        for index, phase in enumerate(Phase):
            if total_a[index] == 0:
                continue
            excess_a = total_a[index] - node.available.of(phase)
            if abs(excess_a - LIMIT_TOLERANCE_A) < DOUBT_A:
                excess_a = _exact_excess_a(problem, flow_a, node, phase)
            if excess_a > LIMIT_TOLERANCE_A:
                violations.append(
                    Violation(rule=Rule.LIMIT, subject=node.id, phase=phase, excess_a=excess_a)
                )
        if node.unbalance_a is not None:
            violations.extend(_unbalance_violations(node, total_a, node.unbalance_a))
    return violations


def _totals(problem: Problem, flow_a: Mapping[str, float]) -> dict[str, list[float]]:
    """Add up what flows through each node, from the loads to the root; L1, L2, L3. [A]"""
    totals: dict[str, list[float]] = {}
    for load in problem.loads:
        value_a = flow_a.get(load.id)
        if value_a is None:
            continue
        total_a = totals.get(load.node)
        if total_a is None:
            total_a = totals[load.node] = [0.0, 0.0, 0.0]
        for phase in load.phases:
            if phase is Phase.L1:
                total_a[0] += value_a
            elif phase is Phase.L2:
                total_a[1] += value_a
            else:
                total_a[2] += value_a
    parent_of = {node.id: node.parent for node in problem.nodes}
    own = {node: tuple(total_a) for node, total_a in totals.items()}
    for node, (l1_a, l2_a, l3_a) in own.items():
        above = parent_of[node]
        while above is not None:
            total_a = totals.setdefault(above, [0.0, 0.0, 0.0])
            total_a[0] += l1_a
            total_a[1] += l2_a
            total_a[2] += l3_a
            above = parent_of[above]
    return totals


def _exact_excess_a(
    problem: Problem, flow_a: Mapping[str, float], node: Node, phase: Phase
) -> float:
    """Return by how much a phase of a node is over, without any rounding in the sum. [A]"""
    parent_of = {each.id: each.parent for each in problem.nodes}
    total_a = -Fraction(node.available.of(phase))
    for load in problem.loads:
        at: str | None = load.node if phase in load.phases else None
        while at is not None and at != node.id:
            at = parent_of[at]
        if at is not None:
            total_a += Fraction(flow_a.get(load.id, 0.0))
    return float(total_a)


def _unbalance_violations(
    node: Node, total_a: Sequence[float], unbalance_a: float
) -> list[Violation]:
    """Judge the difference between each two phases; one that is too large by itself may not grow."""
    violations: list[Violation] = []
    for phase, other in permutations(Phase, 2):
        loads_a = total_a[_PLACE[phase]] - total_a[_PLACE[other]]
        others_a = node.flowing.of(phase) - node.flowing.of(other)
        excess_a = loads_a - max(0.0, unbalance_a - others_a)
        if excess_a > LIMIT_TOLERANCE_A:
            violations.append(
                Violation(rule=Rule.UNBALANCE, subject=node.id, phase=phase, excess_a=excess_a)
            )
    return violations


# --- budgets --------------------------------------------------------------------------------------


def _budget_violations(problem: Problem, flow_a: Mapping[str, float]) -> list[Violation]:
    """Judge what some loads take on all their phases together."""
    violations: list[Violation] = []
    for budget in problem.budgets:
        taken_a = [
            flow_a[load.id]
            for load in problem.loads
            if load.id in budget.loads and load.id in flow_a
            for _ in load.phases
        ]
        excess_a = fsum(taken_a) - budget.available_a
        if taken_a and excess_a > LIMIT_TOLERANCE_A:
            violations.append(Violation(rule=Rule.BUDGET, subject=budget.id, excess_a=excess_a))
    return violations
