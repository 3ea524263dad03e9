"""Builders with sane defaults: a site, its cars, and snapshots of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from controller.commands import Applied, CommandOutcome, CommandResult, SetLimit
from controller.decide import Decision, decide
from controller.memory import Memory
from controller.operator import Overrides
from controller.phases import PhaseCurrents, PhaseRotation
from controller.policy import Policy
from controller.readings import EvseSample, GridReading, Reading
from controller.site import (
    Circuit,
    CircuitId,
    Evse,
    EvseId,
    Meter,
    MeterId,
    ProtectiveDevice,
    Site,
    Station,
    StationId,
    evse_id,
)
from controller.snapshot import MeterView, Snapshot
from controller.station import (
    EvseState,
    EvseView,
    LeaseMode,
    StationBehaviour,
    StationView,
    ZeroLimit,
)
from controller.transaction import IdToken, Transaction, TransactionId
from optimizer.allocate import Allocator

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
MAIN = CircuitId("main")
METER = MeterId("main")


def a_circuit(
    name: str = "main",
    *,
    limit_a: float = 63.0,
    parent: str | None = None,
    meter: str | None = "main",
    building_peak_a: float = 20.0,
    margin_a: float = 0.0,
) -> Circuit:
    """A circuit; by default the metered grid connection."""
    return Circuit(
        id=CircuitId(name),
        parent=CircuitId(parent) if parent is not None else None,
        limit_a=PhaseCurrents.balanced(limit_a),
        device=ProtectiveDevice.MCB,
        meter=MeterId(meter) if meter is not None else None,
        building_peak_a=PhaseCurrents.balanced(building_peak_a),
        margin_a=margin_a,
    )


def an_evse(
    station: str,
    *,
    number: int = 1,
    circuit: str = "main",
    phases: int = 3,
    rotation: PhaseRotation = PhaseRotation.RST,
    max_a: float = 32.0,
    fallback_a: float = 6.0,
    holds_lease: bool = True,
    priority: int = 0,
) -> Evse:
    """A three-phase 32 A EVSE that falls back to 6 A."""
    return Evse(
        id=evse_id(StationId(station), number),
        station=StationId(station),
        number=number,
        circuit=CircuitId(circuit),
        phases=phases,
        rotation=rotation,
        min_a=6.0,
        max_a=max_a,
        step_a=0.1,
        fallback_a=fallback_a,
        holds_lease=holds_lease,
        priority=priority,
    )


def a_site(
    *,
    circuits: Sequence[Circuit] | None = None,
    evses: Sequence[Evse] | int = 3,
) -> Site:
    """A site with one metered circuit and some EVSEs."""
    chosen = (
        [an_evse(f"CP{n:03d}") for n in range(1, evses + 1)] if isinstance(evses, int) else evses
    )
    by_circuit = {c.id: c for c in circuits or [a_circuit()]}
    stations = {
        s: Station(id=s, evses=tuple(e for e in chosen if e.station == s))
        for s in sorted({e.station for e in chosen})
    }
    meters = {
        c.meter: Meter(id=c.meter, model="eastron/sdm630", connection="tcp://127.0.0.1:1", unit=1)
        for c in by_circuit.values()
        if c.meter is not None
    }
    return Site(
        id="test",
        name="Test",
        timezone="UTC",
        voltage_v=230.0,
        circuits=by_circuit,
        stations=stations,
        meters=meters,
    )


@dataclass
class Bench:
    """A site on the bench: the test moves time, currents and vehicles; `step` decides.

    Stations confirm commands at once and vehicles follow `follow_s` later, unless told otherwise.
    """

    site: Site
    policy: Policy = field(default_factory=Policy)
    building: dict[str, PhaseCurrents] = field(default_factory=dict)
    follow_s: float = 3.0
    now_s: float = 1000.0
    memory: Memory = field(default_factory=Memory)
    answers: dict[EvseId, CommandResult] = field(default_factory=dict)
    """Results other than Applied, by EVSE."""
    heard: set[EvseId] = field(default_factory=set)
    """EVSEs that obey although their answer is lost."""
    want_a: dict[EvseId, float] = field(default_factory=dict)
    """What a vehicle takes at most; absent: no limit of its own."""
    phases: dict[EvseId, int] = field(default_factory=dict)
    offline: set[StationId] = field(default_factory=set)
    connected_since_s: dict[StationId, float] = field(default_factory=dict)
    behaviours: dict[StationId, StationBehaviour] = field(default_factory=dict)
    """How stations follow limits, known to the controller; absent: as the standard says."""
    without_fallback: set[EvseId] = field(default_factory=set)
    """EVSEs whose station has not confirmed the fallback."""
    silent: set[EvseId] = field(default_factory=set)
    """EVSEs that send no meter values."""
    states: dict[EvseId, EvseState] = field(default_factory=dict)
    meter_stops_s: float | None = None
    meter_frozen: bool = False
    overrides: Overrides = field(default_factory=Overrides)
    drawn: dict[EvseId, float] = field(default_factory=dict)
    history: list[tuple[float, Decision]] = field(default_factory=list)
    sent: list[tuple[float, SetLimit, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._outcomes: list[CommandOutcome] = []
        self._limits: dict[EvseId, list[tuple[float, float]]] = {}
        self.charging: dict[EvseId, Transaction] = {}
        self._samples: dict[EvseId, tuple[float, PhaseCurrents]] = {}
        self._allocate = Allocator().allocate
        self._reading: Reading[GridReading] | None = None
        self._changed_s: float | None = None

    def plug_in(self, *evses: str, transaction: str = "1") -> Bench:
        """Start transactions."""
        for name in evses or [e.id for e in self.site.evses()]:
            evse = EvseId(name)
            self.charging[evse] = Transaction(
                id=TransactionId(f"{transaction}-{name}"),
                station=StationId(name.rpartition("/")[0]),
                evse=evse,
                id_token=IdToken("CARD"),
                started_at=START,
                start_wh=0.0,
            )
            self.states[evse] = EvseState.CHARGING
        return self

    def unplug(self, evse: str) -> None:
        """End a transaction."""
        self.charging.pop(EvseId(evse), None)
        self._limits.pop(EvseId(evse), None)
        self.states[EvseId(evse)] = EvseState.AVAILABLE

    def true_a(self, evse: Evse) -> PhaseCurrents:
        """What the EVSE really draws now, per grid phase."""
        if evse.id not in self.charging:
            return PhaseCurrents.balanced(0.0)
        behaviour = self.behaviours.get(evse.station, StationBehaviour())
        follow_s = self.follow_s if behaviour.settle_s is None else behaviour.settle_s
        limit_a = self._held_fallback_a(evse)
        for at_s, value_a in self._limits.get(evse.id, []):
            if at_s + follow_s <= self.now_s:
                is_held = self.now_s < at_s + self.policy.lease_s or not evse.holds_lease
                limit_a = value_a if is_held else self._held_fallback_a(evse)
        if behaviour.zero_limit is ZeroLimit.UNLIMITED and limit_a < evse.min_a:
            limit_a = evse.max_a
        taken_a = self.drawn.get(evse.id, min(limit_a, self.want_a.get(evse.id, evse.max_a)))
        count = self.phases.get(evse.id, evse.phases)
        return PhaseCurrents.on(evse.rotation.phases(count), taken_a if taken_a >= 1 else 0.0)

    def _held_fallback_a(self, evse: Evse) -> float:
        """What it was given as its default: one that cannot be paused gets its minimum."""
        can_pause = self.behaviours.get(evse.station, StationBehaviour()).zero_limit.can_pause
        return evse.fallback_a if can_pause else max(evse.fallback_a, evse.min_a)

    def true_total(self, circuit: str = "main") -> PhaseCurrents:
        """What really flows through a circuit."""
        total = self.building.get(circuit, PhaseCurrents.balanced(0.0))
        for evse in self.site.evses_below(CircuitId(circuit)):
            total = total + self.true_a(evse)
        return total

    def step(self, seconds: float = 1.0) -> Decision:
        """Let time pass, read the meter, decide, and carry the commands out."""
        self.now_s += seconds
        decision = decide(self.snapshot(), self.memory, self.policy, allocate=self._allocate)
        self.memory = decision.memory
        self._outcomes = []
        wave = decision.wave
        kinds = (("down", wave.decreases), ("renew", wave.renewals), ("up", wave.increases))
        for kind, commands in kinds:
            for command in commands:
                assert isinstance(command, SetLimit)
                self.sent.append((self.now_s, command, kind))
                self._carry_out(command)
        self.history.append((self.now_s, decision))
        return decision

    def run(self, seconds: float, *, step_s: float = 1.0) -> Decision:
        """Step until `seconds` have passed."""
        decision = self.step(step_s)
        for _ in range(round(seconds / step_s) - 1):
            decision = self.step(step_s)
        return decision

    def snapshot(self) -> Snapshot:
        """Freeze the bench."""
        self._sample()
        at = START + timedelta(seconds=self.now_s)
        return Snapshot(
            now_s=self.now_s,
            at=at,
            site=self.site,
            meters=self._meters(),
            stations={s: self._station(s) for s in self.site.stations},
            overrides=self.overrides,
            outcomes=tuple(self._outcomes),
        )

    def _carry_out(self, command: SetLimit) -> None:
        result = self.answers.get(command.evse, Applied(self_expiring=True))
        if isinstance(result, Applied) or command.evse in self.heard:
            self._limits.setdefault(command.evse, []).append((self.now_s, command.limit_a))
        self._outcomes.append(
            CommandOutcome(
                command=command, result=result, sent_s=self.now_s, done_s=self.now_s + 0.1
            )
        )

    def _meters(self) -> Mapping[MeterId, MeterView]:
        views = {}
        for circuit in self.site.circuits.values():
            if circuit.meter is None:
                continue
            is_alive = self.meter_stops_s is None or self.now_s < self.meter_stops_s
            if is_alive:
                self._reading = Reading(
                    value=GridReading(current=self.true_total(circuit.id)), taken_s=self.now_s
                )
                if not self.meter_frozen:
                    self._changed_s = self.now_s
            fault = "" if is_alive else "no answer"
            views[circuit.meter] = MeterView(
                reading=self._reading, changed_s=self._changed_s, fault=fault
            )
        return views

    def _sample(self) -> None:
        for evse in self.site.evses():
            taken_s, _ = self._samples.get(evse.id, (float("-inf"), PhaseCurrents.balanced(0)))
            is_mute = evse.station in self.offline or evse.id in self.silent
            if is_mute and evse.id in self._samples:
                continue
            if self.now_s - taken_s >= self.policy.sample_interval_s:
                self._samples[evse.id] = (self.now_s, self.true_a(evse))

    def _station(self, station: StationId) -> StationView:
        evses = {e.id: self._view(e) for e in self.site.stations[station].evses}
        is_connected = station not in self.offline
        return StationView(
            id=station,
            connected=is_connected,
            connected_since_s=self.connected_since_s.get(station, 0.0) if is_connected else None,
            lost_since_s=None if is_connected else self.now_s,
            lease_mode=LeaseMode.LEASED,
            behaviour=self.behaviours.get(station, StationBehaviour()),
            evses=evses,
        )

    def _view(self, evse: Evse) -> EvseView:
        taken_s, current = self._samples[evse.id]
        terminals = tuple(current.of(p) for p in evse.rotation.order)
        return EvseView(
            id=evse.id,
            state=self.states.get(evse.id, EvseState.AVAILABLE),
            transaction=self.charging.get(evse.id),
            sample=Reading(
                value=EvseSample(
                    terminal_a=(terminals[0], terminals[1], terminals[2]), phases_known=True
                ),
                taken_s=taken_s,
            ),
            fallback_a=None if evse.id in self.without_fallback else self._held_fallback_a(evse),
        )


def setpoints_a(decision: Decision) -> dict[str, float]:
    """Setpoints by EVSE."""
    return {e: s.setpoint_a for e, s in decision.plan.evses.items()}


def with_policy(**changes: float) -> Policy:
    """The default policy with some values changed."""
    return replace(Policy(), **changes)  # type: ignore[arg-type]
