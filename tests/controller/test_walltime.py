"""A step of the wall clock changes nothing but that stations are told their limits again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from controller.snapshot import Snapshot
from controller.walltime import WallTime, advanced, conditions_of
from tests.controller.builders import START, Bench, a_site


def seen(clock: WallTime, now_s: float, *, ahead_s: float = 0.0) -> WallTime:
    return advanced(clock, now_s=now_s, at=START + timedelta(seconds=now_s + ahead_s))


def codes(clock: WallTime, now_s: float) -> list[str]:
    return [c.code for c in conditions_of(clock, now_s)]


def test_a_clock_that_runs_with_the_monotonic_one_is_no_news() -> None:
    clock = seen(seen(WallTime(), 10.0), 12.0, ahead_s=0.5)

    assert clock.stepped_s is None
    assert codes(clock, 9_999.0) == []


def test_a_step_is_told_after_a_minute_and_over_when_it_is_taken_back() -> None:
    off = seen(seen(WallTime(), 10.0), 12.0, ahead_s=3600.0)
    back = seen(seen(off, 90.0, ahead_s=3600.0), 92.0)

    assert off.stepped_s == 12.0
    assert (codes(off, 71.0), codes(off, 73.0)) == ([], ["CLOCK_STEPPED"])
    assert codes(back, 200.0) == []
    assert back.stepped_s == 92.0


def test_a_second_step_does_not_begin_the_alarm_again() -> None:
    off = seen(seen(WallTime(), 10.0), 12.0, ahead_s=3600.0)
    further = seen(off, 100.0, ahead_s=-3600.0)

    assert further.stepped_s == 100.0
    assert codes(further, 101.0) == ["CLOCK_STEPPED"]


def test_a_clock_that_stays_is_believed_after_an_hour() -> None:
    off = seen(seen(WallTime(), 10.0), 12.0, ahead_s=3600.0)
    believed = seen(off, 12.0 + 3600.0, ahead_s=3600.0)

    assert codes(believed, 12.0 + 3600.0) == []


class Ahead(Bench):
    """A bench whose wall clock may be wrong."""

    ahead_s = 0.0

    def snapshot(self) -> Snapshot:
        frozen = super().snapshot()
        return replace(frozen, at=frozen.at + timedelta(seconds=self.ahead_s))


def test_every_lease_is_issued_again_within_five_seconds_of_a_step() -> None:
    bench = Ahead(site=a_site(evses=3)).plug_in()
    bench.run(100.0)
    sent = len(bench.sent)
    bench.run(20.0)
    assert len(bench.sent) == sent, "all is quiet before"

    bench.ahead_s = -86_400.0
    stepped_s = bench.now_s
    bench.run(20.0)

    again = [(at_s - stepped_s, c.evse, kind) for at_s, c, kind in bench.sent[sent:]]
    assert {evse for _, evse, _ in again} == {"CP001/1", "CP002/1", "CP003/1"}
    assert len(again) == 3
    assert all(kind == "renew" and after_s <= 5.0 for after_s, _, kind in again)
