"""A simulated station's way to the controller: dials, sends what waits, redials with back-off."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from adapters.simulator.link import CallRefusedError, Handler, Link
from adapters.simulator.outbox import Message, Outbox

BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 8.0
"""Stations that redial more rarely are back later than the controller, whatever it does. [s]"""
_ATTEMPTS_MAX = 3
_FRAME_MAX = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """Where and how to connect."""

    url: str
    subprotocol: str
    user: str
    password: str | None
    ping_interval_s: float
    tls: ssl.SSLContext | None = None

    def open(self) -> connect:
        """Return the connection to be entered."""
        headers: dict[str, str] = {}
        if self.password is not None:
            credentials = b64encode(f"{self.user}:{self.password}".encode()).decode()
            headers["Authorization"] = f"Basic {credentials}"
        return connect(
            self.url,
            subprotocols=[Subprotocol(self.subprotocol)],
            additional_headers=headers,
            compression=None,
            ping_interval=self.ping_interval_s or None,
            open_timeout=10,
            close_timeout=1,
            max_size=_FRAME_MAX,
            proxy=None,
            ssl=self.tls,
        )


class Uplink:
    """The connection of one station."""

    def __init__(
        self,
        *,
        dial: Callable[[], Dial | None],
        outbox: Outbox,
        handler: Handler,
        answer_after_s: Callable[[], float],
        greet: Callable[[Link], Awaitable[None]],
        random: Random,
    ) -> None:
        """Make a way to the controller.

        Args:
            dial: Tells where to connect; None: not now, the station is down.
            outbox: What to send.
            handler: Answers calls of the controller.
            answer_after_s: How late to answer. [s]
            greet: Speaks first on a new connection.
            random: For jitter.
        """
        self._dial = dial
        self._outbox = outbox
        self._handler = handler
        self._answer_after_s = answer_after_s
        self._greet = greet
        self._random = random
        self._socket: ClientConnection | None = None

    @property
    def is_connected(self) -> bool:
        """Tell whether there is a connection to the controller."""
        return self._socket is not None

    async def run(self) -> None:
        """Stay connected, for ever."""
        backoff_s = BACKOFF_FIRST_S
        while True:
            dial = self._dial()
            if dial is not None:
                with suppress(OSError, TimeoutError, WebSocketException):
                    async with dial.open() as socket:
                        backoff_s = BACKOFF_FIRST_S
                        await self._talk(socket)
                self._socket = None
                self._outbox.drop_volatile()
            await asyncio.sleep(backoff_s * self._random.uniform(0.75, 1.25))
            if dial is not None:
                backoff_s = min(BACKOFF_MAX_S, backoff_s * 2.0)

    def drop(self) -> None:
        """Lose the connection without a word, as a pulled cable does."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def _talk(self, socket: ClientConnection) -> None:
        self._outbox.drop_volatile()
        self._socket = socket
        link = Link(socket, handler=self._handler, answer_after_s=self._answer_after_s)
        try:
            async with asyncio.TaskGroup() as group:
                sender = group.create_task(self._send_all(link))
                await link.serve()
                sender.cancel()
        except* (ConnectionClosed, TimeoutError):
            # A CALL without an answer ends the connection: the next one starts clean.
            await socket.close()

    async def _send_all(self, link: Link) -> None:
        await self._greet(link)
        while True:
            await self._send(link, await self._outbox.first())

    async def _send(self, link: Link, message: Message) -> None:
        message.attempts += 1
        try:
            answer = await link.call(message.action, message.build())
            message.hear(answer)
        except (CallRefusedError, KeyError, TypeError, ValueError):
            # An answer that makes no sense is as good as an error.
            if message.is_durable and message.attempts < _ATTEMPTS_MAX:
                return
            message.fail()
        self._outbox.remove(message)
