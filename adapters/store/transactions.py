"""Transactions: what is billed. Pure rules for merging reports, and their rows."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    func,
    insert,
    select,
    true,
    update,
)

from adapters.store.schema import micros_of
from adapters.store.schema import transactions as table
from controller.administration import TransactionQuery
from controller.site import EvseId, StationId
from controller.transaction import IdToken, Transaction, TransactionId


def merged(stored: Transaction, report: Transaction) -> Transaction:
    """Return a stored transaction with what a report adds.

    A stored end stays as it is, unless it was assumed and the report brings the real one: late reports only fill what is unknown. Known values of a running
    transaction are never erased by absent ones.
    """
    if stored.ended_at is not None and (stored.has_final_end or not report.has_final_end):
        return replace(
            stored,
            id_token=stored.id_token if stored.id_token is not None else report.id_token,
            started_at=min(stored.started_at, report.started_at),
            start_wh=_first_known(stored.start_wh, report.start_wh),
            last_wh=_first_known(stored.last_wh, report.last_wh),
        )
    return replace(
        report,
        id_token=report.id_token if report.id_token is not None else stored.id_token,
        start_wh=_first_known(report.start_wh, stored.start_wh),
        last_wh=_first_known(report.last_wh, stored.last_wh),
        seq_no=report.seq_no if report.seq_no is not None else stored.seq_no,
    )


def _first_known(value_wh: float | None, otherwise_wh: float | None) -> float | None:
    return value_wh if value_wh is not None else otherwise_wh


def open_once(connection: Connection, transaction: Transaction, *, offline: bool) -> Transaction:
    """Store a start, or return the one that is stored under its id or its natural key."""
    known = find(connection, transaction.station, transaction.id)
    if known is not None:
        return known
    row = connection.execute(
        select(table).where(table.c.natural_key == _natural_key(transaction)).limit(1)
    ).one_or_none()
    if row is not None:
        return _transaction(row)
    _insert(connection, transaction, offline=offline)
    return transaction


def save(connection: Connection, transaction: Transaction) -> None:
    """Store progress or the end."""
    known = find(connection, transaction.station, transaction.id)
    if known is None:
        _insert(connection, transaction, offline=False)
        return
    connection.execute(
        update(table)
        .where((table.c.station == transaction.station) & (table.c.id == transaction.id))
        .values(_values(merged(known, transaction)))
    )


def find(
    connection: Connection, station: StationId, transaction: TransactionId
) -> Transaction | None:
    """Find a station's transaction."""
    row = connection.execute(
        select(table).where((table.c.station == station) & (table.c.id == transaction))
    ).one_or_none()
    return None if row is None else _transaction(row)


def running(connection: Connection) -> tuple[Transaction, ...]:
    """Return all that have not ended, oldest first."""
    rows = connection.execute(
        select(table).where(table.c.ended_at.is_(None)).order_by(table.c.started_at, table.c.row)
    )
    return tuple(_transaction(row) for row in rows)


def listed(
    connection: Connection,
    *,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    offset: int,
) -> tuple[Transaction, ...]:
    """List by start time, newest first."""
    query = select(table).order_by(table.c.started_at.desc(), table.c.row.desc())
    if since is not None:
        query = query.where(table.c.started_at >= since)
    if until is not None:
        query = query.where(table.c.started_at < until)
    rows = connection.execute(query.limit(limit).offset(offset))
    return tuple(_transaction(row) for row in rows)


def found(
    connection: Connection, query: TransactionQuery, *, limit: int, offset: int
) -> tuple[Transaction, ...]:
    """List what a query finds, newest first."""
    rows = connection.execute(
        select(table)
        .where(_matches(query))
        .order_by(table.c.started_at.desc(), table.c.row.desc())
        .limit(limit)
        .offset(offset)
    )
    return tuple(_transaction(row) for row in rows)


def count(connection: Connection, query: TransactionQuery) -> int:
    """Count what a query finds."""
    number = connection.execute(select(func.count()).select_from(table).where(_matches(query)))
    return int(number.scalar_one())


def _matches(query: TransactionQuery) -> ColumnElement[bool]:
    wanted: list[ColumnElement[bool]] = []
    if query.since is not None:
        wanted.append(table.c.started_at >= query.since)
    if query.until is not None:
        wanted.append(table.c.started_at < query.until)
    if query.station is not None:
        wanted.append(table.c.station == query.station)
    if query.evse is not None:
        wanted.append(table.c.evse == query.evse)
    if query.id_token is not None:
        # Id tokens are printable ASCII (OCPP's CiString), for which SQLite's lower is enough.
        wanted.append(func.lower(table.c.id_token) == query.id_token.lower())
    if query.is_running is not None:
        running = table.c.ended_at.is_(None)
        wanted.append(running if query.is_running else ~running)
    return and_(true(), *wanted)


def _insert(connection: Connection, transaction: Transaction, *, offline: bool) -> None:
    connection.execute(
        insert(table).values(
            station=transaction.station,
            id=transaction.id,
            natural_key=_natural_key(transaction),
            offline=int(offline),
            **_values(transaction),
        )
    )


def _natural_key(transaction: Transaction) -> str:
    """Return what stays the same when a station repeats a start, as 1.6 stations without an id do."""
    token = transaction.id_token
    return json.dumps(
        [
            transaction.station,
            transaction.evse,
            micros_of(transaction.started_at),
            None if token is None else token.casefold(),
            None if transaction.start_wh is None else float(transaction.start_wh),
        ]
    )


def _values(transaction: Transaction) -> dict[str, object]:
    return {
        "evse": transaction.evse,
        "id_token": transaction.id_token,
        "started_at": transaction.started_at,
        "start_wh": transaction.start_wh,
        "last_wh": transaction.last_wh,
        "ended_at": transaction.ended_at,
        "end_reason": transaction.end_reason,
        "seq_no": transaction.seq_no,
        "max_a": transaction.max_a,
        "priority": transaction.priority,
        "assumed_scale_ratio": transaction.assumed_scale_ratio,
    }


def _transaction(row: Row[Any]) -> Transaction:
    return Transaction(
        id=TransactionId(row.id),
        station=StationId(row.station),
        evse=EvseId(row.evse),
        id_token=None if row.id_token is None else IdToken(row.id_token),
        started_at=row.started_at,
        start_wh=row.start_wh,
        last_wh=row.last_wh,
        ended_at=row.ended_at,
        end_reason=row.end_reason,
        seq_no=row.seq_no,
        max_a=row.max_a,
        priority=row.priority,
        assumed_scale_ratio=row.assumed_scale_ratio,
    )
