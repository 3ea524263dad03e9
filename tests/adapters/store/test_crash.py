"""Killed at random points: every confirmed transaction is there, and none twice."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.adapters.store.store_site import Conditions, opened, run

ROOT = Path(__file__).parents[3]


def kill_after(path: Path, first: int, alive_s: float) -> list[int]:
    """Let a writer confirm something, kill it a moment later, return what it had confirmed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.adapters.store.crashing_writer", str(path), str(first)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    with process.stdout as output:
        confirmed = [int(output.readline())]
        time.sleep(alive_s)
        process.kill()
        # The last line may have been cut by the kill; such a number was not yet heard.
        confirmed += [int(line) for line in output.read().split(b"\n")[:-1]]
    process.wait()
    return confirmed


@pytest.mark.parametrize("kills", [15, pytest.param(200, marks=pytest.mark.long)])
@pytest.mark.timeout(600)
def test_every_confirmed_transaction_survives_being_killed(tmp_path: Path, kills: int) -> None:
    path = tmp_path / "w.db"
    chance = random.Random(7)
    confirmed: list[int] = []
    for _ in range(kills):
        first = confirmed[-1] + 1 if confirmed else 0
        confirmed += kill_after(path, first, chance.uniform(0.0, 0.08))

    async def scenario() -> None:
        conditions = Conditions()
        async with opened(path, conditions) as store:
            stored = [int(t.id) for t in await store.open_transactions()]
            assert len(set(stored)) == len(stored)
            assert set(confirmed) <= set(stored)
            # What was stored and not heard of: at most the one under way at each kill.
            assert len(set(stored) - set(confirmed)) <= kills
            spooled = await store.spooled(after=0, limit=10**6)
            assert list(range(1, len(spooled) + 1)) == [s.cursor for s in spooled]
        assert conditions.log == []

    run(scenario)
