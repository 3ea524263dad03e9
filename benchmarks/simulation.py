"""How many days the lockstep simulation runs in a second, by number of chargers.

Run: python benchmarks/simulation.py [N ...] [--hours H]. Drawn days with drawn faults, one after the
other on one core: processor time and wall-clock time, so that a busy machine can be told.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter, process_time

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from adapters.simulator.lockstep.lockstep import Lockstep
from adapters.simulator.lockstep.random_days import a_day
from adapters.simulator.lockstep.scenario import DAY_S

SEED = 7001


def main() -> None:
    """Print one line per size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("chargers", nargs="*", type=int, default=[10, 50, 200])
    parser.add_argument("--hours", type=float, default=24.0, help="of the day that is run")
    arguments = parser.parse_args()
    for count in arguments.chargers:
        print(line_for(count, arguments.hours * 3600.0), flush=True)


def line_for(count: int, until_s: float) -> str:
    """Run a drawn day from midnight on; return what it took."""
    run = Lockstep(a_day(SEED, chargers=count))
    began_s, began_cpu_s = perf_counter(), process_time()
    run.run(until_s)
    wall_s, cpu_s = perf_counter() - began_s, process_time() - began_cpu_s
    days = until_s / DAY_S
    return (
        f"{count} chargers: {days / wall_s:.3f} days/s by the wall, {days / cpu_s:.3f} by the "
        f"processor ({cpu_s:.1f} s, {run.host.cycles} decisions of {1e3 * cpu_s / run.host.cycles:.2f} ms)"
    )


if __name__ == "__main__":
    main()
