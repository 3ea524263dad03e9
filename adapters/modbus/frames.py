"""Judges raw Modbus replies before anything else sees them. Pure.

The library underneath accepts a reply with transaction id 0, with the function code of another
request, with more or fewer registers than asked for. A reply here is either exactly the answer to
the one request under way, or it is refused with the reason.

Source: MODBUS Application Protocol Specification V1.1b3, 6.1 to 6.4, 6.6, 6.12 and 7; MODBUS Messaging on
TCP/IP Implementation Guide V1.0b, 3.1.3; MODBUS over Serial Line V1.02, 2.5.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias


class Table(Enum):
    """Table of a device; the value is the function code that reads it."""

    COIL = 1
    DISCRETE = 2
    HOLDING = 3
    INPUT = 4

    @property
    def is_bits(self) -> bool:
        """Tell whether it holds single bits; else registers of 16."""
        return self in (Table.COIL, Table.DISCRETE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    """A read of neighbouring registers, or of bits."""

    unit: int
    table: Table
    address: int
    """Zero-based."""
    count: int

    @property
    def answer_bytes(self) -> int:
        """How many bytes of data the answer carries."""
        return (self.count + 7) // 8 if self.table.is_bits else 2 * self.count


class WriteFunction(Enum):
    """How holding registers are written; the value is the function code."""

    SINGLE = 6
    """One register; all that some devices know."""
    MULTIPLE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRequest:
    """A write of neighbouring holding registers."""

    unit: int
    function: WriteFunction
    address: int
    """Zero-based."""
    words: tuple[int, ...]
    """What they shall hold, 0 to 65535 each; a single one with `WriteFunction.SINGLE`."""

    @property
    def count(self) -> int:
        """Number of registers."""
        return len(self.words)

    @property
    def echo(self) -> bytes:
        """What the confirmation begins with after its function code.

        A single write is confirmed with its value too. That is left to reading back: a device that
        writes another value than it was given must not look like a broken line.
        """
        address = self.address.to_bytes(2, "big")
        if self.function is WriteFunction.SINGLE:
            return address
        return address + self.count.to_bytes(2, "big")


Request: TypeAlias = ReadRequest | WriteRequest


@dataclass(frozen=True, slots=True)
class Incomplete:
    """So far so good; more bytes must come."""


@dataclass(frozen=True, slots=True)
class Complete:
    """The bytes are one whole answer to the request, nothing before and nothing after it."""


@dataclass(frozen=True, slots=True)
class Spoiled:
    """The bytes cannot be, or cannot become, the answer."""

    reason: str


Verdict: TypeAlias = Incomplete | Complete | Spoiled

_EXCEPTION_BIT: Final = 0x80
_MBAP_BYTES: Final = 7
_CRC_BYTES: Final = 2
_CONFIRMATION_BYTES: Final = 5
"""A confirmed write, from its function code on: code, address, and count or value."""


def judge_tcp(received: bytes, request: Request, transaction: int) -> Verdict:
    """Judge bytes received over Modbus TCP.

    Args:
        received: Everything since the request was sent.
        request: The request under way.
        transaction: Its transaction id.
    """
    if len(received) < _MBAP_BYTES + 2:
        return Incomplete()
    reply_transaction = int.from_bytes(received[0:2], "big")
    protocol = int.from_bytes(received[2:4], "big")
    length = int.from_bytes(received[4:6], "big")
    if protocol != 0:
        return Spoiled(f"protocol id {protocol} is not Modbus")
    if reply_transaction != transaction:
        return Spoiled(f"it carries transaction id {reply_transaction} instead of {transaction}")
    pdu = received[_MBAP_BYTES:]
    expected = _pdu_length(received[6], pdu, request)
    if isinstance(expected, Spoiled):
        return expected
    if length != expected + 1:
        return Spoiled(f"its length field says {length} instead of {expected + 1}")
    return _whole(len(received), _MBAP_BYTES + expected)


def judge_rtu(received: bytes, request: Request) -> Verdict:
    """Judge bytes received in RTU framing, from a serial line or through a transparent gateway.

    Args:
        received: Everything since the request was sent.
        request: The request under way.
    """
    if len(received) < 3:
        return Incomplete()
    expected = _pdu_length(received[0], received[1:], request)
    if isinstance(expected, Spoiled):
        return expected
    verdict = _whole(len(received), 1 + expected + _CRC_BYTES)
    if isinstance(verdict, Complete) and crc16(received) != 0:
        return Spoiled("its checksum is wrong")
    return verdict


def _pdu_length(unit: int, pdu: bytes, request: Request) -> int | Spoiled:
    """Return the length that the answer must have from its function code on. [bytes]"""
    if unit != request.unit:
        return Spoiled(f"it comes from unit {unit} instead of {request.unit}")
    asked, function = function_of(request), pdu[0]
    if function == asked | _EXCEPTION_BIT:
        return 2
    if function != asked:
        return Spoiled(f"it answers function {function} instead of {asked}")
    if isinstance(request, WriteRequest):
        seen = pdu[1 : 1 + len(request.echo)]
        if not request.echo.startswith(seen):
            return Spoiled("it confirms a write of other registers")
        return _CONFIRMATION_BYTES
    if pdu[1] != request.answer_bytes:
        return Spoiled(f"it carries {pdu[1]} bytes instead of {request.answer_bytes}")
    return 2 + request.answer_bytes


def function_of(request: Request) -> int:
    """Return the function code of a request."""
    if isinstance(request, WriteRequest):
        return request.function.value
    return request.table.value


def _whole(received: int, expected: int) -> Verdict:
    if received < expected:
        return Incomplete()
    if received > expected:
        return Spoiled(f"{received - expected} bytes follow it")
    return Complete()


def crc16(frame: bytes) -> int:
    """Return the Modbus checksum; over a frame with its checksum it is 0."""
    crc = 0xFFFF
    for byte in frame:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc
