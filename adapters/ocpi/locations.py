"""The site as one location. Source: OCPI 2.2.1 `mod_locations`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import sqrt

from adapters.ocpi.ids import PublicIds
from adapters.ocpi.models.base import BusinessDetails
from adapters.ocpi.models.locations import (
    CdrLocation,
    Connector,
    Evse,
    EvseStatus,
    GeoLocation,
    Location,
)
from adapters.ocpi.settings import OcpiSettings
from controller import site as wiring
from controller.decision import EvseStatus as PlannedEvse
from controller.decision import Plan
from controller.site import EvseId
from controller.station import EvseState

CONNECTOR = "1"
"""Every EVSE has one connector: OCPP 1.x connectors are EVSEs."""
CAPABILITIES = (
    "REMOTE_START_STOP_CAPABLE",
    "RFID_READER",
    "CHARGING_PROFILE_CAPABLE",
    "CHARGING_PREFERENCES_CAPABLE",
    "RESERVABLE",
    "UNLOCK_CAPABLE",
)
STATUS: Mapping[EvseState, EvseStatus] = {
    EvseState.UNKNOWN: EvseStatus.UNKNOWN,
    EvseState.AVAILABLE: EvseStatus.AVAILABLE,
    EvseState.CONNECTED: EvseStatus.CHARGING,
    EvseState.CHARGING: EvseStatus.CHARGING,
    EvseState.SUSPENDED_EV: EvseStatus.CHARGING,
    EvseState.SUSPENDED_EVSE: EvseStatus.CHARGING,
    EvseState.FINISHING: EvseStatus.CHARGING,
    EvseState.RESERVED: EvseStatus.RESERVED,
    EvseState.UNAVAILABLE: EvseStatus.INOPERATIVE,
    EvseState.FAULTED: EvseStatus.OUTOFORDER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A state and since when."""

    status: EvseStatus
    since: datetime


def status_of(evse: PlannedEvse | None) -> EvseStatus:
    """Return the state of an EVSE; what is not connected is not known."""
    if evse is None or not evse.connected:
        return EvseStatus.UNKNOWN
    return STATUS[evse.state]


def statuses(site: wiring.Site, plan: Plan | None) -> dict[EvseId, EvseStatus]:
    """Return the states of all EVSEs."""
    known = plan.evses if plan is not None else {}
    return {e.id: status_of(known.get(e.id)) for e in site.evses()}


def location_of(
    site: wiring.Site, *, settings: OcpiSettings, ids: PublicIds, seen: Mapping[EvseId, Seen]
) -> Location:
    """Write the site."""
    place = settings.place
    evses = [
        evse_of(e, site=site, settings=settings, ids=ids, seen=seen[e.id])
        for e in site.evses()
        if e.id in seen
    ]
    return Location(
        country_code=settings.country_code,
        party_id=settings.party_id,
        id=site.id[:36],
        publish=place.is_published,
        name=place.name,
        address=place.address,
        city=place.city,
        postal_code=place.postal_code,
        country=place.country,
        coordinates=coordinates_of(settings),
        evses=evses,
        operator=BusinessDetails(name=settings.operator, website=settings.website),
        time_zone=place.timezone,
        last_updated=max(e.last_updated for e in evses),
    )


def evse_of(
    evse: wiring.Evse, *, site: wiring.Site, settings: OcpiSettings, ids: PublicIds, seen: Seen
) -> Evse:
    """Write an EVSE with its connector."""
    return Evse(
        uid=ids.uid(evse.id),
        evse_id=ids.evse_id(evse.id),
        status=seen.status,
        capabilities=list(CAPABILITIES),
        connectors=[connector_of(evse, site=site, settings=settings, since=seen.since)],
        last_updated=seen.since,
    )


def connector_of(
    evse: wiring.Evse, *, site: wiring.Site, settings: OcpiSettings, since: datetime
) -> Connector:
    """Write a connector: voltage between lines for three phases, to neutral for one."""
    is_single = evse.phases == 1
    return Connector(
        id=CONNECTOR,
        standard=settings.connector.standard,
        format=settings.connector.format,
        power_type=power_type(evse),
        max_voltage=round(site.voltage_v if is_single else site.voltage_v * sqrt(3)),
        max_amperage=round(evse.max_a),
        max_electric_power=round(evse.max_a * evse.phases * site.voltage_v),
        tariff_ids=[settings.tariff.id],
        last_updated=since,
    )


def power_type(evse: wiring.Evse) -> str:
    """Return the kind of current."""
    return {1: "AC_1_PHASE", 2: "AC_2_PHASE", 3: "AC_3_PHASE"}[evse.phases]


def coordinates_of(settings: OcpiSettings) -> GeoLocation:
    """Write coordinates with the five to seven decimals that the format asks for."""
    place = settings.place
    return GeoLocation(latitude=f"{place.latitude:.6f}", longitude=f"{place.longitude:.6f}")


def cdr_location_of(
    evse: wiring.Evse, *, site: wiring.Site, settings: OcpiSettings, ids: PublicIds
) -> CdrLocation:
    """Write where a session was."""
    place = settings.place
    return CdrLocation(
        id=site.id[:36],
        name=place.name,
        address=place.address,
        city=place.city,
        postal_code=place.postal_code,
        country=place.country,
        coordinates=coordinates_of(settings),
        evse_uid=ids.uid(evse.id),
        evse_id=ids.evse_id(evse.id),
        connector_id=CONNECTOR,
        connector_standard=settings.connector.standard,
        connector_format=settings.connector.format,
        connector_power_type=power_type(evse),
    )
