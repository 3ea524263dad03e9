"""The relay between a station and another company's central system, over real websockets and a real store."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ocpp.v16 import call as call16
from ocpp.v201 import call as call201

from adapters.store.sqlite_store import SqliteStore
from adapters.upstream.relay import Relay
from adapters.upstream.secrets import LegSecrets
from adapters.upstream.settings import UpstreamSettings
from adapters.vault import Vault
from controller.backoffice import BackOfficeLimits
from controller.records import TokenRecord
from controller.site import EvseId, StationId
from controller.transaction import IdToken
from tests.adapters.ocpi.conftest import NoConditions, WallClock
from tests.adapters.upstream.csms import Book, a_centre, eventually
from tests.fakes.control import FakeControl, a_site, an_evse_status

STATION, EVSE = StationId("CP001"), EvseId("CP001/1")
NOW = "2026-03-02T08:00:00Z"
logging.getLogger("ocpp").setLevel(logging.CRITICAL)


@dataclass
class FakeStation:
    """A connected station: remembers what it is asked, and accepts everything."""

    station: StationId = STATION
    protocol: str = "ocpp1.6"
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def call(
        self, action: str, payload: dict[str, Any], *, timeout_s: float | None = None
    ) -> dict[str, Any]:
        self.asked.append((action, payload))
        return self.answers.get(action, {"status": "Accepted"})


@dataclass
class Bench:
    relay: Relay
    store: SqliteStore
    control: FakeControl
    station: FakeStation
    book: Book

    async def says(self, action: str, payload: dict[str, Any], ours: dict[str, Any]) -> Any:
        return await self.relay.tap(self.station, action, payload, ours)

    @property
    def line_is_up(self) -> bool:
        return self.relay.states()[STATION][0]

    @property
    def waiting(self) -> int:
        return self.relay.states()[STATION][1]

    def centre(self) -> Any:
        return self.book.stations[STATION]

    def limit_a(self) -> float | None:
        wished = self.control.overrides().evses.get(EVSE)
        return wished.upstream_max_a if wished is not None else None

    def charging(self, transaction: str, *, setpoint_a: float = 10.0) -> None:
        evses = {
            e.id: an_evse_status(e, transaction=transaction, setpoint_a=setpoint_a)
            for e in self.control.site.evses()
        }
        self.control.publish(evses=evses)


@asynccontextmanager
async def a_bench(folder: Path, port: int, *, protocol: str = "ocpp1.6") -> AsyncIterator[Bench]:
    store = SqliteStore.open(folder / "w.db", conditions=NoConditions(), clock=WallClock())
    control = FakeControl(a_site(stations=1))
    limits = BackOfficeLimits()
    limits.bind(control)
    secrets = LegSecrets(
        documents=store, vault=Vault.open(folder / "k"), variable=None, now=WallClock().now
    )
    if await secrets.secret(STATION) is None:
        await secrets.keep(STATION, "leg-two")
    relay = Relay(
        settings=UpstreamSettings(
            url=f"ws://127.0.0.1:{port}/ocpp",
            answer_timeout_s=2.0,
            retry_s=0.05,
            apply_interval_s=0.05,
        ),
        site=control.site,
        store=store,
        documents=store,
        limiter=limits,
        clock=WallClock(),
        secret=secrets.secret,
        keep_secret=secrets.keep,
    )
    station = FakeStation(protocol=protocol)
    serving = asyncio.create_task(relay.serve(station))
    await asyncio.sleep(0)
    try:
        bench = Bench(relay=relay, store=store, control=control, station=station, book=Book())
        bench.charging("5")
        yield bench
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await relay.close()
        await store.close()


@asynccontextmanager
async def connected(folder: Path, *, protocol: str = "ocpp1.6") -> AsyncIterator[Bench]:
    book = Book()
    async with a_centre(book) as port, a_bench(folder, port, protocol=protocol) as bench:
        bench.book = book
        await eventually(lambda: STATION in book.stations and bench.line_is_up)
        yield bench


def start(tag: str = "04AA", *, at: str = NOW, wh: int = 0) -> dict[str, Any]:
    return {"connectorId": 1, "idTag": tag, "meterStart": wh, "timestamp": at}


def started(transaction: int) -> dict[str, Any]:
    return {"transactionId": transaction, "idTagInfo": {"status": "Accepted"}}


def stop(transaction: int, *, wh: int = 1000, at: str = NOW) -> dict[str, Any]:
    return {"transactionId": transaction, "meterStop": wh, "timestamp": at, "reason": "Local"}


def limit16(limit_a: float, **changes: Any) -> dict[str, Any]:
    return {
        "charging_profile_id": 9,
        "stack_level": 3,
        "charging_profile_purpose": "TxDefaultProfile",
        "charging_profile_kind": "Relative",
        "charging_schedule": {
            "charging_rate_unit": "A",
            "charging_schedule_period": [{"start_period": 0, "limit": limit_a}],
        },
        **changes,
    }


def test_a_transaction_goes_up_with_the_ids_that_the_centre_gave(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected(tmp_path) as bench:
            boot = {"chargePointVendor": "Acme", "chargePointModel": "Wall"}
            ours = {"currentTime": NOW, "interval": 60, "status": "Accepted"}
            assert await bench.says("BootNotification", boot, ours) == ours
            assert await bench.says("StartTransaction", start(), started(5)) == started(5)
            value = {"timestamp": NOW, "sampledValue": [{"value": "12"}]}
            values = {"connectorId": 1, "transactionId": 5, "meterValue": [value]}
            await bench.says("MeterValues", values, {})
            await bench.says("StopTransaction", stop(5), {})
            await eventually(lambda: bench.book.of("StopTransaction"))

            assert bench.book.of("BootNotification")[0]["charge_point_vendor"] == "Acme"
            assert bench.book.of("MeterValues")[0]["transaction_id"] == 70_001
            assert bench.book.of("StopTransaction")[0]["transaction_id"] == 70_001
            await eventually(lambda: bench.waiting == 0)

    asyncio.run(scenario())


def test_the_centre_decides_on_its_tokens_and_we_on_ours(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected(tmp_path) as bench:
            await bench.store.put_token(TokenRecord(id=IdToken("04STAFF")))
            bench.book.status = "Blocked"
            ours = {"idTagInfo": {"status": "Accepted"}}

            theirs = await bench.says("Authorize", {"idTag": "04AA"}, ours)
            assert theirs == {"idTagInfo": {"status": "Blocked"}}
            assert await bench.says("Authorize", {"idTag": "04STAFF"}, ours) == ours
            begun = await bench.says("StartTransaction", start(), started(5))
            assert begun == {"transactionId": 5, "idTagInfo": {"status": "Blocked"}}
            data = await bench.says("DataTransfer", {"vendorId": "x"}, {"status": "Rejected"})
            assert data == {"status": "Accepted", "data": "from the centre"}

    asyncio.run(scenario())


def test_a_limit_of_32_a_never_lifts_our_10_a(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async def scenario() -> None:
        async with connected(tmp_path) as bench:
            centre = bench.centre()
            answer = await centre.call(
                call16.SetChargingProfile(connector_id=1, cs_charging_profiles=limit16(32.0))
            )
            assert answer.status == "Accepted"
            await eventually(lambda: bench.limit_a() == 32.0)
            bench.charging("5", setpoint_a=10.0)
            composite = await centre.call(
                call16.GetCompositeSchedule(connector_id=1, duration=600, charging_rate_unit="A")
            )
            periods = composite.charging_schedule["charging_schedule_period"]
            assert periods == [{"start_period": 0, "limit": 10.0}]
            record_property("fault_raised_a", float(periods[0]["limit"]) - 10.0)

            await centre.call(
                call16.SetChargingProfile(connector_id=1, cs_charging_profiles=limit16(7.0))
            )
            await eventually(lambda: bench.limit_a() == 7.0)
            composite = await centre.call(
                call16.GetCompositeSchedule(connector_id=1, duration=600, charging_rate_unit="A")
            )
            assert composite.charging_schedule["charging_schedule_period"][0]["limit"] == 7.0
            cleared = await centre.call(call16.ClearChargingProfile(id=1))
            assert cleared.status == "Unknown"
            cleared = await centre.call(call16.ClearChargingProfile(id=9))
            assert cleared.status == "Accepted"
            await eventually(lambda: bench.limit_a() is None)
            assert bench.station.asked == []

    asyncio.run(scenario())


def test_other_requests_reach_the_station_and_its_answer_comes_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected(tmp_path) as bench:
            centre = bench.centre()
            await bench.says("StartTransaction", start(), started(5))
            await eventually(lambda: bench.waiting == 0)
            bench.station.answers["Reset"] = {"status": "Rejected"}

            assert (await centre.call(call16.Reset(type="Soft"))).status == "Rejected"
            stopped = await centre.call(call16.RemoteStopTransaction(transaction_id=70_001))
            assert stopped.status == "Accepted"
            unknown = await centre.call(call16.RemoteStopTransaction(transaction_id=1))
            assert unknown.status == "Rejected"
            begun = await centre.call(
                call16.RemoteStartTransaction(
                    id_tag="04AA",
                    connector_id=1,
                    charging_profile=limit16(8.0, charging_profile_purpose="TxProfile"),
                )
            )
            assert begun.status == "Accepted"
            assert bench.station.asked == [
                ("Reset", {"type": "Soft"}),
                ("RemoteStopTransaction", {"transactionId": 5}),
                ("RemoteStartTransaction", {"idTag": "04AA", "connectorId": 1}),
            ]
            await bench.says("StartTransaction", start(wh=7), started(6))
            bench.charging("6")
            await eventually(lambda: bench.limit_a() == 8.0)
            await bench.says("StopTransaction", stop(6), {})
            await eventually(lambda: bench.limit_a() is None)

    asyncio.run(scenario())


def test_secrets_certificates_and_lists_are_each_legs_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with connected(tmp_path) as bench:
            centre = bench.centre()
            key = call16.ChangeConfiguration(key="AuthorizationKey", value="new-leg-secret-1234")
            assert (await centre.call(key)).status == "Accepted"
            interval = call16.ChangeConfiguration(key="MeterValueSampleInterval", value="900")
            assert (await centre.call(interval)).status == "Rejected"
            local = call16.SendLocalList(list_version=1, update_type="Full")
            assert (await centre.call(local)).status == "Failed"
            assert bench.station.asked == []
        async with a_bench(tmp_path, 1) as bench:
            secrets = LegSecrets(
                documents=bench.store,
                vault=Vault.open(tmp_path / "k"),
                variable=None,
                now=WallClock().now,
            )
            assert await secrets.secret(STATION) == "new-leg-secret-1234"

    asyncio.run(scenario())


def test_a_day_without_the_centre_arrives_complete_and_in_order(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    begin = datetime(2026, 3, 2, tzinfo=UTC)
    starts = [(begin + timedelta(minutes=2 * n)).strftime("%Y-%m-%dT%H:%M:%SZ") for n in range(500)]

    async def outage() -> None:
        async with a_bench(tmp_path, 1) as bench:
            longest_s = 0.0
            for n, at in enumerate(starts):
                said_s = time.monotonic()
                ours = await bench.says("StartTransaction", start(at=at, wh=n), started(1000 + n))
                longest_s = max(longest_s, time.monotonic() - said_s)
                assert ours == started(1000 + n)
                await bench.says("StopTransaction", stop(1000 + n, wh=n + 1, at=at), {})
            assert bench.waiting == 1000
            record_property("fault_answer_s", longest_s)

    async def afterwards() -> None:
        book = Book()
        async with a_centre(book) as port, a_bench(tmp_path, port) as bench:
            await eventually(lambda: len(book.of("StopTransaction")) == 500, within_s=90)
            await eventually(lambda: bench.waiting == 0)
        assert [p["timestamp"] for p in book.of("StartTransaction")] == starts
        assert [p["meter_stop"] for p in book.of("StopTransaction")] == list(range(1, 501))
        ids = [70_001 + n for n in range(500)]
        assert [p["transaction_id"] for p in book.of("StopTransaction")] == ids
        order = [a for _, a, _ in book.heard if a.endswith("Transaction")]
        assert order == ["StartTransaction", "StopTransaction"] * 500
        astray = sum(a != b for a, b in zip(order[::2], order[1::2], strict=True)) - 500
        record_property("fault_out_of_order", astray)

    asyncio.run(outage())
    asyncio.run(afterwards())


@pytest.mark.long
def test_a_silent_line_is_found_dead(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """With the product's own times, so it takes as long as they are."""

    async def scenario() -> None:
        async with connected(tmp_path) as bench:
            transport = bench.centre()._connection.transport
            silent_s = time.monotonic()
            transport.pause_reading()
            await eventually(lambda: not bench.line_is_up, within_s=60)
            record_property("fault_t_d_s", time.monotonic() - silent_s)
            transport.abort()
            assert not bench.line_is_up

    asyncio.run(scenario())


def test_a_line_that_breaks_loses_nothing_and_says_why(tmp_path: Path) -> None:
    async def scenario() -> None:
        book = Book()
        async with a_centre(book) as port, a_bench(tmp_path, port) as bench:
            await eventually(lambda: bench.line_is_up)
            await bench.says(
                "StatusNotification",
                {"connectorId": 1, "status": "Charging", "errorCode": "NoError"},
                {},
            )
            await eventually(lambda: book.of("StatusNotification"))
            await book.stations[STATION]._connection.close()
            await bench.says("StartTransaction", start(), started(5))
            await eventually(lambda: len(book.of("StartTransaction")) == 1)
            await eventually(lambda: len(book.of("StatusNotification")) == 2)
            assert len(book.of("StartTransaction")) == 1, "passed on once, not again"
        async with a_centre(book, password="other") as port, a_bench(tmp_path, port) as bench:
            await eventually(
                lambda: "wattkeeper upstream secret" in bench.relay.states()[STATION][2]
            )

    asyncio.run(scenario())


def profile201(limit_a: float) -> dict[str, Any]:
    period = {"start_period": 0, "limit": limit_a}
    schedule = {"id": 1, "charging_rate_unit": "A", "charging_schedule_period": [period]}
    return {
        "id": 77,
        "stack_level": 1,
        "charging_profile_purpose": "TxDefaultProfile",
        "charging_profile_kind": "Relative",
        "charging_schedule": [schedule],
    }


def test_the_same_in_2_0_1(tmp_path: Path) -> None:
    event = {
        "eventType": "Started",
        "timestamp": NOW,
        "triggerReason": "Authorized",
        "seqNo": 0,
        "transactionInfo": {"transactionId": "tx-1"},
        "idToken": {"idToken": "04AA", "type": "ISO14443"},
        "evse": {"id": 1, "connectorId": 1},
    }

    async def scenario() -> None:
        async with connected(tmp_path, protocol="ocpp2.0.1") as bench:
            bench.book.status = "Invalid"
            ours = {"idTokenInfo": {"status": "Accepted"}}
            answer = await bench.says("TransactionEvent", event, ours)
            assert answer == {"idTokenInfo": {"status": "Invalid"}}
            assert bench.book.of("TransactionEvent")[0]["transaction_info"] == {
                "transaction_id": "tx-1"
            }

            centre = bench.centre()
            taken = await centre.call(
                call201.SetChargingProfile(evse_id=1, charging_profile=profile201(9.0))
            )
            assert taken.status == "Accepted"
            await eventually(lambda: bench.limit_a() == 9.0)
            asked = await centre.call(
                call201.GetChargingProfiles(request_id=3, charging_profile={}, evse_id=1)
            )
            assert asked.status == "Accepted"
            await eventually(lambda: bench.book.of("ReportChargingProfiles"))
            [report] = bench.book.of("ReportChargingProfiles")
            assert report["charging_profile"][0]["id"] == 77

            report = {"requestId": 41, "generatedAt": NOW, "seqNo": 0}
            await bench.says("NotifyReport", report, {})
            await centre.call(call201.GetBaseReport(request_id=42, report_base="FullInventory"))
            await bench.says("NotifyReport", report | {"requestId": 42}, {})
            await eventually(lambda: bench.book.of("NotifyReport"))
            assert [r["request_id"] for r in bench.book.of("NotifyReport")] == [42]
            assert [a for a, _ in bench.station.asked] == ["GetBaseReport"]

    asyncio.run(scenario())


@pytest.mark.parametrize("raw", ["", "[]", '{"a": 1}', "[2]", '[2,"1","Reset"]', "x" * 100])
def test_frames_that_are_none_end_nothing(tmp_path: Path, raw: str) -> None:
    async def scenario() -> None:
        async with connected(tmp_path) as bench:
            await bench.centre()._connection.send(raw)
            bench.station.answers["Reset"] = {"status": "Accepted"}
            assert (await bench.centre().call(call16.Reset(type="Soft"))).status == "Accepted"

    asyncio.run(scenario())
