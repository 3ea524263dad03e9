"""What the facility manager is told, and that it is true."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.guidance import EvseGuidance, Guidance
from controller.operator import EvseOverride, Overrides
from controller.phases import PhaseCurrents
from controller.site import CircuitId, EvseId
from controller.why import ChangeKind, Explanation, HeldBy, explained
from tests.controller.builders import Bench, a_circuit, a_site, an_evse, with_policy

ONE = EvseId("CP001/1")
TWO = EvseId("CP002/1")


def a_garage(evses: int = 3, *, garage_a: float = 30.0) -> Bench:
    circuits = [
        a_circuit("main", limit_a=125),
        a_circuit("garage-a", parent="main", meter=None, limit_a=garage_a, building_peak_a=0),
    ]
    site = a_site(
        circuits=circuits,
        evses=[an_evse(f"CP{n:03d}", circuit="garage-a") for n in range(1, evses + 1)],
    )
    bench = Bench(
        site=site,
        building={"main": PhaseCurrents.balanced(10.0)},
        policy=with_policy(newcomers=0),
    )
    bench.plug_in()
    bench.run(120, step_s=2.0)
    return bench


def told(bench: Bench, evse: EvseId = ONE) -> Explanation:
    plan = bench.history[-1][1].plan
    return explained(bench.snapshot(), bench.memory, bench.policy, plan, evse)


def test_a_full_garage_is_named_with_who_shares_it_and_what_would_change_it() -> None:
    found = told(a_garage())
    assert found.held_by[0].subject == "garage-a"
    assert found.shared_with == ("CP002/1", "CP003/1")
    assert pytest.approx(1 / 3, abs=1e-3) == found.marginal_factor
    gains = {change.kind: change.gain_a for change in found.changes}
    assert gains[ChangeKind.LARGER_LIMIT] == pytest.approx(2 / 3, abs=1e-6)
    assert gains[ChangeKind.NOBODY_ELSE] == pytest.approx(20.0)


def test_the_text_reads_like_an_answer() -> None:
    text = told(a_garage()).text
    assert text.startswith("garage-a L1 is full: 30 A limit")
    assert "It shares garage-a (L1, L2, L3) with CP002/1, CP003/1." in text
    assert "One ampere more there would give it 0.33 A." in text
    assert "+0.7 A if garage-a were 32 A" in text


def test_the_promise_of_a_larger_limit_is_kept() -> None:
    """The site is rebuilt with the limit that the explanation spoke of."""
    before = a_garage()
    change = next(c for c in told(before).changes if c.kind is ChangeKind.LARGER_LIMIT)
    assert change.limit_a is not None
    after = a_garage(garage_a=change.limit_a)
    setpoints_a = [bench.history[-1][1].plan.evses[ONE].setpoint_a for bench in (before, after)]
    assert setpoints_a[1] - setpoints_a[0] == pytest.approx(change.gain_a, abs=0.15)


def test_who_waits_learns_what_is_missing_and_that_priority_would_help() -> None:
    bench = a_garage(4, garage_a=22.0)
    plan = bench.history[-1][1].plan
    waiting = next(e for e, status in plan.evses.items() if status.setpoint_a == 0)
    found = told(bench, waiting)
    assert found.missing_a == pytest.approx(2.0, abs=0.1)
    assert "It can start when 2.0 A more are free there." in found.text
    assert any(
        change.kind is ChangeKind.FIRST_IN_LINE and change.gain_a >= 6 for change in found.changes
    )


def test_an_operators_maximum_can_be_lifted() -> None:
    bench = a_garage(1, garage_a=63.0)
    bench.overrides = Overrides(evses={ONE: EvseOverride(max_a=10.0)})
    bench.run(60, step_s=2.0)
    found = told(bench)
    assert [(c.kind, round(c.gain_a, 3)) for c in found.changes] == [
        (ChangeKind.NO_OPERATOR_MAXIMUM, 22.0)
    ]


def test_an_unbalance_limit_is_told_with_both_phases() -> None:
    circuit = replace(a_circuit(limit_a=63), unbalance_a=20.0)
    site = a_site(circuits=[circuit], evses=[an_evse("CP001", phases=1)])
    bench = Bench(site=site, policy=with_policy(newcomers=0)).plug_in()
    bench.run(120, step_s=2.0)
    assert HeldBy(subject=CircuitId("main"), phase="l1-l2") in told(bench).held_by


def told_by_plan(bench: Bench, guidance: Guidance) -> Explanation:
    snapshot = replace(bench.snapshot(), guidance=guidance)
    plan = bench.history[-1][1].plan
    return explained(snapshot, bench.memory, bench.policy, plan, ONE)


def test_whom_the_plan_lets_wait_learns_what_it_would_get_without_and_when_its_turn_comes() -> None:
    bench = a_garage(2, garage_a=20.0)
    in_line = replace(bench.memory.turn(ONE), in_line_s=bench.now_s - 600.0)
    bench.memory = replace(bench.memory, turns={**bench.memory.turns, ONE: in_line})
    waits = {ONE: EvseGuidance(target_a=0.0, tier=1), TWO: EvseGuidance(target_a=20.0)}

    found = told_by_plan(bench, Guidance(evses=waits))

    changes = {change.kind: change for change in found.changes}
    assert changes[ChangeKind.NO_PLAN].gain_a >= 6.0
    its_turn = changes[ChangeKind.ITS_TURN]
    assert its_turn.gain_a >= 6.0
    assert its_turn.at is not None
    left_s = (its_turn.at - bench.snapshot().at).total_seconds()
    assert left_s == pytest.approx(bench.policy.max_wait_s - 600.0)
    assert "if the plan did not let it wait for others" in found.text


def test_whom_the_plan_keeps_for_cheaper_hours_learns_what_charging_now_would_give() -> None:
    bench = a_garage(1)
    found = told_by_plan(bench, Guidance(evses={ONE: EvseGuidance(cap_a=0.0)}))
    gains = {change.kind: change.gain_a for change in found.changes}
    assert gains[ChangeKind.NO_PLAN] == pytest.approx(30.0)


def test_without_the_plan_too_the_limit_is_told_where_nothing_is_left() -> None:
    bench = a_garage(4, garage_a=22.0)
    everybody = {e.id: EvseGuidance(target_a=7.0) for e in bench.site.evses()}
    found = told_by_plan(
        bench, Guidance(evses={**everybody, ONE: EvseGuidance(target_a=0.0, tier=1)})
    )
    assert ChangeKind.NO_PLAN not in {change.kind for change in found.changes}
    assert found.missing_a is not None
    assert found.held_by[0].subject == "garage-a"


def test_who_takes_no_part_is_told_the_reason_only() -> None:
    bench = a_garage()
    bench.unplug(ONE)
    bench.run(10)
    assert told(bench) == Explanation(evse=ONE, text="No vehicle is charging.")
