"""What a rise must be worth: nothing lies idle for long, and nobody is told every tenth."""

from __future__ import annotations

import pytest

from controller.phases import PhaseCurrents
from controller.policy import Policy
from controller.worth import is_worth_a_command, is_worth_topping_up, top_ups_at_once
from tests.controller.builders import Bench, a_circuit, a_site, with_policy

VEHICLES = 20
LIMIT_A = 250.0
STEP_A = 0.1


def a_settled_bench(**policy: float) -> Bench:
    """Twenty vehicles that share 250 A with a building, all at their share."""
    site = a_site(circuits=[a_circuit(limit_a=LIMIT_A)], evses=VEHICLES)
    base = {"main": PhaseCurrents.balanced(60.0)}
    bench = Bench(site=site, building=base, policy=with_policy(**policy)).plug_in()
    bench.run(150, step_s=2.0)
    bench.sent.clear()
    return bench


def building(bench: Bench, current_a: float) -> None:
    bench.building["main"] = PhaseCurrents.balanced(current_a)


def changed_a(bench: Bench) -> float:
    """The sum of all changes of limits that were told."""
    before: dict[str, float] = {}
    total_a = 0.0
    for _, command, _ in bench.sent:
        total_a += abs(command.limit_a - before.get(command.evse, command.limit_a))
        before[command.evse] = command.limit_a
    return total_a


@pytest.mark.parametrize("less_a", [2.0, 4.0, 7.0])
def test_what_is_left_in_portions_below_the_dead_band_is_given_out(less_a: float) -> None:
    """Each lacks 0.1 to 0.35 A; it was never told, and up to 7 of 250 A lay idle."""
    bench = a_settled_bench()

    building(bench, 60.0 - less_a)
    bench.run(160, step_s=2.0)

    assert max(bench.true_total()) == pytest.approx(LIMIT_A, abs=VEHICLES * STEP_A / 2)


def test_only_a_few_are_topped_up_in_one_cycle() -> None:
    bench = a_settled_bench(lease_s=3600.0)
    most = top_ups_at_once(int(bench.policy.calls_per_s * bench.policy.interval_s))

    building(bench, 54.0)
    bench.run(80, step_s=2.0)

    at = [at_s for at_s, _, kind in bench.sent if kind == "up"]
    assert len(at) >= VEHICLES / 2
    assert max(at.count(x) for x in at) <= most


def test_for_a_small_rise_nobody_gives_way() -> None:
    """Limits that differ by little stay: one more tenth for one is not worth one less for another."""
    bench = a_settled_bench()

    bench.run(600, step_s=2.0)

    assert [c.evse for _, c, kind in bench.sent if kind == "down"] == []
    assert changed_a(bench) == pytest.approx(0.0, abs=VEHICLES * STEP_A)


def test_a_restless_building_costs_less_than_ten_amperes_of_change_per_car_and_hour() -> None:
    bench = a_settled_bench()

    for minute in range(10):
        building(bench, 60.0 + (minute * 7 % 5 - 2) * 1.0)
        bench.run(60, step_s=2.0)

    assert changed_a(bench) / VEHICLES * 6 < 10.0


@pytest.mark.parametrize(
    ("gap_a", "target_a", "at_once"),
    [(1.0, 32.0, True), (0.9, 32.0, False), (0.4, 10.0, True), (0.3, 10.0, False)],
)
def test_a_rise_that_matters_is_told_at_once(gap_a: float, target_a: float, at_once: bool) -> None:
    assert is_worth_a_command(gap_a, target_a, Policy()) is at_once


def test_a_small_rise_waits_the_longer_the_smaller_it_is() -> None:
    worth = [is_worth_topping_up(gap_a, 1000.0, 1060.0) for gap_a in (0.1, 0.2, 0.3)]

    assert worth == [False, False, True]
