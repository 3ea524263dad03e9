"""Demand limits: clock-aligned intervals, the month's peak, and what the rest of one may have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from controller.demand import DemandLimit, DemandState, advanced, allowed_w, threshold_w
from controller.site import CircuitId

LIMIT = DemandLimit(circuit=CircuitId("main"), interval_s=900, limit_w=60_000)
NOON = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)


def run(state: DemandState, power_w: float, *, begin: datetime, minutes: int) -> DemandState:
    for minute in range(minutes + 1):
        at = begin + timedelta(minutes=minute)
        state = advanced(state, LIMIT, power_w=power_w, at=at, timezone="Europe/Stockholm")
    return state


def test_what_was_saved_in_the_interval_may_be_used_before_its_end() -> None:
    state = run(DemandState(), 30_000, begin=NOON, minutes=5)

    assert allowed_w(state, LIMIT, at=NOON + timedelta(minutes=5)) == pytest.approx(75_000)


def test_what_was_used_too_much_must_be_saved() -> None:
    state = run(DemandState(), 90_000, begin=NOON, minutes=10)

    assert allowed_w(state, LIMIT, at=NOON + timedelta(minutes=10)) == pytest.approx(0)


def test_an_interval_ends_by_the_clock_and_its_mean_is_the_peak() -> None:
    state = run(DemandState(), 50_000, begin=NOON, minutes=16)

    assert state.peak_w == pytest.approx(50_000)
    assert state.energy_wh == pytest.approx(50_000 / 60)


def test_a_peak_above_the_limit_is_paid_for_until_the_month_ends() -> None:
    state = run(DemandState(), 80_000, begin=NOON, minutes=16)

    assert threshold_w(state, LIMIT) == pytest.approx(80_000)


def test_a_new_month_by_the_sites_clock_forgets_the_peak() -> None:
    state = run(DemandState(), 80_000, begin=NOON, minutes=16)
    may = datetime(2026, 3, 31, 22, 0, tzinfo=UTC)

    state = run(state, 10_000, begin=may - timedelta(minutes=1), minutes=3)

    assert (state.month, state.peak_w) == ("2026-04", 0.0)


def test_after_a_restart_the_time_not_seen_grants_nothing() -> None:
    at = NOON + timedelta(minutes=10)

    state = advanced(DemandState(), LIMIT, power_w=60_000, at=at, timezone="UTC")

    assert allowed_w(state, LIMIT, at=at) == pytest.approx(60_000)


def test_a_clock_set_back_is_a_fresh_start_of_the_interval() -> None:
    state = run(DemandState(), 60_000, begin=NOON, minutes=10)

    state = advanced(state, LIMIT, power_w=60_000, at=NOON, timezone="UTC")

    assert state.energy_wh == pytest.approx(0)


def test_the_last_seconds_of_an_interval_grant_no_flood() -> None:
    state = run(DemandState(), 0.0, begin=NOON, minutes=14)

    assert allowed_w(state, LIMIT, at=NOON + timedelta(minutes=14.9)) == 180_000
