"""Wanted configuration, lost ends, mislabelled registers, write budgets."""

from __future__ import annotations

from typing import Any

from adapters.ocpp.book import StationBook
from adapters.ocpp.writebudget import WriteBudget
from controller.commands import ActionRequest, Applied, NotConnected, StationAction
from controller.desired import DesiredConfiguration
from controller.site import EvseId, StationId
from controller.station import TransactionChanged
from tests.adapters.ocpp.connections import Connection, V16Dialect, V201Dialect, limit, run
from tests.adapters.ocpp.scripted_station import accept_everything, stamp
from tests.fakes.desk import RecordingConditions
from tests.fakes.recording_desk import StillClock

EVSE = EvseId("CP1/1")


def keys(values: dict[str, str], status: str = "Accepted") -> Any:
    """Answer like a station with these keys, which changes take or not."""

    def script(action: str, payload: dict[str, Any]) -> Any:
        if action == "GetConfiguration":
            entries = [{"key": k, "readonly": False, "value": v} for k, v in values.items()]
            return {"configurationKey": entries}
        if action == "ChangeConfiguration" and status == "Accepted":
            values[payload["key"]] = payload["value"]
        return (
            {"status": status}
            if action == "ChangeConfiguration"
            else accept_everything(action, payload)
        )

    return script


def write(values: dict[str, str], *, keep: bool) -> ActionRequest:
    return ActionRequest(
        station=StationId("CP1"),
        evse=None,
        action=StationAction.WRITE_CONFIGURATION,
        parameters={"values": values, "keep": keep},
    )


def test_what_is_to_stay_is_written_again_after_a_change_at_the_station() -> None:
    async def body() -> None:
        book = StationBook(clock=StillClock(), pending_boots=False)
        first = Connection(V16Dialect, keys({"LightIntensity": "50"}), book=book)
        assert isinstance(
            await first.dialect.act(write({"LightIntensity": "10"}, keep=True)), Applied
        )
        changed = {"LightIntensity": "90"}
        later = Connection(V16Dialect, keys(changed), book=book)
        await later.provision()
        assert changed["LightIntensity"] == "10"

    run(body)


def test_what_is_not_kept_is_left_alone() -> None:
    async def body() -> None:
        book = StationBook(clock=StillClock(), pending_boots=False)
        first = Connection(V16Dialect, keys({"LightIntensity": "50"}), book=book)
        await first.dialect.act(write({"LightIntensity": "10"}, keep=False))
        changed = {"LightIntensity": "90"}
        await Connection(V16Dialect, keys(changed), book=book).provision()
        assert changed["LightIntensity"] == "90"

    run(body)


def test_a_setting_that_is_written_once_more_without_keeping_is_kept_no_longer() -> None:
    async def body() -> None:
        book = StationBook(clock=StillClock(), pending_boots=False)
        first = Connection(V16Dialect, keys({"LightIntensity": "50"}), book=book)
        await first.dialect.act(write({"LightIntensity": "10"}, keep=True))
        await first.dialect.act(write({"LightIntensity": "20"}, keep=False))
        changed = {"LightIntensity": "90"}
        await Connection(V16Dialect, keys(changed), book=book).provision()
        assert changed["LightIntensity"] == "90"

    run(body)


def test_drift_that_cannot_be_mended_is_told_until_it_can() -> None:
    async def body() -> None:
        sink = RecordingConditions()
        book = StationBook(
            clock=StillClock(),
            pending_boots=False,
            sink=sink,
            desired={StationId("CP1"): DesiredConfiguration(keys={"LightIntensity": "10"})},
        )
        await Connection(
            V16Dialect, keys({"LightIntensity": "90"}, "Rejected"), book=book
        ).provision()
        assert "LightIntensity (Rejected)" in sink.in_force["CONFIG_DRIFT", "CP1"].text
        await Connection(V16Dialect, keys({"LightIntensity": "90"}), book=book).provision()
        assert sink.in_force == {}

    run(body)


def start(site: Connection[Any], meter: int = 1000) -> dict[str, Any]:
    return {"connectorId": 1, "idTag": "C", "meterStart": meter, "timestamp": stamp(site.clock)}


def available(site: Connection[Any]) -> dict[str, Any]:
    return {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


def test_a_transaction_whose_vehicle_has_long_gone_is_ended() -> None:
    async def body() -> None:
        site = Connection(V16Dialect)
        await site.tell("StartTransaction", start(site))
        await site.tell("StatusNotification", available(site))
        site.clock.advance(100.0)
        await site.tell("Heartbeat", {})
        assert site.desk.closed == []
        site.clock.advance(30.0)
        await site.tell("Heartbeat", {})
        assert [(c.id, c.reason) for c in site.desk.closed] == [("1000002", "Other")]
        assert site.desk.of(TransactionChanged)[-1].transaction.ended_at is not None

    run(body)


def test_a_vehicle_that_is_back_keeps_its_transaction() -> None:
    async def body() -> None:
        site = Connection(V16Dialect)
        await site.tell("StartTransaction", start(site))
        await site.tell("StatusNotification", available(site))
        await site.tell("StatusNotification", {**available(site), "status": "Charging"})
        site.clock.advance(500.0)
        await site.tell("Heartbeat", {})
        assert site.desk.closed == []

    run(body)


def sample(site: Connection[Any], kwh: float) -> dict[str, Any]:
    values = [
        {"value": f"{kwh}", "unit": "Wh"},
        {"value": "11000", "measurand": "Power.Active.Import", "unit": "W"},
    ]
    value = {"timestamp": stamp(site.clock), "sampledValue": values}
    return {"connectorId": 1, "transactionId": 1000002, "meterValue": [value]}


async def charged(site: Connection[Any], stop_wh: int) -> float:
    """Charge 11 kW with a register in kWh labelled Wh, stop at a register, return the factor booked."""
    await site.tell("StartTransaction", start(site, 100))
    kwh = 100.0
    for _ in range(12):
        site.clock.advance(10.0)
        kwh += 11.0 * 10 / 3600
        await site.tell("MeterValues", sample(site, kwh))
    stop = {"transactionId": 1000002, "meterStop": stop_wh, "timestamp": stamp(site.clock)}
    await site.tell("StopTransaction", stop)
    return site.desk.closed[0].scale_ratio


def test_a_register_in_kwh_labelled_wh_is_booked_in_wh() -> None:
    async def body() -> None:
        assert await charged(Connection(V16Dialect), 100) == 1000.0

    run(body)


def test_a_right_register_at_the_end_is_not_touched_by_wrong_samples() -> None:
    async def body() -> None:
        assert await charged(Connection(V16Dialect), 100_366) == 1.0

    run(body)


def test_raises_wait_when_the_days_writes_are_spent_and_lowering_never_does() -> None:
    async def body() -> None:
        site = Connection(V201Dialect)
        await site.provision()
        event = {
            "eventType": "Started",
            "timestamp": stamp(site.clock),
            "triggerReason": "Authorized",
            "seqNo": 0,
            "transactionInfo": {"transactionId": "tx"},
            "evse": {"id": 1, "connectorId": 1},
        }
        await site.tell("TransactionEvent", event)
        assert isinstance(await site.dialect.apply(limit(10.0, "tx")), Applied)
        for _ in range(300):
            site.dialect._limiter._budget.count(EVSE, site.clock.monotonic_s())
        assert await site.dialect.apply(limit(12.0, "tx")) == NotConnected()
        assert isinstance(await site.dialect.apply(limit(10.0, "tx")), Applied)
        assert isinstance(await site.dialect.apply(limit(7.0, "tx")), Applied)

    run(body)


def test_a_spent_budget_still_lets_a_raise_through_now_and_then() -> None:
    budget = WriteBudget()
    for _ in range(5):
        budget.count(EVSE, 0.0)
    assert not budget.may_raise(EVSE, 10.0, per_day=5)
    assert budget.may_raise(EVSE, 900.0, per_day=5)
    assert budget.may_raise(EVSE, 10.0, per_day=6)


def wanting(**wanted: dict[str, str]) -> StationBook:
    desired = {StationId("CP1"): DesiredConfiguration(**wanted)}
    return StationBook(clock=StillClock(), pending_boots=False, desired=desired)


def read(names: list[str]) -> ActionRequest:
    return ActionRequest(
        station=StationId("CP1"),
        evse=None,
        action=StationAction.READ_CONFIGURATION,
        parameters={"names": names},
    )


def test_a_reading_shows_what_is_wanted_beside_what_is() -> None:
    async def body() -> None:
        book = wanting(keys={"LightIntensity": "10"}, variables={"Light.Level": "3"})
        site = Connection(V16Dialect, keys({"LightIntensity": "90"}), book=book)
        result = await site.dialect.act(read([]))
        assert isinstance(result, Applied)
        assert result.answer is not None
        assert result.answer["wanted"] == {
            "LightIntensity": {"wanted": "10", "actual": "90", "differs": True}
        }

    run(body)


def test_a_wanted_interval_is_not_overwritten_with_our_own() -> None:
    async def body() -> None:
        wanted = {"HeartbeatInterval": "777", "MeterValueSampleInterval": "33"}
        values = dict(wanted)
        site = Connection(V16Dialect, keys(values), book=wanting(keys=wanted))
        await site.provision()
        assert wanted.items() <= values.items()
        written = [c for c in site.station.sent("ChangeConfiguration") if c["key"] in wanted]
        assert written == []

    run(body)


def test_a_2_0_1_station_gets_variables_but_never_one_that_ends_limits() -> None:
    written: list[str] = []

    def script(action: str, payload: dict[str, Any]) -> Any:
        if action == "GetVariables":
            found = [
                {**entry, "attributeStatus": "Accepted", "attributeValue": "true"}
                for entry in payload["getVariableData"]
            ]
            return {"getVariableResult": found}
        if action == "SetVariables":
            entries = payload["setVariableData"]
            written.extend(entry["variable"]["name"] for entry in entries)
            done = [
                {
                    "component": entry["component"],
                    "variable": entry["variable"],
                    "attributeStatus": "Accepted",
                }
                for entry in entries
            ]
            return {"setVariableResult": done}
        return accept_everything(action, payload)

    async def body() -> None:
        sink = RecordingConditions()
        book = wanting(variables={"Light.Level": "3", "SmartChargingCtrlr.Enabled": "false"})
        book.sink = sink
        book.__post_init__()
        await Connection(V201Dialect, script, book=book).provision()
        assert "Level" in written
        assert "Enabled" not in written
        assert "SmartChargingCtrlr.Enabled" in sink.in_force["CONFIG_DRIFT", "CP1"].text

    run(body)


def test_vendor_messages_pass_by_the_allow_list_and_the_latest_is_kept() -> None:
    async def body() -> None:
        book = StationBook(
            clock=StillClock(), pending_boots=False, accepted_vendors=frozenset({"com.example"})
        )
        site = Connection(V16Dialect, book=book)
        told = {"vendorId": "com.example", "messageId": "hello", "data": "x"}
        assert (await site.tell("DataTransfer", told))["status"] == "Accepted"
        other = await site.tell("DataTransfer", {**told, "vendorId": "com.other"})
        assert other["status"] == "UnknownVendorId"
        kept = await book.kept("data_transfer", "CP1/com.example")
        assert (kept["message"], kept["data"]) == ("hello", "x")

    run(body)


def boot(serial: str) -> dict[str, Any]:
    return {
        "chargePointVendor": "Acme",
        "chargePointModel": "One",
        "firmwareVersion": "1.0",
        "chargePointSerialNumber": serial,
    }


def test_a_model_known_to_take_watts_gets_its_first_fallback_in_watts() -> None:
    async def body() -> None:
        book = StationBook(clock=StillClock(), pending_boots=False)
        named = {"ChargingScheduleAllowedChargingRateUnit": "Power"}
        first = Connection(V16Dialect, keys(named), book=book)
        await first.tell("BootNotification", boot("1"))
        await first.provision()
        silent = Connection(V16Dialect, keys({}), book=book)
        await silent.tell("BootNotification", boot("2"))
        await silent.provision()
        units = [p["chargingSchedule"]["chargingRateUnit"] for p in silent.profiles()]
        assert set(units) == {"W"}

    run(body)


def test_another_firmware_is_not_believed_to_be_the_same() -> None:
    async def body() -> None:
        book = StationBook(clock=StillClock(), pending_boots=False)
        named = {"ChargingScheduleAllowedChargingRateUnit": "Power"}
        first = Connection(V16Dialect, keys(named), book=book)
        await first.tell("BootNotification", boot("1"))
        await first.provision()
        other = Connection(V16Dialect, keys({}), book=book)
        await other.tell("BootNotification", {**boot("2"), "firmwareVersion": "2.0"})
        await other.provision()
        units = [p["chargingSchedule"]["chargingRateUnit"] for p in other.profiles()]
        assert set(units) == {"A"}

    run(body)
