"""Three-phase currents and phase rotation.

`PhaseCurrents` is the one type that both inner rings share: `controller` re-exports it.
Sign: + flows towards the loads. Order: the grid's phases L1, L2, L3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from math import isfinite

from optimizer.values import quick


class Phase(Enum):
    """A phase of the grid connection."""

    # Members are single objects; Enum's own hash is Python code and shows up in every cycle.
    __hash__ = object.__hash__

    L1 = "l1"
    L2 = "l2"
    L3 = "l3"


PHASES: tuple[Phase, Phase, Phase] = (Phase.L1, Phase.L2, Phase.L3)

PhaseSet = tuple[Phase, ...]
"""Distinct grid phases, in the order of the load's own terminals."""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseCurrents:
    """The current in each phase conductor. [A]"""

    l1_a: float
    l2_a: float
    l3_a: float

    @classmethod
    def balanced(cls, current_a: float) -> PhaseCurrents:
        """Return the same current on all three phases. [A]"""
        return cls(l1_a=current_a, l2_a=current_a, l3_a=current_a)

    @classmethod
    def on(cls, phases: PhaseSet, current_a: float) -> PhaseCurrents:
        """Return `current_a` on each of `phases` and 0 on the others. [A]"""
        return cls(
            l1_a=current_a if Phase.L1 in phases else 0.0,
            l2_a=current_a if Phase.L2 in phases else 0.0,
            l3_a=current_a if Phase.L3 in phases else 0.0,
        )

    @classmethod
    def from_mapping(cls, current_a: Mapping[Phase, float]) -> PhaseCurrents:
        """Build from a mapping; phases that are missing carry no current. [A]"""
        return cls(
            l1_a=current_a.get(Phase.L1, 0.0),
            l2_a=current_a.get(Phase.L2, 0.0),
            l3_a=current_a.get(Phase.L3, 0.0),
        )

    def of(self, phase: Phase) -> float:
        """Return the current on one phase. [A]"""
        if phase is Phase.L1:
            return self.l1_a
        return self.l2_a if phase is Phase.L2 else self.l3_a

    def __iter__(self) -> Iterator[float]:
        """Iterate L1, L2, L3. [A]"""
        yield self.l1_a
        yield self.l2_a
        yield self.l3_a

    def __add__(self, other: PhaseCurrents) -> PhaseCurrents:
        """Add phase by phase."""
        return PhaseCurrents(
            l1_a=self.l1_a + other.l1_a, l2_a=self.l2_a + other.l2_a, l3_a=self.l3_a + other.l3_a
        )

    def __sub__(self, other: PhaseCurrents) -> PhaseCurrents:
        """Subtract phase by phase."""
        return PhaseCurrents(
            l1_a=self.l1_a - other.l1_a, l2_a=self.l2_a - other.l2_a, l3_a=self.l3_a - other.l3_a
        )

    def scaled(self, factor: float) -> PhaseCurrents:
        """Multiply every phase by a dimensionless factor."""
        return PhaseCurrents(
            l1_a=self.l1_a * factor, l2_a=self.l2_a * factor, l3_a=self.l3_a * factor
        )

    def lowest(self, other: PhaseCurrents) -> PhaseCurrents:
        """Return the smaller value of each phase."""
        return PhaseCurrents(
            l1_a=min(self.l1_a, other.l1_a),
            l2_a=min(self.l2_a, other.l2_a),
            l3_a=min(self.l3_a, other.l3_a),
        )

    def highest(self, other: PhaseCurrents) -> PhaseCurrents:
        """Return the larger value of each phase."""
        return PhaseCurrents(
            l1_a=other.l1_a if other.l1_a > self.l1_a else self.l1_a,
            l2_a=other.l2_a if other.l2_a > self.l2_a else self.l2_a,
            l3_a=other.l3_a if other.l3_a > self.l3_a else self.l3_a,
        )

    @property
    def largest_a(self) -> float:
        """The current of the phase that carries most. [A]"""
        return max(self.l1_a, self.l2_a, self.l3_a)

    def fits(self, limit: PhaseCurrents, *, tolerance_a: float = 1e-6) -> bool:
        """Tell whether no phase exceeds the limit by more than the tolerance."""
        return (
            self.l1_a <= limit.l1_a + tolerance_a
            and self.l2_a <= limit.l2_a + tolerance_a
            and self.l3_a <= limit.l3_a + tolerance_a
        )

    def is_finite(self) -> bool:
        """Tell whether every phase is a finite number."""
        return isfinite(self.l1_a) and isfinite(self.l2_a) and isfinite(self.l3_a)


ZERO = PhaseCurrents(l1_a=0.0, l2_a=0.0, l3_a=0.0)


class PhaseRotation(Enum):
    """Which grid phases an EVSE's terminals L1, L2, L3 are wired to.

    Source: OCPP 1.6 ConnectorPhaseRotation; R, S, T are the grid's L1, L2, L3.
    """

    RST = "RST"
    RTS = "RTS"
    SRT = "SRT"
    STR = "STR"
    TRS = "TRS"
    TSR = "TSR"

    @property
    def order(self) -> tuple[Phase, Phase, Phase]:
        """Grid phases at the terminals L1, L2, L3."""
        return _ORDER[self.value]

    def phases(self, count: int) -> PhaseSet:
        """Return the grid phases that a load on the first `count` terminals uses."""
        return self.order[:count]

    def to_grid(self, terminal_a: tuple[float, float, float]) -> PhaseCurrents:
        """Map currents at the EVSE's terminals to grid phases. [A]"""
        l1_a, l2_a, l3_a = terminal_a
        if self is PhaseRotation.RST:  # by far the most, and asked for with every sample
            return PhaseCurrents(l1_a=l1_a, l2_a=l2_a, l3_a=l3_a)
        order = self.order
        return PhaseCurrents(
            l1_a=terminal_a[order.index(Phase.L1)],
            l2_a=terminal_a[order.index(Phase.L2)],
            l3_a=terminal_a[order.index(Phase.L3)],
        )


_BY_LETTER = {"R": Phase.L1, "S": Phase.L2, "T": Phase.L3}
_ORDER: dict[str, tuple[Phase, Phase, Phase]] = {
    rotation.value: (
        _BY_LETTER[rotation.value[0]],
        _BY_LETTER[rotation.value[1]],
        _BY_LETTER[rotation.value[2]],
    )
    for rotation in PhaseRotation
}
