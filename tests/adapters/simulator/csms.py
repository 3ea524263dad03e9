"""A small controller for stations to talk to: plain JSON over websockets, every frame validated."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from ocpp.messages import Call, CallResult, validate_payload
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

Json = dict[str, Any]

CALLERROR = 4


def timestamp(offset_s: float = 0.0) -> str:
    moment = datetime.now(UTC) + timedelta(seconds=offset_s)
    return moment.isoformat().replace("+00:00", "Z")


class Csms:
    """Accepts everything, records everything, and checks that frames obey the schemas."""

    def __init__(self) -> None:
        self.received: list[tuple[str, str, Json]] = []
        self.errors: list[str] = []
        self.passwords: dict[str, str] = {}
        self.sockets: dict[str, ServerConnection] = {}
        self.connections: dict[str, int] = defaultdict(int)
        self.card_status = "Accepted"
        self.boot_status = "Accepted"
        self._next_transaction = 4711
        self._pending: dict[str, asyncio.Future[list[Any]]] = {}
        self._server: Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            self.port,
            subprotocols=["ocpp1.6", "ocpp2.0.1"],  # type: ignore[list-item]
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def of(self, station: str, action: str) -> list[Json]:
        return [p for s, a, p in self.received if (s, a) == (station, action)]

    async def until(self, condition: Callable[[], Any], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            # Conditions look at several objects; no single event tells of them all.
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def call(self, station: str, action: str, payload: Json) -> Json:
        frame = await self.call_raw(station, action, payload)
        assert frame[0] != CALLERROR, frame
        version = self._version(self.sockets[station])
        await self._validate(CallResult(frame[1], frame[2], action), version)
        answer: Json = frame[2]
        return answer

    async def call_raw(self, station: str, action: str, payload: Json) -> list[Any]:
        socket = self.sockets[station]
        unique_id = str(uuid4())
        await validate_payload(Call(unique_id, action, payload), self._version(socket))
        self._pending[unique_id] = asyncio.get_running_loop().create_future()
        await socket.send(json.dumps([2, unique_id, action, payload]))
        async with asyncio.timeout(5):
            return await self._pending[unique_id]

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        station = socket.request.path.rpartition("/")[2]
        header = socket.request.headers.get("Authorization", "Basic Og==")
        self.passwords[station] = b64decode(header.removeprefix("Basic ")).decode()
        self.sockets[station] = socket
        self.connections[station] += 1
        try:
            async for text in socket:
                await self._receive(station, socket, json.loads(text))
        except ConnectionClosed:
            return

    async def _receive(self, station: str, socket: ServerConnection, frame: list[Any]) -> None:
        if frame[0] != 2:
            self._pending.pop(frame[1]).set_result(frame)
            return
        _, unique_id, action, payload = frame
        await self._validate(Call(unique_id, action, payload), self._version(socket))
        self.received.append((station, action, payload))
        answer = self._answer(action, payload)
        await self._validate(CallResult(unique_id, answer, action), self._version(socket))
        await socket.send(json.dumps([3, unique_id, answer]))

    def _answer(self, action: str, payload: Json) -> Json:
        if action == "BootNotification":
            return {"status": self.boot_status, "currentTime": timestamp(), "interval": 1}
        if action == "Heartbeat":
            return {"currentTime": timestamp()}
        if action == "Authorize":
            name = "idTagInfo" if "idTag" in payload else "idTokenInfo"
            return {name: {"status": self.card_status}}
        if action == "StartTransaction":
            self._next_transaction += 1
            status = {"status": self.card_status}
            return {"transactionId": self._next_transaction, "idTagInfo": status}
        return {}

    async def _validate(self, message: Call | CallResult, version: str) -> None:
        try:
            await validate_payload(message, version)
        except Exception as error:  # noqa: BLE001 - the library raises its own zoo
            self.errors.append(f"{message.action} {message.payload}: {error!r}")

    @staticmethod
    def _version(socket: ServerConnection) -> str:
        return str(socket.subprotocol).removeprefix("ocpp")
