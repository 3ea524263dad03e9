"""What of a file can be understood although other parts of it may be wrong.

Rules that span several keys run on a draft, so that they report together with wrong types and
unknown keys, and the reader of the problems needs one round and not three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from adapters.config.keybase import Keys
from adapters.config.keys import (
    CircuitEntry,
    ConfigurationEntry,
    EvseEntry,
    GridRelayEntry,
    HttpSection,
    InfluxSection,
    MeterEntry,
    OcppSection,
    PolicySection,
    RepublishSection,
    VirtualMeterEntry,
)
from adapters.config.load_keys import LoadEntry
from adapters.config.problems import KeyPath
from adapters.config.roaming_keys import BillingSection, OcpiSection

_Entry = TypeVar("_Entry", bound=Keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftEvse:
    """An EVSE and where its circuit is named."""

    station: str
    number: str
    entry: EvseEntry
    circuit: str | None
    circuit_path: KeyPath
    """Where the circuit is named: at the EVSE or at its station."""
    is_load: bool = False

    @property
    def path(self) -> KeyPath:
        """Where the EVSE stands in the file."""
        if self.is_load:
            return ("loads", self.station)
        return ("stations", self.station, "evses", self.number)

    @property
    def fallback_a(self) -> float:
        """What it draws at most when it loses the controller. [A]"""
        return self.entry.min_a if self.entry.fallback_a is None else self.entry.fallback_a


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The valid entries of a file, and the ids of all of them."""

    meters: Mapping[str, MeterEntry]
    meter_ids: frozenset[str]
    """Ids of the meters that are read, and of those that are calculated."""
    virtual_meters: Mapping[str, VirtualMeterEntry]
    circuits: Mapping[str, CircuitEntry]
    circuit_ids: frozenset[str]
    parents: Mapping[str, str | None]
    """Parent of each circuit, whether the rest of its entry is valid or not; not where it is no id."""
    evses: tuple[DraftEvse, ...]
    """Those of the stations, and each load as one."""
    loads: Mapping[str, LoadEntry]
    station_ids: tuple[str, ...]
    group_ids: frozenset[str]
    groups: Mapping[str, str]
    """Group that each station names, where it names one."""
    configurations: Mapping[KeyPath, ConfigurationEntry]
    """What stations and groups are to keep, by where it stands."""
    policy: PolicySection | None
    demand_circuits: tuple[str, ...]
    """Circuits that have a demand limit."""
    ocpp: OcppSection | None
    http: HttpSection | None
    influx: InfluxSection | None
    republish: RepublishSection | None
    failsafe_circuit: str | None
    """Circuit of the failsafe limit of grid signals."""
    relays: Mapping[str, GridRelayEntry]
    billing: BillingSection | None
    is_priced: bool
    """There is a section `billing`, valid or not."""
    ocpi: OcpiSection | None


def draft_of(data: object) -> Draft:
    """Pick out of a parsed file what is valid."""
    meters, circuits = _map(data, "meters"), _map(data, "circuits")
    virtual = _map(data, "virtual_meters")
    stations = _map(data, "stations")
    loads = _entries(LoadEntry, _map(data, "loads"))
    return Draft(
        meters=_entries(MeterEntry, meters),
        meter_ids=frozenset(meters) | frozenset(virtual),
        virtual_meters=_entries(VirtualMeterEntry, virtual),
        circuits=_entries(CircuitEntry, circuits),
        circuit_ids=frozenset(circuits),
        parents={
            circuit: _text(raw, "parent")
            for circuit, raw in circuits.items()
            if "parent" not in _map(circuits, circuit) or _text(raw, "parent") is not None
        },
        evses=(
            *(evse for name, raw in stations.items() for evse in _evses(name, raw)),
            *(_load(name, entry) for name, entry in loads.items()),
        ),
        loads=loads,
        station_ids=tuple(stations),
        group_ids=frozenset(_map(data, "station_groups")),
        groups={n: g for n, raw in stations.items() if (g := _text(raw, "group")) is not None},
        configurations=_configurations(data, "station_groups") | _configurations(data, "stations"),
        policy=_entry(PolicySection, _map(data, "policy")),
        demand_circuits=tuple(_map(_map(data, "planning"), "demand_limits")),
        ocpp=_entry(OcppSection, _map(data, "ocpp")),
        http=_entry(HttpSection, _map(data, "http")),
        influx=_entry(InfluxSection, _map(data, "influx")),
        republish=_entry(RepublishSection, raw_republish)
        if (raw_republish := _map(data, "republish"))
        else None,
        failsafe_circuit=_text(_map(data, "grid_signal"), "circuit"),
        relays=_entries(GridRelayEntry, _map(data, "grid_relays")),
        billing=_entry(BillingSection, _map(data, "billing")),
        is_priced=isinstance(data, dict) and data.get("billing") is not None,
        ocpi=_entry(OcpiSection, _map(data, "ocpi")),
    )


def _configurations(data: object, section: str) -> dict[KeyPath, ConfigurationEntry]:
    found: dict[KeyPath, ConfigurationEntry] = {}
    for name, raw in _map(data, section).items():
        entry = _entry(ConfigurationEntry, _map(raw, "configuration"))
        if entry is not None:
            found[section, name, "configuration"] = entry
    return found


def _evses(station: str, raw: object) -> list[DraftEvse]:
    found: list[DraftEvse] = []
    for number, entry in _entries(EvseEntry, _map(raw, "evses")).items():
        at: KeyPath = ("stations", station)
        if entry.circuit is not None:
            at = (*at, "evses", number)
        found.append(
            DraftEvse(
                station=station,
                number=number,
                entry=entry,
                circuit=entry.circuit or _text(raw, "circuit"),
                circuit_path=(*at, "circuit"),
            )
        )
    return found


def _load(name: str, entry: LoadEntry) -> DraftEvse:
    """Return a load as the EVSE that it is to all rules about currents and phases."""
    return DraftEvse(
        station=name,
        number="1",
        entry=EvseEntry(
            max_a=entry.max_a,
            min_a=entry.min_a,
            phases=entry.phases,
            rotation=entry.rotation,
            fallback_a=entry.fallback_a,
            step_a=entry.step_a,
        ),
        circuit=entry.circuit,
        circuit_path=("loads", name, "circuit"),
        is_load=True,
    )


def _entries(model: type[_Entry], maps: Mapping[str, object]) -> dict[str, _Entry]:
    tried = {name: _entry(model, raw) for name, raw in maps.items()}
    return {name: entry for name, entry in tried.items() if entry is not None}


def _entry(model: type[_Entry], raw: object) -> _Entry | None:
    try:
        return model.model_validate(raw)
    except ValidationError:
        return None


def _map(data: object, key: str) -> Mapping[str, object]:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, dict) else {}


def _text(data: object, key: str) -> str | None:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, str) else None
