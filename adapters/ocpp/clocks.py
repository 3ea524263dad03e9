"""Time on the wire, and how far a station's clock is from ours."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

SKEW_WINDOW = 10
"""Offsets that the median is taken over (design facts 1.7)."""
LIVE_S = 5.0
"""An offset at most so far below the estimate (at first: below zero) needs no proof. [s]"""
PACE_S = 5.0
"""Two messages at least so far apart, whose offsets agree, show a running clock. [s]"""
AGREE_S = 3.0
JUMP_S = 30.0
STEP_S = 2.0
"""Our own clocks drift by much less between two messages: more is a step of our wall clock. [s]"""
OLDEST = datetime(2020, 1, 1, tzinfo=UTC)


def wire_time(at: datetime) -> str:
    """Write a time the way every station reads it: UTC, `Z`, whole seconds rounded down."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: object) -> datetime | None:
    """Read a station's time stamp; a missing zone is taken as UTC. None: it is not a time."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text.strip().upper())
    except ValueError:
        return None
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError:
        return None


def booked_time(text: object, arrived: datetime) -> datetime:
    """Return the time to book: the station's own, so that a repeated message is recognised.

    A station whose clock was never set (before 2020) is booked at arrival.
    """
    at = parse_time(text)
    return at if at is not None and at >= OLDEST else arrived


class ClockSkew:
    """Station clock minus ours, from live messages only.

    A queued message is stamped long before it arrives, a live one just before. So an offset well
    above the estimate proves the estimate wrong (nothing arrives before it is stamped), while one
    well below is believed only when a second message, some seconds later, agrees with it: a burst
    of queued messages never does.
    """

    def __init__(self, monotonic_s: Callable[[], float] | None = None) -> None:
        """Know nothing yet.

        Args:
            monotonic_s: Our monotonic clock, for steps of our wall clock between two messages. [s]
        """
        self._offsets: list[float] = []
        self._candidate: tuple[float, float] | None = None
        self._monotonic_s = monotonic_s
        self._ahead_s: float | None = None
        """Our wall clock less our monotonic one, when they were compared last. [s]"""

    @property
    def value_s(self) -> float | None:
        """The estimate; None before the first live message. [s]"""
        if not self._offsets:
            return None
        # Asked for several times per message: a tenth of what `statistics.median` costs.
        ordered, half = sorted(self._offsets), len(self._offsets) // 2
        return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2

    def forget(self) -> None:
        """Begin anew: the station has just been told the time."""
        self._offsets.clear()
        self._candidate = None

    def hear(self, stamped: datetime, arrived: datetime, arrived_s: float) -> None:
        """Take in one message.

        Args:
            stamped: The station's time stamp.
            arrived: Our wall clock at arrival.
            arrived_s: Our monotonic clock at arrival. [s]
        """
        self._follow_ours(arrived, arrived_s)
        offset_s = (stamped - arrived).total_seconds()
        estimate_s = self.value_s
        live = offset_s >= (estimate_s or 0.0) - LIVE_S
        if not live and not self._is_steady(offset_s, arrived_s):
            return
        if estimate_s is not None and abs(offset_s - estimate_s) > JUMP_S:
            self._offsets.clear()
        self._offsets = [*self._offsets, offset_s][-SKEW_WINDOW:]

    def _is_steady(self, offset_s: float, arrived_s: float) -> bool:
        before = self._candidate
        if before is None or abs(offset_s - before[0]) > AGREE_S:
            self._candidate = (offset_s, arrived_s)
            return False
        return arrived_s - before[1] >= PACE_S

    def our_time(self, stamped: datetime) -> datetime:
        """Turn a station's time stamp into our wall clock."""
        try:
            return stamped - timedelta(seconds=self.value_s or 0.0)
        except OverflowError:
            return stamped

    def _follow_ours(self, ours: datetime, ours_s: float) -> None:
        """Shift the estimate when our wall clock was moved: the station's was not."""
        ahead_s = ours.timestamp() - ours_s
        step_s = ahead_s - self._ahead_s if self._ahead_s is not None else 0.0
        self._ahead_s = ahead_s
        if abs(step_s) > STEP_S and self._offsets:
            self._offsets = [offset_s - step_s for offset_s in self._offsets]
            self._candidate = None

    def station_time(self, ours: datetime) -> datetime:
        """Turn our wall clock, read just now, into the station's."""
        if self._monotonic_s is not None:
            self._follow_ours(ours, self._monotonic_s())
        try:
            return ours + timedelta(seconds=self.value_s or 0.0)
        except OverflowError:
            return ours
