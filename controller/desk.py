"""The desk that stations report to: tokens, transactions, and the image.

A transaction is booked in the store before the station gets its answer; whatever is repeated, late
or came from somebody else's station changes nothing twice.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import log as logarithm

import structlog

from controller import series
from controller.image import ProcessImage
from controller.ports import Clock, Store
from controller.records import (
    Authorization,
    StationRecord,
    TokenRecord,
    TokenStatus,
    TransactionClosed,
    TransactionNoted,
    TransactionOpened,
    TransactionReceipt,
)
from controller.roaming import RoamingDesk
from controller.site import EvseId, Site, StationId
from controller.station import FrameLogged, StationEvent, TransactionChanged
from controller.strays import Strays
from controller.tokens import (
    ANSWER_WITHIN_S,
    RunningSession,
    TokenQuestion,
    TokenRules,
    decide_token,
)
from controller.transaction import IdToken, Transaction, TransactionId

log = structlog.get_logger(__name__)


LOST_END = "Other"
"""Reason of an end that the station never reported (1.6 and 2.0.1 know no better word)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskRules:
    """How the desk decides about tokens."""

    accept_unknown_tokens: bool
    """True: charging is free; a token that is known and blocked is refused all the same."""


class Desk:
    """Implements `StationDesk` over the image and the store."""

    def __init__(
        self, *, site: Site, image: ProcessImage, store: Store, clock: Clock, rules: DeskRules
    ) -> None:
        """Serve the stations of a site."""
        self._site = site
        self._image = image
        self._store = store
        self._clock = clock
        self._rules = rules
        self._partners: RoamingDesk | None = None
        self._strays: Strays | None = None

    def report_strays(self, strays: Strays) -> None:
        """Count messages about transactions that are not a station's own."""
        self._strays = strays

    def _note_stray(self, station: StationId) -> None:
        if self._strays is not None:
            self._strays.note(station)

    def ask_partners(self, partners: RoamingDesk) -> None:
        """Ask roaming partners about tokens that the site itself does not know."""
        self._partners = partners

    def rebuild(self, site: Site, rules: DeskRules) -> None:
        """Serve another site from now on."""
        self._site = site
        self._rules = rules

    def post(self, event: StationEvent) -> None:
        """Report an event to the image."""
        self._image.post(event)

    def log_frame(self, frame: FrameLogged) -> None:
        """Keep a redacted frame."""
        self._image.log_frame(frame)

    def fallback_a(self, evse: EvseId) -> float | None:
        """Return the configured fallback. [A]."""
        configured = self._site.evse(evse)
        return configured.fallback_a if configured is not None else None

    def evses(self, station: StationId) -> tuple[EvseId, ...] | None:
        """Return the station's configured EVSEs; nobody connects in the name of a load."""
        configured = self._site.stations.get(station)
        if configured is None or configured.is_load:
            return None
        return tuple(e.id for e in configured.evses)

    async def save_station(self, record: StationRecord) -> None:
        """Keep what a station said at boot."""
        await self._store.save_station(record)

    # --- tokens -----------------------------------------------------------------------------------

    async def authorize(self, station: StationId, token: IdToken) -> Authorization:
        """Decide on a token; how many sessions it runs counts only when one is opened."""
        return await self._authorized(station, token)

    async def _authorized(
        self, station: StationId, token: IdToken | None, *, opening: TransactionId | None = None
    ) -> Authorization:
        """Decide within the time that a station waits; a store that is too slow knows nobody."""
        if token is None:
            return Authorization(status=TokenStatus.ACCEPTED)
        rules = TokenRules(accept_unknown=self._rules.accept_unknown_tokens)
        question = TokenQuestion(
            token=token, station=station, at=self._clock.now(), starting=opening is not None
        )
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                record, group = await self._records(token)
                if opening is not None and _counts_sessions(record, group):
                    question = replace(question, running=await self._running(besides=opening))
        except TimeoutError:
            log.warning("desk.token_unknown_in_time", station=station)
            record, group = None, None
        if record is None and self._partners is not None:
            verdict = await self._partners.authorize(station, token)
            if verdict is not None:
                return verdict
        return decide_token(record, group, question, rules)

    async def _records(self, token: IdToken) -> tuple[TokenRecord | None, TokenRecord | None]:
        """Return a token's record and its group's."""
        record = await self._store.token(token)
        if record is None or record.group is None:
            return record, None
        return record, await self._store.token(record.group)

    async def _running(self, *, besides: TransactionId) -> tuple[RunningSession, ...]:
        sessions = []
        for transaction in await self._store.open_transactions():
            if transaction.id_token is not None and transaction.id != besides:
                record = await self._store.token(transaction.id_token)
                sessions.append(
                    RunningSession(
                        id=transaction.id,
                        station=transaction.station,
                        token=transaction.id_token,
                        group=record.group if record is not None else None,
                    )
                )
        return tuple(sessions)

    # --- transactions -----------------------------------------------------------------------------

    async def open_transaction(self, opened: TransactionOpened) -> TransactionReceipt:
        """Book a start; the same start again returns what was booked."""
        id_ = opened.id if opened.id is not None else new_transaction_id()
        authorization = await self._authorized(opened.station, opened.id_token, opening=id_)
        wanted = Transaction(
            id=id_,
            station=opened.station,
            evse=opened.evse,
            id_token=opened.id_token,
            started_at=opened.at,
            start_wh=opened.meter_wh,
            last_wh=opened.meter_wh,
            seq_no=opened.seq_no,
            max_a=authorization.max_a,
            priority=authorization.priority,
        )
        stored = await self._store.open_transaction(wanted, offline=opened.offline)
        is_repeated = stored != wanted
        if is_repeated and authorization.status is TokenStatus.CONCURRENT_TX:
            # The session that counts against this start is the one that it repeats.
            authorization = await self._authorized(
                opened.station, opened.id_token, opening=stored.id
            )
        if not is_repeated:
            await self._end_superseded(stored)
        return TransactionReceipt(
            transaction=stored, authorization=authorization, repeated=is_repeated
        )

    async def _end_superseded(self, started: Transaction) -> None:
        """End what still counts as running at the EVSE where another transaction has begun.

        Its own end was lost. It is booked with the register heard last: nothing that was not measured
        in it is charged to anybody.
        """
        for old in await self._store.open_transactions():
            is_other = old.evse == started.evse and old.id != started.id
            if is_other and old.started_at < started.started_at:
                after = replace(
                    old,
                    ended_at=started.started_at,
                    end_reason=LOST_END,
                    assumed_scale_ratio=1.0,
                )
                await self._store.save_transaction(after)
                self._store.put_samples([series.of_session(after)])
                self._image.post(TransactionChanged(transaction=after))

    async def note_transaction(self, noted: TransactionNoted) -> TransactionReceipt | None:
        """Book progress of a running transaction."""
        stored = await self._store.find_transaction(noted.station, noted.id)
        if stored is None:
            self._note_stray(noted.station)
            return None
        is_first = stored.id_token is None and noted.id_token is not None
        authorization = await self._authorized(
            noted.station, noted.id_token, opening=stored.id if is_first else None
        )
        after = replace(
            stored,
            max_a=authorization.max_a if is_first else stored.max_a,
            priority=authorization.priority if is_first else stored.priority,
            id_token=stored.id_token if stored.id_token is not None else noted.id_token,
            start_wh=stored.start_wh if stored.start_wh is not None else noted.meter_wh,
            last_wh=_advanced(stored.last_wh, noted.meter_wh),
            seq_no=_highest(stored.seq_no, noted.seq_no),
        )
        if after != stored and stored.ended_at is None:
            await self._store.save_transaction(after)
        return TransactionReceipt(
            transaction=after if stored.ended_at is None else stored,
            authorization=authorization,
            repeated=after == stored,
        )

    async def close_transaction(self, closed: TransactionClosed) -> TransactionReceipt | None:
        """Book an end; a transaction we never saw is stored with what is known.

        An end that was only assumed gives way to the one that the station reports.
        """
        authorization = await self._authorized(closed.station, closed.id_token)
        stored = await self._store.find_transaction(closed.station, closed.id)
        if stored is None:
            return await self._close_unknown(closed, authorization)
        if stored.has_final_end or (stored.ended_at is not None and closed.is_assumed):
            return TransactionReceipt(
                transaction=stored, authorization=authorization, repeated=True
            )
        after = ended(stored, closed)
        await self._store.save_transaction(after)
        self._store.put_samples([series.of_session(after, at=stored.ended_at)])
        return TransactionReceipt(transaction=after, authorization=authorization)

    async def _close_unknown(
        self, closed: TransactionClosed, authorization: Authorization
    ) -> TransactionReceipt | None:
        self._note_stray(closed.station)
        evse = closed.evse or self._only_evse(closed.station)
        if evse is None:
            return None
        wanted = Transaction(
            id=closed.id,
            station=closed.station,
            evse=evse,
            id_token=closed.id_token,
            started_at=closed.at,
            start_wh=None,
            last_wh=closed.meter_wh,
            ended_at=closed.at,
            end_reason=closed.reason,
            seq_no=closed.seq_no,
        )
        stored = await self._store.open_transaction(wanted, offline=True)
        if stored.ended_at is None:
            stored = replace(stored, ended_at=closed.at, end_reason=closed.reason)
            await self._store.save_transaction(stored)
        self._store.put_samples([series.of_session(stored)])
        return TransactionReceipt(transaction=stored, authorization=authorization)

    def _only_evse(self, station: StationId) -> EvseId | None:
        evses = self.evses(station)
        return evses[0] if evses else None

    async def restore(self) -> None:
        """Bring the transactions that were running before a restart back into the image."""
        for transaction in _known(await self._store.open_transactions(), self._site):
            self._image.post(TransactionChanged(transaction=transaction))


def _known(transactions: Iterable[Transaction], site: Site) -> Iterable[Transaction]:
    return (t for t in transactions if site.evse(t.evse) is not None)


def _counts_sessions(*records: TokenRecord | None) -> bool:
    return any(record is not None and record.concurrent is not None for record in records)


def new_transaction_id() -> TransactionId:
    """Return an unpredictable id that fits OCPP 1.6's signed 32-bit integer."""
    return TransactionId(str(secrets.randbelow(2**31 - 1) + 1))


def ended(stored: Transaction, closed: TransactionClosed) -> Transaction:
    """Return a transaction with its end, in place of an assumed one. Pure."""
    ratio = _ratio_of(stored, closed)
    change = ratio / (stored.assumed_scale_ratio or 1.0)
    return replace(
        stored,
        start_wh=_scaled(stored.start_wh, change),
        last_wh=_advanced(_scaled(stored.last_wh, change), _scaled(closed.meter_wh, ratio)),
        ended_at=max(closed.at, stored.started_at),
        end_reason=closed.reason,
        seq_no=_highest(stored.seq_no, closed.seq_no),
        assumed_scale_ratio=ratio if closed.is_assumed else None,
    )


def _ratio_of(stored: Transaction, closed: TransactionClosed) -> float:
    """Return the factor that makes the registers Wh.

    A late end comes on a connection that has seen no samples of it: what was found when the end was
    assumed holds, unless the register that is reported now fits better without it.
    """
    before, meter_wh = stored.assumed_scale_ratio, closed.meter_wh
    if before is None or closed.scale_ratio != 1.0:
        return closed.scale_ratio
    if meter_wh is None or stored.last_wh is None:
        return before
    last_wh = stored.last_wh
    return min(
        (before, 1.0), key=lambda ratio: abs(logarithm((meter_wh * ratio + 1) / (last_wh + 1)))
    )


def _advanced(register_wh: float | None, reported_wh: float | None) -> float | None:
    """Return the register's newest value; it never runs backwards. [Wh]."""
    if reported_wh is None:
        return register_wh
    return reported_wh if register_wh is None else max(register_wh, reported_wh)


def _scaled(register_wh: float | None, scale_ratio: float) -> float | None:
    """Return a register in Wh. [Wh]."""
    return None if register_wh is None else register_wh * scale_ratio


def _highest(one: int | None, other: int | None) -> int | None:
    known = [n for n in (one, other) if n is not None]
    return max(known, default=None)
