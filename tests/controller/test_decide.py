"""Whole decisions over time: a site on the bench, confirmed commands, vehicles that follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from controller.commands import Rejected, TimedOut
from controller.decide import decide, live_energy_wh
from controller.decision import ReasonCode, SiteMode
from controller.ledger import GrantState
from controller.operator import EvseOverride, Overrides
from controller.phases import PhaseCurrents, PhaseRotation
from controller.readings import EvseSample
from controller.site import EvseId, StationId
from controller.station import EvseState
from controller.transaction import Transaction, TransactionId
from optimizer.allocate import Allocator
from tests.controller.builders import (
    START,
    Bench,
    a_circuit,
    a_site,
    an_evse,
    setpoints_a,
)

LIMIT_A = 63.0


def a_bench(evses: int = 3, *, building_a: float = 20.0, **circuit: float) -> Bench:
    site = a_site(circuits=[a_circuit(**{"limit_a": LIMIT_A, **circuit})], evses=evses)  # type: ignore[arg-type]
    return Bench(site=site, building={"main": PhaseCurrents.balanced(building_a)})


def committed_a(bench: Bench) -> float:
    return max(bench.history[-1][1].plan.circuits["main"].committed_a)  # type: ignore[index]


def test_three_vehicles_share_what_the_building_leaves() -> None:
    bench = a_bench().plug_in()

    decision = bench.run(60)

    assert setpoints_a(decision) == {"CP001/1": 14.4, "CP002/1": 14.3, "CP003/1": 14.3}
    assert decision.plan.method == "lp"
    assert max(bench.true_total()) == pytest.approx(63.0)


def test_a_raise_waits_for_the_decrease_that_pays_for_it() -> None:
    """Two share 43 A; a third comes. Its raise goes out only after theirs came down and settled."""
    bench = a_bench().plug_in("CP001/1", "CP002/1")
    bench.run(90)
    bench.sent.clear()
    arrived_s = bench.now_s

    bench.plug_in("CP003/1")
    bench.run(60)

    downs = [s for s, c, kind in bench.sent if kind == "down" and c.evse != "CP003/1"]
    ups = [s for s, c, kind in bench.sent if kind == "up" and c.evse == "CP003/1"]
    assert downs[0] - arrived_s <= 2
    assert ups[0] - downs[0] >= bench.policy.settle_s
    assert setpoints_a(bench.history[-1][1])["CP003/1"] == 14.3


def test_nothing_rises_before_a_fallback_lies_beneath() -> None:
    """A low grant is in force and there is room, but the fallback is not confirmed (anymore)."""
    bench = a_bench(evses=1, building_a=50.0).plug_in()
    bench.run(60)
    bench.without_fallback.add(EvseId("CP001/1"))
    bench.building["main"] = PhaseCurrents.balanced(0.0)
    bench.sent.clear()

    bench.run(60)

    assert [c for _, c, kind in bench.sent if kind == "up"] == []


def test_a_station_of_unknown_limit_is_first_brought_to_its_fallback() -> None:
    """It counts with its rating but may well hold its fallback: 14 A would be a rise."""
    bench = a_bench(evses=3).plug_in("CP001/1", "CP002/1")
    bench.run(60)
    bench.sent.clear()
    bench.without_fallback.add(EvseId("CP003/1"))

    bench.plug_in("CP003/1")
    bench.run(5)

    assert [c.limit_a for _, c, _ in bench.sent if c.evse == "CP003/1"] == [6.0]


def test_while_a_decrease_gets_no_answer_nobody_rises_on_it() -> None:
    bench = a_bench().plug_in("CP001/1", "CP002/1")
    bench.run(90)
    bench.answers = {EvseId("CP001/1"): TimedOut()}
    bench.sent.clear()

    bench.plug_in("CP003/1")
    bench.run(100)

    ups = [c.limit_a for _, c, kind in bench.sent if kind == "up" and c.evse == "CP003/1"]
    held = bench.history[-1][1].plan.evses[EvseId("CP001/1")].committed_a
    assert held == pytest.approx(18.5)
    assert max(ups) <= (LIMIT_A - 20.0 - 18.5) / 2


def test_one_lost_answer_costs_a_vehicle_nothing() -> None:
    bench = a_bench(evses=1, building_a=0.0)
    bench.plug_in().run(20)
    bench.answers, bench.heard = {EvseId("CP001/1"): TimedOut()}, {EvseId("CP001/1")}
    bench.run(150)
    bench.answers, bench.heard = {}, set()
    bench.run(20)

    assert {c.limit_a for _, c, _ in bench.sent} == {32.0}


def test_a_refused_decrease_stays_committed_and_the_others_give_way() -> None:
    bench = a_bench().plug_in()
    bench.run(60)
    bench.answers = {EvseId("CP001/1"): Rejected(reason="no")}

    bench.building["main"] = PhaseCurrents.balanced(35.0)
    bench.run(60)

    plan = bench.history[-1][1].plan
    assert plan.evses[EvseId("CP001/1")].committed_a == pytest.approx(14.4)
    assert "LIMIT_REFUSED" in {c.code for c in plan.conditions}


def test_a_building_step_is_answered_in_the_same_cycle() -> None:
    bench = a_bench().plug_in()
    bench.run(60)

    bench.building["main"] = PhaseCurrents(l1_a=40.0, l2_a=20.0, l3_a=20.0)
    bench.step()
    downs = [c.limit_a for s, c, kind in bench.sent if s == bench.now_s and kind == "down"]
    bench.run(4)

    assert downs == [7.7, 7.7, 7.6]
    assert max(bench.true_total()) <= LIMIT_A + 1e-6


def test_after_the_step_the_vehicles_get_their_share_back_within_a_minute() -> None:
    bench = a_bench().plug_in()
    bench.run(60)
    bench.building["main"] = PhaseCurrents.balanced(40.0)
    bench.run(60)

    bench.building["main"] = PhaseCurrents.balanced(20.0)
    bench.run(60)

    assert min(max(bench.true_a(e)) for e in bench.site.evses()) >= 0.95 * 43.0 / 3


def test_not_even_for_a_second_does_charging_overload_the_circuit_by_itself() -> None:
    bench = a_bench(evses=5)
    worst_a = 0.0
    for name in ("CP001/1", "CP002/1", "CP003/1", "CP004/1", "CP005/1"):
        bench.plug_in(name)
        for _ in range(40):
            bench.step()
            worst_a = max(worst_a, *bench.true_total())
    bench.unplug("CP002/1")
    for _ in range(60):
        bench.step()
        worst_a = max(worst_a, *bench.true_total())

    assert worst_a <= LIMIT_A + 1e-6


def test_an_overload_is_told_with_its_phase_and_a_flicker_of_the_building_is_not() -> None:
    """At full use the building's noise was an alarm every few minutes."""
    bench = a_bench().plug_in()
    bench.run(180)
    building = bench.building["main"]

    bench.building["main"] = building + PhaseCurrents(l1_a=0.0, l2_a=0.015 * LIMIT_A, l3_a=0.0)
    flicker = [c.code for c in bench.step().conditions]
    over_a = max(bench.true_total()) - LIMIT_A
    bench.building["main"] = building + PhaseCurrents(l1_a=0.0, l2_a=10.0, l3_a=0.0)
    told = [c for c in bench.step().conditions if c.code == "OVERLOAD"]

    assert over_a > 0.5
    assert flicker == []
    assert [c.values["phase"] for c in told] == ["L2"]
    assert f"more than its limit of {LIMIT_A:g} A" in told[0].text


def test_a_small_overload_that_lasts_is_told_and_so_is_that_of_a_smaller_phase() -> None:
    limit = PhaseCurrents(l1_a=400.0, l2_a=63.0, l3_a=63.0)
    circuit = replace(a_circuit(limit_a=63.0), limit_a=limit)
    bench = Bench(site=a_site(circuits=[circuit], evses=1))

    def told_after_s(building: PhaseCurrents, seconds: int) -> list[tuple[int, str]]:
        bench.building["main"] = building
        found = []
        for second in range(seconds):
            found += [
                (second, c.values["phase"]) for c in bench.step().conditions if c.code == "OVERLOAD"
            ]
        return found[:1]

    told_after_s(PhaseCurrents(l1_a=390.0, l2_a=50.0, l3_a=50.0), 60)
    small = told_after_s(PhaseCurrents(l1_a=404.0, l2_a=50.0, l3_a=50.0), 30)
    told_after_s(PhaseCurrents(l1_a=390.0, l2_a=50.0, l3_a=50.0), 60)
    other = told_after_s(PhaseCurrents(l1_a=404.0, l2_a=66.0, l3_a=50.0), 30)

    assert [(8 < at_s <= 12, phase) for at_s, phase in small] == [(True, "L1")]
    assert other == [(0, "L2")]


def test_a_rise_on_three_phases_waits_for_the_one_that_has_yet_to_be_paid() -> None:
    """L1 and L3 are free at once; on L2 another vehicle has yet to give back what it was lowered by."""
    other = an_evse("CP002", phases=1, rotation=PhaseRotation.STR)
    circuit = a_circuit(limit_a=40.0, building_peak_a=0.0)
    bench = Bench(site=a_site(circuits=[circuit], evses=[an_evse("CP001"), other]))
    bench.plug_in("CP002/1").run(120)
    alone_a = max(bench.true_a(other))
    bench.plug_in("CP001/1", transaction="2")
    worst_a, held_a = 0.0, 0.0
    for _ in range(90):
        committed = bench.step().plan.circuits["main"].committed_a
        worst_a = max(worst_a, committed.l2_a)
        held_a = committed.l1_a

    assert alone_a >= 30.0
    assert held_a >= 15.0
    assert worst_a <= 40.0 + 1e-6


def test_a_single_phase_vehicle_loads_only_its_phase() -> None:
    evses = [
        an_evse("CP001"),
        an_evse("CP002", rotation=PhaseRotation.STR),
        an_evse("CP003", rotation=PhaseRotation.TRS),
    ]
    site = a_site(circuits=[a_circuit(limit_a=40.0, building_peak_a=10.0)], evses=evses)
    bench = Bench(site=site, building={"main": PhaseCurrents.balanced(10.0)})
    bench.phases = {e.id: 1 for e in evses}
    bench.plug_in()

    bench.run(200)

    assert [max(bench.true_a(e)) for e in evses] == [30.0, 30.0, 30.0]


def test_what_a_vehicle_leaves_is_given_to_others_and_back_when_it_wants_it(
    record_property: Callable[[str, object], None],
) -> None:
    bench = a_bench(evses=2).plug_in()
    bench.want_a = {EvseId("CP001/1"): 8.0}
    reclaimed = bench.run(180)
    bench.want_a = {}
    wanted_s = bench.now_s
    given_back = bench.run(90)
    rises = [
        (s - wanted_s, c.limit_a)
        for s, c, kind in bench.sent
        if kind == "up" and c.evse == "CP001/1" and s > wanted_s
    ]
    record_property("fault_t_r_s", rises[0][0])
    record_property("fault_all_s", next(s for s, limit_a in rises if limit_a == 21.5))

    assert setpoints_a(reclaimed) == {"CP001/1": 10.0, "CP002/1": 32.0}
    assert setpoints_a(given_back) == {"CP001/1": 21.5, "CP002/1": 21.5}


def test_when_not_all_can_run_they_take_turns() -> None:
    bench = a_bench(evses=4, building_a=45.0, building_peak_a=39.0).plug_in()
    served: dict[str, int] = {}
    for _ in range(4 * 1800 // 5):
        decision = bench.step(5.0)
        for evse, amps in setpoints_a(decision).items():
            served[evse] = served.get(evse, 0) + (amps >= 6.0)

    shares = [n / (4 * 1800 // 5) for n in served.values()]
    assert min(shares) >= 0.6, served
    assert sum(shares) == pytest.approx(3.0, abs=0.1)


def test_nobody_waits_while_there_is_room() -> None:
    bench = a_bench(evses=4, building_a=45.0, building_peak_a=39.0).plug_in()
    bench.run(120)
    bench.building["main"] = PhaseCurrents.balanced(30.0)

    decision = bench.run(150)

    assert min(setpoints_a(decision).values()) >= 8.0


# --- the meter ladder -------------------------------------------------------------------------------


def test_the_ladder_acts_at_its_times() -> None:
    bench = a_bench(building_peak_a=40.0).plug_in()
    bench.run(60)
    bench.meter_stops_s = bench.now_s + 1
    lost_s = bench.now_s
    modes = {}
    for _ in range(40):
        decision = bench.step()
        modes[round(bench.now_s - lost_s)] = decision.plan.mode

    assert [modes[s] for s in (3, 4, 10, 11, 30, 31)] == [
        SiteMode.NORMAL,
        SiteMode.HOLD,
        SiteMode.HOLD,
        SiteMode.BLIND,
        SiteMode.BLIND,
        SiteMode.FALLBACK,
    ]


def test_blind_the_building_counts_with_its_worst_case_and_then_all_fall_back() -> None:
    bench = a_bench(building_peak_a=40.0).plug_in()
    bench.run(60)
    bench.meter_stops_s = bench.now_s + 1

    blind = bench.run(20)
    fallen = bench.run(20)

    assert setpoints_a(blind) == {"CP001/1": 7.7, "CP002/1": 7.7, "CP003/1": 7.6}
    assert set(setpoints_a(fallen).values()) == {6.0}
    assert "METER_LOST" in {c.code for c in fallen.plan.conditions}


def test_nothing_rises_without_a_fresh_meter() -> None:
    bench = a_bench(building_peak_a=40.0).plug_in("CP001/1")
    bench.run(60)
    bench.meter_stops_s = bench.now_s + 1
    bench.run(5)
    bench.sent.clear()
    bench.plug_in("CP002/1", "CP003/1")
    bench.run(60)

    assert [c for _, c, kind in bench.sent if kind == "up"] == []


def test_recovery_takes_its_time_and_never_jumps() -> None:
    bench = a_bench(building_peak_a=40.0, building_a=0.0).plug_in()
    bench.run(90)
    before = setpoints_a(bench.history[-1][1])["CP001/1"]
    bench.meter_stops_s = bench.now_s + 1
    bench.run(60)
    bench.meter_stops_s = None
    back_s = bench.now_s
    bench.sent.clear()
    bench.run(200)

    ups = [(s - back_s, c.limit_a) for s, c, kind in bench.sent if kind == "up"]
    assert ups[0][0] >= 30
    first = [limit for s, limit in ups if s == ups[0][0]]
    assert max(first) <= 6.0 + bench.policy.recovery_ramp_a
    assert setpoints_a(bench.history[-1][1])["CP001/1"] == before


def test_a_frozen_meter_counts_as_lost_while_vehicles_draw() -> None:
    bench = a_bench(building_peak_a=40.0).plug_in()
    bench.run(60)
    bench.meter_frozen = True

    decision = bench.run(45)

    assert decision.plan.mode is SiteMode.FALLBACK
    assert "METER_FROZEN" in {c.code for c in decision.plan.conditions}


def test_before_the_first_reading_the_building_counts_with_its_worst_case() -> None:
    bench = a_bench(building_peak_a=40.0).plug_in()
    bench.meter_stops_s = 0.0

    decision = bench.step()
    late = bench.run(12)

    assert (decision.plan.mode, late.plan.mode) == (SiteMode.BLIND, SiteMode.FALLBACK)
    assert list(decision.plan.circuits["main"].building_a) == [40.0] * 3  # type: ignore[index]


# --- stations that are away, weak or disobedient ----------------------------------------------------


def test_an_unreachable_station_keeps_its_grant_until_the_lease_ends() -> None:
    bench = a_bench(evses=2).plug_in()
    bench.run(60)
    bench.offline.add(StationId("CP001"))

    early = bench.run(30)
    late = bench.run(330, step_s=2.0)

    assert early.plan.evses[EvseId("CP001/1")].committed_a == pytest.approx(21.5)
    assert late.plan.evses[EvseId("CP001/1")].committed_a == pytest.approx(6.0)
    assert early.plan.evses[EvseId("CP001/1")].reason.code is ReasonCode.NOT_CONNECTED


def test_a_station_that_cannot_hold_a_lease_counts_fully_while_unreachable() -> None:
    evses = [an_evse("CP001", holds_lease=False, max_a=16.0), an_evse("CP002")]
    bench = Bench(site=a_site(evses=evses), building={"main": PhaseCurrents.balanced(20.0)})
    bench.plug_in()
    bench.run(60)
    bench.overrides = Overrides(evses={EvseId("CP001/1"): EvseOverride(max_a=8.0)})
    bench.run(60)
    bench.offline.add(StationId("CP001"))

    at_once = bench.step()
    decision = bench.run(400, step_s=2.0)

    assert at_once.plan.evses[EvseId("CP001/1")].committed_a == pytest.approx(16.0)
    assert decision.plan.evses[EvseId("CP001/1")].committed_a == pytest.approx(16.0)
    assert setpoints_a(decision)["CP002/1"] == pytest.approx(27.0)


def test_leases_are_renewed_in_time() -> None:
    bench = a_bench(evses=2).plug_in()
    bench.run(60)
    bench.sent.clear()

    bench.run(400, step_s=2.0)

    renewals = [s for s, c, kind in bench.sent if kind == "renew" and c.evse == "CP001/1"]
    assert 2 <= len(renewals) <= 4
    assert [k for _, _, k in bench.sent if k != "renew"] == []


def test_what_a_disobedient_station_draws_is_taken_from_the_others() -> None:
    bench = a_bench(evses=3).plug_in()
    bench.run(60)
    bench.drawn = {EvseId("CP001/1"): 30.0}

    decision = bench.run(120)

    assert "DISOBEYS" in {c.code for c in decision.plan.conditions}
    assert max(bench.true_total()) <= LIMIT_A


def test_a_station_that_reports_nothing_is_asked_now_and_then() -> None:
    bench = a_bench(evses=2).plug_in()
    bench.run(30)
    bench.silent.add(EvseId("CP001/1"))
    silent_s = bench.now_s
    bench.run(60)

    asked = [s - silent_s for s, d in bench.history for e in d.wave.questions if s > silent_s]
    assert 3 <= len(asked) <= 5
    assert asked[0] <= 16


def test_a_sample_from_before_a_cut_accuses_nobody() -> None:
    bench = a_bench(evses=3).plug_in()
    bench.run(60)
    bench.building["main"] = PhaseCurrents.balanced(44.0)

    conditions = {c.code for _ in range(60) for c in bench.step().plan.conditions}

    assert "DISOBEYS" not in conditions


def test_a_station_that_was_away_gets_its_limit_again() -> None:
    bench = a_bench(evses=1).plug_in()
    bench.run(60)
    bench.offline.add(StationId("CP001"))
    bench.run(10)
    bench.sent.clear()
    bench.offline.discard(StationId("CP001"))
    bench.connected_since_s[StationId("CP001")] = bench.now_s

    bench.run(3)

    assert [(c.limit_a, kind) for _, c, kind in bench.sent] == [(32.0, "renew")]


# --- people -----------------------------------------------------------------------------------------


def test_a_paused_vehicle_gets_nothing_and_the_others_its_share() -> None:
    bench = a_bench(evses=2).plug_in()
    bench.run(60)
    bench.overrides = Overrides(evses={EvseId("CP001/1"): EvseOverride(paused=True)})

    decision = bench.run(60)

    assert setpoints_a(decision) == {"CP001/1": 0.0, "CP002/1": 32.0}
    assert decision.plan.evses[EvseId("CP001/1")].reason.code is ReasonCode.PAUSED


@pytest.mark.parametrize("max_a", [0.0, 3.0])
def test_a_maximum_below_the_minimum_means_nothing(max_a: float) -> None:
    bench = a_bench(evses=2).plug_in()
    bench.run(60)
    bench.overrides = Overrides(evses={EvseId("CP001/1"): EvseOverride(max_a=max_a)})

    decision = bench.run(30)

    status = decision.plan.evses[EvseId("CP001/1")]
    assert (status.setpoint_a, status.reason.code) == (0.0, ReasonCode.OPERATOR_MAXIMUM)


def test_an_operating_limit_lowers_the_circuit() -> None:
    bench = a_bench(evses=2).plug_in()
    bench.run(60)
    bench.overrides = Overrides(circuit_limit_a={a_circuit().id: PhaseCurrents.balanced(40.0)})

    decision = bench.run(20)

    assert setpoints_a(decision) == {"CP001/1": 10.0, "CP002/1": 10.0}
    assert max(bench.true_total()) <= 40.0


def test_a_faulted_evse_gets_nothing_and_says_so() -> None:
    bench = a_bench(evses=2).plug_in()
    bench.run(60)
    bench.states[EvseId("CP001/1")] = EvseState.FAULTED

    decision = bench.run(30)

    status = decision.plan.evses[EvseId("CP001/1")]
    assert status.reason.code is ReasonCode.FAULTED


def test_a_newcomers_fallback_is_kept_free() -> None:
    bench = a_bench(evses=2).plug_in("CP001/1")

    decision = bench.run(90)

    assert setpoints_a(decision)["CP001/1"] == 32.0
    bench.building["main"] = PhaseCurrents.balanced(30.0)
    assert setpoints_a(bench.run(30))["CP001/1"] == pytest.approx(LIMIT_A - 30.0 - 6.0)


def test_the_same_snapshot_gives_the_same_decision() -> None:
    first, second = a_bench(evses=4).plug_in(), a_bench(evses=4).plug_in()

    first.run(50)
    second.run(50)

    assert [d.wave for _, d in first.history] == [d.wave for _, d in second.history]


@pytest.mark.parametrize(
    ("register_wh", "energy_wh"), [(None, 500.0), (2000.0, 1000.0), (1200.0, 500.0), (2e6, 500.0)]
)
def test_the_energy_shown_follows_the_live_register(
    register_wh: float | None, energy_wh: float
) -> None:
    transaction = Transaction(
        id=TransactionId("1"),
        station=StationId("CP001"),
        evse=EvseId("CP001/1"),
        id_token=None,
        started_at=START,
        start_wh=1000.0,
        last_wh=1500.0,
    )

    assert live_energy_wh(transaction, EvseSample(energy_wh=register_wh)) == energy_wh


@pytest.mark.parametrize("state", [GrantState.SENT, GrantState.CONFIRMED])
def test_what_a_vehicle_has_yet_to_give_back_pays_for_a_rise_only_where_all_will_fit(
    state: GrantState,
) -> None:
    """A newcomer without a fallback counts with its rating until its first limit is confirmed."""
    bench = a_bench(evses=3, building_a=0.0)
    newcomer = EvseId("CP003/1")
    bench.without_fallback.add(newcomer)
    bench.plug_in("CP001/1", "CP002/1")
    bench.run(60)
    bench.states[newcomer] = EvseState.CONNECTED
    bench.run(4)
    bench.plug_in(newcomer)
    bench.run(1)
    bench.now_s += 4.0
    known = bench.memory.evse(newcomer)
    granted = replace(known.account.grants[-1], state=state, confirmed_s=bench.now_s - 3.0)
    if state is GrantState.SENT:
        granted = replace(granted, confirmed_s=None)
    page = replace(known, account=replace(known.account, grants=(granted,)))
    memory = replace(bench.memory, evses={**bench.memory.evses, newcomer: page})
    snapshot = replace(bench.snapshot(), outcomes=())

    decision = decide(snapshot, memory, bench.policy, allocate=Allocator().allocate)

    assert decision.committed_a[EvseId("CP001/1")] > 21.0, "it has yet to give back"
    raised = {c.evse for c in decision.wave.increases}
    assert raised == ({"CP001/1", "CP002/1"} if state is GrantState.CONFIRMED else set())
