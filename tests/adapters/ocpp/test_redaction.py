"""What a frame may show in the log: no token, no secret, no signed record, and no slower for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.ocpp.redaction import redacted

TOKEN = "04AABBCCDD"
OCMF = "OCMF|" + json.dumps({"FV": "1.0", "IT": "ISO14443", "ID": TOKEN}) + "|{}"
PLAIN = {"value": "16.02", "measurand": "Current.Import", "phase": "L1", "unit": "A"}


def meter_values(*samples: Any, **more: Any) -> dict[str, Any]:
    element = {"timestamp": "2026-01-01T00:00:00Z", "sampledValue": list(samples)}
    return {"connectorId": 1, "transactionId": 5, "meterValue": [element], **more}


def shown(action: str, payload: dict[str, Any], *, parsed: bool = True) -> str:
    raw = json.dumps([2, "1", action, payload]).encode()
    return redacted(raw, action, payload if parsed else None)


LEAKS: dict[str, dict[str, Any]] = {
    "idTag beside": meter_values(PLAIN, idTag=TOKEN),
    "idToken object beside": meter_values(PLAIN, idToken={"idToken": TOKEN, "type": "Central"}),
    "token in a sample": meter_values({**PLAIN, "idTag": TOKEN}),
    "token in an element": {
        "connectorId": 1,
        "meterValue": [{"timestamp": "x", "sampledValue": [PLAIN], "idTag": TOKEN}],
    },
    "token in a unit": meter_values({**PLAIN, "unitOfMeasure": {"idTag": TOKEN}}),
    "token in a nested field": meter_values({**PLAIN, "context": {"idTag": TOKEN}}),
    "token instead of the transaction": meter_values(PLAIN, transactionId={"idTag": TOKEN}),
    "signed record of 1.6": meter_values({**PLAIN, "format": "SignedData", "value": OCMF}),
    "signed record, not labelled": meter_values({**PLAIN, "value": OCMF}),
    "signed record of 2.0.1": meter_values(
        {"value": 5.0, "signedMeterValue": {"signedMeterData": TOKEN, "publicKey": "pk"}}
    ),
}


@pytest.mark.parametrize("parsed", [True, False])
@pytest.mark.parametrize("name", LEAKS)
def test_meter_values_leak_no_token(name: str, parsed: bool) -> None:
    assert TOKEN not in shown("MeterValues", LEAKS[name], parsed=parsed)


@pytest.mark.parametrize("action", ["StopTransaction", "TransactionEvent"])
def test_signed_records_in_other_messages_leak_no_token(action: str) -> None:
    signed = {**PLAIN, "format": "SignedData", "value": OCMF}
    data = [{"timestamp": "x", "sampledValue": [signed]}]
    assert TOKEN not in shown(action, {"transactionId": 1, "transactionData": data})


EVENT = {
    "eventType": "Updated",
    "timestamp": "2026-01-01T00:00:00Z",
    "triggerReason": "MeterValuePeriodic",
    "seqNo": 3,
    "offline": False,
    "transactionInfo": {"transactionId": "0b1f", "chargingState": "Charging"},
    "evse": {"id": 1, "connectorId": 1},
    "meterValue": [{"timestamp": "x", "sampledValue": [{"value": 5.0}]}],
}


@pytest.mark.parametrize("parsed", [True, False])
@pytest.mark.parametrize(
    "more",
    [
        {"idToken": {"idToken": TOKEN, "type": "ISO14443"}},
        {"transactionInfo": {"transactionId": "0b1f", "idToken": TOKEN}},
        {"evse": {"id": 1, "customData": {"vendorId": "v", "idTag": TOKEN}}},
        {"customData": {"vendorId": "v", "idTag": TOKEN}},
        {"triggerReason": {"idTag": TOKEN}},
    ],
)
def test_transaction_events_leak_no_token(more: dict[str, Any], parsed: bool) -> None:
    assert TOKEN not in shown("TransactionEvent", {**EVENT, **more}, parsed=parsed)
    assert "Charging" in shown("TransactionEvent", EVENT, parsed=parsed)


def test_a_heartbeat_with_something_in_it_is_looked_at() -> None:
    assert TOKEN not in shown("Heartbeat", {"idTag": TOKEN})
    assert "secret-one" not in shown("Heartbeat", {"password": "secret-one"})


@pytest.mark.parametrize(
    "payload",
    [
        meter_values(*[PLAIN] * 8),
        meter_values({"value": 5.5, "unitOfMeasure": {"unit": "kWh", "multiplier": 1}}),
        meter_values({"value": "1", "format": "Raw", "context": "Sample.Periodic"}),
    ],
)
def test_plain_values_are_shown_as_they_came(payload: dict[str, Any]) -> None:
    raw = json.dumps([2, "1", "MeterValues", payload])
    assert shown("MeterValues", payload) == raw
    assert shown("MeterValues", payload, parsed=False) == raw


def test_what_a_record_stands_beside_is_still_shown() -> None:
    signed = {**PLAIN, "format": "SignedData", "value": OCMF}
    text = shown("MeterValues", meter_values(PLAIN, signed))
    assert "16.02" in text
    assert "Current.Import" in text
