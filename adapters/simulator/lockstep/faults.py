"""Breaks things and mends them, as the script says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from adapters.simulator.lockstep.agenda import Agenda
from adapters.simulator.lockstep.host import Host
from adapters.simulator.lockstep.lines import REACTION_S, Line
from adapters.simulator.lockstep.meter import MeterFault, SimMeter
from adapters.simulator.lockstep.scenario import Fault, FaultKind
from adapters.simulator.lockstep.station import SimStation
from controller.decide import Allocate
from controller.operator import Overrides
from controller.phases import PHASES
from controller.policy import Policy
from controller.site import CircuitId, EvseId, MeterId, StationId
from optimizer.problem import Allocation, Problem

FOUND_DEAD_S = 20.0
"""A half-open connection is found dead after two pings. [s]"""


class Solver:
    """The optimizer, until it is broken."""

    def __init__(self, allocate: Allocate) -> None:
        """Start sound."""
        self.is_broken = False
        self._allocate = allocate

    def __call__(self, problem: Problem, *, deadline_s: float) -> Allocation:
        """Answer, or fail as a defect would. Virtual time has no deadline: the answer never depends on the machine."""
        if self.is_broken:
            raise RuntimeError("a defect in the optimizer")
        return self._allocate(problem, deadline_s=60.0)


class Saboteur:
    """Carries out faults."""

    def __init__(
        self,
        *,
        agenda: Agenda,
        host: Host,
        solver: Solver,
        policy: Policy,
        lines: Mapping[CircuitId, Line],
        meters: Mapping[MeterId, SimMeter],
        stations: Mapping[StationId, SimStation],
        redial: Callable[[SimStation, float], None],
        load: Callable[[CircuitId, int, float], None],
    ) -> None:
        """Know the site.

        Args:
            agenda: Virtual time.
            host: The controller's process.
            solver: Its optimizer.
            policy: Thresholds, for what an overload may last.
            lines: Circuits as they are.
            meters: By id.
            stations: By id.
            redial: Lets a station connect again after some seconds.
            load: Adds a load of the building to a circuit's phase. [A]
        """
        self._agenda = agenda
        self._host = host
        self._solver = solver
        self._policy = policy
        self._lines = lines
        self._meters = meters
        self._stations = stations
        self._redial = redial
        self._load = load
        self._excused: list[tuple[float, float]] = []
        self._begin: Mapping[FaultKind, Callable[[Fault], None]] = self._beginnings()
        self._end: Mapping[FaultKind, Callable[[Fault], None]] = self._endings()

    def plan(self, fault: Fault) -> None:
        """Enter a fault into the agenda."""
        self._agenda.at(fault.at_s, lambda: self._break(fault))
        end = self._end.get(fault.kind)
        if end is not None:
            self._agenda.at(fault.ends_s, lambda: end(fault))

    def _break(self, fault: Fault) -> None:
        self._excuse(fault)
        self._begin[fault.kind](fault)

    # --- how long an overload that others cause may last ------------------------------------------

    def _excuse(self, fault: Fault) -> None:
        """Allow for the time that the product needs to notice, as `docs/safety.md` states it."""
        policy = self._policy
        lease_s = policy.lease_s + 5.0
        longer_s = {
            FaultKind.METER_SILENT: policy.meter_blind_s + 2.0,
            FaultKind.METER_BAD_DATA: policy.meter_blind_s + 2.0,
            FaultKind.METER_SLOW: policy.meter_blind_s + 2.0,
            FaultKind.METER_FROZEN: policy.meter_frozen_s + 2.0,
            FaultKind.STATION_REFUSES: 2 * policy.command_timeout_s,
            FaultKind.STATION_LOSES_ANSWERS: 2 * policy.command_timeout_s,
            FaultKind.STATION_DISOBEYS: self._silence_s(fault),
            FaultKind.STATION_SILENT: 5.0,
            FaultKind.CONTACTOR_WELDED: self._silence_s(fault),
            FaultKind.BUILDING_STEP: 0.0,
            FaultKind.OPERATOR_LIMIT: 0.0,
            FaultKind.CLOCK_JUMPS: 0.0,
            FaultKind.STORE_READ_ONLY: 0.0,
        }.get(fault.kind, lease_s)
        for line in self._lines.values():
            line.reaction_s = max(line.reaction_s, REACTION_S + longer_s)
        until_s = fault.ends_s + longer_s + 2 * REACTION_S
        self._agenda.at(until_s, self._forgive)
        self._excused.append((until_s, longer_s))

    def _silence_s(self, fault: Fault) -> float:
        """Return how long a station may say nothing about what it draws. [s]"""
        if fault.kind not in (FaultKind.STATION_DISOBEYS, FaultKind.CONTACTOR_WELDED):
            return 0.0
        sample_s = self._station(fault).quirks.sample_s
        return (sample_s if sample_s is not None else fault.for_s) + 5.0

    def _forgive(self) -> None:
        now_s = self._agenda.now_s
        self._excused = [e for e in self._excused if e[0] > now_s]
        longest_s = max((longer_s for _, longer_s in self._excused), default=0.0)
        for line in self._lines.values():
            line.reaction_s = REACTION_S + longest_s

    # --- breaking and mending -----------------------------------------------------------------------

    def _beginnings(self) -> Mapping[FaultKind, Callable[[Fault], None]]:
        return {
            FaultKind.METER_SILENT: lambda f: self._meter(f).fail(MeterFault.SILENT),
            FaultKind.METER_BAD_DATA: lambda f: self._meter(f).fail(MeterFault.NONSENSE),
            FaultKind.METER_FROZEN: lambda f: self._meter(f).fail(MeterFault.FROZEN),
            FaultKind.METER_SLOW: lambda f: self._meter(f).fail(MeterFault.SLOW),
            FaultKind.STATION_OFFLINE: lambda f: self._station(f).disconnect(),
            FaultKind.STATION_HALF_OPEN: self._half_open,
            FaultKind.STATION_POWER_CUT: self._cut_power,
            FaultKind.STATION_REBOOTS: self._reboot_station,
            FaultKind.STATION_REFUSES: lambda f: self._change(f, refuses_ratio=1.0),
            FaultKind.STATION_LOSES_ANSWERS: lambda f: self._change(f, loses_ratio=0.6),
            FaultKind.STATION_DISOBEYS: lambda f: self._disobey(f, is_on=True),
            FaultKind.STATION_SILENT: lambda f: self._change(f, is_mute_meter=True),
            FaultKind.CONTACTOR_WELDED: lambda f: self._weld(f, 10.0),
            FaultKind.NETWORK_PARTITION: self._partition,
            FaultKind.CONTROLLER_KILLED: lambda f: self._host.kill(),
            FaultKind.CONTROLLER_KILLED_WHILE_RAISING: self._kill_while_raising,
            FaultKind.MACHINE_REBOOTS: lambda f: self._host.kill(reboots=True),
            FaultKind.CLOCK_JUMPS: lambda f: self._jump(f.value),
            FaultKind.STORE_READ_ONLY: lambda f: self._store(is_writable=False),
            FaultKind.STORE_LOST: self._lose_store,
            FaultKind.SOLVER_FAILS: lambda f: self._break_solver(is_broken=True),
            FaultKind.OPERATOR_LIMIT: lambda f: self._limit(f, f.value),
            FaultKind.BUILDING_STEP: lambda f: self._step(f, f.value),
        }

    def _endings(self) -> Mapping[FaultKind, Callable[[Fault], None]]:
        mend_meter: Callable[[Fault], None] = lambda f: self._meter(f).fail(MeterFault.NONE)  # noqa: E731
        reconnect: Callable[[Fault], None] = lambda f: self._redial(self._station(f), 0.0)  # noqa: E731
        start: Callable[[Fault], None] = lambda f: self._host.start()  # noqa: E731
        return {
            FaultKind.METER_SILENT: mend_meter,
            FaultKind.METER_BAD_DATA: mend_meter,
            FaultKind.METER_FROZEN: mend_meter,
            FaultKind.METER_SLOW: mend_meter,
            FaultKind.STATION_OFFLINE: reconnect,
            FaultKind.STATION_HALF_OPEN: self._mend_half_open,
            FaultKind.STATION_POWER_CUT: self._restore_power,
            FaultKind.STATION_REFUSES: lambda f: self._change(f, refuses_ratio=0.0),
            FaultKind.STATION_LOSES_ANSWERS: lambda f: self._change(f, loses_ratio=0.0),
            FaultKind.STATION_DISOBEYS: lambda f: self._disobey(f, is_on=False),
            FaultKind.STATION_SILENT: self._unmute,
            FaultKind.CONTACTOR_WELDED: lambda f: self._weld(f, 0.0),
            FaultKind.NETWORK_PARTITION: self._mend_network,
            FaultKind.CONTROLLER_KILLED: start,
            FaultKind.CONTROLLER_KILLED_WHILE_RAISING: self._start_if_dead,
            FaultKind.MACHINE_REBOOTS: start,
            FaultKind.CLOCK_JUMPS: lambda f: self._jump(-f.value),
            FaultKind.STORE_READ_ONLY: lambda f: self._store(is_writable=True),
            FaultKind.STORE_LOST: start,
            FaultKind.SOLVER_FAILS: lambda f: self._break_solver(is_broken=False),
            FaultKind.OPERATOR_LIMIT: lambda f: self._limit(f, None),
            FaultKind.BUILDING_STEP: lambda f: self._step(f, -f.value),
        }

    def _meter(self, fault: Fault) -> SimMeter:
        return self._meters[MeterId(fault.target)]

    def _station(self, fault: Fault) -> SimStation:
        return self._stations[StationId(fault.target.partition("/")[0])]

    def _half_open(self, fault: Fault) -> None:
        station = self._station(fault)
        station.catch_up()
        station.mute = True
        session = station.session
        self._agenda.after(
            FOUND_DEAD_S,
            lambda: self._find_dead(station) if station.session == session else None,
        )

    def _find_dead(self, station: SimStation) -> None:
        if station.mute:
            station.disconnect(is_noticed=False)
            station.notice_loss()

    def _mend_half_open(self, fault: Fault) -> None:
        station = self._station(fault)
        station.mute = False
        if station.connected:
            station.resume()
        self._redial(station, 0.0)

    def _cut_power(self, fault: Fault) -> None:
        station = self._station(fault)
        station.power(False)
        self._agenda.after(FOUND_DEAD_S, station.notice_loss)

    def _restore_power(self, fault: Fault) -> None:
        station = self._station(fault)
        station.power(True)
        self._redial(station, 20.0)

    def _reboot_station(self, fault: Fault) -> None:
        station = self._station(fault)
        station.power(False)
        self._agenda.after(1.0, station.notice_loss)
        self._agenda.after(25.0, lambda: station.power(True))
        self._redial(station, 30.0)

    def _change(self, fault: Fault, **changes: object) -> None:
        station = self._station(fault)
        station.catch_up()
        station.quirks = replace(station.quirks, **changes)  # type: ignore[arg-type]

    def _disobey(self, fault: Fault, *, is_on: bool) -> None:
        for outlet in self._station(fault).outlets.values():
            bay = outlet.bay
            bay.disobey(min(bay.evse.max_a, 20.0) if is_on else None)

    def _unmute(self, fault: Fault) -> None:
        self._change(fault, is_mute_meter=False)
        self._station(fault).sample_anew()

    def _weld(self, fault: Fault, leak_a: float) -> None:
        station = self._station(fault)
        outlet = station.outlets[EvseId(fault.target)]
        outlet.bay.leak(leak_a)
        station.report_fault(EvseId(fault.target))

    def _partition(self, fault: Fault) -> None:
        for station in self._stations.values():
            station.disconnect(is_noticed=False)
            self._agenda.after(FOUND_DEAD_S, station.notice_loss)

    def _mend_network(self, fault: Fault) -> None:
        for count, station in enumerate(self._stations.values()):
            self._redial(station, count / 5.0)

    def _kill_while_raising(self, fault: Fault) -> None:
        self._host.dies_after = int(fault.value)

    def _start_if_dead(self, fault: Fault) -> None:
        self._host.dies_after = None
        self._host.start()

    def _jump(self, seconds_s: float) -> None:
        self._host.clock.wall_ahead_s += seconds_s
        self._host.touch()

    def _store(self, *, is_writable: bool) -> None:
        self._host.disk.is_writable = is_writable

    def _lose_store(self, fault: Fault) -> None:
        self._host.kill()
        self._host.disk.is_mangled = True
        self._host.disk.lost_s = self._agenda.now_s
        self._host.disk.transactions.clear()
        self._host.disk.alarms.clear()

    def _break_solver(self, *, is_broken: bool) -> None:
        self._solver.is_broken = is_broken
        self._host.touch()

    def _limit(self, fault: Fault, share: float | None) -> None:
        circuit = CircuitId(fault.target)
        limits = dict(self._host.disk.overrides.circuit_limit_a)
        limits.pop(circuit, None)
        if share is not None:
            limits[circuit] = self._lines[circuit].circuit.limit_a.scaled(share)
        self._host.operate(Overrides(circuit_limit_a=limits))

    def _step(self, fault: Fault, current_a: float) -> None:
        circuit, _, phase = fault.target.partition(" ")
        indices = [i for i, p in enumerate(PHASES) if phase in ("", p.value)]
        for index in indices:
            self._load(CircuitId(circuit), index, current_a)
