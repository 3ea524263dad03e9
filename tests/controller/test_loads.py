"""Controllable loads: batteries and heat pumps take what vehicles leave, and are told apart from them."""

from __future__ import annotations

from dataclasses import replace

from controller.certificate import certify
from controller.decide import decide
from controller.desk import Desk, DeskRules
from controller.guidance import EvseGuidance, with_loads_last
from controller.image import ProcessImage
from controller.phases import PhaseCurrents
from controller.planner import PlanningInput, PlanningSettings, plan_site
from controller.policies import PolicyName
from controller.site import Evse, EvseId, Site, StationId
from controller.station import LeaseMode
from optimizer.allocate import Allocator
from optimizer.horizon import HorizonLp
from tests.controller.builders import Bench, a_circuit, a_site, an_evse, setpoints_a, with_policy
from tests.controller.test_image import HandClock
from tests.fakes.memory_store import MemoryStore

BATTERY = EvseId("battery/1")
CAR = EvseId("CP001/1")


def a_battery(*, holds_lease: bool = True) -> Evse:
    evse = an_evse("battery", fallback_a=0.0, holds_lease=holds_lease, priority=-50)
    return replace(evse, is_load=True, weight=0.01, min_a=1.0)


def a_bench(*, limit_a: float = 40.0, cars: int = 1, **policy: float) -> Bench:
    evses = [*(an_evse(f"CP{n:03d}") for n in range(1, cars + 1)), a_battery()]
    site = a_site(circuits=[a_circuit(limit_a=limit_a, building_peak_a=0.0)], evses=evses)
    bench = Bench(site=site, policy=with_policy(increase_interval_s=5.0, newcomers=0, **policy))
    bench.building["main"] = PhaseCurrents.balanced(0.0)
    return bench


def test_a_battery_charges_with_all_that_nobody_else_wants() -> None:
    bench = a_bench().plug_in(BATTERY)
    assert setpoints_a(bench.run(60))[BATTERY] == 32.0


def test_a_vehicle_that_comes_is_served_before_the_battery() -> None:
    bench = a_bench().plug_in(BATTERY)
    bench.run(60)
    bench.plug_in(CAR)
    shares_a = setpoints_a(bench.run(90))
    assert (shares_a[CAR], shares_a[BATTERY]) == (32.0, 8.0)


def test_a_battery_never_pushes_a_vehicle_out_however_long_it_has_waited() -> None:
    bench = a_bench(limit_a=6.5, max_wait_s=120.0, min_on_s=60.0).plug_in()
    bench.run(60)
    shares_a = [setpoints_a(bench.step(5.0)) for _ in range(120)]
    assert {(s[CAR] >= 6.0, s[BATTERY]) for s in shares_a} == {(True, 0.0)}


def test_no_conductor_is_overloaded_while_battery_and_vehicles_come_and_go() -> None:
    bench = a_bench(limit_a=32.0, cars=3).plug_in(BATTERY)
    highest_a = 0.0
    for second in range(600):
        if second in (60, 90, 120):
            bench.plug_in(f"CP00{second // 30 - 1}/1")
        if second == 400:
            bench.unplug("CP001/1")
        bench.step()
        highest_a = max(highest_a, *bench.true_total())
    assert highest_a <= 32.0 + 6.0  # a vehicle takes its fallback before anybody can give way
    assert max(bench.true_total()) <= 32.0


def test_it_is_no_session_and_its_silent_meter_is_no_alarm() -> None:
    bench = a_bench().plug_in(BATTERY)
    bench.silent.add(BATTERY)
    plan = bench.run(120).plan
    assert plan.evses[BATTERY].transaction is None
    assert not [c for c in plan.conditions if c.subject == BATTERY]
    assert not [d for _, d in bench.history if d.wave.questions]


def test_its_station_raises_no_alarm_of_a_charger() -> None:
    bench = a_bench().plug_in(BATTERY)
    bench.run(10)
    snapshot = bench.snapshot()
    lost = replace(
        snapshot.stations[StationId("battery")],
        connected=False,
        lost_since_s=0.0,
        lease_mode=LeaseMode.PERMANENT,
    )
    stations = {**snapshot.stations, lost.id: lost}
    decision = decide(
        replace(snapshot, stations=stations),
        bench.memory,
        bench.policy,
        allocate=Allocator().allocate,
    )
    assert [c.code for c in decision.conditions if c.subject == "battery"] == []
    assert decision.committed_a[BATTERY] == 32.0


def test_nobody_connects_over_ocpp_in_its_name() -> None:
    site, clock = a_bench().site, HandClock()
    desk = Desk(
        site=site,
        image=ProcessImage(site=site, clock=clock, wake=lambda reason: None),
        store=MemoryStore(),
        clock=clock,
        rules=DeskRules(accept_unknown_tokens=False),
    )
    assert desk.evses(StationId("battery")) is None
    assert desk.evses(StationId("CP001")) == (CAR,)


def test_the_certificate_counts_its_fallback_or_without_a_watchdog_its_rating() -> None:
    def worst_a(evse: Evse) -> float:
        return max(certify(a_site(evses=[evse])).circuits[a_circuit().id].total_a)

    building_a = 20.0
    assert worst_a(a_battery()) == building_a
    assert worst_a(a_battery(holds_lease=False)) == building_a + 32.0


def test_every_policy_serves_it_last() -> None:
    site: Site = a_bench(cars=2).site
    asked = {CAR: EvseGuidance(tier=0), EvseId("CP002/1"): EvseGuidance(tier=4)}
    assert with_loads_last(asked, site)[BATTERY].tier == 5
    assert with_loads_last({}, site) == {}


def test_the_planner_plans_for_vehicles_only() -> None:
    bench = a_bench().plug_in()
    decision = bench.run(60, step_s=2.0)
    given = PlanningInput(
        snapshot=bench.snapshot(),
        plan=decision.plan,
        memory=decision.memory,
        policy=PolicyName.FIRST_COME,
        settings=PlanningSettings(),
        prices=None,
        signals=(),
        demand={},
    )
    plan = plan_site(given, lambda problem: HorizonLp().plan(problem, deadline_s=10))
    assert set(plan.currents_a) == {CAR}
    assert plan.guidance.evse(BATTERY).tier > plan.guidance.evse(CAR).tier
