"""The site as it is built: circuits, charging stations, EVSEs and meters. Static between configurations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NewType

from controller.phases import PhaseCurrents, PhaseRotation, PhaseSet

StationId = NewType("StationId", str)
"""The OCPP identity of a charging station."""
EvseId = NewType("EvseId", str)
"""`station/number`, for example `CP001/1`. OCPP 1.6 connectors are EVSEs here."""
CircuitId = NewType("CircuitId", str)
MeterId = NewType("MeterId", str)


class ProtectiveDevice(Enum):
    """What protects a circuit; decides how long an overload is tolerated.

    Source: IEC 60898-1 (MCB), IEC 60947-2 (MCCB), IEC 60269 (gG).
    """

    MCB = "mcb"
    MCCB = "mccb"
    GG = "gg"

    @property
    def hold_ratio(self) -> float:
        """Multiple of the rating that the device carries for ever (conventional non-tripping current)."""
        return _HOLD_RATIO[self._value_]


_HOLD_RATIO = {"mcb": 1.13, "mccb": 1.05, "gg": 1.25}


class MeterRole(Enum):
    """What a meter measures. The sign is the same for all: + flows towards the loads."""

    LOAD = "load"
    PRODUCTION = "production"
    BATTERY = "battery"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A meter on Modbus."""

    id: MeterId
    model: str
    """Path of its map under `config/meters/`, for example `eastron/sdm630`."""
    connection: str
    """`tcp://HOST:PORT`, `rtu+tcp://HOST:PORT` or `rtu:///dev/ttyUSB0?baud=9600&parity=N`."""
    unit: int
    interval_s: float = 1.0
    word_order: str | None = None
    """`big` or `little`, where the device differs from its map."""
    register_offset: int = 0
    """How far its registers lie from those of its map."""
    role: MeterRole = MeterRole.LOAD


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualMeter:
    """A meter that is calculated: a sum of meters, less others, plus what stations report."""

    id: MeterId
    plus: tuple[MeterId, ...] = ()
    minus: tuple[MeterId, ...] = ()
    stations: tuple[StationId, ...] = ()
    role: MeterRole = MeterRole.LOAD

    @property
    def parts(self) -> tuple[MeterId, ...]:
        """The meters that it is calculated from."""
        return (*self.plus, *self.minus)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """A set of conductors behind one protective device."""

    id: CircuitId
    parent: CircuitId | None
    limit_a: PhaseCurrents
    """Rating of the device, per phase. [A]"""
    device: ProtectiveDevice
    meter: MeterId | None
    building_peak_a: PhaseCurrents
    """Worst case of everything below this circuit that is not one of our stations. [A]"""
    margin_a: float
    """Kept free below the limit, so that meter noise needs no command. [A]"""
    unbalance_a: float | None = None
    """By how much any phase may exceed any other; None: no limit. [A]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evse:
    """One place to charge; it serves one vehicle at a time."""

    id: EvseId
    station: StationId
    number: int
    """EVSE number in 2.0.1, connector number in 1.6. From 1."""
    circuit: CircuitId
    phases: int
    """Phases wired: 1, 2 or 3."""
    rotation: PhaseRotation
    min_a: float
    max_a: float
    """Rating of EVSE and cable: what it may draw when nothing limits it. [A]"""
    step_a: float
    fallback_a: float
    """What it draws at most when it loses us: 0, or at least `min_a`. [A]"""
    holds_lease: bool
    """False: it cannot be trusted to fall back by itself; unreachable, it counts with `max_a`."""
    priority: int
    """Higher is served first. Default 0."""
    solar_min_a: float | None = None
    """Not None: it uses only the site's surplus above this, which it has in any case. [A]"""
    dc_w_per_a: float | None = None
    """DC only: the power at the vehicle for one ampere per phase of the feed. [W/A]"""
    is_load: bool = False
    """No vehicle charges here: a battery, a heat pump or another load whose limit can be set."""
    weight: float = 1.0
    """Its share of what lies above the minimums, against 1 of a vehicle. > 0"""

    @property
    def grid_phases(self) -> PhaseSet:
        """Grid phases that this EVSE can load."""
        return self.rotation.phases(self.phases)

    @property
    def unreachable_a(self) -> float:
        """What it must be counted with once its lease has ended. [A]"""
        return self.fallback_a if self.holds_lease else self.max_a


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """A charging station and its EVSEs."""

    id: StationId
    evses: tuple[Evse, ...]

    @property
    def is_load(self) -> bool:
        """Whether it is a controllable load, which speaks no OCPP and serves no vehicle."""
        return any(evse.is_load for evse in self.evses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Everything that is built. Maps are keyed by id and iterate in id order."""

    id: str
    name: str
    timezone: str
    voltage_v: float
    """Nominal line-to-neutral voltage. [V]"""
    circuits: Mapping[CircuitId, Circuit]
    stations: Mapping[StationId, Station]
    meters: Mapping[MeterId, Meter]
    virtual_meters: Mapping[MeterId, VirtualMeter] = field(default_factory=dict)
    """Calculated meters; each comes after those that it is calculated from."""

    _evses: dict[EvseId, Evse] = field(init=False, repr=False, compare=False)
    _paths: dict[CircuitId, tuple[CircuitId, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        """Index the EVSEs: they are asked for in every decision."""
        evses = {e.id: e for station in self.stations.values() for e in station.evses}
        object.__setattr__(self, "_evses", evses)

    def evses(self) -> Iterator[Evse]:
        """Iterate all EVSEs, ordered by station id and number."""
        return iter(self._evses.values())

    def evse(self, evse: EvseId) -> Evse | None:
        """Find an EVSE."""
        return self._evses.get(evse)

    def path_to_root(self, circuit: CircuitId) -> tuple[CircuitId, ...]:
        """Return the circuit and all its parents, the root last."""
        known = self._paths.get(circuit)
        if known is not None:
            return known
        path: list[CircuitId] = []
        at: CircuitId | None = circuit
        while at is not None:
            path.append(at)
            at = self.circuits[at].parent
        self._paths[circuit] = tuple(path)
        return self._paths[circuit]

    def evses_below(self, circuit: CircuitId) -> tuple[Evse, ...]:
        """Return the EVSEs on this circuit and on every circuit below it."""
        return tuple(e for e in self.evses() if circuit in self.path_to_root(e.circuit))


def evse_id(station: StationId, number: int) -> EvseId:
    """Name an EVSE."""
    return EvseId(f"{station}/{number}")
