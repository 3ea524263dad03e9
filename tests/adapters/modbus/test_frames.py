"""Each byte of a reply is judged; nothing but the whole exact answer passes."""

from __future__ import annotations

import pytest

from adapters.modbus.frames import (
    Complete,
    Incomplete,
    ReadRequest,
    Spoiled,
    Table,
    judge_rtu,
    judge_tcp,
)
from tests.adapters.modbus.hostile import checksum

REQUEST = ReadRequest(unit=1, table=Table.INPUT, address=0, count=2)
PDU = bytes.fromhex("04 04 4367 af55")
TCP = bytes.fromhex("0007 0000 0007 01") + PDU
RTU = bytes.fromhex("01") + PDU + bytes.fromhex("e210")


def test_answer_is_complete_with_its_last_byte() -> None:
    tcp = [judge_tcp(TCP[:size], REQUEST, 7) for size in range(len(TCP) + 1)]
    rtu = [judge_rtu(RTU[:size], REQUEST) for size in range(len(RTU) + 1)]
    assert tcp == [Incomplete()] * len(TCP) + [Complete()]
    assert rtu == [Incomplete()] * len(RTU) + [Complete()]


@pytest.mark.parametrize("code", range(256))
def test_exception_of_the_request_is_an_answer(code: int) -> None:
    pdu = bytes([0x84, code])
    assert judge_tcp(bytes.fromhex("0007 0000 0003 01") + pdu, REQUEST, 7) == Complete()
    assert judge_rtu(b"\1" + pdu + checksum(b"\1" + pdu), REQUEST) == Complete()


@pytest.mark.parametrize("index", range(9))
@pytest.mark.parametrize("flipped", [1, 2, 4, 0x40])
def test_any_flipped_bit_of_the_head_spoils_a_tcp_reply(index: int, flipped: int) -> None:
    spoiled = bytearray(TCP)
    spoiled[index] ^= flipped
    assert isinstance(judge_tcp(bytes(spoiled), REQUEST, 7), Spoiled)


@pytest.mark.parametrize("bit", range(8 * len(RTU)))
def test_any_flipped_bit_spoils_an_rtu_reply(bit: int) -> None:
    spoiled = bytearray(RTU)
    spoiled[bit // 8] ^= 1 << bit % 8
    # A flipped bit may announce an exception; then bytes are too many instead of wrong.
    assert isinstance(judge_rtu(bytes(spoiled), REQUEST), Spoiled)


@pytest.mark.parametrize("tail", [b"\0", TCP, RTU])
def test_bytes_after_the_answer_spoil_it(tail: bytes) -> None:
    assert isinstance(judge_tcp(TCP + tail, REQUEST, 7), Spoiled)
    assert isinstance(judge_rtu(RTU + tail, REQUEST), Spoiled)
