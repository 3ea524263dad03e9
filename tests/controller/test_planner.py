"""The planning run on a whole site."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy
import pytest

from controller.decide import decide
from controller.demand import DemandLimit, DemandState
from controller.guidance import EvseGuidance, Guidance
from controller.operator import EvseOverride, Overrides
from controller.phases import PhaseCurrents
from controller.planner import PlanningInput, PlanningSettings, SitePlan, plan_site
from controller.policies import PolicyName
from controller.signals import GridSignal
from controller.site import CircuitId, EvseId
from controller.tariffs import Series
from optimizer.allocate import Allocator
from optimizer.horizon import HorizonLp
from optimizer.horizon_problem import HorizonPlan, HorizonProblem
from tests.controller.builders import Bench, a_circuit, a_site, an_evse

ONE, TWO = EvseId("CP001/1"), EvseId("CP002/1")
MAIN = CircuitId("main")


def solve(problem: HorizonProblem) -> HorizonPlan:
    return HorizonLp().plan(problem, deadline_s=10)


def a_bench(*, evses: int = 2, limit_a: float = 32.0, hall_a: float | None = None) -> Bench:
    circuits = [a_circuit(limit_a=limit_a)]
    where = "main"
    if hall_a is not None:
        where = "hall"
        circuits.append(
            a_circuit("hall", parent="main", meter=None, limit_a=hall_a, building_peak_a=0.0)
        )
    cars = [an_evse(f"CP{n:03d}", circuit=where) for n in range(1, evses + 1)]
    bench = Bench(site=a_site(circuits=circuits, evses=cars))
    bench.building["main"] = PhaseCurrents.balanced(0.0)
    bench.plug_in()
    bench.run(60, step_s=2.0)
    return bench


def given(
    bench: Bench,
    *,
    policy: PolicyName = PolicyName.LEAST_LAXITY,
    settings: PlanningSettings | None = None,
    wishes: dict[EvseId, EvseOverride] | None = None,
    prices: Series | None = None,
    signals: tuple[GridSignal, ...] = (),
    demand: dict[CircuitId, DemandState] | None = None,
) -> PlanningInput:
    snapshot = replace(bench.snapshot(), overrides=Overrides(evses=wishes or {}))
    decision = decide(snapshot, bench.memory, bench.policy, allocate=Allocator().allocate)
    return PlanningInput(
        snapshot=snapshot,
        plan=decision.plan,
        memory=decision.memory,
        policy=policy,
        settings=settings or PlanningSettings(),
        prices=prices,
        signals=signals,
        demand=demand or {},
    )


def leaving(bench: Bench, *, hours: float, need_wh: float) -> EvseOverride:
    at = bench.snapshot().at
    return EvseOverride(departure_at=at + timedelta(hours=hours), energy_need_wh=need_wh)


def planned_wh(plan: SitePlan, evse: EvseId) -> float:
    return float((plan.currents_a[evse] * plan.grid.length_h).sum()) * 3 * 230


def test_energy_comes_by_departure() -> None:
    bench = a_bench()
    wishes = {
        ONE: leaving(bench, hours=1, need_wh=15_000),
        TWO: leaving(bench, hours=6, need_wh=30_000),
    }

    plan = plan_site(given(bench, wishes=wishes), solve)

    assert all(p.is_met for p in plan.prospects.values())
    assert plan.guidance.evse(ONE).target_a > plan.guidance.evse(TWO).target_a  # type: ignore[operator]


def test_what_cannot_be_in_time_is_told_early_with_the_circuit_and_the_time() -> None:
    bench = a_bench(hall_a=16.0)
    wishes = {
        ONE: leaving(bench, hours=2, need_wh=14_000),
        TWO: leaving(bench, hours=2, need_wh=14_000),
    }

    plan = plan_site(given(bench, wishes=wishes), solve)

    texts = [c.text for c in plan.conditions if c.code == "NEED_NOT_MET"]
    assert any("of 14 kWh: hall is full from 08:" in text for text in texts), texts


def test_a_need_beyond_what_the_charger_can_give_says_so() -> None:
    bench = a_bench(limit_a=125.0)

    plan = plan_site(given(bench, wishes={ONE: leaving(bench, hours=1, need_wh=100_000)}), solve)

    assert plan.prospects[ONE].text.startswith("CP001/1 will leave with 22 of 100 kWh: at 32 A")


def test_a_departure_in_the_past_is_no_error_and_is_named() -> None:
    bench = a_bench()

    plan = plan_site(given(bench, wishes={ONE: leaving(bench, hours=-2, need_wh=40_000)}), solve)

    assert "its departure at 06:" in plan.prospects[ONE].text


def test_charging_waits_for_cheaper_hours_and_says_what_that_is_worth() -> None:
    bench = a_bench()
    at = bench.snapshot().at.replace(minute=0, second=0, microsecond=0)
    prices = Series(begin_at=at, step_s=3600, values=(0.5,) * 3 + (0.1,) * 21)
    wishes = {e: leaving(bench, hours=10, need_wh=20_000) for e in (ONE, TWO)}

    plan = plan_site(given(bench, policy=PolicyName.CHEAPEST, wishes=wishes, prices=prices), solve)

    assert plan.guidance.evse(ONE).cap_a == 0.0
    assert plan.guidance.evse(ONE).note == "waits for cheaper hours"
    assert planned_wh(plan, ONE) == pytest.approx(20_000, rel=0.01)
    assert plan.planned_cost == pytest.approx(4.0, rel=0.05)
    assert plan.at_once_cost == pytest.approx(20.0, rel=0.25)


def test_missing_prices_are_filled_and_told() -> None:
    bench = a_bench()
    prices = Series(begin_at=bench.snapshot().at, step_s=3600, values=(0.5, 0.4))

    plan = plan_site(given(bench, policy=PolicyName.CHEAPEST, prices=prices), solve)

    assert [c.code for c in plan.conditions] == ["PRICES_MISSING"]


def test_a_signal_to_come_is_planned_for() -> None:
    bench = a_bench()
    at = bench.snapshot().at
    signal = GridSignal(
        id="dso",
        circuit=MAIN,
        begin_at=at + timedelta(hours=1),
        end_at=at + timedelta(hours=2),
        limit_a=PhaseCurrents.balanced(0.0),
    )

    plan = plan_site(given(bench, signals=(signal,)), solve)

    during = (plan.grid.begin_h >= 1.01) & (plan.grid.end_h <= 2)
    assert during.any()
    assert plan.circuits[MAIN].charging_a[:, during].max() == pytest.approx(0)


def test_a_demand_limit_holds_unless_a_peak_has_been_paid_for() -> None:
    bench = a_bench()
    limit = DemandLimit(circuit=MAIN, interval_s=900, limit_w=6_900)
    settings = PlanningSettings(demand=(limit,))
    paid = {MAIN: DemandState(month="2026-03", peak_w=13_800)}

    kept = plan_site(given(bench, settings=settings), solve)
    peaked = plan_site(given(bench, settings=settings, demand=paid), solve)

    assert kept.circuits[MAIN].charging_a[0].max() == pytest.approx(10)
    assert peaked.circuits[MAIN].charging_a[0].max() == pytest.approx(20)


def test_an_empty_site_has_an_empty_plan() -> None:
    bench = Bench(site=a_site(evses=[]))
    bench.run(4, step_s=2.0)

    plan = plan_site(given(bench), solve)

    assert (dict(plan.guidance.evses), plan.energy_wh, plan.conditions) == ({}, 0.0, ())


def test_guidance_ends_by_itself() -> None:
    plan = plan_site(given(a_bench()), solve)

    assert plan.guidance.until_s is not None
    assert not plan.guidance.holds(plan.guidance.until_s + 1)


def test_the_decision_follows_the_plan_within_the_limits() -> None:
    bench = a_bench()
    wishes = {
        ONE: leaving(bench, hours=1, need_wh=20_000),
        TWO: leaving(bench, hours=12, need_wh=5_000),
    }
    plan = plan_site(given(bench, wishes=wishes), solve)
    snapshot = replace(bench.snapshot(), guidance=plan.guidance)

    decision = decide(snapshot, bench.memory, bench.policy, allocate=Allocator().allocate)

    status = decision.plan.evses
    assert status[ONE].setpoint_a > status[TWO].setpoint_a
    assert status[ONE].setpoint_a + status[TWO].setpoint_a <= 32.0


def test_the_grid_ends_its_first_slot_with_the_running_quarter() -> None:
    plan = plan_site(given(a_bench()), solve)

    ends = plan.grid.begin_at + timedelta(hours=float(plan.grid.length_h[0]))
    assert (ends.minute % 15, ends.second) == (0, 0)
    assert 23.7 <= float(numpy.sum(plan.grid.length_h)) <= 24.0
    assert plan.at == datetime(2026, 3, 1, tzinfo=UTC).replace(
        hour=plan.at.hour, minute=plan.at.minute, second=plan.at.second
    )


def test_whoever_waits_by_the_plan_is_told_so() -> None:
    bench = a_bench()
    at = bench.snapshot().at.replace(minute=0, second=0, microsecond=0)
    prices = Series(begin_at=at, step_s=3600, values=(0.5,) * 3 + (0.1,) * 21)
    wishes = {e: leaving(bench, hours=10, need_wh=20_000) for e in (ONE, TWO)}
    plan = plan_site(given(bench, policy=PolicyName.CHEAPEST, wishes=wishes, prices=prices), solve)
    snapshot = replace(bench.snapshot(), guidance=plan.guidance)

    decision = decide(snapshot, bench.memory, bench.policy, allocate=Allocator().allocate)

    reason = decision.plan.evses[ONE].reason
    assert reason.text == "By the plan (cheapest) it waits for cheaper hours."


def test_whoever_gets_less_by_the_plan_is_not_told_of_the_rating() -> None:
    bench = a_bench()
    asked = EvseGuidance(target_a=8.0, cap_a=8.0)
    guidance = Guidance(evses={ONE: asked}, policy="cheapest")
    snapshot = replace(bench.snapshot(), guidance=guidance)

    decision = decide(snapshot, bench.memory, bench.policy, allocate=Allocator().allocate)

    text = decision.plan.evses[ONE].reason.text
    assert text == "By the plan (cheapest) it gets no more than 8.0 A now; the rest comes later."
