from __future__ import annotations

from typing import Any

import pytest

from adapters.ocpp.handshake import negotiate
from adapters.ocpp.v21 import V21Dialect
from controller.commands import Applied
from controller.station import EvseSampled, EvseState, EvseStateChanged
from tests.adapters.ocpp.connections import Connection, limit, run
from tests.adapters.ocpp.scripted_station import stamp

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
