"""Another company's central system, written with the bare `ocpp` library."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from ocpp.routing import on
from ocpp.v16 import ChargePoint as Station16
from ocpp.v16 import call_result as result16
from ocpp.v201 import ChargePoint as Station201
from ocpp.v201 import call_result as result201
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response


@dataclass
class Book:
    """What the central system heard, over all connections."""

    heard: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    """Station, action, payload."""
    ids: Any = field(default_factory=lambda: count(70_001))
    status: str = "Accepted"
    stations: dict[str, Any] = field(default_factory=dict)
    refuses: set[str] = field(default_factory=set)
    """Actions that fail."""

    def of(self, action: str) -> list[dict[str, Any]]:
        return [p for _, a, p in self.heard if a == action]


def _note(book: Book, station: str, action: str, payload: dict[str, Any]) -> None:
    book.heard.append((station, action, payload))
    if action in book.refuses:
        raise RuntimeError(action)


def central16(name: str, socket: Any, book: Book) -> Any:
    class Central(Station16):
        @on("BootNotification")
        def boot(self, **payload: Any) -> Any:
            _note(book, name, "BootNotification", payload)
            now = datetime.now(UTC).isoformat()
            return result16.BootNotification(current_time=now, interval=300, status="Accepted")

        @on("Heartbeat")
        def heartbeat(self) -> Any:
            return result16.Heartbeat(current_time=datetime.now(UTC).isoformat())

        @on("StatusNotification")
        def state(self, **payload: Any) -> Any:
            _note(book, name, "StatusNotification", payload)
            return result16.StatusNotification()

        @on("Authorize")
        def authorize(self, **payload: Any) -> Any:
            _note(book, name, "Authorize", payload)
            return result16.Authorize(id_tag_info={"status": book.status})

        @on("StartTransaction")
        def begin(self, **payload: Any) -> Any:
            _note(book, name, "StartTransaction", payload)
            return result16.StartTransaction(
                transaction_id=next(book.ids), id_tag_info={"status": book.status}
            )

        @on("StopTransaction")
        def finish(self, **payload: Any) -> Any:
            _note(book, name, "StopTransaction", payload)
            return result16.StopTransaction()

        @on("MeterValues")
        def values(self, **payload: Any) -> Any:
            _note(book, name, "MeterValues", payload)
            return result16.MeterValues()

        @on("DataTransfer")
        def data(self, **payload: Any) -> Any:
            _note(book, name, "DataTransfer", payload)
            return result16.DataTransfer(status="Accepted", data="from the centre")

    return Central(name, socket)


def central201(name: str, socket: Any, book: Book) -> Any:
    class Central(Station201):
        @on("BootNotification")
        def boot(self, **payload: Any) -> Any:
            _note(book, name, "BootNotification", payload)
            now = datetime.now(UTC).isoformat()
            return result201.BootNotification(current_time=now, interval=300, status="Accepted")

        @on("Heartbeat")
        def heartbeat(self, **payload: Any) -> Any:
            return result201.Heartbeat(current_time=datetime.now(UTC).isoformat())

        @on("StatusNotification")
        def state(self, **payload: Any) -> Any:
            _note(book, name, "StatusNotification", payload)
            return result201.StatusNotification()

        @on("Authorize")
        def authorize(self, **payload: Any) -> Any:
            _note(book, name, "Authorize", payload)
            return result201.Authorize(id_token_info={"status": book.status})

        @on("TransactionEvent")
        def event(self, **payload: Any) -> Any:
            _note(book, name, "TransactionEvent", payload)
            return result201.TransactionEvent(id_token_info={"status": book.status})

        @on("NotifyReport")
        def report(self, **payload: Any) -> Any:
            _note(book, name, "NotifyReport", payload)
            return result201.NotifyReport()

        @on("ReportChargingProfiles")
        def profiles(self, **payload: Any) -> Any:
            _note(book, name, "ReportChargingProfiles", payload)
            return result201.ReportChargingProfiles()

        @on("NotifyEvent")
        def notify(self, **payload: Any) -> Any:
            _note(book, name, "NotifyEvent", payload)
            return result201.NotifyEvent()

    return Central(name, socket)


@asynccontextmanager
async def a_centre(book: Book, *, port: int = 0, password: str = "leg-two") -> AsyncIterator[int]:  # noqa: S107
    """Serve on loopback; every station signs in with the same password."""

    def check(connection: ServerConnection, request: Request) -> Response | None:
        name = request.path.rpartition("/")[2]
        wanted = base64.b64encode(f"{name}:{password}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {wanted}":
            return connection.respond(401, "who are you\n")
        return None

    async def talk(socket: ServerConnection) -> None:
        assert socket.request is not None
        name = socket.request.path.rpartition("/")[2]
        make = central16 if socket.subprotocol == "ocpp1.6" else central201
        centre = make(name, socket, book)
        book.stations[name] = centre
        with suppress(ConnectionClosed):
            await centre.start()

    server = await serve(
        talk,
        "127.0.0.1",
        port,
        subprotocols=["ocpp1.6", "ocpp2.0.1"],  # type: ignore[list-item]
        process_request=check,
    )
    try:
        yield next(iter(server.sockets)).getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def eventually(is_so: Any, *, within_s: float = 20.0) -> None:
    """Wait for something that other tasks bring about."""
    async with asyncio.timeout(within_s):
        while not is_so():  # noqa: ASYNC110 - what is waited for knows nothing of events
            await asyncio.sleep(0.02)
