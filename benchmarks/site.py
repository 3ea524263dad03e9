"""CPU, memory and cycle times of the controller with many chargers on real sockets.

Run: python benchmarks/site.py [--chargers 200] [--seconds 90]. The simulated site is a process of its own;
the figures are the controller's alone. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.e2e.rig import Rig, SiteOptions, running

METRICS = ("cycles", "overruns", "decision", "worst_ms")


async def measured(rig: Rig, seconds: float) -> None:
    """Print the figures of a steady stretch."""
    assert rig.controller is not None
    process = psutil.Process(rig.controller.pid)
    began_s, cpu_s = time.monotonic(), sum(process.cpu_times()[:2])
    await asyncio.sleep(seconds)
    took_s = time.monotonic() - began_s
    used_s = sum(process.cpu_times()[:2]) - cpu_s
    site = await rig.get("/api/v1/site")
    print(f"chargers            {rig.options.chargers}")
    print(f"seconds             {took_s:.0f}")
    print(f"CPU of one core     {100 * used_s / took_s:.1f} %")
    print(f"memory (RSS)        {process.memory_info().rss / 2**20:.0f} MiB")
    print(f"mode, solver        {site['mode']}, {site['last_cycle']}")
    print(f"load of limit       {rig.load_a():.0f} of {rig.options.limit_a:.0f} A")
    print(f"trips               {rig.trips}")
    for line in (await _metrics(rig)).splitlines():
        if not line.startswith("#") and any(name in line for name in METRICS):
            print(line)


async def _metrics(rig: Rig) -> str:
    headers = {"Authorization": f"Bearer {rig.token}"}
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{rig.ports['http']}/metrics", headers=headers)
        return answer.text


async def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--chargers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=90.0)
    arguments = parser.parse_args()
    options = SiteOptions(
        chargers=arguments.chargers,
        limit_a=12.5 * arguments.chargers,
        building_peak_a=5.0 * arguments.chargers,
    )
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder), options) as rig:
            took_s = await rig.until(
                lambda: rig.load_a() <= options.limit_a and min(rig.drawn_a().values()) > 0,
                within_s=180,
                what="all charging within the limit",
            )
            print(f"all charging after  {took_s:.0f} s")
            await asyncio.sleep(45)
            await measured(rig, arguments.seconds)


if __name__ == "__main__":
    asyncio.run(main())
