"""A meter on a serial line: a pseudo-terminal, so that bytes pass the real serial code."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.modbus.client import Failure, ModbusConnection, Registers
from adapters.modbus.connection import parse_connection
from adapters.modbus.frames import ReadRequest, Table
from adapters.modbus.registermap import BusDefaults
from tests.adapters.modbus.hostile import Asked, HostileMeter, checksum

REQUEST = ReadRequest(unit=3, table=Table.INPUT, address=50, count=10)
TRUTH = Registers(words=tuple(range(1050, 1060)))


class LineMeter:
    """A meter at the far end of a pseudo-terminal."""

    def __init__(self) -> None:
        self.meter = HostileMeter(words={a: 1000 + a for a in range(200)}, unit=3, rtu=True)
        self.is_silent = False
        self.received = b""

    @asynccontextmanager
    async def plugged(self, link: Path) -> AsyncIterator[None]:
        """Appear as the serial device `link`."""
        near, far = os.openpty()
        tty.setraw(far)
        point_to(link, os.ttyname(far))
        loop = asyncio.get_running_loop()
        loop.add_reader(near, self.take, near)
        try:
            yield
        finally:
            loop.remove_reader(near)
            os.close(far)
            os.close(near)

    def take(self, near: int) -> None:
        try:
            self.received += os.read(near, 256)
        except OSError:
            return
        while len(self.received) >= 8:
            raw, self.received = self.received[:8], self.received[8:]
            assert raw[6:] == checksum(raw[:6])
            asked = Asked(
                transaction=0,
                unit=raw[0],
                function=raw[1],
                address=int.from_bytes(raw[2:4], "big"),
                count=int.from_bytes(raw[4:6], "big"),
            )
            if asked.unit == self.meter.unit and not self.is_silent:
                os.write(near, self.meter.honest(asked))


def point_to(link: Path, device: str) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(device)


def a_connection(link: Path) -> ModbusConnection:
    text = f"rtu://{link}?baud=19200&parity=N&timeout_s=0.15"
    return ModbusConnection(parse_connection(text, BusDefaults()))


def test_serial_line_is_read(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with LineMeter().plugged(tmp_path / "tty"):
            connection = a_connection(tmp_path / "tty")
            try:
                assert await connection.read(REQUEST, silence_s=0.0) == TRUTH
                other = ReadRequest(unit=3, table=Table.HOLDING, address=1, count=2)
                right = Registers(words=(1001, 1002))
                assert await connection.read(other, silence_s=0.01) == right
            finally:
                await connection.close()

    asyncio.run(scenario())


def test_silent_line_recovers(tmp_path: Path) -> None:
    async def scenario() -> None:
        line = LineMeter()
        async with line.plugged(tmp_path / "tty"):
            connection = a_connection(tmp_path / "tty")
            try:
                line.is_silent = True
                outcome = await connection.read(REQUEST, silence_s=0.0)
                assert isinstance(outcome, Failure)
                assert "no answer from unit 3 within 0.15 s" in outcome.text
                line.is_silent = False
                assert await connection.read(REQUEST, silence_s=0.0) == TRUTH
            finally:
                await connection.close()

    asyncio.run(scenario())


def test_unplugged_adapter_is_told_and_taken_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        link = tmp_path / "tty"
        connection = a_connection(link)
        try:
            async with LineMeter().plugged(link):
                assert await connection.read(REQUEST, silence_s=0.0) == TRUTH
            link.unlink()
            outcome = await connection.read(REQUEST, silence_s=0.0)
            assert isinstance(outcome, Failure)
            async with LineMeter().plugged(link):
                outcomes = [await connection.read(REQUEST, silence_s=0.0) for _ in range(2)]
                assert outcomes[-1] == TRUTH
        finally:
            await connection.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("http://h:1", "is not tcp://HOST:PORT"),
        ("tcp://h:99999", "is not tcp://HOST:PORT"),
        ("tcp://:502", "names no host"),
        ("tcp://h:502/1", "names no host"),
        ("rtu://", "names no serial device"),
        ("rtu://dev/ttyUSB0", "names no serial device"),
        ("rtu:///dev/ttyUSB0?speed=9600", "speed unknown; known are baud, parity"),
        ("rtu:///dev/ttyUSB0?baud=fast", "baud is not a number"),
        ("rtu:///dev/ttyUSB0?baud=1", "baud is not within 300 to"),
        ("rtu:///dev/ttyUSB0?baud=nan", "baud is not within 300 to"),
        ("rtu:///dev/ttyUSB0?parity=M", "parity is not one of N, E, O"),
        ("rtu:///dev/ttyUSB0?stopbits=3", "stopbits is not one of 1, 2"),
        ("tcp://h?timeout_s=0", "timeout_s is not within"),
        ("", "is not tcp://HOST:PORT"),
    ],
)
def test_wrong_connection_says_what_is_expected(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"connection '") as refused:
        parse_connection(text, BusDefaults())
    assert problem in str(refused.value)


def test_connection_forms() -> None:
    defaults = BusDefaults(baud=19200, parity="E")
    tcp = parse_connection("tcp://10.0.0.5", defaults)
    assert (tcp.host, tcp.port, tcp.place) == ("10.0.0.5", 502, "10.0.0.5:502")
    assert parse_connection("tcp://[::1]:1502", defaults).place == "::1:1502"
    gateway = parse_connection("rtu+tcp://gateway:4001?baud=2400", defaults)
    assert (gateway.transport.is_rtu, gateway.baud, gateway.parity) == (True, 2400, "E")
    line = parse_connection("rtu:///dev/ttyUSB0", defaults)
    assert (line.device, line.baud, line.parity) == ("/dev/ttyUSB0", 19200, "E")
    explicit = parse_connection("rtu:///dev/ttyUSB0?baud=9600&parity=n&stopbits=2", defaults)
    assert (explicit.baud, explicit.parity, explicit.stopbits) == (9600, "N", 2)
