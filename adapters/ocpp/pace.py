"""How fast stations are set up: after an outage of the network all of them come back at once."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Final

SET_UPS: Final = 5
"""Set-ups that may begin within `WITHIN_S` (facts/faults.md 6, network partition)."""
WITHIN_S: Final = 1.0
START_S: Final = 10.0
"""So long after our own start nobody waits: there is no limit in force yet that a rush could upset,
and until the last station is set up nothing may rise. [s]"""


class SetUpPace:
    """Lets set-ups begin in order of arrival, so many in any stretch of time.

    A station that waits is what it was before: its messages are answered, it counts with what it may
    hold, and nothing rises for it before its fallback is confirmed.
    """

    def __init__(
        self, *, most: int = SET_UPS, within_s: float = WITHIN_S, start_s: float = START_S
    ) -> None:
        self._within_s = within_s
        self._from_s = time.monotonic() + start_s
        self._begun_s: deque[float] = deque(maxlen=most)
        self._turn = asyncio.Lock()

    async def turn(self) -> None:
        """Wait until one more may begin. Whoever leaves meanwhile costs nobody a turn."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            while len(self._begun_s) == self._begun_s.maxlen and loop.time() >= self._from_s:
                left_s = self._begun_s[0] + self._within_s - loop.time()
                if left_s <= 0.0:
                    break
                await asyncio.sleep(left_s)
            self._begun_s.append(loop.time())
