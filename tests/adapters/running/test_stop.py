"""A stop right after the start ends the controller, also while its meter refuses to be connected."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from adapters import bootstrap
from tests.e2e.rig import ROOT
from tests.ports import free_port

AFTER_MS = (0, 5, 20, 100)
WITHIN_S = 15.0
SITE = """format: site/1
site: {{id: yard, name: Yard, timezone: UTC}}
meters:
  main: {{model: eastron/sdm630, connection: "tcp://127.0.0.1:{meter}", unit: 1}}
circuits:
  main: {{limit_a: 63, device: mcb, meter: main, building_peak_a: 20}}
stations:
  CP001: {{circuit: main, evses: {{1: {{max_a: 32, fallback_a: 6}}}}}}
ocpp: {{listen: "127.0.0.1:{ocpp}"}}
http: {{listen: "127.0.0.1:{http}"}}
store: {{path: yard.db}}
"""


def _a_site(folder: Path, name: str) -> Path:
    """Write a site whose meter refuses every connection."""
    (folder / name).mkdir()
    site = folder / name / "site.yaml"
    site.write_text(SITE.format(meter=free_port(), ocpp=free_port(), http=free_port()))
    return site


async def _stopped(site: Path, after_ms: int) -> int | None:
    """Start a controller and stop it so soon; return its exit code, None when it goes on. [ms]"""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "adapters.cli.main", "run", str(site)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            while b"controller.started" not in (line := await process.stdout.readline()):
                assert line, "it ended before it had started"
        await asyncio.sleep(after_ms / 1000)
        process.terminate()
        async with asyncio.timeout(WITHIN_S):
            await process.communicate()
            return process.returncode
    except TimeoutError:
        process.kill()
        await process.communicate()
        return None


def test_a_stop_at_any_time_after_the_start_ends_the_controller(tmp_path: Path) -> None:
    sites = {ms: _a_site(tmp_path, f"{ms}") for ms in AFTER_MS}

    async def all_stopped() -> list[int | None]:
        return await asyncio.gather(*(_stopped(sites[ms], ms) for ms in AFTER_MS))

    assert asyncio.run(all_stopped()) == [0 for _ in AFTER_MS]


def test_a_task_whose_library_lost_the_cancellation_is_asked_again() -> None:
    async def asked() -> int:
        times = 0

        async def loses_the_first() -> None:
            nonlocal times
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    times += 1
                    if times > 1:
                        raise

        task = asyncio.create_task(loses_the_first())
        await asyncio.sleep(0)
        async with asyncio.timeout(3 * bootstrap.ASK_AGAIN_S):
            await bootstrap._cancelled([task])
        return times

    assert asyncio.run(asked()) == 2
