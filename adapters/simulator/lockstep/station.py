"""Stations as the controller meets them: they connect, hold limits, answer, sample, and have habits.

What the OCPP adapter makes of their frames is what is posted here: the same events and results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Protocol

from adapters.simulator.lockstep.agenda import Agenda
from adapters.simulator.lockstep.bay import DRAWING_A, Bay
from adapters.simulator.vehicle import Vehicle
from controller.commands import (
    Applied,
    CommandResult,
    NotConnected,
    Rejected,
    SetLimit,
    Stop,
    TimedOut,
)
from controller.readings import EvseSample
from controller.site import EvseId, Station
from controller.station import (
    EvseSampled,
    EvseState,
    EvseStateChanged,
    FallbackConfirmed,
    LeaseMode,
    LeaseModeFound,
    StationConnected,
    StationDisconnected,
    StationEvent,
    TransactionChanged,
)
from controller.transaction import IdToken, Transaction, TransactionId

TIMEOUT_S = 10.0
REGULAR_S = 10.0
"""An interval that the controller asked for. [s]"""

HIDES_S = 24.0
"""So long after a new limit its vehicle may hide a change of the building: settling and a sample. [s]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """How a station differs from the specification; the default does not."""

    mode: LeaseMode = LeaseMode.LEASED
    """How it takes limits: as leases, for good, or not at all."""
    answer_s: float = 0.3
    """Time until it answers a command. [s]"""
    sample_s: float | None = 10.0
    """Interval of its meter values; None: it sends none by itself. [s]"""
    answers_questions: bool = True
    """It sends meter values when asked."""
    per_phase: bool = True
    """It reports each phase; else one current for all."""
    refuses_ratio: float = 0.0
    """Share of the commands that it refuses."""
    loses_ratio: float = 0.0
    """Share of the commands that it does not answer; half of them it carries out."""
    ignores_limits: bool = False
    """It accepts limits and draws its rating."""
    forgets_on_reconnect: bool = False
    """With the connection it forgets a running limit and falls to its default."""
    repeats_status: bool = True
    """It tells the states of its connectors when it connects."""
    starts_offline: bool = True
    """It lets vehicles charge while it is offline."""
    set_up_s: float = 1.0
    """Time from its connection until it has taken its default. [s]"""
    forgets_default: bool = False
    """It has no default any more after a loss of power."""
    lease_late_s: float = 0.0
    """Its clock ends leases so much later. [s]"""
    redials_s: float = 5.0
    """It connects again after so long. [s]"""
    is_mute_meter: bool = False
    """It reports no currents at all, whoever asks."""
    lifts_to_a: float = 0.0
    """It does not go below this when it is told to pause. [A]"""


@dataclass(slots=True)
class Grant:
    """A limit that the station holds for a transaction."""

    limit_a: float
    transaction: TransactionId


@dataclass(slots=True)
class Outlet:
    """What a station knows of one EVSE."""

    bay: Bay
    default_a: float | None = None
    """Its permanent default; None: it was never given one. [A]"""
    grant: Grant | None = None
    grant_count: int = 0
    granted_s: float = float("-inf")
    before_a: float = 0.0
    """Most that it was allowed shortly before its last limit. [A]"""
    transaction: Transaction | None = None
    told: EvseState | None = None
    sampled_s: float = float("-inf")
    sampled_a: float = -1.0
    is_dirty: bool = False
    plan: int = 0
    queue: list[Callable[[], None]] = field(default_factory=list)
    """Transaction messages that wait for the connection."""


class Ear(Protocol):
    """Who listens to stations: the controller's process, while it is alive."""

    def hear(self, event: StationEvent) -> None:
        """Take an event."""

    def sample(self, event: EvseSampled, *, at_s: float, is_news: bool) -> None:
        """Take meter values of an instant; `is_news`: other values than before. [s]"""

    def answer(self, command: SetLimit, result: CommandResult, *, sent_s: float, life: int) -> None:
        """Take the end of a command that was sent in one life of the controller."""

    def book(self, transaction: Transaction) -> None:
        """Store a transaction, as the desk does before it posts it."""


class SimStation:
    """One charging station."""

    def __init__(
        self,
        station: Station,
        bays: Iterable[Bay],
        *,
        quirks: Quirks,
        agenda: Agenda,
        lot: Random,
        wall: Callable[[], datetime],
    ) -> None:
        """Start disconnected, without limits."""
        self.id = station.id
        self.quirks = quirks
        self.outlets = {bay.evse.id: Outlet(bay=bay) for bay in bays}
        self.connected = False
        self.powered = True
        self.wants_connection = False
        self.mute = False
        """It hears and does not answer: a half-open connection."""
        self.ear: Ear | None = None
        self.session = 0
        self.linked_s = float("-inf")
        """When it connected last. [s]"""
        self.offset_s = round(lot.uniform(0.0, 9.9), 2) + 0.003
        self._agenda = agenda
        self._lot = lot
        self._wall = wall
        self._number = 0
        for outlet in self.outlets.values():
            outlet.bay.on_current = lambda bay, before_a, o=outlet: self._changed(o, before_a)  # type: ignore[misc]
            self._apply_habits(outlet)

    def _apply_habits(self, outlet: Outlet) -> None:
        if self.quirks.ignores_limits:
            outlet.bay.disobeys_a = outlet.bay.evse.max_a
        self._relimit(outlet)

    # --- connection -------------------------------------------------------------------------------

    def connect(self, ear: Ear) -> None:
        """Open the connection and be set up."""
        if self.connected or not self.powered:
            return
        self.ear, self.connected = ear, True
        self.session += 1
        self.linked_s = self._agenda.now_s
        self._tell(StationConnected(station=self.id, protocol="ocpp1.6"))
        self._later(0.6, self._tell_states)
        self._later(self.quirks.set_up_s, self._set_up)
        self.sample_anew()
        for outlet in self.outlets.values():
            if self.quirks.forgets_on_reconnect:
                self._drop_grant(outlet)
            self._later(1.5 + self._lot.uniform(0.0, 2.0), lambda o=outlet: self._replay(o))  # type: ignore[misc]

    def disconnect(self, *, is_noticed: bool = True, redials: bool = False) -> None:
        """Lose the connection; the controller may notice later."""
        self.wants_connection = redials
        if not self.connected:
            return
        self.catch_up()
        if is_noticed:
            self._tell(StationDisconnected(station=self.id))
        self.connected = False
        self.session += 1

    def notice_loss(self) -> None:
        """Let the controller find a connection dead."""
        if not self.connected and self.ear is not None:
            self.ear.hear(StationDisconnected(station=self.id))

    def resume(self) -> None:
        """Speak again on a connection that was never found dead."""
        self._tell_states()
        self.sample_anew()
        for outlet in self.outlets.values():
            self._replay(outlet)

    def power(self, powered: bool) -> None:
        """Lose or regain the supply; permanent defaults survive, running limits too."""
        self.powered = powered
        for outlet in self.outlets.values():
            outlet.bay.permit(powered and outlet.transaction is not None)
        if not powered:
            for outlet in self.outlets.values():
                if self.quirks.forgets_default:
                    outlet.default_a = None
                    self._drop_grant(outlet)
            self.disconnect(is_noticed=False)

    def _set_up(self) -> None:
        mode = self.quirks.mode
        self._tell(LeaseModeFound(station=self.id, mode=mode))
        if mode is LeaseMode.UNCONTROLLABLE:
            return
        for outlet in self.outlets.values():
            fallback_a = outlet.bay.evse.fallback_a
            if mode is LeaseMode.PERMANENT and outlet.default_a is not None:
                continue  # what it holds is the running limit; the controller replaces it
            outlet.default_a = fallback_a
            self._relimit(outlet)
            self._tell(FallbackConfirmed(evse=outlet.bay.evse.id, fallback_a=fallback_a))

    def _tell_states(self) -> None:
        for outlet in self.outlets.values():
            outlet.told = None
            if self.quirks.repeats_status:
                self._tell_state(outlet)

    def _replay(self, outlet: Outlet) -> None:
        queue, outlet.queue = outlet.queue, []
        for message in queue:
            message()
        self._tell_state(outlet)

    # --- vehicles ---------------------------------------------------------------------------------

    def plug_in(self, evse: EvseId, vehicle: Vehicle) -> None:
        """A vehicle arrives; its transaction starts once the driver has shown a card."""
        outlet = self.outlets[evse]
        if outlet.bay.car is not None:
            self.unplug(evse)
        outlet.bay.plug_in(vehicle)
        self._later(0.4, lambda: self._tell_state(outlet))
        car = outlet.bay.car
        delay_s = 1.0 + self._lot.uniform(0.0, 4.0)
        self._agenda.after(delay_s, lambda: self._start(outlet) if outlet.bay.car is car else None)

    def unplug(self, evse: EvseId) -> None:
        """The vehicle leaves; its transaction ends."""
        outlet = self.outlets[evse]
        outlet.bay.unplug()
        self._stop(outlet)
        self._later(0.5, lambda: self._tell_state(outlet))

    def _start(self, outlet: Outlet) -> None:
        if not self.powered or (not self.connected and not self.quirks.starts_offline):
            return
        self._number += 1
        evse = outlet.bay.evse
        outlet.transaction = Transaction(
            id=TransactionId(f"{self.id}-{evse.number}-{self._number}"),
            station=self.id,
            evse=evse.id,
            id_token=IdToken("CARD"),
            started_at=self._wall(),
            start_wh=0.0,
        )
        self._drop_grant(outlet)
        outlet.sampled_a = -1.0
        self._send_transaction(outlet, outlet.transaction)
        outlet.bay.permit(True)
        outlet.bay.recount()
        self._plan_sample(outlet)

    def _stop(self, outlet: Outlet, *, reason: str = "EVDisconnected") -> None:
        self.refresh(outlet)
        transaction, outlet.transaction = outlet.transaction, None
        outlet.bay.permit(False)
        self._drop_grant(outlet)
        if transaction is None:
            return
        ended = Transaction(
            id=transaction.id,
            station=transaction.station,
            evse=transaction.evse,
            id_token=transaction.id_token,
            started_at=transaction.started_at,
            start_wh=0.0,
            ended_at=max(self._wall(), transaction.started_at),
            end_reason=reason,
        )
        self._send_transaction(outlet, ended)

    def _send_transaction(self, outlet: Outlet, transaction: Transaction) -> None:
        """Tell of a start or an end now, or when the connection is back."""

        def send() -> None:
            if self.connected and self.ear is not None:
                self.ear.book(transaction)
                self._tell(TransactionChanged(transaction=transaction))
            else:
                outlet.queue.append(send)

        if self.connected and not self.mute:
            self._agenda.after(0.2, send)
        else:
            outlet.queue.append(send)

    # --- limits -----------------------------------------------------------------------------------

    def apply(self, command: SetLimit, *, sent_s: float, ear: Ear, life: int) -> None:
        """Take a command of one life of the controller; the answer comes later. [s]"""
        session = self.session

        def answer(result: CommandResult) -> None:
            ear.answer(command, result, sent_s=sent_s, life=life)

        if not self.connected:
            self._agenda.after(0.01, lambda: answer(NotConnected()))
            return
        is_lost = self.mute or self._lot.random() < self.quirks.loses_ratio
        if is_lost:
            if not self.mute and self._lot.random() < 0.5:
                self._agenda.after(self.quirks.answer_s, lambda: self._obey_silently(command))
            self._agenda.after(TIMEOUT_S, lambda: answer(TimedOut()))
            return
        is_refused = self._lot.random() < self.quirks.refuses_ratio

        def carry_out() -> None:
            if self.session != session:
                answer(TimedOut())
            elif is_refused:
                answer(Rejected(reason="refused"))
            else:
                answer(self._take(command))

        self._agenda.after(self.quirks.answer_s, carry_out)

    def stop(self, stop: Stop) -> None:
        """End a session because that was asked for; the vehicle stays plugged in."""
        outlet = self.outlets[stop.evse]
        if self.mute or self._lot.random() < self.quirks.loses_ratio:
            return

        def carry_out() -> None:
            running = outlet.transaction
            if running is not None and running.id == stop.transaction:
                self._stop(outlet, reason="Remote")
                self._later(0.5, lambda: self._tell_state(outlet))

        self._later(self.quirks.answer_s, carry_out)

    def _obey_silently(self, command: SetLimit) -> None:
        self._take(command)

    def _take(self, command: SetLimit) -> CommandResult:
        outlet = self.outlets[command.evse]
        mode = self.quirks.mode
        if mode is LeaseMode.UNCONTROLLABLE:
            return Rejected(reason="no smart charging")
        if command.transaction is None or mode is LeaseMode.PERMANENT:
            if command.transaction is None and outlet.transaction is not None:
                return Rejected(reason="a transaction is running")
            outlet.default_a = max(command.limit_a, self.quirks.lifts_to_a)
            self._relimit(outlet)
            self._tell(FallbackConfirmed(evse=command.evse, fallback_a=outlet.default_a))
            return Applied(self_expiring=False)
        if outlet.transaction is None or outlet.transaction.id != command.transaction:
            return Rejected(reason="no such transaction")
        self._grant(outlet, command, command.transaction)
        return Applied(self_expiring=True)

    def _grant(self, outlet: Outlet, command: SetLimit, transaction: TransactionId) -> None:
        outlet.grant_count += 1
        count = outlet.grant_count
        limit_a = max(command.limit_a, self.quirks.lifts_to_a)
        is_hurried = self._agenda.now_s - outlet.granted_s < HIDES_S
        outlet.before_a = max(outlet.before_a if is_hurried else 0.0, outlet.bay.limit_a)
        outlet.grant = Grant(limit_a=limit_a, transaction=transaction)
        outlet.granted_s = self._agenda.now_s
        self._relimit(outlet)
        end_s = command.lease_s - self.quirks.answer_s + self.quirks.lease_late_s

        def expire() -> None:
            if outlet.grant_count == count:
                self._drop_grant(outlet)

        self._agenda.after(end_s, expire)

    def _drop_grant(self, outlet: Outlet) -> None:
        outlet.grant = None
        outlet.grant_count += 1
        self._relimit(outlet)

    def _relimit(self, outlet: Outlet) -> None:
        bay = outlet.bay
        limit_a = outlet.default_a
        if outlet.grant is not None:
            limit_a = outlet.grant.limit_a
        bay.is_governed = limit_a is not None
        bay.allow(bay.evse.max_a if limit_a is None else limit_a)
        bay.recount()

    def limit_a(self, evse: EvseId) -> float:
        """Return what an EVSE is allowed now. [A]"""
        return self.outlets[evse].bay.limit_a

    # --- telling ----------------------------------------------------------------------------------

    def _tell(self, event: StationEvent) -> None:
        if self.connected and not self.mute and self.ear is not None:
            self.ear.hear(event)

    def _later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Do something in this session only."""
        session = self.session

        def act() -> None:
            if self.session == session and self.connected:
                action()

        self._agenda.after(delay_s, act)

    def _state(self, outlet: Outlet) -> EvseState:
        bay = outlet.bay
        if bay.leak_a > 0.0:
            return EvseState.FAULTED
        if bay.car is None:
            return EvseState.AVAILABLE
        if outlet.transaction is None:
            return EvseState.CONNECTED
        if bay.current_a > DRAWING_A:
            return EvseState.CHARGING
        return EvseState.SUSPENDED_EV if bay.pwm_a > 0.0 else EvseState.SUSPENDED_EVSE

    def _tell_state(self, outlet: Outlet) -> None:
        state = self._state(outlet)
        if state is outlet.told or not self.connected or self.mute:
            return
        outlet.told = state
        self._tell(EvseStateChanged(evse=outlet.bay.evse.id, state=state))

    def report_fault(self, evse: EvseId) -> None:
        """Tell at once that the state has changed, and what flows."""
        outlet = self.outlets[evse]
        self._tell_state(outlet)
        outlet.is_dirty = True
        self._plan_sample(outlet)

    def _changed(self, outlet: Outlet, before_a: float) -> None:
        """The current has changed: the next sample of the interval is news."""
        if not outlet.is_dirty:
            outlet.is_dirty = True
            self._plan_sample(outlet)
        if (before_a > DRAWING_A) != (outlet.bay.current_a > DRAWING_A):
            self._later(0.5, lambda: self._tell_state(outlet))

    # --- meter values -----------------------------------------------------------------------------

    def next_sample_s(self, not_before_s: float) -> float | None:
        """Return the first instant of its interval that is not earlier. [s]"""
        interval_s = self.quirks.sample_s
        if interval_s is None:
            return None
        count = -((self.offset_s - not_before_s) // interval_s)
        at_s = self.offset_s + count * interval_s
        return at_s if at_s >= not_before_s else at_s + interval_s

    def is_sampling(self, outlet: Outlet) -> bool:
        """Tell whether its meter values arrive by themselves."""
        return (
            self.quirks.sample_s is not None
            and self.connected
            and not self.mute
            and self.powered
            and (outlet.transaction is not None or outlet.bay.leak_a > 0.0)
        )

    @property
    def is_regular(self) -> bool:
        """Tell whether its interval is short enough that the controller need never wonder."""
        return self.quirks.sample_s is not None and self.quirks.sample_s <= REGULAR_S

    def refresh(self, outlet: Outlet) -> None:
        """Send the latest sample that was due, unless it was sent: the same values, later.

        After a change the next instant of the interval sends the news; until then what was due is old.
        """
        if outlet.sampled_a < 0.0:
            return
        interval_s = self.quirks.sample_s or REGULAR_S
        at_s = self.offset_s + (self._agenda.now_s - self.offset_s) // interval_s * interval_s
        if at_s > outlet.sampled_s and self.is_regular and self.is_sampling(outlet):
            self._send(outlet, at_s, outlet.sampled_a, is_news=False)

    def catch_up(self) -> None:
        """Send what was due so far, before something changes."""
        for outlet in self.outlets.values():
            self.refresh(outlet)

    def sample_anew(self) -> None:
        """Sample from now on: whoever listens has heard nothing yet."""
        for outlet in self.outlets.values():
            outlet.is_dirty, outlet.sampled_a = True, -1.0
            self._plan_sample(outlet)

    def _plan_sample(self, outlet: Outlet) -> None:
        at_s = self.next_sample_s(self._agenda.now_s + 1e-6)
        if at_s is not None:
            outlet.plan += 1
            plan = outlet.plan
            self._agenda.at(at_s, lambda: self._sample(outlet) if outlet.plan == plan else None)

    def _sample(self, outlet: Outlet) -> None:
        outlet.is_dirty = False
        if not self.is_sampling(outlet):
            return
        self._send(outlet, self._agenda.now_s, round(outlet.bay.current_a, 1), is_news=True)
        if not self.is_regular:
            self._plan_sample(outlet)

    def answer_question(self, evse: EvseId) -> None:
        """Send meter values because they were asked for."""
        if self.quirks.answers_questions and not self.mute:
            outlet = self.outlets[evse]
            self._later(
                0.5,
                lambda: self._send(
                    outlet, self._agenda.now_s, round(outlet.bay.current_a, 1), is_news=True
                ),
            )

    def _send(self, outlet: Outlet, at_s: float, current_a: float, *, is_news: bool) -> None:
        if self.ear is None or self.quirks.is_mute_meter or at_s <= outlet.sampled_s:
            return
        bay = outlet.bay
        outlet.sampled_s, outlet.sampled_a = at_s, current_a
        count = len(bay.phases) if self.quirks.per_phase else bay.evse.phases
        drawn = (current_a,) * count + (0.0, 0.0, 0.0)
        sample = EvseSample(
            terminal_a=(drawn[0], drawn[1], drawn[2]), phases_known=self.quirks.per_phase
        )
        self.ear.sample(EvseSampled(evse=bay.evse.id, sample=sample), at_s=at_s, is_news=is_news)
