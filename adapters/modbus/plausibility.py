"""Says whether a sample can be true. Pure.

A meter that is wired, configured or read wrongly often still answers, with numbers. Each check here
catches a kind of wrong number that has been seen on real sites: another unit, swapped words, a
register beside the right one, a counter that went back.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Final

from adapters.modbus.registermap import CURRENTS, POWERS, VOLTAGES, Decoded, PointName

_VOLTAGE_RATIO: Final = (0.7, 1.3)
_DEAD_PHASE_RATIO: Final = 0.05
_FREQUENCY_HZ: Final = (45.0, 65.0)
_CURRENT_RATIO: Final = 2.0
# Voltage, current and power are not measured in the same instant, and loads step in between.
_APPARENT_RATIO: Final = 1.25
_APPARENT_W: Final = 200.0
_SUM_RATIO: Final = 0.05
_SUM_W: Final = 50.0
_ENERGIES: Final[tuple[PointName, ...]] = ("energy_import_wh", "energy_export_wh")
_PHASES: Final = ("L1", "L2", "L3")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterLimits:
    """What the site says about the place of the meter."""

    max_a: float
    """Rating of the circuit that the meter measures, the highest of its phases. [A]"""
    nominal_v: float = 230.0
    """Nominal line-to-neutral voltage. [V]"""


def implausible(values: Decoded, limits: MeterLimits, before: Decoded | None) -> tuple[str, ...]:
    """Return why a sample cannot be true; nothing when it can.

    Args:
        values: The sample, with our signs.
        limits: What the site says.
        before: The sample read before, plausible or not; None: there is none.
    """
    return (
        *_missing(values),
        *_not_finite(values),
        *_voltages(values, limits.nominal_v),
        *_frequency(values),
        *_currents(values, limits.max_a),
        *_powers(values, limits.nominal_v),
        *_total(values),
        *_counters(values, before or {}),
    )


def _missing(values: Decoded) -> tuple[str, ...]:
    return tuple(
        f"there is no current of {phase}"
        for phase, current in zip(_PHASES, CURRENTS, strict=True)
        if current not in values
    )


def _not_finite(values: Decoded) -> tuple[str, ...]:
    return tuple(f"{name} is not a number" for name, x in values.items() if not isfinite(x))


def _voltages(values: Decoded, nominal_v: float) -> tuple[str, ...]:
    low_v, high_v = (ratio * nominal_v for ratio in _VOLTAGE_RATIO)
    return tuple(
        f"the voltage of {phase}, {values[name]:.1f} V, is neither {low_v:.0f} to {high_v:.0f} V nor 0"
        for phase, name in zip(_PHASES, VOLTAGES, strict=True)
        if name in values
        and not low_v <= values[name] <= high_v
        and not _is_dead(values[name], nominal_v)
    )


def _is_dead(voltage_v: float, nominal_v: float) -> bool:
    """Tell whether a phase has failed, which is a fact and no wrong number."""
    return abs(voltage_v) <= _DEAD_PHASE_RATIO * nominal_v


def _frequency(values: Decoded) -> tuple[str, ...]:
    frequency_hz = values.get("frequency_hz")
    low_hz, high_hz = _FREQUENCY_HZ
    if frequency_hz is None or low_hz <= frequency_hz <= high_hz:
        return ()
    return (
        f"the frequency, {frequency_hz:.2f} Hz, is not within {low_hz:.0f} to {high_hz:.0f} Hz",
    )


def _currents(values: Decoded, max_a: float) -> tuple[str, ...]:
    most_a = _CURRENT_RATIO * max_a
    return tuple(
        f"the current of {phase}, {values[name]:.1f} A, is above {_CURRENT_RATIO:g} times {max_a:g} A"
        for phase, name in zip(_PHASES, CURRENTS, strict=True)
        if name in values and abs(values[name]) > most_a
    )


def _powers(values: Decoded, nominal_v: float) -> tuple[str, ...]:
    reasons: list[str] = []
    for phase, power, voltage, current in zip(_PHASES, POWERS, VOLTAGES, CURRENTS, strict=True):
        if not {power, voltage, current} <= values.keys():
            continue
        # A wrong voltage has its own reason; here it must not hide a wrong power.
        voltage_v = max(abs(values[voltage]), _DEAD_PHASE_RATIO * nominal_v)
        apparent_va = voltage_v * abs(values[current])
        if abs(values[power]) > _APPARENT_RATIO * apparent_va + _APPARENT_W:
            reasons.append(
                f"the power of {phase}, {values[power]:.0f} W, is more than its voltage and "
                f"current give, {apparent_va:.0f} VA"
            )
    return tuple(reasons)


def _total(values: Decoded) -> tuple[str, ...]:
    if not {*POWERS, "power_total_w"} <= values.keys():
        return ()
    phases_w = [values[name] for name in POWERS]
    tolerance_w = _SUM_RATIO * sum(abs(power_w) for power_w in phases_w) + _SUM_W
    if abs(sum(phases_w) - values["power_total_w"]) <= tolerance_w:
        return ()
    return (
        f"the phases add up to {sum(phases_w):.0f} W and the total says "
        f"{values['power_total_w']:.0f} W",
    )


def _counters(values: Decoded, before: Decoded) -> tuple[str, ...]:
    return tuple(
        f"{name} went back from {before[name]:.0f} to {values[name]:.0f} Wh"
        for name in _ENERGIES
        if name in values and name in before and values[name] < before[name]
    )
