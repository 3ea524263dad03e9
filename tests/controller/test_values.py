"""Changing a few fields of a frozen value."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import pytest

from controller import values
from controller.memory import EvseMemory
from controller.site import EvseId
from controller.station import EvseState, EvseView


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    side_m: float
    name: str = ""
    area_m2: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "area_m2", self.side_m**2)


@dataclass(frozen=True, kw_only=True)
class Open:
    """Without slots."""

    side_m: float
    name: str = ""


def test_a_changed_value_is_what_dataclasses_make_of_it() -> None:
    view = EvseView(id=EvseId("a/1"), state=EvseState.CHARGING, fallback_a=6.0)
    changes: dict[str, object] = {"state": EvseState.FAULTED, "error_code": "GroundFailure"}
    after = values.replace(view, **changes)  # type: ignore[arg-type]
    assert after == dataclasses.replace(view, **changes)  # type: ignore[arg-type]
    assert (view.state, view.error_code) == (EvseState.CHARGING, None)


def test_nothing_changed_is_an_equal_value() -> None:
    assert values.replace(EvseMemory(setpoint_a=8.0)) == EvseMemory(setpoint_a=8.0)


def test_what_is_derived_is_derived_anew() -> None:
    after = values.replace(Square(side_m=2.0, name="yard"), side_m=3.0)
    assert (after.area_m2, after.name) == (9.0, "yard")


def test_a_value_without_slots_is_changed_as_well() -> None:
    assert values.replace(Open(side_m=2.0, name="yard"), side_m=3.0) == Open(
        side_m=3.0, name="yard"
    )


def test_the_new_value_is_frozen_too() -> None:
    after = values.replace(Square(side_m=2.0), side_m=3.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        after.side_m = 4.0  # type: ignore[misc]


@pytest.mark.parametrize("kind", [Square, Open])
def test_a_field_that_does_not_exist_is_an_error(kind: type[Square] | type[Open]) -> None:
    with pytest.raises((TypeError, KeyError)):
        values.replace(kind(side_m=2.0), colour="red")  # type: ignore[call-arg]
