"""Transactions for reading and billing: filters, pages and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from adapters.http import views
from adapters.http.bridge import Bridge
from controller.ports import Store
from controller.transaction import Transaction

_PAGE = 500
_MOST_SCANNED = 50_000
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFilter:
    """Which sessions; None: all."""

    since: datetime | None = None
    until: datetime | None = None
    station: str | None = None
    evse: str | None = None
    id_token: str | None = None
    progress: Progress | None = None

    def keeps(self, transaction: Transaction) -> bool:
        """Tell whether a session passes what the store cannot filter by."""
        token = transaction.id_token
        if self.station is not None and transaction.station != self.station:
            return False
        if self.evse is not None and transaction.evse != self.evse:
            return False
        if self.id_token is not None and (token or "").casefold() != self.id_token.casefold():
            return False
        running = transaction.ended_at is None
        return self.progress is None or running is (self.progress is Progress.RUNNING)


async def select(store: Store, bridge: Bridge, wanted: SessionFilter) -> AsyncIterator[Transaction]:
    """Yield sessions, newest first, reading the store page by page."""
    for offset in range(0, _MOST_SCANNED, _PAGE):
        page = await bridge.run(
            store.transactions(since=wanted.since, until=wanted.until, limit=_PAGE, offset=offset)
        )
        for transaction in page:
            if wanted.keeps(transaction):
                yield transaction
        if len(page) < _PAGE:
            return


async def page_of(
    sessions: AsyncIterator[Transaction], *, limit: int, offset: int
) -> tuple[list[Transaction], int | None]:
    """Take one page; return it and the next page's offset."""
    taken: list[Transaction] = []
    index = 0
    async for transaction in sessions:
        if index >= offset + limit:
            return taken, index
        if index >= offset:
            taken.append(transaction)
        index += 1
    return taken, None


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
