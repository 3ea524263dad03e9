"""The thermal memory of a protective device.

A replica of its heat: 0 is cold, 1 trips. Source: `docs/safety.md`, thermal model; the time to trip
after a step from I0 to I is tau * ln((I² - I0²) / (I² - I_hold²)).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from controller.phases import PhaseCurrents
from controller.site import ProtectiveDevice

TIME_CONSTANT_S = 60.0
"""Typical for the devices named; their standards allow 5 s to 270 s. [s]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heating:
    """A stretch of constant current: the heat at its beginning and what has flowed since."""

    heat: PhaseCurrents
    current: PhaseCurrents
    since_s: float


def advanced(
    heat: PhaseCurrents,
    heating: Heating | None,
    *,
    current: PhaseCurrents,
    rating: PhaseCurrents,
    device: ProtectiveDevice,
    now_s: float,
) -> tuple[PhaseCurrents, Heating]:
    """Return the heat now, and the stretch that begins or goes on.

    The heat follows from the beginning of the stretch, so that it is the same however often it is
    asked for.

    Args:
        heat: Of the decision before; counts where no stretch is known. Dimensionless.
        heating: The stretch so far; None: unknown, as after a restart.
        current: Flows now. [A]
        rating: Of the device. [A]
        device: What protects.
        now_s: Monotonic now. [s]
    """
    if heating is not None:
        heat = heated(
            heating.heat,
            current=heating.current,
            rating=rating,
            device=device,
            elapsed_s=now_s - heating.since_s,
        )
        if heating.current == current:
            return heat, heating
    return heat, Heating(heat=heat, current=current, since_s=now_s)


def heated(
    heat: PhaseCurrents,
    *,
    current: PhaseCurrents,
    rating: PhaseCurrents,
    device: ProtectiveDevice,
    elapsed_s: float,
) -> PhaseCurrents:
    """Advance the heat of each pole by `elapsed_s` at a constant current. Dimensionless."""
    keep = exp(-max(0.0, elapsed_s) / TIME_CONSTANT_S)
    hold = device.hold_ratio
    return PhaseCurrents(
        l1_a=heat.l1_a * keep + _final_heat(current.l1_a, rating.l1_a, hold) * (1 - keep),
        l2_a=heat.l2_a * keep + _final_heat(current.l2_a, rating.l2_a, hold) * (1 - keep),
        l3_a=heat.l3_a * keep + _final_heat(current.l3_a, rating.l3_a, hold) * (1 - keep),
    )


def final_heat(current_a: float, *, rating_a: float, device: ProtectiveDevice) -> float:
    """Return the heat that a constant current leads to. Dimensionless."""
    return _final_heat(current_a, rating_a, device.hold_ratio)


def _final_heat(current_a: float, rating_a: float, hold_ratio: float) -> float:
    return (current_a / (rating_a * hold_ratio)) ** 2 if rating_a > 0 else 0.0


def overheat_ratio(heat: PhaseCurrents, *, device: ProtectiveDevice) -> float:
    """Return how far the hottest pole is between steady rated load (0) and tripping (1)."""
    rated = 1.0 / device.hold_ratio**2
    return (max(heat.l1_a, heat.l2_a, heat.l3_a) - rated) / (1.0 - rated)


def heat_at(level: float, *, device: ProtectiveDevice) -> float:
    """Return the heat at which `overheat_ratio` has a value. Dimensionless."""
    rated = 1.0 / device.hold_ratio**2
    return rated + level * (1.0 - rated)
