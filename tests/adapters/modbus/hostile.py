"""A Modbus device on a real socket that misbehaves on request. Owes nothing to any library."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Asked:
    """A request as it came in."""

    transaction: int
    unit: int
    function: int
    address: int
    count: int


Fault = Callable[["HostileMeter", Asked, asyncio.StreamWriter], Awaitable[None]]


def checksum(data: bytes) -> bytes:
    """Return the RTU checksum, computed with the mirrored polynomial on mirrored bytes."""
    crc = 0xFFFF
    for byte in data:
        for bit in range(8):
            carry = (crc & 1) ^ (byte >> bit & 1)
            crc >>= 1
            if carry:
                crc ^= 0xA001
    return crc.to_bytes(2, "little")


@dataclass
class HostileMeter:
    """Serves registers; each queued fault spoils one request."""

    words: dict[int, int] = field(default_factory=dict)
    unit: int = 1
    rtu: bool = False
    faults: deque[Fault] = field(default_factory=deque)
    asked: list[Asked] = field(default_factory=list)
    served_from: range | None = None
    """Registers that exist; None: all."""
    max_count: int = 125
    accepted: int = 0
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    newest: asyncio.StreamWriter | None = None
    late: set[asyncio.Task[None]] = field(default_factory=set)
    serving: set[asyncio.Task[None]] = field(default_factory=set)

    def word(self, address: int) -> int:
        return self.words.get(address, 0)

    def pdu(self, asked: Asked, *, count: int | None = None, function: int | None = None) -> bytes:
        number = asked.count if count is None else count
        data = b"".join(
            self.word(asked.address + offset).to_bytes(2, "big") for offset in range(number)
        )
        return bytes([asked.function if function is None else function, len(data)]) + data

    def frame(
        self,
        asked: Asked,
        pdu: bytes,
        *,
        unit: int | None = None,
        transaction: int | None = None,
        length: int | None = None,
    ) -> bytes:
        at_unit = asked.unit if unit is None else unit
        if self.rtu:
            body = bytes([at_unit]) + pdu
            return body + checksum(body)
        number = asked.transaction if transaction is None else transaction
        size = len(pdu) + 1 if length is None else length
        head = number.to_bytes(2, "big") + b"\0\0" + size.to_bytes(2, "big")
        return head + bytes([at_unit]) + pdu

    def honest(self, asked: Asked) -> bytes:
        if asked.count > self.max_count:
            return self.frame(asked, bytes([asked.function | 0x80, 3]))
        last = asked.address + asked.count - 1
        if self.served_from is not None and (
            asked.address not in self.served_from or last not in self.served_from
        ):
            return self.frame(asked, bytes([asked.function | 0x80, 2]))
        return self.frame(asked, self.pdu(asked))

    async def next_request(self, reader: asyncio.StreamReader) -> Asked:
        if self.rtu:
            raw = await reader.readexactly(8)
            assert raw[6:] == checksum(raw[:6])
            transaction, unit, body = 0, raw[0], raw[1:6]
        else:
            head = await reader.readexactly(7)
            transaction, unit = int.from_bytes(head[:2], "big"), head[6]
            body = await reader.readexactly(int.from_bytes(head[4:6], "big") - 1)
        return Asked(
            transaction=transaction,
            unit=unit,
            function=body[0],
            address=int.from_bytes(body[1:3], "big"),
            count=int.from_bytes(body[3:5], "big"),
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        self.writers.add(writer)
        self.newest = writer
        try:
            while True:
                asked = await self.next_request(reader)
                self.asked.append(asked)
                if asked.unit != self.unit:
                    continue
                if self.faults:
                    await self.faults.popleft()(self, asked, writer)
                else:
                    writer.write(self.honest(asked))
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[int]:
        """Listen on loopback; yields the port."""
        server = await asyncio.start_server(self.serve, "127.0.0.1", port)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self.late:
                task.cancel()
            await asyncio.gather(*self.late, return_exceptions=True)
            for writer in tuple(self.writers):
                writer.transport.abort()
            await server.wait_closed()
            await asyncio.gather(*self.serving)


# --- faults -----------------------------------------------------------------------------------------


def sends(make: Callable[[HostileMeter, Asked], bytes]) -> Fault:
    async def fault(meter: HostileMeter, asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(make(meter, asked))
        await writer.drain()

    return fault


def exception(code: int) -> Fault:
    return sends(lambda meter, asked: meter.frame(asked, bytes([asked.function | 0x80, code])))


async def silence(meter: HostileMeter, asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Say nothing."""


async def closed(meter: HostileMeter, asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Close instead of answering."""
    writer.close()


async def reset(meter: HostileMeter, asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Reset the connection."""
    writer.transport.abort()


async def half_then_closed(meter: HostileMeter, asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Send half a frame and close."""
    writer.write(meter.honest(asked)[: 5 + asked.count])
    await writer.drain()
    writer.close()


async def single_bytes(meter: HostileMeter, asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Answer correctly, in segments of one byte."""
    for byte in meter.honest(asked):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.0005)


def late(after_s: float) -> Fault:
    """Answer when nobody waits any more, to whoever is connected then, as a plain gateway does."""

    async def fault(meter: HostileMeter, asked: Asked, writer: asyncio.StreamWriter) -> None:
        async def answer() -> None:
            await asyncio.sleep(after_s)
            if meter.newest is not None and not meter.newest.is_closing():
                meter.newest.write(meter.honest(asked))

        meter.late.add(asyncio.create_task(answer()))

    return fault


half_frame = sends(lambda meter, asked: meter.honest(asked)[: 5 + asked.count])
wrong_transaction = sends(
    lambda meter, asked: meter.frame(
        asked, meter.pdu(asked), transaction=asked.transaction + 1 & 0xFFFF
    )
)
transaction_zero = sends(lambda meter, asked: meter.frame(asked, meter.pdu(asked), transaction=0))
wrong_unit = sends(lambda meter, asked: meter.frame(asked, meter.pdu(asked), unit=asked.unit + 1))
wrong_function = sends(
    lambda meter, asked: meter.frame(asked, meter.pdu(asked, function=7 - asked.function))
)
exception_of_other_function = sends(
    lambda meter, asked: meter.frame(asked, bytes([0x80 | 7 - asked.function, 2]))
)
fewer_registers = sends(
    lambda meter, asked: meter.frame(asked, meter.pdu(asked, count=asked.count - 2))
)
more_registers = sends(
    lambda meter, asked: meter.frame(asked, meter.pdu(asked, count=asked.count + 2))
)
bad_byte_count = sends(
    lambda meter, asked: meter.frame(
        asked, bytes([asked.function, 2 * asked.count - 1]) + meter.pdu(asked)[2:]
    )
)
odd_bytes = sends(lambda meter, asked: meter.frame(asked, meter.pdu(asked) + b"\x01"))
no_registers = sends(lambda meter, asked: meter.frame(asked, bytes([asked.function, 0])))
short_length_field = sends(lambda meter, asked: meter.frame(asked, meter.pdu(asked), length=4))
long_length_field = sends(
    lambda meter, asked: meter.frame(asked, meter.pdu(asked), length=2 * asked.count + 30)
)
garbage_before = sends(lambda meter, asked: b"\xff\x00\x9c" + meter.honest(asked))
garbage_only = sends(lambda meter, asked: bytes(range(200, 255)))
flood = sends(lambda meter, asked: b"\xa5" * 4096)
twice = sends(lambda meter, asked: 2 * meter.honest(asked))
bad_checksum = sends(
    lambda meter, asked: meter.honest(asked)[:-1] + bytes([meter.honest(asked)[-1] ^ 1])
)
bad_checksum_then_good = sends(
    lambda meter, asked: (
        meter.honest(asked)[:-1] + bytes([meter.honest(asked)[-1] ^ 1]) + meter.honest(asked)
    )
)
foreign_unit_before = sends(
    lambda meter, asked: (
        meter.frame(asked, bytes([asked.function, 4, 0, 1, 0, 2]), unit=asked.unit + 1)
        + meter.honest(asked)
    )
)
foreign_answer = sends(
    lambda meter, asked: meter.frame(asked, bytes([asked.function, 4, 0x12, 0x34, 0x56, 0x78]))
)
http = sends(lambda meter, asked: b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
