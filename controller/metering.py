"""From a session's recorded curve to stretches that can be priced. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from controller.pricing import Usage
from controller.records import SeriesPoint
from controller.station import EvseState
from controller.transaction import Transaction

STATES = tuple(EvseState)
PARKING = frozenset({EvseState.SUSPENDED_EV, EvseState.FINISHING})
"""Plugged in without charging by the vehicle's own will. A pause of ours is not the driver's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What was recorded of a session, in order of time."""

    energy_wh: Sequence[SeriesPoint] = ()
    """Energy since the session began. [Wh]"""
    status: Sequence[SeriesPoint] = ()
    """Index of the EVSE's state."""
    current_a: Sequence[SeriesPoint] = ()
    """Sum over the phases. [A]"""
    power_w: Sequence[SeriesPoint] = ()


def usages(transaction: Transaction, curve: Curve, *, now: datetime) -> tuple[Usage, ...]:
    """Return the session in stretches; their energy adds up to the meter's registers exactly.

    Without a curve the whole session is one stretch of charging. What the curve says beyond the
    registers, or backwards, is cut: the registers are the truth, the curve only tells when.
    """
    end = transaction.ended_at or now
    total_wh = _exact(transaction.energy_wh or 0.0)
    if end <= transaction.started_at:
        return ()
    moments = _moments(transaction, curve, end)
    stretches: list[Usage] = []
    given_wh = Decimal(0)
    for index in range(len(moments) - 1):
        begin, until = moments[index], moments[index + 1]
        is_last = index == len(moments) - 2
        upto_wh = total_wh if is_last else _energy_at(curve, until, given_wh, total_wh)
        state = _value_at(curve.status, begin)
        power_w = _value_at(curve.power_w, begin)
        current_a = _value_at(curve.current_a, begin)
        stretches.append(
            Usage(
                begin=begin,
                end=until,
                energy_wh=upto_wh - given_wh,
                is_parking=state is not None and STATES[int(state)] in PARKING,
                current_a=None if current_a is None else _exact(current_a),
                power_kw=None if power_w is None else _exact(power_w / 1000),
            )
        )
        given_wh = upto_wh
    return tuple(stretches)


def _moments(transaction: Transaction, curve: Curve, end: datetime) -> list[datetime]:
    """Return begin, end, and every moment in between of which something is known."""
    known = {p.at for series in (curve.energy_wh, curve.status) for p in series}
    inside = sorted(at for at in known if transaction.started_at < at < end)
    return [transaction.started_at, *inside, end]


def _energy_at(curve: Curve, at: datetime, least_wh: Decimal, most_wh: Decimal) -> Decimal:
    value = _value_at(curve.energy_wh, at)
    if value is None:
        return least_wh
    return min(max(_exact(value), least_wh), most_wh)


def _value_at(series: Sequence[SeriesPoint], at: datetime) -> float | None:
    """Return the latest value at a moment; what was before the first is not known."""
    place = bisect_right(series, at, key=lambda p: p.at)
    return series[place - 1].value if place else None


def _exact(value: float) -> Decimal:
    return Decimal(str(round(value, 3)))
