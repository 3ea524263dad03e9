"""Maps of loads: every shipped one is whole, and a limit never becomes more than it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.modbus.loadmap import LoadModelError, Register, all_models, load_map, read_map
from adapters.modbus.registermap import RegisterType

KOSTAL = "kostal/plenticore-g3"


@pytest.mark.parametrize("model", sorted(all_models()))
def test_a_shipped_map_says_where_its_registers_come_from(model: str) -> None:
    found = load_map(model)
    assert found.source
    assert found.notes


@given(
    model=st.sampled_from(sorted(all_models())),
    current_a=st.floats(0, 100),
    phases=st.integers(1, 3),
)
def test_a_limit_survives_its_register_and_is_never_raised_by_it(
    model: str, current_a: float, phases: int
) -> None:
    found = load_map(model)
    amount = found.amount_of(current_a, phases=phases, voltage_v=230.0)
    words = found.limit.encoded(amount, found.word_order)
    back = found.limit.decoded(words, found.word_order)
    assert back is not None
    back_a = found.current_a_of(back, phases=phases, voltage_v=230.0)
    assert current_a - 0.1001 <= back_a <= current_a + 1e-4


def test_watts_are_what_the_current_is_worth_at_the_lowest_voltage() -> None:
    found = load_map(KOSTAL)
    at_lowest_w = 10 * 3 * 230 * 0.9
    assert found.amount_of(10.0, phases=3, voltage_v=230.0) == pytest.approx(at_lowest_w * 0.9)


def test_words_go_in_the_order_of_the_device() -> None:
    register = Register(at=0, type=RegisterType.FLOAT32)
    assert register.encoded(1000.0, "big") == (0x447A, 0x0000)
    assert register.encoded(1000.0, "little") == (0x0000, 0x447A)


def test_a_value_that_does_not_fit_is_an_error_that_names_the_register() -> None:
    register = Register(at=7, type=RegisterType.UINT16, scale=0.1)
    with pytest.raises(ValueError, match="register 7"):
        register.encoded(7000.0, "big")


def test_an_unknown_model_is_answered_with_the_known_ones() -> None:
    with pytest.raises(LoadModelError, match="generic/plc"):
        load_map("acme/heater")


def test_a_damaged_map_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("format: load-map/1\nmaker: X\n")
    with pytest.raises(LoadModelError, match=r"x\.yaml: .*limit: Field required"):
        read_map(path)
