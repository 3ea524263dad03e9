"""What was measured, and how old it is. Absence is `None` or a missing key, never 0."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from controller.phases import PhaseCurrents
from optimizer.values import quick

T_co = TypeVar("T_co", covariant=True)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(Generic[T_co]):
    """A value and the monotonic second at which it was accepted."""

    value: T_co
    taken_s: float

    def age_s(self, now_s: float) -> float:
        """Return the age. [s]"""
        return max(0.0, now_s - self.taken_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class GridReading:
    """One plausible sample of a meter. Sign: + towards the loads, export is negative."""

    current: PhaseCurrents
    """Signed by the phase's active power. [A]"""
    voltage_v: tuple[float, float, float] | None = None
    power_w: tuple[float, float, float] | None = None
    power_total_w: float | None = None
    frequency_hz: float | None = None
    power_factor: float | None = None
    energy_import_wh: float | None = None
    energy_export_wh: float | None = None
    fingerprint: str = ""
    """Digest of the raw registers: a device that sends the same bits for long is frozen."""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class EvseSample:
    """What a station reported about one EVSE at one instant, in the EVSE's own terminal order."""

    terminal_a: tuple[float, float, float] | None = None
    """Current at the terminals L1, L2, L3; derived from power or energy where not reported. [A]"""
    power_w: float | None = None
    energy_wh: float | None = None
    """The meter's import register. [Wh]"""
    offered_a: float | None = None
    voltage_v: tuple[float, float, float] | None = None
    soc_percent: float | None = None
    phases_known: bool = False
    """True when currents came per phase, so that idle terminals are really idle."""
    station_at: datetime | None = None
    """The station's own time stamp: for sessions, never for control."""
