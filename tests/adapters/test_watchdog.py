"""The service manager hears of every successful cycle, and of nothing else."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from adapters.watchdog import Watchdog
from tests.controller.test_cycle import BrokenOnce, Scene


def manager(tmp_path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(tmp_path / "notify"))
    listener.setblocking(False)
    return listener


def heard(listener: socket.socket) -> list[bytes]:
    messages = []
    while True:
        try:
            messages.append(listener.recv(100))
        except BlockingIOError:
            return messages


def test_the_manager_hears_that_the_start_is_over_and_that_control_works(tmp_path: Path) -> None:
    with manager(tmp_path) as listener:
        watchdog = Watchdog(str(tmp_path / "notify"))
        watchdog.ready()
        watchdog.alive()
        watchdog.close()

        assert heard(listener) == [b"READY=1", b"WATCHDOG=1"]


def test_without_a_manager_nothing_happens() -> None:
    watchdog = Watchdog("")
    watchdog.ready()
    watchdog.alive()
    watchdog.close()

    assert watchdog._socket is None


def test_a_failed_cycle_is_not_told(tmp_path: Path) -> None:
    with manager(tmp_path) as listener:
        watchdog = Watchdog(str(tmp_path / "notify"))

        async def scenario() -> None:
            scene = Scene(BrokenOnce())
            scene.cycle.on_success = watchdog.alive
            scene.charging()
            await scene.cycles(1)
            assert heard(listener) == []
            await scene.cycles(2)

        asyncio.run(scenario())
        watchdog.close()

        assert heard(listener) == [b"WATCHDOG=1"] * 2
