"""OCPP-J frames: bytes in, typed frames out, and back. No IO.

Source: OCPP-J 1.6 section 4; OCPP 2.0.1 part 4 section 4.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

OCPP16 = "ocpp1.6"
OCPP201 = "ocpp2.0.1"
OCPP21 = "ocpp2.1"

MAX_DEPTH = 32
MAX_INTEGER = 2**53
"""The largest integer that every JSON implementation keeps exact."""
MAX_UNIQUE_ID = 36
_SHAPE = bytes.maketrans(b"0123456789E", b"0000000000e")
_LONG_NUMBER = b"0" * 16
"""What a number beyond `MAX_INTEGER` looks like once all digits are the same; or a digit before an e."""
MAX_ACTION = 64

_PADDING = b"\x00\xef\xbb\xbf \t\r\n"
"""NUL, byte order mark and blanks, which some firmware sends around a frame."""
_CALL, _CALLRESULT, _CALLERROR = 2, 3, 4
_LATER_TYPES = frozenset({5, 6})
"""CALLRESULTERROR and SEND of OCPP 2.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request."""

    unique_id: str
    action: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """A positive answer."""

    unique_id: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallErrored:
    """A negative answer (CALLERROR)."""

    unique_id: str
    code: str
    description: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """Not an OCPP frame. Answered with a CALLERROR where `unique_id` could be read."""

    unique_id: str | None
    code: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """A frame that the protocol tells to ignore."""

    reason: str


Frame = Call | CallResult | CallErrored | Malformed | Ignored


def parse(data: bytes, *, protocol: str, max_bytes: int) -> Frame:
    """Read one frame. Never raises, whatever the bytes are.

    Args:
        data: The websocket message.
        protocol: `ocpp1.6` or `ocpp2.0.1`; decides which error codes exist.
        max_bytes: Larger messages are malformed. [byte]
    """
    if len(data) > max_bytes:
        return _malformed(protocol, None, f"more than {max_bytes} bytes")
    try:
        message = orjson.loads(data.strip(_PADDING))
    except (orjson.JSONDecodeError, RecursionError):
        return _malformed(protocol, None, "not JSON")
    if not isinstance(message, list) or not message:
        return _malformed(protocol, None, "not a JSON array")
    unique_id = _unique_id(message)
    excess = _excess(message) if _may_exceed(data) else None
    if excess is not None:
        return _malformed(protocol, unique_id if message[0] == _CALL else None, excess)
    return _typed(message, unique_id, protocol)


def _typed(message: list[Any], unique_id: str | None, protocol: str) -> Frame:
    """Read the message type and build the frame."""
    kind = message[0]
    if isinstance(kind, bool) or not isinstance(kind, int | float):
        return _malformed(protocol, unique_id, "the message type is not a number")
    if kind in _LATER_TYPES:
        return Ignored(reason=f"message type {int(kind)}")
    if kind == _CALL:
        return _call(message, unique_id, protocol)
    if kind == _CALLRESULT:
        return _call_result(message, unique_id, protocol)
    if kind == _CALLERROR:
        return _call_errored(message, unique_id, protocol)
    if protocol == OCPP16:
        return Ignored(reason="unknown message type")
    return Malformed(
        unique_id=unique_id, code="MessageTypeNotSupported", description="unknown message type"
    )


def _call(message: list[Any], unique_id: str | None, protocol: str) -> Frame:
    if unique_id is None:
        return _malformed(protocol, None, f"the id is not a text of 1 to {MAX_UNIQUE_ID}")
    if len(message) not in (3, 4):
        return _malformed(protocol, unique_id, f"a CALL has 4 elements, not {len(message)}")
    action = message[2]
    if not isinstance(action, str) or not 0 < len(action) <= MAX_ACTION or not action.isalnum():
        return _malformed(protocol, unique_id, "the action is not a short word")
    payload = _object(message, 3)
    if payload is None:
        return _malformed(protocol, unique_id, "the payload is not an object")
    return Call(unique_id=unique_id, action=action, payload=payload)


def _call_result(message: list[Any], unique_id: str | None, protocol: str) -> Frame:
    payload = _object(message, 2)
    if unique_id is None or payload is None or len(message) > 3:
        return _malformed(protocol, None, "bad CALLRESULT")
    return CallResult(unique_id=unique_id, payload=payload)


def _call_errored(message: list[Any], unique_id: str | None, protocol: str) -> Frame:
    if unique_id is None or len(message) > 5:
        return _malformed(protocol, None, "bad CALLERROR")
    code, description = (
        _shown(message[i]) if len(message) > i and isinstance(message[i], str) else ""
        for i in (2, 3)
    )
    return CallErrored(
        unique_id=unique_id,
        code=code[:MAX_ACTION],
        description=description,
        details=_object(message, 4) or {},
    )


def _shown(text: str) -> str:
    """Return a station's own words, bounded and without what could forge a log or a screen."""
    return "".join(c for c in text[:255] if c.isprintable())


def _unique_id(message: list[Any]) -> str | None:
    """Return the id; None when there is none that could be echoed."""
    candidate = message[1] if len(message) > 1 else None
    if isinstance(candidate, str) and 0 < len(candidate) <= MAX_UNIQUE_ID:
        return candidate
    return None


def _object(message: list[Any], index: int) -> dict[str, Any] | None:
    """Return the object at an index; absent or null is an empty one, anything else is None."""
    value = message[index] if len(message) > index else None
    if value is None:
        return {}
    return value if isinstance(value, dict) else None


def _may_exceed(data: bytes) -> bool:
    """Tell whether a message can exceed a limit at all; most have too few brackets and digits."""
    brackets = data.count(b"[") + data.count(b"{")
    if brackets > MAX_DEPTH:
        return True
    shape = data.translate(_SHAPE)
    return _LONG_NUMBER in shape or b"0e" in shape


def _excess(message: list[Any]) -> str | None:
    """Say which limit of depth or number a message exceeds; None: none."""
    layer: list[Any] = [message]
    for _ in range(MAX_DEPTH):
        children: list[Any] = []
        for container in layer:
            values = container.values() if type(container) is dict else container
            for value in values:
                kind = type(value)
                if kind is dict or kind is list:
                    children.append(value)
                elif (kind is int or kind is float) and not -MAX_INTEGER <= value <= MAX_INTEGER:
                    return "a number is too large"
        if not children:
            return None
        layer = children
    return f"nested deeper than {MAX_DEPTH}"


def _malformed(protocol: str, unique_id: str | None, description: str) -> Malformed:
    code = "FormationViolation" if protocol == OCPP16 else "RpcFrameworkError"
    return Malformed(unique_id=unique_id, code=code, description=description)


def encode_call(unique_id: str, action: str, payload: dict[str, Any]) -> str:
    """Write a CALL."""
    return orjson.dumps([_CALL, unique_id, action, payload]).decode()


def encode_result(unique_id: str, payload: dict[str, Any]) -> str:
    """Write a CALLRESULT."""
    return orjson.dumps([_CALLRESULT, unique_id, payload]).decode()


def encode_error(unique_id: str, code: str, description: str) -> str:
    """Write a CALLERROR; the description is cut to the 255 characters that OCPP-J allows."""
    return orjson.dumps([_CALLERROR, unique_id, code, description[:255], {}]).decode()
