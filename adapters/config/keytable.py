"""The keys of a site file as a flat table, read off the models once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from adapters.config.keys import SiteDocument
from adapters.config.problems import KeyPath

ANY_ID: Final = "*"
"""Stands for an id or a number in the path of a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key and what the reader of a file needs to know about it."""

    path: KeyPath
    description: str
    required: bool
    default: object
    example: str

    @property
    def name(self) -> str:
        """The key itself."""
        return self.path[-1]


def _keys_of(model: type[BaseModel], above: KeyPath) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        path = (*above, name)
        yield _key(path, field)
        for inner, below in _models_in(field.annotation, path):
            yield from _keys_of(inner, below)


def _key(path: KeyPath, field: FieldInfo) -> Key:
    default = None if _has_no_value(field) else field.get_default()
    return Key(
        path=path,
        description=field.description or "",
        required=field.is_required(),
        default=default,
        example=str((field.examples or [default])[0]),
    )


def _has_no_value(field: FieldInfo) -> bool:
    """Tell whether a key must be written, or is a map that is empty unless it is written."""
    return field.is_required() or field.default_factory is not None


def _models_in(annotation: Any, path: KeyPath) -> Iterator[tuple[type[BaseModel], KeyPath]]:
    """Find the models that an annotation holds, and under which path their keys stand."""
    origin = get_origin(annotation)
    if isinstance(annotation, type) and origin is None and issubclass(annotation, BaseModel):
        yield annotation, path
    elif origin is dict:
        yield from _models_in(get_args(annotation)[1], (*path, ANY_ID))
    elif origin is Annotated:
        yield from _models_in(get_args(annotation)[0], path)
    elif origin in (Union, UnionType):
        for part in get_args(annotation):
            yield from _models_in(part, path)


KEYS: Final[Mapping[KeyPath, Key]] = MappingProxyType(
    {key.path: key for key in _keys_of(SiteDocument, ())}
)
"""Every key by its path, ids replaced by `*`."""


def general_path(path: KeyPath) -> KeyPath:
    """Replace the ids in a path by `*`."""
    result: KeyPath = ()
    for part in path:
        with_part = (*result, part)
        known = with_part in KEYS or not _has_ids_below(result)
        result = with_part if known else (*result, ANY_ID)
    return result


def key_at(path: KeyPath) -> Key | None:
    """Return what is known about the key at a path of a file."""
    return KEYS.get(general_path(path))


def names_below(path: KeyPath) -> tuple[str, ...]:
    """Return the keys that a map of a file may have."""
    above = general_path(path)
    return tuple(key.name for key in KEYS.values() if key.path[:-1] == above)


def places_of(name: str) -> tuple[str, ...]:
    """Return the maps in which a key of this name is known, as dotted paths."""
    return tuple(".".join(path[:-1]) for path in KEYS if path[-1] == name and len(path) > 1)


def _has_ids_below(path: KeyPath) -> bool:
    below = (*path, ANY_ID)
    return any(known[: len(below)] == below for known in KEYS)
