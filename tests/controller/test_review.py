"""What a hostile review found: each test is a day on which the promise would have been broken."""

from __future__ import annotations

import asyncio

from tests.controller.test_cycle import Scene


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
