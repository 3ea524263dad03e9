"""The committed-current ledger: what each EVSE may draw by what was granted.

Not what we want and not what is measured counts against a conductor, but what may lawfully be drawn:
every limit that was sent and not refused, until it ended or a newer one was confirmed and had time
to act. A timeout, an error or a refusal never lowers it (invariant I3).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from operator import attrgetter

from controller.commands import Applied, CommandOutcome, NotConnected, Rejected, SetLimit, TimedOut
from controller.transaction import TransactionId
from controller.values import replace

LEASE_GUARD_S = 5.0
"""A lease may end so much earlier or later than ours by the station's clock. [s]"""
FOLLOW_S = 5.0
"""A vehicle follows its pilot signal within so long (IEC 61851-1). [s]"""


class GrantState(Enum):
    """How sure we are that the station has a grant."""

    SENT = "sent"
    CONFIRMED = "confirmed"
    UNCERTAIN = "uncertain"
    """No answer: it may be in force."""


_STATE = attrgetter("state")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A limit that was sent to an EVSE."""

    limit_a: float
    sent_s: float
    until_s: float | None
    """End of its lease; None: it stays until replaced. [s]"""
    state: GrantState
    confirmed_s: float | None = None
    transaction: TransactionId | None = None

    def is_over(self, now_s: float) -> bool:
        """Tell whether its lease has ended for sure, and the vehicle had time to follow."""
        return self.until_s is not None and now_s > self.until_s + LEASE_GUARD_S + FOLLOW_S

    def may_have_ended(self, now_s: float) -> bool:
        """Tell whether its lease may have ended by the station's clock."""
        return self.until_s is not None and now_s > self.until_s - LEASE_GUARD_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The ledger page of one EVSE. Grants are in the order sent."""

    grants: tuple[Grant, ...] = ()
    raised_s: float | None = None
    """When its limit was last raised. [s]"""
    commanded_s: float | None = None
    refusals: int = 0
    """Refused commands in a row."""
    timeouts: int = 0
    """Unanswered commands in a row."""

    @property
    def latest(self) -> Grant | None:
        """The grant that was sent last and not refused."""
        return self.grants[-1] if self.grants else None

    @property
    def in_flight(self) -> bool:
        """Whether an answer is outstanding."""
        return GrantState.SENT in map(_STATE, self.grants)

    @property
    def confirmed(self) -> Grant | None:
        """The newest confirmed grant."""
        return next((g for g in reversed(self.grants) if g.state is GrantState.CONFIRMED), None)


def committed_a(
    account: Account,
    *,
    without_grant_a: float,
    now_s: float,
    settle_s: float,
    linked_s: float = float("-inf"),
) -> float:
    """Return what the EVSE may draw per phase by its grants. [A]

    Args:
        account: Its ledger page.
        without_grant_a: What it may draw when no grant of ours is in force. [A]
        now_s: Monotonic now. [s]
        settle_s: Time that EVSE and vehicle have to follow a confirmed limit. [s]
        linked_s: Begin of the station's connection; +inf: it has none. A station may forget a limit
            with its connection, by a reboot that we do not see or by habit. [s]
    """
    alive = [g for g in account.grants if not g.is_over(now_s)]
    highest_a = max((g.limit_a for g in alive), default=without_grant_a)
    is_governed = any(
        g.confirmed_s is not None
        and now_s - g.confirmed_s >= settle_s
        and g.confirmed_s >= linked_s
        and not g.may_have_ended(now_s)
        for g in alive
    )
    return highest_a if is_governed else max(highest_a, without_grant_a)


def granted(
    account: Account, command: SetLimit, *, now_s: float, may_stay: bool = False
) -> Account:
    """Book a command at the moment it is decided, before it is sent.

    Args:
        account: The page of its EVSE.
        command: What will be sent.
        now_s: Monotonic now. [s]
        may_stay: The station is not known to end limits by itself; until it confirms a lease, the
            grant counts without an end.
    """
    grant = Grant(
        limit_a=command.limit_a,
        sent_s=now_s,
        until_s=None if may_stay or command.transaction is None else now_s + command.lease_s,
        state=GrantState.SENT,
        transaction=command.transaction,
    )
    latest = account.latest
    is_raise = latest is not None and command.limit_a > latest.limit_a
    return replace(
        account,
        grants=(*account.grants, grant),
        commanded_s=now_s,
        raised_s=now_s if is_raise else account.raised_s,
    )


def booked(account: Account, outcome: CommandOutcome) -> Account:
    """Book how a command ended."""
    index = _index_of(account, outcome)
    if index is None:
        return account
    match outcome.result:
        case Applied(self_expiring=self_expiring):
            until_s = outcome.sent_s + outcome.command.lease_s if self_expiring else None
            return _confirm(account, index, outcome.done_s, until_s=until_s)
        case Rejected():
            return replace(_without(account, index), refusals=account.refusals + 1)
        case NotConnected():
            return _without(account, index)
        case TimedOut():
            return replace(
                _with(account, index, state=GrantState.UNCERTAIN), timeouts=account.timeouts + 1
            )


def tidied(account: Account, *, now_s: float, settle_s: float) -> Account:
    """Forget grants that can no longer act: ended, or replaced long enough ago."""
    confirmed = [
        (i, g)
        for i, g in enumerate(account.grants)
        if g.state is GrantState.CONFIRMED and g.confirmed_s is not None
    ]
    settled = [i for i, g in confirmed if now_s - (g.confirmed_s or now_s) >= settle_s]
    first = settled[-1] if settled else 0
    grants = tuple(g for i, g in enumerate(account.grants) if i >= first and not g.is_over(now_s))
    return account if grants == account.grants else replace(account, grants=grants)


def closed(account: Account, transaction: TransactionId | None) -> Account:
    """Forget leases of other transactions, which ended with them.

    Limits without an end may outlive them, as a default does, or not, as a limit of the transaction
    does: they count, and what the EVSE may draw without them counts beside.
    """
    grants = tuple(
        g if g.transaction == transaction else _doubted(g)
        for g in account.grants
        if g.transaction == transaction or g.until_s is None
    )
    if grants == account.grants:
        return account
    return Account(grants=grants)


def _doubted(grant: Grant) -> Grant:
    return replace(grant, state=GrantState.UNCERTAIN, confirmed_s=None)


def _index_of(account: Account, outcome: CommandOutcome) -> int | None:
    for index, grant in enumerate(account.grants):
        if grant.state is GrantState.SENT and grant.sent_s == outcome.sent_s:
            return index
    return None


def _confirm(account: Account, index: int, done_s: float, *, until_s: float | None) -> Account:
    changed = _with(account, index, state=GrantState.CONFIRMED, confirmed_s=done_s, until_s=until_s)
    return replace(changed, refusals=0, timeouts=0)


def _with(account: Account, index: int, **changes: object) -> Account:
    grants = list(account.grants)
    grants[index] = replace(grants[index], **changes)  # type: ignore[arg-type]
    return replace(account, grants=tuple(grants))


def _without(account: Account, index: int) -> Account:
    grants = account.grants[:index] + account.grants[index + 1 :]
    return replace(account, grants=grants)


def restored(account: Account) -> Account:
    """Return the page as it must be read after a restart: what was on its way may be in force."""
    grants = tuple(
        replace(g, state=GrantState.UNCERTAIN) if g.state is GrantState.SENT else g
        for g in account.grants
    )
    return replace(account, grants=grants)
