from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from adapters.ocpp.dialect import CallError, CallFailed
from controller.commands import (
    ActionRequest,
    Applied,
    NotConnected,
    Rejected,
    StationAction,
    TimedOut,
)
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
    StationHeard,
    TransactionChanged,
)
from tests.adapters.ocpp.connections import QUICK, Connection, V16Dialect, limit, run
from tests.adapters.ocpp.scripted_station import accept_everything, received, stamp

BOOT = {"chargePointVendor": "V", "chargePointModel": "M", "firmwareVersion": "1.2"}


def connected(**options: Any) -> Connection[V16Dialect]:
    return Connection(V16Dialect, **options)


def rejecting(*refused: str) -> Any:
    """Refuse SetChargingProfile whose text holds one of the words."""

    def script(action: str, payload: dict[str, Any]) -> Any:
        if action == "SetChargingProfile" and any(word in str(payload) for word in refused):
            return {"status": "Rejected"}
        return accept_everything(action, payload)

    return script


def meter_values(
    site: Connection[V16Dialect], *sampled: dict[str, str], before_s: float = 0.0, **rest: Any
) -> dict[str, Any]:
    value = {"timestamp": stamp(site.clock, before_s), "sampledValue": list(sampled)}
    return {"connectorId": 1, "meterValue": [value], **rest}


def start(site: Connection[V16Dialect], before_s: float = 0.0) -> dict[str, Any]:
    return {
        "connectorId": 1,
        "idTag": "CARD",
        "meterStart": 100,
        "timestamp": stamp(site.clock, before_s),
    }


AMPS = {"value": "10", "measurand": "Current.Import", "phase": "L1"}


def test_boot_is_accepted_stored_and_reported() -> None:
    async def body() -> None:
        site = connected()
        answer = await site.tell("BootNotification", BOOT)
        assert answer == {
            "status": "Accepted",
            "currentTime": "2026-01-05T12:00:00Z",
            "interval": 300,
        }
        assert site.desk.records[0].firmware == "1.2"
        assert site.desk.of(StationBooted)[0].info.vendor == "V"

    run(body)


def test_an_unknown_station_is_rejected() -> None:
    async def body() -> None:
        site = connected(evses=0)
        assert (await site.tell("BootNotification", BOOT))["status"] == "Rejected"
        assert site.desk.events == []

    run(body)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("Available", EvseState.AVAILABLE),
        ("Preparing", EvseState.CONNECTED),
        ("Charging", EvseState.CHARGING),
        ("SuspendedEVSE", EvseState.SUSPENDED_EVSE),
        ("SuspendedEV", EvseState.SUSPENDED_EV),
        ("Finishing", EvseState.FINISHING),
        ("Reserved", EvseState.RESERVED),
        ("Unavailable", EvseState.UNAVAILABLE),
        ("Faulted", EvseState.FAULTED),
    ],
)
def test_states(status: str, state: EvseState) -> None:
    async def body() -> None:
        site = connected()
        payload = {"connectorId": 2, "errorCode": "HighTemperature", "status": status}
        await site.tell("StatusNotification", {**payload, "vendorErrorCode": "E7", "info": "hot"})
        assert site.desk.events == [
            EvseStateChanged(
                evse=EvseId("CP1/2"), state=state, error_code="HighTemperature", text="E7 hot"
            )
        ]

    run(body)


@pytest.mark.parametrize("connector", [0, 9])
def test_connector_0_and_unknown_ones_are_no_evse(connector: int) -> None:
    async def body() -> None:
        site = connected()
        payload = {"connectorId": connector, "errorCode": "NoError", "status": "Available"}
        assert await site.tell("StatusNotification", payload) == {}
        assert site.desk.events == []

    run(body)


def test_a_transaction_from_start_to_stop() -> None:
    async def body() -> None:
        site = connected()
        answer = await site.tell("StartTransaction", start(site))
        assert answer == {"transactionId": 1000002, "idTagInfo": {"status": "Accepted"}}
        again = await site.tell("StartTransaction", start(site))
        assert again["transactionId"] == 1000002
        stop = {"transactionId": 1000002, "meterStop": 900, "timestamp": stamp(site.clock)}
        assert await site.tell("StopTransaction", {**stop, "reason": "EVDisconnected"}) == {}
        last = site.desk.of(TransactionChanged)[-1].transaction
        assert (last.energy_wh, last.end_reason) == (800.0, "EVDisconnected")

    run(body)


def test_a_blocked_token_is_told_so() -> None:
    async def body() -> None:
        site = connected(tokens={"CARD": TokenStatus.BLOCKED})
        blocked = {"idTagInfo": {"status": "Blocked"}}
        assert await site.tell("Authorize", {"idTag": "CARD"}) == blocked
        answer = await site.tell("StartTransaction", start(site))
        assert answer["idTagInfo"] == {"status": "Blocked"}

    run(body)


@pytest.mark.parametrize("number", [-1, 0, 77])
def test_a_stop_is_always_accepted(number: int) -> None:
    async def body() -> None:
        site = connected()
        stop = {"transactionId": number, "meterStop": 1, "timestamp": "never", "idTag": "CARD"}
        answer = await site.tell("StopTransaction", stop)
        assert answer == {"idTagInfo": {"status": "Accepted"}}

    run(body)


def test_a_stop_without_an_id_ends_the_only_transaction() -> None:
    async def body() -> None:
        site = connected()
        await site.tell("StartTransaction", start(site))
        data = [
            {
                "timestamp": stamp(site.clock),
                "sampledValue": [{"value": "0.7", "unit": "kWh", "context": "Transaction.End"}],
            }
        ]
        stop = {"transactionId": -1, "meterStop": 0, "timestamp": stamp(site.clock)}
        await site.tell("StopTransaction", {**stop, "transactionData": data})
        assert [(c.id, c.meter_wh) for c in site.desk.closed] == [("1000002", 700.0)]
        assert site.desk.of(EvseSampled) == []

    run(body)


def test_live_values_become_a_sample_and_a_note() -> None:
    async def body() -> None:
        site = connected()
        await site.tell("StartTransaction", start(site))
        await site.tell("MeterValues", meter_values(site, AMPS, transactionId=1000002))
        assert site.desk.of(EvseSampled)[0].sample.terminal_a == (10.0, 10.0, 10.0)
        assert site.desk.of(StationHeard)[-1].clock_skew_s == 0.0

    run(body)


def test_a_running_transaction_is_noted_once_a_minute() -> None:
    async def body() -> None:
        site = connected()
        await site.tell("StartTransaction", start(site))
        for _ in range(12):
            site.clock.advance(10)
            await site.tell("MeterValues", meter_values(site, AMPS, transactionId=1000002))
        assert len(site.desk.noted) == 2

    run(body)


def test_queued_values_never_become_samples() -> None:
    async def body() -> None:
        site = connected()
        for before_s in (600.0, 590.0, 580.0, 25.0):
            await site.tell("MeterValues", meter_values(site, AMPS, before_s=before_s))
        assert site.desk.of(EvseSampled) == []

    run(body)


def test_values_from_before_the_connection_are_not_live() -> None:
    async def body() -> None:
        site = connected()
        await site.tell("MeterValues", meter_values(site, AMPS, before_s=10.0))
        assert site.desk.of(EvseSampled) == []

    run(body)


def test_a_wrong_clock_is_learned_from_steady_values() -> None:
    async def body() -> None:
        site = connected()
        for _ in range(4):
            site.clock.advance(10)
            await site.tell("MeterValues", meter_values(site, AMPS, before_s=7200.0))
        assert site.desk.of(StationHeard)[-1].clock_skew_s == -7200.0
        assert len(site.desk.of(EvseSampled)) == 3

    run(body)


def test_a_burst_from_the_queue_does_not_move_the_clock() -> None:
    async def body() -> None:
        site = connected()
        await site.tell("MeterValues", meter_values(site, AMPS))
        for i in range(30):
            await site.tell("MeterValues", meter_values(site, AMPS, before_s=300.0 - i))
        assert site.desk.of(StationHeard)[-1].clock_skew_s == 0.0
        assert len(site.desk.of(EvseSampled)) == 1

    run(body)


def test_an_energy_message_does_not_push_out_a_measured_current() -> None:
    async def body() -> None:
        site = connected()
        await site.tell("MeterValues", meter_values(site, AMPS, {"value": "100"}))
        site.clock.advance(5)
        await site.tell("MeterValues", meter_values(site, {"value": "110"}))
        assert len(site.desk.of(EvseSampled)) == 1

    run(body)


def test_energy_alone_becomes_a_current_by_its_slope() -> None:
    async def body() -> None:
        site = connected()
        for register in range(0, 200, 20):
            await site.tell("MeterValues", meter_values(site, {"value": str(register)}))
            site.clock.advance(10)
        sample = site.desk.of(EvseSampled)[-1].sample
        assert sample.power_w == pytest.approx(7200.0)
        assert sample.terminal_a == pytest.approx((10.43, 10.43, 10.43), abs=0.01)

    run(body)


def test_a_register_in_kwh_called_wh_is_found_out() -> None:
    async def body() -> None:
        site = connected()
        power = {"value": "11000", "measurand": "Power.Active.Import"}
        for i in range(10):
            value = {"value": f"{500 + i * 0.0306:.4f}"}
            await site.tell("MeterValues", meter_values(site, value, power))
            site.clock.advance(10)
        assert site.desk.of(EvseSampled)[-1].sample.energy_wh == pytest.approx(500_275, abs=1)

    run(body)


def test_a_vehicle_that_starts_does_not_make_the_register_look_wrong() -> None:
    async def body() -> None:
        site = connected()
        course = [(500.0, 0), (500.0, 0), (500.01, 0), (500.1, 11000), (530.0, 11000)]
        for register, power_w in course:
            power = {"value": str(power_w), "measurand": "Power.Active.Import"}
            await site.tell("MeterValues", meter_values(site, {"value": str(register)}, power))
            site.clock.advance(10)
        assert site.desk.of(EvseSampled)[-1].sample.energy_wh == 530.0

    run(body)


@pytest.mark.parametrize(
    ("action", "payload", "answer"),
    [
        ("Heartbeat", {}, {"currentTime": "2026-01-05T12:00:00Z"}),
        ("DataTransfer", {"vendorId": "x"}, {"status": "UnknownVendorId"}),
        ("DiagnosticsStatusNotification", {"status": "Idle"}, {}),
        ("FirmwareStatusNotification", {"status": "Idle"}, {}),
        ("SignedFirmwareStatusNotification", {"status": "Idle"}, {}),
        ("LogStatusNotification", {"status": "Idle"}, {}),
        ("SignCertificate", {"csr": "x"}, {"status": "Rejected"}),
        (
            "SecurityEventNotification",
            {"type": "SettingSystemTime", "timestamp": "2026-01-05T12:00:00Z"},
            {},
        ),
    ],
)
def test_polite_answers(action: str, payload: dict[str, Any], answer: dict[str, Any]) -> None:
    async def body() -> None:
        assert answer == await connected().tell(action, payload)

    run(body)


@pytest.mark.parametrize("action", ["Nonsense", "SetChargingProfile", "TransactionEvent"])
def test_an_unknown_action_is_not_implemented(action: str) -> None:
    async def body() -> None:
        site = connected()
        with pytest.raises(CallError) as caught:
            await site.dialect.on_call(action, {}, received(site.clock))
        assert caught.value.code == "NotImplemented"

    run(body)


# --- limits -----------------------------------------------------------------------------------------


def test_provisioning_reports_fallbacks_and_the_mode() -> None:
    async def body() -> None:
        site = connected()
        await site.provision()
        assert site.desk.events == [
            FallbackConfirmed(evse=EvseId("CP1/1"), fallback_a=6.0),
            FallbackConfirmed(evse=EvseId("CP1/2"), fallback_a=6.0),
            LeaseModeFound(station=StationId("CP1"), mode=LeaseMode.LEASED),
        ]

    run(body)


def test_a_boot_provisions_again() -> None:
    async def body() -> None:
        site = connected()
        task = asyncio.ensure_future(site.dialect.on_open())
        await asyncio.sleep(0.02)
        site.clock.advance(100)
        await site.tell("BootNotification", BOOT)
        await asyncio.sleep(0.02)
        assert len(site.desk.of(FallbackConfirmed)) == 4
        task.cancel()

    run(body)


def test_the_boot_we_asked_for_does_not() -> None:
    async def body() -> None:
        site = connected()
        task = asyncio.ensure_future(site.dialect.on_open())
        await asyncio.sleep(0.02)
        await site.tell("BootNotification", BOOT)
        await asyncio.sleep(0.02)
        assert len(site.desk.of(FallbackConfirmed)) == 2
        task.cancel()

    run(body)


def test_a_limit_is_a_lease() -> None:
    async def body() -> None:
        site = connected()
        assert await site.dialect.apply(limit(16.0)) == Applied(self_expiring=True)
        profile = site.profiles()[0]
        assert profile["chargingProfilePurpose"] == "TxProfile"
        assert profile["transactionId"] == 1000002
        assert profile["validTo"] == "2026-01-05T12:05:00Z"
        assert site.station.replaces == ["limit:CP1/1"]

    run(body)


def test_valid_to_follows_the_stations_clock() -> None:
    async def body() -> None:
        site = connected()
        await site.tell("MeterValues", meter_values(site, AMPS, before_s=-30.0))
        await site.dialect.apply(limit(16.0))
        assert site.profiles()[0]["validTo"] == "2026-01-05T12:05:30Z"

    run(body)


def test_a_clock_too_far_off_takes_no_lease() -> None:
    async def body() -> None:
        site = connected()
        await site.provision()
        await site.tell("MeterValues", meter_values(site, AMPS, before_s=-76.0))
        assert await site.dialect.apply(limit(16.0)) == Applied(self_expiring=False)
        assert "validTo" not in site.profiles()[-1]
        assert site.desk.of(LeaseModeFound)[-1].mode is LeaseMode.PERMANENT

    run(body)


def test_decreases_are_urgent() -> None:
    async def body() -> None:
        site = connected()
        for limit_a in (16.0, 20.0, 10.0, 10.0, 0.0):
            await site.dialect.apply(limit(limit_a))
        assert site.station.urgent == [False, False, True, False, True]

    run(body)


def test_a_refused_form_gives_way_to_the_next_and_the_good_one_is_remembered() -> None:
    async def body() -> None:
        site = connected(script=rejecting("'transactionId'"))
        assert isinstance(await site.dialect.apply(limit(16.0)), Rejected)
        assert len(site.profiles()) == 3
        assert await site.dialect.apply(limit(16.0)) == Applied(self_expiring=True)
        sent = len(site.profiles())
        assert await site.dialect.apply(limit(15.0)) == Applied(self_expiring=True)
        assert len(site.profiles()) == sent + 1
        assert "transactionId" not in site.profiles()[-1]

    run(body)


def test_a_station_without_tx_profiles_holds_the_limit_as_its_default() -> None:
    async def body() -> None:
        site = connected(script=rejecting("TxProfile"))
        await site.provision()
        results = [await site.dialect.apply(limit(16.0)) for _ in range(3)]
        assert results[-1] == Applied(self_expiring=False)
        assert site.desk.of(LeaseModeFound)[-1].mode is LeaseMode.PERMANENT
        assert site.desk.of(FallbackConfirmed)[-1].fallback_a == 16.0
        # Without a transaction the fallback is put back.
        assert await site.dialect.apply(limit(6.0, None)) == Applied(self_expiring=False)
        assert site.desk.of(FallbackConfirmed)[-1].fallback_a == 6.0

    run(body)


def test_a_lease_puts_the_fallback_back_below_it() -> None:
    async def body() -> None:
        site = connected(script=rejecting("TxProfile"))
        await site.provision()
        while await site.dialect.apply(limit(16.0)) != Applied(self_expiring=False):
            pass
        site.station.script = accept_everything
        site.dialect.capabilities.limit_form = None
        assert await site.dialect.apply(limit(16.0, "1000003")) == Applied(self_expiring=True)
        purposes = [p["chargingProfilePurpose"] for p in site.profiles()[-2:]]
        assert purposes == ["TxProfile", "TxDefaultProfile"]
        assert site.desk.of(FallbackConfirmed)[-1].fallback_a == 6.0
        assert site.desk.of(LeaseModeFound)[-1].mode is LeaseMode.LEASED

    run(body)


def test_a_station_that_refuses_everything_is_uncontrollable() -> None:
    async def body() -> None:
        site = connected(script=rejecting("Tx"))
        results = [await site.dialect.apply(limit(16.0)) for _ in range(3)]
        assert all(isinstance(r, Rejected) for r in results)
        assert site.desk.of(LeaseModeFound)[-1].mode is LeaseMode.UNCONTROLLABLE

    run(body)


def test_one_refusal_does_not_cost_a_station_its_leases() -> None:
    async def body() -> None:
        site = connected()
        await site.dialect.apply(limit(16.0))
        site.station.script = rejecting("TxProfile")
        assert isinstance(await site.dialect.apply(limit(10.0)), Rejected)
        assert "TxDefaultProfile" not in str(site.profiles())
        site.station.script = accept_everything
        assert await site.dialect.apply(limit(10.0)) == Applied(self_expiring=True)

    run(body)


@pytest.mark.parametrize(
    ("failed", "result"),
    [
        (CallFailed("timeout"), TimedOut()),
        (CallFailed("closed", "ConnectionClosed"), TimedOut()),
        (CallFailed("closed", "Superseded"), NotConnected()),
        (CallFailed("closed", "OutboxFull"), NotConnected()),
        (CallFailed("invalid", "FormationViolation"), TimedOut()),
        (CallFailed("error", "NotSupported", "no"), Rejected(reason="NotSupported no")),
    ],
)
def test_failed_calls(failed: CallFailed, result: object) -> None:
    async def body() -> None:
        site = connected(script=lambda action, payload: failed)
        assert result == await site.dialect.apply(limit(16.0))
        assert len(site.profiles()) == 1

    run(body)


def test_a_command_never_takes_longer_than_its_time() -> None:
    async def body() -> None:
        site = connected(timeout_s=0.01)

        async def never(*args: object, **rest: object) -> dict[str, Any]:
            await asyncio.sleep(60)
            return {}

        site.station.call = never  # type: ignore[method-assign,assignment]
        assert await site.dialect.apply(limit(16.0)) == TimedOut()

    run(body)


@pytest.mark.parametrize(
    ("limit_a", "result", "sent"),
    [
        (6.0, Applied(self_expiring=False), []),
        (0.0, Applied(self_expiring=False), [0.0]),
        (16.0, None, []),
    ],
)
def test_without_a_transaction(limit_a: float, result: object, sent: list[float]) -> None:
    async def body() -> None:
        site = connected()
        await site.provision()
        before = len(site.profiles())
        answer = await site.dialect.apply(limit(limit_a, None))
        assert answer == result or (result is None and isinstance(answer, Rejected))
        new = site.profiles()[before:]
        assert [p["chargingProfilePurpose"] for p in new] == ["TxDefaultProfile"] * len(sent)
        periods = [p["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] for p in new]
        assert sent == periods

    run(body)


@pytest.mark.parametrize("limit_a", [float("nan"), -1.0, float("inf")])
def test_nonsense_is_never_sent(limit_a: float) -> None:
    async def body() -> None:
        site = connected()
        assert isinstance(await site.dialect.apply(limit(limit_a)), Rejected)
        assert isinstance(await site.dialect.apply(limit(10.0, evse="CP1/7")), Rejected)
        assert site.station.calls == []

    run(body)


def test_a_limit_waits_until_the_start_is_answered() -> None:
    async def body() -> None:
        site = connected(answer_delay_s=0.05)
        order: list[str] = []
        opened = site.desk.open_transaction

        async def hasty(transaction: Any) -> Any:
            receipt = await opened(transaction)
            asyncio.get_running_loop().call_soon(tasks.append, asyncio.ensure_future(lower()))
            await asyncio.sleep(0)
            return receipt

        async def lower() -> None:
            await asyncio.sleep(0.01)
            await site.dialect.apply(limit(10.0))
            order.append("limit")

        tasks: list[Any] = []
        site.desk.open_transaction = hasty  # type: ignore[method-assign]
        await site.tell("StartTransaction", start(site))
        order.append("answer")
        await asyncio.sleep(0.02)
        assert order == ["answer"]
        await asyncio.gather(*tasks)
        assert order == ["answer", "limit"]

    run(body)


def test_a_limit_for_an_ended_transaction_is_not_sent() -> None:
    async def body() -> None:
        site = connected()
        await site.tell("StartTransaction", start(site))
        stop = {"transactionId": 1000002, "meterStop": 900, "timestamp": stamp(site.clock)}
        await site.tell("StopTransaction", stop)
        assert isinstance(await site.dialect.apply(limit(10.0)), Rejected)
        assert site.profiles() == []

    run(body)


def test_an_older_commands_retry_never_overtakes_a_newer_command() -> None:
    async def body() -> None:
        site = connected()
        gate = asyncio.Event()
        sent: list[float] = []

        async def call(action: str, payload: dict[str, Any], **rest: Any) -> dict[str, Any]:
            schedule = payload["csChargingProfiles"]["chargingSchedule"]
            limit_a = schedule["chargingSchedulePeriod"][0]["limit"]
            sent.append(limit_a)
            if limit_a == 16.0:
                await gate.wait()
                return {"status": "Rejected"}
            return {"status": "Accepted"}

        site.station.call = call  # type: ignore[method-assign,assignment]
        older = asyncio.ensure_future(site.dialect.apply(limit(16.0)))
        await asyncio.sleep(0)
        await site.dialect.apply(limit(6.0))
        gate.set()
        assert await older == NotConnected()
        assert sent == [16.0, 6.0]

    run(body)


def test_the_first_limit_is_read_back_once() -> None:
    async def body() -> None:
        site = connected()
        task = asyncio.ensure_future(site.dialect.on_open())
        for limit_a in (16.0, 10.0):
            await asyncio.sleep(0.02)
            await site.dialect.apply(limit(limit_a))
        await asyncio.sleep(0.02)
        task.cancel()
        assert len(site.station.sent("GetCompositeSchedule")) == 1

    run(body)


# --- actions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "argument", "call"),
    [
        (
            StationAction.START,
            "CARD",
            ("RemoteStartTransaction", {"connectorId": 1, "idTag": "CARD"}),
        ),
        (StationAction.STOP, "12", ("RemoteStopTransaction", {"transactionId": 12})),
        (StationAction.UNLOCK, "", ("UnlockConnector", {"connectorId": 1})),
        (StationAction.SOFT_RESET, "", ("Reset", {"type": "Soft"})),
        (StationAction.HARD_RESET, "", ("Reset", {"type": "Hard"})),
        (
            StationAction.TRIGGER_STATUS,
            "",
            ("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 1}),
        ),
        (
            StationAction.TRIGGER_METER_VALUES,
            "",
            ("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 1}),
        ),
    ],
)
def test_actions(action: StationAction, argument: str, call: Any) -> None:
    async def body() -> None:
        site = connected()
        request = ActionRequest(
            station=StationId("CP1"), evse=EvseId("CP1/1"), action=action, argument=argument
        )
        assert await site.dialect.act(request) == Applied(self_expiring=False)
        assert site.station.calls == [call]

    run(body)


def test_a_station_that_takes_no_triggers_is_not_asked_for_meter_values() -> None:
    """It answers none at all: three silences would end its connection."""

    async def body() -> None:
        site = Connection(V16Dialect, quirks=replace(QUICK, takes_triggers=False))
        request = ActionRequest(
            station=StationId("CP1"),
            evse=EvseId("CP1/1"),
            action=StationAction.TRIGGER_METER_VALUES,
        )
        await site.tell("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
        await site.provision()
        assert isinstance(await site.dialect.act(request), Rejected)
        assert site.station.sent("TriggerMessage") == []

    run(body)


@pytest.mark.parametrize(
    ("action", "argument"),
    [(StationAction.START, ""), (StationAction.START, "x" * 21), (StationAction.STOP, "")],
)
def test_impossible_actions(action: StationAction, argument: str) -> None:
    async def body() -> None:
        site = connected()
        request = ActionRequest(
            station=StationId("CP1"), evse=EvseId("CP1/1"), action=action, argument=argument
        )
        assert isinstance(await site.dialect.act(request), Rejected)
        assert site.station.calls == []

    run(body)


def test_stop_without_an_id_stops_what_runs() -> None:
    async def body() -> None:
        site = connected()
        await site.tell("StartTransaction", start(site))
        request = ActionRequest(
            station=StationId("CP1"), evse=EvseId("CP1/1"), action=StationAction.STOP
        )
        await site.dialect.act(request)
        assert site.station.calls == [("RemoteStopTransaction", {"transactionId": 1000002})]

    run(body)
