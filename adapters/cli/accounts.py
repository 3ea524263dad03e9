"""Accounts and station passwords: `wattkeeper user ...` and `wattkeeper station secret`."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from adapters.cli.options import DEFAULT_SITE, SiteOption
from adapters.cli.site_store import NoConditions, opened_site, store_error_text
from adapters.clock import SystemClock
from adapters.store.sqlite_store import SqliteStore
from controller.records import Role, User
from controller.site import StationId

user = typer.Typer(help="Accounts of the API and the pages.", no_args_is_help=True)

BAD_USAGE = 2
LEAST_SECRET = 16
MOST_SECRET = 40
"""OCPP 1.6 security whitepaper: AuthorizationKey has 16 to 40 characters."""


@user.command("add")
def add(
    name: str,
    role: Annotated[str, typer.Option(help="viewer, operator or admin.")],
    password_env: Annotated[
        str | None, typer.Option(help="Environment variable that holds the password.")
    ] = None,
    site: SiteOption = DEFAULT_SITE,
) -> None:
    """Add an account, or change its role and password."""
    password = _password(password_env)
    raise typer.Exit(asyncio.run(add_user(site, name=name, role=role, password=password)))


@user.command("token")
def token(name: str, site: SiteOption = DEFAULT_SITE) -> None:
    """Make an API token for an account and print it once."""
    raise typer.Exit(asyncio.run(new_token(site, name=name)))


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


def from_env(name: str | None) -> str | None:
    """Return a secret from an environment variable; None when none is named."""
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
        return from_env(env)
    if not sys.stdin.isatty():
        return None
    value: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return value
