"""What measuring the rows of the fault matrix has found: each was a defect of the controller once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.simulator.lockstep.lockstep import Lockstep
from adapters.simulator.lockstep.random_days import a_day
from adapters.simulator.lockstep.scenario import FaultKind
from tests.simulation.fault_runs import AT_S, EVSE, LIMIT_A, MAIN, Trial, ran


def test_new_limits_do_not_excuse_who_ignores_all_of_them() -> None:
    """Every reduction that the overload caused began the time to follow anew: told after 44 s."""
    trial = Trial(
        kind=FaultKind.STATION_DISOBEYS, target=EVSE, code="DISOBEYS", building_steps_s=-30.0
    )

    told_s = ran(trial).told_s

    assert told_s is not None
    assert told_s <= 30.0
    assert ran(trial).over_limit_until_s <= 30.0


def test_a_restart_after_the_leases_have_ended_renews_none_beyond_what_the_building_leaves() -> (
    None
):
    """The building took 30 A more meanwhile; five limits of 21 A were sent again: 148 of 125 A."""
    trial = Trial(kind=FaultKind.CONTROLLER_KILLED, for_s=400.0, building_steps_s=1.0)

    trace = ran(trial).lockstep.trace[MAIN]

    after = [m for m in trace if m.at_s >= AT_S + 395.0]
    assert max(max(m.current_a) for m in after) <= LIMIT_A


@pytest.mark.parametrize(("is_stopped", "trips"), [(True, 0), (False, 1)])
def test_two_that_ignore_their_limits_trip_no_breaker_unless_nobody_may_be_stopped(
    is_stopped: bool, trips: int
) -> None:
    """18 A and 16 A against their limits on an unmetered circuit of 29 A: pausing all others saved nothing."""
    day = a_day(3212)
    policy = replace(day.policy, stop_disobedient=is_stopped)

    lockstep = Lockstep(replace(day, policy=policy))
    lockstep.run()

    assert lockstep.inspector.counts["TRIP"] == trips
    assert lockstep.inspector.counts["FALSE_STOP"] == 0
