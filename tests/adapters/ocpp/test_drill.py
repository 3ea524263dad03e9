from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from adapters.ocpp.book import MODEL
from adapters.ocpp.drill import Drill, DrillResult, Verdict
from controller.commands import ActionRequest, Applied, NotConnected, StationAction
from controller.site import EvseId, StationId
from controller.station import LeaseMode, LeaseModeFound
from tests.adapters.ocpp.connections import Connection, V16Dialect, V201Dialect, limit, run
from tests.adapters.ocpp.scripted_station import accept_everything, stamp

EVSE = EvseId("CP1/1")


class Holder:
    """A station that answers composite schedules by its own lights."""

    def __init__(self, *limits: float | None, status: str = "Accepted") -> None:
        self.limits = list(limits)
        self.status = status

    def __call__(self, action: str, payload: dict[str, Any]) -> Any:
        level = payload.get("csChargingProfiles", payload.get("chargingProfile", {}))
        if action == "SetChargingProfile" and level.get("stackLevel") == 1:
            return {"status": self.status}
        if action != "GetCompositeSchedule":
            return accept_everything(action, payload)
        value = self.limits.pop(0)
        if value is None:
            return {"status": "Rejected"}
        periods = [{"startPeriod": 0, "limit": value}]
        if "connectorId" in payload:
            schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": periods}
            return {"status": "Accepted", "chargingSchedule": schedule}
        schedule = {
            "evseId": 1,
            "duration": 60,
            "scheduleStart": "2026-01-05T12:00:00Z",
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": periods,
        }
        return {"status": "Accepted", "schedule": schedule}


def a_drill(site: Connection[Any]) -> Drill:
    dialect = site.dialect
    return Drill(
        dialect._caller,
        intake=dialect._intake,
        clock=site.clock,
        settings=dialect._settings,
        capabilities=dialect.capabilities,
        limiter=dialect._limiter,
        wire=dialect._wire,
        lease_s=0.2,
        follow_s=-0.15,
    )


@pytest.mark.parametrize("kind", [V16Dialect, V201Dialect])
@pytest.mark.parametrize(
    ("station", "verdict"),
    [
        (Holder(0.0, 6.0), Verdict.HOLDS),
        (Holder(0.0, 0.0), Verdict.FAILS),
        (Holder(32.0), Verdict.UNCLEAR),
        (Holder(None), Verdict.UNCLEAR),
        (Holder(0.0, None), Verdict.UNCLEAR),
        (Holder(status="Rejected"), Verdict.UNCLEAR),
    ],
    ids=[
        "falls back",
        "stays",
        "shows no limit",
        "shows nothing",
        "shows nothing later",
        "refuses",
    ],
)
def test_a_lease_at_an_idle_evse(kind: Any, station: Holder, verdict: Verdict) -> None:
    async def body() -> None:
        site = Connection(kind, Holder(*station.limits, status=station.status))
        result = await a_drill(site).run(EVSE)
        assert result.verdict is verdict
        assert all(p["limit"] <= 6.0 for p in limits_of(site))

    run(body)


def limits_of(site: Connection[Any]) -> list[dict[str, Any]]:
    schedules = [p["chargingSchedule"] for p in site.profiles()]
    plain = [s[0] if isinstance(s, list) else s for s in schedules]
    return [s["chargingSchedulePeriod"][0] for s in plain]


async def charging(limit_a: float) -> Connection[V16Dialect]:
    site = Connection(V16Dialect)
    await site.provision()
    start = {"connectorId": 1, "idTag": "C", "meterStart": 0, "timestamp": stamp(site.clock)}
    await site.tell("StartTransaction", start)
    await site.dialect.apply(limit(limit_a))
    return site


async def draw(site: Connection[V16Dialect], amps: float) -> None:
    sampled = {"value": str(amps), "measurand": "Current.Import", "phase": "L1"}
    value = {"timestamp": stamp(site.clock), "sampledValue": [sampled]}
    await site.tell("MeterValues", {"connectorId": 1, "meterValue": [value]})


@pytest.mark.parametrize(("after_a", "verdict"), [(6.0, Verdict.HOLDS), (16.0, Verdict.FAILS)])
def test_a_lease_of_a_charging_vehicle(after_a: float, verdict: Verdict) -> None:
    async def body() -> None:
        site = await charging(16.0)
        drilled = asyncio.ensure_future(a_drill(site).run(EVSE))
        await asyncio.sleep(0.01)
        renewal = await site.dialect.apply(limit(16.0))
        await draw(site, after_a)
        result = await drilled
        assert renewal == NotConnected()
        assert result.verdict is verdict

    run(body)


def test_a_lower_limit_goes_out_during_a_drill_and_ends_it() -> None:
    async def body() -> None:
        site = await charging(16.0)
        drilled = asyncio.ensure_future(a_drill(site).run(EVSE))
        await asyncio.sleep(0.01)
        assert isinstance(await site.dialect.apply(limit(8.0)), Applied)
        assert (await drilled).verdict is Verdict.UNCLEAR

    run(body)


def test_a_limit_at_the_fallback_shows_nothing() -> None:
    async def body() -> None:
        site = await charging(6.0)
        assert (await a_drill(site).run(EVSE)).verdict is Verdict.UNCLEAR

    run(body)


def order(site: Connection[Any]) -> Any:
    request = ActionRequest(station=StationId("CP1"), evse=EVSE, action=StationAction.DRILL)
    return site.dialect.act(request)


def drilled_as(result: DrillResult) -> Callable[..., Any]:
    async def run_(self: Drill, evse: EvseId) -> DrillResult:
        return result

    return run_


@pytest.mark.parametrize(
    ("verdict", "mode", "holds"),
    [(Verdict.FAILS, LeaseMode.PERMANENT, False), (Verdict.HOLDS, LeaseMode.LEASED, True)],
)
def test_trust_follows_the_drill(
    monkeypatch: pytest.MonkeyPatch, verdict: Verdict, mode: LeaseMode, holds: bool
) -> None:
    async def body() -> None:
        monkeypatch.setattr(Drill, "run", drilled_as(DrillResult(verdict=verdict, text="seen")))
        site = Connection(V16Dialect)
        work = asyncio.ensure_future(site.dialect.on_open())
        await site.tell("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
        await asyncio.sleep(0.02)
        assert isinstance(await order(site), Applied)
        await asyncio.sleep(0.02)
        work.cancel()
        assert site.desk.of(LeaseModeFound)[-1].mode is mode
        learned = await site.book.kept(MODEL, "V|M|")
        assert learned["holds_lease"] is holds
        another = Connection(V16Dialect, book=site.book)
        await another.tell("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
        assert another.dialect.capabilities.may_lease is holds

    run(body)
