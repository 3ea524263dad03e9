"""How far a meter is believed that sends right and wrong numbers in turn.

One wrong sample costs itself. Many mean that the others cannot be told from right ones either: then
none counts until few of the last are wrong (`docs/fault-times.md`, row "implausible data").
"""

from __future__ import annotations

from collections import deque
from typing import Final

WITHIN_S: Final = 30.0
MOST_WRONG: Final = 0.2
"""A larger share of seconds with wrong samples is too much."""
LEAST_WRONG: Final = 3
"""Fewer are no pattern, however few there were."""

CLEAN_S: Final = 5.0
"""After so long without a wrong one they are believed again: an outage that is over is no pattern. [s]"""


class Credit:
    """The last seconds of one meter: in which it sent something wrong. Times by one monotonic clock.

    Seconds count, not samples: after a wrong one the meter is read again sooner.
    """

    def __init__(self) -> None:
        self._seconds: deque[tuple[float, bool]] = deque()
        """Begin of each second with a sample, and whether one in it was wrong."""
        self._heard_s = float("-inf")
        self._wrong_s = float("-inf")

    def book(self, now_s: float, *, is_plausible: bool) -> None:
        """Note a sample that the meter has sent."""
        self._heard_s = now_s
        if not is_plausible:
            self._wrong_s = now_s
        if self._seconds and now_s - self._seconds[-1][0] < 1.0:
            began_s, was_wrong = self._seconds.pop()
            self._seconds.append((began_s, was_wrong or not is_plausible))
        else:
            self._seconds.append((now_s, not is_plausible))
        while now_s - self._seconds[0][0] > WITHIN_S:
            self._seconds.popleft()

    def doubt(self) -> str | None:
        """Return why a plausible sample is not believed; None: it is."""
        wrong = sum(is_wrong for _, is_wrong in self._seconds)
        is_pattern = wrong >= LEAST_WRONG and wrong > MOST_WRONG * len(self._seconds)
        if not is_pattern or self._heard_s - self._wrong_s >= CLEAN_S:
            return None
        return (
            f"it sent something wrong in {wrong} of its last {len(self._seconds)} seconds, so the rest is not "
            "believed either"
        )
