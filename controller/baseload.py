"""What the building draws, told apart from the vehicles behind the same meter.

The meter sees everything at once and every second; stations report seconds later. Subtracting one
from the other therefore shows steps that never happened: a vehicle that follows a new limit looks
like a building that changed. So the building's load is estimated as a set: each vehicle draws
between a lower and an upper bound, hence the building too, and the estimate moves only as far as
the bounds force it. Changes that only stations could explain are believed once they have lasted
longer than the stations need to report.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.phases import PHASES, PhaseCurrents
from controller.values import replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A change that waits to be believed: since when, and its mildest value so far. [s, A]"""

    since_s: float
    value_a: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseBase:
    """The estimate on one phase."""

    value_a: float
    rise: Drift | None = None
    fall: Drift | None = None
    first_s: float | None = None
    """When the estimate began. It follows the readings, down only as far as vehicles surely draw, until
    every station had time to report; meanwhile those that have not are taken to draw what they may, and
    nothing rises. [s]"""


BaseLoad = tuple[PhaseBase, PhaseBase, PhaseBase]
"""Estimates on L1, L2, L3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawBounds:
    """Bounds on what the vehicles behind one meter draw together. [A]"""

    least: PhaseCurrents
    """By their latest samples and limits, each surely draws at least its part of this."""
    last_seen: PhaseCurrents
    """Their latest samples as they are, also where a newer limit is on its way; for those that are
    silent, what they probably draw."""
    reported: PhaseCurrents
    """By their latest samples, as far as these still hold; otherwise what is committed."""
    most: PhaseCurrents
    """What is committed to them or measured at them."""


def estimated(
    base: BaseLoad | None,
    *,
    meter: PhaseCurrents,
    bounds: DrawBounds,
    overloaded: PhaseCurrents,
    now_s: float,
    believe_after_s: float,
) -> BaseLoad:
    """Advance the estimate by one meter reading.

    Args:
        base: The estimate so far; None: this is the first reading.
        meter: Measured at the circuit. [A]
        bounds: What the vehicles behind the meter draw. [A]
        overloaded: Above 0 on phases whose limit is exceeded now: there whatever the latest samples
            do not explain counts at once. [A]
        now_s: Monotonic now. [s]
        believe_after_s: How long a change must last that later samples could still explain. [s]
    """
    if base is not None and _explains(base, meter, bounds, overloaded):
        return base
    least, likely = meter - bounds.most, meter - bounds.reported
    most, seen = meter - bounds.least, meter - bounds.last_seen
    l1, l2, l3 = (
        _estimated_phase(
            base[i] if base else None,
            least_a=least.of(p),
            likely_a=likely.of(p),
            most_a=most.of(p),
            seen_a=seen.of(p),
            is_overloaded=overloaded.of(p) > 0,
            now_s=now_s,
            believe_after_s=believe_after_s,
        )
        for i, p in enumerate(PHASES)
    )
    return (l1, l2, l3)


def _explains(
    base: BaseLoad, meter: PhaseCurrents, bounds: DrawBounds, overloaded: PhaseCurrents
) -> bool:
    """Tell whether the estimate lies within all bounds and nothing waits: then it stays. [A]

    This is so in most cycles.
    """
    most, reported, least = bounds.most, bounds.reported, bounds.least
    return (
        overloaded.l1_a <= 0
        and overloaded.l2_a <= 0
        and overloaded.l3_a <= 0
        and _explains_phase(base[0], meter.l1_a, most.l1_a, reported.l1_a, least.l1_a)
        and _explains_phase(base[1], meter.l2_a, most.l2_a, reported.l2_a, least.l2_a)
        and _explains_phase(base[2], meter.l3_a, most.l3_a, reported.l3_a, least.l3_a)
    )


def _explains_phase(
    base: PhaseBase, meter_a: float, most_a: float, reported_a: float, least_a: float
) -> bool:
    value_a = base.value_a
    return (
        base.first_s is None
        and base.rise is None
        and base.fall is None
        and meter_a - most_a <= value_a
        and meter_a - reported_a <= value_a <= meter_a - least_a
    )


def is_first(base: BaseLoad | None, *, now_s: float, believe_after_s: float) -> bool:
    """Tell whether the estimate is so young that stations may not have reported yet."""
    if base is None:
        return True
    if base[0].first_s is base[1].first_s is base[2].first_s is None:
        return False
    return any(p.first_s is not None and now_s - p.first_s < believe_after_s for p in base)


def value(base: BaseLoad) -> PhaseCurrents:
    """Return the estimate. [A]"""
    return PhaseCurrents(l1_a=base[0].value_a, l2_a=base[1].value_a, l3_a=base[2].value_a)


def _estimated_phase(
    base: PhaseBase | None,
    *,
    least_a: float,
    likely_a: float,
    most_a: float,
    seen_a: float,
    is_overloaded: bool,
    now_s: float,
    believe_after_s: float,
) -> PhaseBase:
    if base is None:
        return PhaseBase(value_a=seen_a, first_s=now_s)
    if base.first_s is not None and now_s - base.first_s < believe_after_s:
        # Who was just lowered falls before its next sample says so: that is no building that falls.
        value_a = max(seen_a, min(base.value_a, most_a))
        return PhaseBase(value_a=value_a, first_s=base.first_s)
    if is_overloaded and seen_a > base.value_a:
        return PhaseBase(value_a=seen_a)
    if least_a > base.value_a:
        base = replace(base, value_a=least_a)
    rise = _risen(base, likely_a=likely_a, most_a=most_a, now_s=now_s)
    fall = _drift(base.fall, most_a, base.value_a, now_s) if most_a < base.value_a else None
    if rise and likely_a > base.value_a and now_s - rise.since_s >= believe_after_s:
        return PhaseBase(value_a=rise.value_a)
    if fall and now_s - fall.since_s >= believe_after_s:
        return PhaseBase(value_a=fall.value_a)
    return PhaseBase(value_a=base.value_a, rise=rise, fall=fall)


def _risen(base: PhaseBase, *, likely_a: float, most_a: float, now_s: float) -> Drift | None:
    """Return the rise that waits, if any.

    A vehicle with a new limit, or a sample that is late, covers a rise; it does not refute it. It would
    else begin anew every time, and never be believed where somebody is always on the move.
    """
    if likely_a > base.value_a:
        return _drift(base.rise, likely_a, base.value_a, now_s)
    if base.rise is None or most_a <= base.value_a:
        return None
    if base.rise.value_a <= most_a:
        return base.rise
    return replace(base.rise, value_a=most_a)


def _drift(drift: Drift | None, target_a: float, value_a: float, now_s: float) -> Drift:
    """Extend a waiting change; its mildest value is the one nearest to the present estimate."""
    if drift is None:
        return Drift(since_s=now_s, value_a=target_a)
    mildest = min(drift.value_a, target_a) if target_a > value_a else max(drift.value_a, target_a)
    return replace(drift, value_a=mildest)
