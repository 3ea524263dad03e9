"""The rows of the roll-ups: how they are packed, merged and read. Pure but for the connection."""

from __future__ import annotations

import math
import sqlite3
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

TIERS_S: Final = (60, 900, 3600)
"""Lengths of the steps, finest first. [s]"""
ROW_BYTES: Final = 24
"""Stored per row beside its values. [B]"""
_EXACT: Final = ("e_", "energy")
"""Counters: their amounts need more digits than a 32-bit number has."""


@dataclass(slots=True, kw_only=True)
class Span:
    """Samples of one series in one step, summed up. A field without a value is NaN."""

    count: int
    means: list[float]
    highest: list[float]

    def add(self, values: Sequence[float | None]) -> None:
        """Take one more sample."""
        self.merge(one(values))

    def merge(self, other: Span) -> None:
        """Take the samples of another span."""
        total = self.count + other.count
        for place, (mine, theirs) in enumerate(zip(self.means, other.means, strict=True)):
            if math.isnan(theirs):
                continue
            if math.isnan(mine):
                self.means[place], self.highest[place] = theirs, other.highest[place]
                continue
            self.means[place] = (mine * self.count + theirs * other.count) / total
            self.highest[place] = max(self.highest[place], other.highest[place])
        self.count = total


def one(values: Sequence[float | None]) -> Span:
    """Return the span of one sample."""
    numbers = [math.nan if value is None else float(value) for value in values]
    return Span(count=1, means=numbers, highest=list(numbers))


def copied(span: Span) -> Span:
    """Return a span that can be added to without changing the given one."""
    return Span(count=span.count, means=list(span.means), highest=list(span.highest))


def layout(fields: Sequence[str]) -> str:
    """Return how a row of these fields is packed: the count, the means, the maxima."""
    codes = "".join("d" if name.startswith(_EXACT) else "f" for name in fields)
    return f"<I{codes}{codes}"


def pack(span: Span, form: str) -> bytes:
    """Return the row."""
    return struct.pack(form, min(span.count, 0xFFFFFFFF), *span.means, *span.highest)


def unpack(row: bytes, form: str) -> Span:
    """Return what a row says."""
    count, *values = struct.unpack(form, row)
    half = len(values) // 2
    return Span(count=count, means=values[:half], highest=values[half:])


def merge_into(
    connection: sqlite3.Connection, series: int, at_s: int, span: Span, form: str
) -> dict[int, int]:
    """Add a span to the rows of all tiers; return how many rows are new, by tier."""
    created: dict[int, int] = {}
    for tier_s in TIERS_S:
        key = (tier_s, series, at_s - at_s % tier_s)
        known = connection.execute(
            "SELECT vals FROM rollups WHERE tier_s = ? AND series_id = ? AND at_s = ?", key
        ).fetchone()
        merged = copied(span)
        if known is None:
            created[tier_s] = 1
        else:
            merged.merge(unpack(known[0], form))
        connection.execute(
            "INSERT OR REPLACE INTO rollups VALUES (?, ?, ?, ?)", (*key, pack(merged, form))
        )
    return created


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The part of a query that roll-ups answer."""

    tier_s: int
    since_s: int
    until_s: int
    """Exclusive."""
    highest: bool
    """The maxima instead of the means."""


def columns(
    connection: sqlite3.Connection, series: Mapping[int, Sequence[str]], field: str, wanted: Wanted
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield times [s], values and counts of a field, series by series."""
    for number, fields in series.items():
        rows = connection.execute(
            "SELECT at_s, vals FROM rollups WHERE tier_s = ? AND series_id = ?"
            " AND at_s >= ? AND at_s < ? ORDER BY at_s",
            (wanted.tier_s, number, wanted.since_s, wanted.until_s),
        ).fetchall()
        if not rows:
            continue
        place = fields.index(field) + (len(fields) if wanted.highest else 0)
        raw = np.frombuffer(b"".join(row[1] for row in rows), dtype=_dtype(fields))
        values = raw[f"v{place}"].astype(np.float64)
        usable = np.isfinite(values)
        times = np.fromiter((row[0] for row in rows), dtype=np.int64, count=len(rows))
        yield times[usable], values[usable], raw["n"].astype(np.float64)[usable]


def _dtype(fields: Sequence[str]) -> np.dtype:
    codes = ["<f8" if name.startswith(_EXACT) else "<f4" for name in fields] * 2
    return np.dtype([("n", "<u4"), *((f"v{place}", code) for place, code in enumerate(codes))])
