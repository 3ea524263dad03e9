"""The horizon program: the best use of hours to come, solved by HiGHS in process.

PuLP writes the model once per topology (nodes, loads, number of slots), with names; later runs pass
only bounds and costs to the HiGHS object that is kept with it and start from the last solution.

Variables: `charge[load,slot]` [Ah], `first[load]`: the part that is worth more, `more[load]` and
           `less[load]`: change against what it holds now, `excess[node,slot]`: over a total.
Rows:      `limit[node,phase,slot]`: what is below fits; `total[node,slot]`: all phases together;
           `need[load]`: no more than it needs; `first[load]`: the first part is part of it;
           `change[load]`: charge in the first slot is what is held, plus more, less less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy
import pulp

from optimizer.arrays import Ints
from optimizer.horizon_problem import FloatArray, HorizonPlan, HorizonProblem
from optimizer.phases import PHASES
from optimizer.solver import INF, KeptProgram, SolverError


class HorizonError(RuntimeError):
    """The solver gave no plan; the text says why."""


class HorizonLp:
    """Plans again and again; keeps the model as long as the topology stays the same."""

    def __init__(self) -> None:
        self._model: _Model | None = None

    def plan(self, problem: HorizonProblem, *, deadline_s: float) -> HorizonPlan:
        """Find the plan of the highest value.

        Args:
            problem: Nodes and loads over the slots.
            deadline_s: Time the solver may take. [s]

        Raises:
            HorizonError: If time is up or the solver does not reach an optimum.
        """
        if not problem.loads:
            return _empty(problem)
        model, self._model = self._model, None  # a model that failed is not used again
        try:
            if model is None or model.shape != _shape(problem):
                model = _Model(problem)
            plan = model.solve(problem, deadline_s=deadline_s)
        except SolverError as error:
            raise HorizonError(str(error)) from error
        except Exception as error:
            # Foreign code: whatever it raises, the caller must be able to go on without a plan.
            raise HorizonError(f"{type(error).__name__}: {error}") from error
        self._model = model
        return plan


def _empty(problem: HorizonProblem) -> HorizonPlan:
    """Return the plan of a site without EVSEs."""
    nodes = {node.id: node for node in problem.nodes}
    return HorizonPlan(
        charge_ah={},
        price={n: numpy.zeros((3, problem.n_slots)) for n in nodes},
        excess_ah={n: numpy.zeros(problem.n_slots) for n in nodes if nodes[n].total_ah is not None},
        value=0.0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    charge: Ints
    """Shape (n_loads, n_slots)."""
    first: Ints
    more: Ints
    less: Ints
    excess: Ints
    """Shape (n_totals, n_slots)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    limit: Ints
    """Shape (n_limits, n_slots)."""
    total: Ints
    """Shape (n_totals, n_slots)."""
    need: Ints
    first: Ints
    change: Ints


class _Model:
    """The program of one topology, and the HiGHS object that holds it."""

    def __init__(self, problem: HorizonProblem) -> None:
        self.shape = _shape(problem)
        self._limits = _limits(problem)
        self._totals = [n for n, node in enumerate(problem.nodes) if node.total_ah is not None]
        self._kept = KeptProgram(self._written(problem), simplex_strategy=1)
        n, k = len(problem.loads), problem.n_slots
        limits, totals = len(self._limits), len(self._totals)
        columns, rows = self._kept.columns, self._kept.rows
        self._columns = _Columns(
            charge=columns("charge", n * k).reshape(n, k),
            first=columns("first", n),
            more=columns("more", n),
            less=columns("less", n),
            excess=columns("excess", totals * k).reshape(totals, k),
        )
        self._rows = _Rows(
            limit=rows("limit", limits * k).reshape(limits, k),
            total=rows("total", totals * k).reshape(totals, k),
            need=rows("need", n),
            first=rows("firstpart", n),
            change=rows("change", n),
        )

    def _written(self, problem: HorizonProblem) -> pulp.LpProblem:
        """Write the model; its bounds and costs are set later, per run."""
        program = pulp.LpProblem("horizon", pulp.LpMaximize)
        n, slots = range(len(problem.loads)), problem.n_slots
        charge = [
            [program.add_variable(f"charge_{i * slots + k}", 0) for k in range(slots)] for i in n
        ]
        first, more, less = (
            [program.add_variable(f"{kind}_{i}", 0) for i in n]
            for kind in ("first", "more", "less")
        )
        program.setObjective(pulp.LpAffineExpression([(x, 1.0) for row in charge for x in row]))
        for i in n:
            every = [(x, 1.0) for x in charge[i]]
            _add(program, f"need_{i}", every, pulp.LpConstraintLE)
            _add(program, f"firstpart_{i}", [(first[i], 1.0), *((x, -1.0) for x, _ in every)])
            change = [(charge[i][0], 1.0), (more[i], -1.0), (less[i], 1.0)]
            _add(program, f"change_{i}", change, pulp.LpConstraintEQ)
        for r, (_, _, loads) in enumerate(self._limits):
            for k in range(slots):
                _add(program, f"limit_{r * slots + k}", [(charge[i][k], 1.0) for i in loads])
        below = _below(problem)
        for t, node in enumerate(self._totals):
            weights = [(i, float(len(problem.loads[i].phases))) for i in below[node]]
            for k in range(slots):
                excess = program.add_variable(f"excess_{t * slots + k}", 0)
                terms = [(charge[i][k], w) for i, w in weights]
                _add(program, f"total_{t * slots + k}", [*terms, (excess, -1.0)])
        return program

    def solve(self, problem: HorizonProblem, *, deadline_s: float) -> HorizonPlan:
        """Pass this run's bounds and costs, solve, and read the plan."""
        self._pass(problem)
        solution = self._kept.solve(time_limit_s=deadline_s)
        return self._read(problem, numpy.array(solution.col_value), numpy.array(solution.row_dual))

    def _pass(self, problem: HorizonProblem) -> None:
        loads, columns, rows = problem.loads, self._columns, self._rows
        ceiling = numpy.array([x.ceiling_ah for x in loads]).reshape(columns.charge.shape)
        worth = numpy.array([x.worth for x in loads]).reshape(columns.charge.shape)
        first_ah = numpy.array([min(x.first_ah, x.need_ah) for x in loads])
        held_ah = numpy.array([x.held_ah for x in loads])
        change_cost = numpy.array([x.change_cost_per_ah for x in loads])
        free = numpy.full(len(loads), INF)
        totals = [problem.nodes[n] for n in self._totals]
        excess_ub = numpy.array([_excess_ceiling(x.excess_cost, problem.n_slots) for x in totals])
        excess_cost = numpy.array(
            [
                numpy.zeros(problem.n_slots) if x.excess_cost is None else x.excess_cost
                for x in totals
            ]
        )
        self._set_columns(columns.charge, ceiling, worth)
        self._set_columns(
            columns.first, first_ah, numpy.array([x.first_worth_per_ah for x in loads])
        )
        self._set_columns(columns.more, free, -change_cost)
        self._set_columns(columns.less, free, -change_cost)
        self._set_columns(columns.excess, excess_ub, -excess_cost)
        available = numpy.array([problem.nodes[n].available_ah[p] for n, p, _ in self._limits])
        self._set_rows(rows.limit, available)
        self._set_rows(rows.total, numpy.array([x.total_ah for x in totals]))
        self._set_rows(rows.need, numpy.array([x.need_ah for x in loads]))
        self._set_rows(rows.first, numpy.zeros(len(loads)))
        self._fix_rows(rows.change, held_ah)

    def _set_columns(self, index: Ints, upper: FloatArray, worth: FloatArray) -> None:
        """Bound columns from 0 to `upper`; HiGHS minimises, so worth is passed with its sign turned."""
        flat = index.ravel()
        if flat.size == 0:
            return
        self._kept.bound_columns(flat, numpy.zeros(flat.size), upper.ravel())
        self._kept.cost_columns(flat, -worth.ravel())

    def _set_rows(self, index: Ints, upper: FloatArray) -> None:
        """Let rows be at most `upper`."""
        if index.size:
            flat = index.ravel()
            self._kept.bound_rows(flat, numpy.full(flat.size, -INF), upper.ravel())

    def _fix_rows(self, index: Ints, at: FloatArray) -> None:
        """Make rows equations."""
        self._kept.bound_rows(index, at, at)

    def _read(
        self, problem: HorizonProblem, values: FloatArray, row_dual: FloatArray
    ) -> HorizonPlan:
        duals = numpy.maximum(0.0, -row_dual)
        charge = values[self._columns.charge]
        price = {node.id: numpy.zeros((3, problem.n_slots)) for node in problem.nodes}
        for r, (node, phase, _) in enumerate(self._limits):
            price[problem.nodes[node].id][phase] = duals[self._rows.limit[r]]
        excess = values[self._columns.excess]
        return HorizonPlan(
            charge_ah={x.id: numpy.maximum(0.0, charge[i]) for i, x in enumerate(problem.loads)},
            price=price,
            excess_ah={problem.nodes[n].id: excess[t] for t, n in enumerate(self._totals)},
            value=-float(self._kept.highs.getInfo().objective_function_value),
        )


def _add(
    program: pulp.LpProblem,
    name: str,
    terms: list[tuple[pulp.LpVariable, float]],
    sense: int = pulp.LpConstraintLE,
) -> None:
    program.addConstraint(pulp.LpConstraint(pulp.LpAffineExpression(terms), sense, rhs=0.0), name)


def _excess_ceiling(cost: FloatArray | None, n_slots: int) -> FloatArray:
    return numpy.full(n_slots, INF if cost is not None else 0.0)


def _shape(problem: HorizonProblem) -> tuple[object, ...]:
    """Return everything that the model's matrix depends on."""
    return (
        problem.n_slots,
        tuple((x.id, x.parent, x.total_ah is not None) for x in problem.nodes),
        tuple((x.id, x.node, x.phases) for x in problem.loads),
    )


def _below(problem: HorizonProblem) -> list[list[int]]:
    """Return for every node the loads that hang on it or further below."""
    index = {node.id: n for n, node in enumerate(problem.nodes)}
    below: list[list[int]] = [[] for _ in problem.nodes]
    for i, load in enumerate(problem.loads):
        node: str | None = load.node
        while node is not None:
            below[index[node]].append(i)
            node = problem.nodes[index[node]].parent
    return below


def _limits(problem: HorizonProblem) -> list[tuple[int, int, list[int]]]:
    """Return node, phase and loads of every limit that carries a load."""
    below = _below(problem)
    return [
        (n, p, loads)
        for n in range(len(problem.nodes))
        for p, phase in enumerate(PHASES)
        if (loads := [i for i in below[n] if phase in problem.loads[i].phases])
    ]
