"""Keys of controllable loads: batteries while they charge, heat pumps, water heaters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from adapters.config import spelling
from adapters.config.keybase import Keys, Name


def _refuse_truth(value: object) -> object:
    """Keep `true` from passing as 1, which Python takes for the same."""
    return str(value) if isinstance(value, bool) else value


class LoadEntry(Keys):
    """A load whose limit is set over Modbus. It takes what vehicles leave."""

    circuit: Name = Field(examples=["main"])
    """Id of the circuit that feeds it."""
    model: Annotated[str, AfterValidator(spelling.check_model)] = Field(
        examples=["generic/plc"], json_schema_extra={"pattern": spelling.MODEL_PATTERN}
    )
    """Path of its register map under `config/loads/`."""
    connection: Annotated[str, AfterValidator(spelling.check_connection)] = Field(
        examples=["tcp://192.168.1.20:502"]
    )
    """`tcp://HOST:PORT`, `udp://HOST:PORT`, `rtu+tcp://HOST:PORT` or `rtu:///dev/ttyUSB0?baud=9600&parity=N`."""
    unit: int = Field(1, ge=0, le=255)
    """Modbus unit (slave address)."""
    word_order: Literal["big", "little"] | None = Field(None, examples=["big"])
    """Which word of a number comes first, where this device differs from its map."""
    watchdog_s: float | None = Field(None, ge=1, le=3600, examples=[60])
    """After so long without hearing from us it goes to fallback_a; for models with a watchdog. [s]"""
    max_a: float = Field(gt=0, le=1000, examples=[16])
    """Its rating: what it may draw per phase when nothing limits it. [A]"""
    min_a: float = Field(1.0, gt=0, le=1000)
    """Least limit that it can follow; below it, it is switched off. [A]"""
    fallback_a: float = Field(0.0, ge=0, le=1000)
    """What it draws at most when it loses the controller: 0, or min_a up to max_a. [A]"""
    step_a: float = Field(0.1, gt=0, le=100)
    """Resolution of its limit. [A]"""
    phases: Annotated[Literal[1, 2, 3], BeforeValidator(_refuse_truth)] = 3
    """Phases wired; it loads them equally."""
    rotation: Annotated[str, AfterValidator(spelling.check_rotation)] | None = Field(
        None, examples=["RST"]
    )
    """Grid phases at the terminals L1, L2, L3: `RST` (default) to `TSR`; single-phase `L1`, `L2`, `L3`."""
    priority: int = Field(-50, ge=-100, le=100)
    """Higher gets its minimum first; vehicles have 0 unless they are given another."""
    weight: float = Field(0.01, ge=0.01, le=1)
    """Its share of what lies above the minimums, against 1 of a vehicle."""
    holds_lease: bool = True
    """False: its watchdog is not to be relied on; unreachable, it counts with max_a."""
    solar_min_a: float | None = Field(None, ge=0, le=1000, examples=[0])
    """Above this only the site's own surplus is used: 0, or what it takes from the grid in any case. [A]"""
    meter: Name | None = Field(None, examples=["heat-pump"])
    """Id of the meter that measures this load alone."""
