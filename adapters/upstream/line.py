"""One station's line to the back office: connects again and again, one request at a time each way."""

from __future__ import annotations

import asyncio
import base64
import random
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidURI, WebSocketException
from websockets.typing import Subprotocol

from adapters.upstream.settings import UpstreamSettings
from adapters.upstream.wire import MAX_BYTES, Call, Failure, Frame, Json, encode, parse
from controller.site import StationId

log = structlog.get_logger(__name__)

MOST_RETRY_S = 60.0
PING_S = 9.0
CLOSE_S = 2.0
"""Two pings and a farewell that nobody answers: a silent line is known dead after 20 s. [s]"""
MOST_CALLS = 32
"""Requests of the back office under way; more are refused."""

Answer = Callable[[Call], Awaitable[Frame]]


class LineDownError(Exception):
    """The back office does not answer."""


class RefusedError(Exception):
    """The back office answered with an error."""


@dataclass(slots=True, kw_only=True)
class LineState:
    """How the line is, for people."""

    is_up: bool = False
    last_error: str = ""
    sent: int = 0
    taken: int = 0
    refused: int = 0


@dataclass(slots=True)
class Line:
    """The way to the back office. `run` keeps it up; `ask` uses it."""

    station: StationId
    protocol: str
    settings: UpstreamSettings
    password: Callable[[], Awaitable[str | None]]
    answer: Answer
    on_up: Callable[[], Coroutine[Any, Any, None]]
    state: LineState = field(default_factory=LineState)
    _socket: ClientConnection | None = None
    _pending: dict[str, asyncio.Future[Frame]] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _calls: set[asyncio.Task[None]] = field(default_factory=set)

    async def ask(self, action: str, payload: Json, *, timeout_s: float | None = None) -> Json:
        """Send a request of the station and wait for the answer.

        Raises:
            LineDownError: There is no line, or no answer in time.
            RefusedError: It answered with an error.
        """
        wait_s = self.settings.call_timeout_s if timeout_s is None else timeout_s
        try:
            async with asyncio.timeout(wait_s), self._turn:
                return await self._ask(action, payload)
        except TimeoutError:
            raise LineDownError(f"no answer to {action} within {wait_s:g} s") from None

    async def _ask(self, action: str, payload: Json) -> Json:
        socket = self._socket
        if socket is None:
            raise LineDownError("not connected")
        call = Call(id=str(uuid4()), action=action, payload=payload)
        answered: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._pending[call.id] = answered
        try:
            await socket.send(encode(call))
            self.state.sent += 1
            frame = await answered
        except WebSocketException as error:
            raise LineDownError(type(error).__name__) from error
        finally:
            self._pending.pop(call.id, None)
        if isinstance(frame, Failure):
            raise RefusedError(f"{frame.code} {frame.text}".strip())
        return frame.payload

    async def hang_up(self) -> None:
        """End the line, so that it is connected anew."""
        if self._socket is not None:
            await self._socket.close(1001)

    async def run(self) -> None:
        """Keep the line up until cancelled."""
        wait_s = self.settings.retry_s
        try:
            while True:
                try:
                    await self._once()
                    wait_s = self.settings.retry_s
                except (OSError, TimeoutError, WebSocketException) as error:
                    self._note(_why(error))
                # Many stations lose the back office at once; they do not come back at once.
                await asyncio.sleep(wait_s * random.uniform(0.8, 1.2))
                wait_s = min(wait_s * 2, MOST_RETRY_S)
        finally:
            for call in self._calls:
                call.cancel()

    async def _once(self) -> None:
        """Connect and converse until the line ends."""
        secret = await self.password()
        headers = {}
        if secret is not None:
            text = base64.b64encode(f"{self.station}:{secret}".encode()).decode()
            headers["Authorization"] = f"Basic {text}"
        async with connect(
            f"{self.settings.url.rstrip('/')}/{self.station}",
            subprotocols=[Subprotocol(self.protocol)],
            additional_headers=headers,
            ssl=self._context(),
            compression=None,
            max_size=MAX_BYTES,
            open_timeout=10,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            close_timeout=CLOSE_S,
            user_agent_header=None,
        ) as socket:
            if socket.subprotocol != self.protocol:
                raise InvalidHandshake(f"it does not speak {self.protocol}")
            self._socket = socket
            self.state.is_up, self.state.last_error = True, ""
            log.info("upstream.connected", station=self.station)
            greeting = asyncio.create_task(self.on_up(), name="upstream-up")
            try:
                async for raw in socket:
                    self._take(raw)
            finally:
                greeting.cancel()
                await asyncio.gather(greeting, return_exceptions=True)
                self._down()

    def _down(self) -> None:
        self._socket = None
        self.state.is_up = False
        for answered in self._pending.values():
            if not answered.done():
                answered.set_exception(LineDownError("the line ended"))
        log.info("upstream.disconnected", station=self.station)

    def _take(self, raw: str | bytes) -> None:
        frame = parse(raw)
        if frame is None:
            self.state.refused += 1
            return
        if isinstance(frame, Call):
            task = asyncio.create_task(self._serve(frame), name="upstream-call")
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
            return
        answered = self._pending.get(frame.id)
        if answered is not None and not answered.done():
            answered.set_result(frame)

    async def _serve(self, call: Call) -> None:
        self.state.taken += 1
        if len(self._calls) > MOST_CALLS:
            frame: Frame = Failure(id=call.id, code="InternalError", text="too many requests")
        else:
            frame = await self.answer(call)
        socket = self._socket
        if socket is not None:
            try:
                await socket.send(encode(frame))
            except WebSocketException as error:
                log.info("upstream.answer_lost", station=self.station, error=type(error).__name__)

    def _context(self) -> ssl.SSLContext | None:
        if not self.settings.url.startswith("wss:"):
            return None
        authorities = self.settings.authority_file
        context = ssl.create_default_context(cafile=str(authorities) if authorities else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def _note(self, text: str) -> None:
        if text != self.state.last_error:
            log.warning("upstream.unreachable", station=self.station, reason=text)
        self.state.last_error = text


def _why(error: Exception) -> str:
    """Say in words why there is no line, without what the other side sent."""
    if isinstance(error, ssl.SSLError):
        return "its certificate is not trusted or does not name it"
    if isinstance(error, InvalidURI):
        return "its address is not a URL"
    if isinstance(error, InvalidHandshake):
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status == 401:
            return "it refuses the station's password: set it with `wattkeeper upstream secret`"
        return f"it refuses the connection (HTTP {status})" if status else str(error)[:100]
    if isinstance(error, TimeoutError):
        return "no answer"
    return getattr(error, "strerror", None) or "the line broke"


__all__ = ["Line", "LineDownError", "LineState", "RefusedError"]
