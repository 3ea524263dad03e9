"""The upload receiver on real sockets: takes what is expected, once, and nothing else."""

from __future__ import annotations

import asyncio
import hashlib
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.ocpp.lines import Lines
from adapters.ocpp.logs import LogDesk
from adapters.uploads.book import UploadBook
from adapters.uploads.receiver import UploadListenError, UploadReceiver
from adapters.uploads.settings import UploadSettings
from controller.care import LogKind, LogRequest, Upload, UploadState
from controller.commands import Applied, NotConnected, Rejected
from controller.site import StationId
from tests.adapters.ocpp.rig import a_server, until
from tests.adapters.ocpp.test_station_security import Station
from tests.fakes.desk import SystemClock
from tests.fakes.memory_store import MemoryStore

CP001 = StationId("CP001")


class Clock(SystemClock):
    def __init__(self) -> None:
        self.added = timedelta()

    def now(self) -> datetime:
        return super().now() + self.added


@dataclass
class Scene:
    book: UploadBook
    receiver: UploadReceiver
    store: MemoryStore
    clock: Clock
    folder: Path

    async def expect(self) -> tuple[Upload, str]:
        upload, credentials = await self.book.expect(CP001, LogKind.DIAGNOSTICS, "ada")
        return upload, self.receiver.url(credentials, "127.0.0.1")

    def files(self) -> list[str]:
        return sorted(p.name for p in self.folder.iterdir())


@asynccontextmanager
async def a_scene(folder: Path, **changes: Any) -> AsyncIterator[Scene]:
    settings = UploadSettings(host="127.0.0.1", port=0, folder=folder / "uploads", **changes)
    store, clock = MemoryStore(), Clock()
    book = UploadBook(settings=settings, store=store, clock=clock)
    receiver = UploadReceiver(settings=settings, book=book)
    await receiver.start()
    try:
        yield Scene(book, receiver, store, clock, settings.folder)
    finally:
        await receiver.stop()


def play(
    folder: Path, body: Callable[[Scene, httpx.AsyncClient], Awaitable[None]], **changes: Any
) -> None:
    async def run() -> None:
        async with (
            a_scene(folder, **changes) as scene,
            httpx.AsyncClient(trust_env=False, timeout=10) as client,
        ):
            await body(scene, client)

    asyncio.run(run())


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("tail", ["log.zip", "", "a/b/../log.zip"])
def test_an_expected_file_is_stored_once(tmp_path: Path, method: str, tail: str) -> None:
    content = b"0123456789" * 20_000

    async def body(scene: Scene, client: httpx.AsyncClient) -> None:
        upload, url = await scene.expect()
        first = await client.request(method, url + tail, content=content)
        again = await client.request(method, url + tail, content=b"other")
        (stored,) = scene.book.uploads(CP001)

        assert (first.status_code, again.status_code) == (201, 404)
        assert scene.book.file_of(stored).read_bytes() == content
        assert stored.sha256 == hashlib.sha256(content).hexdigest()
        assert stored.name == ("log.zip" if tail else "log.bin")
        assert (stored.id, stored.state) == (upload.id, UploadState.STORED)
        assert stat.S_IMODE(scene.book.file_of(stored).stat().st_mode) == 0o600

    play(tmp_path, body)


def test_nothing_unexpected_is_taken(tmp_path: Path) -> None:
    async def body(scene: Scene, client: httpx.AsyncClient) -> None:
        _, url = await scene.expect()
        base = url.partition("/uploads")[0]
        statuses = [
            (await client.put(f"{base}/uploads/guess/log")).status_code,
            (await client.put(f"{base}/../../etc/passwd")).status_code,
            (await client.put(base)).status_code,
            (await client.get(url)).status_code,
            (await client.delete(url)).status_code,
        ]
        scene.clock.added = timedelta(hours=2)
        statuses.append((await client.put(url, content=b"late")).status_code)

        assert statuses == [404, 404, 404, 405, 405, 404]
        assert scene.files() == []

    play(tmp_path, body)


@pytest.mark.parametrize("is_announced", [True, False])
def test_a_file_that_is_too_large_is_cut_off_and_leaves_nothing(
    tmp_path: Path, is_announced: bool
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 100

    async def body(scene: Scene, client: httpx.AsyncClient) -> None:
        _, url = await scene.expect()
        content: Any = b"x" * 10_000 if is_announced else pieces()
        refused = await client.put(url, content=content)
        small = await client.put(url, content=b"x" * 1000)

        assert refused.status_code == 413
        assert small.status_code == 201
        assert len(scene.files()) == 1

    play(tmp_path, body, max_bytes=1000)


async def raw(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""
    finally:
        await closed(writer)


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x16\x03\x01\x02\x00\r\n\r\n", b"400"),
        (b"GET\r\n\r\n", b"400"),
        (b"PUT / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", b"431"),
        (b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", b"400"),
        (b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: odd\r\n\r\n", b"501"),
    ],
)
def test_what_is_no_request_is_refused(tmp_path: Path, data: bytes, expected: bytes) -> None:
    async def body(scene: Scene, client: httpx.AsyncClient) -> None:
        assert expected in await raw(scene.receiver.port, data)

    play(tmp_path, body)


def test_slow_senders_are_cut_off_and_keep_nobody_out(tmp_path: Path) -> None:
    async def body(scene: Scene, client: httpx.AsyncClient) -> None:
        _, url = await scene.expect()
        path = "/uploads" + url.partition("/uploads")[2]
        head = f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx".encode()
        slow = [raw(scene.receiver.port, b"PUT / HT"), raw(scene.receiver.port, head)]
        answers = await asyncio.gather(*slow)
        after = await client.put(url, content=b"whole")

        assert answers == [b"", b""]
        assert after.status_code == 201
        assert len(scene.files()) == 1

    play(tmp_path, body, head_timeout_s=0.2, idle_timeout_s=0.2)


def test_connections_are_limited(tmp_path: Path) -> None:
    async def body(scene: Scene, client: httpx.AsyncClient) -> None:
        idle = [await asyncio.open_connection("127.0.0.1", scene.receiver.port) for _ in range(2)]
        _, url = await scene.expect()
        await asyncio.sleep(0.05)

        assert (await client.put(url, content=b"x")).status_code == 503
        for _, writer in idle:
            await closed(writer)

    play(tmp_path, body, max_connections=2)


def test_files_go_with_age_and_number_and_survive_a_restart(tmp_path: Path) -> None:
    async def body(scene: Scene, client: httpx.AsyncClient) -> None:
        for n in range(3):
            _, url = await scene.expect()
            await client.put(url, content=bytes([n]) * 400)
            scene.clock.added += timedelta(seconds=1)
        await scene.expect()
        await scene.book.prune()
        kept = scene.book.uploads(None)
        settings = UploadSettings(host="127.0.0.1", port=0, folder=scene.folder)
        later = UploadBook(settings=settings, store=scene.store, clock=scene.clock)
        await later.restore()

        assert [u.size_bytes for u in kept] == [None, 400, 400]
        assert len(scene.files()) == 2
        assert [u.state.value for u in later.uploads(None)] == ["expired", "stored", "stored"]
        scene.clock.added += timedelta(days=31)
        await scene.book.prune()
        assert scene.files() == []
        assert scene.book.uploads(None) == ()

    play(tmp_path, body, max_total_bytes=900)


def test_an_address_in_use_is_reported_with_the_mend(tmp_path: Path) -> None:
    async def body(scene: Scene, client: httpx.AsyncClient) -> None:
        taken = UploadSettings(host="127.0.0.1", port=scene.receiver.port, folder=tmp_path)
        second = UploadReceiver(settings=taken, book=scene.book)
        with pytest.raises(UploadListenError, match=r"is in use\): check uploads\.listen"):
            await second.start()

    play(tmp_path, body)


# --- asked over OCPP --------------------------------------------------------------------------------

MESSAGES = [
    ("ocpp1.6", LogKind.DIAGNOSTICS, "GetDiagnostics"),
    ("ocpp1.6", LogKind.SECURITY, "GetLog"),
    ("ocpp2.0.1", LogKind.DIAGNOSTICS, "GetLog"),
    ("ocpp2.0.1", LogKind.SECURITY, "GetLog"),
]


@pytest.mark.parametrize(("protocol", "kind", "message"), MESSAGES)
def test_a_station_is_asked_and_its_file_arrives(
    tmp_path: Path, protocol: str, kind: LogKind, message: str
) -> None:
    async def body(scene: Scene, client: httpx.AsyncClient) -> None:
        lines = Lines()
        desk = LogDesk(
            lines=lines,
            uploads=scene.book,
            url=lambda station, credentials: scene.receiver.url(credentials, "127.0.0.1"),
            store=scene.store,
            clock=scene.clock,
        )
        async with a_server(extensions=[lines]) as rig:
            socket = await rig.connect(protocols=[protocol])
            station = Station(socket, lambda action, payload: ANSWERS[action])
            await until(lambda: lines.get(CP001))
            upload, answer = await desk.request(CP001, LogRequest(kind=kind), "ada")
            assert upload is not None
            ((asked, payload),) = station.calls
            url = payload.get("location") or payload["log"]["remoteLocation"]
            await client.put(url + "cp001.log", content=b"lines")
            stored, path = await desk.content(upload.id)
            secret = url.rstrip("/").rpartition("/")[2]

            assert isinstance(answer.result, Applied)
            assert asked == message
            assert payload.get("logType", "DiagnosticsLog").lower().startswith(kind.value)
            assert (stored.name, stored.size_bytes) == ("cp001.log", 5)
            assert path == str(scene.book.file_of(stored))
            assert all(secret not in frame.text for frame in rig.desk.frames)
            await socket.close()

    play(tmp_path, body)


ANSWERS = {
    "GetDiagnostics": {"fileName": "cp001.log"},
    "GetLog": {"status": "Accepted", "filename": "cp001.log"},
}
REFUSALS = [
    ("ocpp1.6", {}, "no diagnostics"),
    ("ocpp2.0.1", {"status": "Rejected"}, "Rejected"),
]


@pytest.mark.parametrize(("protocol", "answer", "reason"), REFUSALS)
def test_a_refusal_ends_the_expectation(
    tmp_path: Path, protocol: str, answer: dict[str, Any], reason: str
) -> None:
    async def body(scene: Scene, client: httpx.AsyncClient) -> None:
        lines = Lines()
        desk = LogDesk(
            lines=lines,
            uploads=scene.book,
            url=lambda station, credentials: scene.receiver.url(credentials, "127.0.0.1"),
            store=scene.store,
            clock=scene.clock,
        )
        absent, unasked = await desk.request(CP001, LogRequest(), "ada")
        async with a_server(extensions=[lines]) as rig:
            socket = await rig.connect(protocols=[protocol])
            Station(socket, lambda action, payload: answer)
            await until(lambda: lines.get(CP001))
            upload, refused = await desk.request(CP001, LogRequest(), "ada")
            await socket.close()

        assert (absent, unasked.result) == (None, NotConnected())
        assert upload is None
        assert isinstance(refused.result, Rejected)
        assert reason in refused.result.reason
        assert scene.book.uploads(None) == ()

    play(tmp_path, body)
