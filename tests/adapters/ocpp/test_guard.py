from __future__ import annotations

from typing import Any

import pytest

from controller.commands import ActionRequest, Applied, Rejected, StationAction
from controller.site import EvseId, StationId
from tests.adapters.ocpp.connections import Connection, V16Dialect, V201Dialect, run
from tests.adapters.ocpp.scripted_station import accept_everything


def a_profile(limit: float, **rest: Any) -> dict[str, Any]:
    schedule = {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
    }
    return {
        "chargingProfileId": 7,
        "stackLevel": 2,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": schedule,
        **rest,
    }


def call(message: str, payload: dict[str, Any]) -> ActionRequest:
    return ActionRequest(
        station=StationId("CP1"),
        evse=None,
        action=StationAction.CALL,
        parameters={"message": message, "payload": payload},
    )


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        (a_profile(16.0), "above the fallback"),
        (a_profile(6.0, stackLevel=0), "stack levels 0 and 1"),
        (a_profile(6.0, stackLevel=1, chargingProfilePurpose="TxProfile"), "stack levels 0 and 1"),
        (a_profile(6.0, chargingProfileId=110), "profile ids from 100"),
        (
            a_profile(6.0)
            | {
                "chargingSchedule": {
                    "chargingRateUnit": "W",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 11000.0}],
                }
            },
            "above the fallback",
        ),
    ],
)
def test_no_profile_of_an_operator_can_raise_a_limit(profile: dict[str, Any], reason: str) -> None:
    async def body() -> None:
        site = Connection(V16Dialect)
        payload = {"connectorId": 1, "csChargingProfiles": profile}
        result = await site.dialect.act(call("SetChargingProfile", payload))
        assert isinstance(result, Rejected)
        assert reason in result.reason
        assert site.station.calls == []

    run(body)


def test_a_profile_inside_a_remote_start_is_guarded_too() -> None:
    async def body() -> None:
        site = Connection(V16Dialect)
        payload = {"idTag": "CARD", "chargingProfile": a_profile(32.0)}
        result = await site.dialect.act(call("RemoteStartTransaction", payload))
        assert isinstance(result, Rejected)

    run(body)


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": a_profile(6.0)}),
        (
            "SetChargingProfile",
            {
                "connectorId": 0,
                "csChargingProfiles": a_profile(
                    63.0, chargingProfilePurpose="ChargePointMaxProfile"
                ),
            },
        ),
        ("GetLocalListVersion", {}),
    ],
)
def test_what_can_only_lower_is_sent_as_it_is(message: str, payload: dict[str, Any]) -> None:
    async def body() -> None:
        site = Connection(
            V16Dialect,
            lambda a, p: (
                {"listVersion": 0} if a == "GetLocalListVersion" else accept_everything(a, p)
            ),
        )
        assert isinstance(await site.dialect.act(call(message, payload)), Applied)
        assert site.station.calls == [(message, payload)]

    run(body)


@pytest.mark.parametrize(
    ("kind", "message", "payload"),
    [
        (V16Dialect, "ChangeConfiguration", {"key": "AuthorizationKey", "value": "x"}),
        (
            V201Dialect,
            "SetVariables",
            {
                "setVariableData": [
                    {
                        "attributeValue": "x",
                        "component": {"name": "SecurityCtrlr"},
                        "variable": {"name": "BasicAuthPassword"},
                    }
                ]
            },
        ),
    ],
)
def test_passwords_are_not_changed_behind_our_back(
    kind: Any, message: str, payload: dict[str, Any]
) -> None:
    async def body() -> None:
        site = Connection(kind)
        result = await site.dialect.act(call(message, payload))
        assert isinstance(result, Rejected)
        assert "wattkeeper station secret" in result.reason

    run(body)


@pytest.mark.parametrize(
    ("message", "payload", "reason"),
    [
        ("Nonsense", {}, "not a message of this version"),
        ("Reset", {"type": "Sideways"}, "Reset: type"),
    ],
)
def test_a_message_that_is_not_valid_is_not_sent(
    message: str, payload: dict[str, Any], reason: str
) -> None:
    async def body() -> None:
        site = Connection(V16Dialect)
        result = await site.dialect.act(call(message, payload))
        assert isinstance(result, Rejected)
        assert reason in result.reason

    run(body)


def test_no_firmware_is_sent_during_a_transaction() -> None:
    async def body() -> None:
        site = Connection(V16Dialect)
        start = {
            "connectorId": 1,
            "idTag": "C",
            "meterStart": 0,
            "timestamp": "2026-01-05T12:00:00Z",
        }
        await site.tell("StartTransaction", start)
        request = ActionRequest(
            station=StationId("CP1"),
            evse=None,
            action=StationAction.UPDATE_FIRMWARE,
            parameters={"location": "https://fw.example/a"},
        )
        result = await site.dialect.act(request)
        assert isinstance(result, Rejected)
        assert "a transaction runs" in result.reason

    run(body)


@pytest.mark.parametrize(
    ("action", "parameters", "reason"),
    [
        (StationAction.AVAILABILITY, {}, "operative: give true or false"),
        (
            StationAction.RESERVE,
            {"id_token": "C", "reservation_id": -1},
            "reservation_id: give a whole number",
        ),
        (
            StationAction.RESERVE,
            {"id_token": "C", "reservation_id": 1, "expires_at": "soon"},
            "expires_at: give a time",
        ),
        (StationAction.UPDATE_FIRMWARE, {}, "location: give a text"),
        (StationAction.TRIGGER, {"message": "Nonsense"}, "message: choose one of"),
        (StationAction.WRITE_CONFIGURATION, {"values": {}}, "values: give 1 to"),
    ],
)
def test_a_wrong_parameter_is_named(
    action: StationAction, parameters: dict[str, Any], reason: str
) -> None:
    async def body() -> None:
        site = Connection(V16Dialect)
        request = ActionRequest(
            station=StationId("CP1"), evse=EvseId("CP1/1"), action=action, parameters=parameters
        )
        result = await site.dialect.act(request)
        assert isinstance(result, Rejected)
        assert reason in result.reason

    run(body)
