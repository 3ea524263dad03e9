"""How long a whole decision takes, by number of charging EVSEs.

Run: python benchmarks/decide.py [N ...]. Prints medians in ms and the ratio to the smallest site, in
one run. A decision is everything between the frozen snapshot and the commands, the solver included.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from controller.decide import decide
from controller.phases import PhaseCurrents
from optimizer.allocate import Allocator
from tests.controller.builders import Bench, a_circuit, a_site, an_evse

CYCLES = 30


def measured_ms(count: int) -> float:
    """Return the median time of a decision on a site of `count` charging EVSEs. [ms]."""
    halls = max(1, count // 10)
    circuits = [a_circuit(limit_a=12.5 * count, building_peak_a=2.5 * count)]
    circuits += [
        a_circuit(f"hall-{n:03d}", parent="main", meter=None, limit_a=125.0, building_peak_a=0.0)
        for n in range(halls)
    ]
    evses = [an_evse(f"CP{n:04d}", circuit=f"hall-{n % halls:03d}") for n in range(count)]
    bench = Bench(
        site=a_site(circuits=circuits, evses=evses),
        building={"main": PhaseCurrents.balanced(2.0 * count)},
    ).plug_in()
    bench.run(40, step_s=2.0)
    allocate = Allocator().allocate
    times_ms = []
    for cycle in range(CYCLES):
        bench.building["main"] = PhaseCurrents.balanced(2.0 * count + cycle % 5)
        bench.now_s += 2.0
        snapshot = bench.snapshot()
        started = perf_counter()
        decide(snapshot, bench.memory, bench.policy, allocate=allocate)
        times_ms.append((perf_counter() - started) * 1000)
    return statistics.median(times_ms)


def main() -> None:
    """Print the table."""
    counts = [int(a) for a in sys.argv[1:]] or [10, 50, 200, 500]
    base_ms = None
    print(f"{'EVSEs':>6} {'ms':>8} {'ratio':>7} {'ratio per EVSE':>15}")
    for count in counts:
        taken_ms = measured_ms(count)
        base_ms = base_ms if base_ms is not None else taken_ms
        ratio = taken_ms / base_ms
        print(f"{count:6d} {taken_ms:8.2f} {ratio:7.1f} {ratio * counts[0] / count:15.2f}")


if __name__ == "__main__":
    main()
