"""Every fault of the table, over a serial line: a pair of pseudo-terminals that socat connects."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.modbus.client import Failure, ModbusConnection, Refusal, Registers
from adapters.modbus.connection import parse_connection
from adapters.modbus.registermap import BusDefaults
from tests.adapters.modbus import hostile
from tests.adapters.modbus.hostile import HostileMeter
from tests.adapters.modbus.test_client import ANY_FRAMING, REQUEST, RTU_ONLY, TRUTH, WORDS

ANSWER_WITHIN_S = 0.12
ENDS_THE_LINE = {"closed", "reset", "half frame, then closed"}
"""A serial line has no connection that could be closed; `test_serial` unplugs the adapter."""
FAULTS = {n: f for n, f in (ANY_FRAMING | RTU_ONLY).items() if n not in ENDS_THE_LINE}


@asynccontextmanager
async def serial_line(folder: Path, meter: HostileMeter) -> AsyncIterator[ModbusConnection]:
    """Yield a connection to the near end; the meter answers at the far end."""
    socat = shutil.which("socat")
    if socat is None:
        pytest.skip("socat is not installed: apt-get install socat")
    near = folder / "tty"
    async with meter.listening() as port:
        process = await asyncio.create_subprocess_exec(
            socat, f"pty,raw,echo=0,link={near}", f"tcp:127.0.0.1:{port},nodelay"
        )
        text = f"rtu://{near}?baud=115200&timeout_s={ANSWER_WITHIN_S}"
        connection = ModbusConnection(parse_connection(text, BusDefaults()))
        try:
            async with asyncio.timeout(5.0):
                while not near.exists() or not meter.accepted:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            yield connection
        finally:
            await connection.close()
            process.terminate()
            await process.wait()


def test_spoiled_answer_on_a_serial_line_is_never_taken(tmp_path: Path) -> None:
    wrong: list[str] = []

    async def scenario() -> None:
        meter = HostileMeter(words=WORDS, rtu=True)
        async with serial_line(tmp_path, meter) as connection:
            assert await connection.read(REQUEST, silence_s=0.0) == TRUTH
            for name, fault in FAULTS.items():
                meter.faults.append(fault)
                spoiled = await connection.read(REQUEST, silence_s=0.0)
                if not (isinstance(spoiled, Failure) or spoiled == TRUTH):
                    wrong.append(f"{name}: {spoiled}")
                other = replace(REQUEST, address=70, count=12)
                right = Registers(words=tuple(range(1070, 1082)))
                for request, truth in ((other, right), (REQUEST, TRUTH)):
                    outcome = await connection.read(request, silence_s=0.0)
                    if outcome != truth:
                        wrong.append(f"after {name}: {outcome}")

    asyncio.run(scenario())
    assert wrong == []


def test_exceptions_and_slow_bytes_on_a_serial_line(tmp_path: Path) -> None:
    async def scenario() -> None:
        meter = HostileMeter(words=WORDS, rtu=True)
        async with serial_line(tmp_path, meter) as connection:
            for code in (1, 2, 3, 4, 6, 10, 11):
                meter.faults.append(hostile.exception(code))
                assert Refusal(code=code) == await connection.read(REQUEST, silence_s=0.0)
            meter.faults.append(hostile.single_bytes)
            assert await connection.read(REQUEST, silence_s=0.0) == TRUTH

    asyncio.run(scenario())
