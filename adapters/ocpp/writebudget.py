"""How often limits may be written: stations keep profiles in flash memory, which wears out.

Source: OCPP 1.6 errata 3.37 and 2.0.1 K01.FR.27 demand that profiles persist; libocpp#543: a write
every 5 min wears NOR flash out within weeks. Lowering and renewing never wait; raising does.
"""

from __future__ import annotations

from collections import deque

from controller.site import EvseId

DAY_S = 86_400.0
SPARING_S = 900.0
"""With the day's writes spent, a raise is still let through this often. [s]"""


class WriteBudget:
    """Counts accepted writes per EVSE over a day."""

    def __init__(self) -> None:
        self._writes: dict[EvseId, deque[float]] = {}

    def count(self, evse: EvseId, now_s: float) -> None:
        """Note a write."""
        writes = self._writes.setdefault(evse, deque())
        writes.append(now_s)
        while writes and now_s - writes[0] > DAY_S:
            writes.popleft()

    def may_raise(self, evse: EvseId, now_s: float, *, per_day: int) -> bool:
        """Tell whether a raise may be written now."""
        writes = self._writes.get(evse)
        if not writes:
            return True
        recent = sum(1 for at in writes if now_s - at <= DAY_S)
        return recent < per_day or now_s - writes[-1] >= SPARING_S
