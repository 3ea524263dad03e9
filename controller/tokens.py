"""One decision on an id token, for stations, roaming partners and upstream systems alike. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from controller.records import Authorization, TokenRecord, TokenStatus
from controller.site import StationId
from controller.transaction import IdToken, TransactionId

ANSWER_WITHIN_S = 1.0
"""A station gets its answer within this time, whatever the store does. [s]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """What holds for every token."""

    accept_unknown: bool
    """True: charging is free; a token that is known and blocked is refused all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningSession:
    """A session that runs now, as far as tokens are concerned."""

    id: TransactionId
    station: StationId
    token: IdToken
    group: IdToken | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenQuestion:
    """Who wants to charge where, and what runs already."""

    token: IdToken
    station: StationId
    at: datetime
    starting: bool = False
    """True: a session is being opened, so the number of sessions counts. OCPP 1.6 section 7.2 gives
    ConcurrentTx a meaning only there; a token must always be able to end its own session."""
    running: Sequence[RunningSession] = ()
    """Other sessions that run; the one in question is not among them."""


def decide_token(
    record: TokenRecord | None,
    group: TokenRecord | None,
    question: TokenQuestion,
    rules: TokenRules,
) -> Authorization:
    """Decide whether a token may charge.

    Args:
        record: The token as stored; None: it is unknown here.
        group: The record whose id is the token's group; its block, end and limits hold for all
            members. None: the group has no record, which restricts nothing.
        question: Who, where, when.
        rules: What holds for every token.

    Returns:
        The status, and what comes with it: the nearest end, the group, priority and maximum.
    """
    if record is None:
        status = TokenStatus.ACCEPTED if rules.accept_unknown else TokenStatus.INVALID
        return Authorization(status=status)
    holders = (record,) if group is None else (record, group)
    return Authorization(
        status=_status(holders, question),
        expires_at=min((h.expires_at for h in holders if h.expires_at is not None), default=None),
        group=record.group,
        priority=next((h.priority for h in holders if h.priority), 0),
        max_a=min((h.max_a for h in holders if h.max_a is not None), default=None),
    )


def _status(holders: Sequence[TokenRecord], question: TokenQuestion) -> TokenStatus:
    for holder in holders:
        if holder.status is not TokenStatus.ACCEPTED:
            return holder.status
        if holder.expires_at is not None and holder.expires_at <= question.at:
            return TokenStatus.EXPIRED
        if holder.stations and question.station not in holder.stations:
            return TokenStatus.INVALID
    if question.starting and any(_is_full(h, question) for h in holders):
        return TokenStatus.CONCURRENT_TX
    return TokenStatus.ACCEPTED


def _is_full(holder: TokenRecord, question: TokenQuestion) -> bool:
    """Tell whether a token or a group runs as many sessions as it may."""
    if holder.concurrent is None:
        return False
    id_ = holder.id.casefold()
    same = (s for s in question.running if id_ in _names(s))
    return sum(1 for _ in same) >= holder.concurrent


def _names(session: RunningSession) -> set[str]:
    group = session.group
    return {session.token.casefold()} | ({group.casefold()} if group is not None else set())
