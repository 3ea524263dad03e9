"""What people are shown of the lines, with the back office away."""

from __future__ import annotations

import asyncio
from pathlib import Path

from adapters.upstream.overview import LineOverview
from controller.roaming import UpstreamLine
from controller.site import StationId
from tests.adapters.ocpi.conftest import WallClock
from tests.adapters.upstream.test_relay import STATION, a_bench, start

AWAY = 9
"""A port that nobody listens on."""
PROFILE = {
    "chargingProfileId": 9,
    "stackLevel": 3,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}],
    },
}


def test_a_line_that_is_down_shows_what_waits(tmp_path: Path) -> None:
    async def scenario() -> tuple[UpstreamLine, ...]:
        async with a_bench(tmp_path, AWAY) as bench:
            await bench.says("StartTransaction", start(), {"transactionId": 5})
            desk = bench.relay._stations[STATION]
            await desk.desk.shelf.put(PROFILE, evse=1, transaction=None, now=WallClock().now())
            await desk.outbox.note_id("4", 77, WallClock().now())
            overview = LineOverview(bench.relay, bench.store)
            return await overview.lines([STATION, StationId("CP999")])

    near, unseen = asyncio.run(scenario())

    assert (near.is_connected, near.waiting, near.profiles, near.mapped_ids) == (False, 1, 1, 1)
    assert unseen == UpstreamLine(
        station=StationId("CP999"),
        is_connected=False,
        waiting=0,
        profiles=0,
        mapped_ids=0,
        last_error="",
    )
