"""A station that nobody knew is approved: in the site file, at once, and after a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from adapters.bootstrap import RunningController
from adapters.cli.settings import run_settings
from adapters.config.loader import load_site_file
from controller.site import EvseId, StationId
from tests.adapters.running.live_site import LiveSite, live_site, run

APPROVAL = {"circuit": "garage", "evses": [{"number": 1, "max_a": 16, "fallback_a": 6}]}


async def knock(port: int, station: str = "NEW1") -> int:
    """Dial as a station; return the HTTP status."""
    try:
        socket = await connect(
            f"ws://127.0.0.1:{port}/{station}",
            subprotocols=["ocpp1.6"],  # type: ignore[list-item]
            proxy=None,
            close_timeout=0.5,
        )
    except InvalidStatus as refused:
        return int(refused.response.status_code)
    await socket.close()
    return 101


async def approve(site: LiveSite, station: str, body: dict[str, Any] = APPROVAL) -> Any:
    return await site.ask("POST", f"/api/v1/stations/{station}/approve", json=body)


def test_an_approved_station_stands_in_the_site_file_and_survives_a_restart(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with live_site(tmp_path, chargers=1, occupied=()) as site:
            before = await knock(site.controller.ocpp.port)
            made = await approve(site, "NEW1")
            after = await knock(site.controller.ocpp.port)
            second = await approve(site, "NEW2")  # while the first is on trial
            await site.until_state(3, "running")

            assert (before, after) == (404, 101)
            assert made.status_code == 200, made.text
            assert made.json()["in_site_file"] is True
            assert second.status_code == 200, second.text
            assert "# bay 1" in site.file.read_text()
            notes = (await site.ask("GET", "/api/v1/config/versions")).json()["items"]
            assert [(v["actor"], v["note"]) for v in notes][:2] == [
                ("ada", "NEW2 approved"),
                ("ada", "NEW1 approved"),
            ]

        file = load_site_file(tmp_path / "site.yaml")
        evse = file.site.evse(EvseId("NEW1/1"))
        assert evse is not None
        assert (evse.circuit, evse.max_a, evse.fallback_a) == ("garage", 16.0, 6.0)
        assert StationId("NEW2") in file.site.stations
        async with RunningController(run_settings(file)) as again:
            assert await knock(again.ocpp.port) == 101
            assert await again.stations.adoption.approved() == {}

    run(scenario)


def test_an_approval_that_breaks_the_certificate_is_refused_with_the_numbers(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with live_site(tmp_path, chargers=1, occupied=()) as site:
            text = site.file.read_text()
            wide = {"circuit": "garage", "evses": [{"number": 1, "max_a": 90, "fallback_a": 90}]}
            refused = await approve(site, "NEW1", wide)

            assert refused.status_code in (409, 422), refused.text
            assert "garage" in refused.text
            assert await knock(site.controller.ocpp.port) == 404
            assert site.file.read_text() == text
            assert await site.controller.stations.adoption.approved() == {}

    run(scenario)
