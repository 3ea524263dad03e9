"""The planner beside the loop: durable, punctual, and without harm when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from controller.alarms import AlarmBook
from controller.decide import decide
from controller.demand import DemandLimit
from controller.image import ProcessImage
from controller.phases import PhaseCurrents
from controller.planner import PlanningSettings, Solve
from controller.planning import FAILED, PLAN_EVERY_S, Planning, Seen
from controller.planning_archive import PlanningArchive
from controller.policies import PolicyName
from controller.signals import GridSignal, SignalError
from controller.site import CircuitId, EvseId
from controller.tariffs import Series
from optimizer.allocate import Allocator
from optimizer.horizon import HorizonLp
from optimizer.horizon_problem import HorizonPlan, HorizonProblem
from tests.controller.builders import Bench
from tests.controller.test_image import HandClock
from tests.controller.test_planner import a_bench
from tests.fakes.memory_store import MemoryStore

MAIN = CircuitId("main")
ONE = EvseId("CP001/1")
LIMIT = DemandLimit(circuit=MAIN, interval_s=900, limit_w=6_900)


def solve(problem: HorizonProblem) -> HorizonPlan:
    return HorizonLp().plan(problem, deadline_s=10)


def broken(_: HorizonProblem) -> HorizonPlan:
    raise RuntimeError("the solver ran out of luck")


class MovingClock(HandClock):
    """A clock whose hours move as well."""

    def __init__(self) -> None:
        super().__init__()
        self.wall = super().now()

    def now(self) -> datetime:
        return self.wall

    def pass_time(self, seconds: float) -> None:
        self.at_s += seconds
        self.wall += timedelta(seconds=seconds)


@dataclass
class Scene:
    """A bench, and a planner that looks at it."""

    bench: Bench
    clock: MovingClock
    image: ProcessImage
    alarms: AlarmBook
    store: MemoryStore
    planning: Planning

    async def tick(self) -> None:
        """Tick, and wait for a plan that was begun."""
        await self.planning.tick()
        if self.planning._running is not None:
            await self.planning._running

    def limit_w(self, signal: str) -> float | None:
        """Return the limit of a signal that is in force; None: it is not. [W]"""
        held = {s.id: s for s in self.image.signals}.get(signal)
        return held.limit_w if held is not None and held.is_in_force(self.clock.now()) else None

    def codes(self) -> set[str]:
        self.alarms.update((), self.clock.now())
        return {a.condition.code for a in self.alarms.active()}


def a_scene(
    *,
    solve: Solve = solve,
    store: MemoryStore | None = None,
    settings: PlanningSettings | None = None,
) -> Scene:
    bench = a_bench()
    clock = MovingClock()
    image = ProcessImage(site=bench.site, clock=clock, wake=lambda reason: None)
    alarms = AlarmBook()

    def look() -> Seen:
        snapshot = replace(bench.snapshot(), overrides=image.overrides)
        decision = decide(snapshot, bench.memory, bench.policy, allocate=Allocator().allocate)
        return Seen(snapshot=snapshot, plan=decision.plan, memory=decision.memory)

    kept = store or MemoryStore()
    planning = Planning(
        image=image,
        look=look,
        solve=solve,
        store=kept,
        alarms=alarms,
        clock=clock,
        settings=settings or PlanningSettings(policy=PolicyName.LEAST_LAXITY),
    )
    return Scene(bench, clock, image, alarms, kept, planning)


def run(work: Callable[[Scene], Awaitable[None]], **scene: object) -> Scene:
    async def whole() -> Scene:
        it = a_scene(**scene)  # type: ignore[arg-type]
        await it.planning.restore()
        await work(it)
        await it.planning.stop()
        return it

    return asyncio.run(whole())


def a_signal(scene: Scene, *, a: float = 10.0, hours: float = 1.0) -> GridSignal:
    now = scene.clock.now()
    return GridSignal(
        id="dso",
        circuit=MAIN,
        begin_at=now,
        end_at=now + timedelta(hours=hours),
        limit_a=PhaseCurrents.balanced(a),
    )


def test_a_plan_becomes_guidance() -> None:
    scene = run(lambda s: s.tick())

    assert set(scene.image.guidance.evses) == {"CP001/1", "CP002/1"}
    assert scene.planning.site_plan is not None


def test_a_planner_that_fails_leaves_no_guidance_and_an_alarm() -> None:
    scene = run(lambda s: s.tick(), solve=broken)

    assert dict(scene.image.guidance.evses) == {}
    assert scene.codes() == {FAILED}


def test_the_alarm_ends_with_the_next_good_plan() -> None:
    answers: list[Solve] = [broken, solve]

    def first_broken(problem: HorizonProblem) -> HorizonPlan:
        return answers.pop(0)(problem)

    async def work(scene: Scene) -> None:
        await scene.tick()
        scene.clock.pass_time(PLAN_EVERY_S)
        await scene.tick()

    scene = run(work, solve=first_broken)

    assert scene.codes() == set()


def test_a_signal_counts_from_the_next_freeze_without_any_plan() -> None:
    async def work(scene: Scene) -> None:
        await scene.planning.put_signal(a_signal(scene), "operator")

    scene = run(work, solve=broken)

    assert scene.image.freeze().signal_limit_a == {MAIN: PhaseCurrents.balanced(10)}


def test_a_signal_lowers_the_limit_of_a_decision_and_ends_by_itself() -> None:
    async def work(scene: Scene) -> None:
        await scene.planning.put_signal(a_signal(scene), "operator")

    scene = run(work)
    bench = scene.bench
    held = replace(bench.snapshot(), signal_limit_a=scene.image.freeze().signal_limit_a)
    scene.clock.pass_time(7200)

    decision = decide(held, bench.memory, bench.policy, allocate=Allocator().allocate)

    assert decision.limits[MAIN] == PhaseCurrents.balanced(10)
    assert sum(s.setpoint_a for s in decision.plan.evses.values()) <= 10
    assert scene.image.freeze().signal_limit_a == {}


def test_a_signal_never_raises_a_limit() -> None:
    async def work(scene: Scene) -> None:
        await scene.planning.put_signal(a_signal(scene, a=9999), "operator")

    scene = run(work)
    bench = scene.bench
    asked = replace(bench.snapshot(), signal_limit_a=scene.image.freeze().signal_limit_a)

    decision = decide(asked, bench.memory, bench.policy, allocate=Allocator().allocate)

    assert decision.limits[MAIN] == PhaseCurrents.balanced(32)


def test_what_was_told_outlives_a_restart() -> None:
    async def tell(scene: Scene) -> None:
        now = scene.clock.now()
        series = Series(begin_at=now, step_s=900, values=(0.1, 0.2))
        await scene.planning.put_prices(series, "operator")
        await scene.planning.put_pv(series, "operator")
        await scene.planning.pick_policy(PolicyName.CHEAPEST, "operator")
        await scene.planning.put_signal(a_signal(scene), "operator")
        await scene.tick()

    settings = PlanningSettings(policy=PolicyName.LEAST_LAXITY, demand=(LIMIT,))
    before = run(tell, settings=settings)

    async def nothing(scene: Scene) -> None:
        return None

    after = run(nothing, settings=settings, store=before.store)

    assert after.planning.prices == before.planning.prices is not None
    assert after.planning.pv_w == before.planning.pv_w is not None
    assert after.planning.policy is PolicyName.CHEAPEST
    assert after.planning.signals == before.planning.signals != {}
    assert after.planning.demand() == before.planning.demand()
    assert after.planning.demand()[MAIN][1].month != ""


def test_a_damaged_document_costs_only_itself() -> None:
    async def damage(scene: Scene) -> None:
        await scene.planning.put_signal(a_signal(scene), "operator")
        await PlanningArchive(scene.store, scene.clock).put("prices", "{half")

    before = run(damage)

    async def nothing(scene: Scene) -> None:
        return None

    after = run(nothing, store=before.store)

    assert after.planning.prices is None
    assert set(after.planning.signals) == {"dso"}


def test_a_demand_limit_holds_between_plans_and_without_any() -> None:
    scene = run(
        lambda s: s.tick(),
        solve=broken,
        settings=PlanningSettings(policy=PolicyName.LEAST_LAXITY, demand=(LIMIT,)),
    )

    total_a = scene.image.guidance.circuit_total_a[MAIN]
    asked = replace(scene.bench.snapshot(), guidance=scene.image.guidance)
    decision = decide(asked, scene.bench.memory, scene.bench.policy, allocate=Allocator().allocate)

    assert total_a < 90
    assert sum(s.setpoint_a * 3 for s in decision.plan.evses.values()) <= max(total_a, 36.0)


def test_a_bad_signal_is_refused_and_changes_nothing() -> None:
    async def work(scene: Scene) -> None:
        bad = replace(a_signal(scene), circuit=CircuitId("nowhere"))
        with pytest.raises(SignalError):
            await scene.planning.put_signal(bad, "operator")

    assert run(work).planning.signals == {}


def test_everything_told_is_audited() -> None:
    async def work(scene: Scene) -> None:
        await scene.planning.put_signal(a_signal(scene), "ann")
        await scene.planning.delete_signal("dso", "ann")
        await scene.planning.pick_policy(PolicyName.PRIORITY, "ann")
        await scene.planning.pick_policy(None, "ann")

    scene = run(work)
    entries = asyncio.run(scene.store.audit_log(limit=10, offset=0))

    assert {(e.actor, e.action) for e in entries} == {
        ("ann", "put_grid_signal"),
        ("ann", "delete_grid_signal"),
        ("ann", "pick_policy"),
    }
    assert scene.planning.policy is PolicyName.LEAST_LAXITY


def test_a_changed_site_file_counts_unless_a_policy_was_picked() -> None:
    async def work(scene: Scene) -> None:
        scene.planning.reconfigure(PlanningSettings(policy=PolicyName.FIRST_COME))

    assert run(work).planning.policy is PolicyName.FIRST_COME
