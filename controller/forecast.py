"""What the building will draw: its own history, and how it behaves just now.

The median of the same quarter of an hour on like days, plus the deviation of the last hour fading
out, plus the spread that history had: robust against single odd days.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from zoneinfo import ZoneInfo

FADE_H = 2.0
"""How fast a deviation of now fades. [h]"""
SPREAD_QUANTILE = 0.8
LEAST_DAYS = 3
"""Fewer days of a kind: all days count as one kind."""
QUARTERS = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Mean current of one phase over a quarter of an hour."""

    at: datetime
    current_a: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A phase's typical day, by kind of day."""

    timezone: str
    typical_a: dict[tuple[int, int], float] = field(default_factory=dict)
    """By kind of day and quarter of an hour. [A]"""
    spread_a: dict[tuple[int, int], float] = field(default_factory=dict)
    """How far above the typical value it mostly stays. [A]"""

    def expected_a(
        self, at: datetime, *, now: datetime, now_a: float, most_a: float | None = None
    ) -> float:
        """Return a cautious expectation. [A].

        Args:
            at: For when.
            now: The present instant.
            now_a: What it draws now. [A]
            most_a: Its configured worst case; the expectation is never above. [A]
        """
        ahead_h = max(0.0, (at - now).total_seconds() / 3600)
        then, here = self._key(at), self._key(now)
        fade = 0.5 ** (ahead_h / FADE_H)
        if then not in self.typical_a:
            expected_a = now_a
        else:
            deviation_a = now_a - self.typical_a.get(here, now_a)
            spread_a = self.spread_a[then] * (1 - fade)
            expected_a = self.typical_a[then] + deviation_a * fade + spread_a
        return expected_a if most_a is None else min(expected_a, most_a)

    def _key(self, at: datetime) -> tuple[int, int]:
        kind, quarter = _place(at, self.timezone)
        return (kind, quarter) if (kind, quarter) in self.typical_a else (_ANY, quarter)


_WORKDAY, _SATURDAY, _SUNDAY, _ANY = range(4)


def profile_of(observations: Iterable[Observation], *, timezone: str) -> Profile:
    """Learn a phase's typical day; without observations it knows nothing and says so by being empty."""
    values: dict[tuple[int, int], list[float]] = {}
    for seen in observations:
        kind, quarter = _place(seen.at, timezone)
        values.setdefault((kind, quarter), []).append(seen.current_a)
        values.setdefault((_ANY, quarter), []).append(seen.current_a)
    enough = {k: v for k, v in values.items() if k[0] == _ANY or len(v) >= LEAST_DAYS}
    typical_a = {key: median(seen) for key, seen in enough.items()}
    return Profile(
        timezone=timezone,
        typical_a=typical_a,
        spread_a={k: max(0.0, _quantile(v) - typical_a[k]) for k, v in enough.items()},
    )


def _place(at: datetime, timezone: str) -> tuple[int, int]:
    local = at.astimezone(ZoneInfo(timezone))
    kind = _WORKDAY if local.weekday() < 5 else local.weekday() - 4
    return kind, local.hour * 4 + local.minute // 15


def _quantile(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(SPREAD_QUANTILE * len(ordered)))]
