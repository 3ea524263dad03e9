"""Stations and meter on real sockets, against a small controller that validates every frame."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from adapters.simulator import firmware, station_common, uplink, uptime
from adapters.simulator.charger import ChargerState
from adapters.simulator.habits import StationHabits
from adapters.simulator.meter import MeterFault
from adapters.simulator.scenario import FULL_POWER, Scenario
from adapters.simulator.wire import WireSimulator
from controller.phases import Phase
from controller.site import EvseId, Site, StationId
from tests.adapters.simulator.csms import CALLERROR, Csms, Json, timestamp
from tests.adapters.simulator.sites import MAIN, a_site, an_evse

STATION = StationId("CP001")
EVSE = EvseId("CP001/1")
VERSIONS = ("ocpp1.6", "ocpp2.0.1")
TICK_S = 0.04
PHYSICS_SPEED = 10.0
CAR = replace(FULL_POWER, ramp_a_per_s=100.0, card="04A1B2C3D4E5F6")

Test = Callable[[Csms, WireSimulator], Awaitable[None]]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uplink, "BACKOFF_FIRST_S", 0.1)
    monkeypatch.setattr(station_common, "AUTHORISE_AFTER_S", 0.1)
    monkeypatch.setattr(uptime, "RESET_AFTER_S", 0.2)
    monkeypatch.setattr(uptime, "REBOOT_S", 0.3)
    monkeypatch.setattr(firmware, "STAGE_S", 0.1)


def run(
    test: Test,
    *,
    version: str,
    habits: StationHabits | None = None,
    site: Site | None = None,
    card_status: str = "Accepted",
    boot_status: str = "Accepted",
) -> None:
    async def body() -> None:
        csms = Csms()
        csms.card_status = card_status
        csms.boot_status = boot_status
        await csms.start()
        chosen = site or a_site(an_evse())
        simulator = WireSimulator(
            site=chosen,
            ocpp_url=csms.url,
            secrets={STATION: "a secret"},
            scenario=Scenario(name="test", habits={} if habits is None else {0: habits}),
            seed=1,
            protocols=dict.fromkeys(chosen.stations, version),
            tick_s=TICK_S,
            speed=PHYSICS_SPEED,
        )
        await simulator.start()
        try:
            first = "StatusNotification" if boot_status == "Accepted" else "BootNotification"
            await csms.until(lambda: csms.of(STATION, first))
            await test(csms, simulator)
        finally:
            await simulator.stop()
            await csms.stop()
        assert csms.errors == []

    asyncio.run(body())


def current_a(simulator: WireSimulator) -> float:
    return simulator.truth().evses[EVSE].grid_a.l1_a


async def start_charging(csms: Csms, simulator: WireSimulator) -> str:
    """Plug a vehicle in and return the id of its transaction."""
    simulator.plug_in(EVSE, CAR)
    await csms.until(lambda: current_a(simulator) == 32.0)
    session = simulator.stations[STATION].outlets[1].transaction
    assert session is not None
    return session.id


async def set_profile(
    csms: Csms,
    version: str,
    purpose: str,
    limit: float,
    *,
    transaction: str | None = None,
    lease_s: float | None = None,
    unit: str = "A",
) -> str:
    evse = 0 if "Max" in purpose else 1
    schedule: Json = {
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
        "startSchedule": timestamp(-60.0),
    }
    profile: Json = {
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
    }
    if lease_s is not None:
        profile["validTo"] = timestamp(lease_s)
        schedule["duration"] = round(60.0 + lease_s)
    old = version == "ocpp1.6"
    if transaction is not None:
        profile["transactionId"] = int(transaction) if old else transaction
    id_ = 100 + len(purpose)
    if old:
        profile |= {"chargingProfileId": id_, "chargingSchedule": schedule}
        payload: Json = {"connectorId": evse, "csChargingProfiles": profile}
    else:
        profile |= {"id": id_, "chargingSchedule": [schedule | {"id": 1}]}
        payload = {"evseId": evse, "chargingProfile": profile}
    answer = await csms.call(STATION, "SetChargingProfile", payload)
    return str(answer["status"])


def started(csms: Csms, version: str) -> list[Json]:
    if version == "ocpp1.6":
        return csms.of(STATION, "StartTransaction")
    return [e for e in csms.of(STATION, "TransactionEvent") if e["eventType"] == "Started"]


def ended(csms: Csms, version: str) -> list[Json]:
    if version == "ocpp1.6":
        return csms.of(STATION, "StopTransaction")
    return [e for e in csms.of(STATION, "TransactionEvent") if e["eventType"] == "Ended"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_limit_is_followed_and_falls_back_when_its_lease_ends_offline(version: str) -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        assert await set_profile(csms, version, "TxDefaultProfile", 6.0) == "Accepted"
        simulator.plug_in(EVSE, CAR)
        await csms.until(lambda: current_a(simulator) == 6.0)
        session = simulator.stations[STATION].outlets[1].transaction
        assert session is not None
        status = await set_profile(
            csms, version, "TxProfile", 14.0, transaction=session.id, lease_s=4.0
        )
        assert status == "Accepted"
        set_s = simulator.world.time_s
        await csms.until(lambda: current_a(simulator) == 14.0)
        assert simulator.world.time_s - set_s <= 10.0
        await csms.stop()
        csms.sockets.clear()
        await asyncio.sleep(0.3)
        assert current_a(simulator) == 14.0
        await csms.until(lambda: current_a(simulator) == 6.0, seconds=8.0)
        assert simulator.stations[STATION].outlets[1].transaction is session

    run(test, version=version)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_station_boots_authenticates_and_starts_a_transaction(version: str) -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        await start_charging(csms, simulator)
        actions = [action for _, action, _ in csms.received]
        begin = "StartTransaction" if version == "ocpp1.6" else "TransactionEvent"
        order = [actions.index(a) for a in ("BootNotification", "StatusNotification", "Authorize")]
        assert order == sorted(order)
        assert actions.index("Authorize") < actions.index(begin)
        assert csms.passwords[STATION] == "CP001:a secret"
        assert len(started(csms, version)) == 1

    run(test, version=version)


@pytest.mark.parametrize("version", VERSIONS)
def test_unplugging_ends_the_transaction(version: str) -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        await start_charging(csms, simulator)
        simulator.unplug(EVSE)
        await csms.until(lambda: ended(csms, version))
        await csms.until(lambda: _status(csms, version) == "Available")
        last = ended(csms, version)[0]
        reason = (
            last["reason"] if version == "ocpp1.6" else last["transactionInfo"]["stoppedReason"]
        )
        assert reason == "EVDisconnected"

    run(test, version=version)


def _status(csms: Csms, version: str) -> str:
    key = "status" if version == "ocpp1.6" else "connectorStatus"
    return str(csms.of(STATION, "StatusNotification")[-1][key])


def test_states_of_16_follow_the_session() -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        transaction = await start_charging(csms, simulator)
        await set_profile(csms, "ocpp1.6", "TxProfile", 0.0, transaction=transaction)
        await csms.until(lambda: _status(csms, "ocpp1.6") == "SuspendedEVSE")
        stop = {"transactionId": int(transaction)}
        assert await csms.call(STATION, "RemoteStopTransaction", stop) == {"status": "Accepted"}
        await csms.until(lambda: _status(csms, "ocpp1.6") == "Finishing")
        simulator.unplug(EVSE)
        await csms.until(lambda: _status(csms, "ocpp1.6") == "Available")
        sent = [p for p in csms.of(STATION, "StatusNotification") if p["connectorId"] == 1]
        seen = [payload["status"] for payload in sent]
        assert [s for s in seen if s != "SuspendedEV"] == [
            "Available",
            "Preparing",
            "Charging",
            "SuspendedEVSE",
            "Finishing",
            "Available",
        ]

    run(test, version="ocpp1.6")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_refused_card_does_not_charge(version: str) -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        simulator.plug_in(EVSE, CAR)
        await csms.until(lambda: csms.of(STATION, "Authorize"))
        await asyncio.sleep(0.5)
        assert started(csms, version) == []
        assert simulator.truth().evses[EVSE].state is ChargerState.WAITING

    run(test, version=version, card_status="Invalid")


def _samples_after(csms: Csms, version: str, sent: int) -> list[Json]:
    if version == "ocpp1.6":
        return [m["meterValue"][0] for m in csms.of(STATION, "MeterValues")][sent:]
    events = csms.of(STATION, "TransactionEvent")
    return [e["meterValue"][0] for e in events if e["triggerReason"] == "MeterValuePeriodic"][sent:]


@pytest.mark.parametrize("version", VERSIONS)
def test_interval_and_measurands_can_be_set(version: str) -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        for name, value in (("interval", "1"), ("measurands", "Current.Import,Voltage")):
            status = await configure(csms, version, name, value)
            assert status == "Accepted"
        assert await configure(csms, version, "measurands", "Colour") == "Rejected"
        assert await configure(csms, version, "unknown", "1") in ("NotSupported", "UnknownVariable")
        await start_charging(csms, simulator)
        sent = len(_samples_after(csms, version, 0))
        await csms.until(lambda: len(_samples_after(csms, version, sent)) >= 2, seconds=4.0)
        names = {v["measurand"] for v in _samples_after(csms, version, sent)[-1]["sampledValue"]}
        assert names == {"Current.Import", "Voltage"}

    run(test, version=version)


KEYS = {
    "interval": ("MeterValueSampleInterval", "SampledDataCtrlr", "TxUpdatedInterval"),
    "measurands": ("MeterValuesSampledData", "SampledDataCtrlr", "TxUpdatedMeasurands"),
    "unknown": ("Colour", "SampledDataCtrlr", "Colour"),
}


async def configure(csms: Csms, version: str, name: str, value: str) -> str:
    key, component, variable = KEYS[name]
    if version == "ocpp1.6":
        answer = await csms.call(STATION, "ChangeConfiguration", {"key": key, "value": value})
        return str(answer["status"])
    data = {
        "component": {"name": component},
        "variable": {"name": variable},
        "attributeValue": value,
    }
    answer = await csms.call(STATION, "SetVariables", {"setVariableData": [data]})
    return str(answer["setVariableResult"][0]["attributeStatus"])


@pytest.mark.parametrize("version", VERSIONS)
def test_what_happens_offline_is_told_later_with_its_own_time(version: str) -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        await csms.stop()
        simulator.plug_in(EVSE, CAR)
        await csms.until(lambda: current_a(simulator) == 32.0)
        begun = simulator.stations[STATION].outlets[1].transaction
        assert begun is not None
        simulator.unplug(EVSE)
        await csms.until(lambda: simulator.stations[STATION].outlets[1].transaction is None)
        csms.received.clear()
        await asyncio.sleep(0.5)
        # Timestamps of the station lag by up to a tick.
        back = timestamp(-2 * TICK_S)
        await csms.start()
        await csms.until(lambda: ended(csms, version))
        assert "BootNotification" not in [action for _, action, _ in csms.received]
        statuses = csms.of(STATION, "StatusNotification")
        assert all(status["timestamp"] >= back for status in statuses)
        assert started(csms, version)[0]["timestamp"] < back
        assert ended(csms, version)[0]["timestamp"] < back
        if version == "ocpp1.6":
            assert ended(csms, version)[0]["transactionId"] == int(begun.id)
        else:
            events = csms.of(STATION, "TransactionEvent")
            assert all(event["offline"] for event in events)
            assert [event["seqNo"] for event in events] == list(range(len(events)))

    run(test, version=version)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_cut_connection_is_dialled_again_and_the_transaction_survives(version: str) -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        await start_charging(csms, simulator)
        simulator.kill_connection(STATION)
        await csms.until(lambda: csms.connections[STATION] == 2)
        await asyncio.sleep(0.2)
        assert current_a(simulator) == 32.0
        assert len(csms.of(STATION, "BootNotification")) == 1
        assert len(started(csms, version)) == 1

    run(test, version=version)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_reset_ends_transactions_and_boots_again(version: str) -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        await set_profile(csms, version, "TxDefaultProfile", 10.0)
        simulator.plug_in(EVSE, CAR)
        await csms.until(lambda: current_a(simulator) == 10.0)
        kind = "Hard" if version == "ocpp1.6" else "Immediate"
        assert await csms.call(STATION, "Reset", {"type": kind}) == {"status": "Accepted"}
        await csms.until(lambda: ended(csms, version))
        await csms.until(lambda: len(csms.of(STATION, "BootNotification")) == 2)
        await csms.until(lambda: len(started(csms, version)) == 2)
        await csms.until(lambda: current_a(simulator) == 10.0)

    run(test, version=version)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_remote_start_waits_for_the_vehicle(version: str) -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        if version == "ocpp1.6":
            payload: Json = {"idTag": "REMOTE", "connectorId": 1}
            answer = await csms.call(STATION, "RemoteStartTransaction", payload)
        else:
            token = {"idToken": "REMOTE", "type": "Central"}
            payload = {"idToken": token, "evseId": 1, "remoteStartId": 5}
            answer = await csms.call(STATION, "RequestStartTransaction", payload)
        assert answer["status"] == "Accepted"
        simulator.plug_in(EVSE, replace(CAR, card=None))
        await csms.until(lambda: started(csms, version))
        token_text = str(started(csms, version)[0])
        assert "REMOTE" in token_text
        assert csms.of(STATION, "Authorize") == []

    run(test, version=version)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_composite_schedule_is_told(version: str) -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        await set_profile(csms, version, "TxDefaultProfile", 6900.0, unit="W")
        where = {"connectorId": 1} if version == "ocpp1.6" else {"evseId": 1}
        payload: Json = {"duration": 60, "chargingRateUnit": "A"} | where
        answer = await csms.call(STATION, "GetCompositeSchedule", payload)
        schedule = answer["chargingSchedule" if version == "ocpp1.6" else "schedule"]
        assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 10.0}]

    run(test, version=version)


@pytest.mark.parametrize("version", VERSIONS)
def test_profiles_can_be_cleared(version: str) -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        await set_profile(csms, version, "TxDefaultProfile", 10.0)
        if version == "ocpp1.6":
            payload: Json = {"chargingProfilePurpose": "TxDefaultProfile"}
        else:
            report = {"requestId": 3, "chargingProfile": {"stackLevel": 0}}
            await csms.call(STATION, "GetChargingProfiles", report)
            await csms.until(lambda: csms.of(STATION, "ReportChargingProfiles"))
            payload = {"chargingProfileCriteria": {"chargingProfilePurpose": "TxDefaultProfile"}}
        statuses = [await csms.call(STATION, "ClearChargingProfile", payload) for _ in range(2)]
        assert statuses == [{"status": "Accepted"}, {"status": "Unknown"}]

    run(test, version=version)


@pytest.mark.parametrize("version", VERSIONS)
def test_triggered_messages_come(version: str) -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        for name in ("StatusNotification", "MeterValues", "Heartbeat"):
            sent = len(csms.of(STATION, name))
            answer = await csms.call(STATION, "TriggerMessage", {"requestedMessage": name})
            assert answer == {"status": "Accepted"}
            await csms.until(lambda name=name, sent=sent: len(csms.of(STATION, name)) > sent)

    run(test, version=version)


def test_the_configuration_of_16_can_be_read() -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        everything = await csms.call(STATION, "GetConfiguration", {})
        assert len(everything["configurationKey"]) > 20
        answer = await csms.call(STATION, "GetConfiguration", {"key": ["NumberOfConnectors", "X"]})
        expected = {"key": "NumberOfConnectors", "readonly": True, "value": "1"}
        assert answer == {"configurationKey": [expected], "unknownKey": ["X"]}

    run(test, version="ocpp1.6")


def test_the_device_model_of_201_can_be_read() -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        report = {"requestId": 9, "reportBase": "FullInventory"}
        await csms.call(STATION, "GetBaseReport", report)
        await csms.until(lambda: csms.of(STATION, "NotifyReport")[-1:])
        await csms.until(lambda: not csms.of(STATION, "NotifyReport")[-1]["tbc"])
        parts = csms.of(STATION, "NotifyReport")
        assert [part["seqNo"] for part in parts] == list(range(len(parts)))
        asked = [
            {"component": {"name": "SmartChargingCtrlr"}, "variable": {"name": "RateUnit"}},
            {"component": {"name": "Nothing"}, "variable": {"name": "RateUnit"}},
        ]
        answer = await csms.call(STATION, "GetVariables", {"getVariableData": asked})
        results = answer["getVariableResult"]
        assert [r["attributeStatus"] for r in results] == ["Accepted", "UnknownComponent"]
        assert results[0]["attributeValue"] == "A,W"

    run(test, version="ocpp2.0.1")


def test_availability_waits_for_the_end_of_a_transaction() -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        await start_charging(csms, simulator)
        out = {"connectorId": 1, "type": "Inoperative"}
        assert await csms.call(STATION, "ChangeAvailability", out) == {"status": "Scheduled"}
        simulator.unplug(EVSE)
        await csms.until(lambda: _status(csms, "ocpp1.6") == "Unavailable")
        back = {"connectorId": 1, "type": "Operative"}
        assert await csms.call(STATION, "ChangeAvailability", back) == {"status": "Accepted"}
        await csms.until(lambda: _status(csms, "ocpp1.6") == "Available")

    run(test, version="ocpp1.6")


def test_two_profiles_for_one_slot_are_refused_in_201() -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        station = simulator.stations[STATION]
        await set_profile(csms, "ocpp2.0.1", "TxDefaultProfile", 10.0)
        held = station.store.profiles[0]
        for evse in (0, 1):
            payload: Json = {"evseId": evse, "chargingProfile": dict(held.raw) | {"id": 999}}
            answer = await csms.call(STATION, "SetChargingProfile", payload)
            assert answer["statusInfo"] == {"reasonCode": "DuplicateProfile"}

    run(test, version="ocpp2.0.1")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_station_that_ignores_limits_says_yes_and_charges_on(version: str) -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        assert await set_profile(csms, version, "TxDefaultProfile", 6.0) == "Accepted"
        await start_charging(csms, simulator)
        assert simulator.truth().evses[EVSE].limit_a == 32.0

    run(test, version=version, habits=StationHabits(ignores_limits=True))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_station_may_refuse_or_not_know_or_not_answer(version: str) -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        assert await set_profile(csms, version, "TxDefaultProfile", 6.0) == "Rejected"
        trigger = {"requestedMessage": "Heartbeat"}
        assert (await csms.call_raw(STATION, "TriggerMessage", trigger))[0] == CALLERROR
        simulator.set_habits(STATION, StationHabits(no_answer=True))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await csms.call_raw(STATION, "TriggerMessage", trigger)

    run(test, version=version, habits=StationHabits(rejects_all=True, no_trigger=True))


def test_a_slow_station_answers_late() -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        loop = asyncio.get_running_loop()
        asked_s = loop.time()
        await csms.call(STATION, "GetConfiguration", {"key": ["NumberOfConnectors"]})
        assert loop.time() - asked_s >= 0.4

    run(test, version="ocpp1.6", habits=StationHabits(slow_answer_s=0.4))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_silent_meter_sends_nothing(version: str) -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        await configure(csms, version, "interval", "1")
        await start_charging(csms, simulator)
        await asyncio.sleep(1.2)
        assert not any("meterValue" in payload for _, _, payload in csms.received)

    run(test, version=version, habits=StationHabits(silent_meter=True))


def test_a_skewed_clock_shows_and_moves_the_end_of_leases() -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        assert csms.of(STATION, "StatusNotification")[-1]["timestamp"] > timestamp(3000.0)
        transaction = await start_charging(csms, simulator)
        await set_profile(
            csms, "ocpp1.6", "TxProfile", 10.0, transaction=transaction, lease_s=600.0
        )
        await asyncio.sleep(0.5)
        assert simulator.truth().evses[EVSE].limit_a == 32.0

    run(test, version="ocpp1.6", habits=StationHabits(clock_skew_s=3600.0))


def test_a_station_that_reboots_keeps_transaction_and_profiles() -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        await set_profile(csms, "ocpp1.6", "TxDefaultProfile", 10.0)
        simulator.plug_in(EVSE, CAR)
        await csms.until(lambda: current_a(simulator) == 10.0)
        simulator.stations[STATION].reboot()
        await csms.until(lambda: current_a(simulator) == 0.0)
        await csms.until(lambda: len(csms.of(STATION, "BootNotification")) == 2)
        await csms.until(lambda: current_a(simulator) == 10.0)
        assert len(started(csms, "ocpp1.6")) == 1

    run(test, version="ocpp1.6")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_station_may_obey_and_lose_its_answer(version: str) -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        simulator.set_habits(STATION, StationHabits(loses_answers=True))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await set_profile(csms, version, "TxDefaultProfile", 10.0)
        assert simulator.truth().evses[EVSE].limit_a == 10.0

    run(test, version=version)


@pytest.mark.parametrize("version", VERSIONS)
def test_two_evses_share_their_stations_maximum(version: str) -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        purpose = "ChargePointMaxProfile" if version == "ocpp1.6" else "ChargingStationMaxProfile"
        assert await set_profile(csms, version, purpose, 24.0) == "Accepted"
        for number in (1, 2):
            simulator.plug_in(EvseId(f"CP001/{number}"), replace(CAR, card=f"CARD{number}"))
        await csms.until(lambda: len(started(csms, version)) == 2)
        await csms.until(
            lambda: [e.grid_a.l1_a for e in simulator.truth().evses.values()] == [12.0, 12.0]
        )

    run(test, version=version, site=a_site(an_evse(), an_evse(number=2)))


@pytest.mark.parametrize("version", VERSIONS)
def test_nonsense_from_the_controller_does_no_harm(version: str) -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        for text in ("{", "[]", "[7]", '[2, "1"]', '[3, "unknown", {}]', '[2, "1", "Reset", 5]'):
            await csms.sockets[STATION].send(text)
        csms._pending["1"] = asyncio.get_running_loop().create_future()
        assert (await csms._pending["1"])[2] == "FormationViolation"
        await start_charging(csms, simulator)
        assert csms.connections[STATION] == 1

    run(test, version=version)


def test_a_stopped_transaction_does_not_start_again_by_a_reboot() -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        transaction = await start_charging(csms, simulator)
        stop = {"transactionId": int(transaction)}
        await csms.call(STATION, "RemoteStopTransaction", stop)
        simulator.stations[STATION].reboot()
        await csms.until(lambda: len(csms.of(STATION, "BootNotification")) == 2)
        await asyncio.sleep(0.5)
        assert len(started(csms, "ocpp1.6")) == 1
        assert _status(csms, "ocpp1.6") == "Finishing"

    run(test, version="ocpp1.6")


@pytest.mark.parametrize("version", VERSIONS)
def test_nobody_charges_before_the_station_was_let_in(version: str) -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        simulator.plug_in(EVSE, CAR)
        await asyncio.sleep(0.5)
        assert {action for _, action, _ in csms.received} == {"BootNotification"}
        assert simulator.truth().evses[EVSE].state is ChargerState.WAITING
        csms.boot_status = "Accepted"
        await csms.until(lambda: current_a(simulator) == 32.0)

    run(test, version=version, boot_status="Pending")


@pytest.mark.parametrize("version", VERSIONS)
def test_another_vehicle_is_another_transaction(version: str) -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        await start_charging(csms, simulator)
        simulator.plug_in(EVSE, replace(CAR, card="04FFFFFFFFFFFF"))
        await csms.until(lambda: len(started(csms, version)) == 2)
        assert len(ended(csms, version)) == 1

    run(test, version=version)


def test_a_station_may_reboot_again_and_again() -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        await csms.until(lambda: len(csms.of(STATION, "BootNotification")) == 3)
        assert len(csms.of(STATION, "BootNotification")) >= 3

    run(test, version="ocpp2.0.1", habits=StationHabits(reboots_every_s=1.0))


def test_a_station_without_supply_is_gone_and_boots_when_it_is_back() -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        await start_charging(csms, simulator)
        simulator.building_step(Phase.L1, 5000.0)
        await csms.until(lambda: simulator.truth().trips)
        await csms.until(lambda: not simulator.stations[STATION].is_connected)
        assert simulator.truth().evses[EVSE].power_w == 0.0
        simulator.building_step(Phase.L1, -5000.0)
        simulator.world.reset_breaker(MAIN)
        await csms.until(lambda: len(csms.of(STATION, "BootNotification")) == 2)
        await csms.until(lambda: current_a(simulator) == 32.0)

    run(test, version="ocpp1.6")


def test_the_meter_of_a_running_site_can_fail_and_heal() -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        meter: Any = next(iter(simulator.meters))
        port = simulator.meter_port(meter)
        await simulator.meter_fault(meter, MeterFault.UNPLUGGED)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await simulator.meter_fault(meter, None)
        assert simulator.meter_port(meter) == port

    run(test, version="ocpp1.6")


def update(version: str, location: str) -> Json:
    if version == "ocpp1.6":
        return {"location": location, "retrieveDate": timestamp()}
    firmware = {"location": location, "retrieveDateTime": timestamp()}
    return {"requestId": 7, "firmware": firmware}


def stages(csms: Csms) -> list[str]:
    return [p["status"] for p in csms.of(STATION, "FirmwareStatusNotification")]


def version_told(csms: Csms) -> str:
    boot = csms.of(STATION, "BootNotification")[-1]
    return str(boot.get("chargingStation", boot)["firmwareVersion"])


@pytest.mark.parametrize("version", VERSIONS)
def test_firmware_is_fetched_installed_and_told_after_the_restart(version: str) -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        await csms.call(STATION, "UpdateFirmware", update(version, "https://x/wk-1.2.3.bin"))
        await csms.until(lambda: "Installed" in stages(csms))

        assert stages(csms) == ["Downloading", "Downloaded", "Installing", "Installed"]
        assert version_told(csms) == "1.2.3"

    run(test, version=version)


@pytest.mark.parametrize("version", VERSIONS)
def test_firmware_waits_for_the_end_of_a_transaction(version: str) -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        await start_charging(csms, simulator)
        await csms.call(STATION, "UpdateFirmware", update(version, "https://x/wk-1.2.3.bin"))
        await csms.until(lambda: "Downloaded" in stages(csms))
        await asyncio.sleep(0.4)  # it could have gone on by now
        waiting = stages(csms)[-1]
        simulator.unplug(EVSE)
        await csms.until(lambda: "Installed" in stages(csms))

        assert waiting == "Downloaded"
        assert simulator.stations[STATION].firmware.restarted_while_charging == 0

    run(test, version=version)


def test_a_file_that_is_no_firmware_fails() -> None:
    async def test(csms: Csms, simulator: WireSimulator) -> None:
        await csms.call(STATION, "UpdateFirmware", update("ocpp1.6", "https://x/readme"))
        await csms.until(lambda: "DownloadFailed" in stages(csms))

        assert simulator.stations[STATION].firmware.version == "1.0.0"

    run(test, version="ocpp1.6")
