"""What open dashboards cost the controller: CPU, and how evenly the control cycles come.

Run: python benchmarks/http_server.py [--chargers 500] [--dashboards 20] [--seconds 30]. The simulated site and
the dashboards are processes of their own; the figures are the controller's alone. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import sys
import tempfile
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import httpx
import orjson
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.e2e.rig import Rig, SiteOptions, running

WARM_S = 20.0


async def _listen(url: str, token: str, query: str) -> int:
    """Read a stream of events for ever, as a dashboard does."""
    headers = {"Authorization": f"Bearer {token}"}
    size = 0
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client,
        client.stream("GET", f"/api/v1/events{query}") as answer,
    ):
        async for piece in answer.aiter_raw():
            size += len(piece)
    return size


def _dashboards(count: int, url: str, token: str, query: str) -> None:
    async def all_of_them() -> None:
        await asyncio.gather(*(_listen(url, token, query) for _ in range(count)))

    asyncio.run(all_of_them())


async def _cycles(url: str, token: str, seconds: float) -> tuple[list[float], int]:
    """Return the times between cycles and the bytes of one stream. [s]"""
    at: list[datetime] = []
    size = 0
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client,
        client.stream("GET", "/api/v1/events?deltas=true") as answer,
    ):
        end_s = time.monotonic() + seconds
        async for line in answer.aiter_lines():
            size += len(line)
            if line.startswith('data: {"at"'):
                at.append(datetime.fromisoformat(orjson.loads(line[6:])["at"]))
            if time.monotonic() > end_s:
                break
    gaps = [(b - a).total_seconds() for a, b in pairwise(at)]
    return gaps, size


async def measured(rig: Rig, seconds: float, dashboards: int, query: str) -> None:
    """Print one line: with so many dashboards, by one kind of stream."""
    assert rig.controller is not None
    url = f"http://127.0.0.1:{rig.ports['http']}"
    crowd = multiprocessing.get_context("spawn").Process(
        target=_dashboards, args=(dashboards, url, rig.token, query), daemon=True
    )
    if dashboards:
        crowd.start()
        await asyncio.sleep(5)
    process = psutil.Process(rig.controller.pid)
    began_s, cpu_s = time.monotonic(), sum(process.cpu_times()[:2])
    gaps_s, size = await _cycles(url, rig.token, seconds)
    took_s = time.monotonic() - began_s
    cpu_percent = 100 * (sum(process.cpu_times()[:2]) - cpu_s) / took_s
    if dashboards:
        crowd.terminate()
        crowd.join()
    name = f"{dashboards} {'changes' if query else 'whole frames'}" if dashboards else "none"
    ordered = sorted(gaps_s)
    print(
        f"{name:18} {cpu_percent:6.1f} % of a core; cycles every {statistics.median(gaps_s):.3f} s,"
        f" deviation {statistics.pstdev(gaps_s) * 1000:.0f} ms, longest {ordered[-1]:.3f} s;"
        f" one stream of changes {size / took_s / 1000:.0f} kB/s",
        flush=True,
    )


async def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--chargers", type=int, default=500)
    parser.add_argument("--dashboards", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    options = SiteOptions(
        chargers=arguments.chargers,
        limit_a=12.5 * arguments.chargers,
        building_peak_a=5.0 * arguments.chargers,
    )
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder), options) as rig:
            await rig.until(
                lambda: sum(a > 0 for a in rig.drawn_a().values()) > 0.5 * options.chargers,
                within_s=240,
                what="half of all charging",
            )
            await asyncio.sleep(WARM_S)
            for count, query in (
                (0, ""),
                (arguments.dashboards, ""),
                (arguments.dashboards, "?deltas=true"),
                (0, ""),
            ):
                await measured(rig, arguments.seconds, count, query)


if __name__ == "__main__":
    asyncio.run(main())
