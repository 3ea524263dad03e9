"""`wattkeeper billing export`: what every session of a period costs, by tenant."""

from __future__ import annotations

import asyncio
import csv
import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from adapters.cli.site_store import NoConditions, opened_site, store_error_text
from adapters.clock import SystemClock
from adapters.config.loader import SiteFile
from adapters.store.sqlite_store import SqliteStore
from controller.billing import BilledSession, Billing, Groups, billed
from controller.curves import recorded_curve
from controller.pricing import Dimension

billing = typer.Typer(help="Bills.", no_args_is_help=True)

PAGE = 500
FORMULA = ("=", "+", "-", "@", "\t", "\r")
COLUMNS = (
    "tenant",
    "tenant_name",
    "station",
    "evse",
    "session_id",
    "id_token",
    "started_at",
    "ended_at",
    "energy_kwh",
    "time_h",
    "parking_h",
    "tariff",
    "currency",
    "cost_excl_vat",
    "cost_incl_vat",
    "energy_cost_excl_vat",
    "time_cost_excl_vat",
    "parking_cost_excl_vat",
    "fixed_cost_excl_vat",
)
Row = dict[str, str | None]


@billing.command("export")
def export_command(
    since: Annotated[datetime, typer.Option("--from", help="Sessions that ended from then on.")],
    until: Annotated[datetime, typer.Option("--to", help="And before then.")],
    form: Annotated[str, typer.Option("--format", help="csv or json.")] = "csv",
    tenant: Annotated[str | None, typer.Option(help="Only this tenant; - for none.")] = None,
    site: Annotated[
        Path,
        typer.Option("--site", envvar="WATTKEEPER_SITE", help="The site file."),
    ] = Path("site.yaml"),
) -> None:
    """Write what ended in a period, with its price."""
    raise typer.Exit(
        asyncio.run(export(site, since=_utc(since), until=_utc(until), form=form, tenant=tenant))
    )


async def export(
    site: Path, *, since: datetime, until: datetime, form: str, tenant: str | None
) -> int:
    """Write the sessions that ended in a period, by tenant and time."""
    if form not in ("csv", "json"):
        typer.echo(f"There is no format {form}. Choose csv or json.", err=True)
        return 2
    file = opened_site(site)
    if file is None:
        return 2
    if file.billing is None:
        typer.echo(f"{site}: nothing is priced. Add a section `billing`.", err=True)
        return 2
    known = {t.id for t in file.billing.tenants} | {"-"}
    if tenant is not None and tenant not in known:
        typer.echo(f"There is no tenant {tenant}. Known: {', '.join(sorted(known))}.", err=True)
        return 2
    with store_error_text() as failed:
        store = SqliteStore.open(file.store.path, conditions=NoConditions(), clock=SystemClock())
    if failed:
        return 1
    try:
        rows = [
            row_of(b)
            async for b in priced(store, file, file.billing, since=since, until=until)
            if tenant in (None, b.tenant.id if b.tenant is not None else "-")
        ]
    finally:
        await store.close()
    rows.sort(key=lambda r: (r["tenant"] or "", r["ended_at"] or ""))
    _write(rows, form, file.billing, since=since, until=until)
    return 0


async def priced(
    store: SqliteStore, file: SiteFile, rules: Billing, *, since: datetime, until: datetime
) -> AsyncIterator[BilledSession]:
    """Price every session that ended in a period."""
    groups = Groups.of(await store.tokens())
    zone = ZoneInfo(file.site.timezone)
    offset = 0
    while True:
        page = await store.transactions(since=None, until=until, limit=PAGE, offset=offset)
        for transaction in page:
            if transaction.ended_at is not None and since <= transaction.ended_at < until:
                curve = await recorded_curve(store, transaction, until)
                yield billed(transaction, curve, billing=rules, groups=groups, zone=zone, now=until)
        if len(page) < PAGE:
            return
        offset += PAGE


def row_of(session: BilledSession) -> Row:
    """Return one line of the bill; amounts are decimal texts, so that nothing is rounded on the way."""
    transaction, costs = session.transaction, session.bill.by_dimension
    periods = session.bill.periods
    parking_s = sum((p.usage.duration_s for p in periods if p.usage.is_parking), Decimal(0))
    total_s = sum((p.usage.duration_s for p in periods), Decimal(0))
    total_wh = sum((p.usage.energy_wh for p in periods), Decimal(0))
    incl_vat = session.bill.total.incl_vat
    return {
        "tenant": session.tenant.id if session.tenant is not None else None,
        "tenant_name": session.tenant.name if session.tenant is not None else None,
        "station": transaction.station,
        "evse": transaction.evse,
        "session_id": transaction.id,
        "id_token": transaction.id_token,
        "started_at": _text(transaction.started_at),
        "ended_at": _text(transaction.ended_at) if transaction.ended_at else None,
        "energy_kwh": f"{total_wh / 1000:.3f}",
        "time_h": f"{(total_s - parking_s) / 3600:.4f}",
        "parking_h": f"{parking_s / 3600:.4f}",
        "tariff": session.tariff.id,
        "currency": session.tariff.currency,
        "cost_excl_vat": str(session.bill.total.excl_vat),
        "cost_incl_vat": None if incl_vat is None else str(incl_vat),
        "energy_cost_excl_vat": str(costs[Dimension.ENERGY].excl_vat),
        "time_cost_excl_vat": str(costs[Dimension.TIME].excl_vat),
        "parking_cost_excl_vat": str(costs[Dimension.PARKING_TIME].excl_vat),
        "fixed_cost_excl_vat": str(costs[Dimension.FLAT].excl_vat),
    }


def _write(rows: list[Row], form: str, rules: Billing, *, since: datetime, until: datetime) -> None:
    if form == "csv":
        writer = csv.DictWriter(sys.stdout, COLUMNS)
        writer.writeheader()
        writer.writerows({k: _safe(v) for k, v in row.items()} for row in rows)
        return
    document = {
        "format": "wattkeeper-billing/1",
        "from": _text(since),
        "to": _text(until),
        "currency": rules.currency,
        "tenants": {t.id: {"name": t.name, "tariff": t.tariff} for t in rules.tenants},
        "tariffs": sorted(rules.tariffs),
        "total_excl_vat": str(sum((Decimal(r["cost_excl_vat"] or "0") for r in rows), Decimal(0))),
        "sessions": rows,
    }
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")


def _safe(value: str | None) -> str | None:
    """Keep a spreadsheet from reading a station's text as a formula."""
    return f"'{value}" if value is not None and value.startswith(FORMULA) else value


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
