"""Builders and peers for the uploader's tests."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.influx.settings import InfluxSettings
from adapters.influx.uploader import InfluxUploader
from controller.decision import Condition
from controller.ports import SampleSpool
from controller.records import Sample

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Conditions:
    """Remembers begins and ends."""

    log: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def begin(self, condition: Condition) -> None:
        self.log.append(f"begin {condition.code}")
        self.texts.append(condition.text)

    def end(self, code: str, subject: str) -> None:
        self.log.append(f"end {code}")


class RealClock:
    def monotonic_s(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)


def a_sample(second: int, *, charger: int = 0, **fields: Any) -> Sample:
    return Sample(
        measurement="charger",
        tags={"cp": f"CP{charger:03d}", "evse": "1"},
        fields=fields or {"p": 7000.0 + second, "phases": 3},
        at=START + timedelta(seconds=second),
    )


def some_samples(count: int, *, start: int = 0) -> list[Sample]:
    """Ten chargers, one sample of each per second."""
    return [a_sample((start + i) // 10, charger=(start + i) % 10) for i in range(count)]


def settings_for(port: int, **changes: Any) -> InfluxSettings:
    arguments: dict[str, Any] = {
        "url": f"http://127.0.0.1:{port}",
        "site": "depot",
        "timeout_s": 1.0,
        "interval_s": 0.1,
        **changes,
    }
    if "database" not in changes:
        arguments.setdefault("bucket", "wattkeeper")
    return InfluxSettings(**arguments)


@asynccontextmanager
async def uploading(
    settings: InfluxSettings,
    spool: SampleSpool,
    conditions: Conditions | None = None,
    sheds: Callable[[], bool] = lambda: False,
) -> AsyncIterator[InfluxUploader]:
    uploader = InfluxUploader(
        settings=settings,
        spool=spool,
        conditions=conditions or Conditions(),
        clock=RealClock(),
        sheds=sheds,
    )
    task = asyncio.create_task(uploader.run())
    try:
        yield uploader
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(is_true: Callable[[], bool], *, timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not is_true():  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.02)


async def until_uploaded(
    spool: SampleSpool, settings: InfluxSettings, *, timeout_s: float = 30.0
) -> None:
    """Wait until the cursor covers everything."""
    async with asyncio.timeout(timeout_s):
        while await spool.upload_cursors(settings.target) != (  # noqa: ASYNC110 - it has no event
            (1, await spool.newest_cursor()),
        ):
            await asyncio.sleep(0.02)


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    lines: list[str]


Answer = tuple[int, dict[str, str], str]
NO_CONTENT: Answer = (204, {}, "")


class Peer:
    """A server that answers what a test tells it to. `None` means: never."""

    def __init__(self, answer: Callable[[Request], Answer | None]) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.stored: list[str] = []
        self.port = 0
        self.connections: set[asyncio.Task[None]] = set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections.add(task)
        try:
            await self.serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.connections.discard(task)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await _read(reader)
            self.requests.append(request)
            answer = self.answer(request)
            if answer is None:
                await reader.read()
                break
            if answer[0] == 204:
                self.stored.extend(request.lines)
            writer.write(_encoded(answer))
            await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {}
    for line in head[1:]:
        if line:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers["content-length"]))
    if headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    return Request(head[0].split()[1], headers, body.decode().splitlines())


def _encoded(answer: Answer) -> bytes:
    status, headers, text = answer
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(text)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + text).encode()


@asynccontextmanager
async def peer_answering(answer: Callable[[Request], Answer | None]) -> AsyncIterator[Peer]:
    peer = Peer(answer)
    server = await asyncio.start_server(peer.handle, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        connections = tuple(peer.connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]
