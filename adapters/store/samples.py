"""Samples: wide rows in order of arrival, one series row per measurement, tags and field names."""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from adapters.store.rollups import Rollups, Row
from adapters.store.schema import EPOCH
from controller.records import Sample, SpooledSample

BATCH = 5_000
"""Samples per commit at most."""
BLOCK_ROWS = 20_000
BLOCK_MS = 60_000
"""A block ends with either: it is what retention removes at once, and what a query skips."""
ROW_BYTES = 16
"""Stored per sample beside its values: id, time, series and headers. [B]"""
MAX_CACHED_SERIES = 50_000
MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Series:
    """What rows of one series share."""

    measurement: str
    tags: Mapping[str, str]
    fields: tuple[str, ...]


def millis_of(at: datetime) -> int:
    """Return milliseconds since 1970 in UTC, rounded down."""
    return (at - EPOCH) // MILLISECOND


def time_of(millis: int) -> datetime:
    """Return the UTC time of milliseconds since 1970."""
    return EPOCH + timedelta(milliseconds=millis)


class SampleQueue:
    """Samples on their way to the disk. `put` is called from any thread, the rest by the writer."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._waiting: deque[Sample] = deque()
        self._in_flight: list[Sample] = []
        self._lock = threading.Lock()
        self._ids: dict[tuple[str, bytes, bytes], int] = {}
        self._rollups = Rollups()
        self.dropped = 0
        """Samples lost because the queue was full."""
        self.refused = 0
        """Samples lost because they cannot be written down."""

    def put(self, samples: Iterable[Sample]) -> None:
        """Queue samples; drop the oldest beyond the capacity."""
        with self._lock:
            self._waiting.extend(samples)
            self._trim()

    def depth(self) -> int:
        """Count the samples in memory."""
        return len(self._waiting) + len(self._in_flight)

    def is_waiting(self) -> bool:
        """Tell whether anything is queued."""
        return bool(self._waiting)

    def write(self, connection: sqlite3.Connection) -> None:
        """Write the oldest samples."""
        with self._lock:
            count = min(BATCH, len(self._waiting))
            self._in_flight = [self._waiting.popleft() for _ in range(count)]
        packed = [(self._row(connection, sample), sample) for sample in self._in_flight]
        rows = [row for row, _ in packed if row is not None]
        if rows:
            first = newest(connection) + 1
            connection.executemany(
                "INSERT INTO samples (at_ms, series_id, vals) VALUES (?, ?, ?)", rows
            )
            _extend_blocks(connection, first, rows)
            written = ((row, sample) for row, sample in packed if row is not None)
            self._rollups.write(
                connection,
                [
                    Row(first + place, row[0], row[1], tuple(sample.fields.values()))
                    for place, (row, sample) in enumerate(written)
                ],
            )

    def commit(self) -> None:
        """Forget the batch: it is stored."""
        self._rollups.commit()
        self._in_flight = []

    def roll_back(self, *, again: bool) -> None:
        """Forget the series that the transaction took with it; queue the batch again, or give it up."""
        self._ids.clear()
        self._rollups.roll_back()
        with self._lock:
            if again:
                self._waiting.extendleft(reversed(self._in_flight))
                self._trim()
            else:
                self.refused += len(self._in_flight)
            self._in_flight = []

    def _trim(self) -> None:
        while len(self._waiting) > self._capacity:
            self._waiting.popleft()
            self.dropped += 1

    def _row(self, connection: sqlite3.Connection, sample: Sample) -> tuple[int, int, str] | None:
        try:
            at_ms = millis_of(sample.at)
            sample.measurement.encode()
            fields = orjson.dumps(tuple(sample.fields))
            tags = orjson.dumps(dict(sample.tags), option=orjson.OPT_SORT_KEYS)
            values = orjson.dumps(tuple(sample.fields.values())).decode()
        except (TypeError, ValueError, OverflowError):
            self.refused += 1
            return None
        key = (sample.measurement, tags, fields)
        known = self._ids.get(key)
        if known is None:
            known = self._learn(connection, key)
        return at_ms, known, values

    def _learn(self, connection: sqlite3.Connection, key: tuple[str, bytes, bytes]) -> int:
        if len(self._ids) >= MAX_CACHED_SERIES:
            self._ids.clear()
        texts = (key[0], key[1].decode(), key[2].decode())
        connection.execute(
            "INSERT OR IGNORE INTO series (measurement, tags, fields) VALUES (?, ?, ?)", texts
        )
        row = connection.execute(
            "SELECT id FROM series WHERE measurement = ? AND tags = ? AND fields = ?", texts
        ).fetchone()
        self._ids[key] = int(row[0])
        return int(row[0])


def _extend_blocks(
    connection: sqlite3.Connection, first: int, rows: Sequence[tuple[int, int, str]]
) -> None:
    """Add rows to the newest block, or begin one."""
    low, high = min(row[0] for row in rows), max(row[0] for row in rows)
    size = sum(len(row[2]) + ROW_BYTES for row in rows)
    last = first + len(rows) - 1
    block = connection.execute(
        "SELECT first_id, last_id, min_at_ms, max_at_ms FROM sample_blocks"
        " ORDER BY first_id DESC LIMIT 1"
    ).fetchone()
    if block is not None and block[1] == first - 1:
        lowest, highest = min(low, block[2]), max(high, block[3])
        if last - block[0] < BLOCK_ROWS and highest - lowest < BLOCK_MS:
            connection.execute(
                "UPDATE sample_blocks SET last_id = ?, min_at_ms = ?, max_at_ms = ?,"
                " bytes = bytes + ? WHERE first_id = ?",
                (last, lowest, highest, size, block[0]),
            )
            return
    connection.execute(
        "INSERT INTO sample_blocks VALUES (?, ?, ?, ?, ?)", (first, last, low, high, size)
    )


class SampleReader:
    """Reads samples back, on the one connection and thread that the store gives it."""

    def __init__(self) -> None:
        self._series: dict[int, Series] = {}

    def spooled(
        self, connection: sqlite3.Connection, after: int, limit: int
    ) -> tuple[SpooledSample, ...]:
        """Return samples after a cursor, oldest first."""
        rows = connection.execute(
            "SELECT id, at_ms, series_id, vals FROM samples WHERE id > ? ORDER BY id LIMIT ?",
            (after, limit),
        ).fetchall()
        return tuple(
            SpooledSample(cursor=row[0], sample=self._sample(connection, row)) for row in rows
        )

    def _sample(self, connection: sqlite3.Connection, row: tuple[int, int, int, str]) -> Sample:
        series = self._series.get(row[2]) or self._learn(connection, row[2])
        values = orjson.loads(row[3])
        # A number that is not finite was stored as null: the field is absent, not 0.
        fields = {n: v for n, v in zip(series.fields, values, strict=True) if v is not None}
        return Sample(
            measurement=series.measurement, tags=series.tags, fields=fields, at=time_of(row[1])
        )

    def _learn(self, connection: sqlite3.Connection, number: int) -> Series:
        if len(self._series) >= MAX_CACHED_SERIES:
            self._series.clear()
        measurement, tags, fields = connection.execute(
            "SELECT measurement, tags, fields FROM series WHERE id = ?", (number,)
        ).fetchone()
        found = Series(measurement, orjson.loads(tags), tuple(orjson.loads(fields)))
        self._series[number] = found
        return found


def newest(connection: sqlite3.Connection) -> int:
    """Return the cursor of the newest sample; 0 when there is none."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'samples'").fetchone()
    return 0 if row is None else int(row[0])


def prune_block(connection: sqlite3.Connection, *, before_ms: int, keep_bytes: int) -> bool:
    """Delete the oldest block that is too old or one too many; False: there is none."""
    block = connection.execute(
        "SELECT first_id, last_id FROM sample_blocks WHERE max_at_ms < ? ORDER BY first_id LIMIT 1",
        (before_ms,),
    ).fetchone()
    if block is None:
        (size,) = connection.execute("SELECT coalesce(sum(bytes), 0) FROM sample_blocks").fetchone()
        if size <= keep_bytes:
            return False
        block = connection.execute(
            "SELECT first_id, last_id FROM sample_blocks ORDER BY first_id LIMIT 1"
        ).fetchone()
    connection.execute("DELETE FROM samples WHERE id BETWEEN ? AND ?", block)
    connection.execute("DELETE FROM sample_blocks WHERE first_id = ?", (block[0],))
    return True
