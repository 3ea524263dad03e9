"""The thermal replica against the trip times it is taken from."""

from __future__ import annotations

import pytest

from controller import thermal
from controller.phases import ZERO, PhaseCurrents
from controller.site import ProtectiveDevice

RATING_A = 100.0


def seconds_to_trip(device: ProtectiveDevice, step_ratio: float) -> float | None:
    """Step from 0.9 of the rating; None: it holds for an hour."""
    rating = PhaseCurrents.balanced(RATING_A)
    ratio = thermal.final_heat(0.9 * RATING_A, rating_a=RATING_A, device=device)
    heat = PhaseCurrents.balanced(ratio)
    current = PhaseCurrents.on((), 0.0) + PhaseCurrents.balanced(step_ratio * RATING_A)
    for second in range(1, 3600):
        heat = thermal.heated(heat, current=current, rating=rating, device=device, elapsed_s=1.0)
        if max(heat) >= 1.0:
            return float(second)
    return None


@pytest.mark.parametrize(
    ("device", "step_ratio", "trip_s"),
    [
        (ProtectiveDevice.MCB, 1.10, None),
        (ProtectiveDevice.MCB, 1.15, 145),
        (ProtectiveDevice.MCB, 1.30, 45),
        (ProtectiveDevice.MCB, 2.00, 9),
        (ProtectiveDevice.MCCB, 1.10, 79),
        (ProtectiveDevice.MCCB, 1.30, 24),
        (ProtectiveDevice.GG, 1.20, None),
        (ProtectiveDevice.GG, 1.50, 44),
    ],
)
def test_it_trips_when_the_model_says(
    device: ProtectiveDevice, step_ratio: float, trip_s: float | None
) -> None:
    expected = None if trip_s is None else pytest.approx(trip_s, rel=0.1, abs=1.0)

    assert seconds_to_trip(device, step_ratio) == expected


def test_rated_load_is_not_overheating() -> None:
    heat = PhaseCurrents.balanced(
        thermal.final_heat(RATING_A, rating_a=RATING_A, device=ProtectiveDevice.MCCB)
    )

    assert thermal.overheat_ratio(heat, device=ProtectiveDevice.MCCB) == pytest.approx(0.0)
    assert thermal.overheat_ratio(ZERO, device=ProtectiveDevice.MCCB) < 0
