"""The `wattkeeper` command. Each command imports what it needs when it runs, not before."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from adapters.cli.deferred import deferred, importing
from adapters.cli.options import DEFAULT_SITE, SiteOption

app = typer.Typer(
    name="wattkeeper",
    help="Smart-charging controller for depots and car parks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
session = typer.Typer(help="Charging sessions.", no_args_is_help=True)
history = typer.Typer(help="The time series.", no_args_is_help=True)
app.add_typer(session, name="sessions")
app.add_typer(history, name="history")
for _name, _module, _typer, _text in (
    ("meter", "meters", "meter", "Read and find meters."),
    ("user", "accounts", "user", "Accounts of the API and the pages."),
    ("station", "stations", "station", "Charging stations."),
    ("ca", "certificates", "ca", "The site's own certificate authority."),
    ("tokens", "tokens", "tokens", "RFID cards and other id tokens."),
    ("ocpi", "roaming", "roaming", "Roaming partners (OCPI)."),
    ("billing", "billing", "billing", "Bills."),
    ("upstream", "upstream", "upstream", "The operator's back office."),
    ("wiring", "wiring", "wiring", "Which charger hangs on which meter."),
):
    app.add_typer(deferred(f"adapters.cli.{_module}", _typer, text=_text), name=_name)

SitePath = Annotated[Path, typer.Argument(metavar="SITE.yaml", help="The site file.")]


def main() -> None:
    """Run the command line."""
    app()


@app.command("run")
def run_site(site: SitePath) -> None:
    """Control a site until stopped."""
    with importing():
        from adapters.cli import run
        from adapters.cli.logs import configure_logs

    configure_logs()
    raise typer.Exit(run.run_command(site))


@app.command()
def check(site: SitePath) -> None:
    """Check a site file; print its tree and the fallback certificate."""
    from adapters.config.report import check_command
    from adapters.modbus.catalogue import known_models
    from adapters.modbus.loadmap import known_loads

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
    from adapters.cli.demo import DemoSettings, demo_command

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
    from adapters.cli import simulate

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
    from adapters.cli import replay

    raise typer.Exit(replay.replay_command(recording, sets or [], golden))


@session.command("export")
def export_sessions(
    since: Annotated[datetime, typer.Option("--from", help="First start, inclusive, UTC.")],
    until: Annotated[datetime, typer.Option("--to", help="Last start, exclusive, UTC.")],
    form: Annotated[str, typer.Option("--format", help="csv or json.")] = "csv",
    site: SiteOption = DEFAULT_SITE,
) -> None:
    """Write sessions for billing to standard output."""
    from adapters.cli import sessions

    raise typer.Exit(asyncio.run(sessions.export(site, since=since, until=until, form=form)))


@history.command("export")
def export_history(
    folder: Annotated[Path, typer.Option("--to", help="Folder for the Parquet files.")],
    site: SiteOption = DEFAULT_SITE,
) -> None:
    """Write every closed day of the time series that has no file yet."""
    from adapters.cli import history as history_files

    raise typer.Exit(history_files.export(site, folder=folder))


if __name__ == "__main__":
    main()
