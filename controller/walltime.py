"""The wall clock against the monotonic one: a step of it must change nothing but what stations were told.

Control runs on the monotonic clock alone. Leases, however, name their end by the wall clock too, and
stations set theirs by ours: after a step every lease is issued again.

Source: `docs/fault-times.md`, row "clock jump".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from controller.decision import Condition, Severity
from controller.values import replace

STEP_S = 2.0
"""Between two decisions the clocks drift by much less. [s]"""
TOLD_AFTER_S = 60.0
"""A clock that is soon right again is nobody's concern. [s]"""
BELIEVED_AFTER_S = 3600.0
"""A clock that stays where it is was wrong before. [s]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WallTime:
    """What is remembered of the wall clock."""

    ahead_s: float | None = None
    """Wall clock less monotonic clock at the last decision. [s]"""
    stepped_s: float | None = None
    """When it stepped last, by the monotonic clock. [s]"""
    right_s: float | None = None
    """How far it was ahead before it stepped; None: it is believed. [s]"""
    off_since_s: float | None = None
    """Since when it is not believed. [s]"""


def advanced(before: WallTime, *, now_s: float, at: datetime) -> WallTime:
    """Compare the clocks once more."""
    ahead_s = at.timestamp() - now_s
    after = replace(before, ahead_s=ahead_s)
    if before.off_since_s is not None and now_s - before.off_since_s >= BELIEVED_AFTER_S:
        after = replace(after, right_s=None, off_since_s=None)
    if before.ahead_s is None or abs(ahead_s - before.ahead_s) <= STEP_S:
        return after
    after = replace(after, stepped_s=now_s)
    if after.right_s is None:
        return replace(after, right_s=before.ahead_s, off_since_s=now_s)
    if abs(ahead_s - after.right_s) <= STEP_S:
        return replace(after, right_s=None, off_since_s=None)
    return after


def conditions_of(clock: WallTime, now_s: float) -> tuple[Condition, ...]:
    """Return that the clock has stepped, while it is not believed."""
    if clock.off_since_s is None or clock.right_s is None or clock.ahead_s is None:
        return ()
    if now_s - clock.off_since_s <= TOLD_AFTER_S:
        return ()
    off_s = clock.ahead_s - clock.right_s
    return (
        Condition(
            code="CLOCK_STEPPED",
            subject="site",
            text=f"The clock of this machine was moved by {off_s:+.0f} s. Charging does not follow it, "
            "and all limits were sent again. If it is right now, there is nothing to do; if not, look "
            "at its time synchronisation: the times of sessions follow this clock.",
            severity=Severity.ALARM,
            values={"off_s": f"{off_s:+.0f}"},
        ),
    )
