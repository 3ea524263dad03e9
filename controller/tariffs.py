"""What energy costs when: tables by weekday and local time, and prices given for instants.

A price that is missing is not zero: the plan then uses the mean of what is known, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from math import isfinite
from zoneinfo import ZoneInfo

DAY_MIN = 24 * 60
LONGEST = timedelta(hours=72)
"""Prices reach so far ahead at most."""
LARGEST = 1e9
"""No price and no power is beyond this."""
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffPeriod:
    """A price at some local times of some weekdays."""

    days: frozenset[int]
    """0 is Monday."""
    begin: time
    """Local time; included."""
    end: time
    """Local time, not included; 00:00 is the end of the day. Before `begin`: on the next day."""
    price_per_kwh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """A table of periods. Where periods overlap the first one in the table counts."""

    timezone: str
    periods: tuple[TariffPeriod, ...]

    def price_at(self, at: datetime) -> float | None:
        """Return the price at an instant by the wall clock there; None in a gap. [1/kWh].

        When the clock is set back the hour that comes twice has its price twice; the hour that is
        left out in spring has none.
        """
        local = at.astimezone(ZoneInfo(self.timezone))
        return self.price_at_minute(local.weekday(), local.hour * 60 + local.minute)

    def price_at_minute(self, day: int, minute: int) -> float | None:
        """Return the price at a minute of a weekday. [1/kWh]"""
        for period in self.periods:
            if _covers(period, day, minute):
                return period.price_per_kwh
        return None

    def defects(self) -> tuple[str, ...]:
        """Return gaps and overlaps in words, weekday by weekday; empty when there are none."""
        found = []
        for day, name in enumerate(WEEKDAYS):
            edges = sorted({0, DAY_MIN, *(e for p in self.periods for e in _edges(p))})
            for begin, end in pairwise(edges):
                count = sum(_covers(period, day, begin) for period in self.periods)
                if count != 1:
                    what = "no price" if count == 0 else f"{count} prices; the first one counts"
                    found.append(f"{name} {_clock(begin)}-{_clock(end)}: {what}")
        return tuple(found)


def _covers(period: TariffPeriod, day: int, minute: int) -> bool:
    begin, end = _edges(period)
    if end > begin:
        return day in period.days and begin <= minute < end
    today = day in period.days and minute >= begin
    return today or ((day - 1) % 7 in period.days and minute < end)


def _edges(period: TariffPeriod) -> tuple[int, int]:
    begin = period.begin.hour * 60 + period.begin.minute
    end = period.end.hour * 60 + period.end.minute
    return begin, end if end > 0 else DAY_MIN


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Values for consecutive steps of equal length: prices, or a power forecast."""

    begin_at: datetime
    step_s: float
    values: tuple[float, ...]

    @property
    def end_at(self) -> datetime:
        """Where the last step ends."""
        return self.begin_at + timedelta(seconds=self.step_s * len(self.values))

    def value_at(self, at: datetime) -> float | None:
        """Return the value at an instant; None outside."""
        index = int((at - self.begin_at).total_seconds() // self.step_s)
        return self.values[index] if 0 <= index < len(self.values) else None


class SeriesError(ValueError):
    """A series cannot be used; the text says why and what to do."""


def checked_series(
    *,
    begin_at: datetime,
    step_s: float,
    values: Sequence[float],
    now: datetime,
    allows_negative: bool,
) -> Series:
    """Build a series from what a client gave.

    Raises:
        SeriesError: Not finite or out of bounds, of an unusable step, in the past, or too far ahead.
    """
    least = -LARGEST if allows_negative else 0.0
    if begin_at.tzinfo is None:
        raise SeriesError("begin_at has no time zone; write it as 2026-03-02T00:00:00Z")
    if step_s not in (300, 900, 1800, 3600):
        raise SeriesError("step_s is 300, 900, 1800 or 3600")
    if not values:
        raise SeriesError("there are no values; DELETE removes a series")
    for index, value in enumerate(values):
        if not isfinite(value):
            raise SeriesError(f"value {index} is not a finite number")
        if not least <= value <= LARGEST:
            raise SeriesError(
                f"value {index} is {value:g}; it must be between {least:g} and {LARGEST:g}"
            )
    series = Series(begin_at=begin_at.astimezone(UTC), step_s=step_s, values=tuple(values))
    if series.end_at <= now:
        raise SeriesError(
            f"the series ends at {series.end_at:%Y-%m-%dT%H:%MZ}, in the past: "
            "it is for the wrong day, or the clock here is wrong"
        )
    if series.begin_at > now + LONGEST or series.end_at - series.begin_at > 2 * LONGEST:
        raise SeriesError("the series begins or reaches more than three days ahead")
    return series


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotPrices:
    """Prices for the slots of a plan."""

    per_kwh: tuple[float, ...]
    note: str
    """What was missing and how it was filled; empty when nothing was."""


def slot_prices(
    slots: Iterable[tuple[datetime, datetime]], *, series: Series | None, tariff: Tariff | None
) -> SlotPrices | None:
    """Return the mean price of every slot; None when no price is known at all.

    Prices that were given for instants go before the table; gaps get the mean of the rest.
    """
    known = [_mean_price(begin, end, series, tariff) for begin, end in slots]
    given = [price for price in known if price is not None]
    if not given:
        return None
    mean = sum(given) / len(given)
    missing = len(known) - len(given)
    note = f"no price for {missing} of {len(known)} slots: their mean is used" if missing else ""
    return SlotPrices(per_kwh=tuple(mean if p is None else p for p in known), note=note)


def _mean_price(
    begin: datetime, end: datetime, series: Series | None, tariff: Tariff | None
) -> float | None:
    prices = []
    at = begin
    while at < end:
        price = series.value_at(at) if series is not None else None
        if price is None and tariff is not None:
            price = tariff.price_at(at)
        if price is not None:
            prices.append(price)
        at += timedelta(minutes=15)
    return sum(prices) / len(prices) if prices else None
