"""A site over two processes: the real command `wattkeeper run` and the simulated site, on real sockets.

The simulated site prints the physical truth; the controller is asked over its API. Nothing here knows
the inside of either.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from adapters.clock import SystemClock
from adapters.store.sqlite_store import SqliteStore
from controller.decision import Condition
from controller.records import Role, User
from controller.site import StationId
from tests.ports import free_port as free_port

ROOT = Path(__file__).resolve().parents[2]
Truth = dict[str, Any]

_LAST_WORDS = 6000
"""Characters of the controller's log that a failure shows: elsewhere nobody can look afterwards."""


class NoConditions:
    def begin(self, condition: Condition) -> None:
        """Conditions of the preparation are of no interest."""

    def end(self, code: str, subject: str) -> None:
        """Likewise."""


@dataclass(kw_only=True)
class SiteOptions:
    chargers: int = 20
    limit_a: float = 250.0
    building_peak_a: float = 120.0
    device: str = "mccb"
    lease_s: int = 300
    scenario: str = "steady"
    extra: str = ""
    """More YAML for the site file."""


@dataclass
class Rig:
    """A running site. `truth` is the latest physical state; `history` all of it with wall times."""

    folder: Path
    options: SiteOptions
    ports: dict[str, int] = field(
        default_factory=lambda: {n: free_port() for n in ("ocpp", "http", "meter")}
    )
    truth: Truth = field(default_factory=dict)
    history: list[tuple[float, Truth]] = field(default_factory=list)
    controller: asyncio.subprocess.Process | None = None
    simulator: asyncio.subprocess.Process | None = None
    token: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    """Variables of the controller besides ours."""

    @property
    def site_file(self) -> Path:
        return self.folder / "site.yaml"

    @property
    def stations(self) -> list[str]:
        return [f"CP{n:03}" for n in range(1, self.options.chargers + 1)]

    # --- preparing --------------------------------------------------------------------------------

    def write_site(self) -> None:
        options, ports = self.options, self.ports
        stations = "\n".join(
            f"  {s}: {{circuit: main, evses: {{1: {{max_a: 32, fallback_a: 6}}}}}}"
            for s in self.stations
        )
        self.site_file.write_text(
            f"""format: site/1
site: {{id: rig, name: Rig, timezone: UTC, voltage_v: 230}}
meters:
  main: {{model: eastron/sdm630, connection: "tcp://127.0.0.1:{ports["meter"]}", unit: 1}}
circuits:
  main: {{limit_a: {options.limit_a}, device: {options.device}, meter: main,
         building_peak_a: {options.building_peak_a}}}
stations:
{stations}
policy: {{lease_s: {options.lease_s}}}
ocpp: {{listen: "127.0.0.1:{ports["ocpp"]}", security_profile: 1, unknown_tokens: accept}}
http: {{listen: "127.0.0.1:{ports["http"]}"}}
store: {{path: rig.db}}
{options.extra}
"""
        )

    async def prepare(self) -> dict[str, str]:
        """Write the site file, the stations' passwords and an API token."""
        self.write_site()
        store = SqliteStore.open(
            self.folder / "rig.db", conditions=NoConditions(), clock=SystemClock()
        )
        try:
            passwords = {s: secrets.token_urlsafe(20) for s in self.stations}
            for station, password in passwords.items():
                await store.set_station_secret(StationId(station), password)
            await store.add_user(User(name="rig", role=Role.ADMIN), None)
            self.token = await store.issue_api_token("rig")
        finally:
            await store.close()
        return passwords

    async def start_controller(self) -> None:
        log = (self.folder / "controller.log").open("ab")
        self.controller = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "adapters.cli.main",
            "run",
            str(self.site_file),
            cwd=ROOT,
            env={**os.environ, **self.environment},
            stdout=log,
            stderr=log,
        )
        log.close()

    async def start_simulator(self, passwords: dict[str, str]) -> None:
        options = self.options
        self.simulator = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "adapters.simulator"),
            *("--chargers", str(options.chargers)),
            *("--ocpp-url", f"ws://127.0.0.1:{self.ports['ocpp']}"),
            *("--meter", f"127.0.0.1:{self.ports['meter']}"),
            *("--scenario", options.scenario),
            *("--limit-a", str(options.limit_a)),
            *("--building-a", str(options.building_peak_a)),
            *("--device", options.device),
            *("--every", "0.25"),
            cwd=ROOT,
            env={**os.environ, "WATTKEEPER_SIMULATOR_SECRETS": json.dumps(passwords)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**24,
        )

    async def read_truth(self) -> None:
        assert self.simulator is not None
        assert self.simulator.stdout is not None
        async for line in self.simulator.stdout:
            data = json.loads(line)
            if "circuits" in data:
                self.truth = data
                self.history.append((time.monotonic(), data))

    async def do(self, **control: Any) -> None:
        assert self.simulator is not None
        assert self.simulator.stdin is not None
        self.simulator.stdin.write(json.dumps(control).encode() + b"\n")
        await self.simulator.stdin.drain()

    # --- looking ----------------------------------------------------------------------------------

    async def get(self, path: str) -> Any:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.ports['http']}",
            headers={"Authorization": f"Bearer {self.token}"},
        ) as client:
            answer = await client.get(path)
            answer.raise_for_status()
            return answer.json()

    def load_a(self, truth: Truth | None = None) -> float:
        """The highest phase of the main circuit, in truth. [A]."""
        current: list[float] = (truth or self.truth)["circuits"]["main"]["current_a"]
        return max(current)

    def building_a(self) -> float:
        building: list[float] = self.truth["circuits"]["main"]["building_a"]
        return max(building)

    def drawn_a(self, truth: Truth | None = None) -> dict[str, float]:
        evses = (truth or self.truth)["evses"]
        return {evse: max(e["current_a"]) for evse, e in evses.items()}

    def limits_a(self) -> dict[str, float]:
        """What each station allows by its own profiles, in truth. [A]."""
        return {evse: e["limit_a"] for evse, e in self.truth["evses"].items()}

    @property
    def trips(self) -> list[Any]:
        trips: list[Any] = self.truth["trips"]
        return trips

    async def until(self, is_so: Callable[[], bool], *, within_s: float, what: str = "") -> float:
        """Wait for something; return how long it took. [s]."""
        started_s = time.monotonic()
        while time.monotonic() - started_s < within_s:
            if self.truth and is_so():
                return time.monotonic() - started_s
            await asyncio.sleep(0.1)
        raise AssertionError(
            f"not within {within_s:.0f} s: {what}; load {self.load_a():.1f} A\n"
            + "\n".join(f"{evse}: {state}" for evse, state in self.truth["evses"].items())
            + f"\nthe controller's last words:\n{self.controller_log()[-_LAST_WORDS:]}"
        )

    def fair_share_a(self) -> float:
        """What each vehicle would have if all of the rest were shared equally. [A]."""
        rest_a = self.options.limit_a - self.building_a()
        return min(32.0, rest_a / self.options.chargers)

    def all_have(self, ratio: float) -> bool:
        """Whether every vehicle has its share and the circuit is within its limit."""
        is_within = self.load_a() <= self.options.limit_a
        return is_within and min(self.drawn_a().values()) >= ratio * self.fair_share_a()

    def worst_since(self, started_s: float) -> float:
        """The highest load since a moment. [A]."""
        return max(self.load_a(t) for at_s, t in self.history if at_s >= started_s)

    def seconds_over(self, started_s: float) -> float:
        """Time from a moment until the load was below the limit for good. [s]."""
        over = [
            at_s
            for at_s, t in self.history
            if at_s >= started_s and self.load_a(t) > self.options.limit_a
        ]
        return max(over, default=started_s) - started_s

    async def kill_controller(self) -> None:
        assert self.controller is not None
        self.controller.send_signal(signal.SIGKILL)
        await self.controller.wait()

    def controller_log(self) -> str:
        return (self.folder / "controller.log").read_text()


@asynccontextmanager
async def running(folder: Path, options: SiteOptions, **environment: str) -> AsyncIterator[Rig]:
    """Start both processes; end both afterwards."""
    rig = Rig(folder=folder, options=options, environment=environment)
    passwords = await rig.prepare()
    await rig.start_simulator(passwords)
    reader = asyncio.create_task(rig.read_truth())
    await rig.start_controller()
    try:
        yield rig
    finally:
        reader.cancel()
        for process in (rig.controller, rig.simulator):
            if process is not None and process.returncode is None:
                process.terminate()
        for process in (rig.controller, rig.simulator):
            if process is not None:
                await process.wait()
        await asyncio.gather(reader, return_exceptions=True)
