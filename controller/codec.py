"""Values as plain data and back, for recordings and scenarios: exact, and checked by their types.

Dataclasses become mappings, enums their values, times RFC 3339 text; members of a union carry
`_type`. What is read back equals what was written, to the last bit of every number.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any, NewType, TypeVar, Union, cast, get_args, get_origin, get_type_hints

TYPE_KEY = "_type"
T = TypeVar("T")


class CodecError(ValueError):
    """The data does not have the shape of the type; the text names the place."""


def to_plain(value: Any) -> Any:
    """Return a value as mappings, lists, texts and numbers."""
    if is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in fields(value) if f.init]
        return {TYPE_KEY: type(value).__name__, **{n: to_plain(getattr(value, n)) for n in names}}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(to_plain(k)): to_plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted(to_plain(v) for v in value)
    return value


def from_plain(kind: type[T], data: Any, place: str = "") -> T:
    """Return the value that plain data stands for.

    Args:
        kind: What it is.
        data: As `to_plain` wrote it.
        place: Where it stands, for errors.

    Raises:
        CodecError: It has another shape.
    """
    try:
        return cast(T, _decode(kind, data, place or kind.__name__))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        if isinstance(error, CodecError):
            raise
        raise CodecError(f"{place or kind.__name__}: {error}") from error


def _decode(kind: Any, data: Any, place: str) -> Any:
    kind = _stripped(kind)
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _decode_union(get_args(kind), data, place)
    if origin is not None:
        return _decode_generic(origin, get_args(kind), data, place)
    if is_dataclass(kind):
        return _decode_fields(kind, data, place, {})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(data)
    if kind is datetime:
        return datetime.fromisoformat(data)
    if kind is float:
        return _number(data, place)
    if kind in (int, str, bool) and not isinstance(data, kind):
        raise CodecError(f"{place}: expected {kind.__name__}, found {data!r}")
    return data


def _stripped(kind: Any) -> Any:
    while isinstance(kind, NewType):
        kind = kind.__supertype__
    return kind


def _number(data: Any, place: str) -> float:
    if isinstance(data, bool) or not isinstance(data, int | float):
        raise CodecError(f"{place}: expected a number, found {data!r}")
    return float(data)


def _decode_union(members: tuple[Any, ...], data: Any, place: str) -> Any:
    if data is None and type(None) in members:
        return None
    rest = [m for m in members if m is not type(None)]
    if len(rest) == 1:
        return _decode(rest[0], data, place)
    name = data.get(TYPE_KEY) if isinstance(data, Mapping) else None
    for member in rest:
        if getattr(_stripped(member), "__name__", "") == name:
            return _decode(member, data, place)
    raise CodecError(f"{place}: {name!r} is none of the values that may stand here")


def _decode_generic(origin: Any, arguments: tuple[Any, ...], data: Any, place: str) -> Any:
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_decode(arguments[0], d, f"{place}[{i}]") for i, d in enumerate(data))
        pairs = zip(arguments, data, strict=True)
        return tuple(_decode(a, d, f"{place}[{i}]") for i, (a, d) in enumerate(pairs))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {
            _decode(arguments[0], k, place): _decode(arguments[1], v, f"{place}.{k}")
            for k, v in data.items()
        }
    if origin in (set, frozenset):
        return origin(_decode(arguments[0], d, place) for d in data)
    if is_dataclass(origin):
        names = [p.__name__ for p in getattr(origin, "__parameters__", ())]
        return _decode_fields(origin, data, place, dict(zip(names, arguments, strict=True)))
    raise CodecError(f"{place}: values of {origin} cannot be read")


def _decode_fields(kind: Any, data: Any, place: str, bound: Mapping[str, Any]) -> Any:
    if not isinstance(data, Mapping):
        raise CodecError(f"{place}: expected a mapping, found {data!r}")
    hints = _hints(kind)
    unknown = set(data) - set(hints) - {TYPE_KEY}
    if unknown:
        raise CodecError(f"{place}: {', '.join(sorted(unknown))} is not known here")
    values = {
        name: _decode(bound.get(getattr(hint, "__name__", ""), hint), data[name], f"{place}.{name}")
        for name, hint in hints.items()
        if name in data
    }
    return kind(**values)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {f.name: hints[f.name] for f in fields(kind) if f.init}
