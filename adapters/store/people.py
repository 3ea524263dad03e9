"""Accounts as they are administered: roles, passwords, API tokens with names and ends."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from adapters.store import credentials
from adapters.store.schema import api_tokens, users
from controller.administration import Account, ApiToken
from controller.records import Role, User

ID_LENGTH = 12
"""Characters of a token's digest that name it: enough to be unique, useless to find the token."""


def listed(connection: Connection) -> tuple[Account, ...]:
    """List accounts by name."""
    tokens: dict[str, list[ApiToken]] = defaultdict(list)
    for row in connection.execute(select(api_tokens).order_by(api_tokens.c.created_at)):
        tokens[row.user].append(_token(row))
    return tuple(
        Account(
            user=_user(row),
            has_password=row.password_hash is not None,
            created_at=row.created_at,
            last_seen_at=row.last_seen_at,
            tokens=tuple(tokens[row.name]),
        )
        for row in connection.execute(select(users).order_by(users.c.name))
    )


def add_first(connection: Connection, user: User, password_hash: str, at: datetime) -> bool:
    """Add an account when there is none at all."""
    if connection.execute(select(func.count()).select_from(users)).scalar_one():
        return False
    put(connection, user, at, password_hash=password_hash)
    return True


def put(connection: Connection, user: User, at: datetime, *, password_hash: str | None) -> None:
    """Add an account or change its role; without a hash its password stays."""
    changed: dict[str, Any] = {"role": user.role.value}
    if password_hash is not None:
        changed["password_hash"] = password_hash
    connection.execute(
        upsert(users)
        .values(name=user.name, created_at=at, **changed)
        .on_conflict_do_update(index_elements=[users.c.name], set_=changed)
    )


def set_password(connection: Connection, name: str, password_hash: str) -> bool:
    """Change a password; False: there is no such account."""
    done = connection.execute(
        update(users).where(users.c.name == name).values(password_hash=password_hash)
    )
    return done.rowcount > 0


def note_sign_in(connection: Connection, name: str, at: datetime) -> None:
    """Remember a sign-in."""
    connection.execute(update(users).where(users.c.name == name).values(last_seen_at=at))


def remove(connection: Connection, name: str) -> bool:
    """Delete an account and its tokens."""
    connection.execute(delete(api_tokens).where(api_tokens.c.user == name))
    return connection.execute(delete(users).where(users.c.name == name)).rowcount > 0


def add_token(
    connection: Connection, name: str, token: str, *, label: str, at: datetime, end: datetime | None
) -> ApiToken:
    """Store a token's digest.

    Raises:
        KeyError: There is no such user.
    """
    known = connection.execute(select(users.c.name).where(users.c.name == name)).one_or_none()
    if known is None:
        raise KeyError(name)
    digest = credentials.api_token_digest(token)
    connection.execute(
        insert(api_tokens).values(
            digest=digest, user=name, label=label, created_at=at, expires_at=end
        )
    )
    return ApiToken(id=digest[:ID_LENGTH], label=label, created_at=at, expires_at=end)


def user_of_token(connection: Connection, token: str, at: datetime) -> User | None:
    """Find the user of a token that has not expired."""
    row = connection.execute(
        select(users)
        .join(api_tokens, api_tokens.c.user == users.c.name)
        .where(
            (api_tokens.c.digest == credentials.api_token_digest(token))
            & or_(api_tokens.c.expires_at.is_(None), api_tokens.c.expires_at > at)
        )
    ).one_or_none()
    return None if row is None else _user(row)


def note_token_used(connection: Connection, token: str, at: datetime) -> None:
    """Remember a token's use."""
    digest = credentials.api_token_digest(token)
    connection.execute(
        update(api_tokens).where(api_tokens.c.digest == digest).values(last_used_at=at)
    )


def remove_token(connection: Connection, name: str, token_id: str) -> bool:
    """Delete a user's token."""
    gone = connection.execute(
        delete(api_tokens).where(
            (api_tokens.c.user == name)
            & (func.substr(api_tokens.c.digest, 1, ID_LENGTH) == token_id)
        )
    )
    return gone.rowcount > 0


def _user(row: Row[Any]) -> User:
    return User(name=row.name, role=Role(row.role))


def _token(row: Row[Any]) -> ApiToken:
    return ApiToken(
        id=row.digest[:ID_LENGTH],
        label=row.label,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )
