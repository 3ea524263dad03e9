"""A Modbus TCP server that only answers reads, from the latest published plan.

Source: MODBUS Application Protocol Specification V1.1b3, 6.3, 6.4, 7; MODBUS Messaging on TCP/IP
Implementation Guide V1.0b, 3.1.3.
"""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from adapters.republish.registers import registers
from controller.ports import Clock, Control

_log = structlog.get_logger()

IDLE_S: Final = 120.0
"""A connection that asks nothing for so long is closed: another may need its place. [s]"""
FRESH_S: Final = 1.0
"""The registers are filled anew at most so often. [s]"""
_READS: Final = frozenset({3, 4})
_READ_MAX: Final = 125
_PDU_MAX: Final = 253
_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS, _ILLEGAL_VALUE, _FAILURE = 1, 2, 3, 4


class ListenError(Exception):
    """The address cannot be had; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepublishSettings:
    """Where the server listens, and for how many."""

    host: str
    port: int
    clients: int = 8
    """Connections at the same time; further ones are closed at once."""


class RepublishServer:
    """Serves the site's values until it is stopped."""

    def __init__(self, *, settings: RepublishSettings, control: Control, clock: Clock) -> None:
        self._settings = settings
        self._control = control
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()
        self._words: dict[int, int] = {}
        self._filled_s = float("-inf")

    @property
    def port(self) -> int:
        """The port in use; 0 while nobody listens."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server else 0

    async def start(self) -> None:
        """Listen.

        Raises:
            ListenError: The address cannot be had.
        """
        host, port = self._settings.host, self._settings.port
        try:
            self._server = await asyncio.start_server(self._serve, host, port)
        except OSError as error:
            raise ListenError(
                f"republish.listen {host}:{port}: cannot listen there "
                f"({error.strerror or error}). Write another port; below 1024 only root may listen."
            ) from error

    async def stop(self) -> None:
        """Close every connection and stop."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for writer in tuple(self._clients):
            writer.transport.abort()
        await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= self._settings.clients:
            _log.warning("republish.full", clients=len(self._clients))
            writer.close()
            return
        self._clients.add(writer)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, TimeoutError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            self._clients.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; tell whether the connection may go on."""
        async with asyncio.timeout(IDLE_S):
            header = await reader.readexactly(7)
            transaction, protocol, length, unit = struct.unpack(">HHHB", header)
            if protocol != 0 or not 2 <= length <= _PDU_MAX + 1:
                return False
            pdu = await reader.readexactly(length - 1)
            answer = self.answer(pdu)
            writer.write(struct.pack(">HHHB", transaction, 0, len(answer) + 1, unit) + answer)
            await writer.drain()
        return True

    def answer(self, pdu: bytes) -> bytes:
        """Answer one request: function code and data."""
        function = pdu[0]
        if function not in _READS:
            return bytes([function | 0x80, _ILLEGAL_FUNCTION])
        if len(pdu) != 5:
            return bytes([function | 0x80, _ILLEGAL_VALUE])
        start, count = struct.unpack(">HH", pdu[1:])
        if not 1 <= count <= _READ_MAX:
            return bytes([function | 0x80, _ILLEGAL_VALUE])
        if not self._fill():
            return bytes([function | 0x80, _FAILURE])
        span = range(start, start + count)
        if any(address not in self._words for address in span):
            return bytes([function | 0x80, _ILLEGAL_ADDRESS])
        words = [self._words[address] for address in span]
        return struct.pack(f">BB{count}H", function, 2 * count, *words)

    def _fill(self) -> bool:
        """Bring the registers up to date; False: there is no plan yet."""
        now_s = self._clock.monotonic_s()
        if self._words and now_s - self._filled_s < FRESH_S:
            return True
        plan = self._control.plan()
        if plan is None:
            return False
        age_s = max(0.0, now_s - plan.now_s)
        fixed = dict.fromkeys(range(16), 0)
        self._words = fixed | registers(plan, age_s=age_s, alarms=len(self._control.alarms()))
        self._filled_s = now_s
        return True
