"""Schemas: validation, repairs of known field defects, and payload building."""

from __future__ import annotations

from typing import Any

import pytest
from ocpp.v16 import call as call16
from ocpp.v16.enums import ResetType
from ocpp.v201 import call as call201
from ocpp.v201.datatypes import ComponentType, EVSEType, SetVariableDataType, VariableType

from adapters.ocpp.frames import OCPP16, OCPP201
from adapters.ocpp.schemas import actions, check_inbound, check_outbound, payload_of
from tests.adapters.ocpp.rig import a_profile


def meter_values(*samples: Any, **extra: Any) -> dict[str, Any]:
    """A MeterValues of 1.6 with the given samples."""
    value = {"timestamp": "2026-01-01T00:00:00Z", "sampledValue": list(samples)}
    return {"connectorId": 1, "meterValue": [value]} | extra


def samples_of(payload: dict[str, Any]) -> list[Any]:
    return [s for value in payload["meterValue"] for s in value["sampledValue"]]


def test_every_message_of_the_tables_is_known() -> None:
    assert len(actions(OCPP16)) == 39
    assert len(actions(OCPP201)) == 64


def test_a_valid_payload_is_returned_as_it_is() -> None:
    payload = meter_values({"value": "12.5", "unit": "A"})

    checked = check_inbound(OCPP16, "MeterValues", payload)

    assert checked.payload is payload
    assert checked.repairs == ()
    assert checked.fault is None


SAMPLE_REPAIRS = [
    ({"value": 12.5}, [{"value": "12.5"}]),
    ({"value": " 12.5"}, [{"value": " 12.5"}]),
    ({"value": "50", "unit": "Hz"}, [{"value": "50", "unit": "Hertz"}]),
    ({"value": "50", "unit": " celcius "}, [{"value": "50", "unit": "Celsius"}]),
    ({"value": "50", "unit": "wh"}, [{"value": "50", "unit": "Wh"}]),
    ({"value": "5", "unit": "amps"}, [{"value": "5", "unit": "A"}]),
    ({"value": "5", "unit": "furlong"}, []),
    ({"value": "5", "measurand": "Current.Bogus"}, []),
    ({"value": "5", "phase": "L9"}, []),
    ({"value": "5", "context": "Sample.Weird"}, [{"value": "5"}]),
    ({"value": "5", "vendor": 1}, [{"value": "5"}]),
    ({"value": None}, []),
    ({"unit": "A"}, []),
    (None, []),
    ("12.5", []),
]


@pytest.mark.parametrize(("sample", "expected"), SAMPLE_REPAIRS, ids=str)
def test_a_bad_sample_is_repaired_or_left_out_and_the_rest_stays(
    sample: Any, expected: list[Any]
) -> None:
    good = {"value": "1", "measurand": "Voltage"}

    checked = check_inbound(OCPP16, "MeterValues", meter_values(good, sample, good))

    assert checked.fault is None
    assert samples_of(checked.payload) == [good, *expected, good]


def test_a_unit_that_is_unknown_never_becomes_the_default_unit() -> None:
    checked = check_inbound(OCPP16, "MeterValues", meter_values({"value": "16000", "unit": "mA"}))

    assert samples_of(checked.payload) == []


def test_objects_are_accepted_where_lists_of_one_belong() -> None:
    payload = {
        "connectorId": 1,
        "meterValue": {"timestamp": "x", "sampledValue": {"value": "1"}},
    }

    checked = check_inbound(OCPP16, "MeterValues", payload)

    assert checked.fault is None
    assert samples_of(checked.payload) == [{"value": "1"}]


@pytest.mark.parametrize("samples", [(), ("a", "b")])
def test_meter_values_without_any_sample_are_accepted(samples: tuple[Any, ...]) -> None:
    assert check_inbound(OCPP16, "MeterValues", meter_values(*samples)).fault is None


@pytest.mark.parametrize("timestamp", [None, 1700000000, "yesterday", {}])
def test_a_garbage_time_is_no_time(timestamp: Any) -> None:
    payload = {"connectorId": 1, "meterValue": [{"timestamp": timestamp, "sampledValue": []}]}

    checked = check_inbound(OCPP16, "MeterValues", payload)

    assert checked.fault is None
    assert isinstance(checked.payload["meterValue"][0]["timestamp"], str)


def test_a_missing_time_is_no_time() -> None:
    payload = {"connectorId": 1, "idTag": "T", "meterStart": 5}

    checked = check_inbound(OCPP16, "StartTransaction", payload)

    assert checked.fault is None
    assert checked.payload["timestamp"] == ""


def test_201_samples_are_numbers_even_as_text() -> None:
    value = [
        {"value": " 12.5"},
        {"value": "NaN"},
        {"value": 1, "unitOfMeasure": {"unit": "A", "multiplier": "x"}},
    ]
    payload = {"evseId": 1, "meterValue": [{"timestamp": "t", "sampledValue": value}]}

    checked = check_inbound(OCPP201, "MeterValues", payload)

    assert checked.fault is None
    assert samples_of(checked.payload) == [{"value": 12.5}]


BOOT = {"chargePointVendor": "Acme", "chargePointModel": "One"}
BOOT_REPAIRS = [
    ({"chargePointVendor": "x" * 30}, {"chargePointVendor": "x" * 20}),
    ({"chargePointModel": 22}, {"chargePointModel": "22"}),
    ({"chargePointSerialNumber": "s" * 99}, {"chargePointSerialNumber": "s" * 25}),
    ({"iccid": None}, {}),
    ({"iccid": {"x": 1}}, {}),
    ({"vendorExtra": [1]}, {}),
]


@pytest.mark.parametrize(("defect", "expected"), BOOT_REPAIRS, ids=str)
def test_a_boot_is_never_refused_for_its_decoration(
    defect: dict[str, Any], expected: dict[str, Any]
) -> None:
    checked = check_inbound(OCPP16, "BootNotification", BOOT | defect)

    assert checked.fault is None
    assert checked.repairs
    assert checked.payload == BOOT | expected


def test_a_repair_leaves_the_received_payload_alone() -> None:
    payload = BOOT | {"vendorExtra": 1}

    check_inbound(OCPP16, "BootNotification", payload)

    assert payload == BOOT | {"vendorExtra": 1}


def test_status_words_outside_the_enumeration() -> None:
    payload = {"connectorId": "1", "errorCode": "E42", "status": "Error"}

    checked = check_inbound(OCPP16, "StatusNotification", payload)

    assert checked.payload == {"connectorId": 1, "errorCode": "OtherError", "status": "Faulted"}


def test_configuration_with_wrong_types_is_read() -> None:
    payload = {"configurationKey": [{"key": "HeartbeatInterval", "readonly": 0, "value": 300}]}

    checked = check_inbound(OCPP16, "GetConfiguration", payload, answer=True)

    assert checked.payload["configurationKey"] == [
        {"key": "HeartbeatInterval", "readonly": False, "value": "300"}
    ]


def test_a_composite_schedule_with_six_decimals_is_read() -> None:
    schedule = {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 3.333333}],
    }
    payload = {"status": "Accepted", "chargingSchedule": schedule}

    assert check_inbound(OCPP16, "GetCompositeSchedule", payload, answer=True).fault is None


FAULTS = [
    ("Authorize", {}, "OccurenceConstraintViolation", "OccurrenceConstraintViolation"),
    ("StatusNotification", {}, "OccurenceConstraintViolation", "OccurrenceConstraintViolation"),
    ("Nonsense", {}, "NotImplemented", "NotImplemented"),
    ("../Authorize", {}, "NotImplemented", "NotImplemented"),
]


@pytest.mark.parametrize(("action", "payload", "code16", "code201"), FAULTS)
def test_what_cannot_be_repaired_is_refused_with_the_code_of_the_version(
    action: str, payload: dict[str, Any], code16: str, code201: str
) -> None:
    old, new = (check_inbound(p, action, payload).fault for p in (OCPP16, OCPP201))

    assert old is not None
    assert old.code == code16
    assert new is not None
    assert new.code == code201


def test_a_wrong_type_that_means_nothing_keeps_its_own_code() -> None:
    fault = check_inbound(OCPP16, "Authorize", {"idTag": {}}).fault

    assert fault is not None
    assert fault.code == "TypeConstraintViolation"


@pytest.mark.parametrize(
    ("limit_a", "sent"), [(16, 16), (21.4, 21.4), (30.900000000000002, 30.9), (0.0, 0.0)]
)
def test_limits_are_sent_as_exact_decimals(limit_a: float, sent: float) -> None:
    checked = check_outbound(OCPP16, "SetChargingProfile", a_profile(limit_a))

    assert checked.fault is None
    schedule = checked.payload["csChargingProfiles"]["chargingSchedule"]
    assert schedule["chargingSchedulePeriod"][0]["limit"] == sent


@pytest.mark.parametrize("limit_a", [15.96, -1.0, float("nan"), float("inf"), 1e300])
def test_impossible_limits_are_never_sent(limit_a: float) -> None:
    fault = check_outbound(OCPP16, "SetChargingProfile", a_profile(limit_a)).fault

    assert fault is not None


def test_an_outbound_mistake_is_a_fault_not_a_repair() -> None:
    assert check_outbound(OCPP16, "Reset", {"type": "soft"}).fault is not None
    assert check_outbound(OCPP16, "Reset", {"type": "Soft", "x": 1}).fault is not None
    assert check_outbound(OCPP16, "Heartbeat", {}, answer=True).fault is not None


def test_payloads_are_built_from_the_library_s_dataclasses() -> None:
    component = ComponentType(name="SmartChargingCtrlr", evse=EVSEType(id=1))
    data = SetVariableDataType(
        attribute_value="true", component=component, variable=VariableType(name="Enabled")
    )

    assert payload_of(call201.SetVariables(set_variable_data=[data])) == {
        "setVariableData": [
            {
                "attributeValue": "true",
                "component": {"name": "SmartChargingCtrlr", "evse": {"id": 1}},
                "variable": {"name": "Enabled"},
            }
        ]
    }
    assert payload_of(call16.Reset(type=ResetType.soft)) == {"type": "Soft"}
    assert payload_of(call16.GetConfiguration()) == {}


def test_a_huge_defective_message_is_accepted_without_its_samples() -> None:
    samples = [{"value": 5, "unit": "A"}] * 5000

    checked = check_inbound(OCPP16, "MeterValues", meter_values(*samples))

    assert checked.fault is None
    assert checked.payload == {"connectorId": 1, "meterValue": []}


def test_a_huge_valid_message_is_accepted_as_it_is() -> None:
    payload = meter_values(*[{"value": "5", "unit": "A"}] * 5000)

    assert check_inbound(OCPP16, "MeterValues", payload).payload is payload


def test_a_huge_defective_message_without_samples_is_refused() -> None:
    payload = {"configurationKey": [{"key": 5, "readonly": 0}] * 5000}

    fault = check_inbound(OCPP16, "GetConfiguration", payload, answer=True).fault

    assert fault is not None
    assert fault.code == "FormationViolation"
