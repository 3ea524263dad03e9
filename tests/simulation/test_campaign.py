"""Drawn days keep every promise, and the campaign sees when they are not kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.simulator.lockstep.campaign import judged, judged_seed, promises_broken, shrunk
from adapters.simulator.lockstep.lockstep import Lockstep
from adapters.simulator.lockstep.random_days import a_day
from adapters.simulator.lockstep.scenario import Fault, FaultKind, from_yaml, to_yaml
from tests.simulation.planted import DEFECTS, planted


@pytest.mark.parametrize("seed", [3, 9, 12])
def test_a_morning_in_which_everything_breaks_breaks_no_promise(seed: int) -> None:
    verdict = judged_seed(seed)

    assert verdict.first == ""
    assert verdict.trips == 0
    assert verdict.faults > 30


def test_nobody_is_alarmed_on_a_day_on_which_nothing_breaks() -> None:
    """Each departure was told as a welded contactor: its last sample was taken for a current that flows."""
    run = Lockstep(a_day(6, with_faults=False))
    run.run()

    assert [(at_s, alarm.condition.code) for at_s, alarm in run.inspector.alarms] == []
    assert len(run.stays) > 3


def test_a_day_is_the_same_after_it_was_written_and_read() -> None:
    day = a_day(9)

    assert from_yaml(to_yaml(day)) == day


def test_a_seed_replays_exactly() -> None:
    one, other = judged_seed(9), judged_seed(9)

    assert replace(one, cpu_s=0.0) == replace(other, cpu_s=0.0)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_planted_defect_is_found_and_shrinks_to_a_small_day() -> None:
    with planted("increase_before_decrease"):
        day = next(d for d in (a_day(s) for s in range(3, 60, 3)) if promises_broken(d))
        broken = promises_broken(day)
        small = shrunk(day, keeps=lambda d: bool(promises_broken(d) & broken), tries=12)
        assert promises_broken(small) & broken
    assert len(small.faults) < len(day.faults)
    assert judged(small)[0].violations == 0, "without the defect the same day is well"


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", list(DEFECTS))
def test_every_planted_defect_is_found(name: str) -> None:
    with planted(name):
        found = any(judged_seed(seed).violations for seed in range(5001, 6000, 3))

    assert found


def test_a_fault_names_what_it_breaks() -> None:
    fault = Fault(kind=FaultKind.METER_SILENT, at_s=10.0, for_s=5.0, target="meter-main")

    assert fault.ends_s == 15.0
