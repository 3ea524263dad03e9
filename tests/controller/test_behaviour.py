"""Stations that follow limits in their own way: 0 A that is none, vehicles that stay paused, slow ones."""

from __future__ import annotations

import pytest

from controller.draw import SETTLE_MOST_S, settle_s
from controller.operator import EvseOverride, Overrides
from controller.phases import PhaseCurrents
from controller.policy import Policy
from controller.site import EvseId, StationId
from controller.station import StationBehaviour, StationView, ZeroLimit
from tests.controller.builders import Bench, a_circuit, a_site, an_evse, setpoints_a, with_policy

ODD = StationId("CP003")
LIMIT_A = 14.0
"""Room for two of three vehicles at their minimum of 6 A."""


def a_bench(zero_limit: ZeroLimit, *, fallback_a: float = 0.0, limit_a: float = LIMIT_A) -> Bench:
    """Three EVSEs where not all fit, one of them odd and the last in line."""
    evses = [an_evse(f"CP{n:03d}", fallback_a=fallback_a) for n in (1, 2, 3)]
    site = a_site(circuits=[a_circuit(limit_a=limit_a, building_peak_a=0)], evses=evses)
    bench = Bench(site=site, policy=with_policy(newcomers=0))
    bench.behaviours[ODD] = StationBehaviour(zero_limit=zero_limit)
    return bench


def told_a(bench: Bench, evse: str) -> set[float]:
    return {command.limit_a for _, command, _ in bench.sent if command.evse == evse}


def highest_a(bench: Bench, seconds: int) -> float:
    """Step and return the highest current that flowed."""
    highest = 0.0
    for _ in range(seconds):
        bench.step()
        highest = max(highest, max(bench.true_total()))
    return highest


@pytest.mark.parametrize("zero_limit", [ZeroLimit.UNLIMITED, ZeroLimit.REFUSED])
def test_who_cannot_be_paused_is_never_told_less_than_its_minimum(zero_limit: ZeroLimit) -> None:
    bench = a_bench(zero_limit).plug_in()
    reached_a = highest_a(bench, 200)

    assert min(told_a(bench, "CP003/1"), default=6.0) >= 6.0
    assert reached_a <= LIMIT_A + 0.05
    assert setpoints_a(bench.step())["CP003/1"] >= 6.0


def test_who_can_be_paused_makes_room_for_who_cannot() -> None:
    bench = a_bench(ZeroLimit.UNLIMITED).plug_in()
    bench.run(200)

    waiting = [e for e, a in setpoints_a(bench.step()).items() if a == 0]
    assert len(waiting) == 1
    assert "CP003/1" not in waiting


def test_a_station_that_can_pause_waits_like_everybody() -> None:
    bench = a_bench(ZeroLimit.PAUSES).plug_in()
    bench.run(200)

    assert 0.0 in setpoints_a(bench.step()).values()
    assert 0.0 in told_a(bench, "CP003/1") | {setpoints_a(bench.step())["CP003/1"]}


def test_a_limit_read_as_none_counts_with_the_rating() -> None:
    """It was told 0 A before anybody knew its model."""
    bench = a_bench(ZeroLimit.PAUSES, limit_a=63.0).plug_in("CP003/1")
    bench.run(60)
    bench.overrides = Overrides(evses={EvseId("CP003/1"): EvseOverride(paused=True)})
    bench.run(30)
    bench.silent.add(EvseId("CP003/1"))  # only the ledger can tell
    bench.behaviours[ODD] = StationBehaviour(zero_limit=ZeroLimit.UNLIMITED)
    committed_a = bench.step().committed_a[EvseId("CP003/1")]
    bench.silent.clear()
    bench.run(60)

    assert committed_a == 32.0
    assert bench.step().committed_a[EvseId("CP003/1")] == pytest.approx(6.0)
    assert max(bench.true_total()) == pytest.approx(6.0)


def test_an_operator_s_pause_holds_it_at_its_minimum_and_says_why() -> None:
    bench = a_bench(ZeroLimit.UNLIMITED, limit_a=63.0).plug_in("CP003/1")
    bench.run(60)
    bench.overrides = Overrides(evses={EvseId("CP003/1"): EvseOverride(paused=True)})
    decision = bench.run(60)

    status = decision.plan.evses[EvseId("CP003/1")]
    assert status.setpoint_a == 6.0
    assert "cannot be paused and gets 6 A" in status.reason.text
    assert max(bench.true_total()) == pytest.approx(6.0)


def test_an_overload_lowers_it_to_its_minimum_and_pauses_the_others() -> None:
    bench = a_bench(ZeroLimit.UNLIMITED, limit_a=63.0).plug_in()
    bench.run(120)
    bench.building["main"] = PhaseCurrents.balanced(58.0)
    bench.run(60)

    assert setpoints_a(bench.step()) == {"CP001/1": 0.0, "CP002/1": 0.0, "CP003/1": 6.0}


def test_a_fallback_that_it_cannot_hold_is_reserved_and_told() -> None:
    bench = a_bench(ZeroLimit.REFUSED).plug_in("CP003/1")
    told = {c.code for c in bench.step().conditions}
    bench.offline.add(ODD)
    bench.run(360, step_s=2.0)

    assert "CANNOT_PAUSE" in told
    assert bench.step().committed_a[EvseId("CP003/1")] == 6.0


def test_a_fallback_that_it_holds_is_no_condition() -> None:
    bench = a_bench(ZeroLimit.REFUSED, fallback_a=6.0, limit_a=63.0).plug_in()

    assert "CANNOT_PAUSE" not in {c.code for c in bench.step().conditions}


def test_a_vehicle_that_would_stay_paused_goes_before_those_that_resume() -> None:
    bench = a_bench(ZeroLimit.STAYS_PAUSED, fallback_a=6.0, limit_a=20.0).plug_in()
    bench.run(60)
    bench.building["main"] = PhaseCurrents.balanced(6.0)
    bench.run(2400, step_s=4.0)

    assert 0.0 not in told_a(bench, "CP003/1")
    assert 0.0 in told_a(bench, "CP001/1") | told_a(bench, "CP002/1")


def test_in_need_it_is_paused_all_the_same() -> None:
    bench = a_bench(ZeroLimit.STAYS_PAUSED, limit_a=63.0).plug_in()
    bench.run(60)
    bench.building["main"] = PhaseCurrents.balanced(60.0)
    bench.run(30)

    assert set(setpoints_a(bench.step()).values()) == {0.0}


@pytest.mark.parametrize(
    ("learned_s", "expected_s"),
    [(None, 10.0), (2.0, 10.0), (25.0, 25.0), (500.0, SETTLE_MOST_S)],
)
def test_experience_lengthens_the_time_to_follow_within_bounds(
    learned_s: float | None, expected_s: float
) -> None:
    station = StationView(id=ODD, behaviour=StationBehaviour(settle_s=learned_s))

    assert settle_s(station, Policy()) == expected_s


def freed_after_s(bench: Bench) -> float:
    """Take a vehicle's room away and return how long it stays reserved. [s]"""
    began_s = bench.now_s
    bench.overrides = Overrides(evses={EvseId("CP003/1"): EvseOverride(max_a=8.0)})
    for _ in range(90):
        if bench.step().committed_a[EvseId("CP003/1")] <= 8.0:
            break
    return bench.now_s - began_s


@pytest.mark.parametrize(("settling_s", "least_s"), [(None, 10.0), (30.0, 30.0)])
def test_what_a_slow_station_gives_up_stays_reserved_until_it_has_followed(
    settling_s: float | None, least_s: float
) -> None:
    bench = a_bench(ZeroLimit.PAUSES, fallback_a=6.0, limit_a=63.0)
    bench.behaviours[ODD] = StationBehaviour(settle_s=settling_s)
    bench.plug_in("CP003/1")
    bench.run(120)

    assert least_s <= freed_after_s(bench) <= least_s + 12.0


def test_a_slow_station_is_not_accused_while_it_has_time() -> None:
    bench = a_bench(ZeroLimit.PAUSES, fallback_a=6.0, limit_a=63.0)
    bench.behaviours[ODD] = StationBehaviour(settle_s=40.0)
    bench.plug_in("CP003/1")
    bench.run(120)
    freed_after_s(bench)
    bench.run(60)

    assert "DISOBEYS" not in {c.code for _, d in bench.history for c in d.conditions}
