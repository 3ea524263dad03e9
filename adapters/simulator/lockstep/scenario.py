"""A day on a site as plain data: everything that will happen, so that it can be replayed and shrunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from io import StringIO

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from adapters.simulator.lockstep.station import Quirks
from adapters.simulator.vehicle import Vehicle
from controller.codec import CodecError, from_plain, to_plain
from controller.phases import PhaseCurrents
from controller.policy import Policy
from controller.site import CircuitId, EvseId, Site, StationId

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A vehicle that plugs in and leaves."""

    evse: EvseId
    vehicle: Vehicle
    at_s: float
    leaves_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadChange:
    """What the building draws on a circuit itself from a moment on. Below 0: the sun. [A]"""

    circuit: CircuitId
    at_s: float
    current: PhaseCurrents


class FaultKind(Enum):
    """What may break; the rows of the fault matrix in `docs/safety.md`."""

    METER_SILENT = "meter_silent"
    METER_BAD_DATA = "meter_bad_data"
    METER_FROZEN = "meter_frozen"
    METER_SLOW = "meter_slow"
    STATION_OFFLINE = "station_offline"
    STATION_HALF_OPEN = "station_half_open"
    STATION_POWER_CUT = "station_power_cut"
    STATION_REBOOTS = "station_reboots"
    STATION_REFUSES = "station_refuses"
    STATION_LOSES_ANSWERS = "station_loses_answers"
    STATION_DISOBEYS = "station_disobeys"
    STATION_SILENT = "station_silent"
    CONTACTOR_WELDED = "contactor_welded"
    NETWORK_PARTITION = "network_partition"
    CONTROLLER_KILLED = "controller_killed"
    CONTROLLER_KILLED_WHILE_RAISING = "controller_killed_while_raising"
    MACHINE_REBOOTS = "machine_reboots"
    CLOCK_JUMPS = "clock_jumps"
    STORE_READ_ONLY = "store_read_only"
    STORE_LOST = "store_lost"
    SOLVER_FAILS = "solver_fails"
    OPERATOR_LIMIT = "operator_limit"
    BUILDING_STEP = "building_step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that breaks for a while."""

    kind: FaultKind
    at_s: float
    for_s: float
    target: str = ""
    """Meter, station, EVSE or circuit; empty: the controller or all stations."""
    value: float = 0.0
    """CLOCK_JUMPS: seconds. OPERATOR_LIMIT: share of the rating. BUILDING_STEP: amperes."""

    @property
    def ends_s(self) -> float:
        """When it is mended. [s]"""
        return self.at_s + self.for_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A site, what happens on it, and what breaks. Times since the start. [s]"""

    site: Site
    policy: Policy = field(default_factory=Policy)
    seed: int = 0
    duration_s: float = DAY_S
    visits: tuple[Visit, ...] = ()
    loads: tuple[LoadChange, ...] = ()
    quirks: Mapping[StationId, Quirks] = field(default_factory=dict)
    """Stations without an entry behave as specified."""
    faults: tuple[Fault, ...] = ()


def to_yaml(day: Day) -> str:
    """Write a day as YAML."""
    out = StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.width = 120
    yaml.dump(to_plain(day), out)
    return out.getvalue()


def from_yaml(text: str) -> Day:
    """Read a day.

    Raises:
        ValueError: It is not a day; the text names the place.
    """
    try:
        data = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ValueError(str(error)) from error
    return from_plain(Day, data, "day")


def faults_from_yaml(text: str) -> tuple[Fault, ...]:
    """Read a fault script: a mapping with the list `faults`, each `kind`, `at_s`, `for_s`, `target`.

    Raises:
        ValueError: It is not a fault script; the text names the place.
    """
    try:
        data = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ValueError(str(error)) from error
    if not isinstance(data, Mapping) or not isinstance(data.get("faults"), list):
        raise CodecError("a fault script is a mapping with a list under `faults`")
    return tuple(from_plain(Fault, f, f"faults[{i}]") for i, f in enumerate(data["faults"]))
