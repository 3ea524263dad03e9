from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ocpp.metervalues import (
    RegisterTrack,
    entries_v16,
    entries_v201,
    newest,
    parse_number,
    plausible_power_w,
    register_scale,
    register_wh,
    to_sample,
)
from adapters.ocpp.translation import EvseWiring

THREE = EvseWiring(phases=3, max_a=32.0)
ONE = EvseWiring(phases=1, max_a=32.0)
AT = "2026-01-05T12:00:00Z"


def v(value: object, measurand: str | None = None, **rest: str) -> dict[str, Any]:
    named = {} if measurand is None else {"measurand": measurand}
    return {"value": value, **named, **rest}


def entry_v16(*values: dict[str, Any]) -> Any:
    entry = newest(entries_v16([{"timestamp": AT, "sampledValue": list(values)}]))
    assert entry is not None
    return entry


def entry_v201(*values: dict[str, Any]) -> Any:
    entry = newest(entries_v201([{"timestamp": AT, "sampledValue": list(values)}]))
    assert entry is not None
    return entry


def amps(*values: float, suffix: str = "") -> list[dict[str, Any]]:
    return [
        v(str(a), "Current.Import", phase=f"L{i}{suffix}", unit="A")
        for i, a in enumerate(values, start=1)
    ]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("10", 10.0),
        (" 10.5 ", 10.5),
        ("+1e3", 1000.0),
        (".5", 0.5),
        ("-0.2", -0.2),
        (16, 16.0),
        (16.5, 16.5),
        ("NaN", None),
        ("inf", None),
        ("-Infinity", None),
        ("1e999", None),
        ("", None),
        ("abc", None),
        ("1_000", None),
        ("0x10", None),
        ("9" * 5000, None),
        (float("nan"), None),
        (True, None),
        (None, None),
        ("\u0661\u0662", None),
    ],
)
def test_numbers(text: object, number: float | None) -> None:
    assert number == parse_number(text)


@pytest.mark.parametrize(
    ("sampled", "field", "expected"),
    [
        (v("1234"), "energy_wh", 1234.0),
        (v("1.5", unit="kWh"), "energy_wh", 1500.0),
        (v("3680", "Power.Active.Import"), "power_w", 3680.0),
        (v("3.68", "Power.Active.Import", unit="kW"), "power_w", 3680.0),
        (v("16", "Current.Offered"), "offered_a", 16.0),
        (v("16", "Current.Offered", unit="A"), "offered_a", 16.0),
        (v("55", "SoC", unit="Percent", location="EV"), "soc_percent", 55.0),
        (v("55", "SoC"), "soc_percent", 55.0),
    ],
)
def test_units_v16(sampled: dict[str, Any], field: str, expected: float) -> None:
    sample = to_sample(entry_v16(sampled), ONE)
    assert sample is not None
    assert expected == getattr(sample, field)


@pytest.mark.parametrize(
    "sampled",
    [
        v("16", "Current.Import", unit="W"),
        v("1234", unit="varh"),
        v("1234", "Energy.Reactive.Import.Register"),
        v("1e300"),
        v("-5"),
        v("5000", "Current.Import"),
        v("-20", "Current.Import"),
        v("deadbeef", format="SignedData"),
        v("16", "Current.Import", location="Inlet"),
        v("16", "Current.Import", location="EV"),
        v("16", "Current.Import", phase="N"),
        v("16", "Current.Import", context="Interruption.Begin"),
        v("140", "SoC"),
    ],
)
def test_useless_values_make_no_sample(sampled: dict[str, Any]) -> None:
    assert to_sample(entry_v16(sampled), THREE) is None


@pytest.mark.parametrize(
    ("unit", "expected_w"),
    [
        ({"unit": "W"}, 11000.0),
        ({"unit": "W", "multiplier": 3}, None),
        ({"unit": "kW", "multiplier": -3}, 11000.0),
        ({"unit": "W", "multiplier": 0}, 11000.0),
        ({"multiplier": 0}, 11000.0),
        ({}, 11000.0),
        ({"unit": "W", "multiplier": 40}, None),
    ],
)
def test_multiplier_v201(unit: dict[str, Any], expected_w: float | None) -> None:
    wide = EvseWiring(phases=3, max_a=None)
    sampled = {"value": 11000, "measurand": "Power.Active.Import", "unitOfMeasure": unit}
    sample = to_sample(entry_v201(sampled), wide)
    assert expected_w == (sample.power_w if sample is not None else None)


def test_small_value_with_multiplier_v201() -> None:
    sampled = {
        "value": 11,
        "measurand": "Power.Active.Import",
        "unitOfMeasure": {"unit": "W", "multiplier": 3},
    }
    sample = to_sample(entry_v201(sampled), THREE)
    assert sample is not None
    assert sample.power_w == 11000.0


@pytest.mark.parametrize(
    ("values", "wiring", "limit_a", "terminals", "known"),
    [
        (amps(10, 11, 12), THREE, None, (10, 11, 12), True),
        (amps(10, 0, 0), THREE, None, (10, 0, 0), True),
        (amps(10, 11, 12, suffix="-N"), THREE, None, (10, 11, 12), True),
        (amps(0, 0, 0), THREE, None, (0, 0, 0), True),
        # A single-phase EVSE that hangs on L2.
        ([v("13", "Current.Import", phase="L2")], ONE, None, (13, 0, 0), True),
        ([v("13", "Current.Import")], ONE, None, (13, 0, 0), True),
        # Only L1 of three, nothing to check it by: the others carry as much.
        (amps(10), THREE, None, (10, 10, 10), False),
        # Only L1, and the power is that of one phase.
        ([*amps(10), v("2300", "Power.Active.Import")], THREE, None, (10, 0, 0), True),
        # Only L1, and the power is that of three phases.
        ([*amps(10), v("6900", "Power.Active.Import")], THREE, None, (10, 10, 10), False),
        # No phase, power of three phases: the value is per phase.
        (
            [v("10", "Current.Import"), v("6900", "Power.Active.Import")],
            THREE,
            None,
            (10, 10, 10),
            False,
        ),
        # No phase, more than the limit: a sum.
        ([v("30", "Current.Import")], THREE, 10.0, (10, 10, 10), False),
        (
            [v("30", "Current.Import"), v("6900", "Power.Active.Import")],
            THREE,
            10.0,
            (10, 10, 10),
            False,
        ),
        # No phase, no power, within the limit: as if per phase.
        ([v("10", "Current.Import")], THREE, 16.0, (10, 10, 10), False),
        # A single-phase vehicle at its limit on a three-phase EVSE.
        ([v("3680", "Power.Active.Import")], THREE, 16.0, (16, 0, 0), False),
        ([v("6900", "Power.Active.Import")], THREE, 16.0, (10, 10, 10), False),
        ([v("2300", "Power.Active.Import")], ONE, None, (10, 0, 0), True),
        ([v("0", "Power.Active.Import")], THREE, None, (0, 0, 0), False),
        # Power per phase.
        (
            [
                v(str(w), "Power.Active.Import", phase=f"L{i}")
                for i, w in ((1, 2300), (2, 0), (3, 0))
            ],
            THREE,
            None,
            (10, 0, 0),
            True,
        ),
        # Currents stuck at 0 while the power says otherwise.
        ([*amps(0, 0, 0), v("6900", "Power.Active.Import")], THREE, None, (10, 10, 10), False),
        ([v("0", "Current.Import")], THREE, None, (0, 0, 0), False),
    ],
)
def test_terminals(
    values: list[dict[str, Any]],
    wiring: EvseWiring,
    limit_a: float | None,
    terminals: tuple[float, ...],
    known: bool,
) -> None:
    sample = to_sample(entry_v16(*values), wiring, limit_a=limit_a)
    assert sample is not None
    assert sample.terminal_a == pytest.approx(terminals)
    assert known is sample.phases_known


def test_power_comes_from_currents_and_voltages() -> None:
    volts = [v(str(u), "Voltage", phase=f"L{i}-N") for i, u in ((1, 220), (2, 230), (3, 240))]
    sample = to_sample(entry_v16(*amps(10, 10, 10), *volts), THREE)
    assert sample is not None
    assert sample.power_w == pytest.approx(6900.0)
    assert sample.voltage_v == (220.0, 230.0, 240.0)


def test_line_to_line_voltage_is_turned_into_line_to_neutral() -> None:
    sample = to_sample(entry_v16(*amps(1, 1, 1), v("400", "Voltage", phase="L1-L2")), THREE)
    assert sample is not None
    assert sample.voltage_v == pytest.approx((230.94, 230.94, 230.94), abs=0.01)


def test_power_zero_while_energy_rises_is_taken_from_the_register() -> None:
    entry = entry_v16(v("0", "Power.Active.Import"), v("5000"))
    sample = to_sample(entry, THREE, slope_w=6900.0)
    assert sample is not None
    assert sample.power_w == 6900.0
    assert sample.terminal_a == pytest.approx((10, 10, 10))
    assert not sample.phases_known


def test_an_impossible_slope_is_not_believed() -> None:
    sample = to_sample(entry_v16(v("0", "Power.Active.Import")), THREE, slope_w=6.9e6)
    assert sample is not None
    assert sample.power_w == 0.0


def test_energy_and_power_per_phase_are_summed() -> None:
    values = [v("100", phase=f"L{i}") for i in (1, 2, 3)]
    values += [v("1000", "Power.Active.Import", phase=f"L{i}") for i in (1, 2, 3)]
    sample = to_sample(entry_v16(*values), THREE)
    assert sample is not None
    assert (sample.energy_wh, sample.power_w) == (300.0, 3000.0)


def test_offered_per_phase_is_the_largest() -> None:
    values = [v(a, "Current.Offered", phase=f"L{i}") for i, a in ((1, "10"), (2, "12"))]
    sample = to_sample(entry_v16(*values), THREE)
    assert sample is not None
    assert sample.offered_a == 12.0


def test_a_triggered_value_is_better_than_a_clock_aligned_one() -> None:
    values = [
        v("5", "Current.Import", phase="L1", context="Sample.Clock"),
        v("9", "Current.Import", phase="L1", context="Trigger"),
    ]
    sample = to_sample(entry_v16(*values), ONE)
    assert sample is not None
    assert sample.terminal_a == (9.0, 0.0, 0.0)


def test_the_newest_entry_is_the_live_one() -> None:
    entries = entries_v16(
        [
            {"timestamp": "2026-01-05T12:00:20Z", "sampledValue": [v("20")]},
            {"timestamp": "2026-01-05T12:00:40.500+00:00", "sampledValue": [v("40")]},
            {"timestamp": "2026-01-05T12:00:00", "sampledValue": [v("0")]},
            {"timestamp": "yesterday", "sampledValue": [v("99")]},
        ]
    )
    entry = newest(entries)
    assert entry is not None
    assert register_wh([entry]) == 40.0
    assert register_wh(entries) == 40.0


def test_entries_of_one_moment_are_joined() -> None:
    entries = entries_v16(
        [
            {"timestamp": AT, "sampledValue": amps(10, 10, 10)},
            {"timestamp": "2026-01-05T12:00:01Z", "sampledValue": [v("500")]},
        ]
    )
    sample = to_sample(newest(entries), THREE)  # type: ignore[arg-type]
    assert sample is not None
    assert sample.terminal_a == (10.0, 10.0, 10.0)
    assert sample.energy_wh == 500.0


def test_entries_without_a_time_are_never_live() -> None:
    assert newest(entries_v16([{"timestamp": "12 o'clock", "sampledValue": [v("1")]}])) is None


def test_register_of_a_context() -> None:
    values = [v("10", context="Transaction.Begin"), v("90", context="Transaction.End")]
    entries = entries_v16([{"timestamp": AT, "sampledValue": values}])
    assert register_wh(entries, "Transaction.End") == 90.0
    assert register_wh(entries, "Trigger") is None


@pytest.mark.parametrize(
    ("slope_w", "power_w", "rating_w", "scale"),
    [
        (11000.0, 11000.0, 22080.0, 1.0),
        (11.0, 11000.0, 22080.0, 1000.0),
        (11e6, 11000.0, 22080.0, 0.001),
        (11e6, None, 22080.0, 0.001),
        (11.0, None, 22080.0, 1.0),
        (0.0, 11000.0, 22080.0, 1.0),
        (None, 11000.0, 22080.0, 1.0),
        (6000.0, 11000.0, None, 1.0),
    ],
)
def test_register_scale(
    slope_w: float | None, power_w: float | None, rating_w: float | None, scale: float
) -> None:
    assert scale == register_scale(slope_w, power_w, rating_w)


@pytest.mark.parametrize(
    ("power_w", "rating_w", "expected_w"),
    [
        (11000.0, 22080.0, 11000.0),
        (11e6, 22080.0, 11000.0),
        (11e9, 22080.0, None),
        (11e6, None, 11e6),
        (None, 22080.0, None),
    ],
)
def test_plausible_power(
    power_w: float | None, rating_w: float | None, expected_w: float | None
) -> None:
    assert expected_w == plausible_power_w(power_w, rating_w)


def test_the_slope_needs_time_and_forgets_a_register_that_went_back() -> None:
    track = RegisterTrack().add(0.0, 1000.0).add(2.0, 1010.0)
    assert track.slope_w is None
    track = track.add(10.0, 1030.0)
    assert track.slope_w == pytest.approx(10800.0)
    assert track.add(20.0, 5.0).slope_w is None
    assert track.add(20.0, None) == track
    assert track.add(200.0, 2000.0).slope_w is None


def track_of(*points: tuple[float, float]) -> RegisterTrack:
    track = RegisterTrack()
    for at_s, register in points:
        track = track.add(at_s, register)
    return track


@pytest.mark.parametrize(
    ("points", "expected_w"),
    [
        # It rises with every report.
        (((0, 1001), (10, 1011), (20, 1021), (30, 1031)), 3600.0),
        # A vehicle drew between two reports, and was paused: told for one report, then no more.
        (((0, 1001), (10, 1026)), 9000.0),
        (((0, 1001), (10, 1026), (25, 1026)), None),
        # A register that is renewed every 10 s while a report comes every 5 s.
        (((0, 1001), (5, 1001), (10, 1011), (15, 1011), (20, 1021), (25, 1021)), 2880.0),
        # One that counts in steps of 10 Wh stands still between two steps.
        (((0, 1000), (10, 1010), (20, 1010), (30, 1020), (40, 1020), (45, 1020)), 1600.0),
        (((0, 1000), (10, 1010), (25, 1010)), 1440.0),
    ],
)
def test_what_rose_once_and_stands_still_since_flows_no_more(
    points: tuple[tuple[float, float], ...], expected_w: float | None
) -> None:
    assert track_of(*points).flowing_w == (
        None if expected_w is None else pytest.approx(expected_w)
    )


@given(
    power_w=st.floats(250.0, 22_000.0),
    every_s=st.floats(1.0, 12.0),
    count=st.integers(2, 12),
    start_wh=st.integers(1, 10_000_000),
    step_wh=st.sampled_from([0.1, 1.0, 10.0]),
)
def test_a_steady_flow_never_stands_still(
    power_w: float, every_s: float, count: int, start_wh: int, step_wh: float
) -> None:
    def shown(at_s: float) -> float:
        return math.floor((start_wh + power_w * at_s / 3600.0) / step_wh) * step_wh

    track = track_of(*((n * every_s, shown(n * every_s)) for n in range(count)))

    assert track.flowing_w == track.slope_w


VALUES = st.fixed_dictionaries(
    {
        "value": st.one_of(
            st.text(max_size=8), st.floats().map(str), st.integers(-9, 99999).map(str)
        )
    },
    optional={
        "measurand": st.sampled_from(
            ["Current.Import", "Power.Active.Import", "Voltage", "SoC", "Frequency"]
        ),
        "phase": st.sampled_from(["L1", "L2", "L3", "N", "L1-N", "L1-L2"]),
        "unit": st.sampled_from(["A", "W", "kW", "V", "Wh", "kWh", "varh"]),
        "location": st.sampled_from(["Outlet", "Inlet", "EV"]),
        "context": st.sampled_from(["Sample.Periodic", "Trigger", "Interruption.End"]),
    },
)


@given(
    values=st.lists(VALUES, min_size=1, max_size=8),
    phases=st.sampled_from([1, 2, 3]),
    limit_a=st.one_of(st.none(), st.floats(0, 80)),
)
def test_whatever_comes_makes_a_finite_sample_or_none(
    values: list[dict[str, Any]], phases: int, limit_a: float | None
) -> None:
    sample = to_sample(entry_v16(*values), EvseWiring(phases=phases, max_a=32.0), limit_a=limit_a)
    if sample is not None and sample.terminal_a is not None:
        assert all(0.0 <= a < 1e6 for a in sample.terminal_a)


def test_a_dc_outlet_tells_the_current_of_its_feed_by_its_power() -> None:
    """125 A at 400 V are not 125 A of the feed."""
    dc = EvseWiring(phases=3, max_a=80.0, dc_w_per_a=3 * 207 * 0.92)
    entry = entry_v16(
        v("125", "Current.Import", unit="A"),
        v("400", "Voltage", unit="V"),
        v("50000", "Power.Active.Import", unit="W"),
    )

    sample = to_sample(entry, dc)

    assert sample is not None
    assert sample.power_w == 50000.0
    assert sample.terminal_a == pytest.approx((87.516,) * 3, abs=0.001)
