"""OCPP-J frames: what is read from bytes, whatever they are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ocpp.frames import (
    OCPP16,
    OCPP201,
    Call,
    CallErrored,
    CallResult,
    Frame,
    Ignored,
    Malformed,
    encode_call,
    encode_error,
    encode_result,
    parse,
)


def read(data: bytes | str, protocol: str = OCPP16) -> Frame:
    raw = data.encode() if isinstance(data, str) else data
    return parse(raw, protocol=protocol, max_bytes=256 * 1024)


HEARTBEAT = Call(unique_id="a", action="Heartbeat", payload={})


@pytest.mark.parametrize(
    "data",
    [
        b'[2,"a","Heartbeat",{}]',
        b'  [ 2 , "a" , "Heartbeat" , { } ]\r\n',
        b'[2,"a","Heartbeat",{}]\x00\x00',
        b'\xef\xbb\xbf[2,"a","Heartbeat",{}]',
        b'[2.0,"a","Heartbeat",{}]',
        b'[2,"a","Heartbeat",null]',
        b'[2,"a","Heartbeat"]',
    ],
)
def test_a_call_is_read_from_what_firmware_sends(data: bytes) -> None:
    assert read(data) == HEARTBEAT


def test_answers_are_read() -> None:
    assert read('[3,"a",{"status":"Accepted"}]') == CallResult(
        unique_id="a", payload={"status": "Accepted"}
    )
    assert read('[3,"a",null]') == CallResult(unique_id="a", payload={})
    assert read('[4,"a","NotSupported"]') == CallErrored(
        unique_id="a", code="NotSupported", description=""
    )
    assert read('[4,"a","Bad\\n","\\u001b[31mred\\u202e"]') == CallErrored(
        unique_id="a", code="Bad", description="[31mred"
    )
    assert read('[4,"a",5,null,[1]]') == CallErrored(unique_id="a", code="", description="")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"{}",
        b"[]",
        b"2",
        b"null",
        b'"[2]"',
        b"\xff\xfe",
        b'[2,"a","Heartbeat",{}',
        b'[2,"\\ud800","Heartbeat",{}]',
        b"[2]",
        b'[2,5,"Heartbeat",{}]',
        b'[2,null,"Heartbeat",{}]',
        b'[2,{},"Heartbeat",{}]',
        b'[2,"","Heartbeat",{}]',
        b'[2,"' + b"x" * 37 + b'","Heartbeat",{}]',
        b'[3,"a",[]]',
        b'[3,"a",{},{}]',
        b"[3,5,{}]",
        b"[4]",
        b'[4,"a","b","c",{},6]',
        b"[NaN]",
        b'[2,"a","Heartbeat",{"x":1e999}]',
        b"[" * 100_000,
        b"[" * 1000 + b"]" * 1000,
        b"[" + b"9" * 200_000 + b"]",
        b'[3,"a",{"x":9007199254740993}]',
        b"x" * (256 * 1024 + 1),
    ],
    ids=lambda data: repr(data[:24]),
)
def test_garbage_without_a_readable_call_is_not_answered(data: bytes) -> None:
    frame = read(data)

    assert isinstance(frame, Malformed)
    assert frame.unique_id is None


BROKEN_CALLS: list[Any] = [
    [2, "a", {}, {}],
    [2, "a", [], {}],
    [2, "a", None, {}],
    [2, "a", "", {}],
    [2, "a", "x" * 65, {}],
    [2, "a", "Heart\nbeat", {}],
    [2, "a", "\x1b[31mHeartbeat", {}],
    [2, "a"],
    [2, "a", "Heartbeat", {}, {}],
    [2, "a", "Heartbeat", []],
    [2, "a", "Heartbeat", "{}"],
    [2, "a", "Heartbeat", {"x": 2**53 + 1}],
    [2, "a", "Heartbeat", {"x": -(2**63)}],
    [2, "a", "Heartbeat", {"x": 1e300}],
    ["2", "a", "Heartbeat", {}],
    [True, "a", "Heartbeat", {}],
    [None, "a", "Heartbeat", {}],
]


@pytest.mark.parametrize("message", BROKEN_CALLS, ids=str)
@pytest.mark.parametrize(
    ("protocol", "code"), [(OCPP16, "FormationViolation"), (OCPP201, "RpcFrameworkError")]
)
def test_a_broken_call_with_an_id_is_answered(message: Any, protocol: str, code: str) -> None:
    frame = read(json.dumps(message), protocol)

    assert isinstance(frame, Malformed)
    assert (frame.unique_id, frame.code) == ("a", code)


def test_depth_is_limited_and_what_is_allowed_passes() -> None:
    def nested(depth: int) -> str:
        return '[2,"a","DataTransfer",' + '{"x":' * depth + "1" + "}" * depth + "]"

    assert isinstance(read(nested(30)), Call)
    assert isinstance(read(nested(31)), Call)
    assert isinstance(read(nested(32)), Malformed)


def test_unknown_message_types_are_answered_as_each_version_says() -> None:
    assert isinstance(read('[7,"a",{}]', OCPP16), Ignored)
    assert read('[7,"a",{}]', OCPP201) == Malformed(
        unique_id="a", code="MessageTypeNotSupported", description="unknown message type"
    )


@pytest.mark.parametrize("data", ['[5,"a","InternalError","",{}]', '[6,"a","NotifyX",{}]'])
@pytest.mark.parametrize("protocol", [OCPP16, OCPP201])
def test_types_of_later_versions_are_ignored(data: str, protocol: str) -> None:
    assert isinstance(read(data, protocol), Ignored)


def test_frames_survive_the_way_out_and_back() -> None:
    assert read(encode_call("a", "Heartbeat", {})) == HEARTBEAT
    assert read(encode_result("a", {"x": 1})) == CallResult(unique_id="a", payload={"x": 1})
    assert read(encode_error("a", "GenericError", "y" * 300)) == CallErrored(
        unique_id="a", code="GenericError", description="y" * 255
    )


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_raise(data: bytes) -> None:
    assert isinstance(read(data), Call | CallResult | CallErrored | Malformed | Ignored)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)


@given(st.lists(JSON, max_size=6), st.sampled_from([OCPP16, OCPP201]))
def test_no_json_raises(message: list[Any], protocol: str) -> None:
    frame = read(json.dumps([2, "a", *message]), protocol)

    assert isinstance(frame, Call | Malformed)
