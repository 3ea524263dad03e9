"""`wattkeeper upstream ...`: the passwords of stations at the back office, and what waits for it."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from adapters.cli.options import DEFAULT_SITE
from adapters.cli.site_store import NoConditions, opened_site, store_error_text
from adapters.clock import SystemClock
from adapters.store.sqlite_store import SqliteStore
from adapters.upstream.secrets import LegSecrets
from adapters.vault import Vault, VaultError
from controller.roaming import DocumentQuery
from controller.site import StationId

upstream = typer.Typer(help="The operator's back office.", no_args_is_help=True)

SiteFileOption = Annotated[
    Path, typer.Option("--site", envvar="WATTKEEPER_SITE", help="The site file.")
]


@upstream.command("secret")
def secret(
    station: str,
    from_env: Annotated[
        str | None, typer.Option(help="Environment variable with the password.")
    ] = None,
    site: SiteFileOption = DEFAULT_SITE,
) -> None:
    """Set a station's password at the back office; without a variable one is made and printed once."""
    given = os.environ.get(from_env, "") if from_env is not None else secrets.token_urlsafe(24)
    if not given:
        typer.echo(f"{from_env} is empty: put the password there.", err=True)
        raise typer.Exit(2)
    raise typer.Exit(asyncio.run(_keep(site, StationId(station), given, shown=from_env is None)))


@upstream.command("status")
def status(site: SiteFileOption = DEFAULT_SITE) -> None:
    """List what waits for the back office."""
    raise typer.Exit(asyncio.run(_status(site)))


async def _keep(site: Path, station: StationId, given: str, *, shown: bool) -> int:
    file = opened_site(site)
    if file is None:
        return 2
    if station not in file.site.stations:
        typer.echo(f"There is no station {station} in {site}.", err=True)
        return 2
    path = file.store.path
    try:
        vault = Vault.open(path.with_name(path.name + ".partners.key"))
    except VaultError as error:
        typer.echo(str(error), err=True)
        return 1
    with store_error_text() as failed:
        store = SqliteStore.open(path, conditions=NoConditions(), clock=SystemClock())
    if failed:
        return 1
    try:
        kept = LegSecrets(documents=store, vault=vault, variable=None, now=SystemClock().now)
        await kept.keep(station, given)
    finally:
        await store.close()
    typer.echo(given if shown else f"The password of {station} is kept.")
    return 0


async def _status(site: Path) -> int:
    file = opened_site(site)
    if file is None:
        return 2
    with store_error_text() as failed:
        store = SqliteStore.open(file.store.path, conditions=NoConditions(), clock=SystemClock())
    if failed:
        return 1
    try:
        table = Table("station", "messages that wait", "profiles")
        for station in file.site.stations:
            waiting = await store.count_documents(DocumentQuery(kind=f"upstream.queue.{station}"))
            profiles = await store.count_documents(
                DocumentQuery(kind=f"upstream.profile.{station}")
            )
            table.add_row(station, str(waiting), str(profiles))
    finally:
        await store.close()
    Console().print(table)
    return 0
