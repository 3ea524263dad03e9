"""The 77 central-system cases of the official OCPP 1.6 test tool."""

from __future__ import annotations

from typing import Any

from controller.commands import StationAction as Do
from controller.station import EvseState, EvseStateChanged, JobReported
from tests.adapters.ocpp.conformance.play import (
    LATER,
    NOW,
    Case,
    Play,
    Step,
    answered,
    asks,
    case,
    elsewhere,
    limits,
    provisioned,
    relays,
    sees,
    told,
)

SERVER = "tests/adapters/ocpp/test_server.py::"
BOOT = told(
    "BootNotification",
    {"chargePointVendor": "V", "chargePointModel": "M", "firmwareVersion": "1"},
    status="Accepted",
    currentTime=...,
    interval=300,
)
TLS = "tests/adapters/ocpp/test_tls.py::"
SECURITY_TESTS = "tests/adapters/ocpp/test_station_security.py::"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
HASH = {
    "hashAlgorithm": "SHA256",
    "issuerNameHash": "aa",
    "issuerKeyHash": "bb",
    "serialNumber": "01",
}


def status(state: str, connector: int = 1, error: str = "NoError", **rest: Any) -> Step:
    return told(
        "StatusNotification",
        {"connectorId": connector, "errorCode": error, "status": state, **rest},
    )


def card(token: str, verdict: str) -> Step:
    return told("Authorize", {"idTag": token}, idTagInfo={"status": verdict})


def start(card_id: str = "GOOD", verdict: str = "Accepted", **rest: Any) -> Step:
    payload = {"connectorId": 1, "idTag": card_id, "meterStart": 0, "timestamp": NOW, **rest}
    return told("StartTransaction", payload, transactionId=..., idTagInfo={"status": verdict})


def stop(reason: str = "Local", **rest: Any) -> Step:
    payload = {
        "transactionId": "<tx>",
        "meterStop": 900,
        "timestamp": NOW,
        "reason": reason,
        **rest,
    }
    return told("StopTransaction", payload)


def values(context: str = "Sample.Periodic") -> Step:
    sampled = [
        {"value": "10", "measurand": "Current.Import", "unit": "A", "context": context},
        {"value": "400", "context": context},
    ]
    value = {"timestamp": NOW, "sampledValue": sampled}
    return told("MeterValues", {"connectorId": 1, "transactionId": "<tx>", "meterValue": [value]})


def job(action: str, *statuses: str, **rest: Any) -> tuple[Step, ...]:
    return tuple(told(action, {"status": s, **rest}) for s in statuses)


def knows_job(kind: str, state: str) -> Step:
    def check(p: Play) -> bool:
        jobs = p.site.desk.of(JobReported)
        return bool(jobs) and (jobs[-1].kind, jobs[-1].job.status) == (kind, state)

    return sees(check)


def knows_state(state: EvseState) -> Step:
    return sees(lambda p: p.site.desk.of(EvseStateChanged)[-1].state is state)


def is_booked(energy_wh: float, reason: str) -> Step:
    def check(p: Play) -> bool:
        ended = [t for t in p.site.desk.transactions.values() if t.ended_at is not None]
        return [(t.energy_wh, t.end_reason) for t in ended] == [(energy_wh, reason)]

    return sees(check)


CHARGING = (BOOT, status("Available"), status("Preparing"), card("GOOD", "Accepted"), start())
CHARGING = (*CHARGING, status("Charging"), values())
START = asks(Do.START, "RemoteStartTransaction", {"idTag": "GOOD", "connectorId": 1},
             evse=1, argument="GOOD")  # fmt: skip
STOP = asks(Do.STOP, "RemoteStopTransaction", {"transactionId": "<tx>"}, evse=1)
PROFILE = {
    "chargingProfileId": 7,
    "stackLevel": 2,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}],
    },
}


def lists(reply: str, kind: str = "Full", **rest: Any) -> Step:
    payload: dict[str, Any] = {"listVersion": 2, "updateType": kind, **rest}
    return relays("SendLocalList", payload, reply={"status": reply})


ENTRY = {"idTag": "GOOD", "idTagInfo": {"status": "Accepted"}}


def reserves(reply: str, evse: int | None = 1) -> Step:
    return asks(
        Do.RESERVE,
        "ReserveNow",
        {"connectorId": evse or 0, "idTag": "GOOD", "reservationId": 5},
        reply={"status": reply},
        ok=reply == "Accepted",
        evse=evse,
        id_token="GOOD",
        reservation_id=5,
        expires_at=LATER,
    )


def firmware(*statuses: str) -> tuple[Step, ...]:
    ask = asks(
        Do.UPDATE_FIRMWARE,
        "UpdateFirmware",
        {"location": "https://fw.example/a.bin", "retrieveDate": ...},
        reply={},
        location="https://fw.example/a.bin",
    )
    return (BOOT, ask, *job("FirmwareStatusNotification", *statuses))


def signed_firmware(*statuses: str) -> tuple[Step, ...]:
    ask = asks(
        Do.UPDATE_FIRMWARE,
        "SignedUpdateFirmware",
        {"requestId": ..., "firmware": {"signature": "sig", "signingCertificate": PEM}},
        location="https://fw.example/a.bin",
        signing_certificate=PEM,
        signature="sig",
    )
    return (BOOT, ask, *job("SignedFirmwareStatusNotification", *statuses, requestId=1))


def installs(kind: str) -> Step:
    return relays("InstallCertificate", {"certificateType": kind, "certificate": PEM})


def security(kind: str) -> Step:
    return told("SecurityEventNotification", {"type": kind, "timestamp": NOW})


def has_condition(code: str) -> Step:
    return sees(lambda p: code in p.book.sink.codes())  # type: ignore[attr-defined]


CORE = (
    case("001", "Cold boot", BOOT, status("Available", 0), status("Available"),
         knows_state(EvseState.AVAILABLE), told("Heartbeat", currentTime=...)),
    case("003", "Regular session, plug-in first", BOOT, status("Preparing"), card("GOOD", "Accepted"),
         start(), status("Charging"), values(), knows_state(EvseState.CHARGING), stop(),
         status("Finishing"), status("Available"), is_booked(900.0, "Local")),
    case("004_1", "Regular session, identification first", BOOT, card("GOOD", "Accepted"),
         status("Preparing"), start(), status("Charging"), values(), stop()),
    case("004_2", "Identification first, connection timeout", BOOT, card("GOOD", "Accepted"),
         status("Preparing"), status("Available"), knows_state(EvseState.AVAILABLE)),
    case("005_1", "EV side disconnected", *CHARGING, status("SuspendedEV"), stop("EVDisconnected"),
         status("Available"), is_booked(900.0, "EVDisconnected")),
    case("007", "Regular start, cached id", BOOT, status("Preparing"), start(), status("Charging")),
    case("061", "Clear authorization cache", BOOT, asks(Do.CLEAR_CACHE, "ClearCache")),
    case("010", "Remote start, cable plugged in first", BOOT, status("Preparing"), START, start(),
         status("Charging")),
    case("011_1", "Remote start first", BOOT, START, status("Preparing"), start()),
    case("011_2", "Remote start first, time out", BOOT, START, status("Preparing"), status("Available")),
    case("012", "Remote stop", *CHARGING, STOP, stop("Remote"), is_booked(900.0, "Remote")),
    case("013", "Hard reset", BOOT, asks(Do.HARD_RESET, "Reset", {"type": "Hard"}), BOOT),
    case("014", "Soft reset", BOOT, asks(Do.SOFT_RESET, "Reset", {"type": "Soft"}), BOOT),
    case("017_1", "Unlock, no session", BOOT, asks(Do.UNLOCK, "UnlockConnector", {"connectorId": 1}, evse=1)),
    case("017_2", "Unlock, no session, fixed cable", BOOT,
         asks(Do.UNLOCK, "UnlockConnector", evse=1, reply={"status": "NotSupported"}, ok=False)),
    case("018_1", "Unlock with a session", *CHARGING,
         asks(Do.UNLOCK, "UnlockConnector", evse=1), stop("UnlockCommand")),
    case("019_1", "Retrieve all configuration keys", BOOT,
         asks(Do.READ_CONFIGURATION, "GetConfiguration", {"key": None},
              reply={"configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "300"}]}),
         answered(values={"HeartbeatInterval": "300"})),
    case("019_2", "Retrieve one configuration key", BOOT,
         asks(Do.READ_CONFIGURATION, "GetConfiguration", {"key": ["SupportedFeatureProfiles"]},
              names=["SupportedFeatureProfiles"],
              reply={"unknownKey": ["SupportedFeatureProfiles"]}),
         answered(failures={"SupportedFeatureProfiles": "UnknownKey"})),
    case("021", "Change configuration", BOOT,
         asks(Do.WRITE_CONFIGURATION, "ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "15"},
              values={"MeterValueSampleInterval": "15"}),
         answered(values={"MeterValueSampleInterval": "Accepted"})),
    case("023_1", "Authorize invalid", BOOT, status("Preparing"), card("BAD", "Invalid")),
    case("023_2", "Authorize expired", BOOT, status("Preparing"), card("EXPIRED", "Expired")),
    case("023_3", "Authorize blocked", BOOT, status("Preparing"), card("BLOCKED", "Blocked")),
    case("024", "Lock failure", BOOT, status("Faulted", error="ConnectorLockFailure"),
         knows_state(EvseState.FAULTED), has_condition("ERROR_ConnectorLockFailure")),
    case("026", "Remote start rejected", BOOT,
         asks(Do.START, "RemoteStartTransaction", evse=1, argument="GOOD",
              reply={"status": "Rejected"}, ok=False)),
    case("028", "Remote stop rejected", BOOT,
         asks(Do.STOP, "RemoteStopTransaction", {"transactionId": 99}, evse=1, argument="99",
              reply={"status": "Rejected"}, ok=False)),
    case("030", "Unlock fails", BOOT,
         asks(Do.UNLOCK, "UnlockConnector", evse=1, reply={"status": "UnlockFailed"}, ok=False)),
    case("031", "Unlock unknown connector", BOOT,
         asks(Do.UNLOCK, "UnlockConnector", {"connectorId": 2}, evse=2,
              reply={"status": "NotSupported"}, ok=False)),
    case("032_1", "Power failure, stop after boot", *CHARGING, BOOT, stop("PowerLoss"),
         is_booked(900.0, "PowerLoss")),
    case("037_1", "Offline start, valid id", BOOT, start(timestamp="2026-01-05T11:00:00Z"), values()),
    case("037_3", "Offline start, invalid id", BOOT,
         start("BAD", "Invalid", timestamp="2026-01-05T11:00:00Z"), stop("DeAuthorized")),
    case("039", "Offline transaction", BOOT, start(timestamp="2026-01-05T10:00:00Z"),
         stop(timestamp="2026-01-05T11:00:00Z"), is_booked(900.0, "Local")),
    case("040_1", "Configuration key not supported", BOOT,
         asks(Do.WRITE_CONFIGURATION, "ChangeConfiguration", values={"Nonsense": "1"},
              reply={"status": "NotSupported"}),
         answered(failures={"Nonsense": "NotSupported"})),
    case("040_2", "Configuration value invalid", BOOT,
         asks(Do.WRITE_CONFIGURATION, "ChangeConfiguration", values={"MeterValueSampleInterval": "-1"},
              reply={"status": "Rejected"}),
         answered(failures={"MeterValueSampleInterval": "Rejected"})),
    case("064", "Data transfer to the central system", BOOT,
         told("DataTransfer", {"vendorId": "nobody"}, status="UnknownVendorId"),
         asks(Do.TRANSFER_DATA, "DataTransfer", {"vendorId": "V", "messageId": "m"}, vendor_id="V",
              message_id="m", data="x")),
)  # fmt: skip

PROFILES = (
    case("042_1", "Local list version, not supported", BOOT,
         relays("GetLocalListVersion", reply={"listVersion": -1}), answered(listVersion=-1)),
    case("042_2", "Local list version, empty", BOOT,
         relays("GetLocalListVersion", reply={"listVersion": 0}), answered(listVersion=0)),
    case("043_1", "Send local list, not supported", BOOT, lists("NotSupported")),
    case("043_3", "Send local list, failed", BOOT, lists("Failed")),
    case("043_4", "Send local list, full", BOOT, lists("Accepted", localAuthorizationList=[ENTRY])),
    case("043_5", "Send local list, differential", BOOT,
         lists("Accepted", "Differential", localAuthorizationList=[{"idTag": "GOOD"}])),
    case("044_1", "Firmware update", *firmware("Downloading", "Downloaded", "Installing", "Installed"),
         knows_job("firmware", "Installed")),
    case("044_2", "Firmware download failed", *firmware("Downloading", "DownloadFailed"),
         has_condition("FIRMWARE_FAILED")),
    case("044_3", "Firmware installation failed",
         *firmware("Downloading", "Downloaded", "Installing", "InstallationFailed"),
         has_condition("FIRMWARE_FAILED")),
    case("045_1", "Get diagnostics", BOOT,
         asks(Do.GET_LOG, "GetDiagnostics", {"location": "https://up.example/x"}, reply={"fileName": "d.zip"},
              location="https://up.example/x"),
         *job("DiagnosticsStatusNotification", "Uploading", "Uploaded"), knows_job("log", "Uploaded")),
    case("045_2", "Get diagnostics, upload failed", BOOT,
         asks(Do.GET_LOG, "GetDiagnostics", reply={"fileName": "d.zip"}, location="https://up.example/x"),
         *job("DiagnosticsStatusNotification", "Uploading", "UploadFailed"), has_condition("LOG_FAILED")),
    case("046", "Reservation, transaction", BOOT, reserves("Accepted"), status("Reserved"),
         knows_state(EvseState.RESERVED), card("GOOD", "Accepted"), start(reservationId=5)),
    case("047", "Reservation, expire", BOOT, reserves("Accepted"), status("Reserved"), status("Available"),
         knows_state(EvseState.AVAILABLE)),
    case("048_1", "Reservation, faulted", BOOT, reserves("Faulted")),
    case("048_2", "Reservation, occupied", BOOT, reserves("Occupied")),
    case("048_3", "Reservation, unavailable", BOOT, reserves("Unavailable")),
    case("048_4", "Reservation, rejected", BOOT, reserves("Rejected")),
    case("049", "Reservation of the charge point", BOOT, reserves("Accepted", None)),
    case("051", "Cancel reservation", BOOT, reserves("Accepted"),
         asks(Do.CANCEL_RESERVATION, "CancelReservation", {"reservationId": 5}, reservation_id=5)),
    case("052", "Cancel reservation, rejected", BOOT,
         asks(Do.CANCEL_RESERVATION, "CancelReservation", reply={"status": "Rejected"}, ok=False,
              reservation_id=5)),
    case("053", "Use a reserved connector with the group", BOOT,
         asks(Do.RESERVE, "ReserveNow", {"parentIdTag": "FLEET"}, evse=1, id_token="GOOD", group="FLEET",
              reservation_id=6, expires_at=LATER), card("GOOD", "Accepted"), start(reservationId=6)),
    case("054", "Trigger message", BOOT,
         *(asks(Do.TRIGGER, "TriggerMessage", {"requestedMessage": m}, message=m) for m in (
             "MeterValues", "Heartbeat", "StatusNotification", "DiagnosticsStatusNotification",
             "FirmwareStatusNotification", "BootNotification")),
         told("Heartbeat", currentTime=...), status("Available")),
    case("055", "Trigger message, rejected", BOOT,
         asks(Do.TRIGGER, "TriggerMessage", message="MeterValues", reply={"status": "Rejected"}, ok=False)),
    case("056", "TxDefaultProfile", BOOT, provisioned(
        {"chargingProfilePurpose": "TxDefaultProfile", "chargingSchedule": {"chargingRateUnit": "A"}})),
    case("057", "TxProfile", *CHARGING, limits(10.0, {
        "chargingProfilePurpose": "TxProfile", "transactionId": 1000002, "validTo": ...,
        "chargingSchedule": {"duration": ...}})),
    case("059", "Remote start with a profile", BOOT, status("Preparing"),
         relays("RemoteStartTransaction", {"idTag": "GOOD", "connectorId": 1, "chargingProfile": PROFILE}),
         start()),
    case("066", "Get composite schedule", BOOT, relays(
        "GetCompositeSchedule", {"connectorId": 1, "duration": 300, "chargingRateUnit": "A"},
        reply={"status": "Accepted", "connectorId": 1}), answered(status="Accepted")),
    case("067", "Clear charging profile", BOOT,
         relays("ClearChargingProfile", {"id": 7}), relays("ClearChargingProfile", {"stackLevel": 2}),
         relays("ClearChargingProfile", {}),
         sees(lambda p: len(p.site.station.sent("SetChargingProfile")) == 6)),
)  # fmt: skip

SECURITY = (
    case("074", "Update the charge point's certificate", BOOT,
         asks(Do.TRIGGER, "ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"},
              message="SignChargePointCertificate"),
         told("SignCertificate", {"csr": "x"}, status=...),
         relays("CertificateSigned", {"certificateChain": PEM})),
    case("075_1", "Install a manufacturer root", BOOT, installs("ManufacturerRootCertificate"),
         relays("GetInstalledCertificateIds", {"certificateType": "ManufacturerRootCertificate"})),
    case("075_2", "Install a central system root", BOOT, installs("CentralSystemRootCertificate")),
    case("076", "Delete a certificate", BOOT,
         relays("GetInstalledCertificateIds", {"certificateType": "CentralSystemRootCertificate"},
                reply={"status": "Accepted", "certificateHashData": [HASH]}),
         *(relays("DeleteCertificate", {"certificateHashData": HASH | {"hashAlgorithm": a}})
           for a in ("SHA256", "SHA384", "SHA512"))),
    case("077", "Invalid charge point certificate", BOOT, security("InvalidChargePointCertificate"),
         has_condition("SECURITY_InvalidChargePointCertificate")),
    case("078", "Invalid central system certificate", BOOT, security("InvalidCentralSystemCertificate"),
         has_condition("SECURITY_InvalidCentralSystemCertificate")),
    case("079", "Get security log", BOOT,
         asks(Do.GET_LOG, "GetLog", {"logType": "SecurityLog", "requestId": ...}, kind="security",
              location="https://up.example/x"),
         *job("LogStatusNotification", "Uploading", "Uploaded", requestId=1), knows_job("log", "Uploaded")),
    case("080", "Secure firmware update",
         *signed_firmware("Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed"),
         knows_job("firmware", "Installed")),
    case("081", "Secure firmware update, invalid signature",
         *signed_firmware("Downloading", "Downloaded", "InvalidSignature"), security("InvalidFirmwareSignature"),
         has_condition("FIRMWARE_FAILED"), has_condition("SECURITY_InvalidFirmwareSignature")),
    case("083", "Upgrade the security profile", BOOT,
         asks(Do.WRITE_CONFIGURATION, "ChangeConfiguration", {"key": "SecurityProfile", "value": "2"},
              values={"SecurityProfile": "2"})),
)  # fmt: skip

CONNECTION = (
    elsewhere(
        "073",
        "Update the password",
        SECURITY_TESTS + "test_a_new_password_counts_when_the_station_uses_it",
    ),
    elsewhere(
        "085",
        "Basic authentication",
        SERVER + "test_a_wrong_password_is_refused_and_ends_when_the_right_one_comes",
    ),
    elsewhere(
        "086",
        "TLS with a server certificate",
        TLS + "test_each_listener_takes_its_own_profile_and_nothing_less",
    ),
    elsewhere(
        "087",
        "TLS with a client certificate",
        TLS + "test_a_certificate_proves_only_its_own_station",
    ),
    elsewhere(
        "088",
        "Subprotocol negotiation",
        SERVER + "test_the_agreed_protocol_is_confirmed_in_the_stations_spelling",
    ),
)

CASES: tuple[Case, ...] = (*CORE, *PROFILES, *SECURITY, *CONNECTION)

EXTRA: tuple[Case, ...] = (
    case("X_AVAILABILITY", "In and out of service", BOOT,
         asks(Do.AVAILABILITY, "ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}, evse=1,
              operative=False, reply={"status": "Scheduled"}),
         asks(Do.AVAILABILITY, "ChangeAvailability", {"connectorId": 0, "type": "Operative"}, operative=True)),
)  # fmt: skip
"""Messages that no official case touches."""
