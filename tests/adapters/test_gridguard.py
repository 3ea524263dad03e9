"""A sender of grid signals that falls silent: the failsafe limit begins, holds and ends as the site file says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from adapters.bootstrap import RunningController, RunSettings
from adapters.gridguard import LOST, SIGNAL, GridGuard, GuardSettings
from adapters.http.settings import HttpSettings
from adapters.ocpp.settings import OcppSettings
from controller.errors import StoreUnavailableError
from controller.policy import Policy
from controller.records import Role, User
from controller.roaming import Document
from controller.site import CircuitId
from tests.adapters.ocpp.rig import until
from tests.controller.builders import a_circuit, a_site
from tests.controller.test_planning import MAIN, Scene, a_scene
from tests.controller.test_planning import a_signal as a_limit
from tests.fakes.memory_store import MemoryStore

SETTINGS = GuardSettings(circuit=MAIN, failsafe_w=4200.0)


@dataclass
class Grid:
    """A guard on a real planner."""

    scene: Scene
    guard: GridGuard

    async def passes(self, seconds: float, *, beats: bool = False) -> None:
        for _ in range(round(seconds / 10.0)):
            self.scene.clock.pass_time(10.0)
            if beats:
                await self.guard.beat()
            await self.guard.look()
            await self.scene.planning.tick()

    async def sender_limits(self) -> None:
        signal = replace(a_limit(self.scene), id="dso")
        await self.scene.planning.put_signal(signal, "sender")
        await self.guard.limit_told()

    @property
    def limit_w(self) -> float | None:
        """The failsafe limit in force. [W]"""
        return self.scene.limit_w(SIGNAL)

    def is_told(self) -> bool:
        return LOST in self.scene.codes()


def a_guard(scene: Scene) -> GridGuard:
    return GridGuard(
        SETTINGS,
        signals=scene.planning,
        documents=scene.store,
        conditions=scene.alarms,
        clock=scene.clock,
    )


def play(body: Callable[[Grid], Awaitable[None]], *, store: MemoryStore | None = None) -> None:
    async def whole() -> None:
        scene = a_scene(store=store)
        await scene.planning.restore()
        grid = Grid(scene, a_guard(scene))
        await grid.guard.restore()
        await body(grid)
        await scene.planning.stop()

    asyncio.run(whole())


def test_a_heartbeat_that_stops_puts_the_failsafe_limit_in_force(
    record_property: Callable[[str, object], None],
) -> None:
    async def body(grid: Grid) -> None:
        await grid.passes(600.0, beats=True)
        assert (grid.limit_w, grid.is_told()) == (None, False)
        silent_s = grid.scene.clock.monotonic_s()
        while not grid.is_told():
            await grid.passes(10.0)
        record_property("fault_t_d_s", grid.scene.clock.monotonic_s() - silent_s)
        assert grid.scene.clock.monotonic_s() - silent_s == 120.0
        assert grid.limit_w == 4200.0

    play(body)


def test_nothing_is_missed_that_was_never_there() -> None:
    async def body(grid: Grid) -> None:
        await grid.passes(3600.0)
        assert (grid.guard.state, grid.limit_w, grid.is_told()) == ("waiting", None, False)

    play(body)


def test_a_heartbeat_alone_ends_it_after_two_hours_only(
    record_property: Callable[[str, object], None],
) -> None:
    async def body(grid: Grid) -> None:
        await grid.guard.beat()
        await grid.passes(120.0)
        begun_s = grid.scene.clock.monotonic_s()
        await grid.passes(600.0)
        while grid.limit_w is not None:
            await grid.passes(10.0, beats=True)
        record_property("fault_least_s", grid.scene.clock.monotonic_s() - begun_s)
        assert grid.scene.clock.monotonic_s() - begun_s == 7200.0
        assert (grid.guard.state, grid.is_told()) == ("alive", False)

    play(body)


def test_heartbeat_and_limit_end_it_at_once(
    record_property: Callable[[str, object], None],
) -> None:
    async def body(grid: Grid) -> None:
        await grid.guard.beat()
        await grid.passes(130.0)
        await grid.sender_limits()
        await grid.passes(60.0)
        assert grid.limit_w == 4200.0, "a limit without a heartbeat is none"
        await grid.guard.beat()
        back_s = grid.scene.clock.monotonic_s()
        await grid.passes(10.0)
        record_property("fault_t_r_s", grid.scene.clock.monotonic_s() - back_s)
        assert (grid.limit_w, grid.is_told()) == (None, False)

    play(body)


def test_it_holds_for_as_long_as_nobody_is_heard_and_whatever_the_clock_does() -> None:
    async def body(grid: Grid) -> None:
        await grid.guard.beat()
        await grid.passes(130.0)
        for jump in (timedelta(days=1), timedelta(days=-2)):
            grid.scene.clock.wall += jump
            await grid.passes(10.0)
            assert grid.limit_w == 4200.0
        await grid.scene.planning.delete_signal(SIGNAL, "somebody")
        await grid.passes(3 * 3600.0)
        assert (grid.limit_w, grid.is_told()) == (4200.0, True)

    play(body)


@pytest.mark.parametrize("silent_s", [0.0, 600.0])
def test_a_restart_forgets_neither_heartbeat_nor_failsafe(silent_s: float) -> None:
    async def body(grid: Grid) -> None:
        await grid.guard.beat()
        await grid.passes(silent_s)
        again = Grid(grid.scene, a_guard(grid.scene))
        await again.guard.restore()
        assert again.guard.state == ("failsafe" if silent_s else "alive")
        await again.passes(110.0)
        assert again.limit_w == (4200.0 if silent_s else None)
        await again.passes(10.0)
        assert (again.limit_w, again.is_told()) == (4200.0, True)

    play(body)


class FullStore(MemoryStore):
    """A store whose disk may be full."""

    is_full = False

    async def put_document(self, document: Document, *, once: bool = False) -> bool:
        if self.is_full:
            raise StoreUnavailableError("the disk is full")
        return await super().put_document(document, once=once)


def test_a_full_disk_does_not_keep_the_limit_from_counting() -> None:
    store = FullStore()

    async def body(grid: Grid) -> None:
        await grid.guard.beat()
        store.is_full = True
        await grid.passes(130.0)
        assert (grid.limit_w, grid.is_told()) == (4200.0, True)

    play(body, store=store)


def test_a_running_site_is_limited_within_seconds(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Over the API, with real parts: 4200 W are 6.08 A on each of three phases."""
    circuit = a_circuit(limit_a=63.0, meter=None, building_peak_a=0.0)
    run = RunSettings(
        site=a_site(circuits=[circuit], evses=1),
        policy=Policy(interval_s=0.5),
        ocpp=OcppSettings(port=0),
        http=HttpSettings(host="127.0.0.1", port=0),
        store_path=tmp_path / "w.db",
        influx=None,
        accept_unknown_tokens=True,
        grid=GuardSettings(circuit=CircuitId("main"), failsafe_w=4200.0, heartbeat_s=1.0),
    )

    async def scenario() -> None:
        async with RunningController(run) as controller:
            await controller.store.add_user(User(name="ems", role=Role.OPERATOR), None)
            token = await controller.store.issue_api_token("ems")

            def limit_a() -> float:
                plan = controller.operations.plan()
                return plan.circuits[circuit.id].limit_a.l1_a if plan is not None else 63.0

            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{controller.http.port}/api/v1",
                headers={"Authorization": f"Bearer {token}"},
                trust_env=False,
            ) as sender:
                before = (await sender.get("/grid-heartbeat")).json()
                alive = (await sender.post("/grid-heartbeat")).json()
                assert controller.grid is not None
                await until(lambda: controller.grid and controller.grid.state == "failsafe")
                lost_s = time.monotonic()
                await until(lambda: limit_a() < 63.0, timeout_s=20.0)
                record_property("fault_t_s_s", time.monotonic() - lost_s)
                shown = (await sender.get("/grid-heartbeat")).json()
                assert (before["state"], alive["state"]) == ("waiting", "alive")
                assert shown["state"] == "failsafe"
                assert shown["failsafe_until"] is not None
                assert limit_a() == pytest.approx(4200 / 3 / 230, abs=0.01)

    asyncio.run(scenario())
