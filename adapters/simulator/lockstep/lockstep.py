"""A whole site in virtual time: the plant, its stations and meters, and the real controller."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from adapters.simulator.lockstep.agenda import Agenda
from adapters.simulator.lockstep.bay import Bay
from adapters.simulator.lockstep.checks import Inspector
from adapters.simulator.lockstep.faults import Saboteur, Solver
from adapters.simulator.lockstep.host import Host
from adapters.simulator.lockstep.lines import Line, Triple
from adapters.simulator.lockstep.meter import SimMeter
from adapters.simulator.lockstep.scenario import Day, FaultKind, LoadChange, Visit
from adapters.simulator.lockstep.station import Quirks, SimStation
from controller.decide import Allocate
from controller.site import CircuitId, MeterId, Site, StationId
from optimizer.allocate import Allocator


@dataclass(slots=True)
class Stay:
    """What became of a visit."""

    visit: Visit
    energy_wh: float = 0.0
    waited_s: float = 0.0
    is_over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What flowed in a circuit at a moment, per phase. [A]"""

    at_s: float
    current_a: Triple
    building_a: Triple


class Lockstep:
    """Runs one day. The same day gives the same second, whatever the machine."""

    def __init__(
        self,
        day: Day,
        *,
        skips: bool = True,
        allocate: Allocate | None = None,
        trace_s: float | None = None,
    ) -> None:
        """Build the site and enter everything that will happen.

        Args:
            day: What is built and what happens.
            skips: Leave out decisions that cannot differ from the one before.
            allocate: The optimizer, if not the product's.
            trace_s: Keep the currents of all circuits so often, for plots; None: keep none. [s]
        """
        self.day = day
        self.agenda = Agenda()
        self.lines = _lines(day.site)
        self.meters = self._meters()
        self.stations = self._stations()
        self.stays: list[Stay] = []
        self.solver = Solver(allocate if allocate is not None else Allocator().allocate)
        self.inspector = Inspector(
            site=day.site,
            policy=day.policy,
            agenda=self.agenda,
            lines=self.lines,
            stations=self.stations,
            meters=self.meters,
            faults=day.faults,
        )
        self.host = Host(
            site=day.site,
            policy=day.policy,
            agenda=self.agenda,
            stations=self.stations,
            meters=self.meters.values(),
            allocate=self.solver,
            watch=self.inspector,
            skips=skips,
        )
        self.inspector.host = self.host
        self.host.on_start = self._call_all
        self._loads: dict[CircuitId, list[float]] = {c: [0.0] * 3 for c in self.lines}
        self.trace: dict[CircuitId, list[Moment]] = {c: [] for c in self.lines}
        self._trace_s = trace_s
        self._redial_lot = Random(f"{day.seed}/redial")
        self._plan()

    # --- building -----------------------------------------------------------------------------------

    def _meters(self) -> dict[MeterId, SimMeter]:
        meters: dict[MeterId, SimMeter] = {}
        for count, circuit in enumerate(self.day.site.circuits.values()):
            if circuit.meter is not None:
                offset_s = round(0.11 + 0.13 * (count % 6), 3)
                meters[circuit.meter] = SimMeter(
                    circuit.meter, self.lines[circuit.id], agenda=self.agenda, offset_s=offset_s
                )
        return meters

    def _stations(self) -> dict[StationId, SimStation]:
        site, found = self.day.site, {}
        at_line = {
            line: [
                self.meters[m]
                for c in site.path_to_root(line)
                if (m := site.circuits[c].meter) is not None
            ]
            for line in site.circuits
        }
        for station in site.stations.values():
            bays = []
            for evse in station.evses:
                bay = Bay(
                    evse, self.lines[evse.circuit], agenda=self.agenda, voltage_v=site.voltage_v
                )
                watching = at_line[evse.circuit]
                bay.on_flow = lambda w=watching: [m.notice() for m in w]  # type: ignore[misc]
                bays.append(bay)
            found[station.id] = SimStation(
                station,
                bays,
                quirks=self.day.quirks.get(station.id, Quirks()),
                agenda=self.agenda,
                lot=Random(f"{self.day.seed}/{station.id}"),
                wall=lambda: self.host.clock.now(),
            )
        return found

    def _plan(self) -> None:
        day, agenda = self.day, self.agenda
        saboteur = Saboteur(
            agenda=agenda,
            host=self.host,
            solver=self.solver,
            policy=day.policy,
            lines=self.lines,
            meters=self.meters,
            stations=self.stations,
            redial=self.redial,
            load=self._add_load,
        )
        for load in day.loads:
            if load.at_s <= 0.0:
                self._set_load(load)
            else:
                agenda.at(load.at_s, lambda x=load: self._set_load(x))  # type: ignore[misc]
        for line in self.lines.values():
            for pole in line.poles:
                pole.settle()
        agenda.at(0.0, self.host.start)
        lot = Random(f"{day.seed}/start")
        for station in self.stations.values():
            self.redial(station, lot.uniform(0.5, 8.0))
        for visit in day.visits:
            agenda.at(visit.at_s, lambda v=visit: self._arrive(v))  # type: ignore[misc]
        for fault in day.faults:
            saboteur.plan(fault)
        if self._trace_s is not None:
            agenda.at(0.0, self._take_trace)
        self.inspector.solver_may_fail = any(f.kind is FaultKind.SOLVER_FAILS for f in day.faults)

    # --- what happens -------------------------------------------------------------------------------

    def run(self, until_s: float | None = None) -> None:
        """Let time pass; a device that opens ends the day. [s]"""
        end_s = self.day.duration_s if until_s is None else until_s
        agenda, host = self.agenda, self.host
        while True:
            event_s, cycle_s = agenda.next_s, host.next_cycle_s
            if min(event_s, cycle_s) > end_s:
                break
            if event_s <= cycle_s:
                agenda.step()
            else:
                agenda.now_s = cycle_s
                host.cycle()
        agenda.now_s = end_s
        self._close()

    def _take_trace(self) -> None:
        for id_, line in self.lines.items():
            one, two, three = line.building_a
            self.trace[id_].append(
                Moment(
                    at_s=self.agenda.now_s,
                    current_a=line.current_a,
                    building_a=(one, two, three),
                )
            )
        if self._trace_s is not None:
            self.agenda.after(self._trace_s, self._take_trace)

    def _close(self) -> None:
        for line in self.lines.values():
            for index in range(3):
                line.close(index, self.agenda.now_s)
        for stay in self.stays:
            if not stay.is_over:
                self._count(stay)
        for line in self.lines.values():
            for excess in line.excesses:
                text = (
                    f"{excess.excess_a:.1f} A over {excess.phase.value} for {excess.lasted_s:.1f} s"
                )
                self.inspector.blame(
                    "OWN_OVERLOAD", line.circuit.id, f"{text} from {excess.at_s:.1f} s"
                )
            if line.tripped is not None:
                trip = line.tripped
                text = f"{trip.phase.value} at {trip.at_s:.0f} s with {trip.current_a:.1f} A"
                self.inspector.blame("TRIP", line.circuit.id, text)

    def _arrive(self, visit: Visit) -> None:
        station = self.stations[StationId(visit.evse.rpartition("/")[0])]
        station.plug_in(visit.evse, visit.vehicle)
        stay = Stay(visit)
        self.stays.append(stay)
        self.agenda.at(visit.leaves_s, lambda: self._leave(stay, station))

    def _leave(self, stay: Stay, station: SimStation) -> None:
        self._count(stay)
        stay.is_over = True
        station.unplug(stay.visit.evse)

    def _count(self, stay: Stay) -> None:
        station = self.stations[StationId(stay.visit.evse.rpartition("/")[0])]
        bay = station.outlets[stay.visit.evse].bay
        bay.count_energy()
        if bay.car is not None and bay.car.vehicle is stay.visit.vehicle:
            stay.energy_wh = bay.car.energy_wh
            stay.waited_s = bay.car.waited_s

    def _set_load(self, load: LoadChange) -> None:
        before = self._loads[load.circuit]
        for index, current_a in enumerate(load.current):
            self._add_load(load.circuit, index, current_a - before[index])
            before[index] = current_a

    def _add_load(self, circuit: CircuitId, index: int, delta_a: float) -> None:
        if delta_a == 0.0:
            return
        now_s = self.agenda.now_s
        for line in self.lines[circuit].path:
            line.note_building(index, delta_a, now_s)
            line.change(index, delta_a, delta_a, now_s)
            meter = line.circuit.meter
            if meter is not None:
                self.meters[meter].notice()

    # --- connections ----------------------------------------------------------------------------------

    def redial(self, station: SimStation, delay_s: float) -> None:
        """Let a station connect after a while, and again until the controller answers. [s]"""
        station.wants_connection = True
        spread_s = self._redial_lot.uniform(0.0, station.quirks.redials_s)
        self.agenda.after(delay_s + spread_s, lambda: self._dial(station))

    def _dial(self, station: SimStation) -> None:
        if station.wants_connection and self.host.is_alive and not station.mute:
            station.connect(self.host)

    def _call_all(self) -> None:
        """Stations that have lost the controller dial again, each in its own time."""
        for station in self.stations.values():
            if not station.connected and station.wants_connection and station.powered:
                self.redial(station, 0.0)


def _lines(site: Site) -> dict[CircuitId, Line]:
    lines: dict[CircuitId, Line] = {}
    for id_ in sorted(site.circuits, key=lambda c: (len(site.path_to_root(c)), c)):
        circuit = site.circuits[id_]
        parent = lines[circuit.parent] if circuit.parent is not None else None
        lines[id_] = Line(circuit, parent)
    return lines
