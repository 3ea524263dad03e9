"""Modbus over UDP, as few devices speak it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from adapters.modbus.client import Failure, FailureKind, ModbusConnection, Registers
from adapters.modbus.connection import parse_connection
from adapters.modbus.frames import ReadRequest, Table
from adapters.modbus.registermap import BusDefaults

REQUEST = ReadRequest(unit=1, table=Table.HOLDING, address=10, count=2)


class Device(asyncio.DatagramProtocol):
    """Answers every read with its addresses; `shift` spoils the transaction id."""

    def __init__(self) -> None:
        self.shift = 0
        self.is_silent = False
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.is_silent:
            return
        transaction = (int.from_bytes(data[0:2], "big") + self.shift) & 0xFFFF
        address, count = int.from_bytes(data[8:10], "big"), int.from_bytes(data[10:12], "big")
        words = b"".join((address + n).to_bytes(2, "big") for n in range(count))
        pdu = bytes([data[7], len(words)]) + words
        head = transaction.to_bytes(2, "big") + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big")
        self.transport.sendto(head + data[6:7] + pdu, addr)


@asynccontextmanager
async def a_device() -> AsyncIterator[tuple[Device, ModbusConnection]]:
    loop = asyncio.get_running_loop()
    transport, device = await loop.create_datagram_endpoint(Device, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    text = f"udp://127.0.0.1:{port}?timeout_s=0.1"
    connection = ModbusConnection(parse_connection(text, BusDefaults()))
    try:
        yield device, connection
    finally:
        await connection.close()
        transport.close()


def test_device_is_read_and_a_foreign_answer_is_not_taken() -> None:
    async def scenario() -> None:
        async with a_device() as (device, connection):
            truth = Registers(words=(10, 11))
            assert await connection.read(REQUEST, silence_s=0.0) == truth
            device.shift = 1
            assert isinstance(await connection.read(REQUEST, silence_s=0.0), Failure)
            device.shift = 0
            assert await connection.read(REQUEST, silence_s=0.0) == truth

    asyncio.run(scenario())


def test_lost_datagram_is_silence_and_the_next_one_counts() -> None:
    async def scenario() -> None:
        async with a_device() as (device, connection):
            device.is_silent = True
            outcome = await connection.read(REQUEST, silence_s=0.0)
            assert isinstance(outcome, Failure)
            assert outcome.kind is FailureKind.SILENCE
            device.is_silent = False
            assert await connection.read(REQUEST, silence_s=0.0) == Registers(words=(10, 11))

    asyncio.run(scenario())
