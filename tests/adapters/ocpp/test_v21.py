from __future__ import annotations

from typing import Any

import pytest

from adapters.ocpp.handshake import negotiate
from adapters.ocpp.v21 import V21Dialect
from controller.commands import Applied
from controller.station import EvseSampled, EvseState, EvseStateChanged
from tests.adapters.ocpp.connections import Connection, limit, run
from tests.adapters.ocpp.scripted_station import accept_everything, stamp

EVERY = {"ocpp1.6", "ocpp2.0.1", "ocpp2.1"}


def started(site: Connection[Any]) -> dict[str, Any]:
    sampled = {"value": 10.0, "measurand": "Current.Import", "phase": "L1"}
    return {
        "eventType": "Started",
        "timestamp": stamp(site.clock),
        "triggerReason": "Authorized",
        "seqNo": 0,
        "transactionInfo": {"transactionId": "tx", "chargingState": "Charging"},
        "evse": {"id": 1, "connectorId": 1},
        "idToken": {"idToken": "CARD", "type": "ISO14443"},
        "meterValue": [{"timestamp": stamp(site.clock), "sampledValue": [sampled]}],
    }


def test_a_session_as_in_201() -> None:
    async def body() -> None:
        site = Connection(V21Dialect)
        boot = {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M"}}
        assert (await site.tell("BootNotification", boot))["status"] == "Accepted"
        answer = await site.tell("TransactionEvent", started(site))
        assert answer == {"idTokenInfo": {"status": "Accepted"}}
        assert site.desk.of(EvseStateChanged)[-1].state is EvseState.CHARGING
        assert len(site.desk.of(EvseSampled)) == 1

    run(body)


def test_a_lease_also_ends_by_time_without_a_connection() -> None:
    async def body() -> None:
        site = Connection(V21Dialect)
        await site.provision()
        await site.tell("TransactionEvent", started(site))
        assert await site.dialect.apply(limit(16.0, "tx")) == Applied(self_expiring=True)
        default, lease = site.profiles()[0], site.profiles()[-1]
        assert (lease["maxOfflineDuration"], lease["invalidAfterOfflineDuration"]) == (300, True)
        assert "maxOfflineDuration" not in default

    run(body)


@pytest.mark.parametrize(
    ("offered", "protocol"),
    [
        (["ocpp2.1"], "ocpp2.1"),
        (["ocpp2.1", "ocpp2.0.1"], "ocpp2.0.1"),
        (["ocpp2.1", "ocpp1.6"], "ocpp2.1"),
    ],
)
def test_the_protocol_that_is_chosen(offered: list[str], protocol: str) -> None:
    chosen = negotiate(offered, available=EVERY, pinned=None, default=None)
    assert chosen is not None
    assert chosen.protocol == protocol


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("NotifyPriorityCharging", {"transactionId": "tx", "activated": True}),
        ("PullDynamicScheduleUpdate", {"chargingProfileId": 1}),
    ],
)
def test_what_we_do_not_use_is_answered(action: str, payload: dict[str, Any]) -> None:
    async def body() -> None:
        site = Connection(V21Dialect)
        await site.tell(action, payload)
        assert site.desk.events == []

    run(body)


def supporting(
    *, dynamic: str | None = None, offline: str | None = None, refuses: tuple[str, ...] = ()
) -> Any:
    """A station that says what it supports, and refuses some messages or kinds of profile."""
    said = {"SupportsDynamicProfiles": dynamic, "SupportsMaxOfflineDuration": offline}

    def script(action: str, payload: dict[str, Any]) -> dict[str, Any]:
        kind = payload.get("chargingProfile", {}).get("chargingProfileKind")
        if action in refuses or kind in refuses:
            return {"status": "Rejected"}
        answer = accept_everything(action, payload)
        assert isinstance(answer, dict)
        if action == "GetVariables":
            answer["getVariableResult"] = [
                {**data, "attributeStatus": "Accepted", "attributeValue": said[name]}
                if (name := data["variable"]["name"]) in said and said[name] is not None
                else {**data, "attributeStatus": "UnknownVariable"}
                for data in payload["getVariableData"]
            ]
        return answer

    return script


async def charging(script: Any) -> Connection[Any]:
    site = Connection(V21Dialect, script)
    await site.provision()
    await site.tell("TransactionEvent", started(site))
    return site


def messages(site: Connection[Any]) -> list[str]:
    """What was sent of limits: the kind of each profile, or the limit of an update."""
    return [
        p["chargingProfile"]["chargingProfileKind"]
        if action == "SetChargingProfile"
        else f"{p['scheduleUpdate']['limit']:g}"
        for action, p in site.station.calls
        if action in ("SetChargingProfile", "UpdateDynamicSchedule")
    ][2:]  # the fallbacks of two EVSEs come first


@pytest.mark.parametrize(("offline", "expected"), [("false", False), ("true", True), (None, True)])
def test_the_time_without_a_connection_is_said_unless_the_station_knows_none(
    offline: str | None, expected: bool
) -> None:
    async def body() -> None:
        site = await charging(supporting(offline=offline))
        assert await site.dialect.apply(limit(16.0, "tx")) == Applied(self_expiring=True)
        assert ("maxOfflineDuration" in site.profiles()[-1]) is expected

    run(body)


def test_a_limit_is_changed_in_place_where_dynamic_profiles_are_offered() -> None:
    async def body() -> None:
        site = await charging(supporting(dynamic="true"))
        for limit_a in (16.0, 10.0, 20.0):
            assert await site.dialect.apply(limit(limit_a, "tx")) == Applied(self_expiring=True)
        [update, _] = site.station.sent("UpdateDynamicSchedule")
        lease = site.profiles()[-1]
        [schedule] = lease["chargingSchedule"]

        assert messages(site) == ["Dynamic", "10", "20"]
        assert update["chargingProfileId"] == lease["id"]
        assert (schedule["duration"], "startSchedule" in schedule) == (300, False)
        assert lease["validTo"] == stamp(site.clock, -300.0)

    run(body)


def test_without_the_offer_nothing_is_dynamic() -> None:
    async def body() -> None:
        site = await charging(supporting())
        for limit_a in (16.0, 10.0):
            await site.dialect.apply(limit(limit_a, "tx"))
        assert messages(site) == ["Absolute", "Absolute"]

    run(body)


def test_a_limit_below_the_fallback_or_late_in_a_lease_is_set_anew() -> None:
    """An update does not move `validTo`: ending early must not end above what was granted."""

    async def body() -> None:
        site = await charging(supporting(dynamic="true"))
        await site.dialect.apply(limit(16.0, "tx"))
        await site.dialect.apply(limit(0.0, "tx"))
        site.clock.advance(100.0)
        await site.dialect.apply(limit(12.0, "tx"))
        site.clock.advance(21.0)
        await site.dialect.apply(limit(13.0, "tx"))
        assert messages(site) == ["Dynamic", "Dynamic", "12", "Dynamic"]

    run(body)


def test_a_lease_is_never_longer_at_the_station_than_in_the_ledger() -> None:
    async def body() -> None:
        site = await charging(supporting(dynamic="true"))
        for _ in range(8):
            await site.dialect.apply(limit(16.0, "tx"))
            lease = site.profiles()[-1]
            assert lease["validTo"] <= stamp(site.clock, -300.0)
            site.clock.advance(40.0)
            assert lease["validTo"] > stamp(site.clock)

    run(body)


@pytest.mark.parametrize(
    ("refuses", "expected"),
    [
        (("Dynamic",), ["Dynamic", "Absolute", "Absolute"]),
        (("UpdateDynamicSchedule",), ["Dynamic", "10", "Dynamic"]),
    ],
)
def test_a_refusal_falls_back_to_what_every_station_takes(
    refuses: tuple[str, ...], expected: list[str]
) -> None:
    async def body() -> None:
        site = await charging(supporting(dynamic="true", refuses=refuses))
        for limit_a in (16.0, 10.0):
            assert await site.dialect.apply(limit(limit_a, "tx")) == Applied(self_expiring=True)
        assert messages(site) == expected

    run(body)


def test_a_station_cannot_prolong_its_lease_by_asking() -> None:
    async def body() -> None:
        site = await charging(supporting(dynamic="true"))
        await site.dialect.apply(limit(16.0, "tx"))
        number = site.profiles()[-1]["id"]
        answer = await site.tell("PullDynamicScheduleUpdate", {"chargingProfileId": number})
        assert answer == {"status": "Rejected"}

    run(body)
