"""A simulated grid meter behind a real Modbus TCP server, with the faults that meters have."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum
from math import exp, sqrt
from random import Random

from adapters.simulator.registers import Layout, Words
from adapters.simulator.world import Conductor
from controller.phases import PHASES

CURRENT_NOISE_A = 0.05
SLOW_ANSWER_S = 2.5
POWER_FACTOR = 0.98
_VOLTAGE_DRIFT_V = 1.0
_VOLTAGE_NOISE_V = 0.1
_DRIFT_TAU_S = 60.0
_FREQUENCY_NOISE_HZ = 0.01

_READ_HOLDING = 3
_READ_INPUT = 4
_TABLES = {_READ_HOLDING: "holding", _READ_INPUT: "input"}
_ILLEGAL_FUNCTION = 1
_ILLEGAL_ADDRESS = 2
_ILLEGAL_VALUE = 3
_DEVICE_FAILURE = 4
_HEADER_BYTES = 7
_PDU_MAX_BYTES = 253


class MeterFault(Enum):
    """How a meter fails."""

    UNPLUGGED = "unplugged"
    """Nobody listens and every connection is lost."""
    SILENT = "silent"
    """It takes requests and does not answer."""
    FROZEN = "frozen"
    """Its registers no longer change."""
    NAN = "nan"
    """It says "not measured"."""
    EXCEPTION = "exception"
    """It answers with a device failure."""
    SLOW = "slow"
    """It answers after `SLOW_ANSWER_S`."""
    SIGN_FLIPPED = "sign_flipped"
    """Its current transformers are turned around."""


class VirtualMeter:
    """The registers of one meter."""

    def __init__(
        self, *, layout: Layout, conductor: Conductor, voltage_v: float, random: Random
    ) -> None:
        self.layout = layout
        self.fault: MeterFault | None = None
        self._conductor = conductor
        self._nominal_v = voltage_v
        self._random = random
        self._drift_v = dict.fromkeys(PHASES, 0.0)
        self._span = layout.span
        self._words: Words = {}

    def refresh(self, dt_s: float) -> None:
        """Measure anew. [s since the last time]"""
        if self.fault is MeterFault.FROZEN and self._words:
            return
        if self.fault is MeterFault.NAN:
            self._words = self.layout.without_values()
            return
        self._words = self.layout.encode(self.quantities(dt_s))

    def quantities(self, dt_s: float) -> dict[str, float]:
        """Return what the meter measures, noise included, named as in the map files."""
        keep = exp(-dt_s / _DRIFT_TAU_S)
        drift_v = _VOLTAGE_DRIFT_V * sqrt(1.0 - keep * keep)
        sign = -1.0 if self.fault is MeterFault.SIGN_FLIPPED else 1.0
        values: dict[str, float] = {}
        total_w = 0.0
        for phase in PHASES:
            self._drift_v[phase] = self._drift_v[phase] * keep + self._random.gauss(0.0, drift_v)
            noise_v = self._random.gauss(0.0, _VOLTAGE_NOISE_V)
            voltage_v = self._nominal_v + self._drift_v[phase] + noise_v
            noise_a = self._random.gauss(0.0, CURRENT_NOISE_A)
            current_a = sign * (self._conductor.current_a.of(phase) + noise_a)
            power_w = voltage_v * current_a * POWER_FACTOR
            total_w += power_w
            values[f"voltage_{phase.value}_v"] = voltage_v
            values[f"current_{phase.value}_a"] = current_a
            values[f"power_{phase.value}_w"] = power_w
            values[f"power_factor_{phase.value}"] = POWER_FACTOR
        return values | {
            "power_total_w": total_w,
            "power_factor_total": POWER_FACTOR,
            "frequency_hz": 50.0 + self._random.gauss(0.0, _FREQUENCY_NOISE_HZ),
            "energy_import_wh": self._conductor.import_wh,
            "energy_export_wh": self._conductor.export_wh,
        }

    def answer(self, pdu: bytes) -> bytes:
        """Answer a request.

        Args:
            pdu: Function code and data.

        Returns:
            Function code and data of the answer, or an exception.
        """
        function = pdu[0]
        if self.fault is MeterFault.EXCEPTION:
            return _exception(function, _DEVICE_FAILURE)
        if _TABLES.get(function) != self.layout.table:
            return _exception(function, _ILLEGAL_FUNCTION)
        if len(pdu) != 5:
            return _exception(function, _ILLEGAL_VALUE)
        start, count = struct.unpack(">HH", pdu[1:5])
        if not 1 <= count <= self.layout.max_block:
            return _exception(function, _ILLEGAL_VALUE)
        first, end = self._span
        if start < first or start + count > end:
            return _exception(function, _ILLEGAL_ADDRESS)
        words = [self._words.get(address, 0) for address in range(start, start + count)]
        return struct.pack(f">BB{count}H", function, 2 * count, *words)


class MeterServer:
    """One Modbus TCP address with the meters behind it; a foreign unit id gets no answer."""

    def __init__(self, address: tuple[str, int], meters: Mapping[int, VirtualMeter]) -> None:
        self._address = address
        self._meters = meters
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    @property
    def port(self) -> int:
        """The port in use; 0 while nobody listens."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server else 0

    async def start(self) -> None:
        """Listen; port 0 picks a free one and keeps it."""
        if self._server is None:
            host, port = self._address
            self._server = await asyncio.start_server(self._serve, host, port)
            self._address = (host, self.port)

    async def stop(self) -> None:
        """Stop to listen and lose every connection."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for writer in tuple(self._connections):
            writer.transport.abort()
        await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request and tell whether the connection goes on."""
        header = await reader.readexactly(_HEADER_BYTES)
        transaction, protocol, length, unit = struct.unpack(">HHHB", header)
        if protocol != 0 or not 2 <= length <= _PDU_MAX_BYTES + 1:
            return False
        pdu = await reader.readexactly(length - 1)
        meter = self._meters.get(unit)
        if meter is None or meter.fault is MeterFault.SILENT:
            return True
        if meter.fault is MeterFault.SLOW:
            await asyncio.sleep(SLOW_ANSWER_S)
        answer = meter.answer(pdu)
        writer.write(struct.pack(">HHHB", transaction, 0, len(answer) + 1, unit) + answer)
        await writer.drain()
        return True


def _exception(function: int, code: int) -> bytes:
    return bytes([function | 0x80, code])
