"""Sessions and CDRs. Source: OCPI 2.2.1 `mod_sessions`, `mod_cdrs`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from adapters.ocpi.models.base import (
    CiString2,
    CiString3,
    CiString36,
    CiString39,
    Currency,
    Instant,
    Number,
    OcpiModel,
    Price,
    Text36,
    Text255,
    Text512,
)
from adapters.ocpi.models.locations import CdrLocation
from adapters.ocpi.models.tariffs import Tariff
from adapters.ocpi.models.tokens import TokenType


class SessionStatus(StrEnum):
    """State of a session."""

    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"
    INVALID = "INVALID"
    PENDING = "PENDING"
    RESERVATION = "RESERVATION"


class AuthMethod(StrEnum):
    """How a session was allowed."""

    AUTH_REQUEST = "AUTH_REQUEST"
    COMMAND = "COMMAND"
    WHITELIST = "WHITELIST"


class CdrToken(OcpiModel):
    """Who charged."""

    country_code: CiString2
    party_id: CiString3
    uid: CiString36
    type: TokenType
    contract_id: CiString36


class CdrDimension(OcpiModel):
    """An amount in a period: energy in kWh, times in h, currents in A, power in kW."""

    type: str
    volume: Number


class ChargingPeriod(OcpiModel):
    """A stretch of a session."""

    start_date_time: Instant
    dimensions: Annotated[list[CdrDimension], Field(min_length=1)]
    tariff_id: CiString36 | None = None


class Session(OcpiModel):
    """A session while it runs and after."""

    country_code: CiString2
    party_id: CiString3
    id: CiString36
    start_date_time: Instant
    end_date_time: Instant | None = None
    kwh: Number
    cdr_token: CdrToken
    auth_method: AuthMethod
    authorization_reference: CiString36 | None = None
    location_id: CiString36
    evse_uid: CiString36
    connector_id: CiString36
    meter_id: Text255 | None = None
    currency: Currency
    charging_periods: list[ChargingPeriod] | None = None
    total_cost: Price | None = None
    status: SessionStatus
    last_updated: Instant


class SignedValue(OcpiModel):
    """A meter value with its signature."""

    nature: Annotated[str, Field(max_length=32)]
    plain_data: Text512
    signed_data: Annotated[str, Field(max_length=5000)]


class SignedData(OcpiModel):
    """Signed meter values, as the meter sent them."""

    encoding_method: Text36
    encoding_method_version: int | None = None
    public_key: Text512 | None = None
    signed_values: Annotated[list[SignedValue], Field(min_length=1)]
    url: Text512 | None = None


class Cdr(OcpiModel):
    """What is billed. Never changed; a wrong one is taken back by a credit CDR."""

    country_code: CiString2
    party_id: CiString3
    id: CiString39
    start_date_time: Instant
    end_date_time: Instant
    session_id: CiString36 | None = None
    cdr_token: CdrToken
    auth_method: AuthMethod
    authorization_reference: CiString36 | None = None
    cdr_location: CdrLocation
    meter_id: Text255 | None = None
    currency: Currency
    tariffs: list[Tariff] | None = None
    charging_periods: Annotated[list[ChargingPeriod], Field(min_length=1)]
    signed_data: SignedData | None = None
    total_cost: Price
    total_fixed_cost: Price | None = None
    total_energy: Number
    total_energy_cost: Price | None = None
    total_time: Number
    total_time_cost: Price | None = None
    total_parking_time: Number | None = None
    total_parking_cost: Price | None = None
    total_reservation_cost: Price | None = None
    remark: Text255 | None = None
    invoice_reference_id: CiString39 | None = None
    credit: bool | None = None
    credit_reference_id: CiString39 | None = None
    home_charging_compensation: bool | None = None
    last_updated: Instant


class ChargingPreferences(OcpiModel):
    """What a driver wants: the controller may use it, within every limit."""

    profile_type: str
    departure_time: Instant | None = None
    energy_need: Number | None = None
    """[kWh]"""
    discharge_allowed: bool | None = None


class ChargingPreferencesResponse(StrEnum):
    """What becomes of it."""

    ACCEPTED = "ACCEPTED"
    DEPARTURE_REQUIRED = "DEPARTURE_REQUIRED"
    ENERGY_NEED_REQUIRED = "ENERGY_NEED_REQUIRED"
    NOT_POSSIBLE = "NOT_POSSIBLE"
    PROFILE_TYPE_NOT_SUPPORTED = "PROFILE_TYPE_NOT_SUPPORTED"


__all__ = [
    "AuthMethod",
    "Cdr",
    "CdrDimension",
    "CdrToken",
    "ChargingPeriod",
    "ChargingPreferences",
    "ChargingPreferencesResponse",
    "Session",
    "SessionStatus",
    "SignedData",
    "SignedValue",
]
