"""What open dashboards cost, and how smoothly one runs: real controller, simulated chargers, real Chromium.

Run: python benchmarks/dashboard.py [--chargers 500] [--dashboards 20] [--seconds 40]: about four minutes.
The controller, the simulated site and whoever looks (benchmarks/dashboard_viewers.py: event streams, and a
Chromium that measures its frames) are processes of their own. The controller's CPU and the spacing of
its cycles are taken with nobody looking, with one page, and with that page beside all streams.
Nothing is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.e2e.rig import Rig, SiteOptions, running

VIEWERS = Path(__file__).with_name("dashboard_viewers.py")
PAGES = ("", "chargers")


@dataclass(kw_only=True)
class Listener:
    """One open event stream: how many bytes, and when the cycles were decided."""

    received: int = 0
    decided: list[datetime] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)

    async def listen(self, rig: Rig) -> None:
        """Listen until cancelled."""
        headers = {"Authorization": f"Bearer {rig.token}"}
        url = f"http://127.0.0.1:{rig.ports['http']}/api/v1/events?deltas=true"
        kind = ""
        async with (
            httpx.AsyncClient(timeout=60) as client,
            client.stream("GET", url, headers=headers) as answer,
        ):
            async for line in answer.aiter_lines():
                self.received += len(line)
                if line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: ") and kind in {"cycle", "delta"}:
                    self.kinds[kind] = self.kinds.get(kind, 0) + 1
                    at = orjson.loads(line[6:])["at"]
                    self.decided.append(datetime.fromisoformat(at))

    def spacing_ms(self, since: int) -> list[float]:
        """Return the time between decisions, from the one numbered `since`. [ms]."""
        at = self.decided[since:]
        return [1000 * (b - a).total_seconds() for a, b in pairwise(at)]


def spread(values: list[float], unit: str) -> str:
    """Write median, 95 %, worst."""
    if len(values) < 2:
        return "too few"
    ordered = sorted(values)
    high = ordered[int(0.95 * (len(ordered) - 1))]
    return (
        f"median {statistics.median(values):.1f}, 95 % {high:.1f}, worst {ordered[-1]:.1f} {unit}"
    )


async def phase(name: str, rig: Rig, first: Listener, work: Awaitable[Any]) -> Any:
    """Print CPU and cycle spacing while something goes on; return what came of it."""
    assert rig.controller is not None
    process = psutil.Process(rig.controller.pid)
    since, began_s, cpu_s = len(first.decided), time.monotonic(), sum(process.cpu_times()[:2])
    received = first.received
    found = await work
    took_s = time.monotonic() - began_s
    used_s = sum(process.cpu_times()[:2]) - cpu_s
    print(f"\n{name}, {took_s:.0f} s")
    print(f"  controller, CPU of one core   {100 * used_s / took_s:.1f} %")
    print(f"  between cycles                {spread(first.spacing_ms(since), 'ms')}")
    print(f"  one stream                    {(first.received - received) / took_s / 1000:.1f} kB/s")
    stats = await rig.get("/api/v1/site")
    print(f"  last cycle                    {stats['last_cycle']}", flush=True)
    return found


async def account(rig: Rig) -> None:
    """Make the account that the page signs in with."""
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{rig.ports['http']}",
        headers={"Authorization": f"Bearer {rig.token}"},
    ) as api:
        body = {"role": "operator", "password": "benchmark benchmark"}
        (await api.put("/api/v1/users/bench", json=body)).raise_for_status()


async def look(rig: Rig, streams: int, seconds: float) -> list[dict[str, Any]]:
    """Let another process look at the site; return what its page measured."""
    arguments = (
        *("--url", f"http://127.0.0.1:{rig.ports['http']}", "--token", rig.token),
        *("--name", "bench", "--password", "benchmark benchmark"),
        *("--streams", str(streams), "--seconds", str(seconds / len(PAGES)), *PAGES),
    )
    viewers = await asyncio.create_subprocess_exec(
        sys.executable, str(VIEWERS), *arguments, stdout=asyncio.subprocess.PIPE
    )
    answered, _ = await viewers.communicate()
    return [json.loads(line) for line in answered.splitlines()]


def print_page(found: dict[str, Any]) -> None:
    """Print how smoothly a page ran."""
    frames, tasks = found["frames"], found["tasks"]
    late = sum(f > 50 for f in frames)
    print(
        f"  page /#/{found['path']}: {found['nodes']} elements, {found['heap'] / 2**20:.0f} MiB heap"
    )
    print(f"    frames                      {spread(frames, 'ms')}")
    print(f"    later than 50 ms            {late} of {len(frames)}")
    print(f"    tasks longer than 50 ms     {len(tasks)}, worst {max(tasks, default=0):.0f} ms")


async def compared(rig: Rig, dashboards: int, seconds: float) -> None:
    """Take the figures with nobody looking, with one page, and with all."""
    await account(rig)
    first = Listener()
    listening = asyncio.create_task(first.listen(rig))
    await asyncio.sleep(5)
    await phase("nobody looks", rig, first, asyncio.sleep(seconds))
    for streams in (0, dashboards):
        name = f"one page and {streams} streams" if streams else "one page"
        for page in await phase(name, rig, first, look(rig, streams, seconds)):
            print_page(page)
    print(f"\nevents {first.kinds}")
    listening.cancel()


async def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--chargers", type=int, default=500)
    parser.add_argument("--dashboards", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--settle", type=float, default=30.0)
    arguments = parser.parse_args()
    n = arguments.chargers
    options = SiteOptions(chargers=n, limit_a=12.5 * n, building_peak_a=5.0 * n)
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder), options) as rig:
            took_s = await rig.until(
                lambda: sum(a > 0 for a in rig.drawn_a().values()) > 0.9 * n,
                within_s=400,
                what="nine of ten charging",
            )
            print(f"{n} chargers, nine of ten charging after {took_s:.0f} s", flush=True)
            await asyncio.sleep(arguments.settle)
            await compared(rig, arguments.dashboards, arguments.seconds)


if __name__ == "__main__":
    asyncio.run(main())
