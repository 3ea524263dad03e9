"""Known field defects of charging stations and how each is put right before validation.

Every repair is a pure function of the offending value and what the schema said about it. Repairs
are looked up by schema keyword in `REPAIRS`.

Evidence: mobilityhouse/ocpp 353, 361, 466, 582; lbbrhzn/ocpp 213, 1144, 1248, 1576, 1627.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Drop = Literal["drop"]
DROP: Final[Drop] = "drop"
"""The value is beyond repair: leave it out where the schema can do without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """A value to put in place of the offending one."""

    value: Any


Repair = Callable[[str, Any, Any], Repaired | Drop]
"""(name of the property, offending value, what the schema allows) -> the outcome."""

_ENUM_ALIASES: Final[Mapping[tuple[str, str], str]] = {
    ("unit", "hz"): "Hertz",
    ("unit", "celcius"): "Celsius",
    ("unit", "°c"): "Celsius",
    ("unit", "%"): "Percent",
    ("unit", "amp"): "A",
    ("unit", "amps"): "A",
    ("unit", "ampere"): "A",
    ("unit", "volt"): "V",
    ("unit", "volts"): "V",
    ("unit", "watt"): "W",
    ("unit", "watts"): "W",
    ("status", "error"): "Faulted",
}
_ENUM_OTHERS: Final[Mapping[str, str]] = {"errorCode": "OtherError", "connectorStatus": "Faulted"}
"""What an unknown value of a required enumeration stands for."""
_REQUIRED_DEFAULTS: Final[Mapping[str, Any]] = {"timestamp": ""}
"""Required properties that may be missing: an empty time is read as no time."""


def fit_type(name: str, value: Any, types: tuple[str, ...]) -> Repaired | Drop:
    """Convert a value to the type the schema wants, where nothing is lost."""
    for wanted in types:
        convert = _CONVERSIONS.get(wanted)
        converted = convert(value) if convert else None
        if converted is not None:
            return Repaired(value=converted)
    return Repaired(value=_REQUIRED_DEFAULTS[name]) if name in _REQUIRED_DEFAULTS else DROP


def cut_text(_name: str, value: Any, limit: int) -> Repaired | Drop:
    """Cut a text that is too long."""
    return Repaired(value=value.strip()[:limit]) if isinstance(value, str) else DROP


def match_option(name: str, value: Any, options: list[Any]) -> Repaired | Drop:
    """Find the option that is meant, ignoring case and blanks."""
    if isinstance(value, str):
        folded = value.strip().casefold()
        alias = _ENUM_ALIASES.get((name, folded))
        if alias in options:
            return Repaired(value=alias)
        for option in options:
            if isinstance(option, str) and option.casefold() == folded:
                return Repaired(value=option)
    other = _ENUM_OTHERS.get(name)
    return Repaired(value=other) if other in options else DROP


def _to_text(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return None


def _to_number(value: Any) -> int | float | None:
    try:
        number = float(value) if isinstance(value, str) and len(value) <= 32 else None
    except ValueError:
        return None
    if number is None or not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number


def _to_integer(value: Any) -> int | None:
    number = value if isinstance(value, float) else _to_number(value)
    return int(number) if number is not None and float(number).is_integer() else None


def _to_boolean(value: Any) -> bool | None:
    text = str(value).strip().casefold() if isinstance(value, str | int) else ""
    return {"true": True, "1": True, "false": False, "0": False}.get(text)


def _to_array(value: Any) -> list[Any] | None:
    return [value] if isinstance(value, dict) else None


_CONVERSIONS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "string": _to_text,
    "integer": _to_integer,
    "number": _to_number,
    "boolean": _to_boolean,
    "array": _to_array,
}

REPAIRS: Final[Mapping[str, Repair]] = {
    "type": fit_type,
    "maxLength": cut_text,
    "enum": match_option,
}


def default_for(missing: str) -> Repaired | Drop:
    """Say what stands in for a missing required property; `DROP`: nothing can."""
    if missing in _REQUIRED_DEFAULTS:
        return Repaired(value=_REQUIRED_DEFAULTS[missing])
    return DROP


def dropped_part(path: list[str | int]) -> list[str | int]:
    """Choose what to leave out when the value at a path is beyond repair.

    A sample goes as a whole: without its measurand, phase or unit it would be read as something
    else. Elsewhere the property goes, or the list item that misses one.

    Returns:
        The path of the part to delete; empty when the whole message is unusable.
    """
    if "sampledValue" in path and path[-1] != "context":
        index = path.index("sampledValue") + 2
        return path[:index]
    return path


def enclosing_item(path: list[str | int]) -> list[str | int]:
    """Return the path of the innermost list item that holds a path; empty when there is none."""
    for end in range(len(path), 0, -1):
        if isinstance(path[end - 1], int):
            return path[:end]
    return []
