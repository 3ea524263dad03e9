"""One conversation over a real socket: calls both ways, in any mood."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from adapters.ocpp.dialect import CallError, CallFailed
from adapters.ocpp.redaction import redacted
from controller.commands import Applied, NotConnected, TimedOut
from controller.station import StationDisconnected, StationHeard
from tests.adapters.ocpp.rig import (
    EchoDialect,
    Rig,
    a_limit,
    a_profile,
    a_server,
    answer_to,
    ask,
    obey,
    until,
)

Scene = Callable[[Rig, ClientConnection, EchoDialect], Awaitable[None]]


def play(scene: Scene, *, protocol: str = "ocpp1.6", **settings: Any) -> None:
    """Run a scene with one connected station."""

    async def run() -> None:
        async with a_server(**settings) as rig:
            client = await rig.connect(protocols=[protocol])
            await until(lambda: rig.dialects)
            await scene(rig, client, rig.dialects[0])
            await client.close()

    asyncio.run(run())


async def asked(client: ClientConnection) -> tuple[str, str]:
    """Return id and action of the next CALL that the station receives."""
    async with asyncio.timeout(5):
        while True:
            frame = json.loads(await client.recv())
            if frame[0] == 2:
                return frame[1], frame[2]


def test_a_call_is_answered() -> None:
    async def scene(rig: Rig, client: ClientConnection, dialect: EchoDialect) -> None:
        answer = await ask(client, "Heartbeat", {})

        assert list(answer[2]) == ["currentTime"]
        assert dialect.is_open

    play(scene)


@pytest.mark.parametrize(
    ("protocol", "code"),
    [("ocpp1.6", "OccurenceConstraintViolation"), ("ocpp2.0.1", "OccurrenceConstraintViolation")],
)
def test_an_impossible_payload_is_answered_in_the_words_of_the_version(
    protocol: str, code: str
) -> None:
    async def scene(rig: Rig, client: ClientConnection, dialect: EchoDialect) -> None:
        answer = await ask(client, "Authorize", {})

        assert answer[:3] == [4, "1", code]
        assert dialect.calls == []

    play(scene, protocol=protocol)


def test_a_handler_can_refuse_fail_or_answer_nonsense_and_the_connection_stays() -> None:
    async def refuse(_: Any) -> Any:
        raise CallError("NotSupported", "not here")

    async def fail(_: Any) -> Any:
        raise RuntimeError("bug")

    async def nonsense(_: Any) -> Any:
        return None

    async def unwritable(_: Any) -> Any:
        return {"status": "Accepted", "data": object()}

    async def scene(rig: Rig, client: ClientConnection, dialect: EchoDialect) -> None:
        codes = []
        for handler in (refuse, fail, nonsense, unwritable):
            dialect.handlers["DataTransfer"] = handler
            codes.append((await ask(client, "DataTransfer", {"vendorId": "x"}))[2])

        assert codes == ["NotSupported", "InternalError", "InternalError", "InternalError"]
        assert (await ask(client, "Heartbeat", {}))[0] == 3

    play(scene)


def test_a_handler_has_limited_time() -> None:
    async def dawdle(_: Any) -> Any:
        await asyncio.sleep(60)

    async def scene(rig: Rig, client: ClientConnection, dialect: EchoDialect) -> None:
        dialect.handlers["DataTransfer"] = dawdle

        assert (await ask(client, "DataTransfer", {"vendorId": "x"}))[2] == "InternalError"
        assert (await ask(client, "Heartbeat", {}))[0] == 3

    play(scene, handler_timeout_s=0.05)


def test_a_slow_handler_does_not_keep_an_answer_from_being_read() -> None:
    release = asyncio.Event()

    async def wait(_: Any) -> Any:
        await release.wait()
        return {"status": "Accepted"}

    async def scene(rig: Rig, client: ClientConnection, dialect: EchoDialect) -> None:
        dialect.handlers["DataTransfer"] = wait
        await client.send(json.dumps([2, "slow", "DataTransfer", {"vendorId": "x"}]))
        await until(lambda: dialect.calls)

        call = asyncio.create_task(dialect.caller.call("ClearCache", {}))
        unique_id, _ = await asked(client)
        await client.send(json.dumps([3, unique_id, {"status": "Accepted"}]))

        assert await call == {"status": "Accepted"}
        release.set()
        assert (await answer_to(client, "slow"))[0] == 3

    play(scene)


def test_calls_are_handled_in_order() -> None:
    async def scene(rig: Rig, client: ClientConnection, dialect: EchoDialect) -> None:
        for n in range(30):
            await client.send(json.dumps([2, str(n), "DataTransfer", {"vendorId": str(n)}]))
        await until(lambda: len(dialect.calls) == 30)

        assert [p["vendorId"] for _, p in dialect.calls] == [str(n) for n in range(30)]

    play(scene)


def test_calls_beyond_the_queue_are_dropped_and_the_station_stays_reachable() -> None:
    release = asyncio.Event()

    async def wait(_: Any) -> Any:
        await release.wait()
        return {"status": "Accepted"}

    async def scene(rig: Rig, client: ClientConnection, dialect: EchoDialect) -> None:
        dialect.handlers["DataTransfer"] = wait
        for n in range(50):
            await client.send(json.dumps([2, str(n), "DataTransfer", {"vendorId": "x"}]))
        session: Any = dialect.caller
        await until(lambda: session.stats.frames == 50)

        assert session.stats.dropped_calls >= 40
        release.set()
        assert (await ask(client, "Heartbeat", {}, "after"))[0] == 3

    play(scene, max_unhandled_calls=8)


def test_one_call_is_in_flight_and_the_urgent_one_goes_first() -> None:
    async def scene(rig: Rig, client: ClientConnection, dialect: EchoDialect) -> None:
        call = dialect.caller.call
        tasks = [
            asyncio.create_task(call("ClearCache", {})),
            asyncio.create_task(call("GetLocalListVersion", {})),
            asyncio.create_task(call("SetChargingProfile", a_profile(6.0), urgent=True)),
        ]
        order = []
        for answer in ({"status": "Accepted"}, {"status": "Accepted"}, {"listVersion": 1}):
            unique_id, action = await asked(client)
            order.append(action)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.recv(), 0.05)
            await client.send(json.dumps([3, unique_id, answer]))
        await asyncio.gather(*tasks)

        assert order[1:] == ["SetChargingProfile", "GetLocalListVersion"] or order == [
            "SetChargingProfile",
            "ClearCache",
            "GetLocalListVersion",
        ]

    play(scene)


def test_a_newer_profile_takes_the_place_of_one_that_waits() -> None:
    async def scene(rig: Rig, client: ClientConnection, dialect: EchoDialect) -> None:
        call = dialect.caller.call
        first = asyncio.create_task(call("ClearCache", {}))
        blocker, _ = await asked(client)
        older = asyncio.create_task(call("SetChargingProfile", a_profile(16.0), replaces="1"))
        await asyncio.sleep(0)
        newer = asyncio.create_task(call("SetChargingProfile", a_profile(8.0), replaces="1"))

        with pytest.raises(CallFailed) as failed:
            await older
        await client.send(json.dumps([3, blocker, {"status": "Accepted"}]))
        frame = json.loads(await client.recv())
        await client.send(json.dumps([3, frame[1], {"status": "Accepted"}]))
        await asyncio.gather(first, newer)

        assert (failed.value.kind, failed.value.code) == ("closed", "Superseded")
        schedule = frame[3]["csChargingProfiles"]["chargingSchedule"]
        assert schedule["chargingSchedulePeriod"][0]["limit"] == 8.0

    play(scene)


def test_every_way_a_call_can_fail() -> None:
    async def outcome(dialect: EchoDialect, action: str, payload: dict[str, Any]) -> Any:
        with pytest.raises(CallFailed) as failed:
            await dialect.caller.call(action, payload, timeout_s=0.1)
        return failed.value.kind, failed.value.code

    async def scene(rig: Rig, client: ClientConnection, dialect: EchoDialect) -> None:
        assert await outcome(dialect, "Reset", {"type": "soft"}) == (
            "invalid",
            "PropertyConstraintViolation",
        )
        for reply, expected in (
            (None, ("timeout", "")),
            ([4, "?", "NotSupported", "", {}], ("error", "NotSupported")),
            ([4, "?", "VendorSpecific"], ("error", "VendorSpecific")),
            ([3, "?", {"status": "Maybe"}], ("invalid", "PropertyConstraintViolation")),
            ([3, "?", {}], ("invalid", "OccurenceConstraintViolation")),
        ):
            task = asyncio.create_task(outcome(dialect, "ClearCache", {}))
            unique_id, _ = await asked(client)
            if reply is not None:
                await client.send(json.dumps([reply[0], unique_id, *reply[2:]]))
            assert await task == expected

    play(scene)


def test_calls_fail_at_once_when_the_connection_ends() -> None:
    async def scene(rig: Rig, client: ClientConnection, dialect: EchoDialect) -> None:
        tasks = [asyncio.create_task(dialect.caller.call("ClearCache", {})) for _ in range(3)]
        await asked(client)
        began = time.monotonic()
        await client.close()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)

        assert [o.kind for o in outcomes if isinstance(o, CallFailed)] == ["closed"] * 3
        assert time.monotonic() - began < 5.0
        await until(lambda: dialect.is_closed)
        with pytest.raises(CallFailed):
            await dialect.caller.call("ClearCache", {})

    play(scene)


def test_a_caller_that_leaves_does_not_break_the_order_of_the_wire() -> None:
    async def scene(rig: Rig, client: ClientConnection, dialect: EchoDialect) -> None:
        left = asyncio.create_task(dialect.caller.call("ClearCache", {}))
        unique_id, _ = await asked(client)
        left.cancel()
        after = asyncio.create_task(dialect.caller.call("GetLocalListVersion", {}))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.recv(), 0.05)
        await client.send(json.dumps([3, unique_id, {"status": "Accepted"}]))
        unique_id, action = await asked(client)
        await client.send(json.dumps([3, unique_id, {"listVersion": 3}]))

        assert action == "GetLocalListVersion"
        assert await after == {"listVersion": 3}

    play(scene)


def test_a_full_outbox_refuses_more() -> None:
    async def scene(rig: Rig, client: ClientConnection, dialect: EchoDialect) -> None:
        tasks = [asyncio.create_task(dialect.caller.call("ClearCache", {})) for _ in range(6)]
        await asyncio.sleep(0.05)
        done = [t.exception() for t in tasks if t.done()]
        for task in tasks:
            task.cancel()

        assert [e.code for e in done if isinstance(e, CallFailed)] == ["OutboxFull"] * len(done)
        assert len(done) >= 2

    play(scene, max_waiting_calls=3)


def test_three_unanswered_calls_close_the_connection_so_that_the_station_redials() -> None:
    async def scene(rig: Rig, client: ClientConnection, dialect: EchoDialect) -> None:
        kinds = []
        for _ in range(3):
            with pytest.raises(CallFailed) as failed:
                await dialect.caller.call("ClearCache", {}, timeout_s=0.05)
            kinds.append(failed.value.kind)
        await client.wait_closed()

        assert kinds == ["timeout"] * 3
        await until(lambda: rig.events(StationDisconnected))

    play(scene)


def test_an_answer_resets_the_count_of_unanswered_calls() -> None:
    async def scene(rig: Rig, client: ClientConnection, dialect: EchoDialect) -> None:
        for _ in range(3):
            for _ in range(2):
                with pytest.raises(CallFailed):
                    await dialect.caller.call("ClearCache", {}, timeout_s=0.02)
                await asked(client)
            good = asyncio.create_task(dialect.caller.call("ClearCache", {}))
            unique_id, _ = await asked(client)
            await client.send(json.dumps([3, unique_id, {"status": "Accepted"}]))
            await good

        assert rig.events(StationDisconnected) == []

    play(scene)


def test_stale_answers_are_dropped_and_the_next_call_succeeds_within_a_second() -> None:
    async def scene(rig: Rig, client: ClientConnection, dialect: EchoDialect) -> None:
        for n in range(5000):
            await client.send(f'[3,"stale-{n}",{{"status":"Accepted"}}]')
        station = asyncio.create_task(obey(client))
        began = time.monotonic()

        assert await rig.server.apply(a_limit()) == Applied(self_expiring=False)
        assert time.monotonic() - began < 5.0
        session: Any = dialect.caller
        await until(lambda: session.stats.unknown_answers == 5000)
        station.cancel()

    play(scene)


def test_a_silent_peer_is_found_dead_and_any_frame_counts_as_life() -> None:
    async def run() -> None:
        async with a_server(ping_interval_s=0.1, ping_timeout_s=0.2) as rig:
            mute = await rig.connect("CP001", ping_interval=None)
            mute.protocol.recv_data = lambda *_: None  # type: ignore[method-assign]
            mute.protocol.receive_data = lambda *_: None  # type: ignore[method-assign]
            talking = await rig.connect("CP002", ping_interval=None)
            talking.protocol.receive_data = lambda *_: None  # type: ignore[method-assign]
            for _ in range(12):
                await talking.send('[2,"1","Heartbeat",{}]')
                await asyncio.sleep(0.05)

            assert [e.station for e in rig.events(StationDisconnected)] == ["CP001"]
            mute.transport.abort()
            talking.transport.abort()

    asyncio.run(run())


@pytest.mark.long
def test_a_peer_that_falls_silent_is_found_dead_in_time(
    record_property: Callable[[str, object], None],
) -> None:
    """With the product's own times, so it takes as long as they are."""

    async def run() -> None:
        async with a_server() as rig:
            mute = await rig.connect("CP001", ping_interval=None)
            await ask(mute, "Heartbeat", {})
            mute.transport.pause_reading()
            silent_s = time.monotonic()
            await until(lambda: rig.events(StationDisconnected), timeout_s=100.0)
            record_property("fault_t_d_s", time.monotonic() - silent_s)
            mute.transport.abort()
            assert [e.station for e in rig.events(StationDisconnected)] == ["CP001"]

    asyncio.run(run())


def test_a_flood_delays_the_station_that_floods() -> None:
    async def scene(rig: Rig, client: ClientConnection, dialect: EchoDialect) -> None:
        began = time.monotonic()
        for n in range(60):
            await client.send(f'[2,"{n}","Heartbeat",{{}}]')
        await answer_to(client, "59")

        assert 0.4 < time.monotonic() - began < 10.0

    play(scene, frames_per_s=100.0, frames_burst=10)


def test_being_heard_is_reported_at_most_once_a_second() -> None:
    async def scene(rig: Rig, client: ClientConnection, dialect: EchoDialect) -> None:
        for n in range(100):
            await ask(client, "Heartbeat", {}, str(n))

        assert 1 <= len(rig.events(StationHeard)) <= 2

    play(scene)


def test_frames_are_logged_without_secrets() -> None:
    async def scene(rig: Rig, client: ClientConnection, dialect: EchoDialect) -> None:
        station = asyncio.create_task(obey(client))
        await dialect.caller.call(
            "ChangeConfiguration", {"key": "AuthorizationKey", "value": "0123456789abcdef"}
        )
        station.cancel()
        text = " ".join(f.text for f in rig.desk.frames)

        assert "0123456789abcdef" not in text
        assert [(f.inbound, f.action) for f in rig.desk.frames] == [
            (False, "ChangeConfiguration"),
            (True, "ChangeConfiguration"),
        ]

    play(scene)


SECRETS = [
    [2, "1", "ChangeConfiguration", {"key": "AuthorizationKey", "value": "hidden!"}],
    [3, "1", {"configurationKey": [{"key": "authorizationkey", "value": "hidden!"}]}],
    [2, "1", "SetVariables", {"setVariableData": [
        {"variable": {"name": "BasicAuthPassword"}, "attributeValue": "hidden!"}]}],
    [2, "1", "NotifyReport", {"reportData": [
        {"variable": {"name": "BasicAuthPassword"}, "variableAttribute": [{"value": "hidden!"}]}]}],
    [2, "1", "SetNetworkProfile", {"connectionData": {"apn": {"apnPassword": "hidden!"}}}],
    [2, "1", "GetDiagnostics", {"location": "ftp://user:hidden!@host/x"}],
    [2, "1", "CertificateSigned", {"certificateChain": "hidden!"}],
    [2, "1", "SignCertificate", {"csr": "hidden!"}],
    [2, "1", "Authorize", {"idTag": "ABCDhidden!"}],
    [2, "1", "TransactionEvent", {"idToken": {"idToken": "ABCDhidden!", "type": "ISO14443"}}],
    [2, "1", "SendLocalList", {"localAuthorizationList": [{"idTag": "ABCDhidden!"}]}],
]  # fmt: skip


@pytest.mark.parametrize("message", SECRETS, ids=lambda m: str(m)[:50])
def test_no_secret_reaches_the_log(message: Any) -> None:
    assert "hidden!" not in redacted(json.dumps(message).encode())


@pytest.mark.parametrize(
    "raw",
    [
        b'[2,"1","ChangeConfiguration",{"key":"Authorization\\u004bey","value":"hidden!"}]',
        b'[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"hidden!"',
    ],
)
def test_secrets_in_odd_frames_do_not_reach_the_log_either(raw: bytes) -> None:
    assert "hidden!" not in redacted(raw)


def test_harmless_frames_are_logged_as_they_are() -> None:
    raw = b'[2,"1","Heartbeat",{}]\x00'

    assert redacted(raw) == raw.decode()
    assert "ABCD" in redacted(b'[2,"1","Authorize",{"idTag":"ABCDEFGH"}]')
    assert len(redacted(b"x" * 100_000)) < 5000


def test_commands_reach_the_station_or_say_why_not() -> None:
    async def scene(rig: Rig, client: ClientConnection, dialect: EchoDialect) -> None:
        station = asyncio.create_task(obey(client))

        assert await rig.server.apply(a_limit("CP001")) == Applied(self_expiring=False)
        assert await rig.server.apply(a_limit("CP002")) == NotConnected()
        station.cancel()

    play(scene)


def test_a_command_never_takes_longer_than_its_time() -> None:
    async def scene(rig: Rig, client: ClientConnection, dialect: EchoDialect) -> None:
        began = time.monotonic()

        assert await rig.server.apply(a_limit()) == TimedOut()
        assert time.monotonic() - began < 5.0

    play(scene, command_timeout_s=0.2)
