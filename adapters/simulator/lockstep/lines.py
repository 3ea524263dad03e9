"""Conductors with their protective devices: what flows in them, exactly, between two changes.

Currents are constant between events, so heat, ampere-seconds and the checks of a stretch are
computed in closed form at its end. Every simulated second is covered, none is stepped through.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import exp, inf, log

from adapters.simulator.breaker import TYPICAL_TAU_S
from controller.phases import PHASES, Phase
from controller.site import Circuit, CircuitId

Triple = tuple[float, float, float]
OWN_TOLERANCE_A = 1.0
"""An excess of our own making below this is measuring noise. [A]"""
OWN_TOLERANCE_S = 2.0
"""One that is over sooner is a change of guard between two vehicles. [s]"""
BUILDING_KEPT_S = 60.0
REACTION_S = 17.0
"""Meter 1 s, cycle and command 4 s, pilot signal 5 s, vehicle 5 s, and 2 s. [s]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """A stretch in which charging overloaded a conductor by its own doing."""

    circuit: CircuitId
    phase: Phase
    at_s: float
    lasted_s: float
    excess_a: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LineTrip:
    """A protective device that opened."""

    circuit: CircuitId
    phase: Phase
    at_s: float
    current_a: float


class Pole:
    """One phase of one circuit."""

    __slots__ = (
        "_hold_square",
        "current_a",
        "foreign_a",
        "heat",
        "limit_a",
        "lows",
        "over_as",
        "over_since_s",
        "over_until_s",
        "own_s",
        "peak_a",
        "since_s",
    )  # fmt: skip

    def __init__(self, limit_a: float, hold_ratio: float) -> None:
        """Start without current, cold."""
        self.limit_a = limit_a
        self.current_a = 0.0
        self.foreign_a = 0.0
        """The part that no command of ours governs: the building, arrivals, what disobeys. [A]"""
        self.heat = 0.0
        self.since_s = 0.0
        self.over_as = 0.0
        self.peak_a = 0.0
        self.own_s = 0.0
        """For how long it has been overloaded by our own doing. [s]"""
        self.over_since_s: float | None = None
        self.over_until_s = float("-inf")
        """When it carried more than its limit last. [s]"""
        self.lows: deque[tuple[float, float]] = deque()
        """Ends of stretches and the foreign current in them, as far back as anyone asks. [s, A]"""
        self._hold_square = hold_ratio**2

    @property
    def heat_ratio(self) -> float:
        """Heat of the device's pole; it opens at 1."""
        return self.heat / self._hold_square

    def trip_after_s(self) -> float:
        """Return after what time at this current it opens; infinite: never. [s]"""
        final = self._final_heat()
        if final <= self._hold_square:
            return inf
        if self.heat >= self._hold_square:
            return 0.0
        return TYPICAL_TAU_S * log((final - self.heat) / (final - self._hold_square))

    def advance(self, now_s: float) -> None:
        """Carry the present current until now."""
        elapsed_s = now_s - self.since_s
        if elapsed_s <= 0.0:
            return
        final = self._final_heat()
        self.heat = final + (self.heat - final) * exp(-elapsed_s / TYPICAL_TAU_S)
        magnitude_a = abs(self.current_a)
        if magnitude_a > self.limit_a:
            self.over_as += (magnitude_a - self.limit_a) * elapsed_s
            self.over_until_s = now_s
        self.peak_a = max(self.peak_a, magnitude_a)
        self.since_s = now_s

    def note_foreign(self, now_s: float, keep_s: float) -> None:
        """Remember the foreign current of the stretch that ends now."""
        lows = self.lows
        if lows and lows[-1][1] >= self.foreign_a:
            while lows and lows[-1][1] >= self.foreign_a:
                lows.pop()
        lows.append((now_s, self.foreign_a))
        while lows and lows[0][0] < now_s - keep_s:
            lows.popleft()

    def own_since_s(self, from_s: float, reaction_s: float) -> float:
        """Return since when the excess is our own: foreign rises are excused for the reaction time. [s]

        Within a stretch the last lower foreign current grows old; the excess is our own from the
        moment at which all that is young enough does not explain it.
        """
        needed_a = self.foreign_a - (self.current_a - self.limit_a - OWN_TOLERANCE_A)
        excused_s = [end_s for end_s, foreign_a in self.lows if foreign_a <= needed_a]
        return max(from_s, excused_s[-1] + reaction_s) if excused_s else from_s

    def settle(self) -> None:
        """Take the heat that the present current has left after a long time."""
        self.heat = min(self._final_heat(), self._hold_square)

    def _final_heat(self) -> float:
        return (self.current_a / self.limit_a) ** 2 if self.limit_a > 0 else 0.0


class Line:
    """A circuit as it is."""

    def __init__(self, circuit: Circuit, parent: Line | None) -> None:
        """Start without current."""
        self.circuit = circuit
        self.parent = parent
        self.poles = tuple(Pole(limit_a, circuit.device.hold_ratio) for limit_a in circuit.limit_a)
        self.building_a: list[float] = [0.0, 0.0, 0.0]
        """What is no charger of ours, on this circuit and below it. [A]"""
        self._buildings: tuple[deque[tuple[float, float]], ...] = (deque(), deque(), deque())
        self.reaction_s = REACTION_S
        """How long an excess that others cause may last; longer while something is broken. [s]"""
        self.tripped: LineTrip | None = None
        self.excesses: list[Excess] = []
        self.changes = 0

    @property
    def path(self) -> tuple[Line, ...]:
        """The line and all above it."""
        return (self,) if self.parent is None else (self, *self.parent.path)

    @property
    def current_a(self) -> Triple:
        """What flows now. [A]"""
        one, two, three = self.poles
        return one.current_a, two.current_a, three.current_a

    @property
    def is_over(self) -> bool:
        """Tell whether any pole carries more than its limit."""
        return any(p.current_a > p.limit_a + 1e-6 for p in self.poles)

    def change(self, index: int, delta_a: float, foreign_a: float, now_s: float) -> None:
        """Change the current of one pole, and how much of it is foreign. [A]"""
        pole = self.poles[index]
        self.close(index, now_s)
        if foreign_a != 0.0:
            pole.note_foreign(now_s, keep_s=900.0)
            pole.foreign_a += foreign_a
        pole.current_a += delta_a
        if abs(pole.current_a) < 1e-9:
            pole.current_a = 0.0
        if pole.over_since_s is None and pole.current_a > pole.limit_a + 1e-6:
            pole.over_since_s = now_s
        self.changes += 1

    def note_building(self, index: int, delta_a: float, now_s: float) -> None:
        """Change the building's part of a pole's current. [A]"""
        history = self._buildings[index]
        history.append((now_s, self.building_a[index]))
        while history and history[0][0] < now_s - BUILDING_KEPT_S:
            history.popleft()
        self.building_a[index] += delta_a

    def lowest_building_a(self, index: int, now_s: float) -> float:
        """Return the least that the building has drawn within the reaction time. [A]"""
        lately = [a for end_s, a in self._buildings[index] if end_s > now_s - self.reaction_s]
        return min([self.building_a[index], *lately])

    def close(self, index: int, now_s: float) -> None:
        """Bring one pole's account up to now."""
        pole = self.poles[index]
        from_s = pole.since_s
        if now_s <= from_s:
            return
        if pole.current_a > pole.limit_a + OWN_TOLERANCE_A:
            self._judge(index, from_s, now_s)
        else:
            pole.own_s = 0.0
        if pole.current_a <= pole.limit_a + 1e-6:
            pole.over_since_s = None
        trips_s = from_s + pole.trip_after_s()
        if trips_s <= now_s and self.tripped is None:
            self.tripped = LineTrip(
                circuit=self.circuit.id,
                phase=PHASES[index],
                at_s=trips_s,
                current_a=pole.current_a,
            )
        pole.advance(now_s)

    def _judge(self, index: int, from_s: float, now_s: float) -> None:
        pole = self.poles[index]
        own_since_s = pole.own_since_s(from_s, self.reaction_s)
        if own_since_s >= now_s:
            pole.own_s = 0.0
            return
        pole.own_s = (pole.own_s if own_since_s <= from_s else 0.0) + now_s - own_since_s
        if pole.own_s < OWN_TOLERANCE_S:
            return
        excess = Excess(
            circuit=self.circuit.id,
            phase=PHASES[index],
            at_s=now_s - pole.own_s,
            lasted_s=pole.own_s,
            excess_a=pole.current_a - pole.limit_a,
        )
        if self.excesses and abs(self.excesses[-1].at_s - excess.at_s) < 1e-6:
            self.excesses[-1] = excess
        else:
            self.excesses.append(excess)
