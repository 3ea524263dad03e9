"""The slots that the planner looks ahead in: fine and clock-aligned near, coarse far.

A coarser far horizon costs almost nothing in quality and several times less time: the far slots
only say how much room there will be, and are planned again before they come.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy

from optimizer.horizon_problem import FloatArray as FloatArray

QUARTER_S = 900.0
_QUARTERS = (*(1,) * 8, *(2,) * 8, *(4,) * 18)
"""Lengths of the slots, in quarters of an hour: 2 h, 4 h and 18 h."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeGrid:
    """Consecutive slots from now on. The first one ends with the running quarter of an hour."""

    begin_at: datetime
    length_h: FloatArray
    """Shape (n_slots,). [h]"""

    @property
    def n_slots(self) -> int:
        """How many slots."""
        return len(self.length_h)

    @property
    def end_h(self) -> FloatArray:
        """Hours from now to each slot's end. Shape (n_slots,). [h]"""
        ends: FloatArray = numpy.cumsum(self.length_h)
        return ends

    @property
    def begin_h(self) -> FloatArray:
        """Hours from now to each slot's begin. Shape (n_slots,). [h]"""
        begins: FloatArray = self.end_h - self.length_h
        return begins

    def instants(self) -> tuple[datetime, ...]:
        """Return the begin of every slot."""
        return tuple(self.begin_at + timedelta(hours=float(h)) for h in self.begin_h)

    def stay_h(self, until_h: float) -> FloatArray:
        """Return how long a vehicle that leaves in so many hours is there, slot by slot. [h]"""
        stay: FloatArray = numpy.clip(until_h - self.begin_h, 0.0, self.length_h)
        return stay


def grid_from(at: datetime) -> TimeGrid:
    """Return the slots from an instant on, about 24 h of them."""
    into_s = at.timestamp() % QUARTER_S
    lengths = numpy.array(_QUARTERS, dtype=numpy.float64) * QUARTER_S
    lengths[0] -= into_s
    return TimeGrid(begin_at=at, length_h=lengths / 3600.0)
