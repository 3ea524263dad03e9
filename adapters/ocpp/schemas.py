"""Message schemas of OCPP 1.6 and 2.0.1, compiled: check, repair, and build payloads.

Inbound payloads are checked as they are; only what does not fit is repaired (`repairs.py`) and
checked again. Outbound payloads are never repaired: a wrong one is our mistake.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from importlib import resources
from typing import Any

import jsonschema_rs
import orjson
from ocpp.charge_point import snake_to_camel_case  # type: ignore[import-untyped]

from adapters.ocpp.frames import OCPP16, OCPP21, OCPP201
from adapters.ocpp.repairs import (
    DROP,
    REPAIRS,
    Drop,
    Repaired,
    default_for,
    dropped_part,
    enclosing_item,
)

_FOLDERS = {OCPP16: "v16", OCPP201: "v201", OCPP21: "v21"}
_REQUEST_SUFFIX = {OCPP16: "", OCPP201: "Request", OCPP21: "Request"}
_PASSES = 4
"""A repair may uncover the next defect; more rounds than this are garbage."""
_MAX_VALUES = 3000
"""Finding every error costs about 16 us each; larger payloads are repaired without their samples."""
_MAX_LIMIT = 1e7
"""Largest limit ever sent: 10 MW. [W]"""
_SAMPLE_LISTS = frozenset({"meterValue", "sampledValue", "transactionData"})
_CODES_201 = {
    "type": "TypeConstraintViolation",
    "required": "OccurrenceConstraintViolation",
    "minItems": "OccurrenceConstraintViolation",
    "maxItems": "OccurrenceConstraintViolation",
    "additionalProperties": "FormatViolation",
}
_CODES_16 = _CODES_201 | {
    "required": "OccurenceConstraintViolation",
    "minItems": "OccurenceConstraintViolation",
    "maxItems": "OccurenceConstraintViolation",
    "additionalProperties": "FormationViolation",
}
"""The misspelt names are those of OCPP-J 1.6, table 7."""
_CODES = {OCPP16: _CODES_16, OCPP201: _CODES_201, OCPP21: _CODES_201}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a payload is refused."""

    code: str
    """CALLERROR code of the version in use."""
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A payload after checking."""

    payload: dict[str, Any]
    repairs: tuple[str, ...] = ()
    """What was put right, one line each, without values."""
    fault: Fault | None = None


@cache
def actions(protocol: str) -> frozenset[str]:
    """Return the actions that a version knows."""
    suffix = "Response.json"
    folder = resources.files("ocpp") / _FOLDERS[protocol] / "schemas"
    return frozenset(
        entry.name.removesuffix(suffix) for entry in folder.iterdir() if entry.name.endswith(suffix)
    )


@cache
def _validator(protocol: str, action: str, answer: bool) -> jsonschema_rs.Draft4Validator:
    """Compile a schema once. `action` must be one of `actions`."""
    suffix = "Response" if answer else _REQUEST_SUFFIX[protocol]
    folder = resources.files("ocpp") / _FOLDERS[protocol] / "schemas"
    text = (folder / f"{action}{suffix}.json").read_text(encoding="utf-8-sig")
    schema = _relaxed("", orjson.loads(text))
    schema.pop("$schema", None)
    return jsonschema_rs.Draft4Validator(schema, validate_formats=False)


def _relaxed(name: str, schema: Any) -> Any:
    """Copy a schema without the keywords that are checked elsewhere.

    `multipleOf 0.1` cannot be decided on binary floats and stations answer with six decimals;
    `_limit_fault` does it for what we send. Empty sample lists carry nothing and harm nothing.
    """
    if isinstance(schema, list):
        return [_relaxed(name, entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    dropped = {"multipleOf", "$id", "id"} | ({"minItems"} if name in _SAMPLE_LISTS else set())
    if name == "properties":
        dropped = set()
    return {key: _relaxed(key, value) for key, value in schema.items() if key not in dropped}


def check_inbound(
    protocol: str, action: str, payload: dict[str, Any], *, answer: bool = False
) -> Checked:
    """Check what a station sent, repairing known defects.

    Args:
        protocol: `ocpp1.6` or `ocpp2.0.1`.
        action: As received; unknown ones are a fault.
        payload: As received; it is not changed.
        answer: The payload answers a CALL of ours.
    """
    if action not in actions(protocol):
        return _unknown(action, payload)
    validator = _validator(protocol, action, answer)
    if validator.is_valid(payload):
        return Checked(payload=payload)
    return _repaired(validator, protocol, orjson.loads(orjson.dumps(payload)))


def check_outbound(
    protocol: str, action: str, payload: dict[str, Any], *, answer: bool = False
) -> Checked:
    """Check what we are about to send; limits become exact decimals.

    Args:
        protocol: `ocpp1.6` or `ocpp2.0.1`.
        action: Name of the message.
        payload: Wire names; it is not changed.
        answer: The payload answers a CALL of the station.
    """
    if action not in actions(protocol):
        return _unknown(action, payload)
    validator = _validator(protocol, action, answer)
    if not validator.is_valid(payload):
        error = next(validator.iter_errors(payload))
        return Checked(payload=payload, fault=_fault(protocol, error))
    if answer or b'"limit"' not in orjson.dumps(payload):
        return Checked(payload=payload)
    exact = orjson.loads(orjson.dumps(payload))
    return Checked(payload=exact, fault=_limit_fault(exact))


def _unknown(action: str, payload: dict[str, Any]) -> Checked:
    description = f"{action[:40]} is not a message of this version"
    return Checked(payload=payload, fault=Fault(code="NotImplemented", description=description))


def _is_signalable(limit: float) -> bool:
    """Say whether a limit in amperes or watts is a multiple of 0.1 within reason."""
    if not math.isfinite(limit) or not 0 <= limit <= _MAX_LIMIT:
        return False
    return abs(limit * 10 - round(limit * 10)) < 1e-6


def _limit_fault(exact: Any) -> Fault | None:
    """Round every limit that is a decimal up to float noise, in place; anything else is a fault.

    Source: OCPP 1.6 SetChargingProfile, limit multipleOf 0.1. The same is asked of 2.0.1, because
    stations store one decimal.
    """
    if type(exact) is dict:
        if "limit" in exact:
            limit = exact["limit"]
            # JSON has no NaN and no infinity: the copy holds nothing where they were.
            if limit is None or (isinstance(limit, int | float) and not _is_signalable(limit)):
                return Fault(
                    code="PropertyConstraintViolation",
                    description=f"limit {limit} is not a multiple of 0.1 from 0",
                )
            if isinstance(limit, int | float):
                exact["limit"] = round(limit, 1)
        children = exact.values()
    else:
        children = exact
    for child in children:
        if type(child) is dict or type(child) is list:
            fault = _limit_fault(child)
            if fault is not None:
                return fault
    return None


# --- repairing --------------------------------------------------------------------------------------


def _repaired(
    validator: jsonschema_rs.Draft4Validator, protocol: str, payload: dict[str, Any]
) -> Checked:
    """Repair in rounds until the payload is valid or a round changes nothing for the better."""
    notes: dict[str, None] = {}
    first_fault: Fault | None = None
    if _exceeds(payload, _MAX_VALUES):
        payload = {k: [] if k in _SAMPLE_LISTS else v for k, v in payload.items()}
        notes["too large to repair, samples left out"] = None
        if _exceeds(payload, _MAX_VALUES):
            return Checked(payload=payload, repairs=tuple(notes), fault=_too_large(protocol))
    for _ in range(_PASSES):
        errors = list(validator.iter_errors(payload))
        if not errors:
            return Checked(payload=payload, repairs=tuple(notes))
        unusable = False
        for part, note, error in _mend(payload, errors):
            notes[note] = None
            if part is not None:
                first_fault = first_fault or _fault(protocol, error)
                unusable = unusable or not part
        if unusable:
            break
    fault = first_fault or _fault(protocol, next(validator.iter_errors(payload)))
    return Checked(payload=payload, repairs=tuple(notes), fault=fault)


def _exceeds(payload: dict[str, Any], limit: int) -> bool:
    """Say whether a payload holds more values than a limit."""
    count = 0
    waiting: list[Any] = [payload]
    while waiting:
        value = waiting.pop()
        children = value.values() if isinstance(value, dict) else value
        count += len(children)
        if count > limit:
            return True
        waiting.extend(child for child in children if isinstance(child, dict | list))
    return False


def _too_large(protocol: str) -> Fault:
    code = _CODES[protocol]["additionalProperties"]
    return Fault(code=code, description="not valid, and too large to repair")


_Mended = tuple[list[str | int] | None, str, jsonschema_rs.ValidationError]


def _mend(payload: dict[str, Any], errors: list[jsonschema_rs.ValidationError]) -> list[_Mended]:
    """Repair what can be repaired, delete the rest.

    Returns:
        Per error the path deleted (None: repaired; empty: nothing could be deleted) and a note.
    """
    outcomes: list[_Mended] = []
    doomed: list[list[str | int]] = []
    for error in errors:
        path = list(error.instance_path)
        note = f"{_spelled(path)}: {error.kind.name}"
        if _mend_in_place(payload, path, error):
            outcomes.append((None, note, error))
            continue
        item = error.kind.name in ("required", "minItems")
        part = dropped_part(enclosing_item(path) if item else path) if path else []
        doomed.append(part)
        outcomes.append((part, note, error))
    _delete(payload, [part for part in doomed if part])
    return outcomes


def _mend_in_place(
    payload: dict[str, Any], path: list[str | int], error: jsonschema_rs.ValidationError
) -> bool:
    """Repair one value; False when only leaving it out remains."""
    keyword = error.kind.name
    if keyword == "additionalProperties":
        target = _at(payload, path)
        for name in error.kind.value:
            target.pop(name, None)
        return True
    if keyword == "required":
        missing = error.kind.value
        return _put(_at(payload, path), missing, default_for(missing))
    repair = REPAIRS.get(keyword)
    if repair is None or not path:
        return False
    name = str(path[-1]) if isinstance(path[-1], str) else ""
    parent = _at(payload, path[:-1])
    return _put(parent, path[-1], repair(name, parent[path[-1]], error.kind.value))


def _put(parent: Any, key: Any, outcome: Repaired | Drop) -> bool:
    if outcome == DROP or not isinstance(outcome, Repaired):
        return False
    parent[key] = outcome.value
    return True


def _at(payload: Any, path: list[str | int]) -> Any:
    for key in path:
        payload = payload[key]
    return payload


def _delete(payload: dict[str, Any], parts: list[list[str | int]]) -> None:
    """Delete parts, later list items first, so that the paths of the others stay true."""
    unique = {tuple(part): part for part in parts}
    for key in sorted(unique, key=_deletion_order, reverse=True):
        parent = _at(payload, unique[key][:-1])
        del parent[key[-1]]


def _deletion_order(path: tuple[str | int, ...]) -> tuple[tuple[int, int, str], ...]:
    return tuple((0, key, "") if isinstance(key, int) else (1, 0, key) for key in path)


def _fault(protocol: str, error: jsonschema_rs.ValidationError) -> Fault:
    keyword = error.kind.name
    code = _CODES[protocol].get(keyword, "PropertyConstraintViolation")
    subject = f": {error.kind.value}" if keyword == "required" else ""
    return Fault(code=code, description=f"{_spelled(error.instance_path)}: {keyword}{subject}")


def _spelled(path: list[str | int]) -> str:
    """Write a path without list positions, bounded: it goes into logs and answers."""
    return "/".join("*" if isinstance(key, int) else key for key in path)[:120] or "payload"


# --- building ---------------------------------------------------------------------------------------


@cache
def _wire_name(name: str) -> str:
    """Convert one attribute name of the library's dataclasses to its wire name."""
    return str(next(iter(snake_to_camel_case({name: None}))))


def payload_of(message: Any) -> dict[str, Any]:
    """Build the wire payload of a dataclass of `ocpp.v16` or `ocpp.v201`.

    Absent (None) members are left out, enumerations become their text.
    """
    return dict(_members(message))


def _members(message: Any) -> Iterator[tuple[str, Any]]:
    for member in fields(message):
        value = getattr(message, member.name)
        if value is not None:
            yield _wire_name(member.name), _wire_value(value)


def _wire_value(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return payload_of(value)
    if isinstance(value, dict):
        return {_wire_name(k): _wire_value(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [_wire_value(entry) for entry in value if entry is not None]
    return value
