from __future__ import annotations

import asyncio
from typing import Any

import pytest

from adapters.ocpp.book import StationBook
from adapters.ocpp.dialect import CallError
from adapters.ocpp.quirks import Catalogue, ChargerModel
from tests.adapters.ocpp.connections import Connection, V16Dialect, V201Dialect, run
from tests.adapters.ocpp.scripted_station import accept_everything, received
from tests.fakes.recording_desk import StillClock

BOOT16 = {"chargePointVendor": "V", "chargePointModel": "M"}
BOOT201 = {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}}
BOTH = pytest.mark.parametrize(
    ("kind", "boot"), [(V16Dialect, BOOT16), (V201Dialect, BOOT201)], ids=["1.6", "2.0.1"]
)


def a_book(**rest: Any) -> StationBook:
    return StationBook(clock=StillClock(), **rest)


@BOTH
def test_a_brand_new_station_waits_until_its_fallback_lies(kind: Any, boot: dict[str, Any]) -> None:
    async def body() -> None:
        site = Connection(kind, book=a_book())
        provisioning = asyncio.ensure_future(site.dialect.on_open())
        answer = await site.tell("BootNotification", boot)
        assert (answer["status"], answer["interval"]) == ("Pending", 2)
        await asyncio.sleep(0.03)
        names = [name for name, _ in site.station.calls]
        trigger = {"requestedMessage": "BootNotification"}
        at = site.station.calls.index(("TriggerMessage", trigger))
        assert names[:2] == ["SetChargingProfile"] * 2
        assert at == 2
        assert (await site.tell("BootNotification", boot))["status"] == "Accepted"
        provisioning.cancel()

    run(body)


@BOTH
def test_a_station_known_to_hold_its_fallback_is_accepted_at_once(
    kind: Any, boot: dict[str, Any]
) -> None:
    async def body() -> None:
        book = a_book()
        first = Connection(kind, book=book)
        await first.tell("BootNotification", boot)
        await first.provision()
        again = Connection(kind, book=book)
        assert (await again.tell("BootNotification", boot))["status"] == "Accepted"

    run(body)


@BOTH
def test_pending_is_said_once_even_when_nothing_came_of_it(kind: Any, boot: dict[str, Any]) -> None:
    async def body() -> None:
        book = a_book()
        site = Connection(kind, book=book)
        assert (await site.tell("BootNotification", boot))["status"] == "Pending"
        again = Connection(kind, book=book)
        assert (await again.tell("BootNotification", boot))["status"] == "Accepted"

    run(body)


def test_another_firmware_or_fallback_makes_a_station_new_again() -> None:
    async def body() -> None:
        book = a_book()
        first = Connection(V16Dialect, book=book)
        await first.tell("BootNotification", BOOT16)
        await first.provision()
        updated = Connection(V16Dialect, book=book)
        boot = BOOT16 | {"firmwareVersion": "2"}
        assert (await updated.tell("BootNotification", boot))["status"] == "Pending"

    run(body)


def test_a_model_that_mishandles_pending_is_accepted() -> None:
    async def body() -> None:
        model = ChargerModel(name="x", vendor="v", values={"takes_pending": False})
        site = Connection(V16Dialect, book=a_book(catalogue=Catalogue(models=(model,))))
        assert (await site.tell("BootNotification", BOOT16))["status"] == "Accepted"

    run(body)


def test_a_station_that_refuses_its_fallback_is_let_in_all_the_same() -> None:
    async def body() -> None:
        def script(action: str, payload: dict[str, Any]) -> Any:
            if action == "SetChargingProfile":
                return {"status": "Rejected"}
            return accept_everything(action, payload)

        site = Connection(V16Dialect, script, book=a_book())
        await site.tell("BootNotification", BOOT16)
        await site.provision()
        trigger = {"requestedMessage": "BootNotification"}
        assert trigger in site.station.sent("TriggerMessage")
        assert (await site.tell("BootNotification", BOOT16))["status"] == "Accepted"

    run(body)


def test_a_pending_station_may_only_boot_again() -> None:
    async def body() -> None:
        site = Connection(V201Dialect, book=a_book())
        await site.tell("BootNotification", BOOT201)
        with pytest.raises(CallError, match="SecurityError"):
            await site.dialect.on_call("Heartbeat", {}, received(site.clock))
        report = {"requestId": 1, "generatedAt": "2026-01-05T12:00:00Z", "seqNo": 0}
        assert await site.tell("NotifyReport", report) == {}

    run(body)


def test_a_pending_station_of_16_is_answered_as_ever() -> None:
    async def body() -> None:
        site = Connection(V16Dialect, book=a_book())
        await site.tell("BootNotification", BOOT16)
        assert "currentTime" in await site.tell("Heartbeat", {})

    run(body)
