"""The linear program: weighted max-min fairness over the tree, solved by HiGHS in process.

The only module that imports the solver. PuLP writes the model once per topology, with names;
later cycles pass only changed bounds to the HiGHS object that is kept with it.

Variables: `above[load]`, the current above the load's minimum [A], and `level` [A per weight].
Rows:      `limit[node,phase]`: the sum of `above` below the node fits what minimums leave;
           `fair[load]`: above[load] >= weight x level.
Each round maximises `level`, then fixes the loads that cannot rise further (a full row, or their
maximum) and drops their `fair` rows, until all are fixed. Because every row only sums up what is
below it, a load is held exactly when a row on its path is full with everybody at the level; so
the rounds end in the lexicographic optimum.

A round starts from a basis written down here, not from the last cycle's, so the same problem gives
the same answer whatever was solved before.
"""

from __future__ import annotations

from time import perf_counter

import highspy
import numpy
import numpy.typing
import pulp

from optimizer.admission import Admission
from optimizer.tree import Tree

_INF = highspy.kHighsInf

_Indices = numpy.typing.NDArray[numpy.int32]

FULL_TOLERANCE_A = 1e-7
"""A row with less than this left per unit of weight is full. [A/weight]"""

AGREEMENT_A = 1e-6
"""How far the solver's level may lie from the level at which its full rows are full. [A/weight]"""


class SolverError(RuntimeError):
    """The solver gave no answer that can be used; the text says why."""


class FairShareLp:
    """Solves problem after problem; keeps the model as long as the topology stays the same."""

    def __init__(self) -> None:
        self._model: _Model | None = None

    def share(self, admission: Admission, *, deadline_s: float) -> tuple[float, ...]:
        """Share what the minimums leave.

        Args:
            admission: Who takes part, and what is left on each row.
            deadline_s: Time to spend, all rounds together. [s]

        Returns:
            Current per load, minimum included; 0 if not admitted. Shape (n_loads,). [A]

        Raises:
            SolverError: If time is up or the solver does not reach an optimum.
        """
        if not any(admission.admitted):
            return admission.base_a
        ends_at_s = perf_counter() + deadline_s
        model, self._model = self._model, None  # a model that failed is not used again
        try:
            if model is None or not model.suits(admission.tree):
                model = _Model(admission.tree)
            above_a = _Rounds(model, admission, ends_at_s=ends_at_s).run()
        except SolverError:
            raise
        except Exception as error:
            # Foreign code: whatever it raises, the caller must be able to answer without it.
            raise SolverError(f"{type(error).__name__}: {error}") from error
        self._model = model
        return tuple(base + above for base, above in zip(admission.base_a, above_a, strict=True))


class _Model:
    """The program of one topology, and the HiGHS object that holds it."""

    def __init__(self, tree: Tree) -> None:
        self._structure = _structure(tree)
        self.program = _program(tree)
        solver = pulp.HiGHS(
            msg=False, threads=1, presolve="off", solver="simplex", simplex_strategy=4
        )
        solver.createAndConfigureSolver(self.program)
        solver.buildSolverModel(self.program)
        self.highs: highspy.Highs = self.program.solverModel
        columns = {column.name: column.index for column in self.program.variables()}
        rows = {row.name: row.index for row in self.program.constraints()}
        self.level: int = columns["level"]
        self.above = _indices(columns, "above", len(tree.loads))
        self.fair = _indices(rows, "fair", len(tree.loads))
        self.limit = _indices(rows, "limit", len(tree.rows))
        self._name_rows(tree)

    def _name_rows(self, tree: Tree) -> None:
        """Give HiGHS the readable names; PuLP would rewrite their signs, and two could collide."""
        for row, load in zip(self.fair, tree.loads, strict=True):
            self.highs.passRowName(row, f"fair[{load.id}]")
        for row, at in zip(self.limit, tree.rows, strict=True):
            self.highs.passRowName(row, f"limit[{at.node},{at.phase.name}]")

    def suits(self, tree: Tree) -> bool:
        """Tell whether this is the model of a problem, up to bounds."""
        return self._structure == _structure(tree)

    def load_bounds(self, admission: Admission) -> None:
        """Pass one problem's bounds and the starting basis, forgetting the last solution."""
        highs = self.highs
        highs.clearSolver()
        active = numpy.array(admission.admitted)
        highs.changeColsBounds(
            len(active), self.above, numpy.zeros(len(active)), numpy.array(admission.room_a)
        )
        for row, left_a in zip(self.limit, admission.left_a, strict=True):
            highs.changeRowBounds(row, -_INF, left_a)
        for row, is_active in zip(self.fair, admission.admitted, strict=True):
            highs.changeRowBounds(row, 0.0 if is_active else -_INF, _INF)
        highs.setBasis(self._start(active))

    def _start(self, active: numpy.typing.NDArray[numpy.bool_]) -> highspy.HighsBasis:
        """Return the basis of "everybody at level 0": feasible, and the same every time."""
        status = highspy.HighsBasisStatus
        columns = [status.kLower] * (len(self.above) + 1)
        rows = [status.kBasic] * (len(self.fair) + len(self.limit))
        for column, row, is_active in zip(self.above, self.fair, active, strict=True):
            if is_active:
                columns[column], rows[row] = status.kBasic, status.kLower
        basis = highspy.HighsBasis()
        basis.col_status, basis.row_status = columns, rows
        basis.valid = True
        return basis

    def raise_level(self, *, time_limit_s: float) -> float:
        """Return the highest level that all loads not yet fixed can reach. [A/weight]"""
        self.highs.setOptionValue("time_limit", self.highs.getRunTime() + time_limit_s)
        self.highs.run()
        status = self.highs.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            raise SolverError(f"HiGHS ended with {self.highs.modelStatusToString(status)}")
        return float(self.highs.getSolution().col_value[self.level])

    def fix(self, loads: list[int], above_a: list[float]) -> None:
        """Hold loads where they are and let the others rise without them. [A]"""
        values = numpy.array(above_a)
        self.highs.changeColsBounds(len(loads), self.above[loads], values, values)
        for row in self.fair[loads]:
            self.highs.changeRowBounds(row, -_INF, _INF)


class _Rounds:
    """One problem's way to the optimum: which loads still rise, which are fixed and where."""

    def __init__(self, model: _Model, admission: Admission, *, ends_at_s: float) -> None:
        self._model = model
        self._ends_at_s = ends_at_s
        self._rows_of = admission.tree.rows_of
        self._weight = tuple(load.weight for load in admission.tree.loads)
        self._room_a = admission.room_a
        self._left_a = list(admission.left_a)
        self._above_a = [0.0] * len(self._weight)
        self._rising = {i for i, yes in enumerate(admission.admitted) if yes}
        self._rising_weight = [0.0] * len(admission.tree.rows)
        self._loads_of: list[list[int]] = [[] for _ in admission.tree.rows]
        for i in sorted(self._rising):
            for row in self._rows_of[i]:
                self._rising_weight[row] += self._weight[i]
                self._loads_of[row].append(i)
        model.load_bounds(admission)

    def run(self) -> list[float]:
        """Return the current above the minimum per load. [A]"""
        while self._rising:
            time_limit_s = self._ends_at_s - perf_counter()
            if time_limit_s <= 0:
                raise SolverError("the deadline passed")
            level = self._model.raise_level(time_limit_s=time_limit_s)
            held = self._held_at(level)
            if not held:
                raise SolverError(f"nothing holds the level {level:.6f}")
            loads = sorted(held)
            above_a = [held[i] for i in loads]
            self._fix(loads, above_a)
            self._model.fix(loads, above_a)
        return self._above_a

    def _held_at(self, level: float) -> dict[int, float]:
        """Return the loads that cannot rise above the solver's level, with their current. [A]

        The current is computed from the full row or the maximum itself, so that the solver's
        last digits do not matter.
        """
        held: dict[int, float] = {}
        for row, loads in enumerate(self._loads_of):
            weight = self._rising_weight[row]
            if not loads:
                continue
            full_at = max(0.0, self._left_a[row]) / weight
            if full_at < level - AGREEMENT_A:
                raise SolverError(f"the level {level:.6f} overfills a row")
            if full_at <= level + FULL_TOLERANCE_A:
                for i in loads:
                    own_a = full_at * self._weight[i]
                    held[i] = min(own_a, self._room_a[i], held.get(i, own_a))
        for i in self._rising:
            if self._room_a[i] <= (level + FULL_TOLERANCE_A) * self._weight[i]:
                held[i] = min(self._room_a[i], held.get(i, self._room_a[i]))
        return held

    def _fix(self, loads: list[int], above_a: list[float]) -> None:
        changed: set[int] = set()
        for i, value_a in zip(loads, above_a, strict=True):
            self._rising.discard(i)
            self._above_a[i] = value_a
            for row in self._rows_of[i]:
                self._left_a[row] -= value_a
                changed.add(row)
        for row in changed:
            self._loads_of[row] = [i for i in self._loads_of[row] if i in self._rising]
            self._rising_weight[row] = sum(self._weight[i] for i in self._loads_of[row])


def _structure(tree: Tree) -> tuple[object, ...]:
    """Return everything about a tree that the model's matrix depends on."""
    return (
        tuple((load.id, load.weight) for load in tree.loads),
        tree.rows,
        tree.rows_of,
    )


def _indices(index: dict[str, int], kind: str, count: int) -> _Indices:
    """Return where HiGHS keeps the columns or rows of one kind, in our order."""
    return numpy.array([index[f"{kind}_{i}"] for i in range(count)], numpy.int32)


def _program(tree: Tree) -> pulp.LpProblem:
    """Write the model of a topology; its bounds are set later, per problem."""
    program = pulp.LpProblem("fair_share", pulp.LpMaximize)
    level = program.add_variable("level", lowBound=0)
    above = [program.add_variable(f"above_{i}", lowBound=0) for i in range(len(tree.loads))]
    program.setObjective(pulp.LpAffineExpression([(level, 1.0)]))
    for i, load in enumerate(tree.loads):
        program.addConstraint(_fair_row(above[i], level, load.weight), f"fair_{i}")
    terms: list[list[tuple[pulp.LpVariable, float]]] = [[] for _ in tree.rows]
    for i, rows in enumerate(tree.rows_of):
        for row in rows:
            terms[row].append((above[i], 1.0))
    for row, row_terms in enumerate(terms):
        program.addConstraint(_limit_row(row_terms), f"limit_{row}")
    return program


def _fair_row(above: pulp.LpVariable, level: pulp.LpVariable, weight: float) -> pulp.LpConstraint:
    """Write `above >= weight x level`."""
    expression = pulp.LpAffineExpression([(above, 1.0), (level, -weight)])
    return pulp.LpConstraint(expression, pulp.LpConstraintGE, rhs=0.0)


def _limit_row(terms: list[tuple[pulp.LpVariable, float]]) -> pulp.LpConstraint:
    """Write `sum of above <= what the minimums leave`; the right side is set per problem."""
    return pulp.LpConstraint(pulp.LpAffineExpression(terms), pulp.LpConstraintLE, rhs=0.0)
