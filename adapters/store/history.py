"""Answers `Store.history`: from samples, or from the coarsest roll-up that resolves the step.

Steps begin at `since`. Over more than two hours they begin at whole minutes, quarters or hours, the
longest of them that divides the step, so that no row of a roll-up lies in two steps: each point says
where its step begins.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

import numpy as np
import orjson

from adapters.store import totals
from adapters.store.rollup_rows import TIERS_S, Wanted, columns
from adapters.store.rollups import ROLLED, first_s
from adapters.store.samples import millis_of, time_of
from controller.records import SeriesPoint

Statistic = Literal["mean", "max"]
_RAW: Final = 0
_SHORT_S: Final = 7200.0
"""A span that samples answer quickly. [s]"""
_MANY: Final = 15
"""So many rows of a roll-up make a step with which they do not begin, at least."""
_Fields = Mapping[int, Sequence[str]]
"""The fields of series, by number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuery:
    """The arguments of `Store.history`."""

    measurement: str
    field: str
    tags: Mapping[str, str]
    since: datetime
    until: datetime
    step_s: float
    statistic: Statistic = "mean"

    @property
    def step_ms(self) -> int:
        """The step in milliseconds, at least 1."""
        return max(1, round(self.step_s * 1000.0))

    @property
    def is_short(self) -> bool:
        """Samples answer it quickly."""
        return (self.until - self.since).total_seconds() <= _SHORT_S

    @property
    def begin_ms(self) -> int:
        """Begin of the first step, at or before `since`."""
        since_ms = millis_of(self.since)
        if self.is_short:
            return since_ms
        fitting = (tier_s * 1000 for tier_s in TIERS_S if self.step_ms % (tier_s * 1000) == 0)
        return since_ms - since_ms % max(fitting, default=1)


class _Steps:
    """What has been found, by number of the step."""

    def __init__(self) -> None:
        self._chunks: list[np.ndarray] = []

    def add(
        self, steps: np.ndarray, totals: np.ndarray, counts: np.ndarray, highest: np.ndarray
    ) -> None:
        """Take sums, counts and maxima; a step may come any number of times. Shapes (n,)."""
        self._chunks.append(np.stack([steps, totals, counts, highest]))

    def points(self, query: HistoryQuery) -> Iterator[SeriesPoint]:
        """Yield a point for each step that has a value."""
        if not self._chunks:
            return
        found, totals, counts, highest = np.concatenate(self._chunks, axis=1)
        steps, places = np.unique(found.astype(np.int64), return_inverse=True)
        if query.statistic == "mean":
            count = np.bincount(places, weights=counts)
            values = np.bincount(places, weights=totals) / count
        else:
            values = np.full(len(steps), -np.inf)
            np.maximum.at(values, places, highest)
        for step, value in zip(steps.tolist(), values.tolist(), strict=True):
            yield SeriesPoint(at=time_of(query.begin_ms + step * query.step_ms), value=value)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of the query, and where it is read from."""

    source_s: int
    """Length of the roll-up's steps; 0 for samples."""
    since_ms: int
    until_ms: int


def history(connection: sqlite3.Connection, query: HistoryQuery) -> tuple[SeriesPoint, ...]:
    """Return the mean or maximum of a field per step; steps without samples are absent."""
    series = _series(connection, query, query.measurement)
    steps = _Steps()
    for piece in _pieces(connection, query, series):
        if piece.source_s == _RAW:
            _from_samples(connection, query, series, piece, steps)
            continue
        for part, of in _parts(connection, query, series, piece):
            _from_rollups(connection, query, of, part, steps)
    return tuple(steps.points(query))


# --- where to read --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sources:
    """Where values can be read, finest first: samples, then the roll-ups."""

    begins_ms: tuple[int, ...]
    """From when on each has them."""

    def cover(self, level: int, since_ms: int, end_ms: int) -> Iterator[_Piece]:
        """Read whole steps of a source, the edges from finer ones, what is older from coarser."""
        begin_ms = min(max(since_ms, self.begins_ms[level]), end_ms)
        yield from self._older(level + 1, since_ms, begin_ms)
        if begin_ms >= end_ms:
            return
        if level == 0:
            yield _Piece(_RAW, begin_ms, end_ms)
            return
        tier_ms = TIERS_S[level - 1] * 1000
        first_ms, last_ms = -(-begin_ms // tier_ms) * tier_ms, end_ms // tier_ms * tier_ms
        if first_ms >= last_ms:
            yield from self.cover(level - 1, begin_ms, end_ms)
            return
        yield from self.cover(level - 1, begin_ms, first_ms)
        yield _Piece(TIERS_S[level - 1], first_ms, last_ms)
        yield from self.cover(level - 1, last_ms, end_ms)

    def _older(self, level: int, since_ms: int, end_ms: int) -> Iterator[_Piece]:
        """Read what finer sources no longer have; samples from before the first roll-up last."""
        for tier_s, begin_ms in zip(TIERS_S[level - 1 :], self.begins_ms[level:], strict=True):
            start_ms = max(since_ms, begin_ms)
            # A row that reaches into what the finer source has would count twice.
            whole_ms = end_ms // (tier_s * 1000) * tier_s * 1000
            if start_ms < whole_ms:
                yield _Piece(tier_s, start_ms, whole_ms)
                end_ms = start_ms
        if max(since_ms, self.begins_ms[0]) < end_ms:
            yield _Piece(_RAW, since_ms, end_ms)


def _pieces(
    connection: sqlite3.Connection, query: HistoryQuery, series: Mapping[int, Sequence[str]]
) -> Iterator[_Piece]:
    """Divide the query: minutes that are still open are in the samples only."""
    since_ms, end_ms = query.begin_ms, millis_of(query.until)
    state = dict(connection.execute("SELECT key, value FROM rollup_state"))
    if not series or query.measurement not in ROLLED or "rolled_to_s" not in state:
        yield _Piece(_RAW, since_ms, end_ms)
        return
    sources = _Sources(
        (
            _raw_begin_ms(connection, end_ms),
            *(_rolled_begin_ms(connection, tier_s, series, end_ms) for tier_s in TIERS_S),
        )
    )
    rolled_ms = max(since_ms, min(end_ms, state["rolled_to_s"] * 1000))
    if rolled_ms < end_ms:
        yield _Piece(_RAW, rolled_ms, end_ms)
    yield from sources.cover(_level(query), since_ms, rolled_ms)


def _level(query: HistoryQuery) -> int:
    """Return which source resolves the steps: 0 for samples, else the number of the roll-up.

    A roll-up is exact where its rows begin with the steps. Where no row does, because the step is no
    whole number of minutes, rows are short beside the step and those between two count for both.
    """
    fitting = [
        level
        for level, tier_s in enumerate(TIERS_S, start=1)
        if query.step_ms % (tier_s * 1000) == 0 and query.begin_ms % (tier_s * 1000) == 0
    ]
    if fitting:
        return fitting[-1]
    if query.is_short or query.step_s < TIERS_S[0]:
        return 0
    return sum(_MANY * tier_s <= query.step_s for tier_s in TIERS_S) or 1


def _parts(
    connection: sqlite3.Connection, query: HistoryQuery, series: _Fields, piece: _Piece
) -> Iterator[tuple[_Piece, _Fields]]:
    """Read all series together from their totals, as far back as those go."""
    if query.tags or query.measurement not in totals.TOTALLED:
        yield piece, series
        return
    together = _series(connection, query, totals.name_of(query.measurement))
    state = dict(connection.execute("SELECT key, value FROM rollup_state"))
    from_ms = max(piece.since_ms, min(piece.until_ms, totals.begin_s(state) * 1000))
    if piece.since_ms < from_ms:
        yield replace(piece, until_ms=from_ms), series
    if from_ms < piece.until_ms:
        yield replace(piece, since_ms=from_ms), together


def _rolled_begin_ms(
    connection: sqlite3.Connection, tier_s: int, series: Mapping[int, object], otherwise_ms: int
) -> int:
    begin_s = first_s(connection, tier_s, series)
    return otherwise_ms if begin_s is None else begin_s * 1000


def _raw_begin_ms(connection: sqlite3.Connection, otherwise_ms: int) -> int:
    row = connection.execute("SELECT min(min_at_ms) FROM sample_blocks").fetchone()
    return otherwise_ms if row[0] is None else int(row[0])


def _series(
    connection: sqlite3.Connection, query: HistoryQuery, measurement: str
) -> dict[int, tuple[str, ...]]:
    """Return the fields of the matching series by their number."""
    found: dict[int, tuple[str, ...]] = {}
    wanted = query.tags.items()
    for number, tags, fields in connection.execute(
        "SELECT id, tags, fields FROM series WHERE measurement = ? ORDER BY id",
        (measurement,),
    ):
        names = tuple(orjson.loads(fields))
        if query.field in names and wanted <= orjson.loads(tags).items():
            found[number] = names
    return found


# --- reading --------------------------------------------------------------------------------------


def _from_rollups(
    connection: sqlite3.Connection,
    query: HistoryQuery,
    series: _Fields,
    piece: _Piece,
    steps: _Steps,
) -> None:
    wanted = Wanted(
        tier_s=piece.source_s,
        # The row that holds the beginning counts with its part.
        since_s=piece.since_ms // 1000 // piece.source_s * piece.source_s,
        until_s=-(-piece.until_ms // 1000),
        highest=query.statistic == "max",
    )
    for times, values, counts in columns(connection, series, query.field, wanted):
        for places, parts in _places(query, times * 1000, piece.source_s * 1000):
            used = parts > 0.0
            weights = (counts * parts)[used]
            steps.add(places[used], values[used] * weights, weights, values[used])


def _places(
    query: HistoryQuery, begins_ms: np.ndarray, length_ms: int
) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Return the steps of rows, and with what part they lie in them. Shapes (n_rows,)."""
    since_ms = begins_ms - query.begin_ms
    first = since_ms // query.step_ms
    if length_ms > query.step_ms:
        # Nothing finer is known: the row counts where it begins.
        return [(np.maximum(first, 0), np.ones(len(first)))]
    beyond_ms = np.maximum(0, since_ms + length_ms - (first + 1) * query.step_ms)
    beyond = beyond_ms / length_ms
    # Step -1 is what lies before the beginning.
    return [(first, np.where(first >= 0, 1.0 - beyond, 0.0)), (first + 1, beyond)]


def _from_samples(
    connection: sqlite3.Connection,
    query: HistoryQuery,
    series: _Fields,
    piece: _Piece,
    steps: _Steps,
) -> None:
    places: dict[int, list[int]] = {}
    for number, names in series.items():
        places.setdefault(names.index(query.field), []).append(number)
    for first, last in ranges(connection, piece.since_ms, piece.until_ms) if places else ():
        for place, numbers in places.items():
            rows = connection.execute(
                "SELECT (at_ms - ?) / ?, sum(v), count(v), max(v) FROM (SELECT at_ms,"
                " json_extract(vals, ?) AS v FROM samples WHERE id BETWEEN ? AND ?"
                " AND at_ms >= ? AND at_ms < ?"
                " AND series_id IN (SELECT value FROM json_each(?)))"
                " WHERE typeof(v) IN ('real', 'integer') GROUP BY 1",
                (
                    query.begin_ms,
                    query.step_ms,
                    f"$[{place}]",
                    first,
                    last,
                    piece.since_ms,
                    piece.until_ms,
                    orjson.dumps(numbers).decode(),
                ),
            ).fetchall()
            if rows:
                steps.add(*np.array(rows, dtype=np.float64).T)


def ranges(
    connection: sqlite3.Connection, since_ms: int, until_ms: int
) -> tuple[tuple[int, int], ...]:
    """Return the ranges of ids in which samples of a time span lie, whatever the clock did."""
    ranges: list[tuple[int, int]] = []
    for first, last in connection.execute(
        "SELECT first_id, last_id FROM sample_blocks WHERE max_at_ms >= ? AND min_at_ms < ?"
        " ORDER BY first_id",
        (since_ms, until_ms),
    ):
        if ranges and ranges[-1][1] == first - 1:
            ranges[-1] = (ranges[-1][0], last)
        else:
            ranges.append((first, last))
    return tuple(ranges)
