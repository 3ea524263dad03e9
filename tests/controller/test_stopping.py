"""A station that does not listen, and nobody left who could make room."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from controller import persist
from controller.phases import PhaseCurrents
from controller.site import Evse, EvseId
from controller.station import EvseState
from controller.stopping import AGAIN_S
from tests.controller.builders import MAIN, Bench, a_circuit, a_site, an_evse

FIRST, SECOND, THIRD = EvseId("CP001/1"), EvseId("CP002/1"), EvseId("CP003/1")
AT = datetime(2026, 3, 1, 8, tzinfo=UTC)


def a_bench(*, building_a: float = 10.0, limit_a: float = 40.0) -> Bench:
    """Three vehicles at about 10 A each below 40 A, the building takes 10 A."""
    site = a_site(circuits=[a_circuit(limit_a=limit_a)], evses=3)
    bench = Bench(site=site, building={"main": PhaseCurrents.balanced(building_a)}).plug_in()
    bench.run(90.0)
    return bench


def stops(bench: Bench) -> list[tuple[float, EvseId]]:
    return [(at_s, stop.evse) for at_s, d in bench.history for stop in d.wave.stops]


def until_stopped(bench: Bench) -> None:
    """Step until a session shall end, a minute at most."""
    until_s = bench.now_s + 60.0
    while not stops(bench) and bench.now_s < until_s:
        bench.step()


def codes(bench: Bench) -> set[tuple[str, str]]:
    return {(c.code, c.subject) for c in bench.history[-1][1].conditions}


def test_while_others_can_make_room_no_session_is_ended() -> None:
    bench = a_bench()
    bench.drawn[FIRST] = 26.0
    bench.run(120.0)

    assert ("DISOBEYS", FIRST) in codes(bench)
    assert max(bench.true_total()) <= 40.0
    assert stops(bench) == []


@pytest.mark.parametrize("drawn_a", [20.0, 26.0, 29.5])
@pytest.mark.parametrize("after_s", range(0, 10, 3))
def test_whenever_its_samples_come_a_current_that_fits_ends_no_session(
    drawn_a: float, after_s: int
) -> None:
    """What is not sampled yet looks like the building: counted twice, 34 of 40 A looked like 48 A."""
    bench = a_bench()
    bench.run(1.0 + after_s)
    bench.drawn[FIRST] = drawn_a
    bench.run(90.0)

    assert ("DISOBEYS", FIRST) in codes(bench)
    assert stops(bench) == []


def test_a_motor_that_starts_ends_no_session() -> None:
    bench = a_bench()
    bench.drawn[FIRST] = 16.0
    bench.run(60.0)
    bench.building["main"] = PhaseCurrents.balanced(30.0)
    bench.run(2.0)
    bench.building["main"] = PhaseCurrents.balanced(10.0)
    bench.run(60.0)

    assert ("DISOBEYS", FIRST) in codes(bench)
    assert stops(bench) == []


def test_one_that_obeys_again_is_not_stopped_for_what_it_did() -> None:
    bench = a_bench()
    bench.drawn[FIRST] = 20.0
    bench.run(60.0)
    del bench.drawn[FIRST]
    bench.run(30.0)
    bench.building["main"] = PhaseCurrents.balanced(36.0)
    bench.run(60.0)

    assert stops(bench) == []


class NoisyBench(Bench):
    """The first draws 28 A on L2 alone; its meter shows 0.2 A on L1 as well."""

    def true_a(self, evse: Evse) -> PhaseCurrents:
        if evse.id == FIRST and FIRST in self.drawn:
            return PhaseCurrents(l1_a=0.2, l2_a=28.0, l3_a=0.0)
        return super().true_a(evse)


def test_noise_on_a_phase_is_no_current_that_a_stop_would_end() -> None:
    site = a_site(circuits=[a_circuit(limit_a=40.0)], evses=3)
    bench = NoisyBench(site=site, building={"main": PhaseCurrents.balanced(10.0)}).plug_in()
    bench.run(90.0)
    bench.phases[SECOND] = 1
    bench.drawn.update({FIRST: 28.0, SECOND: 20.0})
    bench.building["main"] = PhaseCurrents(l1_a=25.0, l2_a=10.0, l3_a=10.0)
    until_stopped(bench)

    assert [evse for _, evse in stops(bench)] == [SECOND]


def test_who_obeys_again_is_not_stopped_in_place_of_one_that_ignores_the_stop() -> None:
    bench = a_bench()
    bench.drawn[FIRST] = 20.0
    bench.run(60.0)
    del bench.drawn[FIRST]
    bench.drawn[SECOND] = 35.0
    bench.run(60.0)

    assert {evse for _, evse in stops(bench)} == {SECOND}


def test_where_the_first_does_not_listen_to_the_stop_either_the_next_is_asked() -> None:
    bench = a_bench(building_a=0.0)
    bench.drawn.update({FIRST: 30.0, SECOND: 20.0})
    bench.run(60.0)

    assert [evse for _, evse in stops(bench)][:2] == [FIRST, SECOND]


def test_without_a_meter_what_the_stations_themselves_report_is_enough() -> None:
    bench = a_bench(building_a=0.0)
    bench.meter_stops_s = bench.now_s
    bench.run(60.0)
    bench.drawn.update({FIRST: 30.0, SECOND: 20.0})
    until_stopped(bench)

    assert [evse for _, evse in stops(bench)] == [FIRST]


def test_a_building_that_is_only_assumed_on_a_circuit_without_a_meter_ends_no_session() -> None:
    circuits = [
        a_circuit(limit_a=80.0),
        a_circuit("hall", limit_a=40.0, parent="main", meter=None, building_peak_a=20.0),
    ]
    evses = [an_evse(f"CP00{n}", circuit="hall") for n in (1, 2, 3)]
    bench = Bench(site=a_site(circuits=circuits, evses=evses)).plug_in()
    bench.run(90.0)
    bench.drawn[FIRST] = 22.0
    bench.run(90.0)

    assert ("DISOBEYS", FIRST) in codes(bench)
    assert stops(bench) == []


def test_a_station_that_starts_anew_after_the_stop_is_stopped_again_and_told_once() -> None:
    bench = a_bench()
    bench.drawn[FIRST] = 35.0
    until_stopped(bench)
    bench.unplug(FIRST)
    bench.states[FIRST] = EvseState.FINISHING
    bench.run(10.0)
    bench.plug_in(FIRST, transaction="2")
    bench.run(60.0)

    told = [
        any(c.code == "SESSION_STOPPED" for c in d.conditions)
        for at_s, d in bench.history
        if at_s > stops(bench)[0][0]
    ]
    assert all(told)
    assert {s.transaction for _, d in bench.history for s in d.wave.stops} == {
        f"1-{FIRST}",
        f"2-{FIRST}",
    }


def test_when_nobody_else_can_make_room_the_one_that_draws_most_is_stopped() -> None:
    bench = a_bench()
    bench.drawn.update({FIRST: 16.0, SECOND: 20.0})
    began_s = bench.now_s
    until_stopped(bench)
    bench.unplug(SECOND)
    bench.states[SECOND] = EvseState.FINISHING
    bench.run(120.0)

    assert [evse for _, evse in stops(bench)] == [SECOND]
    assert stops(bench)[0][0] - began_s <= 30.0
    assert max(bench.true_total()) <= 40.0


def test_who_listens_is_never_stopped() -> None:
    """The building alone takes nearly all; the one that listens is paused, the other one must go."""
    bench = a_bench()
    bench.drawn[FIRST] = 16.0
    bench.building["main"] = PhaseCurrents.balanced(30.0)
    bench.run(60.0)

    assert {evse for _, evse in stops(bench)} == {FIRST}


def test_one_whose_phase_is_not_overloaded_goes_on() -> None:
    bench = a_bench()
    bench.phases[FIRST] = 1
    bench.run(60.0)
    bench.drawn[FIRST] = 16.0
    bench.drawn[SECOND] = 25.0
    bench.building["main"] = PhaseCurrents(l1_a=5.0, l2_a=20.0, l3_a=5.0)
    until_stopped(bench)

    assert {evse for _, evse in stops(bench)} == {SECOND}


def test_a_worst_case_that_is_only_assumed_ends_no_session() -> None:
    bench = a_bench()
    bench.drawn[FIRST] = 26.0
    bench.run(60.0)
    bench.meter_stops_s = bench.now_s
    bench.run(120.0)

    assert bench.history[-1][1].plan.circuits[MAIN].headroom_a.l1_a < 0
    assert stops(bench) == []


def test_a_stop_without_effect_is_asked_for_again_and_not_before() -> None:
    bench = a_bench()
    bench.drawn[FIRST] = 35.0
    bench.run(90.0)

    at_s = [at_s for at_s, _ in stops(bench)]
    assert len(at_s) >= 3
    assert all(AGAIN_S <= b - a <= AGAIN_S + 1.0 for a, b in pairwise(at_s))


def test_a_site_may_leave_it_to_the_breakers() -> None:
    bench = a_bench()
    bench.policy = replace(bench.policy, stop_disobedient=False)
    bench.drawn[FIRST] = 35.0
    bench.run(90.0)

    assert ("DISOBEYS", FIRST) in codes(bench)
    assert stops(bench) == []


def test_it_is_told_until_the_vehicle_leaves_also_over_a_restart() -> None:
    bench = a_bench()
    bench.drawn[FIRST] = 35.0
    bench.run(60.0)
    bench.unplug(FIRST)
    bench.states[FIRST] = EvseState.FINISHING
    bench.run(300.0)
    assert ("SESSION_STOPPED", FIRST) in codes(bench)
    assert ("DISOBEYS", FIRST) not in codes(bench)

    text = persist.memory_to_text(bench.memory, now_s=bench.now_s, at=AT)
    bench.memory = persist.memory_from_text(text, now_s=bench.now_s, at=AT)
    bench.step()
    assert ("SESSION_STOPPED", FIRST) in codes(bench)

    bench.states[FIRST] = EvseState.UNAVAILABLE
    bench.step()
    assert ("SESSION_STOPPED", FIRST) not in codes(bench)
