"""Roll-ups of samples: written with the samples, in the same transaction. Writer thread only.

Minutes that are still open are in memory, and can be read again from the samples: what is kept in
`rollup_state` says from which sample on, and up to which time everything is already in rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from adapters.store import totals
from adapters.store.rollup_rows import TIERS_S, Span, copied, layout, merge_into, one

ROLLED: Final = frozenset({"grid", "charger", "circuit", "allocation"})
"""Measurements of steady numbers; events and sessions are kept as they are."""
GRACE_S: Final = 10
"""A minute is closed so long after its end: samples arrive a little late. [s]"""
_MINUTE_S: Final = TIERS_S[0]
_READ_AGAIN: Final = 5_000


@dataclass(frozen=True, slots=True)
class Row:
    """A sample as it was just written."""

    id: int
    at_ms: int
    series: int
    values: Sequence[object]


@dataclass(frozen=True, slots=True)
class Kind:
    """A series that is rolled up."""

    fields: tuple[str, ...]
    form: str
    total: int | None
    """The series of what all chargers together did; None: there is none."""


class Rollups:
    """Sums up samples as they are written."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], Span] = {}
        self._first_id: dict[int, int] = {}
        """The first sample of each open minute."""
        self._rolled_to_s: int | None = None
        self._totals_from_s = 0
        """From when on the totals have everything; nothing is added to them before."""
        self._newest_s = 0
        self._kinds: dict[int, Kind | None] = {}
        self._on_commit: list[Callable[[], None]] = []

    def write(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
        """Take samples that are being written; close the minutes that are over."""
        self._on_commit = []
        if self._rolled_to_s is None:
            self._resume(connection, before_id=rows[0].id)
        rolled_to_s = self._rolled_to_s or 0
        fresh: list[tuple[Row, Kind]] = []
        for row in rows:
            kind = self._kind(connection, row.series)
            if kind is None:
                continue
            if row.at_ms // 1000 < rolled_to_s:
                self._merge(connection, {(row.series, row.at_ms // 1000): one(numbers(row.values))})
            else:
                fresh.append((row, kind))
        newest_s = max((row.at_ms // 1000 for row, _ in fresh), default=self._newest_s)
        self._close(connection, max(newest_s, self._newest_s), fresh)

    def commit(self) -> None:
        """Keep what was taken: it is stored."""
        for work in self._on_commit:
            work()
        self._on_commit = []

    def roll_back(self) -> None:
        """Forget what was taken since the last commit, and read the state again."""
        self.__init__()  # type: ignore[misc] # all of it can be read again

    def _resume(self, connection: sqlite3.Connection, *, before_id: int) -> None:
        """Take the state from the disk, and the samples of minutes that were open."""
        state = dict(connection.execute("SELECT key, value FROM rollup_state"))
        self._open.clear()
        self._first_id.clear()
        self._rolled_to_s = int(state.get("rolled_to_s", 0))
        self._totals_from_s = totals.begin_s(state)
        if "after_id" not in state:
            return
        after = int(state["after_id"])
        while True:
            found = connection.execute(
                "SELECT id, at_ms, series_id, vals FROM samples WHERE id > ? AND id < ?"
                " ORDER BY id LIMIT ?",
                (after, before_id, _READ_AGAIN),
            ).fetchall()
            for number, at_ms, series, vals in found:
                kind = self._kind(connection, series)
                if kind is not None and at_ms // 1000 >= self._rolled_to_s:
                    self._take(Row(number, at_ms, series, orjson.loads(vals)))
            if len(found) < _READ_AGAIN:
                return
            after = found[-1][0]

    def _take(self, row: Row) -> None:
        at_s = row.at_ms // 1000
        minute = at_s - at_s % _MINUTE_S
        span = self._open.get((row.series, minute))
        if span is None:
            self._open[row.series, minute] = one(numbers(row.values))
        else:
            span.add(numbers(row.values))
        self._first_id.setdefault(minute, row.id)
        self._newest_s = max(self._newest_s, at_s)

    def _close(
        self, connection: sqlite3.Connection, newest_s: int, fresh: Sequence[tuple[Row, Kind]]
    ) -> None:
        """Write the minutes that are over, and remember from where to read the others again."""
        until_s = newest_s - GRACE_S
        until_s -= until_s % _MINUTE_S
        taken = [row for row, _ in fresh]
        if until_s <= (self._rolled_to_s or 0) or not (self._open or taken):
            self._on_commit.append(lambda: self._take_all(taken))
            return
        over = {key: span for key, span in self._open.items() if key[1] < until_s}
        for row, _ in fresh:
            if row.at_ms // 1000 < until_s:
                self._merge_early(over, row)
        late = [row for row in taken if row.at_ms // 1000 >= until_s]
        self._merge(connection, over)
        open_ids = [n for minute, n in self._first_id.items() if minute >= until_s]
        ids = [*open_ids, *(row.id for row in late)]
        last = taken[-1].id if taken else max(self._first_id.values(), default=0)
        _set(connection, "after_id", (min(ids) if ids else last + 1) - 1)
        _set(connection, "rolled_to_s", until_s)
        _set(connection, "totals_to_s", until_s)
        _set(connection, "totals_from_s", self._totals_from_s)
        begin_s = min((minute for _, minute in over), default=until_s)
        connection.execute("INSERT OR IGNORE INTO rollup_state VALUES ('begin_s', ?)", (begin_s,))
        self._on_commit.append(lambda: self._closed(until_s, late))

    def _merge_early(self, over: dict[tuple[int, int], Span], row: Row) -> None:
        """Add a sample of a minute that is closed with the batch in which it comes."""
        at_s = row.at_ms // 1000
        key = (row.series, at_s - at_s % _MINUTE_S)
        span = over.get(key)
        if span is None:
            over[key] = one(numbers(row.values))
            return
        # A copy: a transaction that fails must find the open minutes as they were.
        merged = copied(span)
        merged.add(numbers(row.values))
        over[key] = merged

    def _closed(self, until_s: int, late: Sequence[Row]) -> None:
        self._rolled_to_s = until_s
        self._open = {key: span for key, span in self._open.items() if key[1] >= until_s}
        self._first_id = {m: n for m, n in self._first_id.items() if m >= until_s}
        self._take_all(late)

    def _take_all(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._take(row)

    def _merge(self, connection: sqlite3.Connection, spans: Mapping[tuple[int, int], Span]) -> None:
        """Add spans to the rows of their series, and their sums to those of the totals."""
        together: dict[tuple[int, int], tuple[Span, str]] = {}
        for (series, at_s), span in sorted(spans.items(), key=lambda item: item[0]):
            kind = self._kind(connection, series)
            if kind is None:
                continue
            _put(connection, series, at_s, span, kind.form)
            if kind.total is None or at_s < self._totals_from_s:
                continue
            known = together.get((kind.total, at_s))
            if known is None:
                together[kind.total, at_s] = (copied(span), kind.form)
            else:
                known[0].merge(span)
        for (total, at_s), (span, form) in together.items():
            _put(connection, total, at_s, span, form)

    def _kind(self, connection: sqlite3.Connection, series: int) -> Kind | None:
        if series in self._kinds:
            return self._kinds[series]
        measurement, names = connection.execute(
            "SELECT measurement, fields FROM series WHERE id = ?", (series,)
        ).fetchone()
        fields = tuple(orjson.loads(names))
        kind = None
        if measurement in ROLLED:
            total = totals.learn(connection, measurement, names)
            kind = Kind(fields, layout(fields), total)
        self._kinds[series] = kind
        return kind


def numbers(values: Sequence[object]) -> list[float | None]:
    """Return the numbers among values; None stands for everything else."""
    return [
        float(v) if isinstance(v, int | float) and not isinstance(v, bool) else None for v in values
    ]


def _put(connection: sqlite3.Connection, series: int, at_s: int, span: Span, form: str) -> None:
    for tier_s, count in merge_into(connection, series, at_s, span, form).items():
        connection.execute(
            "INSERT INTO rollup_state VALUES (?, ?)"
            " ON CONFLICT (key) DO UPDATE SET value = value + excluded.value",
            (f"rows_{tier_s}", count),
        )


def _set(connection: sqlite3.Connection, key: str, value: int) -> None:
    connection.execute("INSERT OR REPLACE INTO rollup_state VALUES (?, ?)", (key, value))


def prune(connection: sqlite3.Connection, *, tier_s: int, before_s: int, keep_rows: int) -> bool:
    """Delete rows of a tier that are too old, then the oldest day while there are too many."""
    series = [row[0] for row in connection.execute("SELECT id FROM series")]
    deleted = _delete(connection, tier_s, series, before_s)
    key = f"rows_{tier_s}"
    found = connection.execute("SELECT value FROM rollup_state WHERE key = ?", (key,)).fetchone()
    rows = int(found[0]) if found is not None else 0
    is_too_many = rows - deleted > keep_rows
    if is_too_many:
        oldest_s = first_s(connection, tier_s, series)
        if oldest_s is not None:
            deleted += _delete(connection, tier_s, series, oldest_s + 86_400)
    if deleted:
        _set(connection, key, max(0, rows - deleted))
    return is_too_many and deleted > 0


def _delete(
    connection: sqlite3.Connection, tier_s: int, series: Sequence[int], before_s: int
) -> int:
    return sum(
        connection.execute(
            "DELETE FROM rollups WHERE tier_s = ? AND series_id = ? AND at_s < ?",
            (tier_s, number, before_s),
        ).rowcount
        for number in series
    )


def first_s(connection: sqlite3.Connection, tier_s: int, series: Iterable[int]) -> int | None:
    """Return the time of the oldest row of some series. [s]"""
    (first,) = connection.execute(
        "SELECT min((SELECT min(at_s) FROM rollups WHERE tier_s = ? AND series_id = wanted.value))"
        " FROM json_each(?) AS wanted",
        (tier_s, orjson.dumps(list(series)).decode()),
    ).fetchone()
    return None if first is None else int(first)
