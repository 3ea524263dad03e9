"""The independent judge: it shares no code with what made the answer.

It reads the problem and the final values, nothing else, and adds up in its own way, so that one
mistake in admission, solver or rounding cannot hide itself here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from math import isfinite

from optimizer.phases import Phase
from optimizer.problem import Load, Problem

LIMIT_TOLERANCE_A = Fraction(1, 1_000_000)
"""What a sum may exceed a limit by. [A]"""

OFF_STEP_TOLERANCE_A = Fraction(1, 1_000_000_000)
"""How far a value may lie from a whole step. [A]"""


class Rule(Enum):
    """What an answer must obey."""

    LIMIT = "limit"
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
        Violation(rule=Rule.UNKNOWN_LOAD, subject=load)
        for load in sorted(current_a)
        if load not in known
    ]
    exact_a: dict[str, Fraction] = {}
    for load in problem.loads:
        value_a = current_a.get(load.id)
        if value_a is None:
            violations.append(Violation(rule=Rule.MISSING_LOAD, subject=load.id))
        elif not isfinite(value_a):
            violations.append(Violation(rule=Rule.NOT_A_NUMBER, subject=load.id))
        else:
            exact_a[load.id] = Fraction(value_a)
            violations.extend(_load_violations(load, value_a))
    violations.extend(_limit_violations(problem, exact_a))
    return tuple(violations)


def _load_violations(load: Load, value_a: float) -> list[Violation]:
    """Judge one load's value against its own bounds."""
    if value_a == 0:
        return []
    violations: list[Violation] = []
    tolerance_a = float(OFF_STEP_TOLERANCE_A)
    if value_a < load.min_a - tolerance_a or value_a < 0:
        violations.append(_off(load, Rule.BELOW_MINIMUM, load.min_a - value_a))
    if value_a > load.max_a + tolerance_a:
        violations.append(_off(load, Rule.ABOVE_MAXIMUM, value_a - load.max_a))
    distance_a = abs(value_a - round(value_a / load.step_a) * load.step_a)
    if distance_a > tolerance_a:
        violations.append(_off(load, Rule.OFF_STEP, distance_a))
    return violations


def _off(load: Load, rule: Rule, excess_a: float) -> Violation:
    return Violation(rule=rule, subject=load.id, excess_a=excess_a)


def _limit_violations(problem: Problem, exact_a: Mapping[str, Fraction]) -> list[Violation]:
    """Add up what flows through each node, from the loads to the root, in exact numbers.

    A node that is over by itself forbids every load, but is no violation as long as all are 0.
    """
    parent_of = {node.id: node.parent for node in problem.nodes}
    total_a: dict[tuple[str, Phase], Fraction] = {}
    for load in problem.loads:
        value_a = exact_a.get(load.id, Fraction(0))
        if value_a == 0:
            continue
        node: str | None = load.node
        while node is not None:
            for phase in load.phases:
                total_a[node, phase] = total_a.get((node, phase), Fraction(0)) + value_a
            node = parent_of[node]
    violations: list[Violation] = []
    for at in problem.nodes:
        for phase in Phase:
            if (at.id, phase) not in total_a:
                continue
            excess_a = total_a[at.id, phase] - Fraction(at.available.of(phase))
            if excess_a > LIMIT_TOLERANCE_A:
                violations.append(
                    Violation(rule=Rule.LIMIT, subject=at.id, phase=phase, excess_a=float(excess_a))
                )
    return violations
