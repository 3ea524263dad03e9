"""Versions, credentials and hub clients. Source: OCPI 2.2.1 `version_information_endpoint`, `credentials`, `mod_hub_client_info`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from adapters.ocpi.models.base import (
    BusinessDetails,
    CiString2,
    CiString3,
    Instant,
    OcpiModel,
    Text64,
    Url,
)


class PartyRole(StrEnum):
    """What a party does."""

    CPO = "CPO"
    EMSP = "EMSP"
    HUB = "HUB"
    NAP = "NAP"
    NSP = "NSP"
    OTHER = "OTHER"
    SCSP = "SCSP"


class CredentialsRole(OcpiModel):
    """A party behind a connection."""

    role: PartyRole
    business_details: BusinessDetails
    party_id: CiString3
    country_code: CiString2


class Credentials(OcpiModel):
    """What two platforms give each other."""

    token: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$")]
    url: Url
    hub_party_id: str | None = None
    """2.3.0: country code and party id of the hub."""
    roles: Annotated[list[CredentialsRole], Field(min_length=1, max_length=100)]


class Credentials211(OcpiModel):
    """The same in 2.1.1: one party per connection."""

    token: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$")]
    url: Url
    business_details: BusinessDetails
    party_id: CiString3
    country_code: CiString2


class Version(OcpiModel):
    """A version and where its details are."""

    version: Text64
    url: Url


class Endpoint(OcpiModel):
    """A module's address."""

    identifier: Text64
    role: Annotated[str, Field(pattern="^(SENDER|RECEIVER)$")] | None = None
    """Absent in 2.1.1."""
    url: Url


class VersionDetails(OcpiModel):
    """All modules of a version."""

    version: Text64
    endpoints: Annotated[list[Endpoint], Field(min_length=1, max_length=100)]


class ClientInfo(OcpiModel):
    """State of a party behind a hub."""

    party_id: CiString3
    country_code: CiString2
    role: PartyRole
    status: Annotated[str, Field(pattern="^(CONNECTED|OFFLINE|PLANNED|SUSPENDED)$")]
    last_updated: Instant
