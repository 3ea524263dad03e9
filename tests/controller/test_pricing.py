"""Tariffs against the worked amounts of OCPI 2.2.1 `mod_tariffs` and `mod_cdrs`."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.pricing import (
    Dimension,
    Money,
    PriceComponent,
    Restrictions,
    Tariff,
    TariffElement,
    Usage,
    Weekday,
    bill,
)

ZONE = ZoneInfo("Europe/Amsterdam")
MONDAY = datetime(2026, 3, 2, 9, 30, tzinfo=ZONE)
SATURDAY = datetime(2026, 3, 7, 13, 30, tzinfo=ZONE)
D = Decimal


def price(
    dimension: Dimension, amount: str, *, vat: str | None = None, step: int = 1
) -> PriceComponent:
    return PriceComponent(
        dimension=dimension,
        price=D(amount),
        vat_percent=None if vat is None else D(vat),
        step_size=step,
    )


def element(*components: PriceComponent, **when: object) -> TariffElement:
    return TariffElement(components=components, restrictions=Restrictions(**when))  # type: ignore[arg-type]


def tariff(*elements: TariffElement, low: Money | None = None, high: Money | None = None) -> Tariff:
    return Tariff(id="t", currency="EUR", elements=elements, min_price=low, max_price=high)


def stay(
    begin: datetime,
    *,
    charging_min: float = 0,
    parking_min: float = 0,
    wh: float = 0,
    current_a: float | None = None,
) -> list[Usage]:
    """A vehicle that charges evenly and then stays."""
    middle = begin + timedelta(minutes=charging_min)
    stays = []
    if charging_min:
        stays.append(
            Usage(
                begin=begin,
                end=middle,
                energy_wh=D(str(wh)),
                current_a=None if current_a is None else D(str(current_a)),
            )
        )
    if parking_min:
        stays.append(
            Usage(
                begin=middle,
                end=middle + timedelta(minutes=parking_min),
                energy_wh=D(0),
                is_parking=True,
            )
        )
    return stays


ENERGY = price(Dimension.ENERGY, "0.25", vat="10")
START = price(Dimension.FLAT, "0.50", vat="20")
COMPLEX = tariff(
    element(price(Dimension.FLAT, "2.50", vat="15")),
    element(price(Dimension.TIME, "1.00", vat="20", step=900), max_current_a=D(32)),
    element(
        price(Dimension.TIME, "2.00", vat="20", step=600),
        min_current_a=D(32),
        weekdays=frozenset(list(Weekday)[:5]),
    ),
    element(
        price(Dimension.TIME, "1.25", vat="20", step=600),
        min_current_a=D(32),
        weekdays=frozenset({Weekday.SATURDAY, Weekday.SUNDAY}),
    ),
    element(
        price(Dimension.PARKING_TIME, "5.00", vat="10", step=300),
        weekdays=frozenset(list(Weekday)[:5]),
        start_time=time(9),
        end_time=time(18),
    ),
    element(
        price(Dimension.PARKING_TIME, "6.00", vat="10", step=300),
        weekdays=frozenset({Weekday.SATURDAY}),
        start_time=time(10),
        end_time=time(17),
    ),
)
STEPS = tariff(
    element(
        price(Dimension.TIME, "1.20", step=1800),
        price(Dimension.PARKING_TIME, "1.00", step=900),
        end_time=time(17),
    ),
    element(
        price(Dimension.TIME, "2.40", step=900),
        price(Dimension.PARKING_TIME, "1.00", step=900),
        start_time=time(17),
        end_time=time(20),
    ),
    element(price(Dimension.TIME, "2.40", step=900), start_time=time(20)),
)


@pytest.mark.parametrize(
    ("agreed", "session", "excl_vat", "incl_vat"),
    [
        pytest.param(
            tariff(element(ENERGY)), stay(MONDAY, charging_min=60, wh=20_000), "5", "5.5", id="kwh"
        ),
        pytest.param(
            tariff(element(START, ENERGY)),
            stay(MONDAY, charging_min=60, wh=20_000),
            "5.5",
            "6.1",
            id="start fee",
        ),
        pytest.param(
            tariff(element(ENERGY), low=Money(excl_vat=D("0.50"), incl_vat=D("0.55"))),
            stay(MONDAY, charging_min=60, wh=1_000),
            "0.5",
            "0.55",
            id="minimum price",
        ),
        pytest.param(
            tariff(
                element(START, ENERGY, price(Dimension.PARKING_TIME, "2.00", vat="20", step=900))
            ),
            stay(MONDAY, charging_min=60, parking_min=40, wh=20_000),
            "7",
            "7.9",
            id="parking in quarters",
        ),
        pytest.param(
            tariff(element(START, ENERGY), high=Money(excl_vat=D(10), incl_vat=D(11))),
            stay(MONDAY, charging_min=60, wh=50_000),
            "10",
            "11",
            id="maximum price",
        ),
        pytest.param(
            tariff(element(START, ENERGY), high=Money(excl_vat=D(10), incl_vat=D(11))),
            stay(MONDAY, charging_min=60, wh=30_000),
            "8",
            "8.85",
            id="below the maximum",
        ),
        pytest.param(
            tariff(element(price(Dimension.TIME, "2.00", vat="10", step=60))),
            stay(MONDAY, charging_min=150, wh=9),
            "5",
            "5.5",
            id="per hour",
        ),
        pytest.param(
            tariff(
                element(
                    price(Dimension.TIME, "3.00", vat="10", step=60),
                    price(Dimension.PARKING_TIME, "5.00", vat="20", step=300),
                )
            ),
            stay(MONDAY, charging_min=150, parking_min=42, wh=9),
            "11.25",
            "12.75",
            id="per hour and parking",
        ),
        pytest.param(
            tariff(element(price(Dimension.ENERGY, "0.22", vat="10", step=100))),
            stay(MONDAY, charging_min=60, wh=20_450),
            "4.51",
            "4.961",
            id="steps of 100 Wh",
        ),
        pytest.param(
            COMPLEX,
            stay(MONDAY, charging_min=150, parking_min=42, wh=9, current_a=16),
            "8.75",
            "10",
            id="complex on a Monday",
        ),
        pytest.param(
            COMPLEX,
            stay(SATURDAY, charging_min=120, parking_min=71, wh=9, current_a=43),
            "12.5",
            "14.125",
            id="complex on a Saturday",
        ),
        pytest.param(
            STEPS,
            stay(datetime(2026, 3, 2, 16, 35, tzinfo=ZONE), charging_min=35),
            "1.3",
            None,
            id="the last element's step",
        ),
        pytest.param(
            tariff(
                element(
                    price(Dimension.TIME, "6.00", step=300),
                    price(Dimension.PARKING_TIME, "6.00", step=300),
                )
            ),
            stay(MONDAY, charging_min=21, parking_min=7),
            "3.1",
            None,
            id="21 minutes charged, 7 parked, steps of 5",
        ),
        pytest.param(
            tariff(element(price(Dimension.FLAT, "0.00"))),
            stay(MONDAY, charging_min=60, wh=20_000),
            "0",
            "0",
            id="free",
        ),
    ],
)
def test_worked_amounts(
    agreed: Tariff, session: list[Usage], excl_vat: str, incl_vat: str | None
) -> None:
    total = bill(agreed, session, zone=ZONE).total

    assert total.excl_vat == D(excl_vat)
    assert total.incl_vat == (None if incl_vat is None else D(incl_vat))


def test_the_first_kwh_and_hour_are_free() -> None:
    agreed = tariff(
        element(price(Dimension.ENERGY, "0"), max_kwh=D(1)),
        element(price(Dimension.ENERGY, "0.20"), min_kwh=D(1)),
        element(price(Dimension.PARKING_TIME, "0", step=60), max_duration_s=3600),
        element(
            price(Dimension.PARKING_TIME, "2.00", step=60),
            min_duration_s=3600,
            max_duration_s=14_400,
        ),
        element(price(Dimension.PARKING_TIME, "3.00", step=60), min_duration_s=14_400),
    )

    made = bill(agreed, stay(MONDAY, charging_min=0.001, parking_min=165, wh=20_000), zone=ZONE)

    assert made.by_dimension[Dimension.ENERGY].excl_vat == D("3.8")
    assert made.total.excl_vat == D("7.3").quantize(D("0.0001"))


def test_power_decides_between_elements() -> None:
    agreed = tariff(
        element(price(Dimension.ENERGY, "0.20"), max_power_kw=D(16)),
        element(price(Dimension.ENERGY, "0.35"), max_power_kw=D(32)),
        element(price(Dimension.ENERGY, "0.50")),
    )
    ends = [MONDAY + timedelta(minutes=m) for m in (10, 60, 70)]
    stays = [
        Usage(begin=MONDAY, end=ends[0], energy_wh=D(1000), power_kw=D(6)),
        Usage(begin=ends[0], end=ends[1], energy_wh=D(40_000), power_kw=D(48)),
        Usage(begin=ends[1], end=ends[2], energy_wh=D(500), power_kw=D(4)),
    ]

    assert bill(agreed, stays, zone=ZONE).total.excl_vat == D("20.3")


def test_a_new_period_begins_when_the_price_changes() -> None:
    agreed = tariff(
        element(price(Dimension.ENERGY, "0.10"), start_time=time(22), end_time=time(6)),
        element(price(Dimension.ENERGY, "0.30")),
    )
    evening = datetime(2026, 3, 2, 21, 0, tzinfo=ZONE)

    made = bill(agreed, stay(evening, charging_min=120, wh=22_000), zone=ZONE)

    assert [p.usage.energy_wh for p in made.periods] == [D(11_000), D(11_000)]
    assert made.periods[1].usage.begin == evening.replace(hour=22)
    assert made.total.excl_vat == D("4.4")


def test_the_hour_that_happens_twice_is_billed_twice() -> None:
    agreed = tariff(
        element(price(Dimension.TIME, "1.00"), end_time=time(3)),
        element(price(Dimension.TIME, "9.00")),
    )
    begin = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)  # 02:00 summer time; 03:00 becomes 02:00

    assert bill(agreed, stay(begin, charging_min=180), zone=ZONE).total.excl_vat == D("11")


def test_midnight_as_an_end_is_the_end_of_the_day() -> None:
    agreed = tariff(element(ENERGY, end_time=time(0)))

    assert bill(agreed, stay(MONDAY, charging_min=60, wh=2000), zone=ZONE).total.excl_vat == D(
        "0.5"
    )


def test_dates_and_nothing_at_all() -> None:
    agreed = tariff(element(ENERGY, start_date=date(2026, 3, 3), end_date=date(2026, 3, 4)))
    session = stay(datetime(2026, 3, 2, 23, 0, tzinfo=ZONE), charging_min=120, wh=2000)

    assert bill(agreed, session, zone=ZONE).total.excl_vat == D("0.25")
    assert bill(agreed, [], zone=ZONE).total.excl_vat == 0


@st.composite
def sessions(draw: st.DrawFn) -> list[Usage]:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=draw(st.integers(0, 500_000)))
    stays = []
    for _ in range(draw(st.integers(1, 6))):
        end = at + timedelta(seconds=draw(st.integers(1, 20_000)))
        is_parking = draw(st.booleans())
        wh = 0 if is_parking else draw(st.integers(0, 40_000))
        stays.append(Usage(begin=at, end=end, energy_wh=D(wh), is_parking=is_parking))
        at = end
    return stays


@settings(max_examples=150, deadline=None)
@given(sessions())
def test_periods_hold_all_energy_and_time_of_the_session(session: list[Usage]) -> None:
    made = bill(COMPLEX, session, zone=ZONE)

    assert sum(p.usage.energy_wh for p in made.periods) == sum(u.energy_wh for u in session)
    assert made.periods[0].usage.begin == session[0].begin
    assert made.periods[-1].usage.end == session[-1].end
    assert all(
        a.usage.end == b.usage.begin for a, b in zip(made.periods, made.periods[1:], strict=False)
    )
