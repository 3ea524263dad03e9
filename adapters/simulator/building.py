"""Everything on a circuit that is not one of our chargers: base load, noise, steps and sun."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from math import exp, sqrt
from random import Random

from controller.phases import PHASES, Phase, PhaseCurrents
from controller.site import CircuitId

_NOISE_TAU_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildingStep:
    """A load that is switched on and off. Negative current: a source."""

    phase: Phase
    current_a: float
    start_s: float = 0.0
    end_s: float | None = None
    """None: it stays on."""
    circuit: CircuitId | None = None
    """None: the root of the site."""

    def is_on(self, time_s: float) -> bool:
        """Tell whether the load runs at a simulated time."""
        return self.start_s <= time_s and (self.end_s is None or time_s < self.end_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A repeating curve of ratios with straight lines between its points."""

    points: tuple[tuple[float, float], ...]
    """Time [s] and ratio, ascending in time; the first point stands at 0."""
    period_s: float = 86_400.0

    def at(self, time_s: float) -> float:
        """Return the ratio at a time. [1]"""
        time_s %= self.period_s
        index = bisect_right(self.points, (time_s, float("inf")))
        start_s, start = self.points[index - 1]
        following = (*self.points, (self.period_s, self.points[0][1]))
        end_s, end = following[index]
        if end_s <= start_s:
            return start
        return start + (end - start) * (time_s - start_s) / (end_s - start_s)


FLAT = Curve(points=((0.0, 1.0),))


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildingHabits:
    """How a building behaves, as shares of its worst case, so that it suits any site."""

    base_ratio: float = 0.5
    noise_ratio: float = 0.02
    """Standard deviation of the slow noise."""
    curve: Curve = FLAT
    phase_shift_s: float = 0.0
    """L2 runs this much later than L1, and L3 than L2. [s]"""
    pv_ratio: float = 0.0
    """Peak of a photovoltaic system."""
    pv_curve: Curve = FLAT


class Building:
    """The load of a building on one circuit."""

    def __init__(self, *, peak_a: PhaseCurrents, habits: BuildingHabits, random: Random) -> None:
        self._peak_a = peak_a
        self._habits = habits
        self._random = random
        self._noise = dict.fromkeys(PHASES, 0.0)

    def step(self, time_s: float, dt_s: float) -> PhaseCurrents:
        """Advance the noise and return the load without steps. [A]"""
        habits = self._habits
        keep = exp(-dt_s / _NOISE_TAU_S)
        spread = habits.noise_ratio * sqrt(1.0 - keep * keep)
        current_a: dict[Phase, float] = {}
        for index, phase in enumerate(PHASES):
            self._noise[phase] = self._noise[phase] * keep + self._random.gauss(0.0, spread)
            at_s = time_s + index * habits.phase_shift_s
            ratio = habits.base_ratio * habits.curve.at(at_s) + self._noise[phase]
            sun = habits.pv_ratio * habits.pv_curve.at(time_s)
            current_a[phase] = (max(0.0, ratio) - sun) * self._peak_a.of(phase)
        return PhaseCurrents.from_mapping(current_a)
