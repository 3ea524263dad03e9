"""`wattkeeper demo`: a whole simulated site on loopback, with the real controller."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.live import Live

from adapters.bootstrap import RunningController, RunSettings
from adapters.cli.demo_site import demo_site
from adapters.cli.live import Header, render
from adapters.cli.logs import configure_logs
from adapters.cli.loop import run_on_loop
from adapters.cli.run import START_ERRORS
from adapters.http.settings import HttpSettings
from adapters.modbus.catalogue import catalogue
from adapters.ocpp.settings import OcppSettings
from adapters.simulator import scenario
from adapters.simulator.wire import WireSimulator
from controller.policy import Policy
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
    site = demo_site(settings.chargers, meter_port=_free_port())
    try:
        async with _running(site, settings, folder) as (controller, password, token):
            _announce(controller, password, token, site)
            async with asyncio.timeout(settings.seconds):
                await _show(controller, stop)
    except TimeoutError:
        return 0
    except START_ERRORS as error:
        typer.echo(str(error), err=True)
        return 1
    return 0


@asynccontextmanager
async def _running(
    site: Site, settings: DemoSettings, folder: Path
) -> AsyncIterator[tuple[RunningController, str, str]]:
    """Start controller and simulated site; give the account's password and API token."""
    run = RunSettings(
        site=site,
        policy=Policy(),
        ocpp=OcppSettings(host="127.0.0.1", port=0),
        http=HttpSettings(host="127.0.0.1", port=_http_port(settings.http_port)),
        store_path=folder / "demo.db",
        influx=None,
        accept_unknown_tokens=True,
    )
    passwords = {station: secrets.token_urlsafe(24) for station in site.stations}
    async with RunningController(run) as controller:
        password, token = await _account(controller)
        for station, secret in passwords.items():
            await controller.store.set_station_secret(station, secret)
        simulator = WireSimulator(
            site=site,
            ocpp_url=f"ws://127.0.0.1:{controller.ocpp.port}",
            secrets=passwords,
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


def _announce(controller: RunningController, password: str, token: str, site: Site) -> None:
    """Print where the site can be reached."""
    address = f"http://127.0.0.1:{controller.http.port}"
    typer.echo(f"Wattkeeper demo: {len(site.stations)} chargers, OCPP 1.6 and 2.0.1, one meter")
    typer.echo(f"  page        {address}/")
    typer.echo(f"  sign in     {ADMIN} / {password}")
    typer.echo(f"  API         {address}/api/v1/site   (OpenAPI: {address}/api/openapi.json)")
    typer.echo(f"  API token   {token}")
    typer.echo(f"  OCPP        ws://127.0.0.1:{controller.ocpp.port}/")
    typer.echo("  stop        Ctrl-C")
    sys.stdout.flush()


async def _show(controller: RunningController, stop: asyncio.Event) -> None:
    """Draw the site until stopped: live on a terminal, a line now and then on a pipe."""
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        await _draw(controller, stop)
    else:
        await _print(controller, stop)


async def _draw(controller: RunningController, stop: asyncio.Event) -> None:
    console = Console()
    header = Header(
        title="Wattkeeper demo",
        address=f"http://127.0.0.1:{controller.http.port}/",
        hint="Ctrl-C stops",
    )
    with Live(console=console, screen=False, auto_refresh=False) as live:
        while not stop.is_set():
            view = render(
                controller.operations.plan(),
                controller.operations.alarms(),
                header=header,
                height=console.height,
            )
            live.update(view, refresh=True)
            await _pause(stop, REFRESH_S)


async def _print(controller: RunningController, stop: asyncio.Event) -> None:
    while not stop.is_set():
        plan = controller.operations.plan()
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


def _http_port(wanted: int | None) -> int:
    """Return the port asked for, else the usual one, else any free one."""
    if wanted is not None:
        return wanted
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", HTTP_PORT))
        except OSError:
            return 0
    return HTTP_PORT


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
