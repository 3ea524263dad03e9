"""What all objects share: text, times, numbers and prices as OCPI writes them.

Source: OCPI 2.2.1 `types`. Fields that are not known are accepted and dropped, as `transport_and_format` asks.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
)

_PRINTABLE = re.compile(r"[\x20-\x7e]*")


class OcpiModel(BaseModel):
    """An object of the protocol."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    def as_json(self) -> dict[str, Any]:
        """Return what goes over the wire: absent instead of null."""
        return self.model_dump(mode="json", exclude_none=True)


def _instant(value: object) -> object:
    """Read a time; without an offset it is UTC, and offsets other than UTC are refused by the format."""
    if isinstance(value, str):
        if len(value) > 25:
            raise ValueError("a time has at most 25 characters")
        parsed = datetime.fromisoformat(value)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    return value


def time_text(at: datetime) -> str:
    """Write a time: UTC, at most milliseconds."""
    at = at.astimezone(UTC)
    text = at.strftime("%Y-%m-%dT%H:%M:%S")
    millis = at.microsecond // 1000
    return f"{text}.{millis:03}Z" if millis else f"{text}Z"


def _printable(value: str) -> str:
    if not _PRINTABLE.fullmatch(value):
        raise ValueError("only printable ASCII is allowed")
    return value


def _number(value: Decimal) -> float | int:
    return int(value) if value == value.to_integral_value() else float(value)


def _decimal(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise ValueError("a number is needed")
    number = Decimal(str(value))
    if not number.is_finite() or abs(number) >= Decimal(10) ** 12:
        raise ValueError("a finite number below 10^12 is needed")
    return number


Instant = Annotated[
    datetime, BeforeValidator(_instant), PlainSerializer(time_text, return_type=str)
]
Number = Annotated[
    Decimal, BeforeValidator(_decimal), PlainSerializer(_number, return_type=float | int)
]
CiString2 = Annotated[str, Field(min_length=2, max_length=2), AfterValidator(_printable)]
CiString3 = Annotated[str, Field(min_length=3, max_length=3), AfterValidator(_printable)]
CiString20 = Annotated[str, Field(min_length=1, max_length=20), AfterValidator(_printable)]
CiString36 = Annotated[str, Field(min_length=1, max_length=36), AfterValidator(_printable)]
CiString39 = Annotated[str, Field(min_length=1, max_length=39), AfterValidator(_printable)]
CiString48 = Annotated[str, Field(min_length=1, max_length=48), AfterValidator(_printable)]
Text10 = Annotated[str, Field(max_length=10)]
Text20 = Annotated[str, Field(max_length=20)]
Text36 = Annotated[str, Field(max_length=36)]
Text45 = Annotated[str, Field(max_length=45)]
Text64 = Annotated[str, Field(max_length=64)]
Text100 = Annotated[str, Field(max_length=100)]
Text255 = Annotated[str, Field(max_length=255)]
Text512 = Annotated[str, Field(max_length=512)]
Url = Annotated[str, Field(min_length=1, max_length=255)]
"""Checked by `guard` before it is ever called."""
Currency = Annotated[str, Field(min_length=3, max_length=3)]


class DisplayText(OcpiModel):
    """A text in a language."""

    language: Annotated[str, Field(min_length=2, max_length=2)]
    text: Text512


class Price(OcpiModel):
    """An amount without, and where it is known with, VAT."""

    excl_vat: Number
    incl_vat: Number | None = None


class Image(OcpiModel):
    """A picture."""

    url: Url
    thumbnail: Url | None = None
    category: str
    type: Annotated[str, Field(max_length=4)]
    width: int | None = None
    height: int | None = None


class BusinessDetails(OcpiModel):
    """Who somebody is."""

    name: Text100
    website: Url | None = None
    logo: Image | None = None
