"""`wattkeeper sessions export`."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import typer

from adapters.cli.site_store import NoConditions, opened_site, store_error_text
from adapters.clock import SystemClock
from adapters.store.sqlite_store import SqliteStore
from controller.transaction import Transaction

PAGE = 500
COLUMNS = (
    "station",
    "evse",
    "session_id",
    "id_token",
    "started_at",
    "ended_at",
    "end_reason",
    "start_wh",
    "end_wh",
    "energy_wh",
)


async def export(site: Path, *, since: datetime, until: datetime, form: str) -> int:
    """Write the sessions that started in a period, oldest first."""
    if form not in ("csv", "json"):
        typer.echo(f"There is no format {form}. Choose csv or json.", err=True)
        return 2
    file = opened_site(site)
    if file is None:
        return 2
    with store_error_text() as failed:
        store = SqliteStore.open(file.store.path, conditions=NoConditions(), clock=SystemClock())
    if failed:
        return 1
    try:
        rows = [_row(t) async for t in _all(store, since=_utc(since), until=_utc(until))]
    finally:
        await store.close()
    rows.reverse()
    if form == "json":
        json.dump(rows, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return 0
    writer = csv.DictWriter(sys.stdout, COLUMNS)
    writer.writeheader()
    writer.writerows({k: _safe(v) for k, v in row.items()} for row in rows)
    return 0


async def _all(
    store: SqliteStore, *, since: datetime, until: datetime
) -> AsyncIterator[Transaction]:
    offset = 0
    while True:
        page = await store.transactions(since=since, until=until, limit=PAGE, offset=offset)
        for transaction in page:
            yield transaction
        if len(page) < PAGE:
            return
        offset += PAGE


def _row(transaction: Transaction) -> dict[str, str | float | None]:
    ended = transaction.ended_at
    return {
        "station": transaction.station,
        "evse": transaction.evse,
        "session_id": transaction.id,
        "id_token": transaction.id_token,
        "started_at": _text(transaction.started_at),
        "ended_at": _text(ended) if ended is not None else None,
        "end_reason": transaction.end_reason,
        "start_wh": transaction.start_wh,
        "end_wh": transaction.last_wh,
        "energy_wh": transaction.energy_wh,
    }


def _safe(value: str | float | None) -> str | float | None:
    """Keep a spreadsheet from reading a station's text as a formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t"):
        return "'" + value
    return value


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
