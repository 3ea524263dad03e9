"""A protective device that heats up and trips: what the controller must never let happen.

Thermal replica with one time constant: heat follows the square of the current, and the device
trips when heat reaches that of its conventional non-tripping current. After a step from a steady
I0 it trips at t = tau * ln((I^2 - I0^2) / (I^2 - Ihold^2)), all as multiples of the rating.
This is physics of the simulated site and shares no code with the controller's own estimate.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from controller.phases import PHASES, Phase, PhaseCurrents
from controller.site import CircuitId, ProtectiveDevice

TYPICAL_TAU_S = 60.0
"""Within the 4.6 to 274 s that the conventional points of IEC 60898-1 allow. [s]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """A protective device that opened."""

    circuit: CircuitId
    phase: Phase
    time_s: float
    """Simulated time. [s]"""
    current_a: float
    """Current that tripped it. [A]"""


class Breaker:
    """Three poles that heat separately and open together."""

    def __init__(
        self, *, limit_a: PhaseCurrents, device: ProtectiveDevice, tau_s: float = TYPICAL_TAU_S
    ) -> None:
        self.limit_a = limit_a
        self.tripped = False
        self._tau_s = tau_s
        self._hold_square = device.hold_ratio**2
        self._heat = dict.fromkeys(PHASES, 0.0)

    @property
    def heat_ratio(self) -> float:
        """Heat of the hottest pole; 1 is where the device trips."""
        return max(self._heat.values()) / self._hold_square

    def settle(self, current_a: PhaseCurrents) -> None:
        """Take the heat that a current carried for a long time would leave. [A]"""
        for phase in PHASES:
            self._heat[phase] = self._square(current_a, phase)

    def step(self, current_a: PhaseCurrents, dt_s: float) -> Phase | None:
        """Carry a current for a while.

        Args:
            current_a: Current per phase, either sign. [A]
            dt_s: For how long. [s]

        Returns:
            The pole that opened the device in this step.
        """
        if self.tripped:
            return None
        gain = 1.0 - exp(-dt_s / self._tau_s)
        hottest: Phase | None = None
        for phase in PHASES:
            heat = self._heat[phase]
            heat += (self._square(current_a, phase) - heat) * gain
            self._heat[phase] = heat
            if heat > self._hold_square and hottest is None:
                hottest = phase
        self.tripped = hottest is not None
        return hottest

    def reset(self) -> None:
        """Close the device again, cold."""
        self.tripped = False
        self._heat = dict.fromkeys(PHASES, 0.0)

    def _square(self, current_a: PhaseCurrents, phase: Phase) -> float:
        limit_a = self.limit_a.of(phase)
        return (current_a.of(phase) / limit_a) ** 2 if limit_a > 0 else 0.0
