from __future__ import annotations

import pytest

from adapters.simulator.charger import Charger, ChargerState
from adapters.simulator.vehicle import Sleep, Vehicle
from tests.adapters.simulator.sites import an_evse

VOLTAGE_V = 230.0


def a_charger(vehicle: Vehicle, **evse: object) -> Charger:
    charger = Charger(an_evse(**evse))  # type: ignore[arg-type]
    charger.plug_in(vehicle)
    charger.permitted = True
    return charger


def run(charger: Charger, seconds: int) -> float:
    for _ in range(seconds):
        charger.step(1.0, VOLTAGE_V)
    return charger.current_a


def a_vehicle(**changes: object) -> Vehicle:
    return Vehicle(**({"name": "car", "max_a": 32.0, "soc_ratio": 0.2} | changes))  # type: ignore[arg-type]


def test_an_evse_without_limit_gives_its_rating() -> None:
    assert run(a_charger(a_vehicle()), 30) == 32.0


@pytest.mark.parametrize(
    ("limit_a", "vehicle", "expected_a"),
    [
        (16.0, {}, 16.0),
        (16.0, {"max_a": 10.0}, 10.0),
        (5.9, {}, 0.0),
        (0.0, {}, 0.0),
        (7.0, {"min_a": 8.0}, 0.0),
        (20.0, {"take_ratio": 0.9}, 18.0),
    ],
)
def test_a_vehicle_takes_what_both_allow(
    limit_a: float, vehicle: dict[str, float], expected_a: float
) -> None:
    charger = a_charger(a_vehicle(**vehicle))
    charger.limit_a = limit_a
    assert run(charger, 40) == pytest.approx(expected_a)


@pytest.mark.parametrize(
    ("rotation", "phases", "car_phases", "expected_a"),
    [
        ("RST", 3, 3, (10.0, 10.0, 10.0)),
        ("RST", 3, 1, (10.0, 0.0, 0.0)),
        ("STR", 3, 1, (0.0, 10.0, 0.0)),
        ("TRS", 3, 2, (10.0, 0.0, 10.0)),
        ("SRT", 1, 3, (0.0, 10.0, 0.0)),
    ],
)
def test_current_flows_on_the_wired_phases(
    rotation: str, phases: int, car_phases: int, expected_a: tuple[float, ...]
) -> None:
    charger = a_charger(a_vehicle(phases=car_phases), rotation=rotation, phases=phases)
    charger.limit_a = 10.0
    run(charger, 40)
    assert tuple(charger.grid_a) == expected_a


def test_a_lower_limit_acts_within_ten_seconds_and_not_at_once() -> None:
    charger = a_charger(a_vehicle(response_s=4.0))
    run(charger, 60)
    charger.limit_a = 10.0
    assert run(charger, 2) == 32.0
    assert run(charger, 8) == 10.0


def test_the_pilot_signal_is_held_for_five_seconds() -> None:
    charger = a_charger(a_vehicle(response_s=0.0))
    run(charger, 60)
    charger.limit_a = 20.0
    run(charger, 1)
    charger.limit_a = 10.0
    assert [run(charger, 1) for _ in range(5)] == [20.0, 20.0, 20.0, 20.0, 10.0]


def test_current_rises_by_a_ramp() -> None:
    charger = a_charger(a_vehicle(ramp_a_per_s=2.0, start_s=1.0))
    assert [run(charger, 1) for _ in range(3)] == [2.0, 4.0, 6.0]


def test_a_battery_takes_less_and_less_above_its_taper() -> None:
    current_a = [
        run(a_charger(a_vehicle(soc_ratio=soc, battery_wh=1e9)), 30)
        for soc in (0.5, 0.8, 0.9, 0.95)
    ]
    assert current_a == pytest.approx([32.0, 32.0, 16.0, 8.0], rel=1e-3)


def test_a_full_vehicle_stops() -> None:
    charger = a_charger(a_vehicle(soc_ratio=0.79, target_soc_ratio=0.8, battery_wh=10_000))
    run(charger, 120)
    assert (charger.state, charger.current_a) == (ChargerState.SUSPENDED_EV, 0.0)


@pytest.mark.parametrize(
    ("sleep", "after_20_s_a", "after_100_s_a"),
    [(Sleep.NEVER, 16.0, 16.0), (Sleep.UNTIL_OFFERED, 0.0, 16.0), (Sleep.FOR_GOOD, 0.0, 0.0)],
)
def test_a_vehicle_may_sleep_after_a_pause(
    sleep: Sleep, after_20_s_a: float, after_100_s_a: float
) -> None:
    charger = a_charger(a_vehicle(sleep=sleep, sleep_after_s=30.0, wake_s=60.0))
    run(charger, 30)
    charger.limit_a = 0.0
    assert run(charger, 60) == 0.0
    charger.limit_a = 16.0
    assert (run(charger, 20), run(charger, 80)) == (after_20_s_a, after_100_s_a)


def test_energy_follows_current_and_never_goes_back() -> None:
    charger = a_charger(a_vehicle(battery_wh=1e9, start_s=0.0, ramp_a_per_s=100.0))
    charger.limit_a = 10.0
    run(charger, 3600)
    assert charger.energy_wh == pytest.approx(3 * VOLTAGE_V * 10.0, rel=1e-3)
    register_wh = charger.energy_wh
    charger.unplug()
    charger.plug_in(a_vehicle())
    assert charger.energy_wh == register_wh


def test_states_follow_what_happens() -> None:
    charger = Charger(an_evse())
    states = [charger.state]
    charger.plug_in(a_vehicle())
    states.append(charger.state)
    charger.permitted = True
    run(charger, 1)
    states.append(charger.state)
    run(charger, 20)
    states.append(charger.state)
    charger.limit_a = 0.0
    run(charger, 20)
    states.append(charger.state)
    assert states == [
        ChargerState.EMPTY,
        ChargerState.WAITING,
        ChargerState.SUSPENDED_EV,
        ChargerState.CHARGING,
        ChargerState.SUSPENDED_EVSE,
    ]


def test_a_dead_circuit_cuts_the_current_at_once() -> None:
    charger = a_charger(a_vehicle())
    run(charger, 30)
    charger.powered = False
    assert run(charger, 1) == 0.0
