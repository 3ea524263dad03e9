"""Accounts and versions of the configuration: their records, and the store's side of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Protocol

from controller.ports import Store
from controller.reasons import ReasonStore
from controller.records import Role, User
from controller.roaming import DocumentStore
from controller.transaction import Transaction

# --- accounts ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """What may be shown of an API token; the token itself is known to its owner only."""

    id: str
    label: str = ""
    created_at: datetime | None = None
    expires_at: datetime | None = None
    """None: it does not expire."""
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user with what belongs to it."""

    user: User
    has_password: bool = False
    created_at: datetime | None = None
    last_seen_at: datetime | None = None
    """Last sign-in by password."""
    tokens: tuple[ApiToken, ...] = ()


class AccountStore(Protocol):
    """Keeps accounts. All writes are durable."""

    async def accounts(self) -> tuple[Account, ...]:
        """List accounts with their tokens, by name."""

    async def add_first_user(self, user: User, password: str, at: datetime) -> bool:
        """Add an account if there is none at all; False: there is one already."""

    async def put_account(
        self, name: str, role: Role, at: datetime, *, password: str | None
    ) -> None:
        """Add an account or change its role; without a password the one it has stays."""

    async def set_password(self, name: str, password: str) -> bool:
        """Change a password; False: there is no such account."""

    async def note_sign_in(self, name: str, at: datetime) -> None:
        """Remember when somebody signed in."""

    async def delete_user(self, name: str) -> bool:
        """Delete an account with its tokens; False: there is none."""

    async def add_api_token(
        self, name: str, *, label: str, at: datetime, expires_at: datetime | None
    ) -> tuple[ApiToken, str]:
        """Make a token and return it once; only its digest is stored.

        Raises:
            KeyError: There is no such user.
        """

    async def user_by_live_token(self, token: str, at: datetime) -> User | None:
        """Find the user of an API token that has not expired."""

    async def note_token_used(self, token: str, at: datetime) -> None:
        """Remember when a token was used."""

    async def revoke_api_token(self, name: str, token_id: str) -> bool:
        """Delete a user's token; False: it has none of that id."""


# --- transactions -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionQuery:
    """Which transactions; None: all. `since` is inclusive, `until` exclusive, by their start."""

    since: datetime | None = None
    until: datetime | None = None
    station: str | None = None
    evse: str | None = None
    id_token: str | None = None
    """Compared as OCPP does: capitals do not count."""
    is_running: bool | None = None


class TransactionList(Protocol):
    """Finds transactions by any of their properties."""

    async def list_transactions(
        self, query: TransactionQuery, *, limit: int, offset: int
    ) -> tuple[Transaction, ...]:
        """List, newest first."""

    async def count_transactions(self, query: TransactionQuery) -> int:
        """Count."""


# --- the past ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PastPlan:
    """A recorded plan and the site that it was made for, as JSON; `_type` names each class."""

    at: datetime
    plan: str = field(repr=False)
    site: str = field(repr=False)


class PastPlans(Protocol):
    """Recorded plans."""

    async def plan_at(self, at: datetime) -> PastPlan | None:
        """Return the latest recorded plan of that moment or before."""


# --- configuration ----------------------------------------------------------------------------------


class VersionState(Enum):
    """What became of a version of the configuration."""

    TRIAL = "trial"
    """In force, and watched for its first cycles."""
    RUNNING = "running"
    SUPERSEDED = "superseded"
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigVersion:
    """One version of the site file."""

    number: int
    at: datetime
    actor: str
    note: str
    state: VersionState
    text: str = field(repr=False)


class VersionStore(Protocol):
    """Keeps the versions of the configuration. All writes are durable."""

    async def add_version(
        self, *, text: str, actor: str, note: str, at: datetime, state: VersionState
    ) -> ConfigVersion:
        """Append a version; the one before that ran or was on trial is superseded."""

    async def set_version_state(self, number: int, state: VersionState) -> None:
        """Note what became of a version."""

    async def versions(self, *, limit: int, offset: int) -> tuple[ConfigVersion, ...]:
        """List, newest first."""

    async def version(self, number: int) -> ConfigVersion | None:
        """Find one."""


class SiteStore(
    Store,
    AccountStore,
    TransactionList,
    VersionStore,
    ReasonStore,
    PastPlans,
    DocumentStore,
    Protocol,
):
    """Everything that people and programs may ask of the store."""
