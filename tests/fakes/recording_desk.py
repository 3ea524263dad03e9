"""A StationDesk that keeps everything it is told, and a clock that stands still until moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from controller.records import (
    Authorization,
    StationRecord,
    TokenStatus,
    TransactionClosed,
    TransactionNoted,
    TransactionOpened,
    TransactionReceipt,
)
from controller.site import EvseId, StationId
from controller.station import FrameLogged, StationEvent
from controller.transaction import IdToken, Transaction, TransactionId

E = TypeVar("E")
T0 = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)


@dataclass
class StillClock:
    """Both clocks, moved by hand."""

    passed_s: float = 1000.0

    def monotonic_s(self) -> float:
        return self.passed_s

    def now(self) -> datetime:
        return T0 + timedelta(seconds=self.passed_s - 1000.0)

    def advance(self, seconds: float) -> None:
        self.passed_s += seconds


class RecordingDesk:
    """Books transactions in memory. Tokens are accepted unless listed with another status."""

    def __init__(
        self,
        fallbacks: Mapping[str, float],
        *,
        tokens: Mapping[str, TokenStatus] | None = None,
    ) -> None:
        self.fallbacks = {EvseId(evse): a for evse, a in sorted(fallbacks.items())}
        self.tokens = dict(tokens or {})
        self.events: list[StationEvent] = []
        self.frames: list[FrameLogged] = []
        self.records: list[StationRecord] = []
        self.opened: list[TransactionOpened] = []
        self.noted: list[TransactionNoted] = []
        self.closed: list[TransactionClosed] = []
        self.transactions: dict[tuple[StationId, TransactionId], Transaction] = {}
        self._next = 1_000_001

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    def post(self, event: StationEvent) -> None:
        self.events.append(event)

    def log_frame(self, frame: FrameLogged) -> None:
        self.frames.append(frame)

    def fallback_a(self, evse: EvseId) -> float | None:
        return self.fallbacks.get(evse)

    def evses(self, station: StationId) -> tuple[EvseId, ...] | None:
        found = tuple(e for e in self.fallbacks if e.rpartition("/")[0] == station)
        return found or None

    async def authorize(self, station: StationId, token: IdToken) -> Authorization:
        return Authorization(status=self.tokens.get(token, TokenStatus.ACCEPTED))

    async def open_transaction(self, opened: TransactionOpened) -> TransactionReceipt:
        self.opened.append(opened)
        same = next((t for t in self.transactions.values() if _is_same(t, opened)), None)
        if same is None:
            same = Transaction(
                id=opened.id if opened.id is not None else self._new_id(),
                station=opened.station,
                evse=opened.evse,
                id_token=opened.id_token,
                started_at=opened.at,
                start_wh=opened.meter_wh,
                seq_no=opened.seq_no,
            )
            self.transactions[same.station, same.id] = same
        return await self._receipt(same, opened.id_token)

    async def note_transaction(self, noted: TransactionNoted) -> TransactionReceipt | None:
        self.noted.append(noted)
        known = self.transactions.get((noted.station, noted.id))
        if known is None:
            return None
        if noted.meter_wh is not None:
            known = replace(known, last_wh=noted.meter_wh)
        self.transactions[known.station, known.id] = known
        return await self._receipt(known, noted.id_token)

    async def close_transaction(self, closed: TransactionClosed) -> TransactionReceipt | None:
        self.closed.append(closed)
        known = self.transactions.get((closed.station, closed.id))
        if known is None:
            return None
        known = replace(
            known, last_wh=closed.meter_wh, ended_at=closed.at, end_reason=closed.reason
        )
        self.transactions[known.station, known.id] = known
        return await self._receipt(known, closed.id_token)

    async def save_station(self, record: StationRecord) -> None:
        self.records.append(record)

    async def _receipt(self, transaction: Transaction, token: IdToken | None) -> TransactionReceipt:
        status = self.tokens.get(token or "", TokenStatus.ACCEPTED)
        return TransactionReceipt(
            transaction=transaction, authorization=Authorization(status=status)
        )

    def _new_id(self) -> TransactionId:
        self._next += 1
        return TransactionId(str(self._next))


def _is_same(known: Transaction, opened: TransactionOpened) -> bool:
    if opened.id is not None:
        return known.id == opened.id and known.station == opened.station
    return (known.station, known.evse, known.started_at, known.id_token, known.start_wh) == (
        opened.station,
        opened.evse,
        opened.at,
        opened.id_token,
        opened.meter_wh,
    )
