"""What both versions do with what a station reports: clocks, samples, transactions, states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from adapters.ocpp.clocks import ClockSkew, booked_time
from adapters.ocpp.dialect import CallError, Received
from adapters.ocpp.gate import AnswerGate
from adapters.ocpp.metervalues import (
    STANDS_STILL_S,
    MeterEntry,
    RegisterTrack,
    has_current_or_power,
    newest,
    register_scale,
    register_wh,
    to_sample,
)
from adapters.ocpp.plausibility import register_objection
from adapters.ocpp.settling import Settling
from adapters.ocpp.translation import DialectSettings
from controller.draw import ACTIVE_STATES
from controller.ports import Clock, StationDesk
from controller.readings import EvseSample
from controller.records import (
    TransactionClosed,
    TransactionNoted,
    TransactionOpened,
    TransactionReceipt,
)
from controller.site import EvseId, StationId, evse_id
from controller.station import (
    EvseSampled,
    EvseState,
    EvseStateChanged,
    StationHeard,
    TransactionChanged,
)
from controller.transaction import Transaction, TransactionId

NOTE_EVERY_S = 60.0
"""A running transaction's register is stored so often; every note is a write to the disk. [s]"""
LIVE_INTERVALS = 2
BEFORE_CONNECTION_S = 2.0
"""Stamps are whole seconds and a median: so far before the connection still counts as after. [s]"""
REMEMBERED_ENDS = 32
SAME_REGISTER = 5.0
"""A register at the end so close to the one sampled last is the same register, in its own unit."""
STALE_S = 120.0
"""A transaction at an EVSE without a vehicle for so long has ended; its end was lost. [s]"""
SCALE_VOTES = 3
"""A single sample may show any slope while a vehicle starts."""


@dataclass(slots=True)
class _EvseCourse:
    """What is kept about one EVSE while its station is connected."""

    track: RegisterTrack = field(default_factory=RegisterTrack)
    idle_track: RegisterTrack = field(default_factory=RegisterTrack)
    """The register since the station began to report that nothing flows."""
    idle_rose_s: float | None = None
    """When the register first rose against such reports. [s]"""
    lies: bool = False
    """It rose again later: this station reports 0 while current flows."""
    scale: float = 1.0
    limit_a: float | None = None
    transaction: TransactionId | None = None
    booked: Transaction | None = None
    """The latest transaction as it is booked, running or not."""
    noted_s: float | None = None
    direct_s: float | None = None
    state: EvseState = EvseState.UNKNOWN
    available_s: float | None = None
    """Since when the station says that no vehicle is there. [s]"""
    drawn_a: float | None = None
    sampled_s: float | None = None
    raw_wh: float | None = None
    """The register of the latest live sample, as labelled by the station."""
    scale_votes: int = 0

    def since_idle(self, entry: MeterEntry, plain: EvseSample | None, now_s: float) -> float | None:
        """Return the mean power by the register while the station reports that nothing flows. [W]

        A register that rises against such reports is believed; one that rose before them, or between
        two of them and no more, tells of a vehicle that has just been paused. One that goes on rising,
        however rarely it is renewed, is believed for as long as the reports say 0.
        """
        flows = plain is None or (plain.power_w or 0.0) > 0.0 or max(plain.terminal_a or (0.0,)) > 0
        if flows:
            self._forget_idle()
            return None
        before = self.idle_track
        self.idle_track = before.add(now_s, register_wh([entry]))
        if before.points and self.idle_track.points[-1][1] > before.points[-1][1]:
            self.idle_rose_s = now_s if self.idle_rose_s is None else self.idle_rose_s
            self.lies = self.lies or now_s - self.idle_rose_s >= STANDS_STILL_S
        return self.idle_track.slope_w if self.lies else self.idle_track.flowing_w

    def _forget_idle(self) -> None:
        self.idle_track, self.idle_rose_s, self.lies = RegisterTrack(), None, False

    def begin_anew(self) -> None:
        """Forget how the register rose: a mean that reaches back into a session is no current of now."""
        self.track = RegisterTrack()
        self._forget_idle()

    def judge_scale(self, found: float) -> None:
        """Believe in a mislabelled register after several samples in a row; for good."""
        if self.scale != 1.0:
            return
        self.scale_votes = self.scale_votes + 1 if found != 1.0 else 0
        if self.scale_votes >= SCALE_VOTES:
            self.scale = found


class Intake:
    """Translates reports into the desk's vocabulary. One per connection."""

    def __init__(
        self, station: StationId, *, desk: StationDesk, clock: Clock, settings: DialectSettings
    ) -> None:
        self.station = station
        self.desk = desk
        self.skew = ClockSkew(clock.monotonic_s)
        self.gate = AnswerGate(settings.answer_delay_s)
        self._clock = clock
        self._settings = settings
        self._connected_at = clock.now()
        self._courses: dict[EvseId, _EvseCourse] = {}
        self._ended: list[TransactionId] = []
        self._settling = Settling()
        self.on_settled: Callable[[float], None] = lambda took_s: None
        """Told how long a station took to follow a lower limit. [s]"""
        self.on_doubt: Callable[[EvseId, str], None] = lambda evse, reason: None
        """Told of a value that cannot be right and is used for nothing."""

    # --- who and when

    def evse(self, number: int) -> EvseId | None:
        """Return the configured EVSE of a number; None: the station itself, or not in the site file."""
        evse = evse_id(self.station, number)
        return evse if self.desk.fallback_a(evse) is not None else None

    def only_evse(self) -> EvseId | None:
        """Return the station's EVSE if it has just one."""
        evses = self.desk.evses(self.station) or ()
        return evses[0] if len(evses) == 1 else None

    def evse_for_booking(self, number: int) -> EvseId:
        """Return the EVSE a transaction is booked on, configured or not.

        Raises:
            CallError: There can be no such EVSE.
        """
        if number < 1:
            only = self.only_evse()
            if only is None:
                raise CallError("PropertyConstraintViolation", "a transaction needs an EVSE")
            return only
        return evse_id(self.station, number)

    def now(self) -> datetime:
        """Return our wall clock, which stations set theirs by."""
        return self._clock.now()

    def hear(self, stamped: datetime | None, received: Received) -> None:
        """Compare clocks by a live message and report the skew."""
        if stamped is None:
            return
        self.skew.hear(stamped, received.at, received.monotonic_s)
        self.desk.post(StationHeard(station=self.station, clock_skew_s=self.skew.value_s))

    def is_live(self, stamped: datetime | None, received: Received) -> bool:
        """Whether a message was stamped just now and not kept in the station's queue.

        Source: OCPP 1.6 section 3.7 and 2.0.1 E04: queued messages arrive late and look live.
        """
        if stamped is None:
            return False
        ours = self.skew.our_time(stamped)
        age_s = (received.at - ours).total_seconds()
        if age_s > LIVE_INTERVALS * self._settings.sample_interval_s:
            return False
        return (self._connected_at - ours).total_seconds() <= BEFORE_CONNECTION_S

    # --- states

    def set_state(
        self, evse: EvseId, state: EvseState, *, error_code: str | None = None, text: str = ""
    ) -> None:
        """Report an EVSE's state."""
        course = self._course(evse)
        if state is not course.state and state not in ACTIVE_STATES:
            course.begin_anew()
        course.state = state
        if state is not EvseState.AVAILABLE:
            course.available_s = None
        elif course.available_s is None:
            course.available_s = self._clock.monotonic_s()
        self.desk.post(
            EvseStateChanged(evse=evse, state=state, error_code=error_code, text=text[:200])
        )

    def state(self, evse: EvseId) -> EvseState:
        """Return the state reported last."""
        return self._course(evse).state

    # --- samples

    def set_limit(self, evse: EvseId, limit_a: float) -> None:
        """Remember the limit confirmed last: it tells a sum of currents from a value per phase."""
        self._course(evse).limit_a = limit_a
        now_s = self._clock.monotonic_s()
        self._settling.limited(evse, limit_a, drawn_a=self.drawn_a(evse), now_s=now_s)

    def drawn_a(self, evse: EvseId) -> float | None:
        """Return the current of the latest live sample, highest phase; None: none lately. [A]"""
        course = self._course(evse)
        if course.sampled_s is None:
            return None
        age_s = self._clock.monotonic_s() - course.sampled_s
        return (
            course.drawn_a if age_s <= LIVE_INTERVALS * self._settings.sample_interval_s else None
        )

    async def close_stale(self) -> None:
        """Close transactions whose vehicle has long gone and whose end was lost (quirk 36).

        The end is booked with the register heard last, as assumed: one that the station reports
        later takes its place.
        """
        now_s = self._clock.monotonic_s()
        for evse, transaction in self.running_transactions():
            course = self._course(evse)
            since_s = course.available_s
            if since_s is None or now_s - since_s < STALE_S or (self.drawn_a(evse) or 0.0) > 0.5:
                continue
            await self.close(
                TransactionClosed(
                    station=self.station,
                    id=transaction,
                    evse=evse,
                    at=self._clock.now(),
                    meter_wh=course.raw_wh,
                    reason="Other",
                    is_assumed=True,
                )
            )

    def limit_a(self, evse: EvseId) -> float | None:
        """Return the limit confirmed last; None: none yet. [A]"""
        return self._course(evse).limit_a

    def take_samples(
        self, evse: EvseId, entries: Sequence[MeterEntry], received: Received, *, live: bool
    ) -> None:
        """Report the newest values, if they are of now.

        A message that holds the register only does not push out a measured current of a moment ago.

        Args:
            evse: Where they were measured.
            entries: All meter values of the message.
            received: When it arrived.
            live: False: the message itself says that it was kept back.
        """
        for said in (text for e in entries for text in e.absurd):
            self.on_doubt(evse, said)
        entry = newest(entries)
        if entry is None or not live:
            return
        self.hear(entry.at, received)
        if not self.is_live(entry.at, received):
            return
        course = self._course(evse)
        raw_wh = register_wh([entry])
        believed_wh = self._believed(evse, course.transaction, raw_wh)
        course.track = course.track.add(received.monotonic_s, raw_wh)
        direct = has_current_or_power(entry)
        if direct:
            course.direct_s = received.monotonic_s
        elif course.direct_s is not None and received.monotonic_s - course.direct_s <= (
            LIVE_INTERVALS * self._settings.sample_interval_s
        ):
            return
        sample = self._sample(course, entry, evse)
        if sample is not None:
            course.sampled_s = received.monotonic_s
            course.drawn_a = max(sample.terminal_a) if sample.terminal_a is not None else None
            course.raw_wh = believed_wh or course.raw_wh
            if raw_wh is not None and believed_wh is None:
                sample = replace(sample, energy_wh=None)
            self.desk.post(EvseSampled(evse=evse, sample=sample))
            self._watch_settling(evse, course.drawn_a, received.monotonic_s)

    def _watch_settling(self, evse: EvseId, drawn_a: float | None, now_s: float) -> None:
        if drawn_a is None:
            return
        took_s = self._settling.sampled(evse, drawn_a, now_s=now_s)
        if took_s is not None:
            self.on_settled(took_s)

    def _sample(self, course: _EvseCourse, entry: MeterEntry, evse: EvseId) -> EvseSample | None:
        """Make the sample, the register brought to Wh where the station mislabels it."""
        wiring = self._settings.wiring(evse)
        slope_w = course.track.slope_w
        plain = to_sample(entry, wiring, limit_a=course.limit_a)
        power_w = plain.power_w if plain is not None else None
        course.judge_scale(register_scale(slope_w, power_w, wiring.rating_w))
        if has_current_or_power(entry):
            slope_w = course.since_idle(entry, plain, self._clock.monotonic_s())
        sample = plain
        if slope_w is not None:
            slope_w *= course.scale
            sample = to_sample(entry, wiring, slope_w=slope_w, limit_a=course.limit_a)
        if sample is None or sample.energy_wh is None or course.scale == 1.0:
            return sample
        return replace(sample, energy_wh=sample.energy_wh * course.scale)

    # --- transactions

    def running(self, evse: EvseId) -> TransactionId | None:
        """Return the transaction known to run at an EVSE."""
        return self._course(evse).transaction

    def running_transactions(self) -> tuple[tuple[EvseId, TransactionId], ...]:
        """Return all running transactions of this station."""
        return tuple(
            (evse, course.transaction)
            for evse, course in sorted(self._courses.items())
            if course.transaction is not None
        )

    def evse_of(self, transaction: TransactionId) -> EvseId | None:
        """Return where a transaction runs."""
        return next((e for e, t in self.running_transactions() if t == transaction), None)

    def has_ended(self, transaction: TransactionId) -> bool:
        """Whether the station reported its end on this connection."""
        return transaction in self._ended

    async def open(self, opened: TransactionOpened, received: Received) -> TransactionReceipt:
        """Book a start and report it."""
        receipt = await self.desk.open_transaction(opened)
        transaction = receipt.transaction
        if self._is_past(transaction):
            return receipt
        if transaction.ended_at is None:
            self.gate.shut(transaction.id)
            course = self._course(transaction.evse)
            course.transaction = transaction.id
            course.booked = transaction
            course.noted_s = received.monotonic_s
        self.desk.post(TransactionChanged(transaction=transaction))
        return receipt

    def _is_past(self, transaction: Transaction) -> bool:
        """Tell whether a later transaction runs at the EVSE: an older one is booked, and no news.

        Queued messages tell of what is over; they must not take the place of the vehicle that is there.
        """
        course = self._course(transaction.evse)
        now = course.booked
        return (
            now is not None
            and course.transaction == now.id
            and transaction.id != now.id
            and transaction.started_at < now.started_at
        )

    def _believed(
        self, evse: EvseId | None, transaction: TransactionId | None, register_wh: float | None
    ) -> float | None:
        """Return a register that can be right for a transaction; None: it is told and left out. [Wh]"""
        course = self._courses.get(evse) if evse is not None else None
        if register_wh is None or evse is None or course is None or course.booked is None:
            return register_wh
        if course.booked.id != transaction:
            return register_wh
        reason = register_objection(
            register_wh,
            course.booked,
            scale_ratio=course.scale,
            rating_w=self._settings.wiring(evse).rating_w,
            at=self._clock.now(),
        )
        if reason is None:
            return register_wh
        self.on_doubt(evse, reason)
        return None

    def is_noted(self, evse: EvseId, transaction: TransactionId, received: Received) -> bool:
        """Tell whether a running transaction was booked so lately that its register need not be."""
        course = self._course(evse)
        return (
            course.transaction == transaction
            and course.noted_s is not None
            and received.monotonic_s - course.noted_s < NOTE_EVERY_S
        )

    async def note(
        self, noted: TransactionNoted, received: Received, *, due: bool
    ) -> TransactionReceipt | None:
        """Book progress and report it.

        Args:
            noted: What was heard.
            received: When.
            due: True: at once. False: only when the last note is old, or there was none.

        Returns:
            The receipt; None when nothing was booked or the transaction is unknown.
        """
        evse = noted.evse or self.evse_of(noted.id)
        if evse is not None and not due and self.is_noted(evse, noted.id, received):
            return None
        noted = replace(noted, meter_wh=self._believed(evse, noted.id, noted.meter_wh))
        receipt = await self.desk.note_transaction(noted)
        if receipt is None:
            return None
        transaction = receipt.transaction
        if self._is_past(transaction):
            return receipt
        course = self._course(transaction.evse)
        if transaction.ended_at is None:
            course.transaction = transaction.id
            course.booked = transaction
            course.noted_s = received.monotonic_s
        self.desk.post(TransactionChanged(transaction=transaction))
        return receipt

    async def close(self, closed: TransactionClosed) -> TransactionReceipt | None:
        """Book an end and report it."""
        where = closed.evse or self.evse_of(closed.id)
        ratio = self._proven_scale(where, closed.meter_wh)
        closed = replace(closed, scale_ratio=ratio, meter_wh=self._end_wh(where, closed, ratio))
        self._ended = [*self._ended, closed.id][-REMEMBERED_ENDS:]
        for course in self._courses.values():
            if course.transaction == closed.id:
                course.transaction = None
                course.noted_s = None
                course.begin_anew()
        receipt = await self.desk.close_transaction(closed)
        if receipt is not None:
            self.desk.post(TransactionChanged(transaction=receipt.transaction))
        return receipt

    def _end_wh(
        self, where: EvseId | None, closed: TransactionClosed, ratio: float
    ) -> float | None:
        """Return the register at the end, as sent; one that cannot be right leaves the last one. [Wh]"""
        course = self._courses.get(where) if where is not None else None
        if where is None or closed.meter_wh is None or course is None or course.booked is None:
            return closed.meter_wh
        if course.booked.id != closed.id:
            return closed.meter_wh
        reason = register_objection(
            closed.meter_wh,
            course.booked,
            scale_ratio=ratio,
            rating_w=self._settings.wiring(where).rating_w,
            at=self._clock.now(),
        )
        if reason is None:
            return closed.meter_wh
        self.on_doubt(where, f"{reason}; transaction {closed.id} is booked without it")
        return None

    def _proven_scale(self, evse: EvseId | None, register_wh: float | None) -> float:
        """Return the factor that makes a booked register Wh; 1 unless it is proven to be another.

        The samples of the transaction must have shown it, and the register that is booked must be
        the one that was sampled: some stations mislabel their samples only.
        """
        course = self._course(evse) if evse is not None else None
        if course is None or course.raw_wh is None or register_wh is None:
            return 1.0
        is_same = abs(register_wh - course.raw_wh) <= max(SAME_REGISTER, 0.01 * course.raw_wh)
        return course.scale if is_same else 1.0

    @staticmethod
    def booked_at(text: object, received: Received) -> datetime:
        """Return the time under which a message is booked."""
        return booked_time(text, received.at)

    def _course(self, evse: EvseId) -> _EvseCourse:
        return self._courses.setdefault(evse, _EvseCourse())
