"""What open dashboards cost the controller: CPU, and how punctual the control cycles are.

Run: python benchmarks/http_server.py [--chargers 500] [--dashboards 20] [--seconds 20]. Real decisions of a
charging site every two seconds in a worker, their plans served by the real server, dashboards in a
process of their own. Figures are of the controller's process. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import sys
import time
from pathlib import Path

import httpx
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from adapters.http.server import HttpServer
from adapters.http.settings import HttpSettings
from controller.decide import decide
from controller.phases import PhaseCurrents
from controller.records import Role
from optimizer.allocate import Allocator
from tests.adapters.http.conftest import TOKENS, FakeClock, FakeStore
from tests.controller.builders import Bench, a_circuit, a_site, an_evse
from tests.fakes.control import FakeControl

INTERVAL_S = 2.0


async def _listen(url: str, query: str) -> None:
    """Read a stream of events for ever, as a dashboard does."""
    headers = {"Authorization": f"Bearer {TOKENS[Role.VIEWER]}"}
    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client,
        client.stream("GET", f"/api/v1/events{query}") as answer,
    ):
        async for _ in answer.aiter_raw():
            pass


def _dashboards(count: int, url: str, query: str) -> None:
    async def all_of_them() -> None:
        await asyncio.gather(*(_listen(url, query) for _ in range(count)))

    asyncio.run(all_of_them())


class Controller:
    """Decides on a charging site; what it decided is what the server shows."""

    def __init__(self, count: int) -> None:
        halls = max(1, count // 10)
        circuits = [a_circuit(limit_a=12.5 * count, building_peak_a=2.5 * count)]
        circuits += [
            a_circuit(f"hall-{n:03d}", parent="main", meter=None, limit_a=125.0, building_peak_a=0)
            for n in range(halls)
        ]
        evses = [an_evse(f"CP{n:04d}", circuit=f"hall-{n % halls:03d}") for n in range(count)]
        self.count = count
        self.bench = Bench(
            site=a_site(circuits=circuits, evses=evses),
            building={"main": PhaseCurrents.balanced(2.0 * count)},
        ).plug_in()
        self.bench.run(20, step_s=2.0)
        self.allocate = Allocator().allocate
        self.control = FakeControl()
        self.cycles = 0

    def decide(self) -> None:
        """Decide once, with another load of the building than before."""
        bench = self.bench
        self.cycles += 1
        bench.building["main"] = PhaseCurrents.balanced(2.0 * self.count + 20.0 * (self.cycles % 9))
        bench.now_s += INTERVAL_S
        snapshot = bench.snapshot()
        decision = decide(snapshot, bench.memory, bench.policy, allocate=self.allocate)
        bench.memory = decision.memory
        self.control._plan, self.control._snapshot = decision.plan, snapshot


async def cycles(controller: Controller, seconds: float) -> tuple[list[float], list[float]]:
    """Run the control loop; return how late each cycle began and how long it took. [ms]"""
    late_ms, took_ms = [], []
    due_s = time.perf_counter()
    end_s = due_s + seconds
    while due_s < end_s:
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        began_s = time.perf_counter()
        late_ms.append((began_s - due_s) * 1000)
        await asyncio.to_thread(controller.decide)
        took_ms.append((time.perf_counter() - began_s) * 1000)
        due_s += INTERVAL_S
    return late_ms, took_ms


async def measured(
    controller: Controller, server: HttpServer, seconds: float, count: int, query: str
) -> None:
    """Print one line: with so many dashboards, by one kind of stream."""
    url = f"http://127.0.0.1:{server.port}"
    crowd = multiprocessing.get_context("spawn").Process(
        target=_dashboards, args=(count, url, query), daemon=True
    )
    if count:
        crowd.start()
        await cycles(controller, 6)
    process = psutil.Process()
    began_s, cpu_s = time.monotonic(), sum(process.cpu_times()[:2])
    late_ms, took_ms = await cycles(controller, seconds)
    listening = server._server._services.feed.clients  # type: ignore[union-attr,attr-defined]
    used = (sum(process.cpu_times()[:2]) - cpu_s) / (time.monotonic() - began_s)
    if count:
        crowd.terminate()
        crowd.join()
    name = f"{listening} {'deltas' if query else 'whole frames'}" if count else "none"
    print(
        f"{name:16} {100 * used:5.1f} % of a core; cycle takes {statistics.median(took_ms):4.0f} ms"
        f" (longest {max(took_ms):4.0f}), begins late by {statistics.median(late_ms):4.1f} ms"
        f" (most {max(late_ms):4.1f})",
        flush=True,
    )


async def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--chargers", type=int, default=500)
    parser.add_argument("--dashboards", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    controller = Controller(arguments.chargers)
    controller.decide()
    server = HttpServer(
        settings=HttpSettings(port=0),
        control=controller.control,
        store=FakeStore(),  # type: ignore[arg-type]
        clock=FakeClock(),
    )
    server.start()
    crowd = arguments.dashboards
    for count, query in ((0, ""), (crowd, ""), (crowd, "?deltas=true"), (0, "")):
        await measured(controller, server, arguments.seconds, count, query)
    await asyncio.to_thread(server.stop)


if __name__ == "__main__":
    asyncio.run(main())
