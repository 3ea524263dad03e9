"""Commands and charging profiles. Source: OCPI 2.2.1 `mod_commands`, `mod_charging_profiles`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from adapters.ocpi.models.base import (
    CiString36,
    DisplayText,
    Instant,
    Number,
    OcpiModel,
    Url,
)
from adapters.ocpi.models.tokens import Token


class CommandType(StrEnum):
    """What a partner may ask for."""

    CANCEL_RESERVATION = "CANCEL_RESERVATION"
    RESERVE_NOW = "RESERVE_NOW"
    START_SESSION = "START_SESSION"
    STOP_SESSION = "STOP_SESSION"
    UNLOCK_CONNECTOR = "UNLOCK_CONNECTOR"


class StartSession(OcpiModel):
    """Let a customer charge."""

    response_url: Url
    token: Token
    location_id: CiString36
    evse_uid: CiString36 | None = None
    connector_id: CiString36 | None = None
    authorization_reference: CiString36 | None = None


class StopSession(OcpiModel):
    """End a session."""

    response_url: Url
    session_id: CiString36


class UnlockConnector(OcpiModel):
    """Set a cable free."""

    response_url: Url
    location_id: CiString36
    evse_uid: CiString36
    connector_id: CiString36


class ReserveNow(OcpiModel):
    """Keep a place free."""

    response_url: Url
    token: Token
    expiry_date: Instant
    reservation_id: CiString36
    location_id: CiString36
    evse_uid: CiString36 | None = None
    authorization_reference: CiString36 | None = None


class CancelReservation(OcpiModel):
    """Give a place back."""

    response_url: Url
    reservation_id: CiString36


class CommandResponseType(StrEnum):
    """The answer at once."""

    ACCEPTED = "ACCEPTED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    REJECTED = "REJECTED"
    UNKNOWN_SESSION = "UNKNOWN_SESSION"


class CommandResultType(StrEnum):
    """What came of it."""

    ACCEPTED = "ACCEPTED"
    CANCELED_RESERVATION = "CANCELED_RESERVATION"
    EVSE_OCCUPIED = "EVSE_OCCUPIED"
    EVSE_INOPERATIVE = "EVSE_INOPERATIVE"
    FAILED = "FAILED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    REJECTED = "REJECTED"
    TIMEOUT = "TIMEOUT"
    UNKNOWN_RESERVATION = "UNKNOWN_RESERVATION"


class CommandResponse(OcpiModel):
    """The answer at once."""

    result: CommandResponseType
    timeout: int
    message: list[DisplayText] | None = None


class CommandResult(OcpiModel):
    """What came of it, sent to the partner's address."""

    result: CommandResultType
    message: list[DisplayText] | None = None


class ChargingProfilePeriod(OcpiModel):
    """From when on which limit counts."""

    start_period: Annotated[int, Field(ge=0)]
    limit: Number


class ChargingProfile(OcpiModel):
    """A partner's limit for a session: it can only lower."""

    start_date_time: Instant | None = None
    duration: Annotated[int, Field(ge=0)] | None = None
    charging_rate_unit: Annotated[str, Field(pattern="^[AW]$")]
    min_charging_rate: Number | None = None
    charging_profile_period: Annotated[
        tuple[ChargingProfilePeriod, ...], Field(max_length=1024)
    ] = ()


class SetChargingProfile(OcpiModel):
    """Put a profile on a session."""

    charging_profile: ChargingProfile
    response_url: Url


class ChargingProfileResponseType(StrEnum):
    """The answer at once."""

    ACCEPTED = "ACCEPTED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    REJECTED = "REJECTED"
    TOO_OFTEN = "TOO_OFTEN"
    UNKNOWN_SESSION = "UNKNOWN_SESSION"


class ChargingProfileResponse(OcpiModel):
    """The answer at once."""

    result: ChargingProfileResponseType
    timeout: int


class ChargingProfileResultType(StrEnum):
    """What came of it."""

    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"


class ActiveChargingProfile(OcpiModel):
    """What a session may take from now on."""

    start_date_time: Instant
    charging_profile: ChargingProfile


class ChargingProfileResult(OcpiModel):
    """What came of a profile."""

    result: ChargingProfileResultType


class ActiveChargingProfileResult(OcpiModel):
    """What a partner asked to see."""

    result: ChargingProfileResultType
    profile: ActiveChargingProfile | None = None
