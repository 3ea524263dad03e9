"""OCPP 1.6: operator's actions and read-back as requests."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.ocpp.actions import Asked, ParameterError, Writer, present, request_id
from adapters.ocpp.profiles import RateUnit
from adapters.ocpp.provisioning import Request
from controller.commands import StationAction

TRIGGERS = frozenset(
    {
        "BootNotification",
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
        "Heartbeat",
        "MeterValues",
        "StatusNotification",
    }
)
EXTENDED_TRIGGERS = frozenset({"LogStatusNotification", "SignChargePointCertificate"})
"""Messages that only ExtendedTriggerMessage of the security extension asks for."""


def _start(asked: Asked) -> Request:
    """Write RemoteStartTransaction, without a profile: some stations refuse it for that."""
    if not 1 <= len(asked.argument) <= 20:
        raise ParameterError("start needs an id token of 1 to 20 characters")
    payload = present(
        idTag=asked.argument,
        connectorId=asked.connector,
        chargingProfile=asked.parameters.get("charging_profile"),
    )
    return Request(action="RemoteStartTransaction", payload=payload)


def _stop(asked: Asked) -> Request:
    number = asked.argument or (asked.running or "")
    if not (number.isascii() and number.isdigit()):
        raise ParameterError("there is no transaction to stop")
    return Request(action="RemoteStopTransaction", payload={"transactionId": int(number)})


def _unlock(asked: Asked) -> Request:
    if asked.connector is None:
        raise ParameterError("unlock needs a connector")
    return Request(action="UnlockConnector", payload={"connectorId": asked.connector})


def _reset(kind: str) -> Writer:
    return lambda asked: Request(action="Reset", payload={"type": kind})


def _triggering(message: str) -> Writer:
    return lambda asked: _trigger_message(message, asked.connector)


def _trigger(asked: Asked) -> Request:
    message = asked.text("message", most=50)
    if message in EXTENDED_TRIGGERS:
        payload = present(requestedMessage=message, connectorId=asked.connector)
        return Request(action="ExtendedTriggerMessage", payload=payload)
    if message not in TRIGGERS:
        names = ", ".join(sorted(TRIGGERS | EXTENDED_TRIGGERS))
        raise ParameterError(f"message: choose one of {names}")
    return _trigger_message(message, asked.connector)


def _trigger_message(message: str, connector: int | None) -> Request:
    payload = present(requestedMessage=message, connectorId=connector)
    return Request(action="TriggerMessage", payload=payload)


def _availability(asked: Asked) -> Request:
    kind = "Operative" if asked.flag("operative") else "Inoperative"
    payload = {"connectorId": asked.connector or 0, "type": kind}
    return Request(action="ChangeAvailability", payload=payload)


def _clear_cache(asked: Asked) -> Request:
    return Request(action="ClearCache", payload={})


def _reserve(asked: Asked) -> Request:
    payload = present(
        connectorId=asked.connector or 0,
        expiryDate=asked.time("expires_at"),
        idTag=asked.text("id_token", most=20),
        parentIdTag=asked.maybe_text("group", most=20),
        reservationId=asked.number("reservation_id"),
    )
    return Request(action="ReserveNow", payload=payload)


def _cancel_reservation(asked: Asked) -> Request:
    payload = {"reservationId": asked.number("reservation_id")}
    return Request(action="CancelReservation", payload=payload)


def _update_firmware(asked: Asked) -> Request:
    """Write SignedUpdateFirmware when the image is signed, otherwise UpdateFirmware."""
    location = asked.text("location", most=512)
    certificate = asked.maybe_text("signing_certificate", most=5500)
    repeats = present(
        retries=asked.maybe_number("retries"), retryInterval=asked.maybe_number("retry_interval_s")
    )
    retrieve_at = asked.time("retrieve_at")
    if certificate is None:
        payload = {"location": location, "retrieveDate": retrieve_at, **repeats}
        return Request(action="UpdateFirmware", payload=payload)
    firmware = present(
        location=location,
        retrieveDateTime=retrieve_at,
        installDateTime=asked.maybe_time("install_at"),
        signingCertificate=certificate,
        signature=asked.text("signature", most=800),
    )
    return Request(
        action="SignedUpdateFirmware",
        payload={"requestId": request_id(), "firmware": firmware, **repeats},
    )


def _get_log(asked: Asked) -> Request:
    """Write GetDiagnostics, or GetLog for the security log, which only the extension has."""
    location = asked.text("location", most=512)
    since, until = asked.maybe_time("since"), asked.maybe_time("until")
    if asked.parameters.get("kind", "diagnostics") == "diagnostics":
        payload = present(location=location, startTime=since, stopTime=until)
        return Request(action="GetDiagnostics", payload=payload)
    log = present(remoteLocation=location, oldestTimestamp=since, latestTimestamp=until)
    return Request(
        action="GetLog",
        payload={"logType": "SecurityLog", "requestId": request_id(), "log": log},
    )


def _transfer(asked: Asked) -> Request:
    payload = present(
        vendorId=asked.text("vendor_id", most=255),
        messageId=asked.maybe_text("message_id", most=50),
        data=asked.parameters.get("data"),
    )
    return Request(action="DataTransfer", payload=payload)


def _report(asked: Asked) -> Request:
    """Ask for everything: OCPP 1.6 has no device model, only its configuration keys."""
    return Request(action="GetConfiguration", payload={})


ACTIONS: Mapping[StationAction, Writer] = {
    StationAction.START: _start,
    StationAction.STOP: _stop,
    StationAction.UNLOCK: _unlock,
    StationAction.SOFT_RESET: _reset("Soft"),
    StationAction.HARD_RESET: _reset("Hard"),
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
"""Source: OCPP 1.6 sections 6.7 to 6.54, security whitepaper sections 4 and 5."""


def composite_v16(connector: int, unit: RateUnit, duration_s: int) -> Request:
    """Write GetCompositeSchedule; without the unit some stations answer in the other one."""
    return Request(
        action="GetCompositeSchedule",
        payload={
            "connectorId": connector,
            "duration": duration_s,
            "chargingRateUnit": unit.value,
        },
    )
