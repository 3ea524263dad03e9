"""The solver, kept: a PuLP program is given to HiGHS once, later only bounds and costs change.

PuLP's own way of solving builds everything anew and takes 13 times longer (`docs/performance.md`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import highspy
import numpy
import pulp

from optimizer.arrays import Floats, Ints

INF = float(highspy.kHighsInf)

Status = highspy.HighsBasisStatus
BASIC = highspy.HighsBasisStatus.kBasic
AT_LOWER = highspy.HighsBasisStatus.kLower
AT_UPPER = highspy.HighsBasisStatus.kUpper


class SolverError(RuntimeError):
    """The solver gave no answer that can be used; the text says why."""


class KeptProgram:
    """A program of one topology, and the HiGHS object that holds it."""

    def __init__(self, program: pulp.LpProblem, *, simplex_strategy: int = 4) -> None:
        """Build it once.

        Args:
            program: Written in PuLP; a maximum is sought if it says so.
            simplex_strategy: HiGHS's; 4 is primal, 1 is dual.
        """
        solver = pulp.HiGHS(
            msg=False,
            threads=1,
            presolve="off",
            solver="simplex",
            simplex_strategy=simplex_strategy,
        )
        solver.createAndConfigureSolver(program)
        solver.buildSolverModel(program)
        # Untyped: its stubs lack some of the calls below.
        self.highs: Any = program.solverModel
        self._stands_at: highspy.HighsBasis | None = None
        self._columns = {column.name: column.index for column in program.variables()}
        self._rows = {row.name: row.index for row in program.constraints()}

    def columns(self, kind: str, count: int) -> Ints:
        """Return where HiGHS keeps the columns `kind_0`, `kind_1` and so on."""
        return numpy.array([self._columns[f"{kind}_{i}"] for i in range(count)], numpy.int64)

    def rows(self, kind: str, count: int) -> Ints:
        """Return where HiGHS keeps the rows `kind_0`, `kind_1` and so on."""
        return numpy.array([self._rows[f"{kind}_{i}"] for i in range(count)], numpy.int64)

    def name_rows(self, names: Mapping[int, str]) -> None:
        """Give HiGHS readable names; PuLP would rewrite their signs, and two could collide."""
        for row, name in names.items():
            self.highs.passRowName(row, name)

    def bound_columns(self, columns: Ints, lower: Floats, upper: Floats) -> None:
        """Change the bounds of columns."""
        self.highs.changeColsBounds(len(columns), columns.astype(numpy.int32), lower, upper)

    def bound_rows(self, rows: Ints, lower: Floats, upper: Floats) -> None:
        """Change the bounds of rows."""
        self.highs.changeRowsBounds(len(rows), rows.astype(numpy.int32), lower, upper)

    def cost_columns(self, columns: Ints, cost: Floats) -> None:
        """Change the costs of columns; HiGHS seeks the minimum."""
        self.highs.changeColsCost(len(columns), columns.astype(numpy.int32), cost)

    def start_at(self, basis: highspy.HighsBasis) -> None:
        """Forget the last solution and start from a basis; the last run may not have left it."""
        if self._stands_at is not basis:
            self.highs.clearSolver()
            self.highs.setBasis(basis)
        self._stands_at = basis

    def solve(self, *, time_limit_s: float) -> highspy.HighsSolution:
        """Solve within a time. [s]

        Raises:
            SolverError: If time is up or the solver does not reach an optimum.
        """
        if time_limit_s <= 0:
            raise SolverError("the deadline passed")
        self.highs.setOptionValue("time_limit", self.highs.getRunTime() + time_limit_s)
        self.highs.run()
        if self.highs.getInfo().simplex_iteration_count > 0:
            self._stands_at = None
        status = self.highs.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            raise SolverError(f"HiGHS ended with {self.highs.modelStatusToString(status)}")
        solution: highspy.HighsSolution = self.highs.getSolution()
        return solution


def basis_of(columns: Sequence[Status], rows: Sequence[Status]) -> highspy.HighsBasis:
    """Return a starting basis from the status of every column and row."""
    basis = highspy.HighsBasis()
    basis.col_status, basis.row_status = list(columns), list(rows)
    basis.valid = True
    return basis


def guarded(solve: Callable[[], Floats]) -> Floats:
    """Run code that calls the solver.

    Raises:
        SolverError: Whatever went wrong: the caller must be able to answer without the solver.
    """
    try:
        return solve()
    except SolverError:
        raise
    except Exception as error:
        # Foreign code may raise anything; a cycle must not end for it.
        raise SolverError(f"{type(error).__name__}: {error}") from error
