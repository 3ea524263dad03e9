"""Words to values: layouts, marks for "no value", signs, and how reads are joined."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from adapters.modbus.registermap import (
    CURRENTS,
    POWERS,
    MeterMap,
    PointName,
    RegisterType,
    coalesce,
    decode,
    signed,
)


def a_map(point: dict[str, Any] | None = None, **changes: Any) -> MeterMap:
    """Build a map whose frequency is the point under test, at register 100."""
    points: dict[str, Any] = {
        name: {"at": 2 * index, "type": "float32"} for index, name in enumerate(CURRENTS + POWERS)
    }
    if point is not None:
        points["frequency_hz"] = {"at": 100} | point
    fields: dict[str, Any] = {
        "format": "meter-map/1",
        "maker": "Acme",
        "model": "One",
        "source": "made for tests",
        "evidence": 1,
        "table": "holding",
        "word_order": "big",
        "current_sign": "from_power",
        "power_sign": "import_positive",
        "points": points,
    }
    return MeterMap.model_validate(fields | changes)


def decoded(words: list[int], **point: Any) -> float | None:
    order = point.pop("word_order", "big")
    image = dict(enumerate(words, start=100))
    return decode(a_map(point, word_order=order), image).get("frequency_hz")


@pytest.mark.parametrize(
    ("kind", "words", "value"),
    [
        ("int16", [0xFFFE], -2.0),
        ("uint16", [0xFFFE], 65534.0),
        ("int32", [0xFFFF, 0xFFFE], -2.0),
        ("uint32", [0x0001, 0x0000], 65536.0),
        ("int64", [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFE], -2.0),
        ("uint64", [0, 1, 0, 0], 2.0**32),
        ("float32", [0x4367, 0xAF55], 231.685),
        ("float64", [0x40C8, 0x1CD6, 0xE631, 0xF8A1], 12345.6789),
    ],
)
def test_layouts_in_both_word_orders(kind: str, words: list[int], value: float) -> None:
    assert decoded(words, type=kind) == pytest.approx(value, rel=1e-6)
    swapped = decoded(words[::-1], type=kind, word_order="little")
    assert swapped == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("int16", [0x8000]),
        ("int16", [0x7FFF]),
        ("uint16", [0xFFFF]),
        ("int32", [0x8000, 0x0000]),
        ("int32", [0x7FFF, 0xFFFF]),
        ("int32", [0x7FFF, 0x1234]),
        ("uint32", [0xFFFF, 0xFFFF]),
        ("int64", [0x8000, 0, 0, 0]),
        ("int64", [0x7FFF, 0xFFFF, 0xFFFF, 0xFFFF]),
        ("uint64", [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF]),
        ("uint64", [0x7FFF, 0xFFFF, 0xFFFF, 0xFFFF]),
        ("float32", [0x7FC0, 0x0000]),
        ("float32", [0xFFC0, 0x0000]),
        ("float32", [0x7F80, 0x0000]),
        ("float32", [0xFF80, 0x0000]),
        ("float64", [0x7FF8, 0, 0, 0]),
    ],
)
def test_mark_for_no_value_leaves_the_point_out(kind: str, words: list[int]) -> None:
    assert decoded(words, type=kind) is None
    assert decoded(words[::-1], type=kind, word_order="little") is None


def test_zero_is_a_value() -> None:
    assert decoded([0, 0], type="float32") == 0.0


def test_registers_not_read_leave_the_point_out() -> None:
    assert decoded([0x4367], type="float32") is None


def test_marks_of_a_model_are_honoured_beside_the_usual_ones() -> None:
    assert decoded([0x0000], type="uint16", invalid=[0]) is None
    assert decoded([0xFFFF], type="uint16", invalid=[0]) is None
    assert decoded([0x0001], type="uint16", invalid=[0]) == 1.0


@pytest.mark.parametrize(
    ("exponent", "value"),
    [(0, 123.0), (0xFFFE, 1.23), (2, 12300.0), (0x8000, None), (11, None), (0xFFF5, None)],
)
def test_scale_register_is_a_power_of_ten(exponent: int, value: float | None) -> None:
    assert decoded([123, exponent], type="int16", scale_at=101) == value


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ([0, 250, 0, 0], 25.0),
        ([0, 0, 0, 250], -25.0),
        ([0xFFFF, 0xFFFF, 0, 0], None),
        ([0, 250, 0xFFFF, 0xFFFF], None),
    ],
)
def test_pair_of_unsigned_registers_gives_a_signed_value(
    words: list[int], value: float | None
) -> None:
    assert decoded(words, type="uint32", scale=0.1, minus_at=102) == value


def test_sizes_and_codes_of_types_agree() -> None:
    assert [struct.calcsize(f">{kind.code}") // 2 for kind in RegisterType] == [
        kind.size for kind in RegisterType
    ]


def signs(powers_w: list[float], currents_a: list[float], **changes: Any) -> list[float]:
    values: dict[PointName, float] = dict(zip(CURRENTS, currents_a, strict=True))
    values |= dict(zip(POWERS, powers_w, strict=False))
    turned = signed(a_map(**changes), values)
    return [turned[name] for name in CURRENTS]


def test_magnitude_takes_the_sign_of_its_phase() -> None:
    assert signs([2300.0, -4600.0, 0.0], [10.0, 20.0, 30.0]) == [10.0, -20.0, 30.0]


def test_sign_reported_with_a_magnitude_is_not_trusted() -> None:
    assert signs([2300.0, -4600.0, 6900.0], [-10.0, 20.0, -30.0]) == [10.0, -20.0, 30.0]


def test_phase_without_power_counts_as_import() -> None:
    assert signs([2300.0], [10.0, 20.0, -30.0]) == [10.0, 20.0, 30.0]


def test_export_positive_meter_is_turned_around() -> None:
    turned = signs([2300.0, -4600.0, -1.0], [10.0, 20.0, 30.0], power_sign="export_positive")
    assert turned == [-10.0, 20.0, 30.0]


def test_signed_currents_follow_the_direction_of_the_meter() -> None:
    assert signs([], [10.0, -20.0, 0.0], current_sign="signed") == [10.0, -20.0, 0.0]
    turned = signs([], [10.0, -20.0, 0.0], current_sign="signed", power_sign="export_positive")
    assert turned == [-10.0, 20.0, 0.0]


@pytest.mark.parametrize(
    ("spans", "max_block", "max_gap", "blocks"),
    [
        ([], 60, 16, ()),
        ([(4, 2), (0, 2), (2, 2)], 60, 0, ((0, 6),)),
        ([(0, 2), (10, 2)], 60, 8, ((0, 12),)),
        ([(0, 2), (10, 2)], 60, 7, ((0, 2), (10, 2))),
        ([(0, 2), (2, 2), (4, 2)], 4, 16, ((0, 4), (4, 2))),
        ([(0, 8), (2, 2), (8, 2)], 60, 0, ((0, 10),)),
    ],
)
def test_neighbours_are_read_together(
    spans: list[tuple[int, int]],
    max_block: int,
    max_gap: int,
    blocks: tuple[tuple[int, int], ...],
) -> None:
    assert blocks == coalesce(spans, max_block=max_block, max_gap=max_gap)
