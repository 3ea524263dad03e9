"""Admission and registration: who may connect, as whom, and what happens to the one before."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from adapters.ocpp.handshake import identity_of, negotiate, password_of
from adapters.ocpp.notices import Notices
from adapters.ocpp.server import ListenError
from adapters.ocpp.throttle import Bucket, Throttle
from controller.commands import Applied
from controller.decision import Severity
from controller.station import StationConnected, StationDisconnected
from tests.adapters.ocpp.rig import (
    PASSWORD,
    Rig,
    a_limit,
    a_server,
    ask,
    basic,
    obey,
    until,
)
from tests.fakes.desk import RecordingConditions, SystemClock

ELSEWHERE = ("127.0.0.2", 0)


def play(scene: Callable[[Rig], Awaitable[None]], **settings: Any) -> None:
    async def run() -> None:
        async with a_server(**settings) as rig:
            await scene(rig)

    asyncio.run(run())


# --- pure parts -------------------------------------------------------------------------------------

TARGETS = [
    ("/CP001", "CP001"),
    ("/ocpp/CP001", "CP001"),
    ("//ocpp//CP001/", "CP001"),
    ("/CP001?token=x/y", "CP001"),
    ("/a%20b", "a b"),
    ("/DE%2AABC%2AE1", "DE*ABC*E1"),
    ("/RDAM%7C123", "RDAM|123"),
    ("ws://host:9000/ocpp/CP001", "CP001"),
    ("/ws://host/ocpp/CP001", "CP001"),
    ("/%C3%A5", "å"),
    ("/%FF", None),
    ("/", None),
    ("", None),
    ("///?x=CP001", None),
    ("/%0d%0aX", None),
    ("/%E2%80%AECP", None),
    ("/%1b[31m", None),
    ("/" + "x" * 49, None),
    ("/%20", None),
]


@pytest.mark.parametrize(("target", "identity"), TARGETS)
def test_the_identity_is_the_last_segment(target: str, identity: str | None) -> None:
    assert identity_of(target) == identity


BOTH = ("ocpp1.6", "ocpp2.0.1")
OFFERS: list[tuple[list[str], str | None, str | None, tuple[str, str | None] | None]] = [
    (["ocpp1.6"], None, "ocpp1.6", ("ocpp1.6", "ocpp1.6")),
    (["OCPP1.6"], None, "ocpp1.6", ("ocpp1.6", "OCPP1.6")),
    (["ocpp1.6j"], None, "ocpp1.6", ("ocpp1.6", "ocpp1.6j")),
    (["ocpp2.0.1"], None, "ocpp1.6", ("ocpp2.0.1", "ocpp2.0.1")),
    (["ocpp1.6", "ocpp2.0.1"], None, "ocpp1.6", ("ocpp2.0.1", "ocpp2.0.1")),
    (["ocpp2.0.1", "ocpp1.6"], "ocpp1.6", "ocpp1.6", ("ocpp1.6", "ocpp1.6")),
    (["ocpp2.0.1"], "ocpp1.6", "ocpp1.6", None),
    (["ocpp2.1", "ocpp2.0.1"], None, "ocpp1.6", ("ocpp2.0.1", "ocpp2.0.1")),
    (["ocpp1.5"], None, "ocpp1.6", None),
    (["ocpp2.0"], None, "ocpp1.6", None),
    ([], None, "ocpp1.6", ("ocpp1.6", None)),
    ([], "ocpp2.0.1", "ocpp1.6", ("ocpp2.0.1", None)),
    ([], None, None, None),
]


@pytest.mark.parametrize(("offered", "pinned", "default", "expected"), OFFERS)
def test_the_protocol_that_is_chosen(
    offered: list[str],
    pinned: str | None,
    default: str | None,
    expected: tuple[str, str | None] | None,
) -> None:
    chosen = negotiate(offered, available=BOTH, pinned=pinned, default=default)

    assert (chosen and (chosen.protocol, chosen.echo)) == expected


def test_only_protocols_that_are_implemented_are_chosen() -> None:
    assert negotiate(["ocpp2.0.1"], available=["ocpp1.6"], pinned=None, default=None) is None


AUTHORIZATIONS = [
    ([basic("CP001", "pw")["Authorization"]], b"pw"),
    ([basic("CP001", "p:w")["Authorization"]], b"p:w"),
    ([basic("CP001", b"\xff\x00")["Authorization"]], b"\xff\x00"),
    ([basic("CP001", "")["Authorization"]], b""),
    ([basic("CP002", "pw")["Authorization"]], None),
    (["Basic !!!"], None),
    (["Basic"], None),
    (["Bearer abc"], None),
    ([], None),
    ([basic("CP001", "pw")["Authorization"]] * 2, None),
]


@pytest.mark.parametrize(("headers", "password"), AUTHORIZATIONS)
def test_the_password_is_read_as_bytes(headers: list[str], password: bytes | None) -> None:
    assert password_of(headers, "CP001") == password


def test_a_bucket_says_how_long_to_wait() -> None:
    bucket = Bucket(2.0, 4.0, 4.0, 0.0)

    assert [bucket.spend(1.0, 0.0) for _ in range(6)] == [0, 0, 0, 0, 0.5, 1.0]
    assert bucket.spend(1.0, 100.0) == 0.0


def test_a_throttle_opens_again_and_forgets_the_oldest() -> None:
    throttle = Throttle(per_minute=60.0, burst=2, max_keys=3)
    for _ in range(5):
        throttle.count("a", 0.0)

    assert not throttle.is_open("a", 0.5)
    assert throttle.is_open("a", 1.1)
    for key in "bcd":
        throttle.count(key, 0.5)
    assert throttle.is_open("a", 0.5)
    assert len(throttle) == 3


def test_conditions_that_strangers_cause_are_bounded_and_end() -> None:
    class Clock(SystemClock):
        now_s = 0.0

        def monotonic_s(self) -> float:
            return self.now_s

    sink, clock = RecordingConditions(), Clock()
    notices = Notices(sink=sink, clock=clock)
    for n in range(200):
        notices.begin("X", str(n), "text", severity=Severity.INFO, lasts_s=10.0)

    assert len(sink.in_force) == 50
    clock.now_s = 11.0
    notices.expire()
    assert sink.in_force == {}


# --- connecting -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/CP001", "/ocpp/CP001", "//ocpp//CP001/", "/CP001?x=1"])
def test_every_spelling_of_the_address_connects(path: str) -> None:
    async def scene(rig: Rig) -> None:
        client = await rig.connect("CP001", path=path)

        assert (await ask(client, "Heartbeat", {}))[0] == 3
        assert [e.station for e in rig.events(StationConnected)] == ["CP001"]
        await client.close()

    play(scene)


@pytest.mark.parametrize(
    ("offered", "agreed", "spoken"),
    [
        (["OCPP1.6"], "OCPP1.6", "ocpp1.6"),
        (["ocpp1.6", "ocpp2.0.1"], "ocpp2.0.1", "ocpp2.0.1"),
        ([], None, "ocpp1.6"),
    ],
)
def test_the_agreed_protocol_is_confirmed_in_the_stations_spelling(
    offered: list[str], agreed: str | None, spoken: str
) -> None:
    async def scene(rig: Rig) -> None:
        client = await rig.connect(protocols=offered)
        await until(lambda: rig.dialects)

        assert client.subprotocol == agreed
        assert rig.dialects[0].caller.protocol == spoken
        await client.close()

    play(scene)


def test_a_protocol_that_is_not_spoken_is_refused_with_the_choice() -> None:
    async def scene(rig: Rig) -> None:
        with pytest.raises(InvalidStatus) as refused:
            await rig.connect(protocols=["ocpp1.5"])

        assert refused.value.response.status_code == 400
        assert b"ocpp2.0.1" in (refused.value.response.body or b"")

    play(scene)


@pytest.mark.parametrize(
    "password",
    [
        b"0123456789abcdef",
        b"0123456789ABCDEF",
        bytes.fromhex("0123456789abcdef"),
        b"0123456789abcdef".hex().encode(),
    ],
)
def test_the_password_is_accepted_in_the_forms_that_stations_send(password: bytes) -> None:
    async def scene(rig: Rig) -> None:
        stored = b"0123456789ABCDEF" if password.isupper() else b"0123456789abcdef"
        rig.secrets.secrets["CP001"] = stored

        assert await rig.status_of(password=password) == 101

    play(scene)


@pytest.mark.parametrize(
    ("password", "user"), [("wrong", None), (None, None), ("", None), (PASSWORD, "CP002")]
)
def test_a_wrong_password_is_refused_and_ends_when_the_right_one_comes(
    password: str | None, user: str | None
) -> None:
    async def scene(rig: Rig) -> None:
        assert await rig.status_of(password=password, user=user) == 401
        assert ("WRONG_PASSWORD", "CP001") in rig.conditions.in_force
        assert rig.desk.events == []

        assert await rig.status_of() == 101
        assert rig.conditions.in_force == {}

    play(scene)


@pytest.mark.parametrize("password", [None, ""])
def test_an_empty_password_is_never_right(password: str | None) -> None:
    async def scene(rig: Rig) -> None:
        rig.secrets.secrets["CP001"] = b""

        assert await rig.status_of(password=password) == 401

    play(scene)


def test_a_strangers_name_cannot_smuggle_a_command_into_the_advice() -> None:
    async def scene(rig: Rig) -> None:
        await rig.status_of("x;reboot", path="/x%3Breboot")
        condition = rig.conditions.in_force["UNKNOWN_STATION", "x;reboot"]

        assert "wattkeeper station secret 'x;reboot'" in condition.text

    play(scene)


def test_an_unknown_station_is_refused_and_the_mend_is_named() -> None:
    async def scene(rig: Rig) -> None:
        assert await rig.status_of("GHOST") == 404
        condition = rig.conditions.in_force["UNKNOWN_STATION", "GHOST"]

        assert "wattkeeper station secret GHOST" in condition.text
        assert rig.desk.events == []

    play(scene)


def test_known_and_unknown_stations_cost_the_same_comparisons() -> None:
    async def scene(rig: Rig) -> None:
        counts = []
        for station, password in (("CP001", "wrong"), ("GHOST", "wrong"), ("CP001", None)):
            before = rig.secrets.compared
            await rig.status_of(station, password=password)
            counts.append(rig.secrets.compared - before)

        assert counts == [1, 1, 1]

    play(scene)


def test_without_authentication_everybody_known_connects_and_an_alarm_stands() -> None:
    async def scene(rig: Rig) -> None:
        assert await rig.status_of(password=None) == 101
        assert await rig.status_of("GHOST", password=None) == 404
        alarm = rig.conditions.in_force["OCPP_WITHOUT_AUTHENTICATION", "site"]
        assert alarm.severity is Severity.ALARM

    play(scene, security_profile=0)


def test_guessing_is_throttled_and_does_not_lock_out_other_stations_of_that_address() -> None:
    async def scene(rig: Rig) -> None:
        statuses = [await rig.status_of(password=f"guess{n}") for n in range(25)]
        compared = rig.secrets.compared

        assert statuses[:20] == [401] * 20
        assert statuses[-1] == 429
        assert await rig.status_of(password="another") == 429
        assert rig.secrets.compared == compared
        assert await rig.status_of("CP002") == 101
        assert await rig.status_of(local_addr=ELSEWHERE) == 101

    play(scene)


def test_inventing_identities_is_throttled_and_creates_nothing() -> None:
    async def scene(rig: Rig) -> None:
        statuses = [await rig.status_of(f"GHOST{n}") for n in range(100)]

        assert statuses[:20] == [404] * 20
        assert statuses[-1] == 429
        assert len(rig.conditions.in_force) <= 50
        assert await rig.status_of() == 101

    play(scene)


def test_a_port_in_use_is_reported_with_the_mend() -> None:
    async def scene(rig: Rig) -> None:
        with pytest.raises(ListenError, match=rf"127\.0\.0\.1:{rig.server.port} is in use.*listen"):
            async with a_server(port=rig.server.port):
                pass

    play(scene)


def test_tls_profiles_without_a_certificate_are_refused_at_start() -> None:
    async def run() -> None:
        with pytest.raises(ListenError, match="certificate"):
            async with a_server(security_profile=2):
                pass

    asyncio.run(run())


# --- two connections, one identity ------------------------------------------------------------------


def test_a_second_station_elsewhere_is_refused_while_the_first_one_lives() -> None:
    async def scene(rig: Rig) -> None:
        first = await rig.connect()

        assert await rig.status_of(local_addr=ELSEWHERE) == 409
        assert ("DUPLICATE_IDENTITY", "CP001") in rig.conditions.in_force
        assert (await ask(first, "Heartbeat", {}))[0] == 3
        assert rig.events(StationDisconnected) == []
        await first.close()

    play(scene)


def test_wrong_credentials_never_disturb_the_first_connection() -> None:
    async def scene(rig: Rig) -> None:
        first = await rig.connect()

        assert await rig.status_of(local_addr=ELSEWHERE, password="wrong") == 401
        assert await rig.status_of(password=None) == 401
        assert (await ask(first, "Heartbeat", {}))[0] == 3
        await first.close()

    play(scene)


def test_a_silent_first_connection_is_replaced_and_its_late_end_changes_nothing() -> None:
    async def scene(rig: Rig) -> None:
        first = await rig.connect(ping_interval=None)
        await until(lambda: rig.dialects)
        first.protocol.receive_data = lambda *_: None  # type: ignore[method-assign]
        second = await rig.connect(local_addr=ELSEWHERE)
        station = asyncio.create_task(obey(second))
        await until(lambda: rig.dialects[0].is_closed)
        first.transport.abort()

        assert await rig.server.apply(a_limit()) == Applied(self_expiring=False)
        assert rig.events(StationDisconnected) == []
        assert len(rig.events(StationConnected)) == 2
        station.cancel()
        await second.close()
        await until(lambda: rig.events(StationDisconnected))

    play(scene, takeover_ping_s=0.2)


def test_the_same_address_replaces_a_dead_connection_but_not_one_that_answers() -> None:
    async def scene(rig: Rig) -> None:
        first = await rig.connect(ping_interval=None)
        assert await rig.status_of() == 409
        assert ("DUPLICATE_IDENTITY", "CP001") in rig.conditions.in_force
        first.protocol.receive_data = lambda *_: None  # type: ignore[method-assign]
        second = await rig.connect()

        assert (await ask(second, "Heartbeat", {}))[0] == 3
        assert rig.events(StationDisconnected) == []
        first.transport.abort()
        await second.close()

    play(scene, takeover_ping_s=0.2)


def test_a_station_that_left_a_silent_connection_open_gets_in_when_it_insists() -> None:
    async def scene(rig: Rig) -> None:
        lingering = await rig.connect()
        statuses = [await rig.status_of() for _ in range(3)]

        assert statuses == [409, 409, 101]
        with pytest.raises(ConnectionClosed):
            await lingering.recv()

    play(scene)


def test_insisting_does_not_help_while_the_first_connection_speaks() -> None:
    async def scene(rig: Rig) -> None:
        first = await rig.connect()
        statuses = []
        for n in range(6):
            assert (await ask(first, "Heartbeat", {}, str(n)))[0] == 3
            statuses.append(await rig.status_of())

        assert statuses == [409] * 6
        await first.close()

    play(scene)


def test_flipping_between_connections_is_throttled() -> None:
    async def scene(rig: Rig) -> None:
        statuses = [await rig.status_of() for _ in range(14)]

        assert statuses[:10] == [101] * 10
        assert statuses[-1] == 429
        assert ("STATION_RECONNECTS", "CP001") in rig.conditions.in_force

    play(scene)


def test_a_wrong_password_stands_in_the_audit_log_a_few_times_a_minute() -> None:
    async def scene(rig: Rig) -> None:
        for n in range(10):
            await rig.status_of(password=f"guess{n}")
        await until(lambda: rig.secrets.entries)

        entry = rig.secrets.entries[0]
        assert (entry.actor, entry.action, entry.subject) == (
            "127.0.0.1",
            "station.refused",
            "CP001",
        )
        assert "guess" not in entry.after
        assert len(rig.secrets.entries) == 3

    play(scene)


def test_stopping_closes_the_connections_and_frees_the_port() -> None:
    async def run() -> None:
        async with a_server() as rig:
            client = await rig.connect()
            port = rig.server.port
        with pytest.raises(ConnectionClosed):
            await client.recv()
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", port))
        assert [e.station for e in rig.events(StationDisconnected)] == ["CP001"]

    asyncio.run(run())
