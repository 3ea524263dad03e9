"""What limited an EVSE when: rows, in a bounded table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, literal, select
from sqlalchemy.dialects.sqlite import insert

from adapters.store.schema import reasons as table
from controller.reasons import ReasonChange
from controller.site import EvseId


def put(connection: Connection, changes: Sequence[ReasonChange]) -> None:
    """Store changes; a repeated one replaces the first."""
    rows = [
        {
            "evse": c.evse,
            "at": c.at,
            "code": c.code,
            "text": c.text,
            "bound_by": c.bound_by,
            "setpoint_a": c.setpoint_a,
            "wording": c.wording,
            "values_json": json.dumps(dict(c.values)),
        }
        for c in changes
    ]
    if rows:
        connection.execute(insert(table).prefix_with("OR REPLACE"), rows)


def listed(
    connection: Connection,
    evse: EvseId,
    *,
    since: datetime,
    until: datetime,
    limit: int,
    offset: int,
) -> tuple[ReasonChange, ...]:
    """List, oldest first, from the one that was in force at `since`."""
    before = (
        select(func.max(table.c.at))
        .where((table.c.evse == evse) & (table.c.at <= since))
        .scalar_subquery()
    )
    rows = connection.execute(
        select(table)
        .where(
            (table.c.evse == evse)
            # Without the column's type, the instant would be compared as text.
            & (table.c.at >= func.coalesce(before, literal(since, table.c.at.type)))
            & (table.c.at < until)
        )
        .order_by(table.c.at)
        .limit(limit)
        .offset(offset)
    )
    return tuple(_change(row) for row in rows)


def prune(connection: Connection, keep: int) -> None:
    """Delete the oldest rows beyond a number."""
    newest = select(func.max(table.c.row)).scalar_subquery()
    connection.execute(delete(table).where(table.c.row <= newest - keep))


def _change(row: Row[Any]) -> ReasonChange:
    return ReasonChange(
        evse=EvseId(row.evse),
        at=row.at,
        code=row.code,
        text=row.text,
        bound_by=row.bound_by,
        setpoint_a=row.setpoint_a,
        wording=row.wording,
        values=json.loads(row.values_json),
    )
