"""Transactions for billing: CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable
from enum import Enum
from itertools import count

from adapters.http import views
from adapters.http.bridge import Bridge
from controller.administration import TransactionList, TransactionQuery
from controller.transaction import Transaction

_PAGE = 500
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
COLUMNS = (
    "id",
    "transaction_id",
    "station",
    "evse",
    "id_token",
    "started_at",
    "ended_at",
    "end_reason",
    "energy_wh",
    "start_wh",
    "last_wh",
)


class Progress(Enum):
    """Whether a session goes on."""

    RUNNING = "running"
    ENDED = "ended"


async def select(
    store: TransactionList, bridge: Bridge, wanted: TransactionQuery
) -> AsyncIterator[Transaction]:
    """Yield sessions, newest first, reading the store page by page."""
    for offset in count(0, _PAGE):
        page = await bridge.run(store.list_transactions(wanted, limit=_PAGE, offset=offset))
        for transaction in page:
            yield transaction
        if len(page) < _PAGE:
            return


async def csv_lines(
    sessions: AsyncIterator[Transaction], *, whole_tokens: bool
) -> AsyncIterator[bytes]:
    """Write sessions as CSV (RFC 4180), a bounded piece at a time."""
    lines = [_line(COLUMNS)]
    async for transaction in sessions:
        row = views.session(transaction, whole_tokens=whole_tokens).model_dump(mode="json")
        lines.append(_line(_cell(row[name]) for name in COLUMNS))
        if len(lines) >= _PAGE:
            yield "".join(lines).encode()
            lines.clear()
    yield "".join(lines).encode()


def _line(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()


def _cell(value: str | float | None) -> str:
    """Write a cell; text that a spreadsheet would run as a formula gets an apostrophe."""
    match value:
        case None:
            return ""
        case str():
            return "'" + value if value.startswith(_FORMULA) else value
        case _:
            return f"{value:.15g}"
