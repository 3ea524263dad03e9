"""Sampled values of OCPP 1.6 and 2.0.1 as one EvseSample. Pure: no clock, no state of its own."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from adapters.ocpp.clocks import parse_time
from adapters.ocpp.translation import EvseWiring
from controller.readings import EvseSample

CURRENT = "Current.Import"
OFFERED = "Current.Offered"
POWER = "Power.Active.Import"
REGISTER = "Energy.Active.Import.Register"
VOLTAGE = "Voltage"
SOC = "SoC"

UNITS: Mapping[str, tuple[str, float]] = {
    "Wh": ("Wh", 1.0),
    "kWh": ("Wh", 1e3),
    "varh": ("varh", 1.0),
    "kvarh": ("varh", 1e3),
    "VAh": ("VAh", 1.0),
    "kVAh": ("VAh", 1e3),
    "W": ("W", 1.0),
    "kW": ("W", 1e3),
    "VA": ("VA", 1.0),
    "kVA": ("VA", 1e3),
    "var": ("var", 1.0),
    "kvar": ("var", 1e3),
    "A": ("A", 1.0),
    "mA": ("A", 1e-3),
    "V": ("V", 1.0),
    "kV": ("V", 1e3),
    "Percent": ("%", 1.0),
    "%": ("%", 1.0),
}
"""Unit on the wire, to its dimension and the factor into our unit of it. 1.6 section 7.45, 2.0.1 Part 2 appendix."""

DIMENSIONS: Mapping[str, tuple[str, float, float]] = {
    CURRENT: ("A", -1.0, 1000.0),
    OFFERED: ("A", 0.0, 1000.0),
    POWER: ("W", -500.0, 1e7),
    REGISTER: ("Wh", 0.0, 1e12),
    VOLTAGE: ("V", 50.0, 1000.0),
    SOC: ("%", 0.0, 100.0),
}
"""Measurands we use: dimension, lowest and highest value that is no absurdity. Small negatives are noise."""

TERMINALS = {"L1": 0, "L2": 1, "L3": 2, "L1-N": 0, "L2-N": 1, "L3-N": 2}
"""Phase on the wire, to the index of the EVSE's terminal."""
LINE_TO_LINE = {"L1-L2": 0, "L2-L3": 1, "L3-L1": 2}
CONTEXT_RANK = {
    "Trigger": 0,
    "Sample.Periodic": 1,
    "Transaction.Begin": 2,
    "Transaction.End": 3,
    "Sample.Clock": 4,
    "Other": 5,
}
"""Contexts of a momentary value, the best first. Interruption.* describe a past moment."""
_SHORT = 15
"""A decimal number of so few characters needs no closer look; nearly all values are such."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
SAME_MOMENT_S = 2.0
PLAUSIBLE_RATIO = 1.5
"""Power above this multiple of the rating is no measurement but a mislabelled unit."""
SLOPE_WINDOW_S = 60.0
SLOPE_STEP_S = 1.0
"""Points closer than this replace each other: a flood of samples costs no more than a trickle. [s]"""
SLOPE_MIN_S = 5.0
SLOPE_MIN_W = 200.0
STANDS_STILL_S = 12.0
"""A register may be renewed this slowly. Shorter than a suspicion of the controller lasts. [s]"""
_RESOLUTIONS_WH = (1000.0, 100.0, 10.0, 1.0, 0.1, 0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One sampled value in our unit: A, W, Wh, V or %."""

    measurand: str
    value: float
    phase: str | None = None
    context: str = "Sample.Periodic"
    location: str = "Outlet"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterEntry:
    """The values of one meterValue element."""

    at: datetime | None
    """The station's time stamp; None: not readable."""
    values: tuple[Measured, ...]
    absurd: tuple[str, ...] = ()
    """Values that cannot be: no numbers, or far beyond what there is. They are used for nothing."""

    @property
    def is_triggered(self) -> bool:
        """Whether we asked for it, so that it cannot come from a queue."""
        return any(v.context == "Trigger" for v in self.values)


def parse_number(value: object) -> float | None:
    """Read a number or its text, blanks around it allowed; None for NaN, infinity and anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        if len(value) <= _SHORT and value.isascii() and value.replace(".", "", 1).isdigit():
            return float(value)
        text = value.strip()
        if len(text) > 40 or NUMBER.fullmatch(text) is None:
            return None
        value = float(text)
    if not isinstance(value, int | float):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def entries_v16(meter_values: Sequence[Mapping[str, Any]]) -> tuple[MeterEntry, ...]:
    """Translate 1.6 MeterValue elements; samples that make no sense are dropped, the rest is kept."""
    return tuple(_entry(element, _unit_v16) for element in meter_values)


def entries_v201(meter_values: Sequence[Mapping[str, Any]]) -> tuple[MeterEntry, ...]:
    """Translate 2.0.1 MeterValueType elements, `unitOfMeasure.multiplier` included."""
    return tuple(_entry(element, _unit_v201) for element in meter_values)


def _unit_v16(sampled: Mapping[str, Any]) -> tuple[str | None, int]:
    return sampled.get("unit"), 0


def _unit_v201(sampled: Mapping[str, Any]) -> tuple[str | None, int]:
    unit = sampled.get("unitOfMeasure") or {}
    return unit.get("unit"), int(unit.get("multiplier", 0))


def _entry(element: Mapping[str, Any], unit_of: Any) -> MeterEntry:
    values: list[Measured] = []
    absurd: list[str] = []
    for sampled in element["sampledValue"]:
        measured = _measured(sampled, *unit_of(sampled))
        if measured is not None:
            values.append(measured)
        elif _is_absurd(sampled, unit_of(sampled)[0]):
            absurd.append(_told(sampled))
    return MeterEntry(
        at=parse_time(element.get("timestamp")), values=tuple(values), absurd=tuple(absurd)
    )


def _is_absurd(sampled: Mapping[str, Any], unit: str | None) -> bool:
    """Tell a value that cannot be from one that is only left out, or said in a unit we do not use."""
    measurand = sampled.get("measurand", REGISTER)
    if measurand not in DIMENSIONS or sampled.get("format") == "SignedData":
        return False
    is_given = str(sampled.get("value", "")).strip() != ""
    return is_given and _factor(unit, DIMENSIONS[measurand][0]) is not None


def _told(sampled: Mapping[str, Any]) -> str:
    """Write an absurd value for people, bounded and printable."""
    value = "".join(c for c in str(sampled.get("value"))[:20] if c.isprintable())
    return f"{sampled.get('measurand', REGISTER)} = {value!r}"


def _measured(sampled: Mapping[str, Any], unit: str | None, multiplier: int) -> Measured | None:
    measurand = sampled.get("measurand", REGISTER)
    if measurand not in DIMENSIONS or sampled.get("format") == "SignedData":
        return None
    dimension, lowest, highest = DIMENSIONS[measurand]
    number = parse_number(sampled.get("value"))
    factor = _factor(unit, dimension)
    if number is None or factor is None or abs(multiplier) > 9:
        return None
    value = number * factor * 10.0**multiplier if multiplier else number * factor
    if not lowest <= value <= highest:
        return None
    return Measured(
        measurand=measurand,
        value=max(0.0, value),
        phase=sampled.get("phase"),
        context=sampled.get("context", "Sample.Periodic"),
        location=sampled.get("location", "Outlet"),
    )


@lru_cache(maxsize=256)
def _factor(unit: str | None, dimension: str) -> float | None:
    """Return the factor into our unit; None when the unit is of another dimension."""
    if unit is None or not unit.strip():
        return 1.0
    known, factor = UNITS.get(unit.strip(), (None, 1.0))
    if dimension == "%" and known is None:
        return 1.0
    return factor if known == dimension else None


def newest(entries: Iterable[MeterEntry]) -> MeterEntry | None:
    """Return the newest entry, joined with others of the same moment; entries without a time never win."""
    stamped = sorted(
        ((e.at, e) for e in entries if e.at is not None), key=lambda pair: pair[0], reverse=True
    )
    if not stamped:
        return None
    latest = stamped[0][0]
    together = [e for at, e in stamped if (latest - at).total_seconds() <= SAME_MOMENT_S]
    return MeterEntry(at=latest, values=tuple(v for e in together for v in e.values))


def register_wh(entries: Iterable[MeterEntry], context: str | None = None) -> float | None:
    """Return the import register, the newest first, else of the given context only. [Wh]"""
    found: list[tuple[float, float]] = []
    for position, entry in enumerate(entries):
        values = [v for v in entry.values if context is None or v.context == context]
        register = _total(values, REGISTER)
        if register is not None:
            found.append((entry.at.timestamp() if entry.at else float(position), register))
    return max(found)[1] if found else None


def _best_context(values: Iterable[Measured]) -> list[Measured]:
    live = [v for v in values if v.context in CONTEXT_RANK]
    if not live or all(v.context == live[0].context for v in live):
        return live
    return sorted(live, key=lambda v: CONTEXT_RANK[v.context])


def _by_terminal(values: Iterable[Measured], measurand: str) -> dict[int, float]:
    """Return the per-phase values; the first of each terminal wins."""
    found: dict[int, float] = {}
    for v in values:
        if v.measurand == measurand and v.phase in TERMINALS:
            found.setdefault(TERMINALS[v.phase], v.value)
    return found


def _overall(values: Iterable[Measured], measurand: str) -> float | None:
    return next((v.value for v in values if v.measurand == measurand and v.phase is None), None)


def _total(values: Sequence[Measured], measurand: str) -> float | None:
    """Return the value of all phases together: as reported, else the sum of the phases."""
    overall = _overall(values, measurand)
    if overall is not None:
        return overall
    phases = _by_terminal(values, measurand)
    return sum(phases.values()) if phases else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterTrack:
    """The register's recent course at one EVSE, kept by the caller between samples."""

    points: tuple[tuple[float, float], ...] = ()
    """(arrival [s], register [Wh]), oldest first, within the slope window."""

    def add(self, at_s: float, register_wh: float | None) -> RegisterTrack:
        """Return the track with one more point; a register that went back starts anew."""
        if register_wh is None:
            return self
        kept = tuple(p for p in self.points if at_s - p[0] <= SLOPE_WINDOW_S and p[0] < at_s)
        if kept and register_wh < kept[-1][1]:
            kept = ()
        if len(kept) > 1 and at_s - kept[-2][0] < SLOPE_STEP_S:
            kept = kept[:-1]
        return RegisterTrack(points=(*kept, (at_s, register_wh)))

    @property
    def slope_w(self) -> float | None:
        """Mean power since the oldest point; None while there is too little to tell. [W]"""
        if len(self.points) < 2:
            return None
        (first_s, first_wh), (last_s, last_wh) = self.points[0], self.points[-1]
        span_s = last_s - first_s
        return (last_wh - first_wh) * 3600.0 / span_s if span_s >= SLOPE_MIN_S else None

    @property
    def flowing_w(self) -> float | None:
        """Mean power since the oldest point; None once the register stands still, too. [W]

        It stands still when it has not risen for longer than one step of it takes at that mean.
        """
        slope_w = self.slope_w
        if slope_w is None:
            return None
        last_s, last_wh = self.points[-1]
        still_s = last_s - next(at_s for at_s, wh in self.points if wh == last_wh)
        missed_wh = slope_w * still_s / 3600.0
        is_still = still_s >= STANDS_STILL_S and missed_wh > _resolution_wh(self.points)
        return None if is_still else slope_w


def _resolution_wh(points: Iterable[tuple[float, float]]) -> float:
    """Return the step in which a register counts, by its digits. [Wh]"""
    registers_wh = [wh for _, wh in points]
    for step_wh in _RESOLUTIONS_WH:
        if all(abs(wh / step_wh - round(wh / step_wh)) < 1e-6 for wh in registers_wh):
            return step_wh
    return _RESOLUTIONS_WH[-1]


def register_scale(slope_w: float | None, power_w: float | None, rating_w: float | None) -> float:
    """Find a register labelled with the wrong unit: the factor that makes it Wh, 1 when it is right.

    kWh sent as Wh rises a thousand times too slowly for the reported power; Wh sent as kWh rises a
    thousand times faster than the EVSE's rating allows.
    """
    if slope_w is None or slope_w <= 0.0:
        return 1.0
    if power_w is not None and power_w >= SLOPE_MIN_W:
        ratio = power_w / slope_w
        if 500.0 <= ratio <= 2000.0:
            return 1000.0
        return 0.001 if 500.0 <= 1.0 / ratio <= 2000.0 else 1.0
    if rating_w is not None and slope_w > 100.0 * rating_w:
        return 0.001
    return 1.0


def plausible_power_w(power_w: float | None, rating_w: float | None) -> float | None:
    """Undo a factor of a thousand in a power above the rating; drop what stays impossible. [W]"""
    if power_w is None or rating_w is None or power_w <= PLAUSIBLE_RATIO * rating_w:
        return power_w
    return power_w / 1000.0 if power_w / 1000.0 <= PLAUSIBLE_RATIO * rating_w else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terminals:
    a: tuple[float, float, float] | None = None
    known: bool = False


def to_sample(
    entry: MeterEntry,
    wiring: EvseWiring,
    *,
    slope_w: float | None = None,
    limit_a: float | None = None,
) -> EvseSample | None:
    """Make one sample of one entry.

    Only what the station measured at the outlet counts for control: the inlet carries other EVSEs
    too, the vehicle measures behind its own losses. The order of trust is: current per phase,
    power, overall current, slope of the register.

    Args:
        entry: Values of one moment.
        wiring: Phases, rating and nominal voltage of the EVSE.
        slope_w: Mean power by the register (already in Wh), for stations whose power stays 0. [W]
        limit_a: The limit in force per phase, to tell a sum from a value per phase. [A]

    Returns:
        The sample in terminal order; None when nothing in the entry is of use.

    Source: OCPP 1.6 section 7.43-7.45; charger quirks 23 and 24 of the design facts.
    """
    everything = _best_context(entry.values)
    outlet = [v for v in everything if v.location == "Outlet"]
    soc = next((v.value for v in everything if v.measurand == SOC), None)
    voltage = _voltages(outlet)
    offered_a = _offered(outlet)
    power_w = plausible_power_w(_total(outlet, POWER), wiring.rating_w)
    if (power_w is None or power_w <= 0.0) and _is_rise(slope_w, wiring):
        power_w = slope_w
    limit_a = offered_a if offered_a is not None else limit_a
    terminals = _terminals(outlet, wiring, voltage, power_w, limit_a)
    if power_w is None and terminals.known and terminals.a is not None:
        power_w = sum(a * v for a, v in zip(terminals.a, _filled(voltage, wiring), strict=True))
    energy_wh = _total(outlet, REGISTER)
    if all(x is None for x in (terminals.a, power_w, energy_wh, offered_a, soc)):
        return None
    return EvseSample(
        terminal_a=terminals.a,
        power_w=power_w,
        energy_wh=energy_wh,
        offered_a=offered_a,
        voltage_v=voltage,
        soc_percent=soc,
        phases_known=terminals.known,
        station_at=entry.at,
    )


def has_current_or_power(entry: MeterEntry) -> bool:
    """Whether the entry itself says what flows, without the help of the register."""
    return any(
        v.measurand in (CURRENT, POWER) and v.location == "Outlet" and v.context in CONTEXT_RANK
        for v in entry.values
    )


def _is_rise(slope_w: float | None, wiring: EvseWiring) -> bool:
    if slope_w is None or slope_w < SLOPE_MIN_W:
        return False
    return wiring.rating_w is None or slope_w <= PLAUSIBLE_RATIO * wiring.rating_w


def _offered(values: Sequence[Measured]) -> float | None:
    overall = _overall(values, OFFERED)
    phases = _by_terminal(values, OFFERED)
    return overall if overall is not None or not phases else max(phases.values())


def _voltages(values: Sequence[Measured]) -> tuple[float, float, float] | None:
    """Return line-to-neutral voltages; a single value stands for all phases. [V]"""
    by_terminal = _by_terminal(values, VOLTAGE)
    if not by_terminal:
        for v in values:
            if v.measurand == VOLTAGE and v.phase in LINE_TO_LINE:
                by_terminal.setdefault(LINE_TO_LINE[v.phase], v.value / math.sqrt(3.0))
    overall = _overall(values, VOLTAGE)
    spare = overall if overall is not None else max(by_terminal.values(), default=None)
    if spare is None:
        return None
    return tuple(_or(by_terminal.get(i), spare) for i in range(3))  # type: ignore[return-value]


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None or value < 50.0 else value


def _filled(
    voltage: tuple[float, float, float] | None, wiring: EvseWiring
) -> tuple[float, float, float]:
    """Return voltages to divide by; one far from nominal is a line-to-line or a broken value."""
    nominal = wiring.voltage_v
    if voltage is None:
        return (nominal, nominal, nominal)
    return tuple(v if 0.7 * nominal <= v <= 1.3 * nominal else nominal for v in voltage)  # type: ignore[return-value]


def _terminals(
    values: Sequence[Measured],
    wiring: EvseWiring,
    voltage: tuple[float, float, float] | None,
    power_w: float | None,
    limit_a: float | None,
) -> _Terminals:
    """Find the current at each terminal, from the most trustworthy value there is."""
    if wiring.dc_w_per_a is not None:
        return _of_feed(power_w, wiring)
    volts = _filled(voltage, wiring)
    phases = _by_terminal(values, CURRENT)
    if phases and not (power_w and max(phases.values()) == 0.0):
        return _from_phases(phases, wiring, volts, power_w)
    power_phases = _by_terminal(values, POWER)
    if power_phases and max(power_phases.values()) > 0.0:
        amps = {i: w / volts[i] for i, w in power_phases.items()}
        return _from_phases(amps, wiring, volts, power_w)
    overall_a = _overall(values, CURRENT)
    if overall_a:
        return _from_overall(overall_a, wiring, volts[0], power_w, limit_a)
    if power_w is not None:
        return _spread(power_w / volts[0], wiring, limit_a)
    if overall_a is not None:
        return _spread(overall_a, wiring, limit_a)
    return _Terminals()


def _of_feed(power_w: float | None, wiring: EvseWiring) -> _Terminals:
    """Return what the feed of a DC charger carries; its outlet's amperes are another current."""
    if power_w is None:
        return _Terminals()
    each_a = power_w / wiring.w_per_a
    values = [each_a if i < wiring.phases else 0.0 for i in range(3)]
    return _Terminals(a=(values[0], values[1], values[2]), known=True)


def _from_phases(
    phases: Mapping[int, float],
    wiring: EvseWiring,
    volts: tuple[float, float, float],
    power_w: float | None,
) -> _Terminals:
    """Fill in the terminals that the station left out.

    A single-phase EVSE reports by whatever phase it hangs on, so its value is terminal L1. On
    others a missing phase carries what the power leaves over, at most as much as the largest
    reported one; without a power it is assumed to carry just as much.
    """
    if wiring.phases == 1:
        return _Terminals(a=(max(phases.values()), 0.0, 0.0), known=True)
    missing = [i for i in range(wiring.phases) if i not in phases]
    if not missing:
        return _Terminals(a=_triple(phases), known=True)
    largest = max(phases.values())
    if power_w is None:
        return _Terminals(a=_triple({**phases, **dict.fromkeys(missing, largest)}), known=False)
    rest_a = (power_w - sum(a * volts[i] for i, a in phases.items())) / volts[missing[0]]
    if rest_a <= max(1.0, 0.1 * largest):
        return _Terminals(a=_triple(phases), known=True)
    each = min(rest_a, largest)
    return _Terminals(a=_triple({**phases, **dict.fromkeys(missing, each)}), known=False)


def _triple(phases: Mapping[int, float]) -> tuple[float, float, float]:
    return (phases.get(0, 0.0), phases.get(1, 0.0), phases.get(2, 0.0))


def _from_overall(
    current_a: float, wiring: EvseWiring, volt: float, power_w: float | None, limit_a: float | None
) -> _Terminals:
    """Read a current without a phase: per phase if the power is that of all phases, else a sum."""
    if wiring.phases == 1:
        return _Terminals(a=(current_a, 0.0, 0.0), known=True)
    above = limit_a is not None and current_a > 1.15 * limit_a + 1.0
    if power_w:
        if power_w >= 0.75 * wiring.phases * current_a * volt:
            return _Terminals(a=_even(current_a, wiring.phases))
        return _spread(current_a, wiring, limit_a)
    if above:
        return _spread(current_a, wiring, limit_a)
    return _Terminals(a=_even(current_a, wiring.phases))


def _spread(total_a: float, wiring: EvseWiring, limit_a: float | None) -> _Terminals:
    """Share a sum among the terminals.

    What fits one phase under its limit is a single-phase vehicle at terminal L1 when it is less
    than the minimum of all phases (6 A each, IEC 61851-1) or just what the limit allows on one.
    The rest is even. Neither is known for sure, unless the EVSE has one phase only.
    """
    if wiring.phases == 1:
        return _Terminals(a=(total_a, 0.0, 0.0), known=True)
    bound_a = limit_a if limit_a is not None else wiring.max_a
    fits_one = bound_a is None or total_a <= 1.1 * bound_a + 1.0
    at_limit = limit_a is not None and total_a >= 0.85 * limit_a
    if fits_one and (at_limit or total_a < 0.9 * 6.0 * wiring.phases):
        return _Terminals(a=(total_a, 0.0, 0.0))
    return _Terminals(a=_even(total_a / wiring.phases, wiring.phases))


def _even(each_a: float, phases: int) -> tuple[float, float, float]:
    return tuple(each_a if i < phases else 0.0 for i in range(3))  # type: ignore[return-value]
