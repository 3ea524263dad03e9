"""`wattkeeper demo`: a whole simulated site on loopback, with the real controller."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.live import Live

from adapters.bootstrap import RunningController, RunSettings
from adapters.cli.demo_security import DemoSecurity
from adapters.cli.demo_site import MAIN, demo_file, demo_site
from adapters.cli.live import Header, render
from adapters.cli.logs import configure_logs
from adapters.cli.loop import run_on_loop
from adapters.cli.run import START_ERRORS
from adapters.http.server import ListenError as HttpListenError
from adapters.http.settings import HttpSettings
from adapters.modbus.catalogue import catalogue
from adapters.ocpp.settings import OcppSettings
from adapters.simulator import scenario
from adapters.simulator.wire import WireSimulator
from controller.decision import Plan
from controller.records import Role, User
from controller.site import Site

HTTP_PORT = 8080
REFRESH_S = 1.0
ADMIN = "demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSettings:
    """What the command line says."""

    chargers: int
    http_port: int | None
    seconds: float | None
    """Stop after so long; None: until interrupted. [s]"""
    seed: int
    secure: bool = False
    """TLS, and client certificates for one station of each version."""


@dataclass(slots=True)
class Peak:
    """The highest load that was shown of the metered connection."""

    load_a: float = 0.0
    limit_a: float = 0.0

    def see(self, plan: Plan | None) -> None:
        """Take in what is shown."""
        circuit = plan.circuits.get(MAIN) if plan is not None else None
        if circuit is None or circuit.measured_a is None:
            return
        self.load_a = max(self.load_a, *circuit.measured_a)
        self.limit_a = max(circuit.limit_a)

    def text(self) -> str:
        """Say it in one sentence."""
        if not self.limit_a:
            return "The meter was not read yet."
        return f"Highest load seen on {MAIN}: {self.load_a:.0f} of {self.limit_a:.0f} A."


def demo_command(settings: DemoSettings) -> int:
    """Run the demo until interrupted."""
    with tempfile.TemporaryDirectory(prefix="wattkeeper-demo-") as folder:
        log_path = Path(folder) / "demo.log"
        with log_path.open("w") as log:
            configure_logs(stream=log)
            return run_on_loop(_demo(settings, Path(folder)))


async def _demo(settings: DemoSettings, folder: Path) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    wanted = settings.http_port
    try:
        try:
            await _one_demo(settings, folder, HTTP_PORT if wanted is None else wanted, stop)
        except HttpListenError:
            if wanted is not None:
                raise
            # Nobody asked for the usual port: another demo, or anything else, may keep it.
            await _one_demo(settings, folder, 0, stop)
    except HttpListenError:
        typer.echo(
            f"127.0.0.1:{wanted} is in use. Choose another port with --http, or leave it out.",
            err=True,
        )
        return 1
    except START_ERRORS as error:
        typer.echo(str(error), err=True)
        return 1
    return 0


async def _one_demo(
    settings: DemoSettings, folder: Path, http_port: int, stop: asyncio.Event
) -> None:
    """Run controller and simulated site until stopped, or for the seconds asked for."""
    site = demo_site(settings.chargers, meter_port=_free_port())
    peak = Peak()
    started_s = time.monotonic()
    security = DemoSecurity.prepare(folder, list(site.stations)) if settings.secure else None
    run = _run_settings(site, folder, http_port, security)
    async with _running(run, settings, security) as (controller, password, token):
        access = _announce(controller, password, token, security)
        with suppress(TimeoutError):
            async with asyncio.timeout(settings.seconds):
                await _show(controller, access, stop, peak)
        if security is not None:
            typer.echo(security.seen(controller))
    typer.echo(f"Stopped after {time.monotonic() - started_s:.0f} s. {peak.text()}")


def _run_settings(
    site: Site, folder: Path, http_port: int, security: DemoSecurity | None
) -> RunSettings:
    plain = OcppSettings(host="127.0.0.1", port=0)
    file = demo_file(site, folder)
    return RunSettings(
        file=file,
        site=file.site,
        policy=file.policy,
        ocpp=plain if security is None else security.ocpp(),
        http=HttpSettings(host="127.0.0.1", port=http_port),
        store_path=folder / "demo.db",
        influx=None,
        accept_unknown_tokens=True,
        authority=None if security is None else security.authority,
    )


@asynccontextmanager
async def _running(
    run: RunSettings, settings: DemoSettings, security: DemoSecurity | None
) -> AsyncIterator[tuple[RunningController, str, str]]:
    """Start controller and simulated site; give the account's password and API token."""
    site = run.site
    passwords = {station: secrets.token_urlsafe(24) for station in site.stations}
    async with RunningController(run) as controller:
        password, token = await _account(controller)
        for station, secret in passwords.items():
            await controller.store.set_station_secret(station, secret)
        simulator = WireSimulator(
            site=site,
            ocpp_url=f"ws://127.0.0.1:{controller.ocpp.port}",
            secrets=passwords,
            access=None if security is None else security.access(controller.ocpp.ports, passwords),
            scenario=scenario.demo(settings.chargers),
            seed=settings.seed,
            maps_dir=catalogue(),
        )
        await simulator.start()
        try:
            yield controller, password, token
        finally:
            await simulator.stop()


async def _account(controller: RunningController) -> tuple[str, str]:
    """Make the demo's account; its password is random, as every installation's."""
    password = secrets.token_urlsafe(9)
    await controller.store.add_user(User(name=ADMIN, role=Role.ADMIN), password)
    return password, await controller.store.issue_api_token(ADMIN)


def _announce(
    controller: RunningController, password: str, token: str, security: DemoSecurity | None
) -> tuple[str, ...]:
    """Print where the site can be reached; return the lines that are worth keeping in sight."""
    address = f"http://127.0.0.1:{controller.http.port}"
    access = (f"sign in     {ADMIN} / {password}", f"API token   {token}")
    chargers = len(controller.site.stations)
    typer.echo(f"Wattkeeper demo: {chargers} chargers, OCPP 1.6 and 2.0.1, one meter")
    typer.echo(f"  page        {address}/")
    typer.echo(f"  API         {address}/api/v1/site   (OpenAPI: {address}/api/openapi.json)")
    for line in access:
        typer.echo(f"  {line}")
    _announce_stations(controller, security)
    typer.echo("  stop        Ctrl-C")
    sys.stdout.flush()
    return access


def _announce_stations(controller: RunningController, security: DemoSecurity | None) -> None:
    """Print where stations connect."""
    if security is None:
        typer.echo(f"  OCPP        ws://127.0.0.1:{controller.ocpp.port}/")
    else:
        with_password, with_certificate = controller.ocpp.ports
        names = ", ".join(security.certified)
        typer.echo(f"  OCPP        wss://127.0.0.1:{with_password}/  (profile 2: password)")
        typer.echo(f"  OCPP        wss://127.0.0.1:{with_certificate}/  (profile 3: {names})")


async def _show(
    controller: RunningController, access: tuple[str, ...], stop: asyncio.Event, peak: Peak
) -> None:
    """Draw the site until stopped: live on a terminal, a line now and then on a pipe."""
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        await _draw(controller, access, stop, peak)
    else:
        await _print(controller, stop, peak)


async def _draw(
    controller: RunningController, access: tuple[str, ...], stop: asyncio.Event, peak: Peak
) -> None:
    console = Console()
    header = Header(
        title="Wattkeeper demo",
        address=f"http://127.0.0.1:{controller.http.port}/",
        access=access,
        hint="Ctrl-C stops",
    )
    # The other screen: it leaves no residue, and what was announced is there again at the end.
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while not stop.is_set():
            plan = controller.operations.plan()
            peak.see(plan)
            view = render(
                plan,
                controller.operations.alarms(),
                header=header,
                width=console.width,
                height=console.height,
            )
            live.update(view, refresh=True)
            await _pause(stop, REFRESH_S)


async def _print(controller: RunningController, stop: asyncio.Event, peak: Peak) -> None:
    while not stop.is_set():
        plan = controller.operations.plan()
        peak.see(plan)
        if plan is not None:
            loads = ", ".join(
                f"{c.id} {max(c.measured_a or c.building_a + c.committed_a):.1f} of "
                f"{max(c.limit_a):.0f} A"
                for c in plan.circuits.values()
            )
            charging = sum(e.transaction is not None for e in plan.evses.values())
            typer.echo(f"{plan.at:%H:%M:%S} {plan.mode.value}: {charging} charging; {loads}")
        await _pause(stop, 5.0)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
