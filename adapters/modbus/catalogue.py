"""Finds the meter maps that come with Wattkeeper."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from adapters.modbus.registermap import MeterMap, RefusedMeter


class MeterModelError(ValueError):
    """A meter model that is unknown, refused or damaged; the text says which and what to do."""


def catalogue() -> Path:
    """Return the directory of the shipped maps: package data, or `config/meters` in a checkout.

    Raises:
        MeterModelError: Neither is there.
    """
    adapters = Path(__file__).resolve().parents[1]
    places = (adapters / "_catalogue" / "meters", adapters.parent / "config" / "meters")
    for place in places:
        if place.is_dir():
            return place
    raise MeterModelError(f"no meter maps at {places[0]} nor at {places[1]}; install again")


@cache
def _files() -> dict[str, Path]:
    root = catalogue()
    return {
        path.relative_to(root).with_suffix("").as_posix(): path
        for path in sorted(root.glob("*/*.yaml"))
    }


@cache
def _content(path: Path) -> MeterMap | RefusedMeter:
    return read_map(path)


def _entry(model: str) -> MeterMap | RefusedMeter | None:
    """Return an entry, having read no other; None: the catalogue lists no such model."""
    path = _files().get(model)
    return None if path is None else _content(path)


def all_models() -> dict[str, MeterMap | RefusedMeter]:
    """Return every entry of the catalogue, usable or refused."""
    return {model: _content(path) for model, path in _files().items()}


class KnownModels(Set[str]):
    """The models that can be configured, such as `eastron/sdm630`.

    Asking for one reads its map alone, because a site uses a few of them; going through all reads all.
    """

    def __contains__(self, model: object) -> bool:
        return isinstance(model, str) and isinstance(_entry(model), MeterMap)

    def __iter__(self) -> Iterator[str]:
        return (model for model, entry in all_models().items() if isinstance(entry, MeterMap))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @classmethod
    def _from_iterable(cls, it: Iterable[str]) -> frozenset[str]:  # type: ignore[override]
        return frozenset(it)


def known_models() -> KnownModels:
    """Return the models that can be configured, such as `eastron/sdm630`."""
    return KnownModels()


def load_map(model: str) -> MeterMap:
    """Return a model's map.

    Raises:
        MeterModelError: The model is unknown, or known as unfit.
    """
    entry = _entry(model)
    if isinstance(entry, MeterMap):
        return entry
    if entry is not None:
        raise MeterModelError(f"meter model {model} cannot be used: {entry.refused}")
    known = ", ".join(sorted(known_models()))
    raise MeterModelError(f"meter model {model} is unknown; known are {known}")


def read_map(path: Path) -> MeterMap | RefusedMeter:
    """Read and check one map file.

    Raises:
        MeterModelError: The file is no valid map; the text names the file and each problem.
    """
    try:
        content: Any = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise MeterModelError(f"{path}: {error}") from error
    schema = RefusedMeter if isinstance(content, dict) and "refused" in content else MeterMap
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'map'}: {problem['msg']}"
            for problem in error.errors()
        )
        raise MeterModelError(f"{path}: {problems}") from error
