"""A valid document as domain values and settings."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Final

from adapters.config.keys import (
    CircuitEntry,
    ConfigurationEntry,
    DcEntry,
    EvseEntry,
    InfluxSection,
    OcppTlsSection,
    PhaseLoads,
    PhaseRatings,
    PolicySection,
    SiteDocument,
    StationEntry,
    UploadsSection,
)
from adapters.config.load_keys import LoadEntry
from adapters.config.settings import (
    HttpSettings,
    InfluxApi,
    InfluxSettings,
    OcppListener,
    OcppSettings,
    OcppTls,
    StoreSettings,
    UnknownTokens,
    UploadSettings,
)
from adapters.config.spelling import parse_clock, parse_days, parse_listen, parse_rotation
from controller.care import OfflineTokens
from controller.demand import DemandLimit
from controller.desired import DesiredConfiguration
from controller.phases import ZERO, PhaseCurrents
from controller.planner import PlanningSettings
from controller.policies import PolicyName
from controller.policy import Policy
from controller.roster import turns_within
from controller.site import (
    Circuit,
    CircuitId,
    Evse,
    Meter,
    MeterId,
    MeterRole,
    ProtectiveDevice,
    Site,
    Station,
    StationId,
    VirtualMeter,
    evse_id,
)
from controller.tariffs import Tariff, TariffPeriod
from controller.visiting import TypicalStay

DEFAULT_ROTATION: Final = "RST"
LOWEST_VOLTAGE: Final = 0.9
"""Lowest voltage that a network may have, of nominal. Source: EN 50160."""


def to_site(document: SiteDocument) -> Site:
    """Build the site. Ids are sorted, so that the order in the file changes nothing."""
    return Site(
        id=document.site.id,
        name=document.site.name,
        timezone=document.site.timezone,
        voltage_v=document.site.voltage_v,
        circuits=_circuits(document),
        stations=_stations(document),
        meters={
            MeterId(name): Meter(
                id=MeterId(name),
                model=entry.model,
                connection=entry.connection,
                unit=entry.unit,
                interval_s=entry.interval_s,
                word_order=entry.word_order,
                register_offset=entry.register_offset,
                role=MeterRole(entry.role),
            )
            for name, entry in sorted(document.meters.items())
        },
        virtual_meters=_virtual_meters(document),
    )


def _stations(document: SiteDocument) -> dict[StationId, Station]:
    """Build the stations, and the loads, which are stations with one EVSE that speak no OCPP."""
    stations = {
        StationId(name): _station(StationId(name), entry, document.site.voltage_v)
        for name, entry in document.stations.items()
    }
    for name, load in document.loads.items():
        stations[StationId(name)] = Station(
            id=StationId(name), evses=(to_load(StationId(name), load),)
        )
    return dict(sorted(stations.items()))


def to_load(name: StationId, entry: LoadEntry) -> Evse:
    """Build one load."""
    return Evse(
        id=evse_id(name, 1),
        station=name,
        number=1,
        circuit=CircuitId(entry.circuit),
        phases=entry.phases,
        rotation=parse_rotation(entry.rotation or DEFAULT_ROTATION),
        min_a=entry.min_a,
        max_a=entry.max_a,
        step_a=entry.step_a,
        fallback_a=entry.fallback_a,
        holds_lease=entry.holds_lease and entry.watchdog_s is not None,
        priority=entry.priority,
        solar_min_a=entry.solar_min_a,
        is_load=True,
        weight=entry.weight,
    )


def _virtual_meters(document: SiteDocument) -> dict[MeterId, VirtualMeter]:
    """Build the calculated meters, each after those that it is calculated from."""
    waiting = dict(sorted(document.virtual_meters.items()))
    ordered: dict[MeterId, VirtualMeter] = {}
    while waiting:
        ready = [
            name
            for name, entry in waiting.items()
            if not any(part in waiting for part in (*entry.sum, *entry.minus))
        ]
        for name in ready:
            entry = waiting.pop(name)
            ordered[MeterId(name)] = VirtualMeter(
                id=MeterId(name),
                plus=tuple(MeterId(part) for part in entry.sum),
                minus=tuple(MeterId(part) for part in entry.minus),
                stations=tuple(StationId(station) for station in entry.stations),
                role=MeterRole(entry.role),
            )
        if not ready:  # a ring, which the rules have refused before
            break
    return ordered


def to_circuit(name: str, entry: CircuitEntry) -> Circuit:
    """Build one circuit."""
    return Circuit(
        id=CircuitId(name),
        parent=None if entry.parent is None else CircuitId(entry.parent),
        limit_a=to_phases(entry.limit_a),
        device=ProtectiveDevice(entry.device),
        meter=None if entry.meter is None else MeterId(entry.meter),
        building_peak_a=ZERO if entry.building_peak_a is None else to_phases(entry.building_peak_a),
        margin_a=entry.margin_a,
        unbalance_a=entry.unbalance_a,
    )


def _circuits(document: SiteDocument) -> dict[CircuitId, Circuit]:
    """Build the circuits of the file and those that stand for stations' own limits."""
    circuits = {CircuitId(name): to_circuit(name, x) for name, x in document.circuits.items()}
    for name, entry in document.stations.items():
        if entry.max_a is not None:
            circuits[station_circuit(name)] = _to_station_circuit(name, entry)
    return dict(sorted(circuits.items()))


def station_circuit(station: str) -> CircuitId:
    """Name the circuit that stands for a station's own limit; no circuit of a file is called so."""
    return CircuitId(f"station:{station}")


def _circuit_of(station: str, entry: StationEntry) -> str:
    return entry.circuit if entry.max_a is None else station_circuit(station)


def _to_station_circuit(station: str, entry: StationEntry) -> Circuit:
    """Build the limit that a station's EVSEs share as a circuit with nothing else on it."""
    return Circuit(
        id=station_circuit(station),
        parent=CircuitId(entry.circuit),
        limit_a=PhaseCurrents.balanced(entry.max_a or 0.0),
        device=ProtectiveDevice.MCB,
        meter=None,
        building_peak_a=ZERO,
        margin_a=0.0,
    )


def to_evse(
    station: StationId, number: int, entry: EvseEntry, circuit: str, *, voltage_v: float
) -> Evse:
    """Build one EVSE."""
    evse = Evse(
        id=evse_id(station, number),
        station=station,
        number=number,
        circuit=CircuitId(circuit),
        phases=entry.phases,
        rotation=parse_rotation(entry.rotation or DEFAULT_ROTATION),
        min_a=entry.min_a,
        max_a=entry.max_a,
        step_a=entry.step_a,
        fallback_a=entry.min_a if entry.fallback_a is None else entry.fallback_a,
        holds_lease=entry.holds_lease,
        priority=entry.priority,
        solar_min_a=entry.solar_min_a,
    )
    return evse if entry.dc is None else _as_dc(evse, entry.dc, entry.fallback_a, voltage_v)


def _as_dc(evse: Evse, dc: DcEntry, fallback_a: float | None, voltage_v: float) -> Evse:
    """Bring a DC charger's watts to amperes per phase of its feed.

    The same power draws most current at the lowest voltage, so that one counts: 10 % below nominal
    (EN 50160). A limit in amperes then stands for what it is worth at that voltage.
    """
    w_per_a = evse.phases * LOWEST_VOLTAGE * voltage_v * dc.efficiency
    min_a = _up_to_step(dc.min_w / w_per_a, evse.step_a)
    return replace(
        evse,
        min_a=min_a,
        max_a=max(min_a, min(evse.max_a, _up_to_step(dc.max_w / w_per_a, evse.step_a))),
        fallback_a=min_a if fallback_a is None else fallback_a,
        dc_w_per_a=w_per_a,
    )


def _up_to_step(current_a: float, step_a: float) -> float:
    return round(ceil(current_a / step_a - 1e-6) * step_a, 3)


def to_policy(section: PolicySection) -> Policy:
    """Build the policy."""
    return Policy(**section.model_dump())


def to_planning(document: SiteDocument) -> PlanningSettings:
    """Build the planner's settings."""
    section = document.planning
    periods = tuple(
        TariffPeriod(
            days=parse_days(entry.days),
            begin=parse_clock(entry.begin),
            end=parse_clock(entry.end),
            price_per_kwh=entry.price_per_kwh,
        )
        for entry in section.tariff.values()
    )
    demand = tuple(
        DemandLimit(
            circuit=CircuitId(circuit),
            interval_s=float(entry.interval_s),
            limit_w=entry.limit_w,
            follows_peak=entry.follows_peak,
        )
        for circuit, entry in sorted(section.demand_limits.items())
    )
    return PlanningSettings(
        policy=PolicyName(document.policy.name),
        typical=TypicalStay(stay_h=section.typical_stay_s / 3600, need_wh=section.typical_need_wh),
        tariff=Tariff(timezone=document.site.timezone, periods=periods) if periods else None,
        demand=demand,
        turns=turns_within(document.policy.max_wait_s),
    )


def to_ocpp(document: SiteDocument, folder: Path) -> OcppSettings:
    """Build the settings of the OCPP server; its paths are relative to `folder`."""
    return OcppSettings(
        listen=parse_listen(document.ocpp.listen),
        security_profile=document.ocpp.security_profile,
        unknown_tokens=UnknownTokens(document.ocpp.unknown_tokens),
        offline_tokens=OfflineTokens(document.ocpp.offline_tokens),
        listeners=tuple(
            OcppListener(listen=parse_listen(entry.listen), security_profile=entry.security_profile)
            for entry in document.ocpp.listeners.values()
        ),
        data_transfer=frozenset(document.ocpp.data_transfer),
        tls=_to_tls(document.ocpp.tls, folder.absolute()),
    )


def to_desired(document: SiteDocument) -> dict[StationId, DesiredConfiguration]:
    """Return what each station is to keep: its group's configuration, and its own over that."""
    nothing = DesiredConfiguration()
    groups = {n: _desired(g.configuration) for n, g in document.station_groups.items()}
    wanted = {
        StationId(name): _desired(entry.configuration).over(groups.get(entry.group or "", nothing))
        for name, entry in document.stations.items()
    }
    return {name: desired for name, desired in wanted.items() if desired != nothing}


def to_groups(document: SiteDocument) -> dict[str, tuple[StationId, ...]]:
    """Return the stations of each group, by id."""
    named = sorted(document.stations.items())
    return {
        group: tuple(StationId(name) for name, entry in named if entry.group == group)
        for group in document.station_groups
    }


def _desired(entry: ConfigurationEntry) -> DesiredConfiguration:
    return DesiredConfiguration(keys=dict(entry.keys), variables=dict(entry.variables))


def to_uploads(section: UploadsSection | None, folder: Path) -> UploadSettings | None:
    """Build the settings of the upload receiver; its folder is relative to `folder`. None: off."""
    if section is None:
        return None
    return UploadSettings(
        listen=parse_listen(section.listen),
        host=section.host,
        tls=section.tls,
        folder=folder.absolute() / section.folder,
        max_bytes=section.max_bytes,
        keep_s=section.keep_s,
    )


def _to_tls(section: OcppTlsSection, folder: Path) -> OcppTls:
    return OcppTls(
        folder=folder / section.folder,
        certificates=tuple(
            (folder / pair.certificate, folder / pair.key) for pair in section.certificates.values()
        ),
        client_ca=folder / section.client_ca if section.client_ca is not None else None,
        organisation=section.organisation,
        rsa_key_exchange=section.rsa_key_exchange,
    )


def to_http(document: SiteDocument, folder: Path) -> HttpSettings:
    """Build the settings of the dashboard and the API; paths are relative to `folder`."""
    tls = document.http.tls
    base = folder.absolute()
    return HttpSettings(
        listen=parse_listen(document.http.listen),
        tls=None if tls is None else (base / tls.certificate, base / tls.key),
    )


def to_store(document: SiteDocument, folder: Path) -> StoreSettings:
    """Build the settings of the embedded database; its path is relative to `folder`."""
    return StoreSettings(
        path=folder.absolute() / document.store.path,
        samples_age_s=document.store.samples_days * 86_400.0,
        samples_bytes=document.store.samples_mib * 1024 * 1024,
    )


def to_influx(section: InfluxSection | None) -> InfluxSettings | None:
    """Build the settings of the upload. None: nothing is uploaded."""
    if section is None:
        return None
    return InfluxSettings(
        url=section.url,
        api=InfluxApi(section.api),
        org=section.org,
        bucket=section.bucket,
        token_env=section.token_env,
        database=section.database,
        retention_policy=section.retention_policy,
        user_env=section.user_env,
        password_env=section.password_env,
        gzip=section.gzip,
    )


def to_phases(value: float | PhaseRatings | PhaseLoads) -> PhaseCurrents:
    """Read one number for all phases, or one per phase. [A]"""
    if isinstance(value, PhaseRatings | PhaseLoads):
        return PhaseCurrents(l1_a=value.l1, l2_a=value.l2, l3_a=value.l3)
    return PhaseCurrents.balanced(value)


def _station(name: StationId, entry: StationEntry, voltage_v: float) -> Station:
    numbered = [(int(number), entry.evses[number]) for number in sorted(entry.evses, key=int)]
    return Station(
        id=name,
        evses=tuple(
            to_evse(
                name,
                number,
                evse,
                evse.circuit or _circuit_of(name, entry),
                voltage_v=voltage_v,
            )
            for number, evse in numbered
        ),
    )
