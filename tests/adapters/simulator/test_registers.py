from __future__ import annotations

import struct
from math import isnan
from pathlib import Path

import pytest

from adapters.simulator.registers import SDM630, Layout, UnknownMeterError, Words, load_layout

QUANTITIES = {
    "voltage_l1_v": 231.25,
    "current_l1_a": -12.5,
    "power_l1_w": -2890.625,
    "power_total_w": 5000.0,
    "frequency_hz": 50.02,
    "energy_import_wh": 1_234_500.0,
}

INTEGERS = """
format: meter-map/1
table: holding
word_order: little
max_block: 50
current_sign: from_power
power_sign: export_positive
points:
  voltage_l1_v:     {at: 0, type: int32, scale: 0.1}
  current_l1_a:     {at: 12, type: int32, scale: 0.001}
  power_l1_w:       {at: 18, type: int32, scale: 0.1}
  power_total_w:    {at: 20, minus_at: 22, type: uint32, scale: 0.1}
  energy_import_wh: {at: 52, type: uint64, scale: 100}
"""

SUNSPEC = """
format: meter-map/1
table: holding
word_order: big
current_sign: from_power
power_sign: import_positive
sunspec:
  bases: [40000]
  models:
    - ids: [203]
      points:
        current_l1_a:     {at: 3, type: int16, scale_at: 6}
        power_total_w:    {at: 18, type: int16, scale_at: 22}
        energy_import_wh: {at: 46, type: uint32, scale_at: 54, invalid: [0]}
"""

SIGNED = """
format: meter-map/1
table: input
word_order: big
current_sign: signed
power_sign: export_positive
points:
  current_l1_a: {at: 5, type: int16, scale: 0.1}
"""


def a_layout(tmp_path: Path, text: str) -> Layout:
    (tmp_path / "maker").mkdir()
    (tmp_path / "maker" / "model.yaml").write_text(text, encoding="utf-8")
    return load_layout("maker/model", tmp_path)


def raw(words: Words, at: int, count: int) -> bytes:
    return b"".join(words[address].to_bytes(2, "big") for address in range(at, at + count))


def float32(words: Words, at: int) -> float:
    value: float = struct.unpack(">f", raw(words, at, 2))[0]
    return value


def test_an_sdm630_is_coded_as_its_manual_says() -> None:
    words = SDM630.encode(QUANTITIES)
    assert raw(words, 0, 2).hex() == "43674000"  # 231.25 V
    assert float32(words, 6) == 12.5  # the meter gives currents without a sign
    assert float32(words, 12) == -2890.625
    assert float32(words, 52) == 5000.0
    assert float32(words, 70) == pytest.approx(50.02)
    assert float32(words, 72) == 1234.5  # kWh


def test_integers_keep_scale_sign_and_word_order(tmp_path: Path) -> None:
    words = a_layout(tmp_path, INTEGERS).encode(QUANTITIES)
    assert (words[0], words[1]) == (2312, 0)  # low word first
    assert (words[12], words[13]) == (12500, 0)
    assert (words[18], words[19]) == (28906, 0)  # export counts as positive
    assert (words[20], words[22], words[23]) == (0, 50000, 0)  # import stands in the other register
    assert (words[52], words[53]) == (12345, 0)


def test_a_sunspec_meter_has_a_chain_of_models(tmp_path: Path) -> None:
    words = a_layout(tmp_path, SUNSPEC).encode(QUANTITIES | {"power_total_w": 123_456.0})
    assert raw(words, 40000, 2) == b"SunS"
    assert (words[40002], words[40003]) == (1, 66)
    meter = 40002 + 2 + 66
    assert (words[meter], words[meter + 1]) == (203, 105)
    assert words[meter + 2 + 105] == 0xFFFF
    exponent = struct.unpack(">h", raw(words, meter + 22, 1))[0]
    power = struct.unpack(">h", raw(words, meter + 18, 1))[0]
    assert power * 10**exponent == pytest.approx(123_456.0, abs=10**exponent)
    assert words[meter + 3] * 10.0 ** (words[meter + 6] - 0x10000) == pytest.approx(12.5)


def test_signed_currents_count_the_makers_way(tmp_path: Path) -> None:
    words = a_layout(tmp_path, SIGNED).encode(QUANTITIES)
    assert words[5] == 125


def test_nothing_measured_has_a_mark_in_every_type(tmp_path: Path) -> None:
    assert isnan(float32(SDM630.without_values(), 6))
    words = a_layout(tmp_path, INTEGERS).without_values()
    assert (words[1], words[0]) == (0x8000, 0)
    assert {words[20], words[21], words[52], words[55]} == {0xFFFF}


def test_numbers_beyond_a_register_stay_at_its_end(tmp_path: Path) -> None:
    words = a_layout(tmp_path, SIGNED).encode({"current_l1_a": -1e9})
    assert 32_000 < words[5] < 0x7FFF


@pytest.mark.parametrize("text", ["format: meter-map/1\nrefused: it has no phases\n", None])
def test_a_meter_without_map_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "maker").mkdir()
        (tmp_path / "maker" / "model.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UnknownMeterError):
        load_layout("maker/model", tmp_path)


def test_every_map_of_the_catalogue_can_be_served() -> None:
    catalogue = Path(__file__).parents[3] / "config" / "meters"
    for path in sorted(catalogue.glob("*/*.yaml")):
        if "refused:" in path.read_text(encoding="utf-8"):
            continue
        model = path.relative_to(catalogue).with_suffix("").as_posix()
        assert load_layout(model, catalogue).encode(QUANTITIES), model
