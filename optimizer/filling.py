"""Progressive filling: the exact weighted max-min share without a solver.

All loads rise together, each in proportion to its weight, until a row is full or a load reaches
its maximum; those loads stop there, the others go on. For limits of the form "the sum of what is
below must fit" this gives the lexicographic max-min optimum, and every intermediate state fits.
Where a load would give room to another (unbalance), that room is not used: safe, but not the most.

It shares no code with the primary method, which it stands in for.

Source: Bertsekas, Gallager, Data Networks, 6.5.2 (max-min flow control).
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

import numpy

from optimizer.admission import Admission
from optimizer.arrays import Floats


def fill(admission: Admission) -> Floats:
    """Share what the minimums leave.

    Args:
        admission: Who takes part, and what is left on each row.

    Returns:
        Current per load, minimum included; 0 if not admitted. Shape (n_loads,). [A]
    """
    share_a: Floats = admission.base_a + numpy.array(_Filling(admission).run(), float)
    return share_a


class _Filling:
    """The state of one run: who still rises, and what each row has left for them."""

    def __init__(self, admission: Admission) -> None:
        layout = admission.tree.layout
        self._entries_of = [
            [(row, factor) for row, factor in entries if factor > 0]
            for entries in layout.entries_of
        ]
        self._weight: list[float] = admission.tree.weight.tolist()
        self._room_a: list[float] = admission.room_a.tolist()
        self._left_a: list[float] = admission.left_a.tolist()
        self._above_a = [0.0] * layout.n_loads
        self._rising: list[bool] = admission.admitted.tolist()
        self._loads_of: list[list[int]] = [[] for _ in layout.rows]
        self._rising_weight = [0.0] * len(layout.rows)
        for load, entries in enumerate(self._entries_of):
            if self._rising[load]:
                for row, factor in entries:
                    self._loads_of[row].append(load)
                    self._rising_weight[row] += factor * self._weight[load]
        self._rising_count = [len(loads) for loads in self._loads_of]

    def run(self) -> list[float]:
        """Raise the common level from event to event. [A]"""
        maxima = [(self._room_a[i] / self._weight[i], i) for i, up in enumerate(self._rising) if up]
        fulls = [(self._full_at(row), row) for row, n in enumerate(self._rising_count) if n]
        heapify(maxima)
        heapify(fulls)
        while maxima:
            full = self._next_full(fulls)
            if full is None or maxima[0][0] <= full[0]:
                _, load = heappop(maxima)
                if self._rising[load]:
                    self._stop(load, self._room_a[load])
                continue
            level, row = heappop(fulls)
            for load in self._loads_of[row]:
                if self._rising[load]:
                    self._stop(load, min(self._room_a[load], level * self._weight[load]))
        return self._above_a

    def _full_at(self, row: int) -> float:
        """Return the level at which a row is full if nobody below it stops before. [A/weight]"""
        return max(0.0, self._left_a[row]) / self._rising_weight[row]

    def _next_full(self, fulls: list[tuple[float, int]]) -> tuple[float, int] | None:
        """Return the row that is full first; a level only rises when a load stops below it."""
        while fulls:
            level, row = fulls[0]
            if self._rising_count[row] == 0:
                heappop(fulls)
                continue
            now = self._full_at(row)
            if now <= level:
                return level, row
            heappop(fulls)
            heappush(fulls, (now, row))
        return None

    def _stop(self, load: int, above_a: float) -> None:
        self._rising[load] = False
        self._above_a[load] = above_a
        for row, factor in self._entries_of[load]:
            self._left_a[row] -= factor * above_a
            self._rising_weight[row] -= factor * self._weight[load]
            self._rising_count[row] -= 1
