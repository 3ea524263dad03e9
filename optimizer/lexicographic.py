"""Exact weighted max-min where rows do more than sum up: a linear program, round after round.

With an unbalance limit one load gives room to another, and filling alone no longer finds the most.
Variables: `above[load]` [A] and `level` [A per weight].
Rows:      `limit[...]` as in `optimizer.lp`; `fair[load]`: above[load] >= weight x level.
Each round maximises `level`. A load whose `fair` row has a price cannot rise above it in any optimum
(complementary slackness), so it is fixed there and the others go on. At least one is fixed per
round.

Source: Ogryczak, Pioro, Tomaszewski, Telecommunications network design and max-min optimization
problem, 2005, algorithm for convex problems.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy
import pulp

from optimizer.admission import Admission
from optimizer.arrays import Floats, Ints
from optimizer.solver import AT_LOWER, BASIC, INF, KeptProgram, SolverError, basis_of
from optimizer.tree import Layout

PRICED = 1e-9
"""A dual value above this is not zero. [level/A]"""


class Lexicographic:
    """Solves problem after problem; keeps the model as long as topology and weights stay."""

    def __init__(self) -> None:
        self._model: _Model | None = None

    def fair_above(self, admission: Admission, *, left_s: Callable[[], float]) -> Floats:
        """Return the max-min share above the minimum. Shape (n_loads,). [A]

        Args:
            admission: Who takes part, and what is left on each row.
            left_s: Tells how much time is left. [s]

        Raises:
            SolverError: If time is up or the solver does not reach an optimum.
        """
        model, self._model = self._model, None
        layout, weight = admission.tree.layout, admission.tree.weight
        if model is None or not model.suits(layout, weight):
            model = _Model(layout, weight)
        above_a = _rounds(model, admission, left_s)
        self._model = model
        return above_a


def _rounds(model: _Model, admission: Admission, left_s: Callable[[], float]) -> Floats:
    """Raise the common level until everybody is held."""
    above_a = numpy.zeros(len(admission.admitted))
    rising = admission.admitted.copy()
    model.load_bounds(admission)
    while rising.any():
        level, price = model.raise_level(time_limit_s=left_s())
        held = rising & (price > PRICED)
        if not held.any():
            raise SolverError(f"nothing holds the level {level:.6f}")
        own_a = level * admission.tree.weight[held]
        above_a[held] = numpy.clip(own_a, 0.0, admission.room_a[held])
        rising &= ~held
        model.fix(numpy.flatnonzero(held), above_a[held])
    return above_a


class _Model:
    """The program of one layout, kept."""

    def __init__(self, layout: Layout, weight: Floats) -> None:
        count = layout.n_loads
        self._layout, self._weight = layout, weight
        self.program = KeptProgram(_program(layout, weight))
        self._level = int(self.program.columns("level", 1)[0])
        self._above = self.program.columns("above", count)
        self._fair = self.program.rows("fair", count)
        self._limit = self.program.rows("limit", len(layout.rows))

    def suits(self, layout: Layout, weight: Floats) -> bool:
        """Tell whether this is the model of a problem, up to bounds."""
        return layout is self._layout and numpy.array_equal(weight, self._weight)

    def load_bounds(self, admission: Admission) -> None:
        """Pass one problem's bounds and the starting basis, forgetting the last solution."""
        active = admission.admitted
        count = len(active)
        self.program.bound_columns(self._above, numpy.zeros(count), admission.room_a)
        self.program.bound_rows(self._limit, numpy.full(len(self._limit), -INF), admission.left_a)
        self.program.bound_rows(self._fair, numpy.where(active, 0.0, -INF), numpy.full(count, INF))
        columns = [AT_LOWER] * (count + 1)
        rows = [BASIC] * (count + len(self._limit))
        for column, row, is_active in zip(self._above, self._fair, active, strict=True):
            if is_active:
                columns[column], rows[row] = BASIC, AT_LOWER
        self.program.start_at(basis_of(columns, rows))

    def raise_level(self, *, time_limit_s: float) -> tuple[float, Floats]:
        """Return the highest common level of all loads not yet fixed, and what holds it.

        Returns:
            The level [A/weight], and the price of each load's `fair` row. Shape (n_loads,).
        """
        solution = self.program.solve(time_limit_s=time_limit_s)
        price = numpy.abs(numpy.array(solution.row_dual)[self._fair])
        return float(solution.col_value[self._level]), price

    def fix(self, loads: Ints, above_a: Floats) -> None:
        """Hold loads where they are and let the others rise without them. [A]"""
        self.program.bound_columns(self._above[loads], above_a, above_a)
        open_end = numpy.full(len(loads), INF)
        self.program.bound_rows(self._fair[loads], -open_end, open_end)


def _program(layout: Layout, weight: Floats) -> pulp.LpProblem:
    """Write the model of a topology; its bounds are set later, per problem."""
    program = pulp.LpProblem("max_min", pulp.LpMaximize)
    level = program.add_variable("level_0", lowBound=0)
    above = [program.add_variable(f"above_{i}", lowBound=0) for i in range(layout.n_loads)]
    program.setObjective(pulp.LpAffineExpression([(level, 1.0)]))
    for i, load in enumerate(above):
        expression = pulp.LpAffineExpression([(load, 1.0), (level, -float(weight[i]))])
        fair = pulp.LpConstraint(expression, pulp.LpConstraintGE, rhs=0.0)
        program.addConstraint(fair, f"fair_{i}")
    terms: list[list[tuple[pulp.LpVariable, float]]] = [[] for _ in layout.rows]
    for i, entries in enumerate(layout.entries_of):
        for row, factor in entries:
            terms[row].append((above[i], factor))
    for row, row_terms in enumerate(terms):
        expression = pulp.LpAffineExpression(row_terms)
        limit = pulp.LpConstraint(expression, pulp.LpConstraintLE, rhs=0.0)
        program.addConstraint(limit, f"limit_{row}")
    return program
