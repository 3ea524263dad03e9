"""A day of generated sessions: what the planner promises holds, and it is better than simple rules."""

from __future__ import annotations

from functools import cache

from benchmarks.sessions import IDEAL, PRACTICAL, Figures, simulated
from benchmarks.sessions_rules import rule_named
from benchmarks.sessions_world import generated, offline_optimum_wh, world

DAY = world(generated(days=1, seed=3), network="delta", cap_kw=40.0)


@cache
def run(chargers: str, method: str) -> Figures:
    kind = {"ideal": IDEAL, "practical": PRACTICAL}[chargers]
    return simulated(DAY, kind, rule_named(method, DAY))


def test_ideal_chargers_get_nearly_what_perfect_foresight_would_give() -> None:
    assert run("ideal", "ours").energy_wh >= 0.97 * offline_optimum_wh(DAY)


def test_practical_chargers_lose_little() -> None:
    assert run("practical", "ours").energy_wh >= 0.85 * offline_optimum_wh(DAY)


def test_nobody_waits_long_or_gets_nothing_and_limits_stay() -> None:
    figures = run("practical", "ours")

    assert figures.wait_p95_min <= 75
    assert figures.nothing == 0
    assert figures.change_a_per_h <= 10
    assert figures.pauses <= 1


def test_it_is_better_than_sharing_equally() -> None:
    assert run("practical", "ours").energy_wh > run("practical", "equal").energy_wh
