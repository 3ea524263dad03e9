"""What happens when, in virtual time."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from math import inf


class Agenda:
    """Events by time; those of one instant in the order in which they were entered."""

    def __init__(self) -> None:
        """Start at second 0 with nothing to do."""
        self.now_s = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, time_s: float, action: Callable[[], None]) -> None:
        """Enter an event; one in the past happens now. [s]"""
        self._count += 1
        heapq.heappush(self._events, (max(time_s, self.now_s), self._count, action))

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Enter an event that happens after a while. [s]"""
        self.at(self.now_s + delay_s, action)

    @property
    def next_s(self) -> float:
        """When the next event happens; infinite: there is none. [s]"""
        return self._events[0][0] if self._events else inf

    def step(self) -> None:
        """Let the next event happen."""
        time_s, _, action = heapq.heappop(self._events)
        self.now_s = time_s
        action()
