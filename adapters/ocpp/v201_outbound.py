"""OCPP 2.0.1: operator's actions and read-back as requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.ocpp.actions import Asked, ParameterError, Writer, present, request_id
from adapters.ocpp.profiles import RateUnit
from adapters.ocpp.provisioning import Request
from controller.commands import StationAction

BASES = {
    "configuration": "ConfigurationInventory",
    "full": "FullInventory",
    "summary": "SummaryInventory",
}
TRIGGERS = frozenset(
    {
        "BootNotification",
        "FirmwareStatusNotification",
        "Heartbeat",
        "LogStatusNotification",
        "MeterValues",
        "PublishFirmwareStatusNotification",
        "SignChargingStationCertificate",
        "SignCombinedCertificate",
        "SignV2GCertificate",
        "StatusNotification",
        "TransactionEvent",
    }
)


def _start(asked: Asked) -> Request:
    if not 1 <= len(asked.argument) <= 36:
        raise ParameterError("start needs an id token of 1 to 36 characters")
    payload = present(
        remoteStartId=request_id(),
        idToken={
            "idToken": asked.argument,
            "type": asked.text("token_type", most=20, otherwise="Central"),
        },
        evseId=asked.connector,
        chargingProfile=asked.parameters.get("charging_profile"),
    )
    return Request(action="RequestStartTransaction", payload=payload)


def _stop(asked: Asked) -> Request:
    transaction = asked.argument or (asked.running or "")
    if not 1 <= len(transaction) <= 36:
        raise ParameterError("there is no transaction to stop")
    return Request(action="RequestStopTransaction", payload={"transactionId": transaction})


def _unlock(asked: Asked) -> Request:
    if asked.connector is None:
        raise ParameterError("unlock needs an EVSE")
    payload = {"evseId": asked.connector, "connectorId": _plug(asked) or 1}
    return Request(action="UnlockConnector", payload=payload)


def _reset(kind: str) -> Writer:
    return lambda asked: Request(action="Reset", payload=present(type=kind, evseId=asked.connector))


def _triggering(message: str) -> Writer:
    return lambda asked: _trigger_message(message, asked)


def _trigger(asked: Asked) -> Request:
    message = asked.text("message", most=50)
    if message not in TRIGGERS:
        raise ParameterError(f"message: choose one of {', '.join(sorted(TRIGGERS))}")
    return _trigger_message(message, asked)


def _trigger_message(message: str, asked: Asked) -> Request:
    place: dict[str, int] | None = None
    if asked.connector is not None:
        place = {"id": asked.connector}
        if message == "StatusNotification":
            place["connectorId"] = _plug(asked) or 1
    return Request(action="TriggerMessage", payload=present(requestedMessage=message, evse=place))


def _plug(asked: Asked) -> int | None:
    """Return the connector of the EVSE, where one is meant."""
    return asked.maybe_number("connector")


def _availability(asked: Asked) -> Request:
    place = None
    if asked.connector is not None:
        place = present(id=asked.connector, connectorId=_plug(asked))
    status = "Operative" if asked.flag("operative") else "Inoperative"
    return Request(
        action="ChangeAvailability", payload=present(operationalStatus=status, evse=place)
    )


def _clear_cache(asked: Asked) -> Request:
    return Request(action="ClearCache", payload={})


def _reserve(asked: Asked) -> Request:
    group = asked.maybe_text("group", most=36)
    token = {
        "idToken": asked.text("id_token", most=36),
        "type": asked.text("token_type", most=20, otherwise="Central"),
    }
    payload = present(
        id=asked.number("reservation_id"),
        expiryDateTime=asked.time("expires_at"),
        idToken=token,
        evseId=asked.connector,
        connectorType=asked.maybe_text("connector_type", most=20),
        groupIdToken=None if group is None else {"idToken": group, "type": "Central"},
    )
    return Request(action="ReserveNow", payload=payload)


def _cancel_reservation(asked: Asked) -> Request:
    payload = {"reservationId": asked.number("reservation_id")}
    return Request(action="CancelReservation", payload=payload)


def _update_firmware(asked: Asked) -> Request:
    firmware = present(
        location=asked.text("location", most=512),
        retrieveDateTime=asked.time("retrieve_at"),
        installDateTime=asked.maybe_time("install_at"),
        signingCertificate=asked.maybe_text("signing_certificate", most=5500),
        signature=asked.maybe_text("signature", most=800),
    )
    payload = present(
        requestId=request_id(),
        firmware=firmware,
        retries=asked.maybe_number("retries"),
        retryInterval=asked.maybe_number("retry_interval_s"),
    )
    return Request(action="UpdateFirmware", payload=payload)


def _get_log(asked: Asked) -> Request:
    is_security = asked.parameters.get("kind", "diagnostics") != "diagnostics"
    log = present(
        remoteLocation=asked.text("location", most=512),
        oldestTimestamp=asked.maybe_time("since"),
        latestTimestamp=asked.maybe_time("until"),
    )
    kind = "SecurityLog" if is_security else "DiagnosticsLog"
    return Request(
        action="GetLog", payload={"logType": kind, "requestId": request_id(), "log": log}
    )


def _transfer(asked: Asked) -> Request:
    payload: dict[str, Any] = present(
        vendorId=asked.text("vendor_id", most=255),
        messageId=asked.maybe_text("message_id", most=50),
        data=asked.parameters.get("data"),
    )
    return Request(action="DataTransfer", payload=payload)


def _report(asked: Asked) -> Request:
    kind = asked.parameters.get("kind", "full")
    if kind not in BASES:
        raise ParameterError(f"kind: choose one of {', '.join(BASES)}")
    payload = {"requestId": request_id(), "reportBase": BASES[kind]}
    return Request(action="GetBaseReport", payload=payload)


ACTIONS: Mapping[StationAction, Writer] = {
    StationAction.START: _start,
    StationAction.STOP: _stop,
    StationAction.UNLOCK: _unlock,
    StationAction.SOFT_RESET: _reset("OnIdle"),
    StationAction.HARD_RESET: _reset("Immediate"),
    StationAction.TRIGGER_STATUS: _triggering("StatusNotification"),
    StationAction.TRIGGER_METER_VALUES: _triggering("MeterValues"),
    StationAction.TRIGGER: _trigger,
    StationAction.AVAILABILITY: _availability,
    StationAction.CLEAR_CACHE: _clear_cache,
    StationAction.RESERVE: _reserve,
    StationAction.CANCEL_RESERVATION: _cancel_reservation,
    StationAction.READ_REPORT: _report,
    StationAction.UPDATE_FIRMWARE: _update_firmware,
    StationAction.GET_LOG: _get_log,
    StationAction.TRANSFER_DATA: _transfer,
}
"""Source: OCPP 2.0.1 B07, B11, B12, C11, F01 to F06, G03, G04, H01, H02, L01, N01, P01."""


def composite_v201(evse: int, unit: RateUnit, duration_s: int) -> Request:
    """Write GetCompositeSchedule, always with the unit."""
    return Request(
        action="GetCompositeSchedule",
        payload={"evseId": evse, "duration": duration_s, "chargingRateUnit": unit.value},
    )
