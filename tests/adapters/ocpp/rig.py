"""A running OCPP server with a trivial dialect, and clients to annoy it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from adapters.ocpp.dialect import Caller, CallFailed, Received
from adapters.ocpp.extension import Extension
from adapters.ocpp.server import OcppServer
from adapters.ocpp.settings import OcppSettings
from controller.care import Stranger
from controller.commands import (
    ActionRequest,
    Applied,
    CommandResult,
    Rejected,
    SetLimit,
    TimedOut,
)
from controller.site import EvseId, StationId
from tests.fakes.desk import RecordingConditions, RecordingDesk, SecretBook, SystemClock

PASSWORD = "correct-horse-battery"
Handler = Callable[[dict[str, Any]], Awaitable[Any]]


def a_profile(limit_a: float) -> dict[str, Any]:
    """Build a SetChargingProfile of 1.6."""
    return {
        "connectorId": 1,
        "csChargingProfiles": {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit_a}],
            },
        },
    }


def a_limit(station: str = "CP001", limit_a: float = 10.0) -> SetLimit:
    return SetLimit(
        evse=EvseId(f"{station}/1"), limit_a=limit_a, lease_s=300.0, transaction=None, cause="test"
    )


class EchoDialect:
    """Answers Heartbeat and everything that takes an empty answer; tests add handlers."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.handlers: dict[str, Handler] = {}
        self.is_open = False
        self.is_closed = False

    async def on_call(
        self, action: str, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        self.calls.append((action, payload))
        if action in self.handlers:
            answer: dict[str, Any] = await self.handlers[action](payload)
            return answer
        return {"currentTime": received.at.isoformat()} if action == "Heartbeat" else {}

    async def on_open(self) -> None:
        self.is_open = True

    async def on_close(self) -> None:
        self.is_closed = True

    async def apply(self, command: SetLimit) -> CommandResult:
        try:
            answer = await self.caller.call(
                "SetChargingProfile", a_profile(command.limit_a), replaces=command.evse
            )
        except CallFailed as failure:
            return TimedOut() if failure.kind == "timeout" else Rejected(reason=str(failure))
        if answer["status"] == "Accepted":
            return Applied(self_expiring=False)
        return Rejected(reason=answer["status"])

    async def act(self, request: ActionRequest) -> CommandResult:
        await self.caller.call("Reset", {"type": "Soft"})
        return Applied(self_expiring=False)


@dataclass
class Rig:
    server: OcppServer
    desk: RecordingDesk
    conditions: RecordingConditions
    secrets: SecretBook
    dialects: list[EchoDialect] = field(default_factory=list)

    async def connect(
        self,
        station: str = "CP001",
        *,
        password: str | bytes | None = PASSWORD,
        user: str | None = None,
        path: str | None = None,
        protocols: list[str] | None = None,
        **options: Any,
    ) -> ClientConnection:
        """Connect as a station; raises InvalidStatus when refused."""
        headers = {} if password is None else basic(user or station, password)
        return await connect(
            f"ws://127.0.0.1:{self.server.port}{path or '/' + station}",
            subprotocols=["ocpp1.6"] if protocols is None else protocols or None,
            additional_headers=headers,
            proxy=None,
            **{"close_timeout": 0.5, "compression": None} | options,
        )

    async def status_of(self, station: str = "CP001", **options: Any) -> int:
        """Connect and return the HTTP status; an accepted connection is closed again."""
        try:
            client = await self.connect(station, **options)
        except InvalidStatus as refused:
            return int(refused.response.status_code)
        await client.close()
        return 101

    def events(self, kind: type) -> list[Any]:
        return [event for event in self.desk.events if isinstance(event, kind)]


def basic(user: str, password: str | bytes) -> dict[str, str]:
    raw = password.encode() if isinstance(password, str) else password
    token = base64.b64encode(user.encode() + b":" + raw).decode()
    return {"Authorization": f"Basic {token}"}


@asynccontextmanager
async def a_server(
    stations: int = 3,
    *,
    extensions: Sequence[Extension] = (),
    on_stranger: Callable[[Stranger], None] = lambda stranger: None,
    **settings: Any,
) -> AsyncIterator[Rig]:
    """Run a server with stations CP001 and so on, all with the same password."""
    names = [f"CP{n:03d}" for n in range(1, stations + 1)]
    desk = RecordingDesk(names)
    conditions = RecordingConditions()
    secrets = SecretBook(dict.fromkeys(names, PASSWORD.encode()))
    made: list[EchoDialect] = []

    def dialect(caller: Caller) -> EchoDialect:
        made.append(EchoDialect(caller))
        return made[-1]

    server = OcppServer(
        settings=OcppSettings(**{"port": 0, "close_timeout_s": 0.5} | settings),
        desk=desk,
        store=secrets,
        conditions=conditions,
        clock=SystemClock(),
        dialects={"ocpp1.6": dialect, "ocpp2.0.1": dialect},
        extensions=extensions,
        on_stranger=on_stranger,
    )
    await server.start()
    try:
        yield Rig(server, desk, conditions, secrets, made)
    finally:
        await server.stop()


async def ask(client: ClientConnection, action: str, payload: Any, unique_id: str = "1") -> Any:
    """Send a CALL and return the next frame that answers it."""
    await client.send(json.dumps([2, unique_id, action, payload]))
    return await answer_to(client, unique_id)


async def answer_to(client: ClientConnection, unique_id: str) -> Any:
    async with asyncio.timeout(5):
        while True:
            frame = json.loads(await client.recv())
            if frame[0] in (3, 4) and frame[1] == unique_id:
                return frame


async def until(predicate: Callable[[], object], timeout_s: float = 5.0) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(timeout_s):
        while not predicate():  # noqa: ASYNC110 - anything may make it true
            await asyncio.sleep(0.005)


async def obey(client: ClientConnection, answer: dict[str, Any] | None = None) -> None:
    """Answer every CALL, as a station does, until cancelled."""
    async for message in client:
        frame = json.loads(message)
        if frame[0] == 2:
            await client.send(json.dumps([3, frame[1], answer or {"status": "Accepted"}]))


CP001 = StationId("CP001")
