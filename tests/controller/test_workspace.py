"""What a decision takes over from the one before saves work and changes nothing."""

from __future__ import annotations

from dataclasses import replace

from controller.decide import Decision, decide
from controller.memory import Memory
from controller.workspace import Workspace
from optimizer.allocate import Allocator
from tests.controller.builders import Bench, a_site, an_evse


def decided_twice(bench: Bench, seconds: int) -> list[tuple[Decision, Decision]]:
    """Decide every snapshot of a lively minute with and without the workspace."""
    workspace, memory, pairs = Workspace(), Memory(), []
    kept, fresh = Allocator(), Allocator()
    for second in range(seconds):
        bench.step()
        if second == 20:
            bench.silent.add(next(bench.site.evses()).id)
        if second == 60:
            bench.unplug(next(bench.site.evses()).id)
        snapshot = bench.snapshot()
        one = decide(snapshot, memory, bench.policy, allocate=kept.allocate, workspace=workspace)
        other = decide(snapshot, memory, bench.policy, allocate=fresh.allocate)
        pairs.append((one, other))
        memory = one.memory
    return pairs


def test_a_decision_is_the_same_with_and_without_the_work_of_the_one_before() -> None:
    evses = [replace(an_evse(f"CP{n:03d}"), priority=n % 2) for n in range(4)]
    pairs = decided_twice(Bench(site=a_site(evses=evses)).plug_in(), 150)

    assert all(one.wave == other.wave for one, other in pairs)
    assert all(one.memory == other.memory for one, other in pairs)
    assert all(one.plan == other.plan for one, other in pairs)


def test_what_has_not_changed_stays_the_same_object() -> None:
    bench = Bench(site=a_site(evses=3)).plug_in()
    workspace, allocate = Workspace(), Allocator().allocate
    bench.run(150)
    snapshot = bench.snapshot()
    first = decide(snapshot, bench.memory, bench.policy, allocate=allocate, workspace=workspace)
    later = replace(snapshot, now_s=snapshot.now_s + 0.5)
    second = decide(later, first.memory, bench.policy, allocate=allocate, workspace=workspace)

    assert [e for e in second.memory.evses if second.memory.evses[e] is first.memory.evses[e]]
    assert first.memory.evses == second.memory.evses
