"""Roll-ups over all series of a measurement, so that a month of all chargers is as quick as of one.

They are rows like any other, of a series that no sample has and nobody can name in a query: its
measurement begins with `*`. There is one per list of fields.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

from adapters.store.rollup_rows import TIERS_S

TOTALLED: Final = frozenset({"charger"})
"""Measurements of so many series that reading each takes too long."""


def name_of(measurement: str) -> str:
    """Return the measurement under which the totals are kept."""
    return f"*{measurement}"


def learn(connection: sqlite3.Connection, measurement: str, fields: str) -> int | None:
    """Return the series of the totals of a list of fields; None: this measurement has none."""
    if measurement not in TOTALLED:
        return None
    key = (name_of(measurement), "{}", fields)
    connection.execute(
        "INSERT OR IGNORE INTO series (measurement, tags, fields) VALUES (?, ?, ?)", key
    )
    row = connection.execute(
        "SELECT id FROM series WHERE measurement = ? AND tags = ? AND fields = ?", key
    ).fetchone()
    return int(row[0])


def begin_s(state: Mapping[str, int]) -> int:
    """Return from when on the totals have everything: rows from before are without them. [s]

    A file whose roll-ups went on without totals, because an older version wrote it, has a gap: what
    was before it is not used any more.
    """
    rolled_to_s = int(state.get("rolled_to_s", 0))
    if int(state.get("totals_to_s", 0)) == rolled_to_s:
        return int(state.get("totals_from_s", 0))
    longest_s = TIERS_S[-1]
    return -(-rolled_to_s // longest_s) * longest_s
