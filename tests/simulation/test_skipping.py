"""Leaving decisions out changes nothing: not a command, not an alarm, not a current."""

from __future__ import annotations

import pytest

from adapters.simulator.lockstep.lockstep import Lockstep
from adapters.simulator.lockstep.random_days import a_day
from adapters.simulator.lockstep.scenario import Day

UNTIL_S = 31_000.0


def ran(day: Day, *, skips: bool, until_s: float) -> Lockstep:
    run = Lockstep(day, skips=skips)
    run.inspector.keeps_commands = True
    run.run(until_s)
    return run


def alarms_of(run: Lockstep) -> list[tuple[float, str, str, bool]]:
    return [
        (at_s, a.condition.code, a.condition.subject, a.end is None)
        for at_s, a in run.inspector.alarms
    ]


def truth_of(run: Lockstep) -> list[tuple[float, ...]]:
    return [
        (pole.current_a, pole.heat, pole.over_as, pole.peak_a)
        for line in run.lines.values()
        for pole in line.poles
    ]


@pytest.mark.parametrize("seed", [0, 2])
def test_leaving_decisions_out_gives_the_same_to_the_last_bit(seed: int) -> None:
    day = a_day(seed, chargers=5)

    fast = ran(day, skips=True, until_s=UNTIL_S)
    full = ran(day, skips=False, until_s=UNTIL_S)

    assert fast.inspector.commands == full.inspector.commands
    assert alarms_of(fast) == alarms_of(full)
    assert truth_of(fast) == truth_of(full)
    assert fast.host.cycles < full.host.cycles / 3
    assert full.host.commands > 20


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 120))
def test_leaving_decisions_out_gives_the_same_over_whole_days(seed: int) -> None:
    day = a_day(seed, chargers=5 + seed % 8)

    fast = ran(day, skips=True, until_s=day.duration_s)
    full = ran(day, skips=False, until_s=day.duration_s)

    assert fast.inspector.commands == full.inspector.commands
    assert alarms_of(fast) == alarms_of(full)
    assert truth_of(fast) == truth_of(full)
