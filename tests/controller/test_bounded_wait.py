"""The bounded wait holds in whole decisions, whatever the policy asks (`controller.turns`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.guidance import NO_GUIDANCE, Guidance
from controller.phases import PhaseCurrents
from controller.planner import PlanningInput, PlanningSettings, plan_site
from controller.policies import PolicyName
from controller.snapshot import Snapshot
from optimizer.horizon import HorizonLp
from optimizer.horizon_problem import HorizonPlan, HorizonProblem
from tests.controller.builders import Bench, a_circuit, a_site, an_evse, with_policy

STEP_S = 10.0
PLAN_EVERY_S = 120.0
HANDING_OVER_S = 30.0
"""A decrease confirmed and settled (10 s), then an increase, each up to a step late."""
TIMES = with_policy(
    min_on_s=120.0, max_wait_s=240.0, min_off_s=20.0, increase_interval_s=5.0, newcomers=0
)


@dataclass
class GuidedBench(Bench):
    """A bench whose decisions follow a plan."""

    guidance: Guidance = NO_GUIDANCE

    def snapshot(self) -> Snapshot:
        return replace(super().snapshot(), guidance=self.guidance)


def longest_wait_s(bench: GuidedBench, name: PolicyName, *, arrive_s: list[float]) -> float:
    """Run half an hour with vehicles that always want current; nobody leaves."""
    model = HorizonLp()
    planned_s, longest_s, start_s = float("-inf"), 0.0, bench.now_s
    cars = dict(zip([e.id for e in bench.site.evses()], arrive_s, strict=True))

    def solve(problem: HorizonProblem) -> HorizonPlan:
        return model.plan(problem, deadline_s=10)

    while bench.now_s - start_s < 1800:
        here_s = bench.now_s - start_s
        arrived = [e for e, at_s in cars.items() if at_s <= here_s and e not in bench.charging]
        if arrived:
            bench.plug_in(*arrived)
        decision = bench.step(STEP_S)
        waits_s = [
            bench.now_s - memory.waiting_since_s
            for memory in decision.memory.evses.values()
            if memory.waiting_since_s is not None
        ]
        longest_s = max([longest_s, *waits_s])
        if bench.now_s - planned_s >= PLAN_EVERY_S:
            planned_s = bench.now_s
            given_now = PlanningInput(
                snapshot=bench.snapshot(),
                plan=decision.plan,
                memory=decision.memory,
                policy=name,
                settings=PlanningSettings(),
            )
            bench.guidance = plan_site(given_now, solve).guidance
    return longest_s


@pytest.mark.parametrize("name", list(PolicyName))
@settings(max_examples=6, derandomize=True, deadline=None, database=None)
@given(data=st.data())
def test_nobody_waits_beyond_the_bound(name: PolicyName, data: st.DataObject) -> None:
    count = data.draw(st.integers(4, 6))
    evses = [
        an_evse(f"CP{n:03d}", fallback_a=0.0, priority=data.draw(st.sampled_from([-10, 0, 10, 20])))
        for n in range(count)
    ]
    limit_a = data.draw(st.sampled_from([7.0, 8.0, 13.0]))
    site = a_site(circuits=[a_circuit(limit_a=limit_a, building_peak_a=0.0)], evses=evses)
    bench = GuidedBench(site=site, policy=TIMES)
    bench.building["main"] = PhaseCurrents.balanced(0.0)
    arrive_s = [60.0 * data.draw(st.integers(0, 5)) for _ in evses]

    longest_s = longest_wait_s(bench, name, arrive_s=arrive_s)

    others = count - 1
    assert longest_s <= TIMES.max_wait_s + others * (TIMES.min_on_s + HANDING_OVER_S)
