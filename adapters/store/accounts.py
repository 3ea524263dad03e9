"""Tokens, stations and users: their rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, select
from sqlalchemy.dialects.sqlite import insert

from adapters.store import credentials
from adapters.store.schema import api_tokens, stations, tokens, users
from controller.records import (
    Role,
    StationRecord,
    TokenImport,
    TokenKind,
    TokenRecord,
    TokenStatus,
    User,
)
from controller.site import StationId
from controller.transaction import IdToken


def find_token(connection: Connection, token: IdToken) -> TokenRecord | None:
    """Find a token, ignoring case."""
    row = connection.execute(select(tokens).where(tokens.c.key == token.casefold())).one_or_none()
    return None if row is None else _token(row)


def all_tokens(connection: Connection) -> tuple[TokenRecord, ...]:
    """List all tokens by id."""
    return tuple(_token(row) for row in connection.execute(select(tokens).order_by(tokens.c.id)))


def put_token(connection: Connection, record: TokenRecord) -> None:
    """Insert or replace."""
    values = {
        "id": record.id,
        "status": record.status.value,
        "label": record.label,
        "group_id": record.group,
        "expires_at": record.expires_at,
        "priority": record.priority,
        "kind": record.kind.value,
        "max_a": record.max_a,
        "stations": json.dumps(record.stations),
        "concurrent": record.concurrent,
    }
    connection.execute(
        insert(tokens)
        .values(key=record.id.casefold(), **values)
        .on_conflict_do_update(index_elements=[tokens.c.key], set_=values)
    )


def delete_token(connection: Connection, token: IdToken) -> bool:
    """Delete; False when it did not exist."""
    return connection.execute(delete(tokens).where(tokens.c.key == token.casefold())).rowcount > 0


def import_tokens(
    connection: Connection, records: Sequence[TokenRecord], *, replace: bool
) -> TokenImport:
    """Insert or replace many in one step."""
    known = {token.id.casefold(): token for token in all_tokens(connection)}
    wanted = {record.id.casefold(): record for record in records}
    changed = {key: r for key, r in wanted.items() if known.get(key) != r}
    for record in changed.values():
        put_token(connection, record)
    gone = known.keys() - wanted.keys() if replace else frozenset[str]()
    for key in gone:
        connection.execute(delete(tokens).where(tokens.c.key == key))
    added = len(changed.keys() - known.keys())
    return TokenImport(
        added=added,
        changed=len(changed) - added,
        same=len(wanted) - len(changed),
        deleted=len(gone),
    )


def _token(row: Row[Any]) -> TokenRecord:
    return TokenRecord(
        id=IdToken(row.id),
        status=TokenStatus(row.status),
        label=row.label,
        group=None if row.group_id is None else IdToken(row.group_id),
        expires_at=row.expires_at,
        priority=row.priority,
        kind=TokenKind(row.kind),
        max_a=row.max_a,
        stations=tuple(StationId(s) for s in json.loads(row.stations)),
        concurrent=row.concurrent,
    )


def station_digest(connection: Connection, station: StationId) -> str | None:
    """Return the digest of a station's password; None: there is none."""
    return connection.execute(
        select(stations.c.secret_digest).where(stations.c.id == station)
    ).scalar_one_or_none()


def set_station_digest(connection: Connection, station: StationId, digest: str) -> None:
    """Store the digest of a station's password, whether or not the station has booted yet."""
    connection.execute(
        insert(stations)
        .values(id=station, secret_digest=digest)
        .on_conflict_do_update(index_elements=[stations.c.id], set_={"secret_digest": digest})
    )


def put_station(connection: Connection, record: StationRecord) -> None:
    """Insert or replace what a station said; its secret stays."""
    values = {
        "vendor": record.vendor,
        "model": record.model,
        "serial": record.serial,
        "firmware": record.firmware,
        "protocol": record.protocol,
        "last_boot_at": record.last_boot_at,
    }
    connection.execute(
        insert(stations)
        .values(id=record.id, **values)
        .on_conflict_do_update(index_elements=[stations.c.id], set_=values)
    )


def all_stations(connection: Connection) -> tuple[StationRecord, ...]:
    """List stations by id."""
    return tuple(
        StationRecord(
            id=StationId(row.id),
            vendor=row.vendor,
            model=row.model,
            serial=row.serial,
            firmware=row.firmware,
            protocol=row.protocol,
            last_boot_at=row.last_boot_at,
            has_secret=row.secret_digest is not None,
        )
        for row in connection.execute(select(stations).order_by(stations.c.id))
    )


def put_user(connection: Connection, user: User, password_hash: str | None) -> None:
    """Insert or replace an account."""
    values = {"role": user.role.value, "password_hash": password_hash}
    connection.execute(
        insert(users)
        .values(name=user.name, **values)
        .on_conflict_do_update(index_elements=[users.c.name], set_=values)
    )


def find_user(connection: Connection, name: str) -> tuple[User, str | None] | None:
    """Return an account and its password hash."""
    row = connection.execute(select(users).where(users.c.name == name)).one_or_none()
    return None if row is None else (_user(row), row.password_hash)


def all_users(connection: Connection) -> tuple[User, ...]:
    """List accounts by name."""
    return tuple(_user(row) for row in connection.execute(select(users).order_by(users.c.name)))


def add_api_token(connection: Connection, name: str, token: str) -> None:
    """Store the digest of a user's new token.

    Raises:
        KeyError: There is no such user.
    """
    if find_user(connection, name) is None:
        raise KeyError(name)
    digest = credentials.api_token_digest(token)
    connection.execute(insert(api_tokens).values(digest=digest, user=name))


def _user(row: Row[Any]) -> User:
    return User(name=row.name, role=Role(row.role))
