"""How long a planning run takes: from scratch, and after a small change.

CPU time: the solver has one thread, and other work on the machine does not count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from time import process_time

import numpy

from controller.outlook import Place, Terms, horizon_problem
from controller.phases import PHASES
from controller.site import CircuitId, EvseId
from controller.timegrid import grid_from
from controller.visit import Visit
from optimizer.horizon import HorizonLp
from optimizer.horizon_problem import HorizonNode, HorizonProblem


def print_speed(counts: tuple[int, ...] = (50, 200, 500, 1000)) -> None:
    """Print one line per size, the median of three runs."""
    print(f"{'EVSEs':>6} {'scratch ms':>11} {'small change ms':>16}")
    for count in counts:
        runs = sorted(_measured_ms(count) for _ in range(3))
        print(f"{count:6d} {runs[1][0]:11.0f} {sorted(r[1] for r in runs)[1]:16.1f}")


def _measured_ms(count: int) -> tuple[float, float]:
    """Return the times from visits to plan: with a new model, and with one vehicle changed."""
    ask = _asker(count)
    lp = HorizonLp()
    began = process_time()
    lp.plan(ask(0.0), deadline_s=60)
    scratch_ms = (process_time() - began) * 1000
    began = process_time()
    lp.plan(ask(10.0), deadline_s=60)
    return scratch_ms, (process_time() - began) * 1000


def _asker(count: int) -> Callable[[float], HorizonProblem]:
    """Return a function that writes the whole program, with `extra_ah` more for one vehicle."""
    rng = numpy.random.default_rng(count)
    grid = grid_from(datetime(2024, 1, 1, 8, 3, tzinfo=UTC))
    halls = [CircuitId(f"hall-{n:03d}") for n in range(max(1, count // 10))]

    def node(name: str, parent: str | None, line_a: float) -> HorizonNode:
        available_ah = numpy.tile(line_a * grid.length_h, (3, 1))
        return HorizonNode(id=name, parent=parent, available_ah=available_ah)

    nodes = (node("main", None, 2.0 * count), *(node(h, "main", 63.0) for h in halls))
    visits, places = {}, []
    for n in range(count):
        evse, circuit = EvseId(f"CP{n:04d}/1"), halls[n % len(halls)]
        phases = PHASES if n % 2 else PHASES[n % 3 : n % 3 + 1]
        places.append(Place(evse=evse, circuit=circuit, phases=phases))
        visits[evse] = Visit(
            evse=evse,
            circuit=circuit,
            phases=phases,
            min_a=6.0,
            max_a=32.0,
            step_a=1.0,
            stay_h=float(rng.uniform(1, 14)),
            need_ah=float(rng.uniform(10, 120)),
            held_a=6.0,
        )

    def ask(extra_ah: float) -> HorizonProblem:
        one = EvseId("CP0000/1")
        changed = {**visits, one: replace(visits[one], need_ah=visits[one].need_ah + extra_ah)}
        return horizon_problem(grid, nodes=nodes, places=places, visits=changed, terms=Terms())

    return ask
