"""The `wattkeeper` command."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.cli import accounts, certificates, replay, run, sessions, simulate
from adapters.cli import history as history_files
from adapters.cli.billing import billing
from adapters.cli.demo import DemoSettings, demo_command
from adapters.cli.logs import configure_logs
from adapters.cli.roaming import roaming
from adapters.cli.tokens import tokens
from adapters.cli.upstream import upstream
from adapters.cli.wiring import wiring
from adapters.config.report import check_command
from adapters.modbus.catalogue import known_models
from adapters.modbus.command import read_command
from adapters.modbus.detect import SECONDS
from adapters.modbus.detect_command import detect_command
from adapters.modbus.loadmap import known_loads

DONE, FAILED, BAD_USAGE = 0, 1, 2

app = typer.Typer(
    name="wattkeeper",
    help="Smart-charging controller for depots and car parks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
meter = typer.Typer(help="Read and find meters.", no_args_is_help=True)
session = typer.Typer(help="Charging sessions.", no_args_is_help=True)
history = typer.Typer(help="The time series.", no_args_is_help=True)
user = typer.Typer(help="Accounts of the API and the pages.", no_args_is_help=True)
station = typer.Typer(help="Charging stations.", no_args_is_help=True)
app.add_typer(meter, name="meter")
app.add_typer(session, name="sessions")
app.add_typer(history, name="history")
app.add_typer(user, name="user")
app.add_typer(station, name="station")
app.add_typer(certificates.ca, name="ca")
app.add_typer(tokens, name="tokens")
app.add_typer(roaming, name="ocpi")
app.add_typer(billing, name="billing")
app.add_typer(upstream, name="upstream")
app.add_typer(wiring, name="wiring")
station.command("certificate")(certificates.station_certificate)
station.command("profile")(certificates.station_profile)

SitePath = Annotated[Path, typer.Argument(metavar="SITE.yaml", help="The site file.")]
SiteOption = Annotated[
    Path,
    typer.Option("--site", envvar="WATTKEEPER_SITE", help="The site file whose store is used."),
]
DEFAULT_SITE = Path("site.yaml")


def main() -> None:
    """Run the command line."""
    app()


@app.command("run")
def run_site(site: SitePath) -> None:
    """Control a site until stopped."""
    configure_logs()
    raise typer.Exit(run.run_command(site))


@app.command()
def check(site: SitePath) -> None:
    """Check a site file; print its tree and the fallback certificate."""
    raise typer.Exit(check_command(site, known_models=known_models(), known_loads=known_loads()))


@app.command("demo")
def run_demo(
    chargers: Annotated[int, typer.Option(min=1, max=500, help="How many chargers.")] = 20,
    http: Annotated[int | None, typer.Option(help="Port of the API and pages.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after so many seconds.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed is another day.")] = 1,
    secure: Annotated[
        bool, typer.Option("--secure", help="TLS, and client certificates for two chargers.")
    ] = False,
) -> None:
    """Show a whole simulated site on this machine: real Modbus, real OCPP, the real controller."""
    settings = DemoSettings(
        chargers=chargers, http_port=http, seconds=seconds, seed=seed, secure=secure
    )
    raise typer.Exit(demo_command(settings))


@app.command("simulate")
def simulate_site(
    site: SitePath,
    days: Annotated[int, typer.Option(min=1, max=366, help="How many days.")] = 1,
    seed: Annotated[int, typer.Option(help="Another seed is another day.")] = 1,
    faults: Annotated[str | None, typer.Option(help="A fault script (YAML), or `random`.")] = None,
    building: Annotated[
        Path | None, typer.Option(help="CSV of a recorded day: time_s,l1_a,l2_a,l3_a.")
    ] = None,
    plots: Annotated[Path | None, typer.Option(help="Write a picture per circuit here.")] = None,
) -> None:
    """Run the controller against the simulated site in virtual time and print a report."""
    settings = simulate.SimulateSettings(
        path=site, days=days, seed=seed, faults=faults, building=building, plots=plots
    )
    raise typer.Exit(simulate.simulate_command(settings))


@app.command("replay")
def replay_recording(
    recording: Annotated[Path, typer.Argument(help="The store of a site (store.path).")],
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE, as main.limit_a=80 or CP001.copies=3."),
    ] = None,
    golden: Annotated[
        Path | None, typer.Option(help="Write the latest cycle as a golden scenario.")
    ] = None,
) -> None:
    """Decide a recorded stretch again, or ask what another fuse, charger or policy had done."""
    raise typer.Exit(replay.replay_command(recording, sets or [], golden))


@meter.command("read")
def read_meter(
    connection: Annotated[
        str, typer.Argument(help="tcp://HOST:PORT, rtu+tcp://..., rtu:///dev/...")
    ],
    model: Annotated[str | None, typer.Option(help="For example eastron/sdm630.")] = None,
    unit: Annotated[int | None, typer.Option(min=0, max=247, help="Modbus unit id.")] = None,
) -> None:
    """Read a meter once and print its values."""
    raise typer.Exit(read_command(connection, model, unit))


@meter.command("detect")
def detect_meter(
    connection: Annotated[
        str, typer.Argument(help="HOST, tcp://HOST:PORT, rtu+tcp://..., rtu:///dev/...")
    ],
    unit: Annotated[int | None, typer.Option(min=0, max=255, help="Modbus unit id.")] = None,
    seconds: Annotated[float, typer.Option(min=5, max=3600, help="Longest search.")] = SECONDS,
) -> None:
    """Find model, unit, word order and offset of a meter; print the lines for the site file."""
    raise typer.Exit(detect_command(connection, unit, seconds))


@session.command("export")
def export_sessions(
    since: Annotated[datetime, typer.Option("--from", help="First start, inclusive, UTC.")],
    until: Annotated[datetime, typer.Option("--to", help="Last start, exclusive, UTC.")],
    form: Annotated[str, typer.Option("--format", help="csv or json.")] = "csv",
    site: SiteOption = DEFAULT_SITE,
) -> None:
    """Write sessions for billing to standard output."""
    _exit(sessions.export(site, since=since, until=until, form=form))


@history.command("export")
def export_history(
    folder: Annotated[Path, typer.Option("--to", help="Folder for the Parquet files.")],
    site: SiteOption = DEFAULT_SITE,
) -> None:
    """Write every closed day of the time series that has no file yet."""
    raise typer.Exit(history_files.export(site, folder=folder))


@user.command("add")
def add_user(
    name: str,
    role: Annotated[str, typer.Option(help="viewer, operator or admin.")],
    password_env: Annotated[
        str | None, typer.Option(help="Environment variable that holds the password.")
    ] = None,
    site: SiteOption = DEFAULT_SITE,
) -> None:
    """Add an account, or change its role and password."""
    _exit(accounts.add_user(site, name=name, role=role, password=_password(password_env)))


@user.command("token")
def new_token(name: str, site: SiteOption = DEFAULT_SITE) -> None:
    """Make an API token for an account and print it once."""
    _exit(accounts.new_token(site, name=name))


@station.command("secret")
def station_secret(
    station_id: str,
    from_env: Annotated[
        str | None, typer.Option(help="Environment variable that holds the password.")
    ] = None,
    site: SiteOption = DEFAULT_SITE,
) -> None:
    """Set a station's OCPP password; without one given, generate it and print it once."""
    _exit(accounts.set_secret(site, station=station_id, given=_from_env(from_env)))


def _exit(work: Coroutine[Any, Any, int]) -> None:
    raise typer.Exit(asyncio.run(work))


def _from_env(name: str | None) -> str | None:
    if name is None:
        return None
    value = os.environ.get(name)
    if not value:
        typer.echo(f"The environment variable {name} is not set. Set it and try again.", err=True)
        raise typer.Exit(BAD_USAGE)
    return value


def _password(env: str | None) -> str | None:
    """Return the password from the environment or the keyboard; None on a pipe: tokens only."""
    if env is not None:
        return _from_env(env)
    if not sys.stdin.isatty():
        return None
    value: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return value


if __name__ == "__main__":
    main()
