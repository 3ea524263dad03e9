"""A session's curve in stretches: the registers are the truth, the curve only tells when."""

from __future__ import annotations

import random
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from controller.metering import STATES, Curve, usages
from controller.pricing import Dimension, PriceComponent, Restrictions, Tariff, TariffElement, bill
from controller.records import SeriesPoint
from controller.site import EvseId, StationId
from controller.station import EvseState
from controller.transaction import IdToken, Transaction, TransactionId

ZONE = ZoneInfo("Europe/Stockholm")
START = datetime(2026, 3, 2, 20, 0, tzinfo=UTC)
PRICES = {"night": Decimal("0.11"), "day": Decimal("0.37"), "parking": Decimal("3")}


def charged(minutes: float, wh: float) -> Transaction:
    return Transaction(
        id=TransactionId("1"),
        station=StationId("CP1"),
        evse=EvseId("CP1/1"),
        id_token=IdToken("04"),
        started_at=START,
        start_wh=500.0,
        last_wh=500.0 + wh,
        ended_at=START + timedelta(minutes=minutes),
    )


def points(*values: tuple[float, float]) -> tuple[SeriesPoint, ...]:
    return tuple(SeriesPoint(at=START + timedelta(minutes=m), value=v) for m, v in values)


def state(*values: tuple[float, EvseState]) -> tuple[SeriesPoint, ...]:
    return points(*((m, float(STATES.index(s))) for m, s in values))


def test_without_a_curve_a_session_is_one_stretch_of_charging() -> None:
    [only] = usages(charged(60, 7000), Curve(), now=START)

    assert (only.energy_wh, only.is_parking, only.duration_s) == (7000, False, 3600)


def test_a_full_vehicle_parks_and_a_pause_of_ours_is_not_parking() -> None:
    curve = Curve(
        energy_wh=points((10, 1000), (20, 1000), (30, 3000)),
        status=state(
            (0, EvseState.CHARGING),
            (10, EvseState.SUSPENDED_EVSE),
            (20, EvseState.CHARGING),
            (30, EvseState.SUSPENDED_EV),
        ),
    )

    stretches = usages(charged(60, 3000), curve, now=START)

    assert [u.is_parking for u in stretches] == [False, False, False, True]
    assert [u.energy_wh for u in stretches] == [1000, 0, 2000, 0]


@pytest.mark.parametrize("wild_wh", [9e9, -5.0])
def test_a_wild_curve_changes_no_total(wild_wh: float) -> None:
    stretches = usages(charged(60, 3000), Curve(energy_wh=points((10, wild_wh))), now=START)

    assert sum(u.energy_wh for u in stretches) == 3000
    assert all(u.energy_wh >= 0 for u in stretches)


def test_a_session_without_length_has_no_stretch() -> None:
    assert usages(charged(0, 100), Curve(), now=START) == ()


IS_NIGHT = [
    not 6 <= (START + timedelta(seconds=s)).astimezone(ZONE).hour < 22 for s in range(20_000)
]


def independent_cost(stretches: list[tuple[int, int, int, bool]], steps_s: int) -> Fraction:
    """Price second by second in fractions: from a second, to a second, Wh, parked or not."""
    cost, parked_s = Fraction(0), 0
    for begin_s, end_s, wh, is_parked in stretches:
        night_s = sum(IS_NIGHT[begin_s:end_s])
        for name, seconds in (("night", night_s), ("day", end_s - begin_s - night_s)):
            cost += Fraction(wh * seconds, (end_s - begin_s) * 1000) * Fraction(PRICES[name])
        parked_s += (end_s - begin_s) * is_parked
    billed_s = -(-parked_s // steps_s) * steps_s
    return cost + Fraction(billed_s, 3600) * Fraction(PRICES["parking"])


def night_tariff(steps_s: int) -> Tariff:
    def energy(name: str) -> PriceComponent:
        return PriceComponent(dimension=Dimension.ENERGY, price=PRICES[name])

    parking = PriceComponent(
        dimension=Dimension.PARKING_TIME, price=PRICES["parking"], step_size=steps_s
    )
    night = Restrictions(start_time=time(22), end_time=time(6))
    return Tariff(
        id="night",
        currency="EUR",
        elements=(
            TariffElement(components=(energy("night"),), restrictions=night),
            TariffElement(components=(energy("day"), parking)),
        ),
    )


def test_a_thousand_random_sessions_cost_what_another_calculation_says() -> None:
    chance = random.Random(8)
    worst = Fraction(0)
    for _ in range(1000):
        at_s, total_wh = 0, 0
        stretches, energy, states = [], [], []
        for _ in range(chance.randint(1, 4)):
            end_s = at_s + chance.randint(60, 4000)
            is_parked = chance.random() < 0.3
            wh = 0 if is_parked else chance.randint(1, 9000)
            stretches.append((at_s, end_s, wh, is_parked))
            what = EvseState.SUSPENDED_EV if is_parked else EvseState.CHARGING
            states.append((at_s / 60, what))
            total_wh += wh
            energy.append((end_s / 60, float(total_wh)))
            at_s = end_s
        steps_s = chance.choice([1, 60, 300, 900])
        session = charged(at_s / 60, total_wh)
        curve = Curve(energy_wh=points(*energy), status=state(*states))

        made = bill(night_tariff(steps_s), usages(session, curve, now=START), zone=ZONE)

        assert sum(p.usage.energy_wh for p in made.periods) == total_wh
        off = abs(Fraction(made.total.excl_vat) - independent_cost(stretches, steps_s))
        worst = max(worst, off)
    assert worst <= Fraction(1, 10_000)
