"""Time one cycle's allocation by size of site.

    python -m benchmarks.optimizer

Each site has one main circuit and N/10 sub-circuits; the next cycle changes limits and maxima only.
All methods run in turn on the same problems, so compare the ratios, not the milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from statistics import median
from time import perf_counter

from optimizer.admission import Admission, admit
from optimizer.allocate import Allocator
from optimizer.filling import fill
from optimizer.lp import FairShareLp
from optimizer.phases import Phase, PhaseCurrents, PhaseSet
from optimizer.problem import Load, Node, Problem
from optimizer.tree import tree_of

SIZES = (10, 50, 200, 1000)
CYCLES = 7
DEADLINE_S = 30.0
PHASES: tuple[PhaseSet, ...] = (
    (Phase.L1, Phase.L2, Phase.L3),
    (Phase.L1, Phase.L2, Phase.L3),
    (Phase.L1,),
    (Phase.L2,),
    (Phase.L3,),
)


def a_cycle(size: int, cycle: int) -> Problem:
    """Return one cycle of a car park; another cycle differs in limits and maxima only."""
    fixed, changing = Random(size), Random(f"{size}/{cycle}")
    circuits = max(1, size // 10)
    nodes = [_node("main", None, changing, low_a=8.0 * size, high_a=10.0 * size)]
    nodes += [_node(f"c{i:03}", "main", changing, low_a=70, high_a=160) for i in range(circuits)]
    loads = [
        Load(
            id=f"cp{i:04}/1",
            node=f"c{i % circuits:03}",
            phases=fixed.choice(PHASES),
            min_a=6.0,
            max_a=changing.choice((16.0, 32.0, changing.uniform(8, 32))),
            weight=fixed.choice((1.0, 1.0, 2.0)),
        )
        for i in range(size)
    ]
    return Problem(nodes=tuple(nodes), loads=tuple(loads))


def _node(id: str, parent: str | None, rng: Random, *, low_a: float, high_a: float) -> Node:
    values = [rng.uniform(low_a, high_a) for _ in range(3)]
    return Node(
        id=id,
        parent=parent,
        available=PhaseCurrents(l1_a=values[0], l2_a=values[1], l3_a=values[2]),
    )


def median_ms(run: Callable[[Admission], object], cycles: list[Admission]) -> float:
    """Return the median time of one cycle. [ms]"""
    times_ms: list[float] = []
    for admission in cycles:
        start_s = perf_counter()
        run(admission)
        times_ms.append((perf_counter() - start_s) * 1000)
    return median(times_ms)


def measure(size: int) -> dict[str, float]:
    """Return median times by method. [ms]"""
    problems = [a_cycle(size, cycle) for cycle in range(CYCLES)]
    cycles = [admit(tree_of(problem)) for problem in problems]
    kept, allocator = FairShareLp(), Allocator()
    kept.share(cycles[0], deadline_s=DEADLINE_S)
    allocator.allocate(problems[0], deadline_s=DEADLINE_S)
    whole_ms: list[float] = []
    for problem in problems:
        start_s = perf_counter()
        allocator.allocate(problem, deadline_s=DEADLINE_S)
        whole_ms.append((perf_counter() - start_s) * 1000)
    return {
        "kept": median_ms(lambda x: kept.share(x, deadline_s=DEADLINE_S), cycles),
        "scratch": median_ms(lambda x: FairShareLp().share(x, deadline_s=DEADLINE_S), cycles),
        "filling": median_ms(fill, cycles),
        "whole cycle": median(whole_ms),
    }


def main() -> None:
    """Print one line per size: milliseconds, and each method's ratio to the kept program."""
    for size in SIZES:
        times_ms = measure(size)
        cells = (f"{name} {ms:8.2f} ({ms / times_ms['kept']:.2f})" for name, ms in times_ms.items())
        print(f"N={size:5}  ms (ratio to kept):  " + "   ".join(cells))


if __name__ == "__main__":
    main()
