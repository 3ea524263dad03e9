"""Demand limits: the mean power of a clock-aligned interval, as the network tariff measures it.

The energy of the running interval is integrated from the meter; what it may still take until its
end follows by arithmetic. A peak that has been reached this month is paid for already.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from controller.site import CircuitId

LONGEST_GAP_S = 120.0
"""Power is not assumed to have stayed the same for longer than this. [s]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandLimit:
    """What the site wants to keep."""

    circuit: CircuitId
    interval_s: float
    """900, 1800 or 3600. [s]"""
    limit_w: float
    """Mean power of an interval. [W]"""
    follows_peak: bool = True
    """Whether the month's peak, once above the limit, is the limit for the rest of the month."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandState:
    """What has been measured. Kept over restarts."""

    interval_begin_s: float = 0.0
    """Of the running interval, seconds since 1970. [s]"""
    energy_wh: float = 0.0
    """Of the running interval so far. [Wh]"""
    seen_s: float | None = None
    """When power was last booked, seconds since 1970. [s]"""
    power_w: float = 0.0
    """Then. [W]"""
    month: str = ""
    """Local month of the peak, for example 2026-03."""
    peak_w: float = 0.0
    """Highest mean power of a whole interval of the month. [W]"""


def advanced(
    state: DemandState, limit: DemandLimit, *, power_w: float | None, at: datetime, timezone: str
) -> DemandState:
    """Book the time since the last call.

    Args:
        state: What was known.
        limit: Whose interval counts.
        power_w: Power now, export negative; None: not known, the last one is taken to go on.
        at: Now.
        timezone: The site's, for the month.
    """
    now_s = at.timestamp()
    power_w = state.power_w if power_w is None else power_w
    begin_s = now_s // limit.interval_s * limit.interval_s
    month = at.astimezone(ZoneInfo(timezone)).strftime("%Y-%m")
    if state.seen_s is None or not 0 <= now_s - state.seen_s <= limit.interval_s:
        peak_w = state.peak_w if state.month == month else 0.0
        # Not measured: taken as if it had gone on like this, so that a restart grants nothing.
        energy_wh = max(0.0, power_w) * (now_s - begin_s) / 3600
        return DemandState(
            interval_begin_s=begin_s,
            energy_wh=energy_wh,
            seen_s=now_s,
            power_w=power_w,
            month=month,
            peak_w=peak_w,
        )
    if begin_s == state.interval_begin_s:
        energy_wh = state.energy_wh + power_w * (now_s - state.seen_s) / 3600
        return replace(state, energy_wh=energy_wh, seen_s=now_s, power_w=power_w)
    last_wh = state.energy_wh + power_w * (begin_s - state.seen_s) / 3600
    mean_w = last_wh * 3600 / limit.interval_s
    peak_w = max(state.peak_w, mean_w) if state.month == month else 0.0
    return DemandState(
        interval_begin_s=begin_s,
        energy_wh=power_w * (now_s - begin_s) / 3600,
        seen_s=now_s,
        power_w=power_w,
        month=month,
        peak_w=peak_w,
    )


def threshold_w(state: DemandState, limit: DemandLimit) -> float:
    """Return the mean power that an interval may have. [W]"""
    return max(limit.limit_w, state.peak_w) if limit.follows_peak else limit.limit_w


def allowed_w(state: DemandState, limit: DemandLimit, *, at: datetime) -> float:
    """Return the power that the rest of the running interval may have, 0 or more. [W].

    At the end of an interval little energy is much power: the limit is never more than thrice the
    threshold, and the next interval starts from the plan.
    """
    most_w = threshold_w(state, limit)
    left_s = state.interval_begin_s + limit.interval_s - at.timestamp()
    if left_s <= 0:
        return most_w
    left_wh = most_w * limit.interval_s / 3600 - state.energy_wh
    return min(max(0.0, left_wh * 3600 / max(left_s, 30.0)), 3 * most_w)
