"""Accounts and station passwords: `wattkeeper user ...` and `wattkeeper station secret`."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import typer

from adapters.cli.site_store import NoConditions, opened_site, store_error_text
from adapters.clock import SystemClock
from adapters.store.sqlite_store import SqliteStore
from controller.records import Role, User
from controller.site import StationId

LEAST_SECRET = 16
MOST_SECRET = 40
"""OCPP 1.6 security whitepaper: AuthorizationKey has 16 to 40 characters."""


async def add_user(site: Path, *, name: str, role: str, password: str | None) -> int:
    """Add or change an account."""
    roles = {r.value: r for r in Role}
    if role not in roles:
        typer.echo(f"There is no role {role}. Choose one of {', '.join(roles)}.", err=True)
        return 2
    if password is not None and len(password) < 10:
        typer.echo("The password is too short: use at least 10 characters.", err=True)
        return 2
    async with opened_store(site) as store:
        await store.add_user(User(name=name, role=roles[role]), password)
    typer.echo(f"{name} may now sign in as {role}." if password else f"{name} is {role}.")
    if password is None:
        typer.echo(f"No password given: make a token with `wattkeeper user token {name}`.")
    return 0


async def new_token(site: Path, *, name: str) -> int:
    """Make and print an API token."""
    async with opened_store(site) as store:
        try:
            token = await store.issue_api_token(name)
        except KeyError:
            typer.echo(f"There is no account {name}. Add it with `wattkeeper user add`.", err=True)
            return 2
    typer.echo(token)
    return 0


async def set_secret(site: Path, *, station: str, given: str | None) -> int:
    """Set or generate a station's password."""
    if given is not None and not LEAST_SECRET <= len(given) <= MOST_SECRET:
        typer.echo(
            f"A station's password has {LEAST_SECRET} to {MOST_SECRET} characters.", err=True
        )
        return 2
    secret = given if given is not None else secrets.token_urlsafe(24)
    async with opened_store(site, needs=StationId(station)) as store:
        await store.set_station_secret(StationId(station), secret)
    typer.echo(secret if given is None else f"The password of {station} is set.")
    return 0


@asynccontextmanager
async def opened_store(site: Path, *, needs: StationId | None = None) -> AsyncIterator[SqliteStore]:
    """Open the store that a site file names.

    Raises:
        typer.Exit: After the problem has been printed.
    """
    file = opened_site(site)
    if file is None:
        raise typer.Exit(2)
    if needs is not None and needs not in file.site.stations:
        known = ", ".join(list(file.site.stations)[:10])
        typer.echo(f"{site} has no station {needs}. It has {known}.", err=True)
        raise typer.Exit(2)
    with store_error_text() as failed:
        store = SqliteStore.open(file.store.path, conditions=NoConditions(), clock=SystemClock())
    if failed:
        raise typer.Exit(1)
    try:
        yield store
    finally:
        await store.close()
