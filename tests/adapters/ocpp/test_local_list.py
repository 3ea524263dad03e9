"""Local lists: which messages bring a station from what it holds to what the store says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ocpp.dialect import CallFailed
from adapters.ocpp.local_list import Held, entries_for, updates
from adapters.ocpp.local_list_keeper import LocalListKeeper
from controller.care import OfflineTokens
from controller.records import TokenKind, TokenRecord, TokenStatus
from controller.site import StationId
from controller.transaction import IdToken
from tests.adapters.ocpp.scripted_station import ScriptedStation, assert_valid
from tests.fakes.desk import RecordingConditions, SystemClock
from tests.fakes.memory_store import MemoryStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CP1 = StationId("CP1")
PROTOCOLS = ("ocpp1.6", "ocpp2.0.1")


def cards(count: int, **changes: Any) -> tuple[TokenRecord, ...]:
    return tuple(TokenRecord(id=IdToken(f"CARD{n:03}"), **changes) for n in range(count))


class ListHolder:
    """A station's memory: takes SendLocalList as the specification says."""

    def __init__(self, protocol: str, *, version: int = 0, per_message: int = 5) -> None:
        self.protocol = protocol
        self.version = version
        self.per_message = per_message
        self.entries: dict[str, Any] = {}
        self.kinds: list[str] = []
        self.policy: dict[str, str] = {}
        self.caches_cleared = 0
        self.refusals: list[str] = []
        """Statuses to answer before anything is taken."""
        self.max_entries = 1000

    def __call__(self, action: str, payload: dict[str, Any]) -> Mapping[str, Any] | CallFailed:
        match action:
            case "GetLocalListVersion":
                name = "listVersion" if self.protocol == "ocpp1.6" else "versionNumber"
                return {name: self.version}
            case "SendLocalList":
                return {"status": self._take(payload)}
            case "GetConfiguration":
                values = {
                    "SendLocalListMaxLength": self.per_message,
                    "LocalAuthListMaxLength": self.max_entries,
                }
                return {
                    "configurationKey": [
                        {"key": k, "readonly": True, "value": str(v)} for k, v in values.items()
                    ]
                }
            case "GetVariables":
                values_of = (self.per_message, self.max_entries)
                return {
                    "getVariableResult": [
                        {**d, "attributeStatus": "Accepted", "attributeValue": str(v)}
                        for d, v in zip(payload["getVariableData"], values_of, strict=True)
                    ]
                }
            case "ChangeConfiguration":
                self.policy[payload["key"]] = payload["value"]
                return {"status": "Accepted"}
            case "SetVariables":
                (item,) = payload["setVariableData"]
                self.policy[item["variable"]["name"]] = item["attributeValue"]
                rest = {k: v for k, v in item.items() if k != "attributeValue"}
                return {"setVariableResult": [{**rest, "attributeStatus": "Accepted"}]}
            case "ClearCache":
                self.caches_cleared += 1
                return {"status": "Accepted"}
        return CallFailed("error", "NotSupported", action)

    def _take(self, payload: dict[str, Any]) -> str:
        if self.refusals:
            return self.refusals.pop(0)
        number = payload.get("listVersion", payload.get("versionNumber"))
        lines = payload.get("localAuthorizationList", [])
        assert len(lines) <= self.per_message
        self.kinds.append(payload["updateType"])
        if payload["updateType"] == "Full":
            self.entries = {}
        elif number != self.version + 1:
            return "VersionMismatch"
        for line in lines:
            key = line["idTag"] if "idTag" in line else line["idToken"]["idToken"]
            info = line.get("idTagInfo", line.get("idTokenInfo"))
            if info is None:
                del self.entries[key.casefold()]
            else:
                self.entries[key.casefold()] = info["status"]
        self.version = number
        return "Accepted"


# --- pure -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(
    before=st.sets(st.integers(0, 30)),
    after=st.sets(st.integers(0, 30)),
    blocked=st.sets(st.integers(0, 30)),
    per_message=st.integers(1, 9),
    is_known=st.booleans(),
)
def test_updates_always_end_in_what_is_wanted(
    protocol: str,
    before: set[int],
    after: set[int],
    blocked: set[int],
    per_message: int,
    is_known: bool,
) -> None:
    holder = ListHolder(protocol, per_message=per_message)
    held: Held | None = None
    every = cards(31)
    for chosen, refused in ((before, set()), (blocked, before), (after, blocked)):
        records = [
            replace(every[n], status=TokenStatus.BLOCKED) if n in refused else every[n]
            for n in sorted(chosen)
        ]
        wanted = entries_for(CP1, records, protocol=protocol, at=NOW)
        known = held if is_known else None
        for update in updates(
            held=known,
            version=holder.version,
            wanted=wanted,
            protocol=protocol,
            per_message=per_message,
        ):
            assert_valid(protocol, "SendLocalList", update.payload)
            assert holder("SendLocalList", update.payload) == {"status": "Accepted"}
            held = update.after

    statuses = {f"card{n:03}": "Blocked" if n in blocked else "Accepted" for n in after}
    assert holder.entries == statuses


def test_one_changed_card_is_one_differential_entry() -> None:
    records = cards(40)
    wanted = entries_for(CP1, records, protocol="ocpp1.6", at=NOW)
    *_, last = updates(held=None, version=0, wanted=wanted, protocol="ocpp1.6", per_message=50)
    changed = (replace(records[3], status=TokenStatus.BLOCKED), *records[:3], *records[4:])
    wanted = entries_for(CP1, changed, protocol="ocpp1.6", at=NOW)

    (update,) = updates(
        held=last.after, version=1, wanted=wanted, protocol="ocpp1.6", per_message=50
    )
    assert update.payload == {
        "listVersion": 2,
        "updateType": "Differential",
        "localAuthorizationList": [{"idTag": "CARD003", "idTagInfo": {"status": "Blocked"}}],
    }


@pytest.mark.parametrize(
    ("held_version", "version", "kind"), [(3, 3, None), (3, 4, "Full"), (3, 0, "Full")]
)
def test_a_station_whose_version_is_not_ours_gets_everything(
    held_version: int, version: int, kind: str | None
) -> None:
    wanted = entries_for(CP1, cards(2), protocol="ocpp2.0.1", at=NOW)
    (only,) = updates(held=None, version=0, wanted=wanted, protocol="ocpp2.0.1", per_message=9)
    held = replace(only.after, version=held_version)
    sent = list(
        updates(held=held, version=version, wanted=wanted, protocol="ocpp2.0.1", per_message=9)
    )

    assert [u.payload["updateType"] for u in sent] == ([] if kind is None else [kind])
    assert all(u.payload["versionNumber"] > version for u in sent)


def test_entries_say_what_the_site_would_answer_there() -> None:
    records = (
        TokenRecord(id=IdToken("A"), group=IdToken("FLEET"), expires_at=NOW + timedelta(days=9)),
        TokenRecord(id=IdToken("B"), stations=(StationId("CP2"),)),
        TokenRecord(id=IdToken("C"), expires_at=NOW),
        TokenRecord(id=IdToken("D"), kind=TokenKind.ISO15693),
        TokenRecord(id=IdToken("E" * 21)),
        TokenRecord(id=IdToken("FLEET"), status=TokenStatus.BLOCKED),
    )
    old = entries_for(CP1, records, protocol="ocpp1.6", at=NOW)
    new = entries_for(CP1, records, protocol="ocpp2.0.1", at=NOW)

    assert {k: e["idTagInfo"]["status"] for k, e in old.items()} == {
        "a": "Blocked",
        "b": "Invalid",
        "c": "Expired",
        "d": "Accepted",
        "fleet": "Blocked",
    }
    assert old["a"]["idTagInfo"]["parentIdTag"] == "FLEET"
    assert len(new) == 6
    assert new["ISO15693\nd"]["idToken"] == {"idToken": "D", "type": "ISO15693"}


# --- kept up to date --------------------------------------------------------------------------------


class Scene:
    def __init__(self, protocol: str, offline: OfflineTokens = OfflineTokens.LISTED) -> None:
        self.store = MemoryStore()
        self.conditions = RecordingConditions()
        self.holder = ListHolder(protocol)
        self.station = ScriptedStation(protocol, self.holder)
        self.keeper = LocalListKeeper(
            store=self.store,
            conditions=self.conditions,
            clock=SystemClock(),
            offline=offline,
            settle_s=0.0,
            retry_s=0.02,
        )

    async def served(self, until: Any) -> None:
        task = asyncio.create_task(self.keeper.serve(self.station))
        try:
            async with asyncio.timeout(5):
                while not until():  # noqa: ASYNC110 - anything may make it true
                    await asyncio.sleep(0.002)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_station_is_brought_up_to_date_and_follows_changes(protocol: str) -> None:
    async def run() -> None:
        scene = Scene(protocol)
        await scene.store.import_tokens(cards(12), replace=True)
        await scene.keeper.refresh()
        await scene.served(lambda: len(scene.holder.entries) == 12)
        assert scene.holder.kinds == ["Full", "Differential", "Differential"]

        task = asyncio.create_task(scene.served(lambda: scene.holder.caches_cleared))
        await asyncio.sleep(0.02)
        await scene.store.put_token(replace(cards(1)[0], status=TokenStatus.BLOCKED))
        await scene.keeper.refresh()
        await task

        assert scene.holder.kinds[3:] == ["Differential"]
        assert scene.holder.entries["card000"] == "Blocked"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("offline", "expected"),
    [
        (OfflineTokens.NONE, ("false", "false", "false")),
        (OfflineTokens.LISTED, ("true", "true", "false")),
        (OfflineTokens.ALL, ("true", "true", "true")),
    ],
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_policy_for_stations_without_connection_is_set(
    protocol: str, offline: OfflineTokens, expected: tuple[str, str, str]
) -> None:
    async def run() -> None:
        scene = Scene(protocol, offline)
        await scene.store.import_tokens(cards(2), replace=True)
        await scene.served(lambda: len(scene.station.sent("GetLocalListVersion")) > 0)
        assert tuple(scene.holder.policy.values()) == expected

    asyncio.run(run())


def test_a_mismatch_is_answered_with_everything() -> None:
    async def run() -> None:
        scene = Scene("ocpp1.6")
        await scene.store.import_tokens(cards(3), replace=True)
        scene.holder.refusals = ["VersionMismatch"]
        await scene.served(lambda: scene.holder.entries)

        assert scene.holder.kinds == ["Full"]
        assert scene.conditions.in_force == {}

    asyncio.run(run())


def test_a_station_that_refuses_is_reported_and_tried_again() -> None:
    async def run() -> None:
        scene = Scene("ocpp2.0.1")
        await scene.store.import_tokens(cards(3), replace=True)
        scene.holder.refusals = ["Failed"] * 3
        await scene.served(lambda: ("LOCAL_LIST_REFUSED", "CP1") in scene.conditions.in_force)
        await scene.served(lambda: scene.holder.entries)

        assert scene.conditions.in_force == {}

    asyncio.run(run())


def test_a_station_with_little_room_holds_the_first_by_priority() -> None:
    async def run() -> None:
        scene = Scene("ocpp1.6")
        scene.holder.max_entries = 2
        favoured = TokenRecord(id=IdToken("ZZ"), priority=5)
        await scene.store.import_tokens((*cards(3), favoured), replace=True)
        await scene.served(lambda: scene.holder.entries)

        assert set(scene.holder.entries) == {"zz", "card000"}
        assert ("LOCAL_LIST_TOO_LONG", "CP1") in scene.conditions.in_force

    asyncio.run(run())


def test_a_station_without_a_local_list_is_left_alone() -> None:
    async def run() -> None:
        scene = Scene("ocpp1.6")
        scene.holder.version = -1
        await scene.store.import_tokens(cards(3), replace=True)
        await scene.served(lambda: len(scene.station.sent("GetLocalListVersion")) > 0)

        assert scene.station.sent("SendLocalList") == []
        assert scene.conditions.in_force == {}

    asyncio.run(run())
