"""`wattkeeper station ...`: what stations prove themselves with."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from adapters.cli import accounts, certificates
from adapters.cli.options import DEFAULT_SITE, SiteOption

station = typer.Typer(help="Charging stations.", no_args_is_help=True)
station.command("certificate")(certificates.station_certificate)
station.command("profile")(certificates.station_profile)


@station.command("secret")
def station_secret(
    station_id: str,
    from_env: Annotated[
        str | None, typer.Option(help="Environment variable that holds the password.")
    ] = None,
    site: SiteOption = DEFAULT_SITE,
) -> None:
    """Set a station's OCPP password; without one given, generate it and print it once."""
    given = accounts.from_env(from_env)
    raise typer.Exit(asyncio.run(accounts.set_secret(site, station=station_id, given=given)))
