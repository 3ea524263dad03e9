"""What a load would get if something were different: exact answers by asking again.

Duals say what one more ampere is worth only while nothing switches: a minimum that fits, a step, a
maximum. So the question is posed again with the change in it. Computed when somebody asks, never in
a cycle.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy

from optimizer.admission import Admission, admit
from optimizer.lp import FairShareLp
from optimizer.phases import PHASES, Phase, PhaseCurrents
from optimizer.problem import Budget, Load, Node, Problem
from optimizer.tree import Row, tree_of

FULL_A = 1e-6
"""A row with less left is full. [A]"""
GAIN_A = 1e-6
"""A smaller gain is none. [A]"""
MISSING_WITHIN_A = 0.05
"""So exactly what is missing is found. [A]"""
DEADLINE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What holds a load where it is."""

    rows: tuple[Row, ...]
    """The rows that hold it: raised together, the load gets more. Mostly one."""
    marginal_factor: float
    """What the load gains per ampere on those rows, at the first ampere. [A/A]"""
    missing_a: float
    """For a load at 0: what those rows lack for its minimum. [A]"""
    shared_with: tuple[str, ...]
    """The other loads that take current on those rows, by id."""


class Counterfactuals:
    """Answers questions about one problem."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._lp = FairShareLp()
        self._tree = tree_of(problem)
        self._share_a = self._shares(problem)

    def share_a(self, load: str) -> float:
        """Return what a load gets before rounding. [A]"""
        return self._share_a[load]

    def gain_a(self, load: str, problem: Problem) -> float:
        """Return how much more a load would get in a changed problem, before rounding. [A]"""
        return self._shares(problem)[load] - self._share_a[load]

    def held(self, load: str) -> Held | None:
        """Find what holds a load; None: it has all that it can take."""
        index = next(i for i, x in enumerate(self._tree.loads) if x.id == load)
        at = self._tree.loads[index]
        if self._share_a[load] >= at.max_a - at.step_a:
            return None
        if self._share_a[load] == 0:
            return self._held_out(index)
        slack_a = self._slack_a()
        full = [row for row in self._tree.rows_of[index] if slack_a[row] < FULL_A]
        alone = [(self.gain_a(load, self.raised([row], 1.0)), row) for row in full]
        best = max(alone, key=lambda x: (round(x[0], 6), -x[1]), default=None)
        if best is not None and best[0] > GAIN_A:
            return self._as_held(index, [best[1]], best[0], missing_a=0.0)
        needed = self._needed(load, full)
        gain_a = self.gain_a(load, self.raised(needed, 1.0))
        return self._as_held(index, needed, gain_a, missing_a=0.0) if gain_a > GAIN_A else None

    def _needed(self, load: str, full: list[int]) -> list[int]:
        """Leave out the rows that need not be raised for the load to gain."""
        needed = list(full)
        for row in full:
            fewer = [x for x in needed if x != row]
            if fewer and self.gain_a(load, self.raised(fewer, 1.0)) > GAIN_A:
                needed = fewer
        return needed

    def _held_out(self, index: int) -> Held | None:
        """Find the rows that lack room for a load's minimum beside those that were admitted."""
        load = self._tree.loads[index]
        slack_a = self._admission_slack_a()
        short = [
            (load.min_a * factor - slack_a[row], row)
            for row, factor in self._tree.layout.fills_of[index]
            if slack_a[row] < load.min_a * factor - FULL_A
        ]
        if not short:
            return None
        rows, missing_a = self._missing(index, [row for _, row in short], max(short)[0])
        gain_a = self.gain_a(load.id, self.raised(rows, missing_a + FULL_A))
        return self._as_held(index, rows, gain_a / missing_a, missing_a=missing_a)

    def _missing(self, index: int, short: list[int], least_a: float) -> tuple[list[int], float]:
        """Return what must be free where until a load starts, those ahead in line included. [A]

        Whoever is ahead takes what comes free first, and may then fill another row of its way.
        """
        if self._starts_with(index, short, least_a):
            return short, least_a
        waiting = ~self._admitted(self._problem).admitted
        enough_a = least_a + float(self._tree.min_a[waiting].sum()) * len(PHASES)
        every = list(self._tree.rows_of[index])
        rows = next((x for x in (short, every) if self._starts_with(index, x, enough_a)), None)
        if rows is None:
            return short, least_a
        low_a, high_a = least_a, enough_a
        while high_a - low_a > MISSING_WITHIN_A:
            middle_a = (low_a + high_a) / 2
            if self._starts_with(index, rows, middle_a):
                high_a = middle_a
            else:
                low_a = middle_a
        return rows, high_a

    def _starts_with(self, index: int, rows: list[int], more_a: float) -> bool:
        return bool(self._admitted(self.raised(rows, more_a + FULL_A)).admitted[index])

    def _as_held(
        self, index: int, rows: list[int], marginal_factor: float, *, missing_a: float
    ) -> Held:
        on_rows = numpy.isin(self._tree.layout.entry_row, rows)
        loads = sorted(set(self._tree.layout.entry_load[on_rows].tolist()) - {index})
        ids = [self._tree.loads[i].id for i in loads]
        return Held(
            rows=tuple(self._tree.rows[row] for row in rows),
            marginal_factor=marginal_factor,
            missing_a=missing_a,
            shared_with=tuple(x for x in ids if self._share_a[x] > 0),
        )

    # --- changed problems -------------------------------------------------------------------------

    def raised(self, rows: Iterable[int], more_a: float) -> Problem:
        """Return the problem with some rows raised. [A]"""
        chosen = [self._tree.rows[row] for row in rows]
        phases = {(row.node, row.phase) for row in chosen if row.against is None}
        uneven = {row.node for row in chosen if row.against is not None}
        return replace(
            self._problem,
            nodes=tuple(_raised_node(x, phases, uneven, more_a) for x in self._problem.nodes),
            budgets=tuple(_raised_budget(x, phases, more_a) for x in self._problem.budgets),
        )

    def with_available(self, node: str, more: PhaseCurrents) -> Problem:
        """Return the problem with more at a node. [A]"""
        nodes = tuple(
            replace(x, available=x.available + more) if x.id == node else x
            for x in self._problem.nodes
        )
        return replace(self._problem, nodes=nodes)

    def with_load(self, load: Load) -> Problem:
        """Return the problem with one load changed."""
        loads = tuple(load if x.id == load.id else x for x in self._problem.loads)
        return replace(self._problem, loads=loads)

    def load(self, load: str) -> Load:
        """Return a load of the problem."""
        return next(x for x in self._problem.loads if x.id == load)

    # --- sums -------------------------------------------------------------------------------------

    def _shares(self, problem: Problem) -> dict[str, float]:
        admission = self._admitted(problem)
        values = self._lp.share(admission, deadline_s=DEADLINE_S).tolist()
        ids = [load.id for load in admission.tree.loads]
        return dict(zip(ids, values, strict=True))

    def _admitted(self, problem: Problem) -> Admission:
        return admit(tree_of(problem, self._tree.layout))

    def _slack_a(self) -> list[float]:
        values = numpy.array([self._share_a[load.id] for load in self._tree.loads])
        slack_a: list[float] = (self._tree.available_a - self._tree.layout.used_a(values)).tolist()
        return slack_a

    def _admission_slack_a(self) -> list[float]:
        base_a = self._admitted(self._problem).base_a
        slack_a: list[float] = (self._tree.available_a - self._tree.layout.used_a(base_a)).tolist()
        return slack_a


def _raised_node(
    node: Node, phases: set[tuple[str, Phase | None]], uneven: set[str], more_a: float
) -> Node:
    more = {phase: more_a for phase in Phase if (node.id, phase) in phases}
    if not more and node.id not in uneven:
        return node
    unbalance_a = node.unbalance_a
    if unbalance_a is not None and node.id in uneven:
        unbalance_a += more_a
    available = node.available + PhaseCurrents.from_mapping(more)
    return replace(node, available=available, unbalance_a=unbalance_a)


def _raised_budget(budget: Budget, phases: set[tuple[str, Phase | None]], more_a: float) -> Budget:
    if (budget.id, None) not in phases:
        return budget
    return replace(budget, available_a=budget.available_a + more_a)
