"""Versions of the site file: their rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from adapters.store.schema import config_versions as table
from controller.administration import ConfigVersion, VersionState

_IN_FORCE = (VersionState.RUNNING.value, VersionState.TRIAL.value)


def add(
    connection: Connection, *, text: str, actor: str, note: str, at: datetime, state: VersionState
) -> ConfigVersion:
    """Append a version; what was in force before is superseded."""
    connection.execute(
        update(table)
        .where(table.c.state.in_(_IN_FORCE))
        .values(state=VersionState.SUPERSEDED.value)
    )
    number = connection.execute(
        insert(table)
        .values(at=at, actor=actor, note=note, state=state.value, text=text)
        .returning(table.c.number)
    ).scalar_one()
    return ConfigVersion(number=number, at=at, actor=actor, note=note, state=state, text=text)


def set_state(connection: Connection, number: int, state: VersionState) -> None:
    """Note what became of a version; only one runs at a time."""
    if state is VersionState.RUNNING:
        connection.execute(
            update(table)
            .where(table.c.state.in_(_IN_FORCE))
            .values(state=VersionState.SUPERSEDED.value)
        )
    connection.execute(update(table).where(table.c.number == number).values(state=state.value))


def listed(connection: Connection, *, limit: int, offset: int) -> tuple[ConfigVersion, ...]:
    """List, newest first."""
    rows = connection.execute(
        select(table).order_by(table.c.number.desc()).limit(limit).offset(offset)
    )
    return tuple(_version(row) for row in rows)


def find(connection: Connection, number: int) -> ConfigVersion | None:
    """Find one."""
    row = connection.execute(select(table).where(table.c.number == number)).one_or_none()
    return None if row is None else _version(row)


def _version(row: Row[Any]) -> ConfigVersion:
    return ConfigVersion(
        number=row.number,
        at=row.at,
        actor=row.actor,
        note=row.note,
        state=VersionState(row.state),
        text=row.text,
    )
