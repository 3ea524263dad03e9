"""The CSMS cases of the official OCPP 2.0.1 test tool, blocks A to H, J to N and P."""

from __future__ import annotations

from typing import Any

from adapters.ocpp.dialect import CallFailed
from controller.commands import StationAction as Do
from controller.station import (
    ChargingNeedsReported,
    EvseSampled,
    EvseState,
    EvseStateChanged,
    ExternalLimitReported,
    JobReported,
)
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
    later,
    limits,
    provisioned,
    relays,
    sees,
    told,
)

SERVER = "tests/adapters/ocpp/test_server.py::"
TLS = "tests/adapters/ocpp/test_tls.py::"
ROTATION = "tests/adapters/ocpp/test_station_security.py::"
PENDING = "tests/adapters/ocpp/test_pending.py::"
ISO15118 = "needs a contract certificate pool of ISO 15118, which this product does not run"
TX = "tx-1"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
HASH = {
    "hashAlgorithm": "SHA256",
    "issuerNameHash": "aa",
    "issuerKeyHash": "bb",
    "serialNumber": "01",
}
GOOD = {"idToken": "GOOD", "type": "ISO14443"}
BOOT = told(
    "BootNotification",
    {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}},
    status="Accepted",
    currentTime=...,
)


def status(state: str, evse: int = 1, **rest: Any) -> Step:
    payload = {"timestamp": NOW, "connectorStatus": state, "evseId": evse, "connectorId": 1}
    return told("StatusNotification", {**payload, **rest})


def card(token: str, verdict: str, kind: str = "ISO14443", **info: Any) -> Step:
    payload = {"idToken": {"idToken": token, "type": kind}}
    return told("Authorize", payload, idTokenInfo={"status": verdict, **info})


def wh(value: float, context: str = "Sample.Periodic", **rest: Any) -> dict[str, Any]:
    return {
        "timestamp": NOW,
        "sampledValue": [{"value": value, "context": context, **rest}],
    }


def amps(value: float, context: str = "Sample.Periodic") -> dict[str, Any]:
    sampled = {"value": value, "measurand": "Current.Import", "context": context}
    return {"timestamp": NOW, "sampledValue": [sampled]}


SIGNED = {
    "signedMeterData": "T0NNRnx7fQ==",
    "signingMethod": "ECDSA",
    "encodingMethod": "OCMF",
    "publicKey": "MFkw",
}


def event(
    kind: str,
    reason: str,
    seq: int = 0,
    *meter: dict[str, Any],
    state: str | None = None,
    token: str | None = None,
    verdict: str = "Accepted",
    tx: str = TX,
    evse: int | None = 1,
    info: dict[str, Any] | None = None,
    **rest: Any,
) -> Step:
    about: dict[str, Any] = {"transactionId": tx, **(info or {})}
    if state is not None:
        about["chargingState"] = state
    payload: dict[str, Any] = {
        "eventType": kind,
        "timestamp": NOW,
        "triggerReason": reason,
        "seqNo": seq,
        "transactionInfo": about,
        **rest,
    }
    if meter:
        payload["meterValue"] = list(meter)
    if evse is not None:
        payload["evse"] = {"id": evse, "connectorId": 1}
    if token is None:
        return told("TransactionEvent", payload)
    payload["idToken"] = {"idToken": token, "type": "ISO14443"}
    return told("TransactionEvent", payload, idTokenInfo={"status": verdict})


def ended(
    reason: str = "Local", seq: int = 9, trigger: str = "StopAuthorized", **rest: Any
) -> Step:
    return event("Ended", trigger, seq, wh(1500.0, "Transaction.End"),
                 info={"stoppedReason": reason}, **rest)  # fmt: skip


def is_booked(reason: str = "Local", energy_wh: float | None = 500.0) -> Step:
    def check(p: Play) -> bool:
        done = [t for t in p.site.desk.transactions.values() if t.ended_at is not None]
        return [(t.end_reason, t.energy_wh) for t in done] == [(reason, energy_wh)]

    return sees(check)


def knows_state(state: EvseState) -> Step:
    return sees(lambda p: p.site.desk.of(EvseStateChanged)[-1].state is state)


def has_condition(code: str) -> Step:
    return sees(lambda p: code in p.book.sink.codes())  # type: ignore[attr-defined]


def keeps(kind: str, number: int) -> Step:
    """Check that a report was kept with so many items."""

    def check(p: Play) -> bool:
        texts = [text for (k, _), text in p.book._kept.items() if k == kind]
        return any(text.count('"component"') >= number or number == 0 for text in texts)

    return sees(check)


def keeps_signed() -> Step:
    def check(p: Play) -> bool:
        texts = [t for (k, _), t in p.book._kept.items() if k == "signed_meter_value"]
        return bool(texts) and all(SIGNED["signedMeterData"] in t for t in texts)

    return sees(check)


CHARGING = (
    BOOT,
    status("Available"),
    status("Occupied"),
    card("GOOD", "Accepted"),
    event("Started", "Authorized", 0, wh(1000.0, "Transaction.Begin"), token="GOOD",
          state="EVConnected"),
    event("Updated", "ChargingStateChanged", 1, state="Charging"),
    sees(lambda p: setattr(p, "transaction", TX) is None),
    knows_state(EvseState.CHARGING),
)  # fmt: skip


def variable(component: str, name: str, **rest: Any) -> dict[str, Any]:
    return {"component": {"name": component}, "variable": {"name": name}, **rest}


def has_values(payload: dict[str, Any]) -> dict[str, Any]:
    return {
        "getVariableResult": [
            {**d, "attributeStatus": "Accepted", "attributeValue": "60"}
            for d in payload["getVariableData"]
        ]
    }


OFFLINE = "OCPPCommCtrlr.OfflineThreshold"
REMOTE = "AuthCtrlr.AuthorizeRemoteStart"


def notify_report(seq: int, tbc: bool, *names: str) -> Step:
    data = [
        variable("OCPPCommCtrlr", n, variableAttribute=[{"value": "1", "type": "Actual"}])
        for n in names
    ]
    payload = {"requestId": 7, "generatedAt": NOW, "seqNo": seq, "tbc": tbc, "reportData": data}
    return told("NotifyReport", payload)


def base(kind: str, name: str) -> tuple[Step, ...]:
    return (
        BOOT,
        asks(Do.READ_REPORT, "GetBaseReport", {"reportBase": name, "requestId": ...}, kind=kind),
        notify_report(1, False, "C"),
        notify_report(0, True, "A", "B"),
        keeps("station_variables", 3),
    )


def resets(kind: Do, wire: str, evse: int | None, reply: str = "Accepted") -> Step:
    return asks(kind, "Reset", {"type": wire, "evseId": evse}, reply={"status": reply}, evse=evse)


SLOT = {
    "configurationSlot": 1,
    "connectionData": {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": "wss://csms.example",
        "messageTimeout": 30,
        "securityProfile": 2,
        "ocppInterface": "Wired0",
    },
}


def chosen(*cases: Case) -> tuple[Case, ...]:
    return cases


SECURITY = chosen(
    elsewhere("A_01", "Basic authentication, valid", SERVER + "test_the_password_is_accepted_in_the_forms_that_stations_send"),
    elsewhere("A_02", "Basic authentication, user is not the identity", SERVER + "test_the_password_is_read_as_bytes"),
    elsewhere("A_03", "Basic authentication, wrong password", SERVER + "test_a_wrong_password_is_refused_and_ends_when_the_right_one_comes"),
    elsewhere("A_04", "TLS with a server certificate", TLS + "test_the_suites_that_chargers_need"),
    elsewhere("A_06", "TLS version too low", TLS + "test_nothing_below_tls_1_2"),
    elsewhere("A_07", "TLS with a client certificate", TLS + "test_a_certificate_proves_only_its_own_station"),
    elsewhere("A_08", "TLS with a wrong client certificate", TLS + "test_a_certificate_of_another_authority_ends_the_handshake"),
    elsewhere("A_09", "Update the password", ROTATION + "test_a_new_password_counts_when_the_station_uses_it"),
    elsewhere("A_10", "Update the password, rejected", ROTATION + "test_a_refused_password_is_forgotten"),
    case("A_11", "Update the station's certificate", BOOT,
         asks(Do.TRIGGER, "TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"},
              message="SignChargingStationCertificate"),
         told("SignCertificate", {"csr": "x", "certificateType": "ChargingStationCertificate"}, status=...),
         relays("CertificateSigned", {"certificateChain": PEM, "certificateType": "ChargingStationCertificate"})),
    later("A_12", "Update the V2G certificate", ISO15118),
    later("A_13", "Update the combined certificate", ISO15118),
    case("A_14", "Update the certificate, refused by the station", BOOT,
         relays("CertificateSigned", {"certificateChain": PEM}, reply={"status": "Rejected"}),
         told("SecurityEventNotification", {"type": "InvalidChargingStationCertificate", "timestamp": NOW}),
         has_condition("SECURITY_InvalidChargingStationCertificate")),
    case("A_19", "Upgrade the security profile", BOOT, relays("SetNetworkProfile", SLOT),
         asks(Do.WRITE_CONFIGURATION, "SetVariables", values={"OCPPCommCtrlr.NetworkConfigurationPriority": "1"}),
         resets(Do.SOFT_RESET, "OnIdle", None)),
)  # fmt: skip

PROVISIONING = chosen(
    case("B_01", "Cold boot, accepted", BOOT, status("Available"), told("Heartbeat", currentTime=...)),
    elsewhere("B_02", "Cold boot, pending", PENDING + "test_a_brand_new_station_waits_until_its_fallback_lies"),
    case("B_06", "Get one variable", BOOT,
         asks(Do.READ_CONFIGURATION, "GetVariables",
              {"getVariableData": [variable("OCPPCommCtrlr", "OfflineThreshold")]}, names=[OFFLINE],
              reply=has_values), answered(values={OFFLINE: "60"})),
    case("B_07", "Get several variables", BOOT,
         asks(Do.READ_CONFIGURATION, "GetVariables", names=[OFFLINE, REMOTE], reply=has_values),
         answered(values={OFFLINE: "60", REMOTE: "60"})),
    case("B_08", "Get variables, limited to the most per message", BOOT,
         asks(Do.READ_CONFIGURATION, "GetVariables", names=[f"C.V{n}" for n in range(9)], reply=has_values),
         sees(lambda p: [len(s["getVariableData"]) for s in p.site.station.sent("GetVariables")] == [4, 4, 1])),
    case("B_09", "Set one variable", BOOT,
         asks(Do.WRITE_CONFIGURATION, "SetVariables",
              {"setVariableData": [variable("OCPPCommCtrlr", "OfflineThreshold", attributeValue="123")]},
              values={OFFLINE: "123"}), answered(values={OFFLINE: "Accepted"})),
    case("B_10", "Set several variables", BOOT,
         asks(Do.WRITE_CONFIGURATION, "SetVariables", values={OFFLINE: "123", REMOTE: "false"}),
         answered(values={OFFLINE: "Accepted", REMOTE: "Accepted"})),
    case("B_12", "Base report, configuration", *base("configuration", "ConfigurationInventory")),
    case("B_13", "Base report, full", *base("full", "FullInventory")),
    case("B_14", "Base report, summary", *base("summary", "SummaryInventory")),
    case("B_18", "Custom report", BOOT,
         relays("GetReport", {"requestId": 7, "componentCriteria": ["Problem"]}, reply={"status": "EmptyResultSet"}),
         relays("GetReport", {"requestId": 7, "componentCriteria": ["Available"]}),
         notify_report(0, False, "A"), keeps("station_variables", 1)),
    case("B_20", "Reset the station, no transaction", BOOT, resets(Do.SOFT_RESET, "OnIdle", None), BOOT),
    case("B_21", "Reset the station, when idle", *CHARGING,
         resets(Do.SOFT_RESET, "OnIdle", None, "Scheduled"), ended(seq=2), BOOT, is_booked()),
    case("B_22", "Reset the station at once", *CHARGING, resets(Do.HARD_RESET, "Immediate", None),
         ended("ImmediateReset", 2, "ResetCommand"), BOOT, is_booked("ImmediateReset")),
    case("B_25", "Reset an EVSE, no transaction", BOOT, resets(Do.SOFT_RESET, "OnIdle", 1)),
    case("B_26", "Reset an EVSE when idle", *CHARGING, resets(Do.SOFT_RESET, "OnIdle", 1, "Scheduled"),
         ended(seq=2), is_booked()),
    case("B_27", "Reset an EVSE at once", *CHARGING, resets(Do.HARD_RESET, "Immediate", 1),
         ended("ImmediateReset", 2, "ResetCommand"), is_booked("ImmediateReset")),
    elsewhere("B_30", "Pending, other messages refused", PENDING + "test_a_pending_station_may_only_boot_again"),
    elsewhere("B_31", "Pending, boot triggered", PENDING + "test_a_brand_new_station_waits_until_its_fallback_lies"),
    case("B_42", "Set the network profile", BOOT, relays("SetNetworkProfile", SLOT), answered(status="Accepted")),
    case("B_44", "Set the network profile, failed", BOOT,
         relays("SetNetworkProfile", SLOT, reply={"status": "Failed"}), answered(status="Failed")),
    elsewhere("B_58", "Subprotocol validation", SERVER + "test_a_protocol_that_is_not_spoken_is_refused_with_the_choice"),
)  # fmt: skip

LIST_ENTRY = {"idToken": GOOD, "idTokenInfo": {"status": "Accepted"}}


def second_card() -> tuple[Step, ...]:
    return (
        event("Updated", "StopAuthorized", 2, state="EVConnected", token="GOOD2"),
        ended(seq=3), is_booked(),
    )  # fmt: skip


AUTHORIZATION = chosen(
    case("C_02", "Authorization invalid", BOOT, card("BAD", "Invalid")),
    case("C_06", "Authorization blocked", BOOT, card("BLOCKED", "Blocked")),
    case("C_07", "Authorization expired", BOOT, card("EXPIRED", "Expired")),
    case("C_08", "By the cache, accepted", BOOT, status("Occupied"),
         event("Started", "Authorized", token="GOOD", state="EVConnected")),
    case("C_20", "By the cache, invalid", BOOT, status("Occupied"),
         event("Started", "Authorized", token="BAD", verdict="Invalid", state="EVConnected"),
         ended("DeAuthorized", 1, "Deauthorized")),
    case("C_37", "Clear the cache", BOOT, asks(Do.CLEAR_CACHE, "ClearCache")),
    case("C_38", "Clear the cache, rejected", BOOT,
         asks(Do.CLEAR_CACHE, "ClearCache", reply={"status": "Rejected"}, ok=False)),
    case("C_39", "By group", *CHARGING, card("GOOD2", "Accepted"), *second_card()),
    case("C_40", "By group, with the local list", BOOT,
         relays("SendLocalList", {"versionNumber": 2, "updateType": "Full",
                                  "localAuthorizationList": [LIST_ENTRY]}), *CHARGING[1:], *second_card()),
    case("C_43", "By group, invalid in the local list", BOOT, *CHARGING[1:], card("GOOD2", "Accepted"), *second_card()),
    case("C_47", "Master pass, all transactions", *CHARGING, card("MASTER", "Accepted"),
         ended("MasterPass", 2), is_booked("MasterPass")),
    case("C_48", "Master pass, one transaction", *CHARGING, card("MASTER", "Accepted"),
         ended("MasterPass", 2), is_booked("MasterPass")),
    case("C_49", "Master pass without a display", *CHARGING, card("MASTER", "Accepted"),
         ended("MasterPass", 2), is_booked("MasterPass")),
    later("C_50", "Contract certificate, accepted", ISO15118),
    later("C_51", "Contract certificate, rejected", ISO15118),
    later("C_52", "Contract certificate, central validation", ISO15118),
)  # fmt: skip


def sends_list(kind: str, entries: list[Any] | None) -> Step:
    payload: dict[str, Any] = {"versionNumber": 2, "updateType": kind}
    if entries:
        payload["localAuthorizationList"] = entries
    return relays("SendLocalList", payload)


LOCAL_LIST = chosen(
    case("D_01", "Full list", BOOT, sends_list("Full", [LIST_ENTRY])),
    case("D_02", "Differential update", BOOT, sends_list("Differential", [LIST_ENTRY])),
    case("D_03", "Differential removal", BOOT, sends_list("Differential", [{"idToken": GOOD}])),
    case("D_04", "Full and empty", BOOT, sends_list("Full", None)),
    case("D_08", "List version", BOOT, relays("GetLocalListVersion", reply={"versionNumber": 1}),
         answered(versionNumber=1)),
    case("D_09", "No list", BOOT, relays("GetLocalListVersion", reply={"versionNumber": 0}),
         answered(versionNumber=0)),
)  # fmt: skip


def transaction_status(queued: bool, ongoing: bool | None) -> Step:
    reply: dict[str, Any] = {"messagesInQueue": queued}
    asked: dict[str, Any] = {}
    if ongoing is not None:
        reply["ongoingIndicator"] = ongoing
        asked = {"transactionId": TX}
    return relays("GetTransactionStatus", asked, reply=reply)


REMOTE_STOP = asks(Do.STOP, "RequestStopTransaction", {"transactionId": TX}, evse=1)
TRANSACTIONS = chosen(
    case("E_01", "Start at PowerPathClosed", BOOT, card("GOOD", "Accepted"), status("Occupied"),
         event("Started", "ChargingStateChanged", token="GOOD", state="SuspendedEVSE"),
         event("Updated", "ChargingStateChanged", 1, state="Charging"), knows_state(EvseState.CHARGING)),
    case("E_02", "Start at EnergyTransfer", BOOT, card("GOOD", "Accepted"), status("Occupied"),
         event("Started", "ChargingStateChanged", token="GOOD", state="Charging"),
         knows_state(EvseState.CHARGING)),
    case("E_03", "Cable first", BOOT, status("Occupied"), event("Started", "CablePluggedIn", state="EVConnected"),
         event("Updated", "Authorized", 1, token="GOOD"),
         event("Updated", "ChargingStateChanged", 2, state="Charging"), knows_state(EvseState.CHARGING)),
    case("E_04", "Authorization first", *CHARGING),
    case("E_07", "Stop at PowerPathClosed, local", *CHARGING, ended(seq=2), is_booked()),
    case("E_08", "Stop at EnergyTransfer", *CHARGING,
         event("Updated", "StopAuthorized", 2, state="EVConnected", token="GOOD"),
         ended(seq=3), is_booked()),
    case("E_09", "Start at EVConnected", BOOT, status("Occupied"),
         event("Started", "CablePluggedIn", state="EVConnected"), knows_state(EvseState.CONNECTED)),
    case("E_10", "Start at Authorized", BOOT, card("GOOD", "Accepted"),
         event("Started", "Authorized", token="GOOD", evse=1)),
    case("E_11", "Start at DataSigned", BOOT, card("GOOD", "Accepted"),
         event("Started", "SignedDataReceived", 0, wh(1000.0, "Transaction.Begin", signedMeterValue=SIGNED),
               token="GOOD"), keeps_signed()),
    case("E_12", "Start at ParkingBayOccupied", BOOT, event("Started", "EVDetected", state="Idle")),
    case("E_14", "Stop at EVDisconnected, station side", *CHARGING, status("Available"),
         ended("EVDisconnected", 2, "EVCommunicationLost"), is_booked("EVDisconnected")),
    case("E_15", "Stop at StopAuthorized", *CHARGING, card("GOOD", "Accepted"), ended(seq=2), is_booked()),
    case("E_16", "Deauthorized, invalid token", BOOT, status("Occupied"),
         event("Started", "Authorized", token="BAD", verdict="Invalid", state="EVConnected"),
         ended("DeAuthorized", 1, "Deauthorized"), is_booked("DeAuthorized", None)),
    case("E_17", "Deauthorized, EV side disconnect", *CHARGING,
         event("Updated", "ChargingStateChanged", 2, state="SuspendedEV"),
         ended("EVDisconnected", 3, "EVCommunicationLost"), is_booked("EVDisconnected")),
    case("E_19", "Stop at ParkingBayUnoccupied", *CHARGING, ended("Local", 2, "EVDeparted"), is_booked()),
    case("E_20", "Stop at EVDisconnected, EV side", *CHARGING,
         event("Updated", "EVCommunicationLost", 2, state="Idle"),
         ended("EVDisconnected", 3, "EVCommunicationLost"), is_booked("EVDisconnected")),
    case("E_21", "Remote stop", *CHARGING, REMOTE_STOP, ended("Remote", 2, "RemoteStop"), is_booked("Remote")),
    case("E_22", "Stop by suspended EV", *CHARGING, event("Updated", "ChargingStateChanged", 2, state="SuspendedEV"),
         ended("StoppedByEV", 3, "ChargingStateChanged"), is_booked("StoppedByEV")),
    case("E_26", "Disconnect the cable and resume", *CHARGING,
         event("Updated", "EVCommunicationLost", 2, state="Idle"),
         event("Updated", "CablePluggedIn", 3, state="EVConnected"),
         event("Updated", "ChargingStateChanged", 4, state="Charging"), knows_state(EvseState.CHARGING)),
    case("E_29", "Transaction status, ongoing with messages", *CHARGING, transaction_status(True, True),
         answered(ongoingIndicator=True, messagesInQueue=True),
         event("Updated", "MeterValuePeriodic", 2, wh(1100.0), offline=True)),
    case("E_30", "Transaction status, ongoing", *CHARGING, transaction_status(False, True),
         answered(ongoingIndicator=True, messagesInQueue=False)),
    case("E_31", "Transaction status, ended with messages", *CHARGING, transaction_status(True, False),
         answered(ongoingIndicator=False), ended(seq=2, offline=True), is_booked()),
    case("E_33", "Status without an id, with messages", *CHARGING, transaction_status(True, None),
         answered(messagesInQueue=True)),
    case("E_34", "Status without an id", BOOT, transaction_status(False, None), answered(messagesInQueue=False)),
    case("E_38", "EV not ready", BOOT, card("GOOD", "Accepted"), status("Occupied"),
         event("Started", "Authorized", token="GOOD", state="SuspendedEV"),
         knows_state(EvseState.SUSPENDED_EV)),
    case("E_39", "Deauthorized, timeout", BOOT, card("GOOD", "Accepted"),
         event("Started", "Authorized", token="GOOD"),
         ended("Timeout", 1, "EVConnectTimeout"), is_booked("Timeout", None)),
    case("E_53", "Sequence numbers start anew", *CHARGING, ended(seq=2),
         event("Started", "Authorized", 0, wh(1500.0, "Transaction.Begin"), token="GOOD", tx="tx-2"),
         event("Ended", "StopAuthorized", 1, wh(2000.0, "Transaction.End"), tx="tx-2",
               info={"stoppedReason": "Local"}),
         sees(lambda p: [t.energy_wh for t in p.site.desk.transactions.values()] == [500.0, 500.0])),
)  # fmt: skip

START = asks(Do.START, "RequestStartTransaction", {"idToken": {"idToken": "GOOD"}, "remoteStartId": ..., "evseId": 1},
             evse=1, argument="GOOD")  # fmt: skip


def triggers(
    message: str, evse: int | None, *after: Step, reply: str = "Accepted"
) -> tuple[Step, ...]:
    place = None if evse is None else {"id": evse}
    return (
        asks(Do.TRIGGER, "TriggerMessage", {"requestedMessage": message, "evse": place}, evse=evse,
             message=message, reply={"status": reply}, ok=reply == "Accepted"),
        *after,
    )  # fmt: skip


VALUES = told("MeterValues", {"evseId": 1, "meterValue": [amps(10.0, "Trigger")]})
REMOTE_CONTROL = chosen(
    case("F_01", "Remote start, cable first", BOOT, status("Occupied"), START,
         event("Started", "RemoteStart", token="GOOD", info={"remoteStartId": 1}, state="EVConnected")),
    case("F_02", "Remote start first, authorized", BOOT, START, card("GOOD", "Accepted"), status("Occupied"),
         event("Started", "RemoteStart", token="GOOD", info={"remoteStartId": 1})),
    case("F_03", "Remote start first, not authorized again", BOOT, START, status("Occupied"),
         event("Started", "RemoteStart", info={"remoteStartId": 1})),
    case("F_04", "Remote start, cable timeout", BOOT, START,
         event("Started", "RemoteStart", info={"remoteStartId": 1}), ended("Timeout", 1, "EVConnectTimeout")),
    case("F_06", "Unlock without a transaction", BOOT,
         asks(Do.UNLOCK, "UnlockConnector", {"evseId": 1, "connectorId": 1}, evse=1)),
    case("F_11", "Trigger MeterValues of an EVSE", BOOT, *triggers("MeterValues", 1, VALUES)),
    case("F_12", "Trigger MeterValues of all", BOOT, *triggers("MeterValues", None, VALUES)),
    case("F_13", "Trigger TransactionEvent of an EVSE", *CHARGING,
         *triggers("TransactionEvent", 1, event("Updated", "Trigger", 2, state="Charging"))),
    case("F_14", "Trigger TransactionEvent of all", *CHARGING,
         *triggers("TransactionEvent", None, event("Updated", "Trigger", 2, state="Charging"))),
    case("F_15", "Trigger LogStatusNotification", BOOT,
         *triggers("LogStatusNotification", None, told("LogStatusNotification", {"status": "Idle"}))),
    case("F_18", "Trigger FirmwareStatusNotification", BOOT,
         *triggers("FirmwareStatusNotification", None, told("FirmwareStatusNotification", {"status": "Idle"}))),
    case("F_20", "Trigger Heartbeat", BOOT, *triggers("Heartbeat", None, told("Heartbeat", currentTime=...))),
    case("F_23", "Trigger StatusNotification, available", BOOT,
         *triggers("StatusNotification", 1, status("Available")), knows_state(EvseState.AVAILABLE)),
    case("F_24", "Trigger StatusNotification, occupied", BOOT,
         *triggers("StatusNotification", 1, status("Occupied")), knows_state(EvseState.CONNECTED)),
    case("F_27", "Trigger, not implemented", BOOT, *triggers("MeterValues", None, reply="NotImplemented")),
)  # fmt: skip


def available(
    operative: bool, evse: int | None, connector: int | None, reply: str = "Accepted"
) -> Step:
    place: Any = None if evse is None else {"id": evse, "connectorId": connector}
    wire = {"operationalStatus": "Operative" if operative else "Inoperative", "evse": place}
    extra: dict[str, Any] = {} if connector is None else {"connector": connector}
    return asks(Do.AVAILABILITY, "ChangeAvailability", wire, evse=evse, operative=operative,
                reply={"status": reply}, **extra)  # fmt: skip


def notify(component: str, name: str, value: str, *, evse: int | None = 1, **rest: Any) -> Step:
    place: dict[str, Any] = {"name": component}
    if evse is not None:
        place["evse"] = {"id": evse}
    data = {
        "eventId": 1,
        "timestamp": NOW,
        "trigger": "Delta",
        "actualValue": value,
        "eventNotificationType": "HardWiredMonitor",
        "component": place,
        "variable": {"name": name},
        **rest,
    }
    return told("NotifyEvent", {"generatedAt": NOW, "seqNo": 0, "eventData": [data]})


GONE = (status("Unavailable"), knows_state(EvseState.UNAVAILABLE))
BACK = (status("Available"), knows_state(EvseState.AVAILABLE))
AVAILABILITY = chosen(
    case("G_03", "EVSE out of service", BOOT, available(False, 1, None), *GONE),
    case("G_04", "EVSE in service", BOOT, *GONE, available(True, 1, None), *BACK),
    case("G_05", "Station out of service", BOOT, available(False, None, None), *GONE),
    case("G_06", "Station in service", BOOT, *GONE, available(True, None, None), *BACK),
    case("G_07", "Connector out of service", BOOT, available(False, 1, 1), *GONE),
    case("G_08", "Connector in service", BOOT, *GONE, available(True, 1, 1), *BACK),
    case("G_11", "EVSE out of service, transaction", *CHARGING, available(False, 1, None, "Scheduled"),
         ended(seq=2), *GONE),
    case("G_14", "Station out of service, transaction", *CHARGING, available(False, None, None, "Scheduled"),
         ended(seq=2), *GONE),
    case("G_17", "Connector out of service, transaction", *CHARGING, available(False, 1, 1, "Scheduled"),
         ended(seq=2), *GONE),
    case("G_20", "Lock failure", BOOT, notify("ConnectorPlugRetentionLock", "Problem", "true"),
         has_condition("ERROR_ConnectorPlugRetentionLock.Problem"),
         notify("ConnectorPlugRetentionLock", "Problem", "false"),
         sees(lambda p: not p.book.sink.codes())),
)  # fmt: skip


def reserves(reply: str = "Accepted", evse: int | None = 1, number: int = 5, **rest: Any) -> Step:
    wire: dict[str, Any] = {"id": number, "evseId": evse, "idToken": {"idToken": "GOOD"}}
    return asks(Do.RESERVE, "ReserveNow", wire, evse=evse, reply={"status": reply}, ok=reply == "Accepted",
                id_token="GOOD", reservation_id=number, expires_at=LATER, **rest)  # fmt: skip


def updates(state: str) -> Step:
    payload = {"reservationId": 5, "reservationUpdateStatus": state}
    return told("ReservationStatusUpdate", payload)


RESERVED = (status("Reserved"), knows_state(EvseState.RESERVED))
RESERVATION = chosen(
    case("H_01", "Reserve an EVSE", BOOT, reserves(), *RESERVED, card("GOOD", "Accepted"),
         event("Started", "Authorized", token="GOOD", reservationId=5)),
    case("H_07", "Reservation expires", BOOT, reserves(), *RESERVED, updates("Expired"), *BACK),
    case("H_08", "Reserve any EVSE", BOOT, reserves(evse=None)),
    case("H_14", "Reserve all EVSEs", BOOT, reserves(evse=None, number=5), reserves(evse=None, number=6)),
    case("H_15", "Reserve by connector type", BOOT, reserves(evse=None, connector_type="cType2")),
    case("H_17", "Cancel a reservation", BOOT, reserves(),
         asks(Do.CANCEL_RESERVATION, "CancelReservation", {"reservationId": 5}, reservation_id=5)),
    case("H_19", "Reserve for a group", BOOT, reserves(group="FLEET"),
         sees(lambda p: p.site.station.sent("ReserveNow")[0]["groupIdToken"]["idToken"] == "FLEET")),
    case("H_20", "Reservation removed by a fault", BOOT, reserves(), *RESERVED, status("Faulted"),
         updates("Removed"), knows_state(EvseState.FAULTED)),
    case("H_22", "Reservation rejected", BOOT, reserves("Rejected")),
)  # fmt: skip

CLOCK = told("MeterValues", {"evseId": 0, "meterValue": [wh(900.0, "Sample.Clock")]})
METER = chosen(
    case("J_01", "Clock-aligned, no transaction", BOOT, CLOCK,
         told("MeterValues", {"evseId": 1, "meterValue": [amps(5.0, "Sample.Clock")]}),
         sees(lambda p: len(p.site.desk.of(EvseSampled)) == 1)),
    case("J_02", "Clock-aligned, transaction", *CHARGING, CLOCK,
         event("Updated", "MeterValueClock", 2, wh(1200.0, "Sample.Clock"))),
    case("J_03", "Clock-aligned, ended", *CHARGING,
         event("Ended", "EVCommunicationLost", 2, wh(1200.0, "Sample.Clock"), wh(1500.0, "Transaction.End"),
               info={"stoppedReason": "EVDisconnected"}), is_booked("EVDisconnected")),
    case("J_04", "Clock-aligned, signed", *CHARGING,
         event("Ended", "EVCommunicationLost", 2, wh(1200.0, "Sample.Clock", signedMeterValue=SIGNED),
               wh(1500.0, "Transaction.End", signedMeterValue=SIGNED),
               info={"stoppedReason": "EVDisconnected"}), is_booked("EVDisconnected"), keeps_signed()),
    case("J_07", "Sampled, started, EVSE known", BOOT, status("Occupied"),
         event("Started", "CablePluggedIn", 0, wh(1000.0, "Transaction.Begin"))),
    case("J_08", "Sampled, EVSE not known", BOOT, event("Started", "Authorized", token="GOOD", evse=None),
         status("Occupied"), event("Updated", "CablePluggedIn", 1, wh(1000.0, "Transaction.Begin"), state="EVConnected"),
         event("Updated", "ChargingStateChanged", 2, state="Charging"), ended(seq=3), is_booked()),
    case("J_09", "Sampled, updated", *CHARGING,
         *(event("Updated", "MeterValuePeriodic", n, amps(10.0)) for n in (2, 3, 4)),
         sees(lambda p: len(p.site.desk.of(EvseSampled)) >= 3)),
    case("J_10", "Sampled, ended", *CHARGING,
         event("Ended", "EVCommunicationLost", 2, wh(1200.0), wh(1500.0, "Transaction.End"),
               info={"stoppedReason": "EVDisconnected"}), is_booked("EVDisconnected")),
    case("J_11", "Sampled, signed", *CHARGING,
         event("Ended", "EVCommunicationLost", 2, wh(1500.0, "Transaction.End", signedMeterValue=SIGNED),
               info={"stoppedReason": "EVDisconnected"}), is_booked("EVDisconnected"), keeps_signed()),
)  # fmt: skip


def profile(
    purpose: str, kind: str = "Absolute", number: int = 7, level: int = 2, **rest: Any
) -> dict[str, Any]:
    schedule: dict[str, Any] = {
        "id": 1,
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0, "numberPhases": 3}],
    }
    if kind != "Relative":
        schedule["startSchedule"] = NOW
    if kind == "Recurring":
        schedule["duration"] = 86400
        rest["recurrencyKind"] = "Daily"
    return {
        "id": number,
        "stackLevel": level,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": kind,
        "chargingSchedule": [schedule],
        **rest,
    }


def sets(evse: int, body: dict[str, Any], reply: Any = None) -> Step:
    return relays("SetChargingProfile", {"evseId": evse, "chargingProfile": body}, reply=reply)


def gets(
    criteria: dict[str, Any], evse: int | None = None, purpose: str = "TxDefaultProfile"
) -> tuple[Step, ...]:
    asked: dict[str, Any] = {"requestId": 7, "chargingProfile": criteria}
    if evse is not None:
        asked["evseId"] = evse
    report = {"requestId": 7, "chargingLimitSource": "CSO", "evseId": 1, "tbc": False,
              "chargingProfile": [profile(purpose)]}  # fmt: skip
    return (BOOT, relays("GetChargingProfiles", asked), told("ReportChargingProfiles", report),
            sees(lambda p: any(k == "station_profiles" for k, _ in p.book._kept)))  # fmt: skip


EMS = {"chargingLimit": {"chargingLimitSource": "EMS"}, "evseId": 1,
       "chargingSchedule": [{"id": 1, "chargingRateUnit": "A",
                             "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}]}]}  # fmt: skip
FREED = told("ClearedChargingLimit", {"chargingLimitSource": "EMS", "evseId": 1})
NEEDS = {"evseId": 1, "chargingNeeds": {
    "requestedEnergyTransfer": "AC_three_phase", "departureTime": LATER,
    "acChargingParameters": {"energyAmount": 9000, "evMinCurrent": 6, "evMaxCurrent": 16, "evMaxVoltage": 400}}}  # fmt: skip


def vehicle_plan(limit_a: float, verdict: str) -> Step:
    schedule = {"id": 1, "chargingRateUnit": "A", "startSchedule": NOW,
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit_a}]}  # fmt: skip
    payload = {"timeBase": NOW, "evseId": 1, "chargingSchedule": schedule}
    return told("NotifyEVChargingSchedule", payload, status=verdict)


def has_needs() -> Step:
    return sees(lambda p: p.site.desk.of(ChargingNeedsReported)[-1].needs.energy_wh == 9000.0)


TX_PROFILE = {"chargingProfilePurpose": "TxProfile", "transactionId": TX, "validTo": ...}
LEVELLED = (*CHARGING, told("NotifyEVChargingNeeds", NEEDS, status="Accepted"), has_needs(),
            limits(10.0, TX_PROFILE))  # fmt: skip
SMART = chosen(
    case("K_01", "TxDefaultProfile of an EVSE", BOOT,
         provisioned({"chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Absolute"}),
         sees(lambda p: {s["evseId"] for s in p.site.station.sent("SetChargingProfile")} == {1, 2})),
    case("K_02", "TxProfile without a transaction", BOOT,
         sets(1, profile("TxProfile", "Relative"), {"status": "Rejected"}), answered(status="Rejected")),
    case("K_03", "ChargingStationMaxProfile", BOOT, sets(0, profile("ChargingStationMaxProfile"))),
    case("K_04", "Replace by id", BOOT, sets(0, profile("ChargingStationMaxProfile")),
         sets(0, profile("ChargingStationMaxProfile"))),
    case("K_05", "Clear by id", *gets({"chargingProfileId": [7]}),
         relays("ClearChargingProfile", {"chargingProfileId": 7})),
    case("K_06", "Clear by criteria", BOOT, relays("ClearChargingProfile", {"chargingProfileCriteria": {
        "evseId": 1, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 2}}),
         sees(lambda p: len(p.site.station.sent("SetChargingProfile")) == 2)),
    case("K_08", "Clear, unknown", BOOT, relays("ClearChargingProfile", {"chargingProfileCriteria": {
        "evseId": 1, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 2}}, reply={"status": "Unknown"}),
         answered(status="Unknown")),
    case("K_10", "TxDefaultProfile of all EVSEs", BOOT, sets(0, profile("TxDefaultProfile"))),
    case("K_15", "Profiles not supported", BOOT,
         provisioned({"chargingProfilePurpose": "TxDefaultProfile"}, reply=CallFailed("error", "NotSupported"))),
    case("K_19", "Recurring profile", BOOT, sets(1, profile("TxDefaultProfile", "Recurring"))),
    case("K_29", "Get profiles, EVSE 0", *gets({"chargingProfilePurpose": "TxDefaultProfile"}, 0)),
    case("K_30", "Get profiles of an EVSE", *gets({"chargingProfilePurpose": "TxDefaultProfile"}, 1)),
    case("K_31", "Get profiles of all", *gets({"chargingProfilePurpose": "TxDefaultProfile"})),
    case("K_32", "Get profiles by id", *gets({"chargingProfileId": [7]})),
    case("K_33", "Get profiles by level", *gets({"stackLevel": 2}, 1)),
    case("K_34", "Get profiles by source", *gets({"chargingLimitSource": ["CSO"]}, 1)),
    case("K_35", "Get profiles by purpose", *gets({"chargingProfilePurpose": "TxProfile"}, 1, "TxProfile")),
    case("K_36", "Get profiles by purpose and level",
         *gets({"chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 2}, 1)),
    case("K_37", "Remote start with a profile", BOOT, relays("RequestStartTransaction", {
        "idToken": {"idToken": "GOOD", "type": "Central"}, "remoteStartId": 9, "evseId": 1,
        "chargingProfile": profile("TxProfile", "Relative")})),
    case("K_43", "Composite schedule of an EVSE", BOOT,
         relays("GetCompositeSchedule", {"evseId": 1, "duration": 300, "chargingRateUnit": "A"})),
    case("K_44", "Composite schedule of the station", BOOT,
         relays("GetCompositeSchedule", {"evseId": 0, "duration": 300, "chargingRateUnit": "A"})),
    case("K_48", "Limit of an energy manager", BOOT, told("NotifyChargingLimit", EMS),
         sees(lambda p: p.site.desk.of(ExternalLimitReported)[-1].limit_a == 10.0)),
    case("K_50", "Limit of an energy manager released", BOOT, told("NotifyChargingLimit", EMS), FREED,
         sees(lambda p: p.site.desk.of(ExternalLimitReported)[-1].limit_a is None)),
    case("K_51", "Limit released in a transaction", *CHARGING, told("NotifyChargingLimit", EMS), FREED,
         event("Updated", "ChargingRateChanged", 2, state="Charging"),
         sees(lambda p: p.site.desk.of(ExternalLimitReported)[-1].limit_a is None)),
    case("K_52", "Report of external constraints",
         *gets({"chargingProfilePurpose": "ChargingStationExternalConstraints"}, 1,
               "ChargingStationExternalConstraints")),
    case("K_53", "ISO 15118 load levelling", *LEVELLED, vehicle_plan(10.0, "Accepted")),
    case("K_55", "ISO 15118, vehicle exceeds the limit", *LEVELLED, vehicle_plan(16.0, "Rejected"),
         limits(8.0, TX_PROFILE), vehicle_plan(8.0, "Accepted")),
    case("K_57", "ISO 15118, vehicle renegotiates", *LEVELLED, told("NotifyEVChargingNeeds", NEEDS, status="Accepted"),
         limits(12.0, TX_PROFILE), vehicle_plan(12.0, "Accepted")),
    case("K_58", "ISO 15118, we renegotiate", *LEVELLED, limits(7.0, TX_PROFILE), vehicle_plan(7.0, "Accepted")),
    case("K_59", "ISO 15118, both renegotiate", *LEVELLED, limits(7.0, TX_PROFILE),
         told("NotifyEVChargingNeeds", NEEDS, status="Accepted"), limits(9.0, TX_PROFILE),
         vehicle_plan(9.0, "Accepted")),
    case("K_60", "TxProfile in a transaction", *CHARGING, limits(10.0, TX_PROFILE)),
    case("K_70", "Several profiles", BOOT, provisioned({"chargingProfilePurpose": "TxDefaultProfile"}),
         sets(0, profile("ChargingStationMaxProfile"))),
)  # fmt: skip


def update(reply: str = "Accepted", **rest: Any) -> Step:
    wire = {"requestId": ..., "firmware": {"location": "https://fw.example/a", "signature": "sig",
                                           "signingCertificate": PEM}}  # fmt: skip
    return asks(Do.UPDATE_FIRMWARE, "UpdateFirmware", wire, reply={"status": reply},
                ok=reply in ("Accepted", "AcceptedCanceled"), location="https://fw.example/a",
                signing_certificate=PEM, signature="sig", **rest)  # fmt: skip


def steps(action: str, *statuses: str) -> tuple[Step, ...]:
    return tuple(told(action, {"status": s, "requestId": 1}) for s in statuses)


def firmware(*statuses: str) -> tuple[Step, ...]:
    return steps("FirmwareStatusNotification", *statuses)


def knows_job(kind: str, state: str) -> Step:
    def check(p: Play) -> bool:
        job = p.site.desk.of(JobReported)[-1]
        return (job.kind, job.job.status) == (kind, state)

    return sees(check)


GOOD_UPDATE = ("Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed")
PUBLISH = relays(
    "PublishFirmware", {"location": "https://fw.example/a", "checksum": "a" * 32, "requestId": 1}
)


def published(*statuses: str) -> tuple[Step, ...]:
    return tuple(
        told(
            "PublishFirmwareStatusNotification",
            {"status": s, "requestId": 1, "location": ["https://cp/a"]},
        )
        for s in statuses
    )


def security_event(kind: str) -> Step:
    return told("SecurityEventNotification", {"type": kind, "timestamp": NOW})


FAILED = has_condition("FIRMWARE_FAILED")
FIRMWARE = chosen(
    case("L_01", "Secure update", BOOT, update(), *firmware(*GOOD_UPDATE), knows_job("firmware", "Installed")),
    case("L_02", "Installation scheduled", BOOT, update(install_at=LATER),
         *firmware("Downloading", "Downloaded", "InstallScheduled", "Installing", "Installed")),
    case("L_03", "Download scheduled", BOOT, update(retrieve_at=LATER),
         *firmware("DownloadScheduled", *GOOD_UPDATE)),
    case("L_04", "Certificate revoked", BOOT, update("RevokedCertificate")),
    case("L_05", "Certificate invalid", BOOT, update("InvalidCertificate"),
         security_event("InvalidFirmwareSigningCertificate"),
         has_condition("SECURITY_InvalidFirmwareSigningCertificate")),
    case("L_06", "Signature invalid", BOOT, update(), *firmware("Downloading", "Downloaded", "InvalidSignature"),
         security_event("InvalidFirmwareSignature"), FAILED),
    case("L_07", "Download failed", BOOT, update(), *firmware("Downloading", "DownloadFailed"), FAILED),
    case("L_08", "Verification failed", BOOT, update(),
         *firmware("Downloading", "Downloaded", "InstallVerificationFailed"), FAILED),
    case("L_09", "Installation failed", BOOT, update(),
         *firmware("Downloading", "Downloaded", "Installing", "InstallationFailed"), FAILED),
    case("L_10", "A second update cancels the first", BOOT, update(), *firmware("Downloading"),
         update("AcceptedCanceled"), *firmware(*GOOD_UPDATE)),
    case("L_11", "The first update cannot be cancelled", BOOT, update(), *firmware("Downloading"),
         update("Rejected"), *firmware(*GOOD_UPDATE[1:])),
    case("L_13", "Update with a transaction", *CHARGING,
         relays("UpdateFirmware", {"requestId": 1, "firmware": {
             "location": "https://fw.example/a", "retrieveDateTime": NOW, "signingCertificate": PEM,
             "signature": "sig"}}), *firmware("Downloading", "Downloaded", "InstallScheduled"),
         ended(seq=2), *firmware("Installing", "Installed")),
    case("L_17", "Publish firmware", BOOT, PUBLISH, *published("Downloading", "Downloaded", "Published"),
         knows_job("publish", "Published")),
    case("L_19", "Publish, checksum wrong", BOOT, PUBLISH, *published("Downloading", "InvalidChecksum"),
         has_condition("PUBLISH_FAILED")),
    case("L_20", "Publish failed", BOOT, PUBLISH, *published("Downloading", "PublishFailed"),
         has_condition("PUBLISH_FAILED")),
    case("L_21", "Unpublish", BOOT, relays("UnpublishFirmware", {"checksum": "a" * 32}, reply={"status": "Unpublished"})),
    case("L_22", "Unpublish, no firmware", BOOT,
         relays("UnpublishFirmware", {"checksum": "a" * 32}, reply={"status": "NoFirmware"})),
    case("L_23", "Unpublish, download ongoing", BOOT,
         relays("UnpublishFirmware", {"checksum": "a" * 32}, reply={"status": "DownloadOngoing"})),
    case("L_24", "Publish, download failed", BOOT, PUBLISH, *published("Downloading", "DownloadFailed"),
         has_condition("PUBLISH_FAILED")),
)  # fmt: skip


def installs(kind: str, reply: str = "Accepted") -> Step:
    return relays(
        "InstallCertificate", {"certificateType": kind, "certificate": PEM}, reply={"status": reply}
    )


def retrieves(*kinds: str, reply: str = "Accepted") -> Step:
    chain = [
        {"certificateType": (kinds or ("V2GRootCertificate",))[0], "certificateHashData": HASH}
    ]
    answer: dict[str, Any] = {"status": reply}
    if reply == "Accepted":
        answer["certificateHashDataChain"] = chain
    asked = {"certificateType": list(kinds)} if kinds else {}
    return relays("GetInstalledCertificateIds", asked, reply=answer)


def deletes(algorithm: str, reply: str = "Accepted") -> Step:
    return relays("DeleteCertificate", {"certificateHashData": HASH | {"hashAlgorithm": algorithm}},
                  reply={"status": reply})  # fmt: skip


CSMS_ROOT, MAKER_ROOT = "CSMSRootCertificate", "ManufacturerRootCertificate"
CERTIFICATES = chosen(
    case("M_01", "Install the CSMS root", BOOT, installs(CSMS_ROOT)),
    case("M_02", "Install the maker's root", BOOT, installs(MAKER_ROOT)),
    case("M_03", "Install the V2G root", BOOT, installs("V2GRootCertificate")),
    case("M_04", "Install the MO root", BOOT, installs("MORootCertificate")),
    case("M_05", "Install, failed", BOOT, installs(CSMS_ROOT, "Failed"), answered(status="Failed")),
    case("M_12", "Retrieve the CSMS root", BOOT, *(retrieves(CSMS_ROOT) for _ in range(3))),
    case("M_13", "Retrieve the maker's root", BOOT, retrieves(MAKER_ROOT)),
    case("M_14", "Retrieve the V2G root", BOOT, retrieves("V2GRootCertificate")),
    case("M_15", "Retrieve the V2G chain", BOOT, retrieves("V2GCertificateChain")),
    case("M_16", "Retrieve the MO root", BOOT, retrieves("MORootCertificate")),
    case("M_17", "Retrieve two kinds", BOOT, retrieves(CSMS_ROOT, MAKER_ROOT)),
    case("M_18", "Retrieve all kinds", BOOT, retrieves()),
    case("M_19", "Retrieve, none found", BOOT, retrieves(MAKER_ROOT, reply="NotFound"), answered(status="NotFound")),
    case("M_20", "Delete", BOOT, installs(CSMS_ROOT), retrieves(CSMS_ROOT),
         *(deletes(a) for a in ("SHA256", "SHA384", "SHA512"))),
    case("M_21", "Delete, failed", BOOT, installs(CSMS_ROOT), retrieves(), deletes("SHA256", "Failed"),
         answered(status="Failed")),
    later("M_24", "Certificate status", ISO15118),
    later("M_26", "Install the vehicle's certificate", ISO15118),
    later("M_28", "Update the vehicle's certificate", ISO15118),
)  # fmt: skip


def monitoring(reply: str = "Accepted", **asked: Any) -> Step:
    return relays("GetMonitoringReport", {"requestId": 7, **asked}, reply={"status": reply})


MONITOR = told("NotifyMonitoringReport", {"requestId": 7, "seqNo": 0, "generatedAt": NOW, "tbc": False, "monitor": [
    {"component": {"name": "EVSE", "evse": {"id": 1}}, "variable": {"name": "AvailabilityState"},
     "variableMonitoring": [{"id": 3, "transaction": False, "value": 1, "type": "Delta", "severity": 4}]}]})  # fmt: skip
EVSE_STATE = {
    "component": {"name": "EVSE", "evse": {"id": 1}},
    "variable": {"name": "AvailabilityState"},
}
POWER = {"component": {"name": "ChargingStation"}, "variable": {"name": "Power"}}


def monitoring_case(first: dict[str, Any], second: dict[str, Any]) -> tuple[Step, ...]:
    return (BOOT, monitoring("EmptyResultSet", **first), monitoring(**second), MONITOR,
            keeps("station_monitors", 1))  # fmt: skip


DELTA, THRESHOLD = ["DeltaMonitoring"], ["ThresholdMonitoring"]


def monitors(*places: dict[str, Any]) -> Step:
    data = [{"value": 1.0, "type": "Delta", "severity": 8, **place} for place in places]
    first = {"setMonitoringData": data[:1]}
    results = [{"id": n, "status": "Accepted", "type": "Delta", "severity": 8, **place}
               for n, place in enumerate(places, 1)]  # fmt: skip

    def reply(payload: dict[str, Any]) -> dict[str, Any]:
        return {"setMonitoringResult": results[: len(payload["setMonitoringData"])]}

    return relays("SetVariableMonitoring", {"setMonitoringData": data}, reply=reply, sent=first)


def three_at_once(payload: dict[str, Any]) -> dict[str, Any]:
    return {"getVariableResult": [{**d, "attributeStatus": "Accepted", "attributeValue": "3"}
                                  for d in payload["getVariableData"]]}  # fmt: skip


def clears(payload: dict[str, Any]) -> dict[str, Any]:
    return {"clearMonitoringResult": [{"status": "Accepted", "id": i} for i in payload["id"]]}


def reply_to(action: str, reply: Any) -> Step:
    return sees(lambda p: p.replies.__setitem__(action, reply) is None)


def customer(
    reply: str = "Accepted", *, report: bool = True, clear: bool = False, **who: Any
) -> Step:
    asked = {"requestId": 7, "report": report, "clear": clear, **(who or {"idToken": GOOD})}
    return relays("CustomerInformation", asked, reply={"status": reply})


def customer_data(text: str) -> Step:
    return told("NotifyCustomerInformation",
                {"requestId": 7, "seqNo": 0, "generatedAt": NOW, "tbc": False, "data": text})  # fmt: skip


def gets_log(kind: str, reply: str = "Accepted") -> Step:
    wire = {"logType": "SecurityLog" if kind == "security" else "DiagnosticsLog", "requestId": ...}
    return asks(Do.GET_LOG, "GetLog", wire, kind=kind, location="https://up.example/x",
                reply={"status": reply}, ok=reply != "Rejected")  # fmt: skip


UPLOADED = steps("LogStatusNotification", "Uploading", "Uploaded")
PERIODIC = notify(
    "EVSE",
    "AvailabilityState",
    "Available",
    trigger="Periodic",
    eventNotificationType="CustomMonitor",
)
DIAGNOSTICS = chosen(
    case("N_01", "Monitors by kind", *monitoring_case(
        {"monitoringCriteria": DELTA}, {"monitoringCriteria": THRESHOLD})),
    case("N_02", "Monitors by variable", *monitoring_case(
        {"componentVariable": [POWER]}, {"componentVariable": [EVSE_STATE]})),
    case("N_03", "Monitors by kind and variable", *monitoring_case(
        {"monitoringCriteria": DELTA, "componentVariable": [EVSE_STATE]},
        {"monitoringCriteria": THRESHOLD, "componentVariable": [POWER]})),
    case("N_05", "Monitoring base", BOOT, *(relays("SetMonitoringBase", {"monitoringBase": b})
                                            for b in ("All", "FactoryDefault", "HardWiredOnly"))),
    case("N_08", "Set one monitor", BOOT, monitors(EVSE_STATE)),
    case("N_09", "Set several monitors", BOOT,
         monitors(EVSE_STATE, {"component": {"name": "ChargingStation"}, "variable": {"name": "AvailabilityState"}}),
         sees(lambda p: len(p.result.answer["setMonitoringResult"]) == 2)),
    case("N_16", "Monitoring level", BOOT, relays("SetMonitoringLevel", {"severity": 4})),
    case("N_17", "Monitoring level out of range", BOOT,
         relays("SetMonitoringLevel", {"severity": 4}, reply={"status": "Rejected"}), answered(status="Rejected")),
    case("N_18", "Clear more monitors than fit", BOOT, reply_to("GetVariables", three_at_once),
         reply_to("ClearVariableMonitoring", clears),
         relays("ClearVariableMonitoring", {"id": [1, 2, 3, 4, 5]}, reply=clears, sent={"id": [1, 2, 3]}),
         sees(lambda p: [s["id"] for s in p.site.station.sent("ClearVariableMonitoring")] == [[1, 2, 3], [4, 5]]),
         sees(lambda p: len(p.result.answer["clearMonitoringResult"]) == 5)),
    case("N_21", "Hard-wired monitor", BOOT, notify("EVSE", "AvailabilityState", "Faulted", trigger="Alerting")),
    case("N_24", "Periodic events", BOOT, PERIODIC, PERIODIC, PERIODIC),
    case("N_25", "Diagnostics log", BOOT, gets_log("diagnostics"), *UPLOADED, knows_job("log", "Uploaded")),
    case("N_27", "Customer information", BOOT, customer(), customer_data("all of it"),
         sees(lambda p: any(k == "station_customer_information" for k, _ in p.book._kept))),
    case("N_28", "Customer information, none", BOOT, customer(), customer_data("")),
    case("N_29", "Customer information, refused", BOOT, customer("Rejected"), answered(status="Rejected")),
    case("N_30", "Customer information cleared and reported", BOOT, customer(clear=True), customer_data("x")),
    case("N_31", "Customer information cleared, none", BOOT, customer(clear=True), customer_data("")),
    case("N_32", "Customer information cleared, no report", BOOT, customer(report=False, clear=True), customer_data("")),
    case("N_34", "Log refused", BOOT, gets_log("diagnostics", "Rejected")),
    case("N_35", "Security log", BOOT, gets_log("security"), *UPLOADED),
    case("N_36", "Second log request", BOOT, gets_log("diagnostics"), *UPLOADED[:1],
         gets_log("diagnostics", "AcceptedCanceled"), *steps("LogStatusNotification", "AcceptedCanceled"), *UPLOADED),
    case("N_44", "Clear a monitor, rejected", BOOT, relays("ClearVariableMonitoring", {"id": [1]}, reply={
        "clearMonitoringResult": [{"status": "Rejected", "id": 1}]}),
         answered(clearMonitoringResult=[{"status": "Rejected"}])),
    case("N_46", "Customer cleared and list updated", BOOT, customer(clear=True), customer_data("x"),
         sends_list("Differential", [{"idToken": GOOD}])),
    case("N_47", "All monitors", BOOT, monitoring(), MONITOR, keeps("station_monitors", 1)),
    case("N_48", "Event of a write-only variable", BOOT, notify("EVSE", "AvailabilityState", "")),
    case("N_49", "Event cleared after a reboot", BOOT, MONITOR,
         notify("EVSE", "AvailabilityState", "Faulted", variableMonitoringId=3), has_condition("MONITOR_3"),
         notify("EVSE", "AvailabilityState", "Available", variableMonitoringId=3, cleared=True),
         sees(lambda p: "MONITOR_3" not in p.book.sink.codes())),
    case("N_50", "Periodic monitor", BOOT, PERIODIC),
    case("N_60", "Monitors by kind and several variables", *monitoring_case(
        {"monitoringCriteria": DELTA, "componentVariable": [POWER, EVSE_STATE]},
        {"monitoringCriteria": THRESHOLD, "componentVariable": [POWER, EVSE_STATE]})),
    case("N_62", "Customer by identifier", BOOT,
         customer(clear=True, customerIdentifier="OpenChargeAlliance"), customer_data("x")),
    case("N_63", "Customer by certificate", BOOT, customer(clear=True, customerCertificate=HASH), customer_data("x")),
)  # fmt: skip

CUSTOM = {"customData": {"vendorId": "tzi.app", "x": 1}}
VENDOR = chosen(
    case("P_02", "Data transfer, vendor unknown", BOOT,
         told("DataTransfer", {"vendorId": "tzi.app", "messageId": "TestMessage"}, status="UnknownVendorId")),
    case("P_03", "Custom data", BOOT, status("Available", **CUSTOM),
         event("Started", "Authorized", token="GOOD", info=CUSTOM, **CUSTOM)),
)  # fmt: skip

EXTRA = chosen(
    case("X_DISPLAY", "Display messages", BOOT,
         relays("SetDisplayMessage", {"message": {"id": 1, "priority": "NormalCycle",
                                                  "message": {"format": "UTF8", "content": "reduced"}}}),
         relays("GetDisplayMessages", {"requestId": 7}), relays("ClearDisplayMessage", {"id": 1}),
         told("NotifyDisplayMessages", {"requestId": 7, "tbc": False}),
         relays("CostUpdated", {"totalCost": 1.0, "transactionId": "x"}, reply={}),
         told("Get15118EVCertificate", {"iso15118SchemaVersion": "x", "action": "Install", "exiRequest": "x"},
              status="Failed"),
         told("GetCertificateStatus", {"ocspRequestData": {**HASH, "responderURL": "http://x"}}, status="Failed"),
         asks(Do.TRANSFER_DATA, "DataTransfer", vendor_id="V")),
)  # fmt: skip
"""Messages that no case of these blocks touches."""

CASES: tuple[Case, ...] = (
    *SECURITY, *PROVISIONING, *AUTHORIZATION, *LOCAL_LIST, *TRANSACTIONS, *REMOTE_CONTROL, *AVAILABILITY,
    *RESERVATION, *METER, *SMART, *FIRMWARE, *CERTIFICATES, *DIAGNOSTICS, *VENDOR,
)  # fmt: skip
