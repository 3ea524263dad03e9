"""A controllable load on a real socket: holding registers that can be written, and its habits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

LIMIT, FALLBACK, TIMEOUT, MEASURED = 0, 1, 2, 10
"""Registers of `config/loads/generic/plc.yaml`."""


@dataclass
class LoadPeer:
    """Keeps what is written to it, unless told otherwise."""

    words: dict[int, int] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)
    """Registers whose writing is refused."""
    silent_after: set[int] = field(default_factory=set)
    """Function codes that are carried out and not answered."""
    is_silent: bool = False
    """It neither does nor answers anything."""
    altered: dict[int, Callable[[int], int]] = field(default_factory=dict)
    """What really gets into a register that is written."""
    writes: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def limit_a(self) -> float:
        """What it may draw now. [A]"""
        return self.words.get(LIMIT, 0) / 10

    def answer(self, pdu: bytes) -> bytes | None:
        """Carry out a request."""
        function, address = pdu[0], int.from_bytes(pdu[1:3], "big")
        if self.is_silent:
            return None
        if function in (6, 16):
            return self._written(function, address, pdu)
        count = int.from_bytes(pdu[3:5], "big")
        found = [self.words.get(address + n, 0) for n in range(count)]
        data = b"".join(word.to_bytes(2, "big") for word in found)
        return bytes([function, len(data)]) + data

    def _written(self, function: int, address: int, pdu: bytes) -> bytes | None:
        raw = pdu[3:5] if function == 6 else pdu[6:]
        words = tuple(int.from_bytes(raw[n : n + 2], "big") for n in range(0, len(raw), 2))
        if address in self.refused:
            return bytes([function | 0x80, 2])
        self.writes.append((address, words))
        for at, word in enumerate(words, start=address):
            self.words[at] = self.altered.get(at, int)(word)
        return None if function in self.silent_after else pdu[:5]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.writers.add(writer)
        try:
            while True:
                head = await reader.readexactly(7)
                pdu = await reader.readexactly(int.from_bytes(head[4:6], "big") - 1)
                answer = self.answer(pdu)
                if answer is not None:
                    size = (len(answer) + 1).to_bytes(2, "big")
                    writer.write(head[:4] + size + head[6:7] + answer)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Listen on loopback; yields the port."""
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for writer in tuple(self.writers):
                writer.transport.abort()
            await server.wait_closed()
