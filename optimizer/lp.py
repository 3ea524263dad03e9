"""The linear program that shares what the minimums leave: one solve on the whole model.

Variables: `fair[load]`, current above the minimum up to the load's fair level [A], and
           `more[load]`, current beyond it, up to the load's maximum [A].
Rows:      `limit[node,phase]`: what all loads below take fits what the minimums leave;
           `limit[node,phase-phase]`: no phase exceeds another by more than the unbalance limit;
           `limit[budget]`: what some loads take on all phases together.
Objective: the sum of a concave utility: an ampere below the fair level is worth `FAIR_WORTH`, one
           beyond it 1. So no load passes its fair level while another could still reach its own.

The fair levels are breakpoints of the utility and bind nobody: that limits hold and that nothing is
left over is the program's own doing, whatever the levels are. Where they are the exact max-min
levels, the optimum is the exact weighted max-min share. They come from `optimizer.levels`, or, where
loads can give room to one another, from `optimizer.lexicographic`.

PuLP writes the model once per topology, with names; later cycles pass only changed bounds to the
HiGHS object that is kept with it. Every cycle starts from the basis "everybody at the fair level",
not from the last cycle's, so the same problem gives the same answer whatever was solved before.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy
import pulp

from optimizer.admission import Admission
from optimizer.arrays import Floats, Ints
from optimizer.levels import fair_above
from optimizer.lexicographic import Lexicographic
from optimizer.solver import (
    AT_LOWER,
    AT_UPPER,
    BASIC,
    INF,
    KeptProgram,
    Status,
    basis_of,
    guarded,
)
from optimizer.solver import SolverError as SolverError
from optimizer.tree import Layout

FAIR_WORTH = 100.0
"""Worth of an ampere up to the fair level against one beyond. More than the rows a load can free:
one ampere on three phases can make room for three others."""


class FairShareLp:
    """Solves problem after problem; keeps the model as long as the topology stays the same."""

    def __init__(self) -> None:
        self._model: _Model | None = None
        self._lexicographic = Lexicographic()

    def share(self, admission: Admission, *, deadline_s: float) -> Floats:
        """Share what the minimums leave.

        Args:
            admission: Who takes part, and what is left on each row.
            deadline_s: Time to spend. [s]

        Returns:
            Current per load, minimum included; 0 if not admitted. Shape (n_loads,). [A]

        Raises:
            SolverError: If time is up or the solver does not reach an optimum.
        """
        if not admission.admitted.any():
            return admission.base_a
        ends_at_s = perf_counter() + deadline_s

        def left_s() -> float:
            return ends_at_s - perf_counter()

        return admission.base_a + guarded(lambda: self._above(admission, left_s))

    def _above(self, admission: Admission, left_s: Callable[[], float]) -> Floats:
        if admission.tree.layout.has_credits:
            fair_a = self._lexicographic.fair_above(admission, left_s=left_s)
        else:
            fair_a = fair_above(admission)
        model, self._model = self._model, None  # a model that failed is not used again
        if model is None or model.layout is not admission.tree.layout:
            model = _Model(admission.tree.layout)
        above_a = model.solve(admission, fair_a, time_limit_s=left_s())
        self._model = model
        return above_a


class _Model:
    """The program of one layout, kept."""

    def __init__(self, layout: Layout) -> None:
        count = layout.n_loads
        self.layout = layout
        self.program = KeptProgram(_program(layout))
        self.fair = self.program.columns("fair", count)
        self.more = self.program.columns("more", count)
        self.limit = self.program.rows("limit", len(layout.rows))
        self._both = numpy.concatenate([self.fair, self.more])
        self._zero = numpy.zeros(2 * count)
        self._open = numpy.full(len(layout.rows), -INF)
        self._start = basis_of(_statuses(self.fair, 2 * count), [BASIC] * len(layout.rows))
        self.program.name_rows(
            {int(i): f"limit[{row.name}]" for i, row in zip(self.limit, layout.rows, strict=True)}
        )

    def load_bounds(self, admission: Admission, fair_a: Floats) -> None:
        """Pass one problem's numbers and the starting basis."""
        more_a = numpy.maximum(admission.room_a - fair_a, 0.0)
        self.program.bound_columns(self._both, self._zero, numpy.concatenate([fair_a, more_a]))
        self.program.bound_rows(self.limit, self._open, admission.left_a)
        self.program.start_at(self._start)

    def solve(self, admission: Admission, fair_a: Floats, *, time_limit_s: float) -> Floats:
        """Return the current above the minimum per load. Shape (n_loads,). [A]"""
        self.load_bounds(admission, fair_a)
        solution = self.program.solve(time_limit_s=time_limit_s)
        value_a = numpy.array(solution.col_value)
        above_a: Floats = value_a[self.fair] + value_a[self.more]
        return above_a


def _statuses(fair: Ints, count: int) -> list[Status]:
    """Return the basis status of every column: `fair` at its upper bound, `more` at 0."""
    statuses = [AT_LOWER] * count
    for column in fair:
        statuses[column] = AT_UPPER
    return statuses


def _program(layout: Layout) -> pulp.LpProblem:
    """Write the model of a topology; its bounds are set later, per problem."""
    program = pulp.LpProblem("fair_share", pulp.LpMaximize)
    count = layout.n_loads
    fair = [program.add_variable(f"fair_{i}", lowBound=0) for i in range(count)]
    more = [program.add_variable(f"more_{i}", lowBound=0) for i in range(count)]
    worth = [(x, FAIR_WORTH) for x in fair] + [(x, 1.0) for x in more]
    program.setObjective(pulp.LpAffineExpression(worth))
    terms: list[list[tuple[pulp.LpVariable, float]]] = [[] for _ in layout.rows]
    for i, entries in enumerate(layout.entries_of):
        for row, factor in entries:
            terms[row] += [(fair[i], factor), (more[i], factor)]
    for row, row_terms in enumerate(terms):
        expression = pulp.LpAffineExpression(row_terms)
        limit = pulp.LpConstraint(expression, pulp.LpConstraintLE, rhs=0.0)
        program.addConstraint(limit, f"limit_{row}")
    return program
