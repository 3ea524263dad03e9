"""Killed under load: what stations were promised is there, once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.e2e.kill_campaign import campaign


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kills", [3, pytest.param(200, marks=pytest.mark.long)])
def test_no_confirmed_transaction_is_lost_and_none_doubled(tmp_path: Path, kills: int) -> None:
    report = asyncio.run(campaign(tmp_path, kills=kills, seed=7))

    assert report.started > 0
    assert (report.lost_starts, report.lost_ends, report.doubled) == ([], [], [])
