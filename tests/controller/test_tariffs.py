"""Prices: tables with weekdays and the site's wall clock, series for instants, and what is bad."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest

from controller.tariffs import (
    Series,
    SeriesError,
    Tariff,
    TariffPeriod,
    checked_series,
    slot_prices,
)

ALL_DAYS = frozenset(range(7))
NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def a_period(begin: int, end: int, price: float, days: frozenset[int] = ALL_DAYS) -> TariffPeriod:
    return TariffPeriod(days=days, begin=time(begin), end=time(end % 24), price_per_kwh=price)


def a_tariff(*periods: TariffPeriod) -> Tariff:
    return Tariff(timezone="Europe/Stockholm", periods=periods)


DAY_AND_NIGHT = a_tariff(a_period(6, 22, 0.30), a_period(22, 6, 0.10))


@pytest.mark.parametrize(
    ("at", "price"),
    [
        (datetime(2026, 3, 2, 4, 59, tzinfo=UTC), 0.10),
        (datetime(2026, 3, 2, 5, 0, tzinfo=UTC), 0.30),
        (datetime(2026, 7, 2, 4, 0, tzinfo=UTC), 0.30),
        (datetime(2026, 7, 2, 20, 0, tzinfo=UTC), 0.10),
    ],
    ids=["winter night", "winter morning", "summer morning", "summer night"],
)
def test_a_table_follows_the_wall_clock_of_the_site(at: datetime, price: float) -> None:
    assert DAY_AND_NIGHT.price_at(at) == price


def test_on_the_long_day_the_hour_that_comes_twice_has_its_price_twice() -> None:
    tariff = a_tariff(a_period(2, 3, 9.0), a_period(3, 2, 1.0))
    begin = datetime(2026, 10, 24, 22, 0, tzinfo=UTC)

    dear = [h for h in range(25) if tariff.price_at(begin + timedelta(hours=h)) == 9.0]

    assert dear == [2, 3]


def test_on_the_short_day_the_hour_that_is_left_out_has_none() -> None:
    tariff = a_tariff(a_period(2, 3, 9.0), a_period(3, 2, 1.0))
    begin = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)

    prices = {tariff.price_at(begin + timedelta(hours=h)) for h in range(23)}

    assert prices == {1.0}


def test_a_period_over_midnight_belongs_to_the_day_it_begins_on() -> None:
    friday = a_tariff(a_period(22, 6, 0.1, frozenset({4})))

    assert friday.price_at_minute(5, 5 * 60) == 0.1
    assert friday.price_at_minute(4, 5 * 60) is None


def test_gaps_and_overlaps_are_told_by_day_and_time() -> None:
    tariff = a_tariff(a_period(0, 8, 0.1), a_period(7, 20, 0.3), a_period(20, 23, 0.2))

    assert tariff.defects()[:2] == (
        "mon 07:00-08:00: 2 prices; the first one counts",
        "mon 23:00-24:00: no price",
    )


def test_a_whole_table_has_no_defects() -> None:
    assert DAY_AND_NIGHT.defects() == ()


def slots(count: int) -> list[tuple[datetime, datetime]]:
    return [(NOW + timedelta(hours=n), NOW + timedelta(hours=n + 1)) for n in range(count)]


def test_prices_given_for_instants_go_before_the_table() -> None:
    series = Series(begin_at=NOW, step_s=3600, values=(0.5,))

    prices = slot_prices(slots(2), series=series, tariff=DAY_AND_NIGHT)

    assert prices is not None
    assert prices.per_kwh == (0.5, 0.30)


def test_a_gap_gets_the_mean_and_says_so() -> None:
    prices = slot_prices(
        slots(3), series=Series(begin_at=NOW, step_s=3600, values=(1.0, 3.0)), tariff=None
    )

    assert prices is not None
    assert prices.per_kwh == (1.0, 3.0, 2.0)
    assert prices.note == "no price for 1 of 3 slots: their mean is used"


def test_without_any_price_there_are_no_prices() -> None:
    assert slot_prices(slots(3), series=None, tariff=None) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"values": [0.1, float("nan")]}, "value 1 is not a finite number"),
        ({"values": []}, "no values"),
        ({"step_s": 100}, "step_s is"),
        ({"begin_at": NOW - timedelta(days=3)}, "wrong day"),
        ({"begin_at": NOW + timedelta(days=30)}, "three days ahead"),
        ({"begin_at": NOW.replace(tzinfo=None)}, "no time zone"),
        ({"values": [-2.0]}, "between 0 and"),
    ],
    ids=["nan", "empty", "step", "yesterday", "next month", "naive", "negative"],
)
def test_a_bad_series_is_refused_with_a_reason(change: dict[str, object], reason: str) -> None:
    given: dict[str, object] = {"begin_at": NOW, "step_s": 3600, "values": [0.1, 0.2]}

    with pytest.raises(SeriesError, match=reason):
        checked_series(**{**given, **change}, now=NOW, allows_negative=False)  # type: ignore[arg-type]
