"""The controller's process in virtual time: it starts, cycles, dies, and what it stored survives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Protocol

from adapters.simulator.lockstep.agenda import Agenda
from adapters.simulator.lockstep.meter import SimMeter
from adapters.simulator.lockstep.station import SimStation
from controller import persist
from controller.alarms import RESTORE_S, AlarmBook
from controller.commands import CommandResult, SetLimit
from controller.core import Core
from controller.decide import Allocate, Decision
from controller.decision import Alarm, Condition
from controller.faults import unheard
from controller.image import ProcessImage
from controller.memory import Memory
from controller.operator import Overrides
from controller.policy import Policy
from controller.quiet import quiet_until_s
from controller.readings import GridReading
from controller.site import EvseId, MeterId, Site, StationId
from controller.snapshot import Snapshot
from controller.station import EvseSampled, StationEvent, TransactionChanged
from controller.transaction import Transaction, TransactionId

START = datetime(2026, 3, 2, tzinfo=UTC)
DEBOUNCE_S = 0.1
SETTLE_AGAIN_S = 10.0
"""Alarms of stations that were not heard since a restart are looked at again after so long. [s]"""


class VirtualClock:
    """Implements `Clock` on the agenda's time."""

    def __init__(self, agenda: Agenda) -> None:
        """Start at the agenda's zero."""
        self._agenda = agenda
        self.wall_ahead_s = 0.0
        """How far the wall clock is off. [s]"""
        self.boot_s = 0.0
        """True time at which the monotonic clock began. [s]"""
        self.pinned_s: float | None = None
        """Time of a sample that is delivered later than it was taken. [s]"""

    def monotonic_s(self) -> float:
        """Return seconds since the machine was started."""
        now_s = self._agenda.now_s if self.pinned_s is None else self.pinned_s
        return now_s - self.boot_s

    def now(self) -> datetime:
        """Return the wall clock."""
        return START + timedelta(seconds=self._agenda.now_s + self.wall_ahead_s)


class Watch(Protocol):
    """Who looks over the controller's shoulder."""

    def decided(self, snapshot: Snapshot, decision: Decision) -> None:
        """See a decision before its commands go out."""

    def alarmed(self, alarms: tuple[Alarm, ...]) -> None:
        """See alarms begin and end."""

    def failed(self, error: Exception) -> None:
        """See a cycle fail."""


@dataclass(slots=True)
class Disk:
    """What survives the process: the part of the store that control rests on."""

    memory: tuple[Memory, float, datetime] | None = None
    transactions: dict[tuple[StationId, TransactionId], Transaction] = field(default_factory=dict)
    overrides: Overrides = field(default_factory=Overrides)
    alarms: dict[tuple[str, str], Alarm] = field(default_factory=dict)
    """Those in force."""
    lost_s: float = -inf
    """When everything on it was lost last. [s]"""
    is_writable: bool = True
    is_mangled: bool = False
    is_behind: bool = False
    """Limits have been sent that could not be written down."""
    """The stored memory cannot be read."""


class Host:
    """Runs `Core` as `Cycle` does, on the agenda instead of an event loop."""

    def __init__(
        self,
        *,
        site: Site,
        policy: Policy,
        agenda: Agenda,
        stations: Mapping[StationId, SimStation],
        meters: Iterable[SimMeter],
        allocate: Allocate,
        watch: Watch,
        skips: bool = True,
    ) -> None:
        """Wire the process; `start` runs it.

        Args:
            site: What is built.
            policy: Thresholds and times.
            agenda: Virtual time.
            stations: By id.
            meters: All of them.
            allocate: The optimizer.
            watch: Sees every decision.
            skips: Leave out decisions that cannot differ from the one before.
        """
        self.site = site
        self.policy = policy
        self.clock = VirtualClock(agenda)
        self.disk = Disk()
        self.is_alive = False
        self.started_s = 0.0
        self.cycles = 0
        self.commands = 0
        self.dies_after: int | None = None
        """It dies in its next cycle with increases, after so many of them."""
        self.life = 0
        self.on_start: Callable[[], None] = lambda: None
        """Called when a process has begun to listen."""
        self._agenda = agenda
        self._stations = stations
        self._meters = tuple(meters)
        self._by_meter = {m.id: m for m in self._meters}
        self._allocate = allocate
        self._watch = watch
        self._skips = skips
        self._wake_s = inf
        self._tick_s = inf
        self._ready_s = 0.0
        self.image: ProcessImage
        self.core: Core
        self._alarms = AlarmBook()
        self._decided: tuple[Condition, ...] = ()

    # --- life -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a process with what the disk holds."""
        if self.is_alive:
            return
        self.is_alive = True
        self.life += 1
        self.started_s = self._agenda.now_s
        self.image = ProcessImage(site=self.site, clock=self.clock, wake=self._wake)
        self.image.overrides = self.disk.overrides
        self._restore_alarms()
        self.core = Core(
            image=self.image,
            alarms=self._alarms,
            policy=self.policy,
            allocate=self._allocate,
            memory=self._restored(),
        )
        for transaction in self.disk.transactions.values():
            if transaction.ended_at is None:
                self.image.post(TransactionChanged(transaction=transaction))
        self._wake_s, self._tick_s, self._ready_s = self._agenda.now_s, self._agenda.now_s, 0.0
        for meter in self._meters:
            meter.attach(self)
        self.on_start()

    def _restore_alarms(self) -> None:
        """Go on with the alarms of the last life, until they had time to be told again."""
        self._alarms = AlarmBook()
        self._alarms.restore(self.disk.alarms.values(), self.clock.now())
        self._decided = ()
        life = self.life

        def settle() -> None:
            if self.life == life and self.is_alive:
                snapshot = self.core.snapshot
                if self._alarms.settle(unheard(snapshot) if snapshot is not None else ()):
                    self._agenda.after(SETTLE_AGAIN_S, settle)
                self.touch()

        self._agenda.after(RESTORE_S, settle)

    def _restored(self) -> Memory:
        if self.disk.memory is None or self.disk.is_mangled:
            return Memory()
        memory, saved_s, at = self.disk.memory
        text = persist.memory_to_text(memory, now_s=saved_s, at=at)
        return persist.memory_from_text(text, now_s=self.clock.monotonic_s(), at=self.clock.now())

    def kill(self, *, reboots: bool = False) -> None:
        """End the process without a word; its connections break."""
        if not self.is_alive:
            return
        self.is_alive = False
        if self.disk.is_behind:
            self.disk.lost_s, self.disk.is_behind = self._agenda.now_s, False
        for station in self._stations.values():
            station.disconnect(is_noticed=False, redials=station.wants_connection)
        if reboots:
            self.clock.boot_s = self._agenda.now_s - 20.0

    # --- what it hears ----------------------------------------------------------------------------

    def hear(self, event: StationEvent) -> None:
        """Take a station's event."""
        if self.is_alive:
            self.image.post(event)
            self.touch()

    def sample(self, event: EvseSampled, *, at_s: float, is_news: bool) -> None:
        """Take meter values of a station, as of an instant. [s]"""
        if not self.is_alive:
            return
        self.clock.pinned_s = at_s
        self.image.post(event)
        self.clock.pinned_s = None
        if is_news:
            self.touch()

    def read(self, meter: MeterId, reading: GridReading, *, at_s: float, is_news: bool) -> bool:
        """Take a sample of a grid meter; tell whether it is above the watched limit. [s]"""
        if not self.is_alive:
            return False
        self.clock.pinned_s = at_s
        self.image.put_reading(meter, reading)
        self.clock.pinned_s = None
        if is_news:
            self.touch()
        return self.image.is_over(meter)

    def miss(self, meter: MeterId, fault: str) -> None:
        """Hear why there is no sample."""
        if self.is_alive:
            self.image.put_fault(meter, fault)
            self.touch()

    def book(self, transaction: Transaction) -> None:
        """Store a transaction."""
        key = (transaction.station, transaction.id)
        self.disk.transactions[key] = transaction
        if transaction.ended_at is not None:
            del self.disk.transactions[key]

    def answer(self, command: SetLimit, result: CommandResult, *, sent_s: float, life: int) -> None:
        """Take the end of a command."""
        if self.is_alive and life == self.life:
            self.core.finish(command, result, sent_s=sent_s, done_s=self.clock.monotonic_s())
            self.touch()

    def operate(self, overrides: Overrides) -> None:
        """Take an operator's overrides; they are durable."""
        self.disk.overrides = overrides
        if self.is_alive:
            self.image.overrides = overrides
            self._wake("operator")

    def touch(self) -> None:
        """Something is new: the next tick decides."""
        self._ready_s = min(self._ready_s, self._agenda.now_s)

    def _wake(self, _reason: str) -> None:
        now_s = self._agenda.now_s
        self._wake_s = min(self._wake_s, now_s + DEBOUNCE_S)
        self._ready_s = min(self._ready_s, now_s)

    # --- cycles -----------------------------------------------------------------------------------

    @property
    def next_cycle_s(self) -> float:
        """When it decides next, if nothing happens before. [s]"""
        if not self.is_alive:
            return inf
        return min(self._wake_s, self._next_tick_s())

    def _next_tick_s(self) -> float:
        interval_s = self.policy.interval_s
        if not self._skips or self._ready_s <= self._tick_s:
            return self._tick_s
        if self._ready_s == inf:
            return inf
        count = -((self._tick_s - self._ready_s) // interval_s)
        return self._tick_s + count * interval_s

    def cycle(self) -> None:
        """Decide now, and carry the decision out."""
        now_s = self._agenda.now_s
        for meter in self._meters:
            meter.refresh()
        for station in self._stations.values():
            station.catch_up()
        if now_s >= self._wake_s:
            self._wake_s = inf
        while self._tick_s <= now_s:
            self._tick_s += self.policy.interval_s
        self._ready_s = inf
        snapshot = self.image.freeze()
        before = self.core.memory
        try:
            decision = self.core.decide(snapshot)
        except (ArithmeticError, LookupError, ValueError, TypeError, RuntimeError) as error:
            self.core.give_back(snapshot)
            self.core.fail()
            self.touch()
            self._watch.failed(error)
            self._publish(self._decided)
            return
        self.cycles += 1
        self._watch.decided(snapshot, decision)
        self.core.adopt(snapshot, decision)
        self._carry_out(decision)
        if not self.is_alive:
            return
        self.core.succeed()
        self._decided = decision.conditions
        self._publish(self._decided)
        until_s = quiet_until_s(snapshot, before, decision, self.policy, self)
        self._ready_s = min(self._ready_s, until_s + self.clock.boot_s)
        self._rewatch()

    def _publish(self, conditions: tuple[Condition, ...]) -> None:
        changes = self._alarms.update(conditions, self.clock.now())
        if changes:
            if self.disk.is_writable:
                self.disk.alarms = {
                    (a.condition.code, a.condition.subject): a for a in self._alarms.active()
                }
            self._watch.alarmed(changes)

    def _rewatch(self) -> None:
        """Read a meter again at once while it is above its limit, as the poller does every second."""
        for meter in self._meters:
            if self.image.is_over(meter.id):
                meter.notice()

    def _carry_out(self, decision: Decision) -> None:
        wave = decision.wave
        if (
            len(wave) == 0
            and not wave.questions
            and not wave.stops
            and not self.core.must_save(decision, self.clock.monotonic_s())
        ):
            return
        for command in (*wave.decreases, *wave.renewals):
            self._send(command)
        for stop in wave.stops:
            self._stations[_station_of(stop.evse)].stop(stop)
        for evse in wave.questions:
            self._stations[_station_of(evse)].answer_question(evse)
        now_s = self.clock.monotonic_s()
        if self.core.must_save(decision, now_s):
            if self.disk.is_writable:
                self.disk.memory = (self.core.memory, now_s, self.clock.now())
                self.disk.is_mangled = False
            self.disk.is_behind = not self.disk.is_writable
            self.core.saved(now_s, is_stored=self.disk.is_writable)
        for count, command in enumerate(wave.increases):
            if self.dies_after is not None and count >= self.dies_after:
                self.dies_after = None
                self.kill()
                return
            self._send(command)

    def _send(self, command: SetLimit) -> None:
        self.commands += 1
        station = self._stations[_station_of(command.evse)]
        station.apply(command, sent_s=self.core.sent_s(command), ear=self, life=self.life)

    # --- what will be heard (for the quiet rule) --------------------------------------------------

    def sample_s(self, evse: EvseId, not_before_s: float) -> float | None:
        """Return when an EVSE's next sample arrives, by the controller's clock. [s]"""
        station = self._stations[_station_of(evse)]
        outlet = station.outlets[evse]
        if not station.is_regular or not station.is_sampling(outlet) or outlet.sampled_a < 0.0:
            return None
        at_s = station.next_sample_s(not_before_s + self.clock.boot_s)
        return at_s - self.clock.boot_s if at_s is not None else None

    def is_read(self, meter: MeterId) -> bool:
        """Tell whether a meter is read every second and lives."""
        known = self._by_meter.get(meter)
        return known is not None and known.is_regular


def _station_of(evse: EvseId) -> StationId:
    return StationId(evse.rpartition("/")[0])
