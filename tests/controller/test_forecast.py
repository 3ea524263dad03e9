"""The building's forecast: its history, and how it behaves now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from controller.forecast import Observation, profile_of

MONDAY = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)


def weeks(count: int, *, odd_day: int | None = None) -> list[Observation]:
    """40 A from eight to four on working days, 10 A else; one odd day at 200 A."""
    seen = []
    for day in range(7 * count):
        for quarter in range(96):
            is_work = day % 7 < 5 and 32 <= quarter < 64
            value = 200.0 if day == odd_day else 40.0 if is_work else 10.0
            at = MONDAY + timedelta(days=day, minutes=15 * quarter)
            seen.append(Observation(at=at, current_a=value))
    return seen


def expected_a(
    at: datetime, *, now_a: float = 10.0, odd_day: int | None = None, **kw: float
) -> float:
    now = MONDAY + timedelta(days=28)
    return profile_of(weeks(4, odd_day=odd_day), timezone="UTC").expected_a(
        at, now=now, now_a=now_a, **kw
    )


@pytest.mark.parametrize(("day", "hour", "current_a"), [(28, 10, 40), (28, 20, 10), (33, 10, 10)])
def test_like_days_and_times_repeat(day: int, hour: int, current_a: float) -> None:
    assert expected_a(MONDAY + timedelta(days=day, hours=hour)) == pytest.approx(current_a)


def test_one_odd_day_changes_nothing() -> None:
    assert expected_a(MONDAY + timedelta(days=28, hours=10), odd_day=2) == pytest.approx(40)


def test_a_deviation_of_now_counts_near_and_fades() -> None:
    near = expected_a(MONDAY + timedelta(days=28, minutes=5), now_a=30.0)
    far = expected_a(MONDAY + timedelta(days=28, hours=20), now_a=30.0)

    assert near == pytest.approx(30, abs=1)
    assert far == pytest.approx(10, abs=0.1)


def test_the_worst_case_bounds_it() -> None:
    assert expected_a(MONDAY + timedelta(days=28, hours=10), most_a=25.0) == 25.0


def test_without_history_now_goes_on() -> None:
    profile = profile_of([], timezone="UTC")

    assert profile.expected_a(MONDAY + timedelta(hours=9), now=MONDAY, now_a=17.0) == 17.0
