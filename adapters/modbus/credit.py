"""How far a meter is believed that sends right and wrong numbers in turn.

One wrong sample costs itself. Many mean that the others cannot be told from right ones either: then
none counts until few of the last are wrong (`docs/fault-times.md`, row "implausible data").
"""

from __future__ import annotations

from collections import deque
from typing import Final

WITHIN_S: Final = 30.0
MOST_WRONG: Final = 0.2
"""A larger share of wrong samples is too much."""
LEAST_WRONG: Final = 3
"""Fewer are no pattern, however few samples there were."""

CLEAN_S: Final = 5.0
"""After so long without a wrong one they are believed again: an outage that is over is no pattern. [s]"""


class Credit:
    """The last samples of one meter: which were plausible. Times by one monotonic clock."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, bool]] = deque()
        self._wrong_s = float("-inf")

    def book(self, now_s: float, *, is_plausible: bool) -> None:
        """Note a sample that the meter has sent."""
        self._samples.append((now_s, is_plausible))
        if not is_plausible:
            self._wrong_s = now_s
        while now_s - self._samples[0][0] > WITHIN_S:
            self._samples.popleft()

    def doubt(self) -> str | None:
        """Return why a plausible sample is not believed; None: it is."""
        wrong = sum(not is_plausible for _, is_plausible in self._samples)
        is_pattern = wrong >= LEAST_WRONG and wrong > MOST_WRONG * len(self._samples)
        if not is_pattern or self._samples[-1][0] - self._wrong_s >= CLEAN_S:
            return None
        return (
            f"{wrong} of its last {len(self._samples)} samples were wrong, so the others are not believed "
            "either"
        )
