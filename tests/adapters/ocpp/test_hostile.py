"""Stations that lie, flood, stall or speak nonsense: nobody else may notice.

Full counts run with `-m long`; the suite runs the same scenes at reduced counts.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import random
import statistics
import time
import zlib
from typing import Any

import psutil
import pytest
import structlog
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from controller.commands import Applied
from controller.station import StationDisconnected
from tests.adapters.ocpp.rig import Rig, a_limit, a_server, ask, basic, obey, until

VALID = [
    [2, "1", "Heartbeat", {}],
    [2, "1", "BootNotification", {"chargePointVendor": "A", "chargePointModel": "B"}],
    [2, "1", "MeterValues", {"connectorId": 1, "meterValue": [
        {"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [{"value": "1", "unit": "A"}]}]}],
    [2, "1", "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}],
    [3, "1", {"status": "Accepted"}],
    [4, "1", "NotSupported", "", {}],
]  # fmt: skip
ODD: list[Any] = [
    None,
    True,
    -1,
    2**60,
    1e300,
    "",
    "x" * 5000,
    [],
    {},
    [[]],
    {"": {}},
    "\x00\u202e",
]


def replaced_somewhere(rng: random.Random, value: Any) -> Any:
    """Replace one node of a message by something odd."""
    if isinstance(value, list | dict) and value and rng.random() < 0.8:
        copy: Any = list(value) if isinstance(value, list) else dict(value)
        key = rng.randrange(len(copy)) if isinstance(copy, list) else rng.choice(list(copy))
        copy[key] = replaced_somewhere(rng, copy[key])
        return copy
    return rng.choice(ODD)


def malformed(rng: random.Random) -> bytes:
    """Make one frame by grammar or byte mutation."""
    message = rng.choice(VALID)
    if rng.random() < 0.5:
        message = replaced_somewhere(rng, message)
    raw = bytearray(json.dumps(message).encode())
    for _ in range(rng.choice((0, 1, 3))):
        at = rng.randrange(len(raw))
        raw[at : at + rng.choice((0, 1, 4))] = rng.randbytes(rng.choice((0, 1, 2)))
        raw = raw or bytearray(b"[")
    return bytes(raw[: rng.choice((len(raw), len(raw), len(raw) // 2))])


async def drain(client: ClientConnection) -> None:
    try:
        async for _ in client:
            pass
    except ConnectionClosed:
        return


async def probed(client: ClientConnection, delays_s: list[float]) -> None:
    """Measure a neighbour's Heartbeat again and again."""
    for n in range(100_000):
        began = time.perf_counter()
        await ask(client, "Heartbeat", {}, str(n))
        delays_s.append(time.perf_counter() - began)
        await asyncio.sleep(0.01)


async def attack(rig: Rig, frames: int, stations: int) -> list[float]:
    """Send malformed frames from many stations; return a neighbour's delays. [s]"""
    names = [f"CP{n:03d}" for n in range(2, stations + 2)]
    attackers = [await rig.connect(name) for name in names]
    drains = [asyncio.create_task(drain(client)) for client in attackers]
    neighbour = await rig.connect("CP001")
    delays_s: list[float] = []
    probe = asyncio.create_task(probed(neighbour, delays_s))
    rng = random.Random(7)
    for n in range(frames):
        raw = malformed(rng)
        await attackers[n % stations].send(raw.decode(errors="replace"))
        if n % 20 == 0:
            await asyncio.sleep(0.002)  # the attackers share our loop: let the others run
    for name, client in zip(names, attackers, strict=True):
        for task in drains:
            task.cancel()
        await asyncio.gather(*drains, return_exceptions=True)
        assert (await ask(client, "Heartbeat", {}, f"after-{name}"))[0] == 3
        await client.close()
    probe.cancel()
    await neighbour.close()
    return delays_s


async def campaign(frames: int, stations: int, *, p99_s: float) -> dict[str, float]:
    """Attack, hold the bar, and return what was measured."""
    with structlog.testing.capture_logs() as lines:
        async with a_server(stations=stations + 1, frames_per_s=1000.0, frames_burst=1000) as rig:
            before = psutil.Process(os.getpid()).memory_info().rss
            began = time.monotonic()
            delays_s = await attack(rig, frames, stations)
            took_s = time.monotonic() - began
            grown = psutil.Process(os.getpid()).memory_info().rss - before
            ended = {e.station for e in rig.events(StationDisconnected)}

    complaints = [line for line in lines if line["log_level"] != "info"]
    assert "CP001" not in ended
    assert statistics.quantiles(delays_s, n=100)[98] < p99_s
    assert len(complaints) <= stations * (took_s + 1)
    assert [line for line in lines if line["event"] == "ocpp.session_failed"] == []
    assert grown < 20e6
    return {
        "neighbour p99 [ms]": 1000 * statistics.quantiles(delays_s, n=100)[98],
        "lines per station and second begun": len(complaints) / stations / (took_s + 1),
        "memory grown [MB]": grown / 1e6,
    }


def test_malformed_frames_end_no_connection_and_disturb_no_neighbour() -> None:
    # In the suite other tests take the processor: here the neighbour has to be answered at all.
    assert asyncio.run(campaign(frames=1000, stations=5, p99_s=5.0))


async def unsolicited(count: int, size: int, *, within_s: float) -> float:
    """Send answers that nobody asked for; a command must succeed in time. Returns its time. [s]"""
    async with a_server() as rig:
        client = await rig.connect()
        padding = "x" * size
        for n in range(count):
            await client.send(json.dumps([3, f"{n}", {"status": "Accepted", "x": padding}]))
        station = asyncio.create_task(obey(client))
        began = time.monotonic()

        assert await rig.server.apply(a_limit()) == Applied(self_expiring=False)
        took_s = time.monotonic() - began
        assert took_s < within_s
        station.cancel()
        await client.close()
        return took_s


def test_unsolicited_answers_do_not_make_a_station_uncontrollable() -> None:
    assert asyncio.run(unsolicited(2500, 10, within_s=5.0)) < 5.0


OVERSIZED = {
    "limit plus one": b'[2,"1","DataTransfer",{"vendorId":"' + b"x" * (256 * 1024) + b'"}]',
    "1 MiB": b"x" * 2**20,
    "16 MiB": b"x" * 2**24,
    "nesting": b"[" * 100_000,
    "nested objects": b'[2,"1","DataTransfer",' + b'{"a":' * 40_000,
    "long number": b'[2,"1","DataTransfer",{"a":' + b"9" * 250_000 + b"}]",
    "a million digits": b"[" + b"9" * 10**6 + b"]",
    "many items": b'[2,"1","DataTransfer",{"a":[' + b",".join([b"1"] * 100_000) + b"]}]",
    "many wrong samples": b'[2,"1","MeterValues",{"connectorId":1,"meterValue":['
    + b",".join([b'{"a":1}'] * 30_000)
    + b"]}",
    "wrong samples": b'[2,"1","MeterValues",{"connectorId":1,"meterValue":['
    + b",".join([b'{"a":1}'] * 30_000)
    + b"]}]",
}


def on_the_wire(payload: bytes) -> bytes:
    """Build a text frame with an all-zero mask, so that the client costs no time."""
    size = len(payload)
    length = (
        b"\xfe" + size.to_bytes(2, "big") if size < 2**16 else b"\xff" + size.to_bytes(8, "big")
    )
    return b"\x81" + length + b"\0\0\0\0" + payload


async def cost_s(frame: bytes) -> float:
    """Send one frame and return the processor time until the station is answered or cut off. [s]"""
    async with a_server() as rig:
        neighbour = await rig.connect("CP001")
        hostile = await rig.connect("CP002")
        await ask(hostile, "MeterValues", {"connectorId": "1", "meterValue": []})
        began = time.process_time()
        hostile.transport.write(frame)
        with contextlib.suppress(ConnectionClosed, ConnectionError):
            await ask(hostile, "Heartbeat", {}, "after")
        spent_s = time.process_time() - began
        assert (await ask(neighbour, "Heartbeat", {}))[0] == 3
        if not hostile.transport.is_closing():
            hostile.transport.abort()
        await neighbour.close()
    return spent_s


@pytest.mark.parametrize("name", OVERSIZED)
def test_enormous_messages_cost_little_and_hurt_nobody(name: str) -> None:
    assert asyncio.run(cost_s(on_the_wire(OVERSIZED[name]))) < 0.5


def bomb(ratio: int = 1000) -> bytes:
    """Build a compressed text frame (RSV1) that nobody agreed on, and that swells a thousandfold."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    inner = squeeze.compress(b"[" + b" " * (ratio * 1024)) + squeeze.flush(zlib.Z_SYNC_FLUSH)
    frame = bytearray(on_the_wire(inner))
    frame[0] |= 0x40
    return bytes(frame)


def test_a_compressed_frame_that_was_not_agreed_on_ends_its_connection_only() -> None:
    assert len(bomb()) < 4096
    assert asyncio.run(cost_s(bomb())) < 0.5


def test_compression_is_never_agreed_so_there_is_no_bomb() -> None:
    async def run() -> None:
        async with a_server() as rig:
            client = await rig.connect(compression="deflate")

            assert client.protocol.extensions == []
            await client.close()

    asyncio.run(run())


async def half_open(port: int, sockets: int, tricklers: int) -> float:
    """Hold handshakes open while a real station connects. Returns the time it took. [s]"""
    writers = []
    for _ in range(sockets + tricklers):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /CP001 HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        writers.append(writer)

    async def trickle() -> None:
        while True:
            for writer in writers[:tricklers]:
                writer.write(b"x")
            await asyncio.sleep(1.0)

    slow = asyncio.create_task(trickle())
    began = time.monotonic()
    _, station = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(os.urandom(16)).decode()
    headers = "".join(
        f"{k}: {v}\r\n"
        for k, v in {
            "Host": "x",
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Protocol": "ocpp1.6",
            **basic("CP001", "correct-horse-battery"),
        }.items()
    )
    station.write(f"GET /CP001 HTTP/1.1\r\n{headers}\r\n".encode())
    line = await _.readline()
    took_s = time.monotonic() - began
    slow.cancel()
    for writer in (*writers, station):
        writer.transport.abort()
    assert b"101" in line
    return took_s


async def admitted_after_s(sockets: int, tricklers: int) -> float:
    async with a_server() as rig:
        return await half_open(rig.server.port, sockets, tricklers)


def test_half_open_handshakes_do_not_keep_a_station_out() -> None:
    assert asyncio.run(admitted_after_s(50, 20)) < 5.0


def test_half_open_handshakes_end_and_connections_are_limited() -> None:
    async def run() -> None:
        async with a_server(open_timeout_s=0.3, max_connections=5) as rig:
            readers = []
            for _ in range(8):
                reader, writer = await asyncio.open_connection("127.0.0.1", rig.server.port)
                readers.append((reader, writer))
            began = time.monotonic()
            for reader, _ in readers:
                try:
                    assert await asyncio.wait_for(reader.read(), 5.0) == b""
                except ConnectionError:
                    continue
            assert time.monotonic() - began < 5.0
            for _, writer in readers:
                writer.close()
            assert await rig.status_of() == 101

    asyncio.run(run())


def test_bytes_that_are_no_handshake_are_survived() -> None:
    async def run() -> None:
        async with a_server() as rig:
            for raw in (
                b"\x16\x03\x01\x02",
                b"GET\r\n\r\n",
                b"\x00" * 9000,
                b"GET / HTTP/1.0\r\n\r\n",
            ):
                reader, writer = await asyncio.open_connection("127.0.0.1", rig.server.port)
                writer.write(raw)
                writer.write_eof()
                with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                    await asyncio.wait_for(reader.readexactly(10**6), 3.0)
                writer.close()
            client = await rig.connect()
            await until(lambda: rig.dialects)

            assert (await ask(client, "Heartbeat", {}))[0] == 3
            await client.close()

    asyncio.run(run())
