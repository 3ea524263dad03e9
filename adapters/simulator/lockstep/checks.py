"""The promises, held against the simulated truth at every decision and every change of current."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from adapters.simulator.lockstep.agenda import Agenda
from adapters.simulator.lockstep.host import Host
from adapters.simulator.lockstep.lines import Line
from adapters.simulator.lockstep.meter import SimMeter
from adapters.simulator.lockstep.scenario import Fault, FaultKind
from adapters.simulator.lockstep.station import HIDES_S, Outlet, SimStation
from controller.commands import SetLimit
from controller.decide import Decision
from controller.decision import Alarm
from controller.phases import PHASES
from controller.policy import Policy
from controller.site import CircuitId, Evse, EvseId, MeterId, Site, StationId
from controller.snapshot import Snapshot
from controller.walltime import TOLD_AFTER_S

TOLERANCE_A = 0.6
"""The controller counts a measured excess from this on. [A]"""
LEARN_S = 20.0
"""So long after its start, or after a vehicle's, the controller need not know everything. [s]"""
FLAP_S = 60.0
RAMPING_S = 120.0
KEPT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A promise that was broken."""

    promise: str
    """TRIP, OWN_OVERLOAD, LEDGER, UNPAID_RAISE, NO_FALLBACK, BLIND_RAISE, RECOVERY_JUMP, ALARM_FLAPS,
    FALSE_ALARM, FALSE_STOP or CYCLE_FAILED."""
    subject: str
    at_s: float
    text: str


@dataclass(slots=True)
class MeterTruth:
    """What the truth knows about a meter's outages."""

    was_lost: bool = False
    good_again_s: float = float("-inf")
    frozen_s: float = float("-inf")
    """Until when it was frozen. Too short to be told from a load that stands still, that is no outage."""


@dataclass(slots=True)
class Inspector:
    """Implements `Watch`: looks at each decision with the eyes of the plant."""

    site: Site
    policy: Policy
    agenda: Agenda
    lines: Mapping[CircuitId, Line]
    stations: Mapping[StationId, SimStation]
    meters: Mapping[MeterId, SimMeter]
    faults: tuple[Fault, ...] = ()
    """What breaks on this day: a new cause may begin an alarm anew at once."""
    violations: list[Violation] = field(default_factory=list)
    alarms: list[tuple[float, Alarm]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    solver_may_fail: bool = False
    host: Host | None = None
    commands: list[tuple[float, SetLimit, str]] = field(default_factory=list)
    keeps_commands: bool = False
    _truths: dict[MeterId, MeterTruth] = field(default_factory=dict)
    _ended: dict[tuple[str, str], float] = field(default_factory=dict)
    _decided_s: tuple[float, float] = (-inf, -inf)
    """When the last decision but one was taken, and the last. [s]"""
    _known_s: dict[tuple[str, str], float] = field(default_factory=dict)
    """The last decision before each end: what broke after it is not what the alarm told of. [s]"""
    _over: dict[EvseId, float] = field(default_factory=dict)
    _astray: dict[EvseId, float] = field(default_factory=dict)
    """When each was last seen to draw what nobody granted."""

    def blame(self, promise: str, subject: str, text: str) -> None:
        """Note a broken promise."""
        self.counts[promise] += 1
        if len(self.violations) < KEPT:
            self.violations.append(
                Violation(promise=promise, subject=subject, at_s=self.agenda.now_s, text=text)
            )

    # --- Watch --------------------------------------------------------------------------------------

    def decided(self, snapshot: Snapshot, decision: Decision) -> None:
        """Check a decision before its commands go out."""
        self._decided_s = (self._decided_s[1], self.agenda.now_s)
        self._follow_meters()
        self._check_ledger(snapshot, decision)
        wave = decision.wave
        if self.keeps_commands:
            for kind, commands in (
                ("down", wave.decreases), ("renew", wave.renewals), ("up", wave.increases)
            ):  # fmt: skip
                self.commands.extend((self.agenda.now_s, c, kind) for c in commands)
        if wave.increases:
            self._check_raises(snapshot, decision)
        for stop in wave.stops:
            self._check_stop(stop.evse)

    def alarmed(self, alarms: tuple[Alarm, ...]) -> None:
        """Check that an alarm does not flap, and that none tells of a contactor that is well."""
        now_s = self.agenda.now_s
        for alarm in alarms:
            self.alarms.append((now_s, alarm))
            key = (alarm.condition.code, alarm.condition.subject)
            if alarm.end is not None:
                self._ended[key], self._known_s[key] = now_s, self._decided_s[0]
                continue
            if key[0] in _TELL_OF_A_CONTACTOR and not self._has_leaked(key[1]):
                self.blame("FALSE_ALARM", key[1], alarm.condition.text)
            if now_s - self._ended.get(key, -FLAP_S) < FLAP_S and key[0] not in _MAY_REPEAT:
                if self._has_new_cause(key[1], self._known_s[key]) or self._has_stepped_anew(key):
                    continue
                self.blame("ALARM_FLAPS", key[1], f"{key[0]} began again")

    def _check_stop(self, evse: EvseId) -> None:
        """Check that no session ends whose station keeps to its limits, and none while nothing is over."""
        obeyed_s = self.agenda.now_s - self._astray.get(evse, -inf)
        bay = self.stations[self._evse(evse).station].outlets[evse].bay
        if bay.disobeys_a is None and not bay.leak_a and obeyed_s > LEARN_S:
            self.blame("FALSE_STOP", evse, "its station keeps to its limits")
        lines = [self.lines[c] for c in self.site.path_to_root(self._evse(evse).circuit)]
        over_s = max(line.poles[index].over_until_s for line in lines for index in bay.phases)
        if self.agenda.now_s - max(over_s, self._over_now_s(lines)) > LEARN_S:
            self.blame("FALSE_STOP", evse, "no circuit carried too much")

    def _over_now_s(self, lines: Sequence[Line]) -> float:
        """Return now when one of the circuits carries too much at this moment, else never. [s]"""
        is_over = any(abs(p.current_a) > p.limit_a for line in lines for p in line.poles)
        return self.agenda.now_s if is_over else -inf

    def _has_leaked(self, subject: str) -> bool:
        """Tell whether a contactor was welded a moment ago."""
        return any(
            f.kind is FaultKind.CONTACTOR_WELDED
            and f.target == subject
            and f.at_s <= self.agenda.now_s <= f.ends_s + LEARN_S
            for f in self.faults
        )

    def _has_new_cause(self, subject: str, since_s: float) -> bool:
        """Tell whether something broke or was mended since, at a subject or everywhere."""
        return any(
            (not f.target or _touches(f.target, subject))
            and any(since_s < at_s <= self.agenda.now_s for at_s in (f.at_s, f.ends_s))
            for f in self.faults
        )

    def _has_stepped_anew(self, key: tuple[str, str]) -> bool:
        """Tell whether a clock stepped once more, there or back, in the time after which that is told."""
        since_s = self._ended[key] - TOLD_AFTER_S - self.policy.interval_s
        return key[0] == "CLOCK_STEPPED" and any(
            since_s < at_s <= self.agenda.now_s
            for f in self.faults
            if f.kind is FaultKind.CLOCK_JUMPS
            for at_s in (f.at_s, f.ends_s)
        )

    def failed(self, error: Exception) -> None:
        """Check that only a broken optimizer makes a cycle fail."""
        if not self.solver_may_fail:
            self.blame("CYCLE_FAILED", "site", repr(error))

    # --- I1, I3: nobody may draw more than is counted -----------------------------------------------

    def _check_ledger(self, snapshot: Snapshot, decision: Decision) -> None:
        now_s = self.agenda.now_s
        if self.host is None or now_s - self.host.started_s < LEARN_S:
            return
        if now_s - self.host.disk.lost_s < self.policy.lease_s + 2 * LEARN_S:
            return  # nobody can know what an earlier life granted; its leases end by themselves
        for station in self.stations.values():
            for evse, outlet in station.outlets.items():
                counted_a, bay = decision.committed_a[evse], outlet.bay
                if bay.current_a <= counted_a and bay.limit_a <= counted_a:
                    if evse in self._over:
                        del self._over[evse]
                    continue
                known = snapshot.stations[station.id].evses[evse].transaction
                excess_a = self._uncounted_a(station, outlet, known is not None, counted_a)
                if excess_a is None:
                    self._over.pop(evse, None)
                    continue
                patience_s = self._patience_s(station, outlet)
                if patience_s == inf:
                    self._over[evse] = now_s  # from the end of its silence on
                    continue
                since_s = max(self._over.setdefault(evse, now_s), station.linked_s)
                if now_s - since_s >= patience_s and excess_a > 0:
                    self._over[evse] = now_s + 3600.0
                    self.blame("LEDGER", evse, f"{excess_a:.1f} A more than is counted")

    def _uncounted_a(
        self, station: SimStation, outlet: Outlet, is_known: bool, committed_a: float
    ) -> float | None:
        bay = outlet.bay
        may_a = bay.current_a
        is_obedient = bay.disobeys_a is None and not bay.leak_a
        if is_obedient and is_known and bay.permitted and not station.quirks.lifts_to_a:
            may_a = max(may_a, min(bay.limit_a, bay.evse.max_a))
        excess_a = may_a - committed_a - TOLERANCE_A
        return excess_a if excess_a > 0 else None

    def _patience_s(self, station: SimStation, outlet: Outlet) -> float:
        """Return how long the controller may count too little: it learns from samples and states. [s]"""
        bay = outlet.bay
        if bay.disobeys_a is not None or bay.leak_a:
            self._astray[bay.evse.id] = self.agenda.now_s
            sample_s = station.quirks.sample_s
            is_dumb = sample_s is None or station.quirks.is_mute_meter or not station.connected
            return inf if is_dumb or sample_s is None else sample_s + LEARN_S
        if bay.car is not None and self.agenda.now_s - bay.car.plugged_s < LEARN_S:
            return LEARN_S
        if self.agenda.now_s - self._astray.get(bay.evse.id, -inf) < LEARN_S:
            return inf  # a moment ago it disobeyed; its current has still to fall
        return 0.0

    # --- I2: raises are paid for, and nothing rises in the dark ---------------------------------------

    def _check_raises(self, snapshot: Snapshot, decision: Decision) -> None:
        potential = self._potentials(decision)
        touched = set()
        for command in decision.wave.increases:
            evse = self._evse(command.evse)
            outlet = self.stations[evse.station].outlets[evse.id]
            if outlet.default_a is None and outlet.transaction is not None:
                self.blame("NO_FALLBACK", command.evse, "nothing lies beneath its lease")
            for circuit in self.site.path_to_root(evse.circuit):
                touched.add(circuit)
                self._check_sight(command, circuit, decision)
        for circuit in touched:
            self._check_paid(circuit, potential)

    def _potentials(self, decision: Decision) -> dict[EvseId, tuple[float, tuple[int, ...]]]:
        """Return what each EVSE may draw once the raises have arrived, and on which phases. [A]"""
        raised = {c.evse: c.limit_a for c in decision.wave.increases}
        lowered = {c.evse for c in (*decision.wave.decreases, *decision.wave.renewals)}
        found = {}
        for station in self.stations.values():
            for evse, outlet in station.outlets.items():
                bay = outlet.bay
                may_a = bay.current_a
                if outlet.transaction is not None and evse not in lowered:
                    vehicle_a = bay.car.vehicle.max_a if bay.car is not None else bay.evse.max_a
                    may_a = max(may_a, min(bay.limit_a, vehicle_a))
                if evse in raised and bay.car is not None:
                    may_a = max(may_a, min(raised[evse], bay.car.vehicle.max_a))
                found[evse] = (may_a, bay.phases)
        return found

    def _check_paid(
        self, circuit: CircuitId, potential: Mapping[EvseId, tuple[float, tuple[int, ...]]]
    ) -> None:
        line = self.lines[circuit]
        if self.host is None or self.agenda.now_s - self.host.started_s < LEARN_S:
            return
        if line.reaction_s > _CALM_S:
            return  # something is broken that the controller may not have noticed yet
        for index, phase in enumerate(PHASES):
            total_a = sum(
                may_a
                for evse, (may_a, phases) in potential.items()
                if index in phases and circuit in self.site.path_to_root(self._evse(evse).circuit)
            )
            building_a = self._settled_building_a(line, index)
            limit_a = line.poles[index].limit_a
            if total_a + building_a > limit_a + 1.0:
                excess_a = total_a + building_a - limit_a
                if excess_a <= self._hideable_a(circuit, index) + 1.0:
                    continue
                self.blame("UNPAID_RAISE", f"{circuit} {phase.value}", f"by {excess_a:.1f} A")

    def _hideable_a(self, circuit: CircuitId, index: int) -> float:
        """Return how far the building may have risen unseen behind vehicles with a new limit. [A].

        Until a vehicle has settled and its station has sampled it, the meter cannot tell what it does
        not take from what the building takes more.
        """
        total_a = 0.0
        for station in self.stations.values():
            for evse, outlet in station.outlets.items():
                age_s = self.agenda.now_s - outlet.granted_s
                is_below = circuit in self.site.path_to_root(self._evse(evse).circuit)
                if is_below and index in outlet.bay.phases and age_s < HIDES_S:
                    may_a = max(outlet.bay.limit_a, outlet.before_a)
                    total_a += max(0.0, may_a - outlet.bay.current_a)
        return total_a

    def _settled_building_a(self, line: Line, index: int) -> float:
        """Return the least of what the building has drawn lately: rises are seen late. [A]"""
        return line.lowest_building_a(index, self.agenda.now_s)

    def _check_sight(self, command: SetLimit, circuit: CircuitId, decision: Decision) -> None:
        meter = self.site.circuits[circuit].meter
        if meter is None:
            return
        now_s = self.agenda.now_s
        started_s = self.host.started_s if self.host is not None else 0.0
        age_s = now_s - max(self.meters[meter].good_s, started_s)
        truth = self._truths.setdefault(meter, MeterTruth())
        is_first_ampere = command.limit_a <= self._evse(command.evse).min_a
        is_still = self._stands_still(meter) and is_first_ampere
        if age_s > self._blindness_s(meter) and not is_still:
            self.blame("BLIND_RAISE", command.evse, f"{meter} has given nothing for {age_s:.1f} s")
        if now_s - truth.good_again_s < self.policy.recovery_good_s - 2.0:
            self.blame("RECOVERY_JUMP", command.evse, f"{meter} is back only since a moment")
        if now_s - truth.good_again_s < self.policy.recovery_good_s + RAMPING_S - 10.0:
            evse = self._evse(command.evse)
            outlet = self.stations[evse.station].outlets[evse.id]
            if outlet.transaction is None:
                return  # the vehicle has just left
            most_a = max(evse.min_a, outlet.bay.limit_a + self.policy.recovery_ramp_a)
            if command.limit_a > most_a + 0.15:
                text = f"to {command.limit_a:.1f} A from {outlet.bay.limit_a:.1f} A"
                self.blame("RECOVERY_JUMP", command.evse, text)

    def _blindness_s(self, meter: MeterId) -> float:
        """Return how old the last true sample may be; bit-identical samples show only after a while. [s]"""
        if self._stands_still(meter):
            return self.policy.meter_frozen_s + 1.5
        return self.policy.meter_hold_s + 0.01

    def _stands_still(self, meter: MeterId) -> bool:
        """Tell whether a meter is frozen, or was and has not been read since."""
        truth = self._truths.setdefault(meter, MeterTruth())
        device = self.meters[meter]
        return device.fault.value == "frozen" or truth.frozen_s > device.good_s

    def _follow_meters(self) -> None:
        now_s = self.agenda.now_s
        if self.host is not None and now_s - self.host.started_s < self.policy.meter_blind_s:
            self._truths.clear()  # a dead controller reads nothing; that is no outage
            return
        for meter in self.meters.values():
            truth = self._truths.setdefault(meter.id, MeterTruth())
            if meter.fault.value == "frozen":
                truth.frozen_s = now_s
            age_s = now_s - max(meter.good_s, truth.frozen_s)
            if age_s > self.policy.meter_blind_s + 2.0 and meter.fault.value != "frozen":
                truth.was_lost = meter.good_s > float("-inf")
            elif truth.was_lost and age_s < self.policy.meter_hold_s:
                truth.was_lost, truth.good_again_s = False, meter.good_s

    def _evse(self, evse: EvseId) -> Evse:
        found = self.site.evse(evse)
        if found is None:
            raise KeyError(evse)
        return found


_CALM_S = 17.5


def _touches(target: str, subject: str) -> bool:
    """Tell whether what breaks at a target may be told at a subject; anything may at the site itself."""
    return subject == "site" or subject.startswith(target) or target.startswith(subject)


_MAY_REPEAT = frozenset({"OVERLOAD", "PROTECTION_HOT", "CYCLE_FAILED", "LIMIT_REFUSED", "DISOBEYS"})
"""They follow the building, or end with the transaction they belong to."""

_TELL_OF_A_CONTACTOR = frozenset({"CURRENT_WITHOUT_SESSION", "CONTACTOR_WELDED"})

__all__ = ["Inspector", "Violation"]
