"""The real controller and simulated stations in one process, on real sockets, with quick times."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from adapters.bootstrap import RunningController
from adapters.cli.settings import run_settings
from adapters.config.loader import load_site_file
from adapters.loads import without_loads
from adapters.simulator.scenario import FULL_POWER, Arrival, Scenario
from adapters.simulator.wire import WireSimulator
from controller.records import Role, User
from controller.site import CircuitId, StationId
from tests.e2e.rig import ROOT, free_port

POLICY = (
    "{interval_s: 0.5, increase_interval_s: 1, command_interval_s: 1, settle_s: 1, min_on_s: 0,\n"
    "         recovery_good_s: 0, recovery_ramp_a: 32}"
)


def site_text(ports: dict[str, int], *, chargers: int, limit_a: float) -> str:
    stations = "\n".join(
        f"  CP{n:03}: {{circuit: garage, evses: {{1: {{max_a: 32, fallback_a: 6}}}}}}  # bay {n}"
        for n in range(1, chargers + 1)
    )
    return f"""# Depot: the electrician's notes stay
format: site/1
site: {{id: live, name: Live, timezone: UTC, voltage_v: 230}}
meters:
  main: {{model: eastron/sdm630, connection: "tcp://127.0.0.1:{ports["meter"]}", unit: 1}}
circuits:
  main: {{limit_a: 200, device: mccb, meter: main, building_peak_a: 50}}
  garage:   {{parent: main, limit_a: {limit_a:g}, device: mcb}}   # F3 in the cellar
stations:
{stations}
policy: {POLICY}
ocpp: {{listen: "127.0.0.1:{ports["ocpp"]}", security_profile: 0, unknown_tokens: accept}}
http: {{listen: "127.0.0.1:{ports["http"]}"}}
store: {{path: live.db}}
"""


@dataclass
class LiveSite:
    """A running controller and its simulated site."""

    controller: RunningController
    simulator: WireSimulator
    file: Path
    http: httpx.AsyncClient

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        return await self.http.request(method, path, **more)

    def drawn_a(self, circuit: str = "garage") -> float:
        """What flows physically in the fullest phase of a circuit. [A]"""
        return max(self.simulator.truth().circuits[CircuitId(circuit)].current_a)

    def alarm_codes(self) -> set[str]:
        return {a.condition.code for a in self.controller.alarms.active()}

    async def until(self, reached: Callable[[], object], *, within_s: float = 25.0) -> None:
        async with asyncio.timeout(within_s):
            while not reached():  # noqa: ASYNC110 - the physics has no event to wait for
                await asyncio.sleep(0.05)

    async def until_state(self, version: int, state: str, *, within_s: float = 25.0) -> None:
        async with asyncio.timeout(within_s):
            while True:
                answer = await self.ask("GET", "/api/v1/config/versions")
                states = {v["version"]: v["state"] for v in answer.json()["items"]}
                if states.get(version) == state:
                    return
                await asyncio.sleep(0.1)


@asynccontextmanager
async def live_site(
    folder: Path,
    *,
    chargers: int = 3,
    limit_a: float = 80.0,
    occupied: Sequence[int] | None = None,
    protocols: Mapping[StationId, str] | None = None,
    tick_s: float = 1.0,
    more: str = "",
) -> AsyncIterator[LiveSite]:
    """Run a site; a vehicle comes to every charger, or to those `occupied`, counted from 0."""
    maps = ROOT / "config" / "meters"
    ports = {name: free_port() for name in ("ocpp", "http", "meter")}
    file = folder / "site.yaml"
    file.write_text(site_text(ports, chargers=chargers, limit_a=limit_a) + more)
    settings = run_settings(load_site_file(file))
    async with RunningController(settings) as controller:
        await controller.store.add_user(User(name="ada", role=Role.ADMIN), None)
        token = await controller.store.issue_api_token("ada")
        simulator = WireSimulator(
            site=without_loads(settings.site),
            ocpp_url=f"ws://127.0.0.1:{controller.ocpp.port}",
            secrets={StationId(f"CP{n:03}"): "unused" for n in range(1, 20)},
            scenario=Scenario(
                name="full",
                arrivals=tuple(
                    Arrival(evse=n, vehicle=FULL_POWER, at_s=0)
                    for n in (range(chargers) if occupied is None else occupied)
                ),
            ),
            seed=1,
            maps_dir=maps,
            protocols=protocols,
            tick_s=tick_s,
        )
        await simulator.start()
        client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{controller.http.port}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=40,
            trust_env=False,
        )
        try:
            yield LiveSite(controller, simulator, file, client)
        finally:
            await client.aclose()
            await simulator.stop()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]
