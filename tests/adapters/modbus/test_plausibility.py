"""Each kind of wrong number has its reason; true ones have none."""

from __future__ import annotations

from math import nan

import pytest

from adapters.modbus.plausibility import MeterLimits, implausible
from adapters.modbus.registermap import PointName

LIMITS = MeterLimits(max_a=63.0, nominal_v=230.0)


def a_sample(**changes: float | None) -> dict[PointName, float]:
    sample: dict[str, float | None] = {
        "voltage_l1_v": 231.0,
        "voltage_l2_v": 229.0,
        "voltage_l3_v": 230.0,
        "current_l1_a": 40.0,
        "current_l2_a": -10.0,
        "current_l3_a": 5.0,
        "power_l1_w": 9000.0,
        "power_l2_w": -2200.0,
        "power_l3_w": 1000.0,
        "power_total_w": 7800.0,
        "frequency_hz": 50.01,
        "energy_import_wh": 1000.0,
        "energy_export_wh": 10.0,
    }
    return {name: x for name, x in (sample | changes).items() if x is not None}  # type: ignore[misc]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"voltage_l2_v": 0.0, "current_l2_a": 0.0, "power_l2_w": 0.0, "power_total_w": 10000.0},
        {"voltage_l1_v": None, "frequency_hz": None, "power_l1_w": None, "power_total_w": None},
        {"power_total_w": 8300.0},
        {"current_l1_a": 126.0, "power_l1_w": 29000.0, "power_total_w": 27800.0},
        {"current_l1_a": 0.0, "power_l1_w": 30.0, "power_total_w": -1170.0},
    ],
    ids=["usual", "dead phase", "few values", "sum within tolerance", "at the limit", "idle"],
)
def test_true_sample_has_no_reason_against_it(changes: dict[str, float | None]) -> None:
    assert implausible(a_sample(**changes), LIMITS, a_sample()) == ()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"current_l3_a": None}, "there is no current of L3"),
        ({"current_l3_a": nan}, "current_l3_a is not a number"),
        ({"voltage_l1_v": 400.0}, "voltage of L1, 400.0 V"),
        ({"voltage_l1_v": 100.0}, "voltage of L1, 100.0 V"),
        ({"voltage_l1_v": -231.0}, "voltage of L1, -231.0 V"),
        ({"frequency_hz": 500.0}, "frequency, 500.00 Hz"),
        ({"frequency_hz": 0.0}, "frequency, 0.00 Hz"),
        ({"current_l2_a": -127.0}, "current of L2, -127.0 A, is above 2 times 63 A"),
        ({"power_l1_w": 12000.0}, "power of L1, 12000 W"),
        ({"power_total_w": 9000.0}, "add up to 7800 W and the total says 9000 W"),
        ({"energy_import_wh": 999.0}, "energy_import_wh went back from 1000 to 999 Wh"),
    ],
)
def test_wrong_number_has_its_reason(changes: dict[str, float | None], reason: str) -> None:
    reasons = implausible(a_sample(**changes), LIMITS, a_sample())
    assert any(reason in text for text in reasons), reasons


def test_kilowatts_taken_for_watts_are_seen_in_the_sum_of_a_mixed_map() -> None:
    reasons = implausible(a_sample(power_total_w=7.8), LIMITS, None)
    assert reasons == ("the phases add up to 7800 W and the total says 8 W",)


def test_watts_taken_for_kilowatts_are_seen_beside_voltage_and_current() -> None:
    thousandfold = {name: 1000 * a_sample()[name] for name in ("power_l1_w", "power_l2_w")}
    reasons = implausible(a_sample(**thousandfold, power_total_w=None), LIMITS, None)
    assert len(reasons) == 2
