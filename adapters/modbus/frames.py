"""Judges raw Modbus replies before anything else sees them. Pure.

The library underneath accepts a reply with transaction id 0, with the function code of another
request, with more or fewer registers than asked for. A reply here is either exactly the answer to
the one request under way, or it is refused with the reason.

Source: MODBUS Application Protocol Specification V1.1b3, 6.3, 6.4 and 7; MODBUS Messaging on
TCP/IP Implementation Guide V1.0b, 3.1.3; MODBUS over Serial Line V1.02, 2.5.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias


class Table(Enum):
    """Register table; the value is the function code that reads it."""

    HOLDING = 3
    INPUT = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    """A read of neighbouring registers."""

    unit: int
    table: Table
    address: int
    """Zero-based."""
    count: int


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


def judge_tcp(received: bytes, request: ReadRequest, transaction: int) -> Verdict:
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


def judge_rtu(received: bytes, request: ReadRequest) -> Verdict:
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


def _pdu_length(unit: int, pdu: bytes, request: ReadRequest) -> int | Spoiled:
    """Return the length that the answer must have from its function code on. [bytes]"""
    if unit != request.unit:
        return Spoiled(f"it comes from unit {unit} instead of {request.unit}")
    function = pdu[0]
    if function == request.table.value | _EXCEPTION_BIT:
        return 2
    if function != request.table.value:
        return Spoiled(f"it answers function {function} instead of {request.table.value}")
    if pdu[1] != 2 * request.count:
        return Spoiled(f"it carries {pdu[1]} bytes instead of {2 * request.count}")
    return 2 + 2 * request.count


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
