"""The controller's state texts, alarms and the audit log: their rows."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from adapters.store.schema import alarms, audit_entries, states
from controller.decision import Alarm, Condition, Severity
from controller.records import AuditEntry

GENERATIONS = 2
"""Versions of a state text that are kept: the latest, and one in case it is damaged."""


def save_state(connection: Connection, kind: str, text: str) -> None:
    """Keep a text beside its previous version."""
    connection.execute(insert(states).values(kind=kind, text=text, sha256=_sha256(text)))
    kept = (
        select(states.c.generation)
        .where(states.c.kind == kind)
        .order_by(states.c.generation.desc())
        .limit(GENERATIONS)
    )
    connection.execute(
        delete(states).where((states.c.kind == kind) & states.c.generation.not_in(kept))
    )


def load_state(connection: Connection, kind: str) -> str | None:
    """Return the newest sound version; None when there is none."""
    rows = connection.execute(
        select(states.c.text, states.c.sha256)
        .where(states.c.kind == kind)
        .order_by(states.c.generation.desc())
    )
    return next((row.text for row in rows if _sha256(row.text) == row.sha256), None)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def save_alarm(connection: Connection, alarm: Alarm) -> None:
    """Store a begin, or the end of the alarm with the same code, subject and begin."""
    values = {
        "text": alarm.condition.text,
        "severity": alarm.condition.severity.value,
        "end_at": alarm.end,
    }
    statement = upsert(alarms).values(
        code=alarm.condition.code,
        subject=alarm.condition.subject,
        begin_at=alarm.begin,
        **values,
    )
    kept_end = func.coalesce(alarms.c.end_at, statement.excluded.end_at)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[alarms.c.code, alarms.c.subject, alarms.c.begin_at],
            set_={**values, "end_at": kept_end},
        )
    )


def list_alarms(connection: Connection, *, since: datetime | None, limit: int) -> tuple[Alarm, ...]:
    """List by begin, newest first."""
    query = select(alarms).order_by(alarms.c.begin_at.desc(), alarms.c.row.desc()).limit(limit)
    if since is not None:
        query = query.where(alarms.c.begin_at >= since)
    return tuple(_alarm(row) for row in connection.execute(query))


def list_open_alarms(connection: Connection) -> tuple[Alarm, ...]:
    """List those without an end, oldest first."""
    query = select(alarms).where(alarms.c.end_at.is_(None)).order_by(alarms.c.begin_at)
    return tuple(_alarm(row) for row in connection.execute(query))


def _alarm(row: Row[Any]) -> Alarm:
    return Alarm(
        condition=Condition(
            code=row.code, subject=row.subject, text=row.text, severity=Severity(row.severity)
        ),
        begin=row.begin_at,
        end=row.end_at,
    )


def prune_alarms(connection: Connection, keep: int) -> None:
    """Delete the oldest alarms beyond a number."""
    newest = select(func.max(alarms.c.row)).scalar_subquery()
    connection.execute(delete(alarms).where(alarms.c.row <= newest - keep))


def append_audit(connection: Connection, entry: AuditEntry) -> None:
    """Append to the audit log."""
    connection.execute(
        insert(audit_entries).values(
            at=entry.at,
            actor=entry.actor,
            action=entry.action,
            subject=entry.subject,
            before=entry.before,
            after=entry.after,
        )
    )


def list_audit(connection: Connection, *, limit: int, offset: int) -> tuple[AuditEntry, ...]:
    """List, newest first."""
    rows = connection.execute(
        select(audit_entries).order_by(audit_entries.c.row.desc()).limit(limit).offset(offset)
    )
    return tuple(
        AuditEntry(
            at=row.at,
            actor=row.actor,
            action=row.action,
            subject=row.subject,
            before=row.before,
            after=row.after,
        )
        for row in rows
    )
