"""Tokens and their real-time authorisation. Source: OCPI 2.2.1 `mod_tokens`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from adapters.ocpi.models.base import (
    CiString2,
    CiString3,
    CiString36,
    DisplayText,
    Instant,
    OcpiModel,
    Text64,
)


class TokenType(StrEnum):
    """What a token is."""

    AD_HOC_USER = "AD_HOC_USER"
    APP_USER = "APP_USER"
    OTHER = "OTHER"
    RFID = "RFID"


class Whitelist(StrEnum):
    """Who decides whether a token may charge."""

    ALWAYS = "ALWAYS"
    """We do, always."""
    ALLOWED = "ALLOWED"
    """We may, or ask."""
    ALLOWED_OFFLINE = "ALLOWED_OFFLINE"
    """We ask; while the partner cannot be reached, we may."""
    NEVER = "NEVER"
    """We ask; while the partner cannot be reached, nobody charges."""


class EnergyContract(OcpiModel):
    """A driver's own supplier."""

    supplier_name: Text64
    contract_id: Text64 | None = None


class Token(OcpiModel):
    """An id token of a partner's customer."""

    country_code: CiString2
    party_id: CiString3
    uid: CiString36
    type: TokenType
    contract_id: CiString36
    visual_number: Text64 | None = None
    issuer: Text64
    group_id: CiString36 | None = None
    valid: bool
    whitelist: Whitelist
    language: Annotated[str, Field(min_length=2, max_length=2)] | None = None
    default_profile_type: str | None = None
    energy_contract: EnergyContract | None = None
    last_updated: Instant


class LocationReferences(OcpiModel):
    """Where a token wants to charge."""

    location_id: CiString36
    evse_uids: list[CiString36] | None = None


class AllowedType(StrEnum):
    """A partner's answer."""

    ALLOWED = "ALLOWED"
    BLOCKED = "BLOCKED"
    EXPIRED = "EXPIRED"
    NO_CREDIT = "NO_CREDIT"
    NOT_ALLOWED = "NOT_ALLOWED"


class AuthorizationInfo(OcpiModel):
    """A partner's answer to a request for authorisation."""

    allowed: AllowedType
    token: Token
    location: LocationReferences | None = None
    authorization_reference: CiString36 | None = None
    info: DisplayText | None = None
