"""What open dashboards cost, and how smoothly one runs: real controller, simulated chargers, real Chromium.

Run: python benchmarks/dashboard.py [--chargers 500] [--streams 20] [--seconds 60]. The controller is a
process of its own; its CPU and the spacing of its cycles are taken with one listener, then with all
streams and a page open on the list of chargers. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
from playwright.async_api import Page, async_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.e2e.rig import Rig, SiteOptions, running

CHROMIUM = "/usr/bin/chromium"
FRAMES = """seconds => new Promise(resolve => {
  const frames = [], tasks = [], began = performance.now();
  const watch = new PerformanceObserver(list => tasks.push(...list.getEntries().map(e => e.duration)));
  watch.observe({entryTypes: ["longtask"]});
  let last = began;
  const step = now => {
    frames.push(now - last); last = now;
    if (now - began < seconds * 1000) return requestAnimationFrame(step);
    watch.disconnect();
    resolve({frames, tasks, heap: performance.memory?.usedJSHeapSize ?? 0});
  };
  requestAnimationFrame(step);
})"""


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


async def phase(name: str, rig: Rig, first: Listener, work: Any) -> None:
    """Print CPU and cycle spacing while something goes on."""
    assert rig.controller is not None
    process = psutil.Process(rig.controller.pid)
    since, began_s, cpu_s = len(first.decided), time.monotonic(), sum(process.cpu_times()[:2])
    received = first.received
    await work
    took_s = time.monotonic() - began_s
    used_s = sum(process.cpu_times()[:2]) - cpu_s
    print(f"\n{name}")
    print(f"  controller, CPU of one core   {100 * used_s / took_s:.1f} %")
    print(f"  between cycles                {spread(first.spacing_ms(since), 'ms')}")
    print(f"  one stream                    {(first.received - received) / took_s / 1000:.1f} kB/s")
    stats = await rig.get("/api/v1/site")
    print(f"  last cycle                    {stats['last_cycle']}")


async def signed_in(page: Page, rig: Rig) -> None:
    """Open the list of chargers with an account made for it."""
    address = f"http://127.0.0.1:{rig.ports['http']}"
    async with httpx.AsyncClient(
        base_url=address, headers={"Authorization": f"Bearer {rig.token}"}
    ) as api:
        body = {"role": "operator", "password": "benchmark benchmark"}
        (await api.put("/api/v1/users/bench", json=body)).raise_for_status()
    await page.goto(address)
    await page.locator("input[name=name]").fill("bench")
    await page.locator("input[name=password]").fill("benchmark benchmark")
    await page.locator("button[type=submit]").click()
    await page.locator(".tree .node").first.wait_for()


async def frames(page: Page, path: str, seconds: float) -> None:
    """Print how smoothly a page runs."""
    await page.evaluate(f"location.hash = '#/{path}'")
    await page.wait_for_timeout(3000)
    found = await page.evaluate(FRAMES, seconds)
    nodes = await page.evaluate("document.querySelectorAll('*').length")
    late = sum(f > 50 for f in found["frames"])
    print(f"\n  page /#/{path}: {nodes} elements, {found['heap'] / 2**20:.0f} MiB heap")
    print(f"    frames                      {spread(found['frames'], 'ms')}")
    print(f"    later than 50 ms            {late} of {len(found['frames'])}")
    print(
        f"    tasks longer than 50 ms     {len(found['tasks'])}, worst {max(found['tasks'], default=0):.0f} ms"
    )


async def open_all(rig: Rig, streams: int, seconds: float) -> None:
    """Listen with all streams and look at pages."""
    async with asyncio.TaskGroup() as group, async_playwright() as playwright:
        more = [group.create_task(Listener().listen(rig)) for _ in range(streams - 1)]
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = await browser.new_page(viewport={"width": 1360, "height": 860})
        await signed_in(page, rig)
        for path in ("", "chargers"):
            await frames(page, path, seconds / 2)
        await browser.close()
        for task in more:
            task.cancel()


async def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--chargers", type=int, default=500)
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--settle", type=float, default=60.0)
    arguments = parser.parse_args()
    n = arguments.chargers
    options = SiteOptions(chargers=n, limit_a=12.5 * n, building_peak_a=5.0 * n)
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder), options) as rig:
            await rig.until(
                lambda: sum(a > 0 for a in rig.drawn_a().values()) > 0.9 * n,
                within_s=400,
                what="nine of ten charging",
            )
            first = Listener()
            listening = asyncio.create_task(first.listen(rig))
            await asyncio.sleep(arguments.settle)
            await phase("one stream", rig, first, asyncio.sleep(arguments.seconds))
            await phase(
                f"{arguments.streams} streams and a page",
                rig,
                first,
                open_all(rig, arguments.streams, arguments.seconds),
            )
            print(f"  events                        {first.kinds}")
            listening.cancel()


if __name__ == "__main__":
    asyncio.run(main())
