"""What a station of OCPP 2.0.1 said about itself: its device model, as kept from its last report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import AwareDatetime

from adapters.http.models import Answer
from controller.desired import SECRET

KIND: Final = "station_variables"
"""Kind of the document that holds a station's report."""


class VariableOut(Answer):
    """One variable with its value."""

    name: str
    """`Component.Variable`, with `[instance]` behind either and `@evse` behind the component."""
    type: str
    """`Actual`, `Target`, `MinSet` or `MaxSet`."""
    value: str | None
    """Null: it has none, or it is secret."""
    mutability: str
    """`ReadOnly`, `WriteOnly` or `ReadWrite`."""
    unit: str | None
    data_type: str | None
    choices: str | None
    """Values that it takes, as the station lists them."""


class VariablesOut(Answer):
    """A page of a station's variables, by name."""

    at: AwareDatetime | None
    """When its report came; null: none has come. Ask for one with `POST .../report`."""
    items: list[VariableOut]
    next_offset: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceModel:
    """The last whole report of a station."""

    at: str | None = None
    variables: tuple[VariableOut, ...] = ()


def device_model(body: str | None) -> DeviceModel:
    """Read a kept report; what does not make sense in it is left out.

    Args:
        body: The document, as it was kept. None: there is none.
    """
    if body is None:
        return DeviceModel()
    kept = json.loads(body)
    rows = (row for entry in kept.get("items", ()) for row in _variables(entry))
    variables = tuple(sorted(rows, key=lambda v: (v.name, v.type)))
    return DeviceModel(at=kept.get("at"), variables=variables)


def _variables(entry: Mapping[str, Any]) -> Iterator[VariableOut]:
    name = _name(entry["component"], entry["variable"])
    traits = entry.get("variableCharacteristics") or {}
    for attribute in entry.get("variableAttribute") or ():
        value = attribute.get("value")
        yield VariableOut(
            name=name,
            type=attribute.get("type", "Actual"),
            value=None if value is None or SECRET.search(name) else str(value),
            mutability=attribute.get("mutability", "ReadWrite"),
            unit=traits.get("unit"),
            data_type=traits.get("dataType"),
            choices=traits.get("valuesList"),
        )


def _name(component: Mapping[str, Any], variable: Mapping[str, Any]) -> str:
    evse = component.get("evse")
    at = f"@{evse['id']}" if evse else ""
    return f"{component['name']}{_instance(component)}{at}.{variable['name']}{_instance(variable)}"


def _instance(place: Mapping[str, Any]) -> str:
    return f"[{place['instance']}]" if place.get("instance") else ""
