"""What all keys of a site file are made of: types with their spelling rules, and strict maps."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from adapters.config import spelling

Name = Annotated[
    str,
    AfterValidator(spelling.check_name),
    Field(json_schema_extra={"pattern": spelling.NAME_PATTERN}),
]
StationKey = Annotated[
    str,
    AfterValidator(spelling.check_station_id),
    Field(json_schema_extra={"pattern": spelling.STATION_PATTERN}),
]
EvseNumber = Annotated[
    str,
    AfterValidator(spelling.check_evse_number),
    Field(json_schema_extra={"pattern": spelling.EVSE_NUMBER_PATTERN}),
]
Variable = Annotated[
    str,
    AfterValidator(spelling.check_variable),
    Field(json_schema_extra={"pattern": spelling.VARIABLE_PATTERN}),
]
Label = Annotated[
    str,
    Field(max_length=200, json_schema_extra={"minLength": 1}),
    AfterValidator(spelling.check_filled),
]
Listen = Annotated[str, AfterValidator(spelling.check_listen)]
Rating = Annotated[float, Field(gt=0, le=10_000)]
Current = Annotated[float, Field(ge=0, le=10_000)]


def _setting_text(value: object) -> object:
    """Write numbers and truth values as stations do: `300`, `true`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


Vendor = Annotated[str, Field(min_length=1, max_length=255)]
"""A vendor id of OCPP, as the station writes it."""
SettingName = Annotated[str, Field(min_length=1, max_length=200)]
Setting = Annotated[
    str,
    BeforeValidator(_setting_text),
    Field(max_length=2500, json_schema_extra={"type": ["string", "integer", "number", "boolean"]}),
]
"""A setting of a station, as text."""


class Keys(BaseModel):
    """A map of known keys: others are refused, nothing is converted silently."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )
