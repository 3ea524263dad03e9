"""The physical truth of a simulated site: conductors, breakers, vehicles and the building.

Pure and stepwise: no clock, no IO, the same seed and the same calls give the same site. Stations
set a charger's `limit_a` and `permitted`; everything else follows from `step`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random

from adapters.simulator.breaker import Breaker, Trip
from adapters.simulator.building import Building, BuildingHabits, BuildingStep
from adapters.simulator.charger import Charger
from adapters.simulator.scenario import Scenario
from adapters.simulator.truth import CircuitTruth, EvseTruth, Truth
from adapters.simulator.vehicle import Vehicle
from controller.phases import PHASES, ZERO, Phase, PhaseCurrents
from controller.site import Circuit, CircuitId, EvseId, Site


class Conductor:
    """A circuit as it is: what flows, what it did to the device, what was counted."""

    def __init__(self, circuit: Circuit, building: Building) -> None:
        self.circuit = circuit
        self.breaker = Breaker(limit_a=circuit.limit_a, device=circuit.device)
        self.building = building
        self.steps: list[BuildingStep] = []
        self.building_a = ZERO
        self.current_a = ZERO
        self.over_as = ZERO
        self.peak_ratio = 0.0
        self.peak_heat_ratio = 0.0
        self.import_wh = 0.0
        self.export_wh = 0.0

    def load(self, time_s: float, dt_s: float) -> PhaseCurrents:
        """Advance the building on this circuit and return its current. [A]"""
        current_a = self.building.step(time_s, dt_s)
        for step in self.steps:
            if step.is_on(time_s):
                current_a += PhaseCurrents.on((step.phase,), step.current_a)
        return current_a

    def meter(self, dt_s: float, voltage_v: float) -> None:
        """Count energy and overload for one step."""
        limit_a = self.circuit.limit_a
        over_a = (self.magnitude_a - limit_a).highest(ZERO)
        self.over_as += over_a.scaled(dt_s)
        ratios = [
            self.magnitude_a.of(phase) / limit_a.of(phase)
            for phase in PHASES
            if limit_a.of(phase) > 0
        ]
        self.peak_ratio = max([self.peak_ratio, *ratios])
        self.peak_heat_ratio = max(self.peak_heat_ratio, self.breaker.heat_ratio)
        energy_wh = sum(self.current_a) * voltage_v * dt_s / 3600.0
        self.import_wh += max(0.0, energy_wh)
        self.export_wh += max(0.0, -energy_wh)

    @property
    def magnitude_a(self) -> PhaseCurrents:
        """Current regardless of its direction. [A]"""
        return self.current_a.highest(self.current_a.scaled(-1.0))

    def truth(self) -> CircuitTruth:
        """Return what is true now."""
        return CircuitTruth(
            current_a=self.current_a,
            building_a=self.building_a,
            limit_a=self.circuit.limit_a,
            over_as=self.over_as,
            peak_ratio=self.peak_ratio,
            heat_ratio=self.breaker.heat_ratio,
            peak_heat_ratio=self.peak_heat_ratio,
            tripped=self.breaker.tripped,
            import_wh=self.import_wh,
            export_wh=self.export_wh,
        )


class World:
    """The simulated site."""

    def __init__(self, *, site: Site, scenario: Scenario, seed: int) -> None:
        self.site = site
        self.time_s = 0.0
        self.trips: list[Trip] = []
        evses = tuple(site.evses())
        lot = Random(seed)
        self.chargers: dict[EvseId, Charger] = {
            evse.id: Charger(evse, register_wh=float(lot.randint(0, 5_000_000))) for evse in evses
        }
        self._conductors = _conductors(site, scenario.building, seed)
        self._leaves_first = _leaves_first(site.circuits)
        self._root = min(id_ for id_, c in site.circuits.items() if c.parent is None)
        arrivals = [a for a in scenario.arrivals if a.evse < len(evses)]
        self._plans: list[tuple[float, EvseId, Vehicle | None]] = sorted(
            [
                *((a.at_s, evses[a.evse].id, a.vehicle) for a in arrivals),
                *(
                    (a.leaves_at_s, evses[a.evse].id, None)
                    for a in arrivals
                    if a.leaves_at_s is not None
                ),
            ],
            key=lambda plan: plan[:2],
            reverse=True,
        )
        for step in scenario.steps:
            self.building_step(step)
        self._settle()

    def building_step(self, step: BuildingStep) -> None:
        """Add a load of the building; its times are simulated time. [s]"""
        self._conductors[step.circuit or self._root].steps.append(step)

    def plug_in(self, evse: EvseId, vehicle: Vehicle) -> None:
        """Plug a vehicle in now."""
        self.chargers[evse].plug_in(vehicle)

    def unplug(self, evse: EvseId) -> None:
        """Take a vehicle away now."""
        self.chargers[evse].unplug()

    def reset_breaker(self, circuit: CircuitId) -> None:
        """Close a device that has tripped."""
        self._conductors[circuit].breaker.reset()

    def step(self, dt_s: float) -> None:
        """Advance the site. Steps of 1 s or less keep breakers and vehicles exact. [s]"""
        self.time_s += dt_s
        while self._plans and self._plans[-1][0] <= self.time_s:
            _, evse, vehicle = self._plans.pop()
            if vehicle is None:
                self.unplug(evse)
            else:
                self.plug_in(evse, vehicle)
        dead = self._dead()
        voltage_v = self.site.voltage_v
        for charger in self.chargers.values():
            charger.powered = charger.evse.circuit not in dead
            charger.step(dt_s, voltage_v)
        self._flow(dt_s, dead)
        for id_, conductor in self._conductors.items():
            phase = conductor.breaker.step(conductor.current_a, dt_s)
            conductor.meter(dt_s, voltage_v)
            if phase is not None:
                self._record_trip(id_, phase)

    def conductor(self, circuit: CircuitId) -> Conductor:
        """Return a circuit as it is."""
        return self._conductors[circuit]

    def truth(self) -> Truth:
        """Return what is true now."""
        return Truth(
            time_s=self.time_s,
            circuits={id_: c.truth() for id_, c in self._conductors.items()},
            evses={id_: _evse_truth(c) for id_, c in self.chargers.items()},
            trips=tuple(self.trips),
        )

    def _record_trip(self, circuit: CircuitId, phase: Phase) -> None:
        current_a = self._conductors[circuit].current_a.of(phase)
        trip = Trip(circuit=circuit, phase=phase, time_s=self.time_s, current_a=current_a)
        self.trips.append(trip)

    def _dead(self) -> set[CircuitId]:
        """Return the circuits without supply: behind a device that has tripped."""
        if not self.trips:
            return set()
        return {
            id_
            for id_ in self._conductors
            if any(self._conductors[up].breaker.tripped for up in self.site.path_to_root(id_))
        }

    def _flow(self, dt_s: float, dead: set[CircuitId]) -> None:
        for id_, conductor in self._conductors.items():
            load_a = conductor.load(self.time_s, dt_s)
            conductor.building_a = ZERO if id_ in dead else load_a
            conductor.current_a = conductor.building_a
        for charger in self.chargers.values():
            if charger.power_w > 0.0:
                self._conductors[charger.evse.circuit].current_a += charger.grid_a
        for id_ in self._leaves_first:
            conductor = self._conductors[id_]
            parent = conductor.circuit.parent
            if parent is not None:
                self._conductors[parent].current_a += conductor.current_a
                self._conductors[parent].building_a += conductor.building_a

    def _settle(self) -> None:
        """Start with devices as warm as the building has kept them."""
        self._flow(0.0, set())
        for conductor in self._conductors.values():
            conductor.breaker.settle(conductor.current_a)


def _conductors(site: Site, habits: BuildingHabits, seed: int) -> dict[CircuitId, Conductor]:
    children = [circuit for circuit in site.circuits.values() if circuit.parent is not None]
    conductors: dict[CircuitId, Conductor] = {}
    for id_, circuit in site.circuits.items():
        # A circuit's peak includes what its metered children carry; the rest is its own.
        own_a = circuit.building_peak_a
        for child in children:
            if child.parent == id_:
                own_a -= child.building_peak_a
        building = Building(
            peak_a=own_a.highest(ZERO), habits=habits, random=Random(f"{seed}/{id_}")
        )
        conductors[id_] = Conductor(circuit, building)
    return conductors


def _leaves_first(circuits: Mapping[CircuitId, Circuit]) -> tuple[CircuitId, ...]:
    """Order circuits so that every one comes before its parent."""

    def depth(id_: CircuitId) -> int:
        parent = circuits[id_].parent
        return 0 if parent is None else 1 + depth(parent)

    ids: Iterable[CircuitId] = sorted(circuits)
    return tuple(sorted(ids, key=depth, reverse=True))


def _evse_truth(charger: Charger) -> EvseTruth:
    plugged = charger.plugged
    return EvseTruth(
        state=charger.state,
        grid_a=charger.grid_a,
        limit_a=charger.limit_a,
        pilot_a=charger.pwm_a,
        power_w=charger.power_w,
        energy_wh=charger.energy_wh,
        vehicle=plugged.vehicle.name if plugged else None,
        soc_ratio=plugged.soc_ratio if plugged else None,
    )
