"""From the exact share to what chargers can signal: round down, then hand out what is left."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heapreplace
from math import ceil

import numpy

from optimizer.admission import FIT_TOLERANCE_A, Admission
from optimizer.arrays import Bools, Floats, Ints
from optimizer.steps import amperes, whole_steps

LEVEL_TOLERANCE = 1e-9
"""Levels closer than this are equal. [A/weight]"""

OVERFILL_A = 0.001
"""What the tolerances of rounding may add up to on a row; more is a wrong share. [A]"""


def quantise(admission: Admission, share_a: Floats) -> Floats:
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
    if len(share_a) != len(admission.admitted):
        raise ValueError(f"{len(share_a)} shares for {len(admission.admitted)} loads")
    if not numpy.isfinite(share_a).all():
        raise ValueError("a share is not a finite number")
    rounding = Rounding(admission, _rounded_down(admission, share_a))
    rounding.take_back()
    rounding.hand_out()
    for _ in range(len(share_a)):
        if not rounding.exchange():
            break
        rounding.hand_out()
    return rounding.currents_a()


def _rounded_down(admission: Admission, share_a: Floats) -> list[int]:
    """Return whole steps within the bounds.

    Fine steps wait for coarse ones, or 0.1 A chargers take what a 1 A charger needs.
    """
    step_a = admission.tree.step_a
    coarsest_a = numpy.where(admission.admitted, step_a, 0.0).max(initial=0.0)
    start_a = share_a - numpy.maximum(coarsest_a - step_a, 0.0)
    count = numpy.clip(whole_steps(start_a, step_a), admission.low, admission.high)
    counts: list[int] = numpy.where(admission.admitted, count, 0).tolist()
    return counts


class Rounding:
    """Whole steps per load, and what each row has left."""

    def __init__(self, admission: Admission, count: Sequence[int]) -> None:
        self._admission = admission
        self._tree = admission.tree
        self._entries_of = admission.tree.layout.entries_of
        self._fills_of = admission.tree.layout.fills_of
        self._count = list(count)
        self._low: list[int] = admission.low.tolist()
        self._high: list[int] = admission.high.tolist()
        self._step_a: list[float] = admission.tree.step_a.tolist()
        self._weight: list[float] = admission.tree.weight.tolist()
        self._rank: list[float] = admission.tree.rank.tolist()
        self._held_a: list[float] = admission.tree.current_a.tolist()
        taken_a = numpy.array(self._count) * admission.tree.step_a
        self._left_a: list[float] = (
            admission.tree.available_a - admission.tree.layout.used_a(taken_a)
        ).tolist()

    def currents_a(self) -> Floats:
        """Return the rounded current per load, as clean decimals. Shape (n_loads,). [A]"""
        return numpy.array(list(map(amperes, self._step_a, self._count)), float)

    # --- repair -----------------------------------------------------------------------------------

    def take_back(self) -> None:
        """Take steps back where the tolerances of rounding add up to more than a row has.

        Where a load gave room to another, rounding it down took some of that room away again.
        """
        allowed_a = float("inf") if self._tree.layout.has_credits else OVERFILL_A
        while (row := self._overfull()) is not None:
            if self._left_a[row] < -allowed_a:
                raise ValueError(f"the shares overfill {self._tree.rows[row].name}")
            if not self._relieve(row):
                return  # over already without us

    def _overfull(self) -> int | None:
        """Return a row that is over and has a load above its minimum."""
        for row, left_a in enumerate(self._left_a):
            if left_a < -FIT_TOLERANCE_A and any(
                self._count[i] > self._low[i] for i in self._below(row)
            ):
                return row
        return None

    def _relieve(self, row: int) -> bool:
        """Lower the best-off loads of a row step by step until they fit; tell whether any was."""
        has_lowered = False
        below = self._below(row)
        while self._left_a[row] < -FIT_TOLERANCE_A:
            able = [i for i in below if self._count[i] > self._low[i]]
            if not able:
                break
            self.move(max(able, key=lambda i: (self._level(i), i)), -1)
            has_lowered = True
        return has_lowered

    def _below(self, row: int) -> list[int]:
        """Return the admitted loads that fill a row."""
        layout = self._tree.layout
        fills = (layout.entry_row == row) & (layout.entry_factor > 0)
        loads = layout.entry_load[fills]
        below: list[int] = loads[self._admission.admitted[loads]].tolist()
        return below

    # --- what is left over ------------------------------------------------------------------------

    def hand_out(self) -> None:
        """Give one step after the other to the load with the lowest level that can take it."""
        while queue := self._queue():
            while queue:
                load = queue[0][-1]
                if self.fits(load):
                    self.move(load, +1)
                    if self.fits(load):
                        heapreplace(queue, self._priority(load))
                        continue
                heappop(queue)
            if not self._tree.layout.has_credits:
                return  # what did not fit once never fits again

    def _queue(self) -> list[tuple[float, bool, float, int]]:
        """Return the loads that could take one more step now, as a heap; see `_priority`."""
        tree = self._tree
        able = self._able()
        count = numpy.array(self._count)[able]
        step_a = tree.step_a[able]
        level = numpy.round((count - self._admission.low[able]) * step_a / tree.weight[able], 9)
        gains = tree.current_a[able] < (count + 1) * step_a - FIT_TOLERANCE_A
        order = zip(
            level.tolist(), gains.tolist(), tree.rank[able].tolist(), able.tolist(), strict=True
        )
        queue = list(order)
        heapify(queue)
        return queue

    def _able(self) -> Ints:
        """Return the loads that could take one more step now."""
        layout, admission = self._tree.layout, self._admission
        needs_a = layout.entry_factor * self._tree.step_a[layout.entry_load]
        short = numpy.array(self._left_a)[layout.entry_row] < needs_a - FIT_TOLERANCE_A
        blocked = numpy.bincount(layout.entry_load, short & (needs_a > 0), layout.n_loads)
        return numpy.flatnonzero(
            admission.admitted & (blocked == 0) & (numpy.array(self._count) < admission.high)
        )

    def fits(self, load: int, steps: int = 1) -> bool:
        """Tell whether a load can take so many more steps."""
        if self._count[load] + steps > self._high[load]:
            return False
        need_a, left_a = steps * self._step_a[load], self._left_a
        for row, factor in self._fills_of[load]:  # a loop: `all` of a generator takes twice as long
            if left_a[row] < factor * need_a - FIT_TOLERANCE_A:
                return False
        return True

    def move(self, load: int, steps: int) -> None:
        """Give a load steps, or take them."""
        self._count[load] += steps
        change_a = steps * self._step_a[load]
        left_a = self._left_a
        for row, factor in self._entries_of[load]:
            left_a[row] -= factor * change_a

    def _level(self, load: int, steps: int = 0) -> float:
        """Return what the load has above its minimum, `steps` from now. [A/weight]"""
        above = self._count[load] + steps - self._low[load]
        return above * self._step_a[load] / self._weight[load]

    def _priority(self, load: int) -> tuple[float, bool, float, int]:
        """Order the queue: worst-off, then who would only keep what it holds, rank, id."""
        count, step_a = self._count[load], self._step_a[load]
        level = (count - self._low[load]) * step_a / self._weight[load]
        gains = self._held_a[load] < (count + 1) * step_a - FIT_TOLERANCE_A
        return round(level, 9), gains, self._rank[load], load

    # --- a step that lies with the wrong one --------------------------------------------------------

    def exchange(self) -> bool:
        """Let one load gain a step from another that stays better off than the first was.

        Rounding can leave a step with the wrong one, most of all where steps or weights differ.
        Loads that give room to one another keep what they have.

        Returns:
            Whether somebody gained. The worst-off then have more, so this comes to an end.
        """
        if self._tree.layout.has_credits:
            return False
        for poor in self._poor():
            rich = self._giver(poor, full := self._full_entries(poor))
            if rich is not None:
                self.move(rich, -self._steps_given(rich, poor, full))
                self.move(poor, +1)
                return True
        return False

    def _poor(self) -> list[int]:
        """Return who might gain, worst-off first: somebody on each of its full rows is better off.

        In most cycles there is nobody, and this is all that an exchange takes.
        """
        layout, admission, tree = self._tree.layout, self._admission, self._tree
        load, row = layout.entry_load, layout.entry_row
        count = numpy.array(self._count)
        level = (count - admission.low) * tree.step_a / tree.weight
        after = numpy.where(count > admission.low, level - tree.step_a / tree.weight, -1.0)
        best = numpy.full(len(layout.rows), -1.0)
        numpy.maximum.at(best, row, after[load])
        needs_a = layout.entry_factor * tree.step_a[load] - FIT_TOLERANCE_A
        full: Bools = numpy.array(self._left_a)[row] < needs_a
        hopeless = numpy.bincount(load, full & (best[row] <= level[load] + LEVEL_TOLERANCE))
        blocked = numpy.bincount(load, full)
        poor = numpy.flatnonzero(
            admission.admitted & (count < admission.high) & (blocked > 0) & (hopeless == 0)
        )
        return sorted(poor.tolist(), key=lambda i: (self._level(i), i))

    def _full_entries(self, load: int) -> list[tuple[int, float]]:
        """Return the rows that cannot give the load one more step, with its factors."""
        step_a = self._step_a[load]
        return [
            (row, factor)
            for row, factor in self._entries_of[load]
            if self._left_a[row] < factor * step_a - FIT_TOLERANCE_A
        ]

    def _giver(self, poor: int, full: Sequence[tuple[int, float]]) -> int | None:
        """Return who stays best off after giving up what `poor` needs on its full rows."""
        needed = {row for row, _ in full}
        after = {
            rich: self._level(rich, -self._steps_given(rich, poor, full))
            for rich in min((self._below(row) for row in needed), key=len)
            if rich != poor and needed <= {row for row, _ in self._entries_of[rich]}
        }
        rich = max(after, key=lambda i: (after[i], i), default=None)
        if rich is None or after[rich] <= self._level(poor) + LEVEL_TOLERANCE:
            return None
        return rich

    def _steps_given(self, rich: int, poor: int, full: Sequence[tuple[int, float]]) -> int:
        """Return how many steps of `rich` make room for one step of `poor` on all its full rows."""
        factor_of = dict(self._entries_of[rich])
        return max(
            ceil(
                (factor * self._step_a[poor] - self._left_a[row] - FIT_TOLERANCE_A)
                / (factor_of[row] * self._step_a[rich])
            )
            for row, factor in full
        )
