"""One drawn day after the other: what came of it, and the smallest day that still goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from time import process_time
from typing import TypeVar

from adapters.simulator.lockstep.checks import Violation
from adapters.simulator.lockstep.lockstep import Lockstep
from adapters.simulator.lockstep.random_days import a_day
from adapters.simulator.lockstep.scenario import DAY_S, Day

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of one day."""

    seed: int
    chargers: int
    days: float
    faults: int
    decisions: int
    commands: int
    energy_kwh: float
    trips: int
    violations: int
    first: str
    """The first broken promise in words; empty: none."""
    cpu_s: float


def judged(day: Day) -> tuple[Verdict, tuple[Violation, ...]]:
    """Run a day and judge it."""
    began = process_time()
    run = Lockstep(day)
    run.run()
    inspector = run.inspector
    first = inspector.violations[0] if inspector.violations else None
    verdict = Verdict(
        seed=day.seed,
        chargers=len(list(day.site.evses())),
        days=round(day.duration_s / DAY_S, 3),
        faults=len(day.faults),
        decisions=run.host.cycles,
        commands=run.host.commands,
        energy_kwh=round(sum(s.energy_wh for s in run.stays) / 1000.0, 1),
        trips=inspector.counts["TRIP"],
        violations=sum(inspector.counts.values()),
        first=f"{first.promise} {first.subject} at {first.at_s:.1f} s: {first.text}"
        if first
        else "",
        cpu_s=round(process_time() - began, 2),
    )
    return verdict, tuple(inspector.violations)


def judged_seed(seed: int) -> Verdict:
    """Draw a day and judge it."""
    return judged(a_day(seed))[0]


def promises_broken(day: Day) -> frozenset[str]:
    """Return the promises that a day breaks."""
    return frozenset(v.promise for v in judged(day)[1])


def shrunk(day: Day, *, keeps: Callable[[Day], bool], tries: int = 60) -> Day:
    """Return a smaller day for which `keeps` still holds: shorter, fewer faults, fewer vehicles.

    Args:
        day: For which it holds.
        keeps: Runs a day and tells whether it still shows what matters.
        tries: How many days may be run.
    """
    left = tries
    is_smaller = True
    while is_smaller and left > 0:
        is_smaller = False
        for candidate in _smaller(day):
            left -= 1
            if keeps(candidate):
                day, is_smaller = candidate, True
                break
            if left <= 0:
                break
    return day


def _smaller(day: Day) -> Iterator[Day]:
    """Yield smaller days, the boldest cuts first."""
    yield from (replace(day, faults=rest) for rest in _without(day.faults))
    yield from (replace(day, visits=rest) for rest in _without(day.visits))
    if day.quirks:
        yield replace(day, quirks={})
    yield from (replace(day, loads=rest) for rest in _without(day.loads))


def _without(items: tuple[T, ...]) -> Iterator[tuple[T, ...]]:
    """Yield what is left when a stretch is taken out, long stretches first."""
    size = len(items)
    while size >= 1:
        for start in range(0, len(items), size):
            yield (*items[:start], *items[start + size :])
        size //= 2
