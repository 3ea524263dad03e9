"""One Modbus connection. The only module that knows pymodbus.

pymodbus carries bytes, frames requests and owns the serial line. What it hands over as a reply is
checked here first, byte by byte (`frames`), in the hook that it offers for tracing: bytes that are
not exactly the answer never reach its decoder. Its own reconnecting and retrying are off, because
a retried request can be answered by the reply to an earlier one.
"""

from __future__ import annotations

import asyncio
import logging
import termios
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

from pymodbus import FramerType, ModbusException
from pymodbus.client import (
    AsyncModbusSerialClient,
    AsyncModbusTcpClient,
    AsyncModbusUdpClient,
)
from pymodbus.pdu import ModbusPDU

from adapters.modbus.connection import Endpoint, Transport
from adapters.modbus.frames import (
    Complete,
    Incomplete,
    ReadRequest,
    Request,
    Spoiled,
    Table,
    WriteFunction,
    WriteRequest,
    function_of,
    judge_rtu,
    judge_tcp,
)

_CONNECT_WITHIN_S: Final = 2.0
_LIBRARY_TIMEOUT_S: Final = 60.0
"""Never reached: every wait has a shorter limit of its own. [s]"""

# The library writes its whole packet history at each failure; failures are reported by us, once.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

_Client: TypeAlias = AsyncModbusTcpClient | AsyncModbusSerialClient | AsyncModbusUdpClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Registers:
    """The contents of the registers asked for, in their order, 0 to 65535 each; of bits, 0 or 1."""

    words: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The device answered that it does not do this."""

    code: int
    """Modbus exception code."""

    @property
    def is_about_registers(self) -> bool:
        """Tell whether the device may answer when asked for other or fewer registers."""
        return self.code in (2, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The device confirmed a write; what it holds then is for reading back."""


class FailureKind(Enum):
    """What went wrong on the way."""

    NO_CONNECTION = "no_connection"
    CLOSED = "closed"
    SILENCE = "silence"
    BAD_REPLY = "bad_reply"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """There is no answer that can be trusted. The connection is closed."""

    kind: FailureKind
    text: str
    """What happened and what to check."""


Outcome: TypeAlias = Registers | Refusal | Failure
WriteOutcome: TypeAlias = Written | Refusal | Failure

_CLOSED: Final = Failure(
    kind=FailureKind.CLOSED,
    text="the device closed the connection instead of answering; "
    "check that no other program uses the only connection it serves",
)


class _Gate:
    """Stands between the connection and the library: lets through the one answer awaited."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._request: Request | None = None
        self._transaction = 0
        self._broken: asyncio.Future[Failure] | None = None
        self.is_open = True
        self.was_disturbed = False

    def expect(self, request: Request) -> asyncio.Future[Failure]:
        """Await the answer to a request; the future tells when it cannot come any more."""
        self._request = request
        self._broken = asyncio.get_running_loop().create_future()
        if not self.is_open:
            self._break(_CLOSED)
        return self._broken

    def rest(self) -> None:
        """Await nothing."""
        self._request = None
        if self._broken is not None:
            self._broken.cancel()

    def trace_packet(self, sending: bool, packet: bytes) -> bytes:
        """Pass what is sent, and what is received once it is the whole answer; nothing else."""
        if sending:
            self._transaction = int.from_bytes(packet[0:2], "big")
            return packet
        if self._request is None:
            self.was_disturbed = True
            return b""
        if self._transport.is_rtu:
            verdict = judge_rtu(packet, self._request)
        else:
            verdict = judge_tcp(packet, self._request, self._transaction)
        match verdict:
            case Complete():
                self._request = None
                return packet
            case Incomplete():
                return b""
            case Spoiled(reason=reason):
                self._break(_not_the_answer(reason, self._request))
                return b""

    def trace_connect(self, connected: bool) -> None:
        """Note that the connection is up or gone."""
        self.is_open = connected
        if not connected:
            self._break(_CLOSED)

    def _break(self, failure: Failure) -> None:
        if self._broken is not None and not self._broken.done():
            self._broken.set_result(failure)


class ModbusConnection:
    """A connection that opens when needed and never outlives a doubt. For one task only."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client: _Client | None = None
        self._gate = _Gate(endpoint.transport)
        self._quiet_until_s = 0.0
        self._idle_since_s = 0.0

    async def read(self, request: ReadRequest, *, silence_s: float) -> Outcome:
        """Read registers.

        Args:
            request: What to read.
            silence_s: Pause that the device needs after anything else on the line. [s]
        """
        outcome = await self._answered(request, silence_s)
        return outcome if not isinstance(outcome, Written) else _not_the_answer("it reads", request)

    async def write(self, request: WriteRequest, *, silence_s: float) -> WriteOutcome:
        """Write holding registers. After a failure they may hold the new or the old values.

        Args:
            request: What to write.
            silence_s: Pause that the device needs after anything else on the line. [s]
        """
        outcome = await self._answered(request, silence_s)
        return (
            outcome if not isinstance(outcome, Registers) else _not_the_answer("it writes", request)
        )

    async def _answered(
        self, request: Request, silence_s: float
    ) -> Registers | Written | Refusal | Failure:
        if self._gate.was_disturbed or not self._gate.is_open:
            # Bytes that nobody asked for: whatever comes next may not be ours.
            await self.close()
        failure = await self._open()
        if failure is not None:
            return failure
        await self._wait_until(self._idle_since_s + silence_s)
        outcome = await self._exchange(request)
        self._idle_since_s = _now_s()
        if isinstance(outcome, Failure):
            if self._endpoint.transport.is_rtu:
                # The answer may still be on its way, with nothing in it that tells it from the next.
                self._quiet_until_s = _now_s() + self._endpoint.answer_within_s(request.count)
            await self.close()
        return outcome

    async def close(self) -> None:
        """Close; the next read opens again."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
            await asyncio.sleep(0)

    async def _open(self) -> Failure | None:
        if self._client is not None:
            return None
        await self._wait_until(self._quiet_until_s)
        gate = _Gate(self._endpoint.transport)
        client = _client(self._endpoint, gate)
        self._client, self._gate = client, gate
        stops = _stops_asked_for()
        try:
            async with asyncio.timeout(_CONNECT_WITHIN_S):
                connected = await client.connect()
                await asyncio.sleep(0)  # the serial line becomes readable one turn later
        except (TimeoutError, OSError, ModbusException, termios.error):
            connected = False
        if _stops_asked_for() > stops:
            # `asyncio.wait_for` of Python 3.11, in which the library connects, hands over the outcome
            # of an attempt that ends in the same turn instead of the cancellation: it would be lost.
            await self.close()
            raise asyncio.CancelledError
        if connected:
            return None
        await self.close()
        return Failure(kind=FailureKind.NO_CONNECTION, text=_no_connection(self._endpoint))

    async def _exchange(self, request: Request) -> Registers | Written | Refusal | Failure:
        client = self._client
        if client is None:
            return Failure(kind=FailureKind.NO_CONNECTION, text=_no_connection(self._endpoint))
        limit_s = self._endpoint.answer_within_s(request.count)
        broken = self._gate.expect(request)
        reply = asyncio.ensure_future(_ask(client, request))
        either: set[asyncio.Future[Any]] = {reply, broken}
        try:
            await asyncio.wait(either, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if reply.done():
                return _checked(reply.result(), request)
            if broken.done():
                return broken.result()
        except (ModbusException, OSError) as error:
            return Failure(kind=FailureKind.CLOSED, text=f"{error}; check cable and power")
        finally:
            self._gate.rest()
            reply.cancel()
            await asyncio.gather(reply, return_exceptions=True)
        return Failure(
            kind=FailureKind.SILENCE,
            text=f"no answer from unit {request.unit} within {limit_s:.2g} s; "
            f"check power, cable and unit id",
        )

    @staticmethod
    async def _wait_until(at_s: float) -> None:
        remaining_s = at_s - _now_s()
        if remaining_s > 0:
            await asyncio.sleep(remaining_s)


def _stops_asked_for() -> int:
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _client(endpoint: Endpoint, gate: _Gate) -> _Client:
    if endpoint.transport is Transport.SERIAL:
        return AsyncModbusSerialClient(
            endpoint.device,
            framer=FramerType.RTU,
            baudrate=endpoint.baud,
            parity=endpoint.parity,
            stopbits=endpoint.stopbits,
            timeout=_LIBRARY_TIMEOUT_S,
            retries=0,
            reconnect_delay=0,
            trace_packet=gate.trace_packet,
            trace_connect=gate.trace_connect,
        )
    if endpoint.transport is Transport.UDP:
        return AsyncModbusUdpClient(
            endpoint.host,
            port=endpoint.port,
            timeout=_LIBRARY_TIMEOUT_S,
            retries=0,
            reconnect_delay=0,
            trace_packet=gate.trace_packet,
            trace_connect=gate.trace_connect,
        )
    return AsyncModbusTcpClient(
        endpoint.host,
        port=endpoint.port,
        framer=FramerType.RTU if endpoint.transport.is_rtu else FramerType.SOCKET,
        timeout=_LIBRARY_TIMEOUT_S,
        retries=0,
        reconnect_delay=0,
        trace_packet=gate.trace_packet,
        trace_connect=gate.trace_connect,
    )


async def _ask(client: _Client, request: Request) -> ModbusPDU:
    if isinstance(request, WriteRequest):
        if request.function is WriteFunction.SINGLE:
            value = request.words[0]
            return await client.write_register(request.address, value, device_id=request.unit)
        values = list(request.words)
        return await client.write_registers(request.address, values, device_id=request.unit)
    read = {
        Table.COIL: client.read_coils,
        Table.DISCRETE: client.read_discrete_inputs,
        Table.HOLDING: client.read_holding_registers,
        Table.INPUT: client.read_input_registers,
    }[request.table]
    return await read(request.address, count=request.count, device_id=request.unit)


def _checked(reply: ModbusPDU, request: Request) -> Registers | Written | Refusal | Failure:
    """Take what matters out of a reply that the gate let through."""
    if reply.isError():
        return Refusal(code=reply.exception_code)
    if reply.function_code != function_of(request) or reply.dev_id != request.unit:
        return _not_the_answer("it is for somebody else", request)
    if isinstance(request, WriteRequest):
        return Written()
    if request.table.is_bits:
        return Registers(words=tuple(int(bit) for bit in reply.bits[: request.count]))
    if len(reply.registers) != request.count:
        return _not_the_answer(f"it is not for {request.count} registers", request)
    return Registers(words=tuple(reply.registers))


def _not_the_answer(reason: str, request: Request) -> Failure:
    return Failure(
        kind=FailureKind.BAD_REPLY,
        text=f"a reply is not the answer to the request: {reason}; check the wiring, the model, and "
        f"that nothing else polls unit {request.unit} or answers in its place",
    )


def _no_connection(endpoint: Endpoint) -> str:
    if endpoint.transport is Transport.SERIAL:
        return (
            f"{endpoint.device} cannot be opened; check that the adapter is plugged in, that this "
            f"user may use it, and that no other program does"
        )
    return (
        f"no connection to {endpoint.place}; check power, network and address, and that the device "
        f"still has a connection free"
    )
