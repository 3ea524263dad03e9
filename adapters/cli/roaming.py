"""`wattkeeper ocpi ...`: invite partners, register with them, look at them, take bills back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from adapters.cli.options import DEFAULT_SITE
from adapters.cli.settings import ocpi_settings
from adapters.cli.site_store import NoConditions, opened_site
from adapters.clock import SystemClock
from adapters.ocpi.client import PartnerClient, PartnerError
from adapters.ocpi.guard import Guard
from adapters.ocpi.ledger import take_back
from adapters.ocpi.partners import PartnerBook, PartnerState, invited
from adapters.ocpi.registration import Registrar
from adapters.ocpi.settings import OcpiSettings
from adapters.store.errors import StoreError
from adapters.store.sqlite_store import SqliteStore
from adapters.vault import Vault, VaultError

roaming = typer.Typer(help="Roaming partners (OCPI).", no_args_is_help=True)

SiteFileOption = Annotated[
    Path, typer.Option("--site", envvar="WATTKEEPER_SITE", help="The site file.")
]
TOKEN_VARIABLE = "WATTKEEPER_OCPI_TOKEN"  # noqa: S105 - the name of a variable


@roaming.command("invite")
def invite(name: str, site: SiteFileOption = DEFAULT_SITE) -> None:
    """Make a token A for a partner and print it once, with the address to give with it."""

    async def work(desk: _Desk) -> int:
        taken = frozenset(p.id for p in desk.book.all())
        try:
            partner, token = invited(name, taken=taken)
        except ValueError as error:
            typer.echo(str(error), err=True)
            return 2
        await desk.book.save(partner, desk.clock.now())
        typer.echo(f"versions: {desk.settings.url}/versions")
        typer.echo(f"token A:  {token}")
        return 0

    raise typer.Exit(_run(site, work))


@roaming.command("register")
def register(
    name: str,
    url: Annotated[str, typer.Argument(help="The partner's address of its versions.")],
    token_env: Annotated[
        str, typer.Option(help="Environment variable with the token A that the partner gave.")
    ] = TOKEN_VARIABLE,
    site: SiteFileOption = DEFAULT_SITE,
) -> None:
    """Register with a partner that gave us a token A. The controller must be running."""
    token = os.environ.get(token_env, "")
    if not token:
        typer.echo(f"{token_env} is empty: put the partner's token A there.", err=True)
        raise typer.Exit(2)

    async def work(desk: _Desk) -> int:
        known = next((p for p in desk.book.all() if p.name == name), None)
        if known is not None and known.state is PartnerState.REGISTERED:
            typer.echo(f"{name} is registered already. Remove it first.", err=True)
            return 2
        try:
            partner = known or invited(name, taken=frozenset(p.id for p in desk.book.all()))[0]
            await desk.book.save(partner, desk.clock.now())
            done = await desk.registrar.register(partner, url=url, token=token)
        except (ValueError, PartnerError) as error:
            typer.echo(f"{name} could not be registered: {error}.", err=True)
            return 1
        parties = ", ".join(f"{p.country_code}*{p.party_id} ({p.role})" for p in done.parties)
        typer.echo(f"{name} is registered with OCPI {done.version}: {parties}.")
        return 0

    raise typer.Exit(_run(site, work))


@roaming.command("partners")
def partners(site: SiteFileOption = DEFAULT_SITE) -> None:
    """List the partners with what went wrong last."""

    async def work(desk: _Desk) -> int:
        table = Table("partner", "state", "version", "parties", "last error")
        for partner in desk.book.all():
            parties = " ".join(f"{p.country_code}*{p.party_id}" for p in partner.parties)
            table.add_row(partner.name, partner.state, partner.version, parties, partner.last_error)
        Console().print(table if desk.book.all() else "No partners. `wattkeeper ocpi invite NAME`.")
        return 0

    raise typer.Exit(_run(site, work))


@roaming.command("remove")
def remove(name: str, site: SiteFileOption = DEFAULT_SITE) -> None:
    """Close the door to a partner; its sessions and bills are kept."""

    async def work(desk: _Desk) -> int:
        partner = next((p for p in desk.book.all() if name in (p.id, p.name)), None)
        if partner is None:
            typer.echo(f"There is no partner {name}. See `wattkeeper ocpi partners`.", err=True)
            return 2
        if partner.state is PartnerState.INVITED:
            await desk.book.remove(partner.id)
        else:
            closed = replace(
                partner, state=PartnerState.BLOCKED, sealed_token=None, token_digest=""
            )
            await desk.book.save(closed, desk.clock.now())
        typer.echo(f"{partner.name} has no access any more.")
        return 0

    raise typer.Exit(_run(site, work))


@roaming.command("credit")
def credit(
    name: str,
    cdr: Annotated[str, typer.Argument(help="Id of the CDR that is taken back.")],
    site: SiteFileOption = DEFAULT_SITE,
) -> None:
    """Take a wrong CDR back by a credit CDR; the partner gets it with the next round."""

    async def work(desk: _Desk) -> int:
        made = await take_back(desk.store, name, cdr, now=desk.clock.now())
        if made is None:
            typer.echo(f"{name} has no CDR {cdr}.", err=True)
            return 2
        typer.echo(f"{made.id}: {made.total_cost.excl_vat} {made.currency}")
        return 0

    raise typer.Exit(_run(site, work))


class _Desk:
    """What the commands work with."""

    def __init__(
        self, settings: OcpiSettings, store: SqliteStore, client: PartnerClient, vault: Vault
    ) -> None:
        self.settings = settings
        self.store = store
        self.clock = SystemClock()
        self.book = PartnerBook(store)
        self.registrar = Registrar(
            settings=settings,
            book=self.book,
            client=client,
            guard=Guard(allow_private=settings.allow_private_partners),
            vault=vault,
            clock=self.clock,
        )


def _run(site: Path, work: Callable[[_Desk], Awaitable[int]]) -> int:
    async def go() -> int:
        async with _opened(site) as desk:
            return 2 if desk is None else await work(desk)

    try:
        return asyncio.run(go())
    except (StoreError, VaultError) as error:
        typer.echo(str(error), err=True)
        return 1


@asynccontextmanager
async def _opened(site: Path) -> AsyncIterator[_Desk | None]:
    file = opened_site(site)
    settings = ocpi_settings(file) if file is not None else None
    if file is None or settings is None:
        if file is not None:
            typer.echo(f"{site}: there is no section `ocpi`.", err=True)
        yield None
        return
    vault = Vault.open(file.store.path.with_name(file.store.path.name + ".partners.key"))
    store = SqliteStore.open(file.store.path, conditions=NoConditions(), clock=SystemClock())
    guard = Guard(allow_private=settings.allow_private_partners)
    client = PartnerClient(settings=settings, guard=guard, vault=vault)
    try:
        desk = _Desk(settings, store, client, vault)
        await desk.book.load()
        yield desk
    finally:
        await client.close()
        await store.close()
