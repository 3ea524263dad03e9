"""How long a station takes to follow a lower limit, by its own samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from controller.site import EvseId

USUAL_S: Final = 10.0
"""Every station is given this time; only what takes longer is news (IEC 61851-1: 5 s, and the station's own). [s]"""
GIVEN_UP_S: Final = 60.0
"""What has not followed by then does not follow: that is disobedience, not slowness. [s]"""
LEAST_STEP_A: Final = 2.0
TOLERANCE_A: Final = 1.0
TOLERANCE_RATIO: Final = 0.1
KEPT: Final = 8
"""Observations that are remembered per model and firmware."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watch:
    limit_a: float
    began_s: float
    above_s: float = 0.0
    """Age of the latest sample that was still above. [s]"""


class Settling:
    """Watches every EVSE of one connection after its limit was lowered."""

    def __init__(self) -> None:
        """Watch nothing yet."""
        self._watches: dict[EvseId, _Watch] = {}

    def limited(self, evse: EvseId, limit_a: float, *, drawn_a: float | None, now_s: float) -> None:
        """Note a confirmed limit; only one well below what is drawn can be seen to be followed."""
        self._watches.pop(evse, None)
        if drawn_a is not None and drawn_a >= limit_a + LEAST_STEP_A:
            self._watches[evse] = _Watch(limit_a=limit_a, began_s=now_s)

    def sampled(self, evse: EvseId, drawn_a: float, *, now_s: float) -> float | None:
        """Note a live sample.

        Returns:
            How long it took to follow, when that is known now: 0 where no sample contradicts the
            usual time; None: nothing was observed. [s]
        """
        watch = self._watches.get(evse)
        if watch is None:
            return None
        age_s = now_s - watch.began_s
        if age_s > GIVEN_UP_S:
            del self._watches[evse]
            return None
        if drawn_a > watch.limit_a + max(TOLERANCE_A, TOLERANCE_RATIO * watch.limit_a):
            self._watches[evse] = _Watch(
                limit_a=watch.limit_a, began_s=watch.began_s, above_s=age_s
            )
            return None
        del self._watches[evse]
        return age_s if watch.above_s > USUAL_S else 0.0


def learned_s(observed_s: Iterable[float]) -> float | None:
    """Return what observations teach: the second longest, so that a single freak teaches nothing. [s]"""
    longest = sorted(observed_s, reverse=True)
    return longest[1] if len(longest) > 1 and longest[1] > USUAL_S else None
