"""What all keys of a site file are made of: types with their spelling rules, and strict maps."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

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


class Keys(BaseModel):
    """A map of known keys: others are refused, nothing is converted silently."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )
