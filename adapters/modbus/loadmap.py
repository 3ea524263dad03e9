"""What the registers of a controllable load mean: the map file and the coding of its values. Pure.

A map says where the limit is written, what the device does when it hears nothing any more, and where
it tells its current. Addresses are zero-based, as they travel on the wire.
"""

from __future__ import annotations

import struct
from functools import cache
from math import floor, isfinite
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from adapters.modbus.registermap import Address, BusDefaults, RegisterType

LOWEST_VOLTAGE: Final = 0.9
"""Lowest voltage that a network may have, of nominal: the same power draws most current there.

Source: EN 50160.
"""
_ROUNDING: Final = 1e-6


class LoadModelError(ValueError):
    """A model of a load that is unknown or damaged; the text says which and what to do."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Register(_Strict):
    """Where a value lies and how it is coded."""

    at: Address
    type: RegisterType
    scale: float = Field(default=1.0, allow_inf_nan=False, gt=0)
    """Factor from the register's count to the unit of the value."""

    @property
    def is_float(self) -> bool:
        """Whether it holds fractions by itself."""
        return self.type in (RegisterType.FLOAT32, RegisterType.FLOAT64)

    def encoded(self, value: float, word_order: str) -> tuple[int, ...]:
        """Return the registers for a value, rounded down to what they can hold.

        Raises:
            ValueError: The value does not fit the type.
        """
        count: float = value / self.scale
        try:
            if self.is_float:
                raw = struct.pack(f">{self.type.code}", count)
            else:
                raw = struct.pack(f">{self.type.code}", floor(count + _ROUNDING))
        except (struct.error, OverflowError) as error:
            raise ValueError(f"{value:g} does not fit register {self.at}") from error
        words = struct.unpack(f">{self.type.size}H", raw)
        return words if word_order == "big" else words[::-1]

    def decoded(self, words: tuple[int, ...], word_order: str) -> float | None:
        """Return the value of registers; None: it is no number."""
        ordered = words if word_order == "big" else words[::-1]
        raw = struct.pack(f">{self.type.size}H", *ordered)
        value = float(struct.unpack(f">{self.type.code}", raw)[0]) * self.scale
        return value if isfinite(value) else None


class Timeout(Register):
    """The device's watchdog: after so many seconds without a write it falls back. [s]"""

    least_s: float = Field(gt=0)
    most_s: float = Field(gt=0)


class Watchdog(_Strict):
    """What the device does when it hears nothing any more. Each write of the limit restarts it."""

    timeout: Timeout
    fallback: Register
    """The limit that then counts, in the unit of the limit."""


class MeasuredCurrents(_Strict):
    """Where the device tells what it draws, per terminal. Currents below 0 flow to the grid. [A]"""

    table: Literal["holding", "input"] = "holding"
    current_l1_a: Register
    current_l2_a: Register | None = None
    current_l3_a: Register | None = None

    def points(self) -> tuple[Register | None, ...]:
        """Return the registers by terminal."""
        return (self.current_l1_a, self.current_l2_a, self.current_l3_a)


class LoadMap(_Strict):
    """A load's register map, as in `config/loads/<maker>/<model>.yaml`."""

    format: Literal["load-map/1"]
    maker: str
    model: str
    source: str = Field(min_length=10)
    evidence: int = Field(ge=1)
    """Number of independent sources that agree on the registers."""
    notes: tuple[str, ...] = ()
    word_order: Literal["big", "little"]
    silence_s: float = Field(default=0.05, ge=0, le=5)
    """Pause that the device needs before each request. [s]"""
    default: BusDefaults = BusDefaults()
    write: Literal["single", "multiple"] = "multiple"
    """`single`: the device knows function 6 only, and values of one register."""
    quantity: Literal["current_a", "power_w"]
    """What limit and fallback are: current per phase, or power on all phases together."""
    efficiency: Annotated[float, Field(gt=0.5, le=1)] = 1.0
    """Limited power per power from the grid, where the limit counts behind a converter."""
    limit: Register
    watchdog: Watchdog | None = None
    """None: the device keeps its last limit."""
    measured: MeasuredCurrents | None = None

    @model_validator(mode="after")
    def _can_be_written(self) -> Self:
        written = [self.limit]
        if self.watchdog is not None:
            written += [self.watchdog.fallback, self.watchdog.timeout]
        if self.write == "single" and any(r.type.size != 1 for r in written):
            raise ValueError("write: single is for values of one register")
        return self

    def amount_of(self, current_a: float, *, phases: int, voltage_v: float) -> float:
        """Return what a limit in amperes per phase is in the device's unit, never more than that.

        A limit in watts is what the current is worth at the lowest voltage of the network.
        """
        if self.quantity == "current_a":
            return current_a
        return current_a * phases * LOWEST_VOLTAGE * voltage_v * self.efficiency

    def current_a_of(self, amount: float, *, phases: int, voltage_v: float) -> float:
        """Return the current per phase that a limit in the device's unit allows at most. [A]"""
        if self.quantity == "current_a":
            return amount
        return amount / (phases * LOWEST_VOLTAGE * voltage_v * self.efficiency)


def catalogue() -> Path:
    """Return the directory of the shipped maps: package data, or `config/loads` in a checkout.

    Raises:
        LoadModelError: Neither is there.
    """
    adapters = Path(__file__).resolve().parents[1]
    places = (adapters / "_catalogue" / "loads", adapters.parent / "config" / "loads")
    for place in places:
        if place.is_dir():
            return place
    raise LoadModelError(f"no maps of loads at {places[0]} nor at {places[1]}; install again")


@cache
def all_models() -> dict[str, LoadMap]:
    """Return every map of the catalogue by its model, such as `kostal/plenticore-g3`."""
    root = catalogue()
    return {
        path.relative_to(root).with_suffix("").as_posix(): read_map(path)
        for path in sorted(root.glob("*/*.yaml"))
    }


def known_loads() -> dict[str, bool]:
    """Return whether a model has a watchdog, by model."""
    return {model: found.watchdog is not None for model, found in all_models().items()}


def load_map(model: str) -> LoadMap:
    """Return a model's map.

    Raises:
        LoadModelError: The model is unknown.
    """
    found = all_models().get(model)
    if found is None:
        known = ", ".join(sorted(all_models()))
        raise LoadModelError(f"the model of a load {model} is unknown; known are {known}")
    return found


def read_map(path: Path) -> LoadMap:
    """Read and check one map file.

    Raises:
        LoadModelError: The file is no valid map; the text names the file and each problem.
    """
    try:
        content: Any = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        return LoadMap.model_validate(content)
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise LoadModelError(f"{path}: {error}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'map'}: {problem['msg']}"
            for problem in error.errors()
        )
        raise LoadModelError(f"{path}: {problems}") from error
