"""Writes closed days of samples to Parquet files. Needs the extra `parquet`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson

from adapters.store.engines import bulk_connection
from adapters.store.errors import StoreError
from adapters.store.history import ranges
from adapters.store.samples import millis_of, time_of

ROWS: Final = 100_000
"""Rows that are in memory at once, and in one group of the file."""
_TEXTS: Final = frozenset({"text", "method", "reason", "transaction"})
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Series:
    measurement: str
    tags: Mapping[str, str]
    fields: tuple[str, ...]


def export_days(
    store: Path, folder: Path, *, now: datetime, told: Callable[[str], None] = lambda text: None
) -> int:
    """Write every closed day that has no file yet; return the number of files written.

    Args:
        store: The store's file; it may be in use.
        folder: Gets `<measurement>/<day>.parquet`, times and days in UTC.
        now: The current time; its day is not closed yet.
        told: Called with the path of each file.

    Raises:
        StoreError: The store cannot be read, the files not written, or pyarrow is not installed.
    """
    try:
        with closing(bulk_connection(store)) as connection:
            connection.execute("PRAGMA query_only=ON")
            series = _all_series(connection)
            written = 0
            for day in _closed_days(connection, now):
                written += _export_day(connection, folder, day, series, told)
            return written
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{store} to {folder}: cannot be exported ({error}).") from error


def _closed_days(connection: sqlite3.Connection, now: datetime) -> Iterator[date]:
    first_ms, last_ms = connection.execute(
        "SELECT min(min_at_ms), max(max_at_ms) FROM sample_blocks"
    ).fetchone()
    if first_ms is None:
        return
    day, today = time_of(first_ms).date(), now.astimezone(UTC).date()
    while day < today and day <= time_of(last_ms).date():
        yield day
        day += _DAY


def _all_series(connection: sqlite3.Connection) -> dict[int, _Series]:
    return {
        number: _Series(measurement, orjson.loads(tags), tuple(orjson.loads(fields)))
        for number, measurement, tags, fields in connection.execute(
            "SELECT id, measurement, tags, fields FROM series"
        )
    }


def _export_day(
    connection: sqlite3.Connection,
    folder: Path,
    day: date,
    series: Mapping[int, _Series],
    told: Callable[[str], None],
) -> int:
    written = 0
    for measurement in sorted({s.measurement for s in series.values()}):
        target = folder / measurement / f"{day.isoformat()}.parquet"
        if target.exists():
            continue
        some = {n: s for n, s in series.items() if s.measurement == measurement}
        if _write(_rows(connection, day, some), target, some.values()):
            told(str(target))
            written += 1
    return written


def _rows(
    connection: sqlite3.Connection, day: date, series: Mapping[int, _Series]
) -> Iterator[tuple[datetime, _Series, list[Any]]]:
    since_ms = millis_of(datetime(day.year, day.month, day.day, tzinfo=UTC))
    until_ms = since_ms + 86_400_000
    numbers = orjson.dumps(sorted(series)).decode()
    for first, last in ranges(connection, since_ms, until_ms):
        for at_ms, number, vals in connection.execute(
            "SELECT at_ms, series_id, vals FROM samples WHERE id BETWEEN ? AND ?"
            " AND at_ms >= ? AND at_ms < ? AND series_id IN (SELECT value FROM json_each(?))",
            (first, last, since_ms, until_ms, numbers),
        ):
            yield time_of(at_ms), series[number], orjson.loads(vals)


def _write(rows: Iterator[tuple[datetime, _Series, list[Any]]], target: Path, series: Any) -> bool:
    """Write one file, whole or not at all; tell whether there was anything."""
    first = next(rows, None)
    if first is None:
        return False
    arrow, parquet = _pyarrow()
    schema = _schema(arrow, series)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".unfinished")
    with parquet.ParquetWriter(unfinished, schema, compression="zstd") as writer:
        for chunk in _chunks(first, rows):
            writer.write_table(arrow.Table.from_pydict(_columns(chunk, schema.names), schema))
    unfinished.replace(target)
    return True


def _chunks(first: Any, rest: Iterator[Any]) -> Iterator[list[Any]]:
    chunk = [first]
    for row in rest:
        if len(chunk) == ROWS:
            yield chunk
            chunk = []
        chunk.append(row)
    yield chunk


def _columns(
    chunk: Sequence[tuple[datetime, _Series, list[Any]]], names: Sequence[str]
) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for at, series, values in chunk:
        row = {**series.tags, **dict(zip(series.fields, values, strict=True)), "at": at}
        for name in names:
            columns[name].append(row.get(name))
    return columns


def _schema(arrow: Any, series: Any) -> Any:
    tags = sorted({tag for s in series for tag in s.tags})
    fields = sorted({name for s in series for name in s.fields} - set(tags))
    return arrow.schema(
        [
            ("at", arrow.timestamp("ms", tz="UTC")),
            *((tag, arrow.string()) for tag in tags),
            *((f, arrow.string() if f in _TEXTS else arrow.float64()) for f in fields),
        ]
    )


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise StoreError(
            "the export needs pyarrow; install it with `pip install wattkeeper[parquet]`"
        ) from error
    return pyarrow, pyarrow.parquet
