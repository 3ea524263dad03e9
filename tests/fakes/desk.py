"""A desk that keeps what it is told, for tests of the OCPP adapter."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from datetime import UTC, datetime
from time import monotonic

from controller.access import StationSecurity, canonical_secret
from controller.decision import Condition
from controller.records import (
    AuditEntry,
    Authorization,
    StationRecord,
    TokenStatus,
    TransactionClosed,
    TransactionNoted,
    TransactionOpened,
    TransactionReceipt,
)
from controller.site import EvseId, StationId, evse_id
from controller.station import FrameLogged, StationEvent
from controller.transaction import IdToken, Transaction, TransactionId


class RecordingDesk:
    """Implements `StationDesk`: one EVSE per known station, every token accepted."""

    def __init__(self, stations: Collection[str], *, fallback_a: float = 6.0) -> None:
        self.stations = {StationId(s) for s in stations}
        self.fallback = fallback_a
        self.events: list[StationEvent] = []
        self.frames: deque[FrameLogged] = deque(maxlen=1000)
        self.records: list[StationRecord] = []
        self.transactions: dict[tuple[StationId, TransactionId], Transaction] = {}

    def post(self, event: StationEvent) -> None:
        self.events.append(event)

    def log_frame(self, frame: FrameLogged) -> None:
        self.frames.append(frame)

    def fallback_a(self, evse: EvseId) -> float | None:
        return self.fallback if evse.rpartition("/")[0] in self.stations else None

    def evses(self, station: StationId) -> tuple[EvseId, ...] | None:
        return (evse_id(station, 1),) if station in self.stations else None

    async def authorize(self, station: StationId, token: IdToken) -> Authorization:
        return Authorization(status=TokenStatus.ACCEPTED)

    async def open_transaction(self, opened: TransactionOpened) -> TransactionReceipt:
        transaction = Transaction(
            id=opened.id or TransactionId(str(len(self.transactions) + 1)),
            station=opened.station,
            evse=opened.evse,
            id_token=opened.id_token,
            started_at=opened.at,
            start_wh=opened.meter_wh,
        )
        self.transactions[opened.station, transaction.id] = transaction
        return self._receipt(transaction)

    async def note_transaction(self, noted: TransactionNoted) -> TransactionReceipt | None:
        found = self.transactions.get((noted.station, noted.id))
        return self._receipt(found) if found else None

    async def close_transaction(self, closed: TransactionClosed) -> TransactionReceipt | None:
        found = self.transactions.get((closed.station, closed.id))
        return self._receipt(found) if found else None

    async def save_station(self, record: StationRecord) -> None:
        self.records.append(record)

    def _receipt(self, transaction: Transaction) -> TransactionReceipt:
        return TransactionReceipt(
            transaction=transaction, authorization=Authorization(status=TokenStatus.ACCEPTED)
        )


class RecordingConditions:
    """Implements `ConditionSink`."""

    def __init__(self) -> None:
        self.in_force: dict[tuple[str, str], Condition] = {}
        self.begun = 0

    def begin(self, condition: Condition) -> None:
        self.begun += 1
        self.in_force[condition.code, condition.subject] = condition

    def end(self, code: str, subject: str) -> None:
        self.in_force.pop((code, subject), None)

    def codes(self) -> set[str]:
        return {code for code, _ in self.in_force}


class SecretBook:
    """Passwords of stations, compared plainly; counts the comparisons."""

    def __init__(self, secrets: dict[str, bytes]) -> None:
        self.secrets = secrets
        self.security: dict[StationId, StationSecurity] = {}
        self.entries: list[AuditEntry] = []
        self.compared = 0

    async def station_secret_matches(self, station: StationId, candidate: bytes) -> bool:
        self.compared += 1
        known = self.secrets.get(station)
        return known is not None and canonical_secret(known) == canonical_secret(candidate)

    async def station_security(self, station: StationId) -> StationSecurity:
        return self.security.get(station, StationSecurity())

    async def save_station_security(self, station: StationId, security: StationSecurity) -> None:
        self.security[station] = security

    async def audit(self, entry: AuditEntry) -> None:
        self.entries.append(entry)


class SystemClock:
    """The real clock."""

    def monotonic_s(self) -> float:
        return monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)
