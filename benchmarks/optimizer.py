"""Time one cycle's allocation by size and depth of the site, against other ways to answer it.

    python -m benchmarks.optimizer [--quick]

Every method answers each problem in turn, so that whatever else the machine does meets all of them;
compare the ratios, not the milliseconds. From cycle to cycle limits and maxima change, the topology
does not. Times are processor time, child processes included, so that what else the machine does is
not counted; medians over the cycles.

    whole       the product: `Problem` made, laid out, admitted, solved, rounded, checked, explained
    bare        the same rows as a linear program with a utility of three concave bands, in a
                highspy object that is kept; only bounds are passed, it starts from the last basis
    cbc, highs  the same program written in PuLP in every cycle, solved by PuLP's default solver (CBC)
                and by HiGHS
    milp        the same with "0 or at least the minimum" as binaries, by PuLP's default solver: what
                the whole cycle answers without help from admission
    filling     progressive filling, the fallback, on the admitted problem
    rounding    the product's rounding of the product's share
"""

from __future__ import annotations

import argparse
import gc
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from math import nan
from random import Random
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median
from time import thread_time

import highspy
import numpy
import pulp

from optimizer.admission import Admission, admit
from optimizer.allocate import Allocator
from optimizer.arrays import Floats
from optimizer.filling import fill
from optimizer.lp import FairShareLp
from optimizer.phases import Phase, PhaseCurrents, PhaseSet
from optimizer.problem import Load, Method, Node, Problem
from optimizer.rounding import quantise
from optimizer.tree import Layout, tree_of

SIZES = (10, 20, 50, 100, 200, 500, 1000, 2000)
DEPTHS = (1, 2, 3, 4)
CYCLES = 25
FEW = 5
"""Cycles in which the slow ways are timed too."""
DEADLINE_S = 30.0
BANDS = (4.0, 2.0, 1.0)
"""Worth of an ampere in each third of a load's room, in the bare program."""
PHASES: tuple[PhaseSet, ...] = (
    (Phase.L1, Phase.L2, Phase.L3),
    (Phase.L1, Phase.L2, Phase.L3),
    (Phase.L1,),
    (Phase.L2,),
    (Phase.L3,),
)


# --- problems ---------------------------------------------------------------------------------------


def a_cycle(size: int, cycle: int, *, depth: int = 2, scarce: bool = False) -> Problem:
    """Return one cycle of a car park; another cycle differs in limits and maxima only.

    Depth 1 is a single circuit; each level below has circuits for about ten chargers each.
    """
    fixed, changing = Random(size), Random(f"{size}/{cycle}")
    per_load_a = (0.9, 1.1) if scarce else (8.0, 10.0)
    nodes = [_node("main", None, changing, size, per_load_a)]
    leaves = ["main"]
    for level in range(2, depth + 1):
        count = max(1, round((size / 10) ** ((level - 1) / (depth - 1))))
        below = [f"d{level}-{i:03}" for i in range(count)]
        per_node = size / count
        nodes += [
            _node(id, leaves[i % len(leaves)], changing, per_node, (7.0, 16.0))
            for i, id in enumerate(below)
        ]
        leaves = below
    loads = [
        Load(
            id=f"cp{i:04}/1",
            node=leaves[i % len(leaves)],
            phases=fixed.choice(PHASES),
            min_a=6.0,
            max_a=changing.choice((16.0, 32.0, changing.uniform(8, 32))),
            weight=fixed.choice((1.0, 1.0, 2.0)),
        )
        for i in range(size)
    ]
    return Problem(nodes=tuple(nodes), loads=tuple(loads))


def _node(
    id: str, parent: str | None, rng: Random, loads: float, per_load_a: tuple[float, float]
) -> Node:
    l1_a, l2_a, l3_a = (rng.uniform(*per_load_a) * loads for _ in range(3))
    return Node(id=id, parent=parent, available=PhaseCurrents(l1_a=l1_a, l2_a=l2_a, l3_a=l3_a))


# --- the other ways ---------------------------------------------------------------------------------


class Bare:
    """The program in highspy alone, kept; what a cycle costs without PuLP and without us."""

    def __init__(self, layout: Layout) -> None:
        count = layout.n_loads * len(BANDS)
        self._highs = highs = highspy.Highs()
        for option, value in {"output_flag": False, "threads": 1, "presolve": "off"}.items():
            highs.setOptionValue(option, value)
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = count, len(layout.rows)
        lp.sense_ = highspy.ObjSense.kMaximize
        lp.col_cost_ = numpy.repeat(BANDS, layout.n_loads)
        lp.col_lower_, lp.col_upper_ = numpy.zeros(count), numpy.zeros(count)
        lp.row_lower_ = numpy.full(len(layout.rows), -highspy.kHighsInf)
        lp.row_upper_ = numpy.zeros(len(layout.rows))
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        starts = [*layout.load_start.tolist(), len(layout.entry_row)]
        size = len(layout.entry_row)
        lp.a_matrix_.start_ = [b * size + x for b in range(len(BANDS)) for x in starts[:-1]] + [
            len(BANDS) * size
        ]
        lp.a_matrix_.index_ = numpy.tile(layout.entry_row, len(BANDS))
        lp.a_matrix_.value_ = numpy.tile(layout.entry_factor, len(BANDS))
        highs.passModel(lp)
        self._columns = numpy.arange(count, dtype=numpy.int32)
        self._rows = numpy.arange(len(layout.rows), dtype=numpy.int32)
        self._zero, self._open = numpy.zeros(count), numpy.full(len(layout.rows), -1e30)

    def solve(self, admission: Admission) -> Floats:
        """Pass the bounds and solve from the last basis."""
        upper = numpy.tile(admission.room_a / len(BANDS), len(BANDS))
        self._highs.changeColsBounds(len(self._columns), self._columns, self._zero, upper)
        self._highs.changeRowsBounds(len(self._rows), self._rows, self._open, admission.left_a)
        self._highs.run()
        return numpy.array(self._highs.getSolution().col_value)


def written_anew(admission: Admission, solver: pulp.LpSolver, *, minimums: bool = False) -> None:
    """Write the bare program in PuLP and solve it from scratch, as PuLP's users usually do."""
    program = pulp.LpProblem("share", pulp.LpMaximize)
    tree = admission.tree
    room_a = tree.max_a - tree.min_a if minimums else admission.room_a
    left_a = tree.available_a if minimums else admission.left_a
    worth: list[tuple[pulp.LpVariable, float]] = []
    terms: list[list[tuple[pulp.LpVariable, float]]] = [[] for _ in tree.rows]
    for i, entries in enumerate(tree.layout.entries_of):
        parts = [
            (program.add_variable(f"x_{i}_{k}", 0, max(0.0, float(room_a[i])) / len(BANDS)), band)
            for k, band in enumerate(BANDS)
        ]
        worth += parts
        taken = [(x, 1.0) for x, _ in parts]
        if minimums:
            on = program.add_variable(f"on_{i}", 0, 1, "Integer")
            worth.append((on, 100.0))
            program.addConstraint(_at_most([*taken, (on, -float(room_a[i]))], 0.0), f"on_{i}")
            taken.append((on, float(tree.min_a[i])))
        for row, factor in entries:
            terms[row] += [(x, factor * a) for x, a in taken]
    program.setObjective(pulp.LpAffineExpression(worth))
    for row, row_terms in enumerate(terms):
        program.addConstraint(_at_most(row_terms, max(0.0, float(left_a[row]))), f"limit_{row}")
    program.solve(solver)


def _at_most(terms: list[tuple[pulp.LpVariable, float]], most: float) -> pulp.LpConstraint:
    return pulp.LpConstraint(pulp.LpAffineExpression(terms), pulp.LpConstraintLE, rhs=most)


# --- measuring --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Times:
    """Times of one size. [ms]"""

    whole: float
    bare: float
    rounding: float
    filling: float
    cbc: float
    highs: float
    milp: float

    @property
    def ratio_to_bare(self) -> float:
        """The whole cycle against the bare solve plus rounding."""
        return self.whole / (self.bare + self.rounding)


def measure(size: int, *, depth: int = 2, scarce: bool = False, scratch: bool = True) -> Times:
    """Return the times by method. [ms]"""
    problems = [a_cycle(size, n, depth=depth, scarce=scarce) for n in range(CYCLES)]
    layout = tree_of(problems[0]).layout
    allocator, kept, bare = Allocator(), FairShareLp(), Bare(layout)
    times_ms: dict[str, list[float]] = {field.name: [] for field in fields(Times)}

    def timed(name: str, run: Callable[[], object]) -> None:
        start_s = _processor_s()
        run()
        times_ms[name].append((_processor_s() - start_s) * 1000)

    def whole(problem: Problem) -> None:
        posed = Problem(nodes=problem.nodes, loads=problem.loads)
        answer = allocator.allocate(posed, deadline_s=DEADLINE_S)
        assert answer.method is Method.LP

    gc.collect()
    gc.freeze()  # what earlier sizes left behind is nobody's time
    for n, problem in enumerate([problems[-1], *problems]):
        admission = admit(tree_of(problem, layout))
        share_a = kept.share(admission, deadline_s=DEADLINE_S)
        timed("whole", lambda p=problem: whole(p))
        timed("bare", lambda x=admission: bare.solve(x))
        timed("rounding", lambda x=admission, a=share_a: quantise(x, a))
        timed("filling", lambda x=admission: fill(x))
        if scratch and n <= FEW:
            cbc = pulp.PULP_CBC_CMD(msg=False)
            timed("cbc", lambda x=admission, s=cbc: written_anew(x, s))
            timed("highs", lambda x=admission: written_anew(x, pulp.HiGHS(msg=False)))
            timed("milp", lambda x=admission, s=cbc: written_anew(x, s, minimums=True))
    # The first cycle builds what is kept; it is not a cycle like the others.
    return Times(**{name: median(ms[1:]) if ms else nan for name, ms in times_ms.items()})


def _processor_s() -> float:
    children = getrusage(RUSAGE_CHILDREN)
    return thread_time() + children.ru_utime + children.ru_stime


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Time one cycle's allocation.")
    parser.add_argument("--quick", action="store_true", help="only 50, 200 and 1000 loads")
    sizes = (50, 200, 1000) if parser.parse_args().quick else SIZES
    print(
        "| EVSEs | whole | bare | rounding | whole / (bare + rounding) | filling"
        " | CBC / whole | CBC with minimums / whole | HiGHS from scratch / whole |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    found = {size: measure(size) for size in sizes}
    for size, t in found.items():
        print(
            f"| {size:,} | {t.whole:.2f} | {t.bare:.2f} | {t.rounding:.2f} | {t.ratio_to_bare:.2f}"
            f" | {t.filling:.2f} | {t.cbc / t.whole:.0f} | {t.milp / t.whole:.0f}"
            f" | {t.highs / t.whole:.0f} |"
        )
    growth = math.log(found[max(sizes)].whole / found[50].whole, max(sizes) / 50)
    print(f"\ntime grows as N^{growth:.2f} from 50 to {max(sizes):,}\n")
    for size in (200, 1000):
        by_depth = [measure(size, depth=depth, scratch=False) for depth in DEPTHS]
        cells = ", ".join(f"{t.whole:.2f} ({t.ratio_to_bare:.2f})" for t in by_depth)
        print(f"{size:,} EVSEs at depth 1-4, ms (ratio to bare plus rounding): {cells}")
        t = measure(size, scarce=True, scratch=False)
        print(f"{size:,} EVSEs, half of them have to wait: {t.whole:.2f} ({t.ratio_to_bare:.2f})")


if __name__ == "__main__":
    main()
