from __future__ import annotations

import pytest

from adapters.simulator.breaker import Breaker
from controller.phases import Phase, PhaseCurrents
from controller.site import ProtectiveDevice

STEP_S = 0.1

# Overload, then seconds to trip after a step from 0.9 In with a time constant of 60 s.
TABLE = [
    ("mcb", 1.15, 145),
    ("mcb", 1.20, 81),
    ("mcb", 1.30, 45),
    ("mcb", 1.50, 24),
    ("mcb", 2.00, 9),
    ("mccb", 1.10, 79),
    ("mccb", 1.15, 51),
    ("mccb", 1.20, 37),
    ("mccb", 1.30, 24),
    ("mccb", 1.50, 14),
    ("mccb", 2.00, 6),
    ("gg", 1.30, 116),
    ("gg", 1.50, 44),
    ("gg", 2.00, 16),
]


def trip_time_s(device: str, ratio: float, *, tau_s: float = 60.0, step_s: float = STEP_S) -> float:
    rating_a = 125.0
    breaker = Breaker(
        limit_a=PhaseCurrents.balanced(rating_a), device=ProtectiveDevice(device), tau_s=tau_s
    )
    breaker.settle(PhaseCurrents.balanced(0.9 * rating_a))
    current_a = PhaseCurrents.balanced(0.9 * rating_a).highest(
        PhaseCurrents.on((Phase.L2,), ratio * rating_a)
    )
    time_s = 0.0
    while time_s < 3600.0:
        time_s += step_s
        if breaker.step(current_a, step_s) is Phase.L2:
            return time_s
    return float("inf")


@pytest.mark.parametrize(("device", "ratio", "expected_s"), TABLE)
def test_a_device_trips_when_its_table_says(device: str, ratio: float, expected_s: float) -> None:
    assert trip_time_s(device, ratio) == pytest.approx(expected_s, rel=0.1)


@pytest.mark.parametrize(("device", "ratio"), [("mcb", 1.1), ("gg", 1.1), ("gg", 1.2), ("mccb", 1)])
def test_a_device_carries_what_it_must_hold(device: str, ratio: float) -> None:
    assert trip_time_s(device, ratio) == float("inf")


@pytest.mark.parametrize(("tau_s", "expected_s"), [(5.0, 4.0), (270.0, 204.0)])
def test_a_slow_device_trips_later(tau_s: float, expected_s: float) -> None:
    assert trip_time_s("mcb", 1.3, tau_s=tau_s) == pytest.approx(expected_s, rel=0.1)


def test_the_length_of_steps_does_not_matter() -> None:
    assert trip_time_s("mccb", 1.2, step_s=1.0) == pytest.approx(37.0, abs=1.1)


def test_an_open_device_stays_open_until_it_is_reset() -> None:
    breaker = Breaker(limit_a=PhaseCurrents.balanced(10.0), device=ProtectiveDevice.MCB)
    while breaker.step(PhaseCurrents.balanced(40.0), 1.0) is None:
        pass
    assert breaker.tripped
    breaker.reset()
    assert (breaker.tripped, breaker.heat_ratio) == (False, 0.0)
