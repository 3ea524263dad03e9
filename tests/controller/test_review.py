"""What a hostile review found: each test is a day on which the promise would have been broken."""

from __future__ import annotations

import asyncio

from controller.ledger import GrantState
from optimizer.allocate import Allocator
from optimizer.problem import Allocation, Problem
from tests.controller.test_cycle import EVSE, Scene


def never(problem: Problem, *, deadline_s: float) -> Allocation:
    """An allocator with a defect."""
    raise ZeroDivisionError


def test_a_screen_that_cannot_be_updated_does_not_end_control() -> None:
    """Publishing fails in the cycle, and again while the failed cycle is being shown."""

    async def scenario() -> Scene:
        scene = Scene()
        scene.charging()

        def broken(*_: object) -> None:
            raise RuntimeError("a defect in a screen")

        scene.cycle._on_plan = broken
        await scene.cycles(3)
        return scene

    scene = asyncio.run(scenario())

    assert scene.cycle.stats.failures == 3
    assert "CYCLE_FAILED" in {a.condition.code for a in scene.alarms.active()}


def test_an_answer_that_arrives_at_a_failing_cycle_is_booked_by_the_next() -> None:
    """Otherwise the grant counts as under way and is not renewed until its lease has ended."""

    async def scenario() -> Scene:
        scene = Scene()
        scene.charging()
        await scene.cycles(1)
        scene.cycle._core._allocate = never
        await scene.cycles(1)
        scene.cycle._core._allocate = Allocator().allocate
        await scene.cycles(1)
        return scene

    scene = asyncio.run(scenario())

    account = scene.cycle._core.memory.evse(EVSE).account
    assert scene.cycle.stats.failures == 1
    assert [g.state for g in account.grants] == [GrantState.CONFIRMED]


def test_a_store_with_a_defect_does_not_keep_a_booked_increase_from_going_out() -> None:
    async def scenario() -> Scene:
        scene = Scene()

        async def broken(memory: str) -> None:
            raise KeyError("a defect in a store")

        scene.store.save_memory = broken  # type: ignore[method-assign]
        scene.charging()
        await scene.cycles(3)
        return scene

    scene = asyncio.run(scenario())

    assert [c.limit_a for c in scene.fleet.commands] == [32.0]
    assert scene.cycle.stats.failures == 0
