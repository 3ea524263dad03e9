"""Frames of OCPP-J, as JSON arrays. Source: OCPP-J 1.6 clause 4, OCPP 2.0.1 part 4 clause 4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

Json = dict[str, Any]
MAX_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request."""

    id: str
    action: str
    payload: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """An answer."""

    id: str
    payload: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A refusal."""

    id: str
    code: str
    text: str = ""


Frame = Call | Result | Failure


def parse(raw: str | bytes) -> Frame | None:
    """Read a frame; None: it is none."""
    try:
        parts = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(parts, list) or len(parts) < 3 or not isinstance(parts[1], str):
        return None
    match parts:
        case [2, _, str(action), dict(payload), *_]:
            return Call(id=parts[1], action=action, payload=payload)
        case [3, _, dict(payload), *_]:
            return Result(id=parts[1], payload=payload)
        case [4, _, str(code), *rest]:
            text = rest[0] if rest and isinstance(rest[0], str) else ""
            return Failure(id=parts[1], code=code, text=text)
    return None


def encode(frame: Frame) -> str:
    """Write a frame."""
    match frame:
        case Call():
            parts: list[Any] = [2, frame.id, frame.action, frame.payload]
        case Result():
            parts = [3, frame.id, frame.payload]
        case Failure():
            parts = [4, frame.id, frame.code, frame.text[:255], {}]
    return orjson.dumps(parts).decode()
