from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from adapters.ocpp.book import StationBook
from adapters.ocpp.faulttable import fault_table
from controller.decision import Severity
from controller.station import EvseSampled
from tests.adapters.ocpp.connections import Connection, V16Dialect, V201Dialect, run
from tests.adapters.ocpp.scripted_station import stamp
from tests.fakes.desk import RecordingConditions
from tests.fakes.recording_desk import StillClock


def watched(kind: Any) -> tuple[Connection[Any], RecordingConditions]:
    sink = RecordingConditions()
    book = StationBook(clock=StillClock(), sink=sink, pending_boots=False)
    return Connection(kind, book=book), sink


def status(error: str, connector: int = 1, state: str = "Available") -> dict[str, Any]:
    return {"connectorId": connector, "errorCode": error, "status": state, "vendorErrorCode": "E7"}


def test_every_error_code_of_16_has_a_text() -> None:
    path = resources.files("ocpp") / "v16" / "schemas" / "StatusNotification.json"
    schema = json.loads(path.read_text("utf-8-sig"))
    named = set(schema["properties"]["errorCode"]["enum"])
    assert named - {"NoError"} == set(fault_table().error_codes)


@pytest.mark.parametrize("code", sorted(fault_table().error_codes))
def test_an_error_code_begins_a_condition_and_noerror_ends_it(code: str) -> None:
    async def body() -> None:
        site, sink = watched(V16Dialect)
        await site.tell("StatusNotification", status(code, state="Faulted"))
        condition = sink.in_force[f"ERROR_{code}", "CP1/1"]
        assert fault_table().error_codes[code].mend in condition.text
        assert "E7" in condition.text
        await site.tell("StatusNotification", status("NoError"))
        assert sink.in_force == {}

    run(body)


def test_another_code_ends_the_one_before() -> None:
    async def body() -> None:
        site, sink = watched(V16Dialect)
        await site.tell("StatusNotification", status("ReaderFailure"))
        await site.tell("StatusNotification", status("GroundFailure"))
        assert set(sink.in_force) == {("ERROR_GroundFailure", "CP1/1")}
        assert sink.in_force["ERROR_GroundFailure", "CP1/1"].severity is Severity.CRITICAL

    run(body)


def test_an_error_without_the_state_faulted_is_a_condition_too() -> None:
    async def body() -> None:
        site, sink = watched(V16Dialect)
        await site.tell("StatusNotification", status("HighTemperature", state="Charging"))
        assert ("ERROR_HighTemperature", "CP1/1") in sink.in_force

    run(body)


def test_an_error_of_connector_0_is_the_stations() -> None:
    async def body() -> None:
        site, sink = watched(V16Dialect)
        await site.tell("StatusNotification", status("WeakSignal", connector=0))
        assert ("ERROR_WeakSignal", "CP1") in sink.in_force

    run(body)


def test_values_of_a_failed_meter_are_not_believed() -> None:
    async def body() -> None:
        site, _ = watched(V16Dialect)
        sampled = {"value": "3", "measurand": "Current.Import"}
        values = {"timestamp": stamp(site.clock), "sampledValue": [sampled]}
        await site.tell("StatusNotification", status("PowerMeterFailure", state="Charging"))
        await site.tell("MeterValues", {"connectorId": 1, "meterValue": [values]})
        assert site.desk.of(EvseSampled) == []
        await site.tell("StatusNotification", status("NoError", state="Charging"))
        await site.tell("MeterValues", {"connectorId": 1, "meterValue": [values]})
        assert len(site.desk.of(EvseSampled)) == 1

    run(body)


@pytest.mark.parametrize("name", sorted(fault_table().components))
def test_a_problem_of_a_component_begins_and_ends(name: str) -> None:
    async def body() -> None:
        site, sink = watched(V201Dialect)
        component, _, variable = name.partition(".")
        data = {
            "eventId": 1,
            "timestamp": stamp(site.clock),
            "trigger": "Delta",
            "actualValue": "true",
            "eventNotificationType": "HardWiredNotification",
            "component": {"name": component, "evse": {"id": 1}},
            "variable": {"name": variable},
        }
        told = {"generatedAt": stamp(site.clock), "seqNo": 0}
        await site.tell("NotifyEvent", {**told, "eventData": [data]})
        known = fault_table().error_codes[fault_table().components[name]]
        assert sink.in_force[f"ERROR_{name}", "CP1/1"].severity is known.severity
        await site.tell("NotifyEvent", {**told, "eventData": [{**data, "actualValue": "false"}]})
        assert sink.in_force == {}

    run(body)


def test_every_failure_of_a_job_is_told_until_it_succeeds() -> None:
    async def body() -> None:
        site, sink = watched(V16Dialect)
        await site.tell("FirmwareStatusNotification", {"status": "DownloadFailed"})
        assert "could not be downloaded" in sink.in_force["FIRMWARE_FAILED", "CP1"].text
        await site.tell("FirmwareStatusNotification", {"status": "Installed"})
        assert sink.in_force == {}

    run(body)
