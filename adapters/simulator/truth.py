"""What is physically true on the simulated site at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.simulator.breaker import Trip
from adapters.simulator.charger import ChargerState
from controller.phases import PhaseCurrents
from controller.site import CircuitId, EvseId


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitTruth:
    """The state of a circuit's conductors."""

    current_a: PhaseCurrents
    """Everything on the circuit and below it. [A]"""
    building_a: PhaseCurrents
    """The part of it that is no charger of ours. [A]"""
    limit_a: PhaseCurrents
    over_as: PhaseCurrents
    """Ampere-seconds above the limit since the start. [As]"""
    peak_ratio: float
    """Highest current so far as a share of the limit, worst phase."""
    heat_ratio: float
    """Heat of the protective device now; it trips at 1."""
    peak_heat_ratio: float
    tripped: bool
    import_wh: float
    export_wh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseTruth:
    """The state of an EVSE."""

    state: ChargerState
    grid_a: PhaseCurrents
    """Current on the phases of the grid. [A]"""
    limit_a: float
    """What the station allows, from its profiles; its rating without any. [A]"""
    pilot_a: float
    """What the vehicle is told; 0: no offer. [A]"""
    power_w: float
    energy_wh: float
    """Register. [Wh]"""
    vehicle: str | None
    soc_ratio: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """The state of the site."""

    time_s: float
    """Simulated time since the start. [s]"""
    circuits: Mapping[CircuitId, CircuitTruth]
    evses: Mapping[EvseId, EvseTruth]
    trips: tuple[Trip, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a line of JSON; keys carry their units."""
        return {
            "time_s": round(self.time_s, 3),
            "circuits": {key: _circuit(value) for key, value in self.circuits.items()},
            "evses": {key: _evse(value) for key, value in self.evses.items()},
            "trips": [
                {
                    "circuit": trip.circuit,
                    "phase": trip.phase.value,
                    "time_s": round(trip.time_s, 3),
                    "current_a": round(trip.current_a, 2),
                }
                for trip in self.trips
            ],
        }


def _phases(current_a: PhaseCurrents) -> list[float]:
    return [round(value, 3) for value in current_a]


def _circuit(truth: CircuitTruth) -> dict[str, Any]:
    return {
        "current_a": _phases(truth.current_a),
        "building_a": _phases(truth.building_a),
        "limit_a": _phases(truth.limit_a),
        "over_as": _phases(truth.over_as),
        "peak_ratio": round(truth.peak_ratio, 4),
        "heat_ratio": round(truth.heat_ratio, 4),
        "peak_heat_ratio": round(truth.peak_heat_ratio, 4),
        "tripped": truth.tripped,
        "import_wh": round(truth.import_wh, 1),
        "export_wh": round(truth.export_wh, 1),
    }


def _evse(truth: EvseTruth) -> dict[str, Any]:
    return {
        "state": truth.state.value,
        "current_a": _phases(truth.grid_a),
        "limit_a": round(truth.limit_a, 3),
        "pilot_a": round(truth.pilot_a, 3),
        "power_w": round(truth.power_w, 1),
        "energy_wh": round(truth.energy_wh, 2),
        "vehicle": truth.vehicle,
        "soc_ratio": None if truth.soc_ratio is None else round(truth.soc_ratio, 4),
    }
