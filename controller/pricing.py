"""What a session costs: tariffs of elements, components and restrictions, in decimal arithmetic. Pure.

The structure is that of OCPI 2.2.1 `mod_tariffs`, so that a partner can calculate the same amount.
Steps are rounded as `mod_cdrs` 2.2.1 says: once per session for energy, and once for time, which is
parking time when the session has any that costs money.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import Enum
from itertools import pairwise
from zoneinfo import ZoneInfo

HOUR_S = Decimal(3600)
KWH_WH = Decimal(1000)
CENT = Decimal("0.0001")
"""Amounts are rounded to four places, as OCPI's numbers are. Source: OCPI 2.2.1 `types`, number."""


class Dimension(Enum):
    """What a component has a price for."""

    ENERGY = "ENERGY"
    """Per kWh; a step is 1 Wh."""
    TIME = "TIME"
    """Per hour of charging; a step is 1 s."""
    PARKING_TIME = "PARKING_TIME"
    """Per hour plugged in without charging; a step is 1 s."""
    FLAT = "FLAT"
    """Once per session."""


class Weekday(Enum):
    """Days in the order of `datetime.weekday`."""

    MONDAY = 0
    TUESDAY = 1
    WEDNESDAY = 2
    THURSDAY = 3
    FRIDAY = 4
    SATURDAY = 5
    SUNDAY = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceComponent:
    """A price for one dimension."""

    dimension: Dimension
    price: Decimal
    """Without VAT, per kWh or hour, or once."""
    vat_percent: Decimal | None = None
    """None: no VAT is known, which differs from 0."""
    step_size: int = 1
    """Smallest amount that is billed. [Wh or s]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restrictions:
    """When an element counts. None: always. Times of day and dates are the site's own."""

    start_time: time | None = None
    end_time: time | None = None
    """Exclusive; at or before `start_time`: the next day's."""
    start_date: date | None = None
    end_date: date | None = None
    """Exclusive."""
    min_kwh: Decimal | None = None
    max_kwh: Decimal | None = None
    min_current_a: Decimal | None = None
    """Sum over the phases. [A]"""
    max_current_a: Decimal | None = None
    min_power_kw: Decimal | None = None
    max_power_kw: Decimal | None = None
    min_duration_s: int | None = None
    max_duration_s: int | None = None
    weekdays: frozenset[Weekday] = frozenset()
    """Empty: every day."""
    is_reservation: bool = False
    """Prices of a reservation, not of charging."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffElement:
    """Components that count while the restrictions match."""

    components: tuple[PriceComponent, ...]
    restrictions: Restrictions = Restrictions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An amount, and with VAT where every part's VAT is known."""

    excl_vat: Decimal
    incl_vat: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """A tariff as it was when the session began."""

    id: str
    currency: str
    elements: tuple[TariffElement, ...]
    min_price: Money | None = None
    max_price: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A stretch of a session in which nothing but time and energy moves on. Times are UTC."""

    begin: datetime
    end: datetime
    energy_wh: Decimal
    is_parking: bool = False
    current_a: Decimal | None = None
    """Sum over the phases. None: not known, restrictions on current do not match. [A]"""
    power_kw: Decimal | None = None

    @property
    def duration_s(self) -> Decimal:
        """Length. [s]"""
        return Decimal(str((self.end - self.begin).total_seconds()))


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedPeriod:
    """A stretch with the components that counted in it."""

    usage: Usage
    components: tuple[PriceComponent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a session costs, by dimension and together."""

    periods: tuple[PricedPeriod, ...]
    total: Money
    by_dimension: dict[Dimension, Money]
    billed: dict[Dimension, Decimal]
    """Amounts after rounding up to steps. [kWh or h]"""


def bill(tariff: Tariff, usages: Sequence[Usage], *, zone: ZoneInfo) -> Bill:
    """Price a session.

    Args:
        tariff: The tariff of the session.
        usages: The session in order, without holes. Empty: only nothing is billed.
        zone: The site's time zone, for times of day.
    """
    periods = merged(
        PricedPeriod(usage=piece, components=active)
        for piece, active in _active_pieces(tariff, usages, zone)
    )
    amounts = {d: _amount(d, periods) for d in Dimension}
    billed = {d: quantity for d, (quantity, _) in amounts.items()}
    by_dimension = {d: money for d, (_, money) in amounts.items()}
    total = _clamped(_sum(by_dimension.values()), tariff)
    return Bill(
        periods=periods,
        total=_rounded(total),
        by_dimension={d: _rounded(m) for d, m in by_dimension.items()},
        billed=billed,
    )


# --- periods ----------------------------------------------------------------------------------------


def merged(periods: Iterable[PricedPeriod]) -> tuple[PricedPeriod, ...]:
    """Join neighbours in which the same components count and the vehicle does the same."""
    joined: list[PricedPeriod] = []
    for period in periods:
        last = joined[-1] if joined else None
        is_same = (
            last is not None
            and last.components == period.components
            and last.usage.is_parking == period.usage.is_parking
            and last.usage.end == period.usage.begin
        )
        if last is None or not is_same:
            joined.append(period)
            continue
        usage = Usage(
            begin=last.usage.begin,
            end=period.usage.end,
            energy_wh=last.usage.energy_wh + period.usage.energy_wh,
            is_parking=period.usage.is_parking,
        )
        joined[-1] = PricedPeriod(usage=usage, components=period.components)
    return tuple(joined)


def _active_pieces(
    tariff: Tariff, usages: Sequence[Usage], zone: ZoneInfo
) -> Iterator[tuple[Usage, tuple[PriceComponent, ...]]]:
    if not usages:
        return
    session_begin = usages[0].begin
    before_wh = Decimal(0)
    for usage in usages:
        for piece in _split(usage, tariff, session_begin, before_wh, zone):
            moment = _Moment(
                usage=piece,
                local=piece.begin.astimezone(zone),
                since_begin_s=Decimal(str((piece.begin - session_begin).total_seconds())),
                energy_wh=before_wh,
            )
            yield piece, _active(tariff, moment)
            before_wh += piece.energy_wh


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    usage: Usage
    local: datetime
    since_begin_s: Decimal
    energy_wh: Decimal


def _active(tariff: Tariff, moment: _Moment) -> tuple[PriceComponent, ...]:
    """Return, for each dimension, the first component whose element matches."""
    found: dict[Dimension, PriceComponent] = {}
    for element in tariff.elements:
        if not _matches(element.restrictions, moment):
            continue
        for component in element.components:
            found.setdefault(component.dimension, component)
    return tuple(found[d] for d in Dimension if d in found)


def _matches(limits: Restrictions, moment: _Moment) -> bool:
    return (
        not limits.is_reservation
        and _day_matches(limits, moment.local)
        and _time_matches(limits, moment.local.time())
        and _within(moment.energy_wh / KWH_WH, limits.min_kwh, limits.max_kwh)
        and _within(moment.since_begin_s, limits.min_duration_s, limits.max_duration_s)
        and _between(moment.usage.current_a, limits.min_current_a, limits.max_current_a)
        and _between(moment.usage.power_kw, limits.min_power_kw, limits.max_power_kw)
    )


def _day_matches(limits: Restrictions, local: datetime) -> bool:
    day = local.date()
    return (
        (limits.start_date is None or day >= limits.start_date)
        and (limits.end_date is None or day < limits.end_date)
        and (not limits.weekdays or Weekday(local.weekday()) in limits.weekdays)
    )


def _time_matches(limits: Restrictions, local: time) -> bool:
    start, end = limits.start_time, limits.end_time
    if start is None or end is None:
        ends_at_midnight = end is None or end == time(0)
        return (start is None or local >= start) and (ends_at_midnight or local < (end or time(0)))
    return start <= local < end if start < end else local >= start or local < end


def _within(value: Decimal, least: Decimal | int | None, most: Decimal | int | None) -> bool:
    return (least is None or value >= least) and (most is None or value < most)


def _between(value: Decimal | None, least: Decimal | None, most: Decimal | None) -> bool:
    if least is None and most is None:
        return True
    return value is not None and _within(value, least, most)


# --- where a stretch has to be cut -----------------------------------------------------------------


def _split(
    usage: Usage, tariff: Tariff, session_begin: datetime, before_wh: Decimal, zone: ZoneInfo
) -> Iterator[Usage]:
    cuts = {usage.begin, usage.end}
    for limits in (e.restrictions for e in tariff.elements):
        cuts.update(_clock_cuts(limits, usage, zone))
        for after_s in (limits.min_duration_s, limits.max_duration_s):
            if after_s is not None:
                cuts.add(session_begin + timedelta(seconds=after_s))
        for kwh in (limits.min_kwh, limits.max_kwh):
            if kwh is not None:
                cuts.update(_energy_cut(usage, kwh * KWH_WH - before_wh))
    inside = sorted(c for c in cuts if usage.begin <= c <= usage.end)
    if len(inside) < 2:
        yield usage
        return
    given_wh = Decimal(0)
    for begin, end in pairwise(inside):
        upto_wh = usage.energy_wh if end == usage.end else _energy_at(usage, end)
        yield Usage(
            begin=begin,
            end=end,
            energy_wh=upto_wh - given_wh,
            is_parking=usage.is_parking,
            current_a=usage.current_a,
            power_kw=usage.power_kw,
        )
        given_wh = upto_wh


def _clock_cuts(limits: Restrictions, usage: Usage, zone: ZoneInfo) -> Iterator[datetime]:
    needs_days = limits.weekdays or limits.start_date or limits.end_date
    times = [t for t in (limits.start_time, limits.end_time) if t is not None]
    if needs_days:
        times.append(time(0))
    if not times:
        return
    day = usage.begin.astimezone(zone).date()
    last = usage.end.astimezone(zone).date()
    while day <= last:
        for at in times:
            # fold=0: the hour that happens twice begins with its first round.
            yield datetime.combine(day, at, tzinfo=zone).astimezone(usage.begin.tzinfo)
        day += timedelta(days=1)


def _energy_cut(usage: Usage, after_wh: Decimal) -> Iterator[datetime]:
    if 0 < after_wh < usage.energy_wh:
        share = after_wh / usage.energy_wh
        yield usage.begin + (usage.end - usage.begin) * float(share)


def _energy_at(usage: Usage, at: datetime) -> Decimal:
    """Return the energy up to a moment, to the whole milliwatt-hour. [Wh]."""
    total_s = (usage.end - usage.begin).total_seconds()
    if total_s == 0:
        return usage.energy_wh
    share = Decimal(str((at - usage.begin).total_seconds())) / Decimal(str(total_s))
    return (usage.energy_wh * share).quantize(Decimal("0.001"))


# --- amounts ---------------------------------------------------------------------------------------


def _amount(dimension: Dimension, periods: Sequence[PricedPeriod]) -> tuple[Decimal, Money]:
    """Return how much of a dimension is billed and what it costs."""
    priced = [
        (_quantity(dimension, p.usage), c)
        for p in periods
        for c in p.components
        if c.dimension is dimension and _counts(dimension, p.usage)
    ]
    if not priced:
        return Decimal(0), Money(excl_vat=Decimal(0), incl_vat=Decimal(0))
    if dimension is Dimension.FLAT:
        return Decimal(1), _cost(Decimal(1), priced[0][1])
    extra = Decimal(0)
    if _rounds(dimension, periods):
        extra = _missing_to_step(sum((q for q, _ in priced), Decimal(0)), priced[-1][1])
    costs = [_cost(quantity, component) for quantity, component in priced]
    costs.append(_cost(extra, priced[-1][1]))
    return sum((q for q, _ in priced), extra), _sum(costs)


def _counts(dimension: Dimension, usage: Usage) -> bool:
    if dimension is Dimension.PARKING_TIME:
        return usage.is_parking
    return not usage.is_parking if dimension is Dimension.TIME else True


def _quantity(dimension: Dimension, usage: Usage) -> Decimal:
    return usage.energy_wh / KWH_WH if dimension is Dimension.ENERGY else usage.duration_s / HOUR_S


def _rounds(dimension: Dimension, periods: Sequence[PricedPeriod]) -> bool:
    """Tell whether steps count: charging time is not rounded up when parking time is billed after it."""
    if dimension is not Dimension.TIME:
        return True
    return not any(
        p.usage.is_parking and any(c.dimension is Dimension.PARKING_TIME for c in p.components)
        for p in periods
    )


def _missing_to_step(quantity: Decimal, component: PriceComponent) -> Decimal:
    units = KWH_WH if component.dimension is Dimension.ENERGY else HOUR_S
    step = Decimal(max(component.step_size, 1))
    # Hours carry the rounding of a division; a thousandth of a unit is beneath every meter.
    used = (quantity * units).quantize(Decimal("0.001"))
    return (-used % step + step) % step / units if used % step else Decimal(0)


def _cost(quantity: Decimal, component: PriceComponent) -> Money:
    cost = quantity * component.price
    if component.vat_percent is None:
        return Money(excl_vat=cost, incl_vat=cost if cost == 0 else None)
    return Money(excl_vat=cost, incl_vat=cost * (1 + component.vat_percent / 100))


def _sum(parts: Iterable[Money]) -> Money:
    excl_vat, incl_vat = Decimal(0), Decimal(0)
    is_known = True
    for part in parts:
        excl_vat += part.excl_vat
        is_known = is_known and part.incl_vat is not None
        incl_vat += part.incl_vat or Decimal(0)
    return Money(excl_vat=excl_vat, incl_vat=incl_vat if is_known else None)


def _clamped(total: Money, tariff: Tariff) -> Money:
    """Keep the total within the tariff's least and most; with and without VAT each for itself."""
    low, high = tariff.min_price, tariff.max_price
    excl_vat, incl_vat = total.excl_vat, total.incl_vat
    if low is not None:
        excl_vat = max(excl_vat, low.excl_vat)
        if incl_vat is not None and low.incl_vat is not None:
            incl_vat = max(incl_vat, low.incl_vat)
    if high is not None:
        excl_vat = min(excl_vat, high.excl_vat)
        if incl_vat is not None and high.incl_vat is not None:
            incl_vat = min(incl_vat, high.incl_vat)
    return Money(excl_vat=excl_vat, incl_vat=incl_vat)


def _rounded(money: Money) -> Money:
    return Money(
        excl_vat=money.excl_vat.quantize(CENT, ROUND_HALF_UP),
        incl_vat=None if money.incl_vat is None else money.incl_vat.quantize(CENT, ROUND_HALF_UP),
    )
