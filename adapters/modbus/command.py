"""`wattkeeper meter read`: one look at a meter, for the person who installs it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from rich.console import Console
from rich.table import Table as TextTable

from adapters.modbus.catalogue import MeterModelError, known_models, load_map
from adapters.modbus.client import FailureKind, ModbusConnection
from adapters.modbus.connection import ConnectionTextError, parse_connection
from adapters.modbus.plausibility import MeterLimits, implausible
from adapters.modbus.reader import MeterFault, MeterReader, MeterSample
from adapters.modbus.registermap import VOLTAGES, Decoded, MeterMap

_PROBE_V: Final = (180.0, 280.0)
_PROBE_HZ: Final = (45.0, 65.0)
_SILENT_MODELS: Final = 3
"""So many models in a row without any answer: the unit is not there."""
_UNITS: Final = {"v": "V", "a": "A", "w": "W", "hz": "Hz", "wh": "Wh"}
_NO_LIMITS: Final = MeterLimits(max_a=inf)


class MeterReadError(Exception):
    """A meter could not be read; the text names the place and what to check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSnapshot:
    """One look at a meter."""

    connection: str
    model: str
    unit: int
    meter_map: MeterMap
    values: Decoded
    """Values with our signs: + flows towards the loads."""
    doubts: tuple[str, ...]
    """Why the values cannot be true."""
    fitting: tuple[str, ...] = ()
    """Models that fit, best first, when the model was not given."""


async def read_once(connection: str, model: str | None, unit: int | None) -> MeterSnapshot:
    """Read a meter once.

    Args:
        connection: As in the site file.
        model: The map to read with; None: try all, and keep those whose values can be true.
        unit: Unit id; None: the model's factory setting.

    Raises:
        ConnectionTextError: The connection cannot be understood.
        MeterModelError: The model is unknown or unfit.
        MeterReadError: There is no answer, or no model fits.
    """
    if model is None:
        return await _first_that_fits(connection, unit)
    snapshot = await _look(connection, model, unit)
    if isinstance(snapshot, MeterFault):
        raise MeterReadError(f"meter at {connection}: {snapshot.text}")
    return snapshot


async def _look(connection: str, model: str, unit: int | None) -> MeterSnapshot | MeterFault:
    meter_map = load_map(model)
    at_unit = meter_map.default.unit if unit is None else unit
    line = ModbusConnection(parse_connection(connection, meter_map.default))
    try:
        poll = await MeterReader(meter_map, at_unit).read(line)
    finally:
        await line.close()
    if isinstance(poll, MeterFault):
        return poll
    return _snapshot(connection, model, at_unit, meter_map, poll)


def _snapshot(
    connection: str, model: str, unit: int, meter_map: MeterMap, sample: MeterSample
) -> MeterSnapshot:
    return MeterSnapshot(
        connection=connection,
        model=model,
        unit=unit,
        meter_map=meter_map,
        values=sample.values,
        doubts=implausible(sample.values, _NO_LIMITS, None),
    )


async def _first_that_fits(connection: str, unit: int | None) -> MeterSnapshot:
    fitting: list[MeterSnapshot] = []
    answered: set[int] = set()
    silent: Counter[int] = Counter()
    fault = MeterFault(text="no model of the catalogue fits; give --unit, or --model")
    silence = fault
    for model in sorted(known_models()):
        at_unit = load_map(model).default.unit if unit is None else unit
        if at_unit not in answered and silent[at_unit] >= _SILENT_MODELS:
            continue
        look = await _look(connection, model, at_unit)
        if isinstance(look, MeterSnapshot):
            answered.add(at_unit)
            if _fits(look):
                fitting.append(look)
        elif look.kind is FailureKind.NO_CONNECTION and not fitting:
            raise MeterReadError(f"meter at {connection}: {look.text}")
        elif look.kind is FailureKind.SILENCE:
            silent[at_unit] += 1
            silence = look
        elif look.kind is None:
            answered.add(at_unit)  # one that refuses a register is no silent device
    if not fitting:
        raise MeterReadError(f"meter at {connection}: {(fault if answered else silence).text}")
    return _ranked(fitting)


def _fits(snapshot: MeterSnapshot) -> bool:
    """Tell whether three voltages and the frequency are those of a grid, and nothing contradicts."""
    low_v, high_v = _PROBE_V
    low_hz, high_hz = _PROBE_HZ
    voltages_v = [snapshot.values.get(name, 0.0) for name in VOLTAGES]
    has_frequency = low_hz < snapshot.values.get("frequency_hz", 0.0) < high_hz
    needs_frequency = "frequency_hz" in snapshot.meter_map.points or snapshot.meter_map.sunspec
    return (
        all(low_v <= voltage_v <= high_v for voltage_v in voltages_v)
        and (has_frequency or not needs_frequency)
        and not snapshot.doubts
    )


def _ranked(fitting: Sequence[MeterSnapshot]) -> MeterSnapshot:
    ranked = sorted(
        fitting, key=lambda each: (-len(each.values), -each.meter_map.evidence, each.model)
    )
    best = ranked[0]
    return MeterSnapshot(
        connection=best.connection,
        model=best.model,
        unit=best.unit,
        meter_map=best.meter_map,
        values=best.values,
        doubts=best.doubts,
        fitting=tuple(each.model for each in ranked),
    )


def read_command(connection: str, model: str | None, unit: int | None) -> int:
    """Print one look at a meter.

    Returns:
        0: read; 1: there is no answer, or the values cannot be true; 2: a wrong connection or model.
    """
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        snapshot = asyncio.run(read_once(connection, model, unit))
    except (ConnectionTextError, MeterModelError) as error:
        errors.print(str(error), markup=False)
        return 2
    except MeterReadError as error:
        errors.print(str(error), markup=False)
        return 1
    console = Console(highlight=False, soft_wrap=True)
    console.print(_table(snapshot))
    for note in snapshot.meter_map.notes:
        console.print(f"Note: {note}", markup=False)
    if snapshot.fitting:
        console.print(f"Models that fit: {', '.join(snapshot.fitting)}", markup=False)
    for doubt in snapshot.doubts:
        errors.print(
            f"meter at {connection}: {doubt}; check the model, the wiring and the transformer ratio",
            markup=False,
        )
    return 1 if snapshot.doubts else 0


def _table(snapshot: MeterSnapshot) -> TextTable:
    table = TextTable(
        title=f"{snapshot.meter_map.maker} {snapshot.meter_map.model} ({snapshot.model}), "
        f"unit {snapshot.unit}"
    )
    table.add_column("value")
    table.add_column("", justify="right")
    table.add_column("unit")
    for name in snapshot.values:
        table.add_row(*_row(name, snapshot.values[name]))
    return table


def _row(name: str, value: float) -> tuple[str, str, str]:
    """Return what is measured, how much, and its unit."""
    words = name.split("_")
    unit = _UNITS.get(words[-1], "")
    label = " ".join(words[:-1] if unit else words).replace(" l", " L")
    digits = {"Wh": 0, "W": 0, "": 3}.get(unit, 2)
    return label, f"{value:.{digits}f}", unit
