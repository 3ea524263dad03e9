"""Documents of roaming partners: text by kind and key."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from adapters.store.schema import documents as table
from controller.roaming import Document, DocumentQuery


def put(connection: Connection, document: Document, *, once: bool) -> bool:
    """Insert or replace; with `once` an existing one stays. Return whether it is new."""
    is_new = find(connection, document.kind, document.key) is None
    if not is_new and once:
        return False
    values = {"body": document.body, "updated_at": document.updated_at}
    connection.execute(
        insert(table)
        .values(kind=document.kind, key=document.key, **values)
        .on_conflict_do_update(index_elements=["kind", "key"], set_=values)
    )
    return is_new


def find(connection: Connection, kind: str, key: str) -> Document | None:
    """Find one."""
    row = connection.execute(
        select(table).where((table.c.kind == kind) & (table.c.key == key))
    ).one_or_none()
    return None if row is None else _document(row)


def listed(connection: Connection, query: DocumentQuery) -> tuple[Document, ...]:
    """List, oldest change first, then by key."""
    rows = connection.execute(
        select(table)
        .where(_matches(query))
        .order_by(table.c.updated_at, table.c.key)
        .limit(query.limit)
        .offset(query.offset)
    )
    return tuple(_document(row) for row in rows)


def count(connection: Connection, query: DocumentQuery) -> int:
    """Count without limit and offset."""
    return int(
        connection.execute(
            select(func.count()).select_from(table).where(_matches(query))
        ).scalar_one()
    )


def remove(connection: Connection, kind: str, key: str) -> bool:
    """Delete; False when it did not exist."""
    gone = connection.execute(delete(table).where((table.c.kind == kind) & (table.c.key == key)))
    return gone.rowcount > 0


def _matches(query: DocumentQuery) -> ColumnElement[bool]:
    wanted = [table.c.kind == query.kind]
    if query.since is not None:
        wanted.append(table.c.updated_at >= query.since)
    if query.until is not None:
        wanted.append(table.c.updated_at < query.until)
    if query.prefix:
        wanted.append(table.c.key.startswith(query.prefix, autoescape=True))
    return and_(*wanted)


def _document(row: Row[Any]) -> Document:
    return Document(kind=row.kind, key=row.key, body=row.body, updated_at=row.updated_at)
