"""From the exact share to what chargers can signal: round down, then hand out what is left."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from math import ceil, fsum, isfinite

from optimizer.admission import FIT_TOLERANCE_A, Admission
from optimizer.steps import amperes, highest_count, lowest_count, whole_steps

LEVEL_TOLERANCE = 1e-9
"""Levels closer than this are equal. [A/weight]"""

OVERFILL_A = 0.001
"""What the tolerances of rounding may add up to on a row; more is a wrong share. [A]"""


def quantise(admission: Admission, share_a: Sequence[float]) -> tuple[float, ...]:
    """Round every share down to a step, then give whole steps that fit to the worst-off.

    Args:
        admission: Who takes part; a load that was not admitted stays at 0.
        share_a: Exact share per load. Shape (n_loads,). [A]

    Returns:
        0, or a multiple of the load's step within [min, max]. Shape (n_loads,). [A]

    Raises:
        ValueError: If a share is not a finite number, the lengths differ, or the shares overfill
            a row by more than what rounding can explain.
    """
    if not all(isfinite(x) for x in share_a):
        raise ValueError("a share is not a finite number")
    rounding = _Rounding(admission, share_a)
    rounding.take_back()
    rounding.hand_out()
    for _ in range(len(share_a)):
        if not rounding.exchange():
            break
        rounding.hand_out()
    return rounding.currents_a()


class _Rounding:
    """Whole steps per load, and what each row has left."""

    def __init__(self, admission: Admission, share_a: Sequence[float]) -> None:
        self._tree = admission.tree
        self._admitted = [i for i, yes in enumerate(admission.admitted) if yes]
        loads = self._tree.loads
        self._low = [lowest_count(load) for load in loads]
        self._high = [highest_count(load) for load in loads]
        self._base_a = admission.base_a
        self._count = [0] * len(loads)
        coarsest_a = max((loads[i].step_a for i in self._admitted), default=0.0)
        pairs = dict(zip(range(len(loads)), share_a, strict=True))
        for i in self._admitted:
            # Fine steps wait for coarse ones, or 0.1 A chargers take what a 1 A charger needs.
            start_a = pairs[i] - (coarsest_a - loads[i].step_a)
            count = whole_steps(start_a, loads[i].step_a)
            self._count[i] = min(self._high[i], max(self._low[i], count))
        self._below: list[list[int]] = [[] for _ in self._tree.rows]
        for i in self._admitted:
            for row in self._tree.rows_of[i]:
                self._below[row].append(i)
        self._left_a = self._slack_a()

    def take_back(self) -> None:
        """Take steps back where the tolerances of rounding add up to more than a row has."""
        for row, left_a in enumerate(self._left_a):
            if left_a >= -FIT_TOLERANCE_A:
                continue
            below = self._below[row]
            if not below:
                continue  # over already without us; nobody was admitted
            if left_a < -OVERFILL_A:
                at = self._tree.rows[row]
                raise ValueError(f"the shares overfill {at.node} {at.phase.name}")
            self._relieve(row, below)

    def _relieve(self, row: int, below: Sequence[int]) -> None:
        """Lower the best-off loads of a row step by step until they fit."""
        while self._left_a[row] < -FIT_TOLERANCE_A:
            able = [i for i in below if self._count[i] > self._low[i]]
            if not able:
                return
            self._move(max(able, key=lambda i: (self._level(i), i)), -1)

    def hand_out(self) -> None:
        """Give one step after the other to the load with the lowest level that can take it."""
        queue = [self._priority(i) for i in self._admitted]
        heapify(queue)
        while queue:
            load = heappop(queue)[-1]
            if self._fits(load):
                self._move(load, +1)
                heappush(queue, self._priority(load))

    def exchange(self) -> bool:
        """Let one load gain a step from another that stays better off than the first was.

        Rounding can leave a step with the wrong one, most of all where steps or weights differ.

        Returns:
            Whether somebody gained. The worst-off then have more, so this comes to an end.
        """
        best = self._best_level()
        for poor in sorted(self._admitted, key=lambda i: (self._level(i), i)):
            full = self._full_rows(poor)
            if self._count[poor] >= self._high[poor] or not full:
                continue
            if min(best[row] for row in full) <= self._level(poor) + LEVEL_TOLERANCE:
                continue
            rich = self._giver(poor, full)
            if rich is not None:
                self._move(rich, -self._steps_given(rich, poor, full))
                self._move(poor, +1)
                return True
        return False

    def _best_level(self) -> list[float]:
        """Return where the best-off load of each row is after giving a step. [A/weight]"""
        best = [0.0] * len(self._left_a)
        for row, below in enumerate(self._below):
            best[row] = max((self._level(i, -1) for i in below), default=0.0)
        return best

    def _full_rows(self, load: int) -> list[int]:
        """Return the rows that cannot give the load one more step."""
        need_a = self._tree.loads[load].step_a - FIT_TOLERANCE_A
        return [row for row in self._tree.rows_of[load] if self._left_a[row] < need_a]

    def _giver(self, poor: int, full: Sequence[int]) -> int | None:
        """Return who stays best off after giving up what `poor` needs on its full rows."""
        after = {
            rich: self._level(rich, -self._steps_given(rich, poor, full))
            for rich in min((self._below[row] for row in full), key=len)
            if rich != poor and all(row in self._tree.rows_of[rich] for row in full)
        }
        rich = max(after, key=lambda i: (after[i], i), default=None)
        if rich is None or after[rich] <= self._level(poor) + LEVEL_TOLERANCE:
            return None
        return rich

    def _steps_given(self, rich: int, poor: int, full: Sequence[int]) -> int:
        loads = self._tree.loads
        need_a = loads[poor].step_a - min(self._left_a[row] for row in full)
        return ceil((need_a - FIT_TOLERANCE_A) / loads[rich].step_a)

    def currents_a(self) -> tuple[float, ...]:
        """Return the rounded current per load. [A]"""
        return tuple(
            amperes(load.step_a, count)
            for load, count in zip(self._tree.loads, self._count, strict=True)
        )

    def _level(self, load: int, steps: int = 0) -> float:
        """Return what the load has above its minimum, `steps` from now. [A/weight]"""
        x = self._tree.loads[load]
        return (amperes(x.step_a, self._count[load] + steps) - self._base_a[load]) / x.weight

    def _priority(self, load: int) -> tuple[float, bool, int, int]:
        """Order the queue: worst-off, then who would only keep what it holds, rank, id."""
        x = self._tree.loads[load]
        gains = x.current_a < amperes(x.step_a, self._count[load] + 1) - FIT_TOLERANCE_A
        return round(self._level(load), 9), gains, x.rank, load

    def _fits(self, load: int) -> bool:
        if self._count[load] >= self._high[load]:
            return False
        need_a = self._tree.loads[load].step_a - FIT_TOLERANCE_A
        return all(self._left_a[row] >= need_a for row in self._tree.rows_of[load])

    def _move(self, load: int, steps: int) -> None:
        self._count[load] += steps
        change_a = steps * self._tree.loads[load].step_a
        for row in self._tree.rows_of[load]:
            self._left_a[row] -= change_a

    def _slack_a(self) -> list[float]:
        """Return what is left of each row. Shape (n_rows,). [A]"""
        loads = self._tree.loads
        return [
            available - fsum(amperes(loads[i].step_a, self._count[i]) for i in below)
            for available, below in zip(self._tree.available_a, self._below, strict=True)
        ]
