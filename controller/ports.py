"""The ports: what the controller needs from the outside, and what it offers to it.

Adapters implement the ports in the first part and call those in the second. Every method named
`async` may wait for IO; none of them is ever awaited inside a decision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol

from controller.access import StationAccess
from controller.commands import ActionRequest, Command, CommandResult
from controller.decision import Alarm, Condition, Plan
from controller.operator import EvseOverride, Overrides
from controller.phases import PhaseCurrents
from controller.readings import GridReading
from controller.records import (
    AuditEntry,
    Authorization,
    Role,
    Sample,
    SeriesPoint,
    SpooledSample,
    StationRecord,
    TokenImport,
    TokenRecord,
    TransactionClosed,
    TransactionNoted,
    TransactionOpened,
    TransactionReceipt,
    User,
)
from controller.site import CircuitId, EvseId, MeterId, StationId
from controller.snapshot import Snapshot
from controller.station import FrameLogged, StationEvent
from controller.transaction import IdToken, Transaction, TransactionId
from controller.why import Explanation
from controller.wiring import WiringView

# --- implemented by adapters ----------------------------------------------------------------------


class Clock(Protocol):
    """Time. Control uses `monotonic_s`; people see `now`."""

    def monotonic_s(self) -> float:
        """Return seconds that never jump. [s]"""

    def now(self) -> datetime:
        """Return the wall clock in UTC, with tzinfo."""


class Fleet(Protocol):
    """All charging stations, whatever their OCPP version."""

    async def apply(self, command: Command) -> CommandResult:
        """Carry out one command. Never raises for what a station may do; never takes longer than the command timeout."""

    async def act(self, request: ActionRequest) -> CommandResult:
        """Carry out an operator's action."""


class Store(StationAccess, Protocol):
    """The embedded store. Durable means: survives a power cut once the call returned."""

    # Transactions. All durable.
    async def open_transaction(self, transaction: Transaction, *, offline: bool) -> Transaction:
        """Store a start. A repeated start (same station, EVSE, time, token and register) returns the stored one."""

    async def find_transaction(
        self, station: StationId, transaction: TransactionId
    ) -> Transaction | None:
        """Find by station and id; another station's transaction is never found."""

    async def save_transaction(self, transaction: Transaction) -> None:
        """Store progress or the end. A stored end is never undone."""

    async def open_transactions(self) -> tuple[Transaction, ...]:
        """Return all that have not ended."""

    async def transactions(
        self, *, since: datetime | None, until: datetime | None, limit: int, offset: int
    ) -> tuple[Transaction, ...]:
        """List by start time, newest first; `since` inclusive, `until` exclusive."""

    # Tokens.
    async def token(self, token: IdToken) -> TokenRecord | None:
        """Find a token, ignoring case as OCPP's CiString does."""

    async def tokens(self) -> tuple[TokenRecord, ...]:
        """List all tokens by id."""

    async def put_token(self, record: TokenRecord) -> None:
        """Insert or replace."""

    async def delete_token(self, token: IdToken) -> bool:
        """Delete; False when it did not exist."""

    async def import_tokens(self, records: Sequence[TokenRecord], *, replace: bool) -> TokenImport:
        """Insert or replace all, in one step; with `replace`, delete those that are not among them."""

    # Stations.
    async def station_secret_matches(self, station: StationId, candidate: bytes) -> bool:
        """Compare in constant time; False for unknown stations, in about the same time."""

    async def set_station_secret(self, station: StationId, secret: str) -> None:
        """Store a digest of the station's password."""

    async def save_station(self, record: StationRecord) -> None:
        """Store what a station said about itself; `has_secret` is ignored."""

    async def stations(self) -> tuple[StationRecord, ...]:
        """List stored stations by id."""

    # Controller's state.
    async def save_memory(self, memory: str) -> None:
        """Keep the controller's memory (JSON text), replacing the last one."""

    async def load_memory(self) -> str | None:
        """Return the memory of the last run; None when there is none or it is damaged."""

    async def save_overrides(self, overrides: str) -> None:
        """Keep operator overrides (JSON text)."""

    async def load_overrides(self) -> str | None:
        """Return the overrides of the last run."""

    # Alarms and audit.
    async def save_alarm(self, alarm: Alarm) -> None:
        """Store a begin, or the end of the alarm with the same code, subject and begin."""

    async def alarms(self, *, since: datetime | None, limit: int) -> tuple[Alarm, ...]:
        """List by begin, newest first."""

    async def open_alarms(self) -> tuple[Alarm, ...]:
        """List those without an end, oldest first."""

    async def audit(self, entry: AuditEntry) -> None:
        """Append to the audit log."""

    async def audit_log(self, *, limit: int, offset: int) -> tuple[AuditEntry, ...]:
        """List, newest first."""

    # Time series. `put_samples` never waits for the disk.
    def put_samples(self, samples: Sequence[Sample]) -> None:
        """Queue samples; when the bounded queue is full the oldest are dropped and counted."""

    async def history(
        self,
        *,
        measurement: str,
        field: str,
        tags: Mapping[str, str],
        since: datetime,
        until: datetime,
        step_s: float,
        statistic: Literal["mean", "max"] = "mean",
    ) -> tuple[SeriesPoint, ...]:
        """Return the mean or the maximum of a field per step."""

    # Accounts.
    async def add_user(self, user: User, password: str | None) -> None:
        """Add or change an account; None: no sign-in by password, tokens only."""

    async def user_by_password(self, name: str, password: str) -> User | None:
        """Check a password (slow hash, off the control loop)."""

    async def issue_api_token(self, name: str) -> str:
        """Make a new API token for a user and return it; only its digest is stored.

        Raises:
            KeyError: There is no such user.
        """

    async def user_by_api_token(self, token: str) -> User | None:
        """Find the user of an API token."""

    async def users(self) -> tuple[User, ...]:
        """List accounts by name."""


class SampleSpool(Protocol):
    """The part of the store that an uploader reads: samples in order, with a durable cursor."""

    async def spooled(self, *, after: int, limit: int) -> tuple[SpooledSample, ...]:
        """Return samples after a cursor, oldest first."""

    async def newest_cursor(self) -> int:
        """Return the cursor of the newest sample; 0 when there is none."""

    async def upload_cursors(self, target: str) -> tuple[tuple[int, int], ...]:
        """Return the ranges (first, last), both inclusive, already uploaded to a target, ascending."""

    async def mark_uploaded(self, target: str, first: int, last: int) -> None:
        """Record an uploaded range, durably; adjacent ranges merge."""

    async def quarantine(self, target: str, samples: Sequence[SpooledSample], reason: str) -> None:
        """Keep samples that the target refuses for ever, with the reason, bounded."""


class Recorder(Protocol):
    """Keeps cycle records for replay. Never waits for the disk."""

    def record(self, snapshot: Snapshot, plan: Plan, memory: str) -> None:
        """Queue one cycle."""


class ConditionSink(Protocol):
    """Where adapters report what is wrong and that it is over. Safe from any thread."""

    def begin(self, condition: Condition) -> None:
        """Report a condition; repeating one that is in force changes nothing but its text."""

    def end(self, code: str, subject: str) -> None:
        """Report that a condition is over; unknown ones are ignored."""


# --- offered by the controller ----------------------------------------------------------------------


class MeterSink(Protocol):
    """Where a meter adapter delivers. Same loop as the controller."""

    def put_reading(self, meter: MeterId, reading: GridReading) -> None:
        """Deliver a plausible sample, taken just now."""

    def put_fault(self, meter: MeterId, fault: str) -> None:
        """Say why there is no sample: names the place and the mend. An empty text is never given."""


class StationDesk(Protocol):
    """Where the OCPP adapter asks and reports. Same loop as the controller.

    The three transaction calls return only when the store holds the facts, so that the station may
    be answered. They never raise for what a station says.
    """

    def post(self, event: StationEvent) -> None:
        """Report an event; returns at once."""

    def log_frame(self, frame: FrameLogged) -> None:
        """Keep a redacted frame in the station's bounded log."""

    def fallback_a(self, evse: EvseId) -> float | None:
        """Return the configured fallback; None: this EVSE is not in the site file. [A]"""

    def evses(self, station: StationId) -> tuple[EvseId, ...] | None:
        """Return the station's configured EVSEs; None: the station is unknown."""

    async def authorize(self, station: StationId, token: IdToken) -> Authorization:
        """Decide on a token."""

    async def open_transaction(self, opened: TransactionOpened) -> TransactionReceipt:
        """Book a start."""

    async def note_transaction(self, noted: TransactionNoted) -> TransactionReceipt | None:
        """Book progress; None: unknown to us, or another station's."""

    async def close_transaction(self, closed: TransactionClosed) -> TransactionReceipt | None:
        """Book an end; one that was never opened is stored with what is known. None: another station's."""

    async def save_station(self, record: StationRecord) -> None:
        """Keep what a station said at boot."""


class Control(Protocol):
    """What people and programs may ask of the running controller. Safe from any thread."""

    def plan(self) -> Plan | None:
        """Return the latest published plan; None before the first cycle."""

    def snapshot(self) -> Snapshot | None:
        """Return the snapshot that the latest plan was made from."""

    def alarms(self) -> tuple[Alarm, ...]:
        """Return the alarms in force, oldest first."""

    def overrides(self) -> Overrides:
        """Return the overrides in force."""

    def stats(self) -> Mapping[str, float]:
        """Return figures of the loop: cycles, overruns, last decision time, queue depths."""

    def frames(self, station: StationId) -> tuple[FrameLogged, ...]:
        """Return the station's latest frames, oldest first."""

    def explain(self, evse: EvseId) -> Explanation | None:
        """Explain an EVSE's setpoint: what holds it and what would change it; None before a plan.

        Computes for some 10 ms to 1 s: call it in a thread of its own, away from every loop.

        Raises:
            KeyError: No such EVSE.
        """

    def wiring(self) -> tuple[WiringView, ...]:
        """Return how far the wiring between EVSEs and the meters above them is known."""

    async def set_circuit_limit(
        self, circuit: CircuitId, limit_a: PhaseCurrents | None, actor: str
    ) -> None:
        """Set or lift an operating limit. Effective with the next cycle, durable, audited.

        Raises:
            KeyError: No such circuit.
            ValueError: Above the rating, negative or not a number.
        """

    async def set_evse_override(self, evse: EvseId, override: EvseOverride, actor: str) -> None:
        """Replace an EVSE's override.

        Raises:
            KeyError: No such EVSE.
            ValueError: Maximum above the rating or below 0.
        """

    async def act(self, request: ActionRequest, actor: str) -> CommandResult:
        """Carry out a station action, audited."""


__all__ = [
    "Clock",
    "ConditionSink",
    "Control",
    "Fleet",
    "MeterSink",
    "Recorder",
    "Role",
    "SampleSpool",
    "StationDesk",
    "Store",
]
