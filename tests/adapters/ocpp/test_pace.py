"""All stations come back at once after an outage: they are set up in order, so many in a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.ocpp.pace import SetUpPace
from tests.adapters.ocpp.rig import until
from tests.adapters.ocpp.test_hostile_site import Charger, Site, play

STATIONS = 30
FALLBACK_A = 6.0
DEFAULT = "TxDefaultProfile"


class NotedPace(SetUpPace):
    """Notes when each set-up began."""

    def __init__(self, *, most: int = 5, within_s: float) -> None:
        super().__init__(most=most, within_s=within_s, start_s=0.0)
        self.begun_s: list[float] = []

    async def turn(self) -> None:
        await super().turn()
        self.begun_s.append(asyncio.get_running_loop().time())

    def most_within(self, seconds: float) -> int:
        """Return the most set-ups that began in any stretch of time. [s]"""
        return max(sum(b <= s < b + seconds for s in self.begun_s) for b in self.begun_s)


async def came_back(site: Site, station: str) -> Charger:
    """Connect with a vehicle plugged in, as after an outage."""
    charger = await site.charger(station)
    await charger.plug_in()
    return charger


@pytest.mark.parametrize("within_s", [0.1, pytest.param(1.0, marks=pytest.mark.long)])
def test_thirty_stations_that_return_at_once_are_set_up_in_turn(
    tmp_path: Path, within_s: float, record_property: Callable[[str, object], None]
) -> None:
    async def scene(site: Site) -> None:
        names = [f"CP{n:03}" for n in range(1, STATIONS + 1)]
        site.controller.book.pace = pace = NotedPace(within_s=within_s)
        chargers = await asyncio.gather(*(came_back(site, name) for name in names))
        await until(lambda: pace.begun_s)
        waiting = [c for c in chargers if DEFAULT not in c.purposes]
        answers = await asyncio.gather(*(c.tell("Heartbeat", {}) for c in waiting))
        await until(lambda: all(DEFAULT in c.purposes for c in chargers), timeout_s=40.0)

        record_property("fault_set_ups", pace.most_within(1.0))
        assert len(pace.begun_s) == STATIONS
        assert pace.most_within(within_s) <= 5
        assert len(waiting) >= STATIONS - 5, "who waits is answered"
        assert all(answers)
        # Nothing rises for who was not set up: all that it hears before is its fallback.
        early = [c.limits[: c.purposes.index(DEFAULT) + 1] for c in chargers]
        assert {limit_a for limits in early for limit_a in limits} == {FALLBACK_A}
        for charger in chargers:
            await charger.close()

    play(tmp_path, scene, stations=STATIONS)


def test_who_leaves_while_waiting_costs_nobody_a_turn() -> None:
    async def scenario() -> tuple[bool, int]:
        pace = SetUpPace(most=1, within_s=0.05, start_s=0.0)
        await pace.turn()
        gone = asyncio.create_task(pace.turn())
        next_one = asyncio.create_task(pace.turn())
        await asyncio.sleep(0)
        gone.cancel()
        await next_one
        return gone.cancelled(), len(pace._begun_s)

    assert asyncio.run(scenario()) == (True, 1)


def test_nobody_waits_while_we_are_starting() -> None:
    async def scenario() -> int:
        pace = SetUpPace(most=1, within_s=3600.0, start_s=60.0)
        for _ in range(20):
            await asyncio.wait_for(pace.turn(), timeout=30.0)
        return len(pace._begun_s)

    assert asyncio.run(scenario()) == 1
