"""The recorded plan of a past moment."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from adapters.store import cycles
from adapters.store.samples import millis_of, time_of
from controller.administration import PastPlan


def plan_at(connection: sqlite3.Connection, at: datetime) -> PastPlan | None:
    """Return the latest recorded plan of that moment or before; None: there is none."""
    row = connection.execute(
        "SELECT max(at_ms) FROM cycles WHERE at_ms <= ?", (millis_of(at),)
    ).fetchone()
    if row[0] is None:
        return None
    since = time_of(row[0])
    found = cycles.read(connection, since=since, until=since + timedelta(milliseconds=1), limit=10)
    if not found:
        return None
    return PastPlan(at=found[-1].at, plan=found[-1].plan, site=found[-1].site)
