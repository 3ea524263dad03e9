"""Frozen values that are made quickly are what `dataclasses` would make."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError, dataclass, field, replace
from typing import Any

import pytest

from optimizer.values import quick


def a_kind() -> type[Any]:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Yard:
        side_m: float
        name: str = "yard"
        tags: list[str] = field(default_factory=list)
        area_m2: float = field(init=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "area_m2", self.side_m**2)

    return Yard


Plain, Quick = a_kind(), quick(a_kind())


def test_fields_defaults_and_what_is_derived_are_set() -> None:
    one, other = Quick(side_m=2.0), Quick(side_m=2.0)
    assert (one.side_m, one.name, one.tags, one.area_m2) == (2.0, "yard", [], 4.0)
    assert one == other
    assert one.tags is not other.tags


def test_it_looks_like_the_one_that_dataclasses_write() -> None:
    parameters = [inspect.signature(kind).parameters for kind in (Plain, Quick)]
    assert list(parameters[0]) == list(parameters[1])
    assert Quick.__init__.__annotations__ == Plain.__init__.__annotations__


def test_it_stays_frozen_and_can_be_replaced() -> None:
    changed = replace(Quick(side_m=2.0), side_m=3.0)
    with pytest.raises(FrozenInstanceError):
        changed.name = "street"  # type: ignore[misc]
    assert (changed.name, changed.area_m2) == ("yard", 9.0)


def test_a_field_that_is_missing_or_unknown_is_an_error() -> None:
    with pytest.raises(TypeError, match="side_m"):
        Quick()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="colour"):
        Quick(side_m=2.0, colour="red")  # type: ignore[call-arg]
