"""The store's side of accounts, lists of transactions, and versions of the configuration."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from adapters.store import credentials, past, people, reasons, transactions, versions
from controller.administration import (
    Account,
    ApiToken,
    ConfigVersion,
    PastPlan,
    TransactionQuery,
    VersionState,
)
from controller.reasons import ReasonChange
from controller.records import Role, User
from controller.site import EvseId
from controller.transaction import Transaction

T = TypeVar("T")


class Administration(ABC):
    """Implements `AccountStore`, `TransactionList` and `VersionStore` over a store's threads."""

    @abstractmethod
    async def _write(self, work: Callable[[Connection], T]) -> T:
        """Write durably."""

    @abstractmethod
    async def _read(self, work: Callable[[Connection], T]) -> T:
        """Read."""

    @abstractmethod
    async def _hash(self, work: Callable[[], T]) -> T:
        """Compute in a thread of its own."""

    @abstractmethod
    async def _scan(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Read much."""

    # --- accounts ---------------------------------------------------------------------------------

    async def accounts(self) -> tuple[Account, ...]:
        """List accounts with their tokens, by name."""
        return await self._read(people.listed)

    async def add_first_user(self, user: User, password: str, at: datetime) -> bool:
        """Add an account if there is none at all; False: there is one already."""
        hashed = await self._hash(lambda: credentials.password_hash(password))
        return await self._write(lambda c: people.add_first(c, user, hashed, at))

    async def put_account(
        self, name: str, role: Role, at: datetime, *, password: str | None
    ) -> None:
        """Add an account or change its role; without a password the one it has stays."""
        hashed: str | None = None
        if password is not None:
            secret = password
            hashed = await self._hash(lambda: credentials.password_hash(secret))
        user = User(name=name, role=role)
        await self._write(lambda c: people.put(c, user, at, password_hash=hashed))

    async def set_password(self, name: str, password: str) -> bool:
        """Change a password; False: there is no such account."""
        hashed = await self._hash(lambda: credentials.password_hash(password))
        return await self._write(lambda c: people.set_password(c, name, hashed))

    async def note_sign_in(self, name: str, at: datetime) -> None:
        """Remember when somebody signed in."""
        await self._write(lambda c: people.note_sign_in(c, name, at))

    async def delete_user(self, name: str) -> bool:
        """Delete an account with its tokens; False: there is none."""
        return await self._write(lambda c: people.remove(c, name))

    async def add_api_token(
        self, name: str, *, label: str, at: datetime, expires_at: datetime | None
    ) -> tuple[ApiToken, str]:
        """Make a token and return it once; only its digest is stored.

        Raises:
            KeyError: There is no such user.
        """
        token = credentials.new_api_token()
        record = await self._write(
            lambda c: people.add_token(c, name, token, label=label, at=at, end=expires_at)
        )
        return record, token

    async def user_by_live_token(self, token: str, at: datetime) -> User | None:
        """Find the user of an API token that has not expired."""
        return await self._read(lambda c: people.user_of_token(c, token, at))

    async def note_token_used(self, token: str, at: datetime) -> None:
        """Remember when a token was used."""
        await self._write(lambda c: people.note_token_used(c, token, at))

    async def revoke_api_token(self, name: str, token_id: str) -> bool:
        """Delete a user's token; False: it has none of that id."""
        return await self._write(lambda c: people.remove_token(c, name, token_id))

    # --- transactions -----------------------------------------------------------------------------

    async def list_transactions(
        self, query: TransactionQuery, *, limit: int, offset: int
    ) -> tuple[Transaction, ...]:
        """List, newest first."""
        return await self._read(lambda c: transactions.found(c, query, limit=limit, offset=offset))

    async def count_transactions(self, query: TransactionQuery) -> int:
        """Count."""
        return await self._read(lambda c: transactions.count(c, query))

    # --- reasons ----------------------------------------------------------------------------------

    async def put_reasons(self, changes: Sequence[ReasonChange]) -> None:
        """Store changes of what limits EVSEs."""
        await self._write(lambda c: reasons.put(c, changes))

    async def reasons(
        self, evse: EvseId, *, since: datetime, until: datetime, limit: int, offset: int
    ) -> tuple[ReasonChange, ...]:
        """List, oldest first; the first one may have begun before `since`."""
        return await self._read(
            lambda c: reasons.listed(c, evse, since=since, until=until, limit=limit, offset=offset)
        )

    async def plan_at(self, at: datetime) -> PastPlan | None:
        """Return the latest recorded plan of that moment or before."""
        return await self._scan(lambda c: past.plan_at(c, at))

    # --- configuration ----------------------------------------------------------------------------

    async def add_version(
        self, *, text: str, actor: str, note: str, at: datetime, state: VersionState
    ) -> ConfigVersion:
        """Append a version; the one before that ran or was on trial is superseded."""
        return await self._write(
            lambda c: versions.add(c, text=text, actor=actor, note=note, at=at, state=state)
        )

    async def set_version_state(self, number: int, state: VersionState) -> None:
        """Note what became of a version."""
        await self._write(lambda c: versions.set_state(c, number, state))

    async def versions(self, *, limit: int, offset: int) -> tuple[ConfigVersion, ...]:
        """List, newest first."""
        return await self._read(lambda c: versions.listed(c, limit=limit, offset=offset))

    async def version(self, number: int) -> ConfigVersion | None:
        """Find one."""
        return await self._read(lambda c: versions.find(c, number))
