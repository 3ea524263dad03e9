"""Stations of both versions behind the controller, and another company's central system behind it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from ocpp.v16 import call as call16
from ocpp.v201 import call as call201

from tests.adapters.upstream.csms import Book, a_centre, eventually
from tests.adapters.upstream.test_relay import limit16, profile201
from tests.e2e.rig import Rig, SiteOptions, running
from tests.e2e.test_cli import wattkeeper


def version_of(book: Book, station: str) -> str:
    return "ocpp1.6" if "v16" in type(book.stations[station]).__mro__[1].__module__ else "ocpp2.0.1"


async def limit(book: Book, station: str, limit_a: float) -> Any:
    """Ask for a limit in the station's own version."""
    centre = book.stations[station]
    if version_of(book, station) == "ocpp1.6":
        return await centre.call(
            call16.SetChargingProfile(connector_id=1, cs_charging_profiles=limit16(limit_a))
        )
    return await centre.call(
        call201.SetChargingProfile(evse_id=1, charging_profile=profile201(limit_a))
    )


async def a_transparent_line(rig: Rig, book: Book) -> None:
    await rig.until(lambda: min(rig.drawn_a().values()) > 12, within_s=60, what="all charge")
    await eventually(lambda: set(book.stations) == {"CP001", "CP002"}, within_s=30)
    assert {version_of(book, s) for s in book.stations} == {"ocpp1.6", "ocpp2.0.1"}
    heard = lambda station: {a for s, a, _ in book.heard if s == station}  # noqa: E731
    await eventually(
        lambda: all({"BootNotification", "StatusNotification"} <= heard(s) for s in book.stations),
        within_s=30,
    )
    begun = lambda: {  # noqa: E731
        s for s, a, _ in book.heard if a in ("StartTransaction", "TransactionEvent")
    }
    await eventually(lambda: begun() == set(book.stations), within_s=30)

    for station in book.stations:
        assert (await limit(book, station, 10.0)).status == "Accepted"
    most = lambda: max(rig.drawn_a().values())  # noqa: E731
    await rig.until(lambda: most() <= 10.1, within_s=30, what="10 A of the back office")
    for _ in range(60):
        # While a meter value is late the building counts more, and the circuit holds for a moment.
        why = await rig.get("/api/v1/evses/CP001/1")
        if "back office" in why["reason"]["text"]:
            break
        await asyncio.sleep(0.5)
    assert "back office" in why["reason"]["text"]
    await rig.do(do="building_step", phase="l1", current_a=31)
    await rig.until(lambda: most() < 9, within_s=30, what="our limit below theirs")
    for station in book.stations:
        assert (await limit(book, station, 32.0)).status == "Accepted"
    await asyncio.sleep(12)
    assert rig.load_a() <= rig.options.limit_a
    assert rig.trips == []


async def scenario(folder: Path) -> None:
    book = Book()
    async with a_centre(book) as port:
        options = SiteOptions(
            chargers=2,
            limit_a=80,
            building_peak_a=66,
            extra=f'upstream: {{url: "ws://127.0.0.1:{port}/ocpp", password_env: LEG}}',
        )
        async with running(folder, options, LEG="leg-two") as rig:
            await a_transparent_line(rig, book)
            status = await asyncio.to_thread(
                wattkeeper, "upstream", "status", "--site", str(rig.site_file)
            )
            assert "CP002" in status.stdout


def test_a_back_office_sees_its_stations_and_lowers_but_never_raises(tmp_path: Path) -> None:
    asyncio.run(scenario(tmp_path))
    assert "leg-two" not in (tmp_path / "controller.log").read_text()
