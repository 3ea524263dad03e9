from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from adapters.ocpp.clocks import ClockSkew, booked_time, parse_time, wire_time
from tests.fakes.recording_desk import T0


def test_time_on_the_wire_is_utc_in_whole_seconds() -> None:
    at = datetime(2026, 1, 5, 14, 0, 0, 900_000, tzinfo=timezone(timedelta(hours=2)))
    assert wire_time(at) == "2026-01-05T12:00:00Z"


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-05T12:00:00Z", T0),
        ("2026-01-05t12:00:00.000z", T0),
        (" 2026-01-05T14:00:00+02:00 ", T0),
        ("2026-01-05T12:00:00", T0),
        ("2026-01-05 12:00:00", T0),
        ("0001-01-01T00:00:00+14:00", None),
        ("yesterday", None),
        ("", None),
        (1767614400, None),
        (None, None),
    ],
)
def test_station_times(text: object, at: datetime | None) -> None:
    assert at == parse_time(text)


def test_a_clock_never_set_is_booked_at_arrival() -> None:
    assert booked_time("1970-01-01T00:01:00Z", T0) == T0
    assert booked_time("2026-01-04T00:00:00Z", T0) == datetime(2026, 1, 4, tzinfo=UTC)


def heard(*offsets_s: float, every_s: float = 10.0) -> float | None:
    """Return the skew after messages with these offsets."""
    skew = ClockSkew()
    for i, offset_s in enumerate(offsets_s):
        now = T0 + timedelta(seconds=i * every_s)
        skew.hear(now + timedelta(seconds=offset_s), now, i * every_s)
    return skew.value_s


@pytest.mark.parametrize(
    ("offsets_s", "skew_s"),
    [
        ((), None),
        ((0.0,), 0.0),
        ((-1.0, -2.0, -1.0), -1.0),
        # Nothing arrives before it is stamped: a fast clock is believed at once.
        ((100.0,), 100.0),
        # A slow clock, or a queue: believed when a second message agrees.
        ((-3600.0,), None),
        ((-3600.0, -3600.5), -3600.5),
        ((-3600.0, -3300.0, -3000.0), None),
        # Messages from the queue do not count beside live ones.
        ((0.0, -500.0, -300.0, -100.0, 0.0), 0.0),
        # The clock was set: the old offsets are worth nothing.
        ((-3600.0, -3600.0, -3600.0, -3600.0, 0.0), 0.0),
        ((3600.0, 3600.0, 3600.0, 3600.0, 0.0, 0.0), 0.0),
    ],
)
def test_skew(offsets_s: tuple[float, ...], skew_s: float | None) -> None:
    assert skew_s == heard(*offsets_s)


def test_a_burst_that_agrees_is_still_a_queue() -> None:
    assert heard(-600.0, -600.0, -600.0, every_s=0.01) is None


def test_the_estimate_follows_a_drifting_clock() -> None:
    assert heard(*(float(i) for i in range(40))) == pytest.approx(34.5)


@pytest.mark.parametrize("step_s", [3600.0, -86_400.0])
def test_a_step_of_our_own_clock_is_not_taken_for_the_stations(step_s: float) -> None:
    """Leases are issued again at once after a step, before the station has said anything."""
    now_s = 100.0
    skew = ClockSkew(lambda: now_s)
    skew.hear(T0 + timedelta(seconds=7.0), T0, 100.0)
    now_s = 104.0
    ours = T0 + timedelta(seconds=4.0 + step_s)

    assert skew.station_time(ours) == T0 + timedelta(seconds=11.0)

    skew.hear(T0 + timedelta(seconds=15.0), ours + timedelta(seconds=4.0), 108.0)
    assert skew.value_s == pytest.approx(7.0 - step_s)


def test_a_station_that_was_told_the_new_time_follows_it() -> None:
    now_s = 100.0
    skew = ClockSkew(lambda: now_s)
    skew.hear(T0, T0, 100.0)
    now_s = 104.0
    ours = T0 + timedelta(seconds=3604.0)
    skew.station_time(ours)
    skew.hear(ours + timedelta(seconds=6.0), ours + timedelta(seconds=6.0), 110.0)

    assert skew.value_s == pytest.approx(0.0)
