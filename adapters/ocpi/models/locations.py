"""Locations, EVSEs and connectors. Source: OCPI 2.2.1 `mod_locations`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from adapters.ocpi.models.base import (
    BusinessDetails,
    CiString2,
    CiString3,
    CiString36,
    CiString48,
    DisplayText,
    Image,
    Instant,
    OcpiModel,
    Text10,
    Text20,
    Text45,
    Text64,
    Text255,
    Url,
)


class EvseStatus(StrEnum):
    """State of an EVSE."""

    AVAILABLE = "AVAILABLE"
    BLOCKED = "BLOCKED"
    CHARGING = "CHARGING"
    INOPERATIVE = "INOPERATIVE"
    OUTOFORDER = "OUTOFORDER"
    PLANNED = "PLANNED"
    REMOVED = "REMOVED"
    RESERVED = "RESERVED"
    UNKNOWN = "UNKNOWN"


class GeoLocation(OcpiModel):
    """WGS 84 in decimal degrees."""

    latitude: Annotated[str, Field(pattern=r"^-?[0-9]{1,2}\.[0-9]{5,7}$")]
    longitude: Annotated[str, Field(pattern=r"^-?[0-9]{1,3}\.[0-9]{5,7}$")]


class AdditionalGeoLocation(GeoLocation):
    """Another place of interest."""

    name: DisplayText | None = None


class StatusSchedule(OcpiModel):
    """A state that is planned."""

    period_begin: Instant
    period_end: Instant | None = None
    status: EvseStatus


class Connector(OcpiModel):
    """A socket or cable."""

    id: CiString36
    standard: str
    format: str
    power_type: str
    max_voltage: int
    max_amperage: int
    max_electric_power: int | None = None
    tariff_ids: list[CiString36] | None = None
    terms_and_conditions: Url | None = None
    capabilities: list[str] | None = None
    """2.3.0."""
    last_updated: Instant


class Evse(OcpiModel):
    """A place for one vehicle."""

    uid: CiString36
    evse_id: CiString48 | None = None
    status: EvseStatus
    status_schedule: list[StatusSchedule] | None = None
    capabilities: list[str] | None = None
    connectors: Annotated[list[Connector], Field(min_length=1)]
    floor_level: Annotated[str, Field(max_length=4)] | None = None
    coordinates: GeoLocation | None = None
    physical_reference: Annotated[str, Field(max_length=16)] | None = None
    directions: list[DisplayText] | None = None
    parking_restrictions: list[str] | None = None
    parking: list[str | dict[str, Any]] | None = None
    """2.3.0: the parking places beside it."""
    accepted_service_providers: list[str] | None = None
    """2.3.0."""
    images: list[Image] | None = None
    last_updated: Instant


class PublishTokenType(OcpiModel):
    """Who may see a location that is not published."""

    uid: CiString36 | None = None
    type: str | None = None
    visual_number: Text64 | None = None
    issuer: Text64 | None = None
    group_id: CiString36 | None = None


class Location(OcpiModel):
    """A site."""

    country_code: CiString2
    party_id: CiString3
    id: CiString36
    publish: bool
    publish_allowed_to: list[PublishTokenType] | None = None
    name: Text255 | None = None
    address: Text45
    city: Text45
    postal_code: Text10 | None = None
    state: Text20 | None = None
    country: Annotated[str, Field(min_length=3, max_length=3)]
    coordinates: GeoLocation
    related_locations: list[AdditionalGeoLocation] | None = None
    parking_type: str | None = None
    parking_places: list[dict[str, Any]] | None = None
    """2.3.0."""
    help_phone: str | None = None
    """2.3.0."""
    evses: list[Evse] | None = None
    directions: list[DisplayText] | None = None
    operator: BusinessDetails | None = None
    suboperator: BusinessDetails | None = None
    owner: BusinessDetails | None = None
    facilities: list[str] | None = None
    time_zone: Text255
    opening_times: dict[str, Any] | None = None
    charging_when_closed: bool | None = None
    images: list[Image] | None = None
    energy_mix: dict[str, Any] | None = None
    last_updated: Instant


class CdrLocation(OcpiModel):
    """Where a session was, as a CDR keeps it."""

    id: CiString36
    name: Text255 | None = None
    address: Text45
    city: Text45
    postal_code: Text10 | None = None
    state: Text20 | None = None
    country: Annotated[str, Field(min_length=3, max_length=3)]
    coordinates: GeoLocation
    evse_uid: CiString36
    evse_id: CiString48
    connector_id: CiString36
    connector_standard: str
    connector_format: str
    connector_power_type: str
