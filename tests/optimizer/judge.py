"""The offline judge: the whole problem as one mixed-integer program, solved to the proven optimum.

Three questions: how many can be served at once; how much the worst-off can have; and the best sum of
a concave utility. Used by tests only: its time has no bound.
"""

from __future__ import annotations

from math import inf

import pulp

from optimizer.problem import Problem
from optimizer.steps import highest_counts, lowest_counts
from optimizer.tree import Tree, tree_of

ON_WORTH = 100.0
"""Worth of being served at all, in amperes of the first band."""
BANDS = ((0.25, 8.0), (0.25, 4.0), (0.25, 2.0), (0.25, 1.0))
"""Part of the widest room above the minimum [-], and worth of an ampere in it, per unit of weight."""
WIDEST_A = 32.0


def utility(tree: Tree, current_a: dict[str, float]) -> float:
    """Score an allocation: the same for the judge and the judged."""
    total = 0.0
    low = lowest_counts(tree) * tree.step_a
    for i, load in enumerate(tree.loads):
        value_a = current_a[load.id]
        if value_a <= 0:
            continue
        total += ON_WORTH
        level_a = (value_a - float(low[i])) / load.weight
        for part, worth in _bands():
            total += worth * load.weight * max(0.0, min(level_a, part))
            level_a -= part
    return total


def _bands() -> list[tuple[float, float]]:
    """Return width [A per weight] and worth of each band; the last has no end."""
    widths = [(part * WIDEST_A, worth) for part, worth in BANDS]
    return [*widths[:-1], (inf, widths[-1][1])]


def optimum(problem: Problem) -> float:
    """Return the proven best utility of a problem without unbalance limits and budgets."""
    model = _Model(problem)
    worth: list[tuple[pulp.LpVariable, float]] = [(on, ON_WORTH) for on in model.on]
    for i, load in enumerate(model.tree.loads):
        split = []
        for k, (width, value) in enumerate(_bands()):
            band = model.program.add_variable(f"band_{i}_{k}", 0, None if width == inf else width)
            worth.append((band, value * load.weight))
            split.append((band, load.weight))
        step_a, low = load.step_a, model.low[i]
        model.require([*split, (model.steps[i], -step_a), (model.on[i], low * step_a)], 0.0)
    return model.solve(worth)


def most_served(problem: Problem) -> int:
    """Return how many loads can have their minimum at once."""
    model = _Model(problem)
    return round(model.solve([(on, 1.0) for on in model.on]))


def best_worst_off_a(problem: Problem, served: frozenset[str]) -> float:
    """Return the highest current that all of some loads can have together. [A]"""
    model = _Model(problem)
    worst_off = model.program.add_variable("worst_off", 0)
    for i, load in enumerate(model.tree.loads):
        if load.id in served:
            model.require([(worst_off, 1.0), (model.steps[i], -load.step_a)], 0.0)
            model.require([(model.on[i], -1.0)], -1.0)
        else:
            model.require([(model.on[i], 1.0)], 0.0)
    return model.solve([(worst_off, 1.0)])


class _Model:
    """Limits, minimums and steps of a problem; the objective is added."""

    def __init__(self, problem: Problem) -> None:
        self.tree = tree = tree_of(problem)
        self.program = pulp.LpProblem("judge", pulp.LpMaximize)
        self.low: list[int] = lowest_counts(tree).tolist()
        high: list[int] = highest_counts(tree).tolist()
        self.on = [self.program.add_variable(f"on_{i}", 0, 1, "Integer") for i in range(len(high))]
        self.steps = [
            self.program.add_variable(f"steps_{i}", 0, max(0, most), "Integer")
            for i, most in enumerate(high)
        ]
        terms: list[list[tuple[pulp.LpVariable, float]]] = [[] for _ in tree.rows]
        for i, (least, most) in enumerate(zip(self.low, high, strict=True)):
            if most < least or most == 0:
                self.require([(self.on[i], 1.0)], 0.0)
            self.require([(self.steps[i], 1.0), (self.on[i], -float(max(most, 0)))], 0.0)
            self.require([(self.on[i], float(least)), (self.steps[i], -1.0)], 0.0)
            for row in tree.rows_of[i]:
                terms[row].append((self.steps[i], tree.loads[i].step_a))
        for row, row_terms in enumerate(terms):
            self.require(row_terms, max(0.0, float(tree.available_a[row])) + 1e-6)

    def require(self, terms: list[tuple[pulp.LpVariable, float]], most: float) -> None:
        """Add: the sum of the terms is at most `most`."""
        expression = pulp.LpAffineExpression(terms)
        limit = pulp.LpConstraint(expression, pulp.LpConstraintLE, rhs=most)
        self.program.addConstraint(limit, f"row_{len(self.program.constraints())}")

    def solve(self, objective: list[tuple[pulp.LpVariable, float]]) -> float:
        """Return the proven maximum."""
        self.program.setObjective(pulp.LpAffineExpression(objective))
        self.program.solve(pulp.HiGHS(msg=False, gapRel=1e-7, timeLimit=60))
        if self.program.status != pulp.LpStatusOptimal:
            raise RuntimeError(pulp.LpStatus[self.program.status])
        return float(pulp.value(self.program.objective))
