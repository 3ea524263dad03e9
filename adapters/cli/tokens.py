"""`wattkeeper tokens import` and `wattkeeper tokens export`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from adapters.cli.accounts import opened_store
from adapters.cli.options import DEFAULT_SITE, SiteOption
from adapters.clock import SystemClock
from controller.records import AuditEntry, TokenImport, TokenRecord
from controller.token_table import TableError, tokens_from_csv, tokens_to_csv

tokens = typer.Typer(help="RFID cards and other id tokens.", no_args_is_help=True)


@tokens.command("export")
def export(site: SiteOption = DEFAULT_SITE) -> None:
    """Write all tokens as CSV to standard output."""

    async def read() -> str:
        async with opened_store(site) as store:
            return tokens_to_csv(await store.tokens())

    sys.stdout.write(asyncio.run(read()))


@tokens.command("import")
def import_(
    table: Annotated[Path, typer.Argument(metavar="TABLE.csv", help="CSV with a heading, UTF-8.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Delete tokens that are not in the table.")
    ] = False,
    site: SiteOption = DEFAULT_SITE,
) -> None:
    """Add or replace all tokens of a table, or none when a line of it is wrong."""
    records = _read(table)

    async def write() -> TokenImport:
        async with opened_store(site) as store:
            report = await store.import_tokens(records, replace=replace)
            await store.audit(
                AuditEntry(
                    at=SystemClock().now(),
                    actor="command line",
                    action="tokens.import",
                    subject=table.name,
                    after=str(report),
                )
            )
            return report

    report = asyncio.run(write())
    typer.echo(
        f"{report.added} added, {report.changed} changed, {report.same} as they were, "
        f"{report.deleted} deleted."
    )


def _read(table: Path) -> tuple[TokenRecord, ...]:
    try:
        return tokens_from_csv(table.read_text("utf-8"))
    except OSError as error:
        typer.echo(f"{table}: cannot be read ({error.strerror}).", err=True)
    except UnicodeDecodeError:
        typer.echo(f"{table}: is not UTF-8 text. Save it as `CSV UTF-8`.", err=True)
    except TableError as error:
        for problem in error.problems:
            typer.echo(f"{table}: {problem}", err=True)
    raise typer.Exit(2)
