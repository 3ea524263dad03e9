from __future__ import annotations

from typing import Any

import pytest

from adapters.ocpp.dialect import CallError
from controller.commands import ActionRequest, Applied, Rejected, StationAction
from controller.records import TokenStatus
from controller.site import EvseId, StationId
from controller.station import (
    EvseSampled,
    EvseState,
    EvseStateChanged,
    FallbackConfirmed,
    LeaseMode,
    LeaseModeFound,
    StationBooted,
    TransactionChanged,
)
from tests.adapters.ocpp.connections import Connection, V201Dialect, limit, run
from tests.adapters.ocpp.scripted_station import accept_everything, received, stamp

TX = "0a1b2c3d-tx"
EVSE1 = EvseId("CP1/1")


def connected(**options: Any) -> Connection[V201Dialect]:
    return Connection(V201Dialect, **options)


def register(value: float, context: str = "Sample.Periodic") -> dict[str, Any]:
    return {"value": value, "context": context}


def amps(*values: float) -> list[dict[str, Any]]:
    return [
        {"value": a, "measurand": "Current.Import", "phase": f"L{i}"}
        for i, a in enumerate(values, start=1)
    ]


def event(
    site: Connection[V201Dialect],
    kind: str,
    *sampled: dict[str, Any],
    seq_no: int = 0,
    evse: int | None = 1,
    state: str | None = None,
    token: str | None = None,
    type_: str = "ISO14443",
    before_s: float = 0.0,
    **rest: Any,
) -> dict[str, Any]:
    info: dict[str, Any] = {"transactionId": TX}
    if state is not None:
        info["chargingState"] = state
    if kind == "Ended":
        info["stoppedReason"] = "EVDisconnected"
    payload = {
        "eventType": kind,
        "timestamp": stamp(site.clock, before_s),
        "triggerReason": "Trigger",
        "seqNo": seq_no,
        "transactionInfo": info,
        **rest,
    }
    if evse is not None:
        payload["evse"] = {"id": evse, "connectorId": 1}
    if token is not None:
        payload["idToken"] = {"idToken": token, "type": type_}
    if sampled:
        value = {"timestamp": stamp(site.clock, before_s), "sampledValue": list(sampled)}
        payload["meterValue"] = [value]
    return payload


def status(
    site: Connection[V201Dialect], connector_status: str, *, connector: int = 1
) -> dict[str, Any]:
    return {
        "timestamp": stamp(site.clock),
        "connectorStatus": connector_status,
        "evseId": 1,
        "connectorId": connector,
    }


def states(site: Connection[V201Dialect]) -> list[EvseState]:
    return [e.state for e in site.desk.of(EvseStateChanged)]


def test_boot() -> None:
    async def body() -> None:
        site = connected()
        station = {"vendorName": "V", "model": "M", "serialNumber": "S", "firmwareVersion": "3"}
        answer = await site.tell(
            "BootNotification", {"reason": "PowerUp", "chargingStation": station}
        )
        assert answer == {
            "status": "Accepted",
            "currentTime": "2026-01-05T12:00:00Z",
            "interval": 300,
        }
        assert site.desk.of(StationBooted)[0].info.serial == "S"
        assert site.desk.records[0].protocol == "ocpp2.0.1"

    run(body)


def test_a_transaction_from_start_to_end() -> None:
    async def body() -> None:
        site = connected()
        await site.tell("StatusNotification", status(site, "Occupied"))
        begin = register(1000, "Transaction.Begin")
        answer = await site.tell(
            "TransactionEvent",
            event(site, "Started", begin, state="EVConnected", token="CARD"),
        )
        assert answer == {"idTokenInfo": {"status": "Accepted"}}
        site.clock.advance(10)
        update = event(site, "Updated", *amps(10, 0, 0), seq_no=1, state="Charging", evse=None)
        assert await site.tell("TransactionEvent", update) == {}
        site.clock.advance(10)
        end = event(site, "Ended", register(1500, "Transaction.End"), seq_no=2, evse=None)
        await site.tell("TransactionEvent", end)
        await site.tell("StatusNotification", status(site, "Available"))

        last = site.desk.of(TransactionChanged)[-1].transaction
        assert (last.id, last.energy_wh, last.end_reason) == (TX, 500.0, "EVDisconnected")
        assert site.desk.of(EvseSampled)[1].sample.terminal_a == (10.0, 0.0, 0.0)
        assert states(site) == [
            EvseState.CONNECTED,
            EvseState.CONNECTED,
            EvseState.CHARGING,
            EvseState.FINISHING,
            EvseState.AVAILABLE,
        ]

    run(body)


@pytest.mark.parametrize(
    ("charging", "state"),
    [
        ("Charging", EvseState.CHARGING),
        ("EVConnected", EvseState.CONNECTED),
        ("SuspendedEV", EvseState.SUSPENDED_EV),
        ("SuspendedEVSE", EvseState.SUSPENDED_EVSE),
        ("Idle", EvseState.CONNECTED),
    ],
)
def test_charging_states(charging: str, state: EvseState) -> None:
    async def body() -> None:
        site = connected()
        await site.tell("TransactionEvent", event(site, "Started", state=charging))
        assert states(site) == [state]

    run(body)


@pytest.mark.parametrize(
    ("connectors", "state"),
    [
        (["Available"], EvseState.AVAILABLE),
        (["Occupied"], EvseState.CONNECTED),
        (["Reserved"], EvseState.RESERVED),
        (["Unavailable"], EvseState.UNAVAILABLE),
        (["Faulted"], EvseState.FAULTED),
        (["Occupied", "Available"], EvseState.CONNECTED),
        (["Faulted", "Available"], EvseState.FAULTED),
        (["Unavailable", "Available"], EvseState.UNAVAILABLE),
    ],
)
def test_connector_states(connectors: list[str], state: EvseState) -> None:
    async def body() -> None:
        site = connected()
        for number, connector in enumerate(connectors, start=1):
            await site.tell("StatusNotification", status(site, connector, connector=number))
        assert states(site)[-1] is state

    run(body)


def test_a_problem_becomes_the_error_code_until_it_is_over() -> None:
    async def body() -> None:
        site = connected()

        def problem(value: str) -> dict[str, Any]:
            data = {
                "eventId": 1,
                "timestamp": stamp(site.clock),
                "trigger": "Alerting",
                "actualValue": value,
                "eventNotificationType": "HardWiredNotification",
                "component": {"name": "Connector", "evse": {"id": 1}},
                "variable": {"name": "Problem"},
            }
            return {"generatedAt": stamp(site.clock), "seqNo": 0, "eventData": [data]}

        await site.tell("NotifyEvent", problem("true"))
        await site.tell("NotifyEvent", problem("false"))
        codes = [e.error_code for e in site.desk.of(EvseStateChanged)]
        assert codes == ["Connector.Problem", None]

    run(body)


def test_offline_events_are_booked_and_drive_nothing() -> None:
    async def body() -> None:
        site = connected()
        late = event(site, "Started", register(5), *amps(9, 9, 9), state="Charging", offline=True)
        await site.tell("TransactionEvent", late)
        stale = event(site, "Updated", *amps(9, 9, 9), state="SuspendedEV", before_s=120.0)
        await site.tell("TransactionEvent", stale)
        assert site.desk.opened[0].offline
        assert site.desk.of(EvseSampled) == []
        assert states(site) == []
        assert len(site.desk.of(TransactionChanged)) == 1

    run(body)


def test_an_update_of_an_unknown_transaction_opens_it() -> None:
    async def body() -> None:
        site = connected()
        update = event(site, "Updated", register(700), *amps(16, 16, 16), state="Charging")
        await site.tell("TransactionEvent", update)
        assert site.desk.of(TransactionChanged)[0].transaction.id == TX
        assert states(site) == [EvseState.CHARGING]

    run(body)


def test_a_start_without_an_evse_waits_for_the_event_that_names_it() -> None:
    async def body() -> None:
        site = connected()
        start = event(site, "Started", evse=None, token="CARD")
        assert (await site.tell("TransactionEvent", start))["idTokenInfo"] == {"status": "Accepted"}
        assert site.desk.opened == []
        await site.tell("TransactionEvent", event(site, "Updated", evse=2, seq_no=1))
        assert [o.evse for o in site.desk.opened] == ["CP1/2"]

    run(body)


def test_on_a_station_with_one_evse_it_is_that_one() -> None:
    async def body() -> None:
        site = connected(evses=1)
        await site.tell("TransactionEvent", event(site, "Started", evse=None))
        assert [o.evse for o in site.desk.opened] == ["CP1/1"]

    run(body)


@pytest.mark.parametrize(
    ("status_", "wire"),
    [
        (TokenStatus.ACCEPTED, "Accepted"),
        (TokenStatus.BLOCKED, "Blocked"),
        (TokenStatus.EXPIRED, "Expired"),
        (TokenStatus.INVALID, "Invalid"),
        (TokenStatus.CONCURRENT_TX, "ConcurrentTx"),
    ],
)
def test_tokens(status_: TokenStatus, wire: str) -> None:
    async def body() -> None:
        site = connected(tokens={"CARD": status_})
        token = {"idToken": {"idToken": "CARD", "type": "ISO15693"}}
        expected = {"idTokenInfo": {"status": wire}}
        assert await site.tell("Authorize", token) == expected
        start = event(site, "Started", token="CARD")
        assert await site.tell("TransactionEvent", start) == expected

    run(body)


def test_without_authorization_there_is_nobody_to_ask_for() -> None:
    async def body() -> None:
        site = connected(tokens={"": TokenStatus.BLOCKED})
        start = event(site, "Started", token="", type_="NoAuthorization")
        answer = await site.tell("TransactionEvent", start)
        assert answer == {"idTokenInfo": {"status": "Accepted"}}
        assert site.desk.opened[0].id_token is None

    run(body)


def test_meter_values_outside_a_transaction_event() -> None:
    async def body() -> None:
        site = connected()
        value = {"timestamp": stamp(site.clock), "sampledValue": amps(1, 2, 3)}
        assert await site.tell("MeterValues", {"evseId": 1, "meterValue": [value]}) == {}
        assert await site.tell("MeterValues", {"evseId": 0, "meterValue": [value]}) == {}
        assert [s.sample.terminal_a for s in site.desk.of(EvseSampled)] == [(1.0, 2.0, 3.0)]

    run(body)


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("Heartbeat", {}),
        ("DataTransfer", {"vendorId": "x"}),
        (
            "Get15118EVCertificate",
            {"iso15118SchemaVersion": "x", "action": "Install", "exiRequest": "x"},
        ),
        ("NotifyReport", {"requestId": 1, "generatedAt": "2026-01-05T12:00:00Z", "seqNo": 0}),
        ("ReservationStatusUpdate", {"reservationId": 1, "reservationUpdateStatus": "Expired"}),
        ("SignCertificate", {"csr": "x"}),
        (
            "SecurityEventNotification",
            {"type": "SettingSystemTime", "timestamp": "2026-01-05T12:00:00Z"},
        ),
    ],
)
def test_polite_answers(action: str, payload: dict[str, Any]) -> None:
    async def body() -> None:
        site = connected()
        await site.tell(action, payload)
        assert site.desk.events == []

    run(body)


@pytest.mark.parametrize("action", ["Nonsense", "StartTransaction", "RequestStartTransaction"])
def test_an_unknown_action_is_not_implemented(action: str) -> None:
    async def body() -> None:
        site = connected()
        with pytest.raises(CallError) as caught:
            await site.dialect.on_call(action, {}, received(site.clock))
        assert caught.value.code == "NotImplemented"

    run(body)


def test_provisioning_and_a_lease() -> None:
    async def body() -> None:
        site = connected()
        await site.provision()
        assert [e.evse for e in site.desk.of(FallbackConfirmed)] == ["CP1/1", "CP1/2"]
        assert site.desk.of(LeaseModeFound)[-1].mode is LeaseMode.LEASED
        assert await site.dialect.apply(limit(16.0, TX)) == Applied(self_expiring=True)
        profile = site.profiles()[-1]
        assert profile["transactionId"] == TX
        assert profile["validTo"] == "2026-01-05T12:05:00Z"
        assert profile["chargingSchedule"][0]["duration"] == 360

    run(body)


def test_a_transaction_id_is_never_left_out() -> None:
    async def body() -> None:
        def script(action: str, payload: dict[str, Any]) -> Any:
            if action == "SetChargingProfile" and "TxProfile" in str(payload):
                info = {"reasonCode": "InvalidProfile"}
                return {"status": "Rejected", "statusInfo": info}
            return accept_everything(action, payload)

        site = connected(script=script)
        first = await site.dialect.apply(limit(16.0, TX))
        assert first == Rejected(reason="Rejected InvalidProfile")
        await site.dialect.apply(limit(16.0, TX))
        tx = [p for p in site.profiles() if p["chargingProfilePurpose"] == "TxProfile"]
        assert all(p["transactionId"] == TX for p in tx)
        assert site.desk.of(LeaseModeFound)[-1].mode is LeaseMode.PERMANENT

    run(body)


@pytest.mark.parametrize(
    ("action", "argument", "name", "payload"),
    [
        (StationAction.STOP, TX, "RequestStopTransaction", {"transactionId": TX}),
        (StationAction.UNLOCK, "", "UnlockConnector", {"evseId": 1, "connectorId": 1}),
        (StationAction.SOFT_RESET, "", "Reset", {"type": "OnIdle", "evseId": 1}),
        (StationAction.HARD_RESET, "", "Reset", {"type": "Immediate", "evseId": 1}),
        (
            StationAction.TRIGGER_STATUS,
            "",
            "TriggerMessage",
            {"requestedMessage": "StatusNotification", "evse": {"id": 1, "connectorId": 1}},
        ),
        (
            StationAction.TRIGGER_METER_VALUES,
            "",
            "TriggerMessage",
            {"requestedMessage": "MeterValues", "evse": {"id": 1}},
        ),
    ],
)
def test_actions(action: StationAction, argument: str, name: str, payload: dict[str, Any]) -> None:
    async def body() -> None:
        site = connected()
        request = ActionRequest(
            station=StationId("CP1"), evse=EVSE1, action=action, argument=argument
        )
        assert await site.dialect.act(request) == Applied(self_expiring=False)
        assert site.station.calls == [(name, payload)]

    run(body)


def test_remote_start() -> None:
    async def body() -> None:
        site = connected()
        request = ActionRequest(
            station=StationId("CP1"), evse=EVSE1, action=StationAction.START, argument="CARD"
        )
        assert await site.dialect.act(request) == Applied(self_expiring=False)
        sent = site.station.sent("RequestStartTransaction")[0]
        assert sent["evseId"] == 1
        assert sent["idToken"] == {"idToken": "CARD", "type": "Central"}
        assert 1 <= sent["remoteStartId"] < 2**31

    run(body)
