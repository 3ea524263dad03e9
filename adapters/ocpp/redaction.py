"""Takes secrets out of frames before anyone may look at them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

MAX_TEXT: Final = 4096
"""Longer frames are cut in the log. [character]"""
HIDDEN: Final = "***"

_TOKEN_NAMES: Final = frozenset(
    {"idtag", "idtoken", "parentidtag", "groupidtoken", "additionalidtoken"}
)
_SECRET_NAME: Final = re.compile(
    r"password|authorizationkey|secret|csr|certificate$|certificatechain|apikey|signedmeterdata",
    re.I,
)
_SECRET_SETTING: Final = re.compile(r"authorizationkey|password|secret|apikey", re.I)
"""Names of configuration keys and variables whose value is a secret."""
_SETTING_VALUES: Final = ("value", "attributeValue", "variableAttribute")
_EMPTY_RESULT: Final = 48
"""Longest CALLRESULT without a payload: type and unique id only. [byte]"""
_SUSPECTS: Final = (
    b"idtag",
    b"idtoken",
    b"password",
    b"authorizationkey",
    b"secret",
    b"csr",
    b"certificate",
    b"apikey",
    b"signed",
    b"ocmf",
    b"://",
    b"\\u",
)
"""Lower case; a plain search for each is ten times as fast as one expression for all."""
_URL_CREDENTIALS: Final = re.compile(r"(?<=://)[^/?#\s]*@")
_UPLOAD_CREDENTIALS: Final = re.compile(r"(?<=/uploads/)[^/?#\s]+")
"""One-time credentials in the URLs of our own receiver."""


_MAX_NUMBER: Final = 40
"""A sampled value that is longer is no number but a signed record. [character]"""
_PLAIN_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "Heartbeat": frozenset(),
    "MeterValues": frozenset({"connectorId", "evseId", "transactionId", "meterValue"}),
    "TransactionEvent": frozenset(
        {
            "eventType",
            "timestamp",
            "triggerReason",
            "seqNo",
            "offline",
            "numberOfPhasesUsed",
            "cableMaxCurrent",
            "reservationId",
            "transactionInfo",
            "evse",
            "meterValue",
        }
    ),
}
"""Messages that come by the thousand, and their fields that hold no token and no secret."""
_PARTS: Final = frozenset(
    {
        "transactionId",
        "chargingState",
        "timeSpentCharging",
        "stoppedReason",
        "remoteStartId",
        "id",
        "connectorId",
    }
)
"""Fields of `transactionInfo` and `evse`."""
_METER_VALUE: Final = frozenset({"timestamp", "sampledValue"})
_SAMPLED: Final = frozenset(
    {"value", "context", "measurand", "phase", "location", "unit", "unitOfMeasure", "format"}
)
"""Fields that hold no token and no secret, as OCPP 1.6 and 2.0.1 name them."""
_UNIT_OF_MEASURE: Final = frozenset({"unit", "multiplier"})
_NUMBERS: Final = (int, float, bool)


def redacted(raw: bytes, action: str = "", payload: Mapping[str, Any] | None = None) -> str:
    """Return a frame as text for the log: no secrets, tokens shortened, bounded.

    Signed meter values are hidden too: their formats (OCMF for one) hold the id token of the driver.
    A frame that cannot be read is described, not shown, when it might hold a secret.

    Args:
        raw: The frame.
        action: Its action, as far as it is known.
        payload: Its payload, where it has been parsed: it saves the search in plain meter values,
            which come by the thousand.
    """
    if payload is not None and _is_plain(action, payload):
        return raw[:MAX_TEXT].decode(errors="replace")
    if len(raw) <= _EMPTY_RESULT and raw.endswith(b",{}]"):
        return raw.decode(errors="replace")
    lowered = raw.lower()
    if not any(suspect in lowered for suspect in _SUSPECTS):
        return raw[:MAX_TEXT].decode(errors="replace")
    try:
        message = orjson.loads(raw.strip(b"\x00\xef\xbb\xbf \t\r\n"))
        return orjson.dumps(_clean("", message)).decode()[:MAX_TEXT]
    except (ValueError, RecursionError):
        return f"({len(raw)} bytes, not shown: unreadable)"


def _is_plain(action: str, payload: Mapping[str, Any]) -> bool:
    """Tell whether a payload has nothing but fields in which nobody looks for a secret."""
    fields = _PLAIN_FIELDS.get(action)
    if fields is None or not payload.keys() <= fields:
        return False
    for name, value in payload.items():
        if name == "meterValue":
            if type(value) is not list or not all(map(_is_plain_element, value)):
                return False
        elif not _is_plain_field(value):
            return False
    return True


def _is_plain_field(value: Any) -> bool:
    """Tell whether a value is a number, a short text, or an object of such with names we know."""
    if type(value) is str:
        return len(value) <= _MAX_NUMBER
    if type(value) is dict:
        return value.keys() <= _PARTS and all(
            type(v) in _NUMBERS or (type(v) is str and len(v) <= _MAX_NUMBER)
            for v in value.values()
        )
    return type(value) in _NUMBERS


def _is_plain_element(element: Any) -> bool:
    if type(element) is not dict or not element.keys() <= _METER_VALUE:
        return False
    samples = element.get("sampledValue")
    return type(samples) is list and all(map(_is_plain_sample, samples))


def _is_plain_sample(sample: Any) -> bool:
    if type(sample) is not dict or not sample.keys() <= _SAMPLED:
        return False
    if sample.get("format") == "SignedData":
        return False
    for value in sample.values():
        if type(value) is str:
            if len(value) > _MAX_NUMBER:
                return False
        elif type(value) is dict:
            if not value.keys() <= _UNIT_OF_MEASURE:
                return False
        elif type(value) not in _NUMBERS:
            return False
    return True


def shortened(token: str) -> str:
    """Return the beginning of an id token."""
    return f"{token[:4]}…" if len(token) > 4 else "…"


def _clean(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        cleaned = _clean_object(value)
        return _without_record(cleaned) if name == "sampledValue" else cleaned
    if isinstance(value, list):
        return [_clean(name, entry) for entry in value]
    if not isinstance(value, str):
        return value
    if name.lower() in _TOKEN_NAMES:
        return shortened(value)
    if _SECRET_NAME.search(name):
        return HIDDEN
    if "://" not in value:
        return value
    return _UPLOAD_CREDENTIALS.sub(HIDDEN, _URL_CREDENTIALS.sub(f"{HIDDEN}@", value))


def _without_record(sample: dict[str, Any]) -> dict[str, Any]:
    """Hide a value that is no number."""
    value = sample.get("value")
    is_record = sample.get("format") == "SignedData" or len(str(value)) > _MAX_NUMBER
    return {**sample, "value": HIDDEN} if "value" in sample and is_record else sample


def _clean_object(value: dict[str, Any]) -> dict[str, Any]:
    setting = value.get("key")
    variable = value.get("variable")
    if isinstance(variable, dict):
        setting = variable.get("name")
    cleaned = {key: _clean(key, entry) for key, entry in value.items()}
    if isinstance(setting, str) and _SECRET_SETTING.search(setting):
        cleaned |= {key: HIDDEN for key in _SETTING_VALUES if key in cleaned}
    return cleaned
