"""A station whose firmware changed is given leases and not relied on, until a drill has shown that it keeps them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from adapters.ocpp.book import MODEL, StationBook
from adapters.ocpp.drill import Drill, DrillResult, Verdict
from adapters.ocpp.pace import SetUpPace
from adapters.ocpp.trust import LEASE_UNPROVEN
from controller.alarms import AlarmBook
from controller.commands import ActionRequest, Applied, StationAction
from controller.decision import Severity
from controller.site import EvseId, StationId
from controller.station import LeaseMode, LeaseModeFound
from tests.adapters.ocpp.connections import Connection, V16Dialect, V201Dialect, limit, run
from tests.adapters.ocpp.scripted_station import stamp
from tests.fakes.recording_desk import T0, StillClock

EVSE = EvseId("CP1/1")
BOTH = pytest.mark.parametrize("kind", [V16Dialect, V201Dialect], ids=["1.6", "2.0.1"])


class Site:
    """Stations that share what is known about them."""

    def __init__(self) -> None:
        self.alarms = AlarmBook()
        self.book = StationBook(
            clock=StillClock(), pending_boots=False, sink=self.alarms, pace=SetUpPace(most=99)
        )

    def connect(self, kind: Any, station: str = "CP1") -> Connection[Any]:
        return Connection(kind, book=self.book, station=station)

    async def boots(self, kind: Any, firmware: str, station: str = "CP1") -> Connection[Any]:
        """Connect, boot and be provisioned."""
        site = self.connect(kind, station)
        await site.tell("BootNotification", boot(kind, firmware))
        await site.provision()
        return site

    def told(self) -> list[tuple[str, str, Severity]]:
        self.alarms.update((), T0)
        found = [a.condition for a in self.alarms.active()]
        return [(c.code, c.subject, c.severity) for c in found if c.code == LEASE_UNPROVEN]


def boot(kind: Any, firmware: str) -> dict[str, Any]:
    if kind is V16Dialect:
        told = {"chargePointVendor": "V", "chargePointModel": "M"}
        return told | ({"firmwareVersion": firmware} if firmware else {})
    station = {"vendorName": "V", "model": "M"} | (
        {"firmwareVersion": firmware} if firmware else {}
    )
    return {"reason": "PowerUp", "chargingStation": station}


def modes(site: Connection[Any]) -> list[LeaseMode]:
    return [e.mode for e in site.desk.of(LeaseModeFound)]


UNPROVEN = [(LEASE_UNPROVEN, "CP1", Severity.INFO)]


@BOTH
def test_a_changed_firmware_is_doubted_at_its_boot(
    kind: Any, record_property: Callable[[str, object], None]
) -> None:
    async def body() -> None:
        everything = Site()
        first = await everything.boots(kind, "1.0")
        assert modes(first) == [LeaseMode.LEASED], "a first connection is as the site file says"

        again = everything.connect(kind)
        booted_s = time.monotonic()
        await again.tell("BootNotification", boot(kind, "2.0"))
        record_property("fault_t_d_s", time.monotonic() - booted_s)
        assert modes(again) == [LeaseMode.PERMANENT], "before anything else"
        await again.provision()
        assert modes(again) == [LeaseMode.PERMANENT]
        assert everything.told() == UNPROVEN

    run(body)


def test_leases_go_out_as_before_and_are_not_relied_on() -> None:
    async def body() -> None:
        everything = Site()
        await everything.boots(V16Dialect, "1.0")
        site = await everything.boots(V16Dialect, "2.0")
        start = {"connectorId": 1, "idTag": "C", "meterStart": 0, "timestamp": stamp(site.clock)}
        await site.tell("StartTransaction", start)

        result = await site.dialect.apply(limit(16.0))

        assert result == Applied(self_expiring=True)
        assert "validTo" in site.profiles()[-1]
        assert modes(site)[-1] is LeaseMode.PERMANENT

    run(body)


@BOTH
def test_a_reboot_or_a_reconnection_ends_no_doubt(kind: Any) -> None:
    async def body() -> None:
        everything = Site()
        await everything.boots(kind, "1.0")
        await everything.boots(kind, "2.0")
        rebooted = await everything.boots(kind, "2.0")
        silent = await everything.boots(kind, "")
        back = everything.connect(kind)
        await back.provision()

        assert [modes(s)[-1] for s in (rebooted, silent, back)] == [LeaseMode.PERMANENT] * 3
        assert everything.told() == UNPROVEN

    run(body)


def drilled_as(verdict: Verdict) -> Callable[..., Any]:
    async def run_(self: Drill, evse: EvseId) -> DrillResult:
        return DrillResult(verdict=verdict, text="seen")

    return run_


async def drill(site: Connection[Any]) -> None:
    work = asyncio.ensure_future(site.dialect.on_open())
    await asyncio.sleep(0.02)
    request = ActionRequest(station=StationId("CP1"), evse=EVSE, action=StationAction.DRILL)
    assert isinstance(await site.dialect.act(request), Applied)
    await asyncio.sleep(0.02)
    work.cancel()


@pytest.mark.parametrize(
    ("verdict", "mode", "told"),
    [
        (Verdict.HOLDS, LeaseMode.LEASED, []),
        (Verdict.FAILS, LeaseMode.PERMANENT, []),
        (Verdict.UNCLEAR, LeaseMode.PERMANENT, UNPROVEN),
    ],
)
def test_a_drill_settles_it(
    monkeypatch: pytest.MonkeyPatch,
    verdict: Verdict,
    mode: LeaseMode,
    told: list[tuple[str, str, Severity]],
    record_property: Callable[[str, object], None],
) -> None:
    async def body() -> None:
        monkeypatch.setattr(Drill, "run", drilled_as(verdict))
        everything = Site()
        await everything.boots(V16Dialect, "1.0")
        site = await everything.boots(V16Dialect, "2.0")
        await drill(site)

        assert modes(site)[-1] is mode
        assert everything.told() == told
        assert modes(await everything.boots(V16Dialect, "2.0"))[-1] is mode

    run(body)
    if verdict is Verdict.HOLDS:
        record_property("fault_drills", 1)


def test_a_drill_counts_for_every_station_of_the_model_and_firmware(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def body() -> None:
        monkeypatch.setattr(Drill, "run", drilled_as(Verdict.HOLDS))
        everything = Site()
        for station in ("CP1", "CP2"):
            await everything.boots(V16Dialect, "1.0", station)
        drilled = await everything.boots(V16Dialect, "2.0", "CP1")
        other = await everything.boots(V16Dialect, "2.0", "CP2")
        assert modes(other)[-1] is LeaseMode.PERMANENT
        await drill(drilled)
        await other.tell("Heartbeat", {})
        later = await everything.boots(V16Dialect, "2.0", "CP2")

        assert modes(other)[-1] is LeaseMode.LEASED
        assert modes(later)[-1] is LeaseMode.LEASED
        assert everything.told() == []

    run(body)


def test_a_firmware_that_was_drilled_before_is_not_doubted() -> None:
    async def body() -> None:
        everything = Site()
        await everything.book.keep(MODEL, "V|M|2.0", {"holds_lease": True})
        await everything.boots(V16Dialect, "1.0")
        site = await everything.boots(V16Dialect, "2.0")

        assert modes(site) == [LeaseMode.LEASED]
        assert everything.told() == []

    run(body)


def test_what_was_known_before_this_was_kept_counts() -> None:
    """A store of an earlier version knows the firmware from the station's last provisioning only."""

    async def body() -> None:
        everything = Site()
        await everything.boots(V16Dialect, "1.0")
        del everything.book._kept["station_firmware", "CP1"]
        site = await everything.boots(V16Dialect, "2.0")

        assert modes(site)[-1] is LeaseMode.PERMANENT

    run(body)


def test_the_alarm_names_both_firmwares_and_the_mend() -> None:
    async def body() -> None:
        everything = Site()
        await everything.boots(V16Dialect, "1.0")
        await everything.boots(V16Dialect, "2.0")
        everything.book.expire()
        everything.alarms.update((), T0)
        (alarm,) = everything.alarms.active()

        assert alarm.condition.values == {"firmware": "2.0", "before": "1.0"}
        assert "Run the fallback drill" in alarm.condition.text

    run(body)
