"""Tariffs. Source: OCPI 2.2.1 `mod_tariffs`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from adapters.ocpi.models.base import (
    CiString2,
    CiString3,
    CiString36,
    Currency,
    DisplayText,
    Instant,
    Number,
    OcpiModel,
    Price,
    Url,
)

_TIME = r"^([0-1][0-9]|2[0-3]):[0-5][0-9]$"
_END = r"^([0-1][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"
"""24:00 stands in examples of the specification, against its own pattern."""
_DATE = r"^([12][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"


class TariffDimensionType(StrEnum):
    """What a price is for."""

    ENERGY = "ENERGY"
    FLAT = "FLAT"
    PARKING_TIME = "PARKING_TIME"
    TIME = "TIME"


class PriceComponent(OcpiModel):
    """A price."""

    type: TariffDimensionType
    price: Number
    vat: Number | None = None
    step_size: int


class TariffRestrictions(OcpiModel):
    """When an element counts."""

    start_time: Annotated[str, Field(pattern=_TIME)] | None = None
    end_time: Annotated[str, Field(pattern=_END)] | None = None
    start_date: Annotated[str, Field(pattern=_DATE)] | None = None
    end_date: Annotated[str, Field(pattern=_DATE)] | None = None
    min_kwh: Number | None = None
    max_kwh: Number | None = None
    min_current: Number | None = None
    max_current: Number | None = None
    min_power: Number | None = None
    max_power: Number | None = None
    min_duration: int | None = None
    max_duration: int | None = None
    day_of_week: list[str] | None = None
    reservation: str | None = None


class TariffElement(OcpiModel):
    """Prices that count together."""

    price_components: Annotated[list[PriceComponent], Field(min_length=1)]
    restrictions: TariffRestrictions | None = None


class Tariff(OcpiModel):
    """A tariff."""

    country_code: CiString2
    party_id: CiString3
    id: CiString36
    currency: Currency
    type: str | None = None
    tariff_alt_text: list[DisplayText] | None = None
    tariff_alt_url: Url | None = None
    min_price: Price | None = None
    max_price: Price | None = None
    elements: Annotated[list[TariffElement], Field(min_length=1)]
    start_date_time: Instant | None = None
    end_date_time: Instant | None = None
    energy_mix: dict[str, Any] | None = None
    tax_included: str | None = None
    """2.3.0: `YES`, `NO` or `N/A`."""
    last_updated: Instant
