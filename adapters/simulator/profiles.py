"""Charging profiles as a station understands them; the same rules for OCPP 1.6 and 2.0.1.

Source: OCPP 1.6 edition 2, 3.13 and 5.16, with errata; OCPP 2.0.1 edition 3, block K.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from adapters.simulator.habits import SOUND, StationHabits

_DEFAULT_PHASES = 3


class Purpose(Enum):
    """What a profile limits."""

    MAX = "max"
    """ChargePointMaxProfile, ChargingStationMaxProfile: the whole station."""
    TX_DEFAULT = "tx_default"
    TX = "tx"


class Kind(Enum):
    """What a schedule's times count from."""

    ABSOLUTE = "Absolute"
    RECURRING = "Recurring"
    RELATIVE = "Relative"


RECURRENCE_S = {"Daily": 86_400.0, "Weekly": 604_800.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A step of a schedule."""

    start_s: float
    limit: float
    """In the unit of the schedule."""
    number_phases: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A charging profile. Times are seconds of the station's clock. [s]"""

    id: int
    evse: int
    """0: the whole station."""
    purpose: Purpose
    stack_level: int
    kind: Kind
    unit: str
    """`A` per phase, or `W` in total."""
    periods: tuple[Period, ...]
    start_s: float | None = None
    duration_s: float | None = None
    valid_from_s: float | None = None
    valid_to_s: float | None = None
    recurrence_s: float | None = None
    transaction: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)
    """As received, for reports."""

    def limit_a(
        self, now_s: float, tx_start_s: float | None, voltage_v: float, habits: StationHabits
    ) -> float | None:
        """Return the limit per phase that holds now; None: this profile says nothing. [A]"""
        if self.valid_from_s is not None and now_s < self.valid_from_s:
            return None
        if self.valid_to_s is not None and now_s >= self.valid_to_s and not habits.ignores_valid_to:
            return None
        offset_s = now_s - self._start_s(now_s, tx_start_s)
        if offset_s < 0:
            return None
        if (
            self.duration_s is not None
            and offset_s >= self.duration_s
            and not habits.ignores_duration
        ):
            return None
        current = [period for period in self.periods if period.start_s <= offset_s]
        return self._amperes(current[-1], voltage_v) if current else None

    def matches(
        self, *, evse: int | None, stack_level: int | None, purpose: Purpose | None
    ) -> bool:
        """Tell whether it meets criteria; None: any."""
        return (
            evse in (None, self.evse)
            and stack_level in (None, self.stack_level)
            and purpose in (None, self.purpose)
        )

    def edges_s(self, from_s: float, to_s: float, tx_start_s: float | None) -> Iterable[float]:
        """Yield every moment within a window at which this profile's limit may change."""
        start_s = self._start_s(from_s, tx_start_s)
        edges = [self.valid_from_s, self.valid_to_s]
        repeat_s = self.recurrence_s or float("inf")
        while start_s <= to_s:
            edges += [start_s + period.start_s for period in self.periods]
            if self.duration_s is not None:
                edges.append(start_s + self.duration_s)
            start_s += repeat_s
        return (edge for edge in edges if edge is not None and from_s < edge < to_s)

    def _start_s(self, now_s: float, tx_start_s: float | None) -> float:
        relative_s = now_s if tx_start_s is None else tx_start_s
        if self.kind is Kind.RELATIVE or self.start_s is None:
            return relative_s
        if self.kind is Kind.RECURRING and self.recurrence_s and now_s >= self.start_s:
            return now_s - (now_s - self.start_s) % self.recurrence_s
        return self.start_s

    def _amperes(self, period: Period, voltage_v: float) -> float:
        if self.unit == "A":
            return period.limit
        return period.limit / (voltage_v * (period.number_phases or _DEFAULT_PHASES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Whose limit is asked for."""

    evse: int
    rating_a: float
    tx_start_s: float | None = None
    """Start of its transaction by the station's clock; None: there is none. [s]"""
    sharing: int = 1
    """EVSEs of the station that share its maximum now."""


class ProfileStore:
    """The profiles that a station holds."""

    def __init__(self, *, voltage_v: float) -> None:
        self._voltage_v = voltage_v
        self.profiles: list[Profile] = []

    def add(self, profile: Profile) -> None:
        """Install a profile: it replaces one with its id, or with its EVSE, purpose and level."""
        self.profiles = [
            old for old in self.profiles if old.id != profile.id and not _same_slot(old, profile)
        ]
        self.profiles.append(profile)

    def clear(self, matches: Callable[[Profile], bool]) -> int:
        """Remove profiles and return how many there were."""
        kept = [profile for profile in self.profiles if not matches(profile)]
        removed = len(self.profiles) - len(kept)
        self.profiles = kept
        return removed

    def end_transaction(self, evse: int) -> None:
        """Forget the profiles of an EVSE's transaction."""
        self.clear(lambda p: p.purpose is Purpose.TX and p.evse == evse)

    def limit_a(self, demand: Demand, now_s: float, habits: StationHabits = SOUND) -> float:
        """Return what an EVSE may take per phase: its rating where no profile speaks. [A]"""
        if habits.ignores_limits:
            return demand.rating_a
        limits_a = [demand.rating_a]
        tx_a = None
        if demand.tx_start_s is not None:
            tx_a = self._highest(Purpose.TX, demand, now_s, habits)
        if tx_a is None:
            tx_a = self._highest(Purpose.TX_DEFAULT, demand, now_s, habits)
        if tx_a is not None:
            limits_a.append(tx_a)
        max_a = self._highest(Purpose.MAX, demand, now_s, habits)
        if max_a is not None:
            limits_a.append(max_a / max(1, demand.sharing))
        return max(0.0, min(limits_a))

    def composite(
        self, demand: Demand, now_s: float, duration_s: float, habits: StationHabits = SOUND
    ) -> tuple[Period, ...]:
        """Return the limits to expect, in amperes, from now on."""
        edges_s = {now_s}
        for profile in self.profiles:
            edges_s.update(profile.edges_s(now_s, now_s + duration_s, demand.tx_start_s))
        periods: list[Period] = []
        for edge_s in sorted(edges_s):
            limit_a = self.limit_a(demand, edge_s, habits)
            if not periods or periods[-1].limit != limit_a:
                periods.append(Period(start_s=edge_s - now_s, limit=limit_a))
        return tuple(periods)

    def _highest(
        self, purpose: Purpose, demand: Demand, now_s: float, habits: StationHabits
    ) -> float | None:
        """Return the limit of the highest valid level of a purpose."""
        candidates = [
            p for p in self.profiles if p.purpose is purpose and p.evse in (0, demand.evse)
        ]
        # At the same level the profile of the EVSE goes before that of the station.
        for profile in sorted(candidates, key=lambda p: (p.stack_level, p.evse), reverse=True):
            limit_a = profile.limit_a(now_s, demand.tx_start_s, self._voltage_v, habits)
            if limit_a is not None:
                return limit_a
        return None


def _same_slot(old: Profile, new: Profile) -> bool:
    return (old.purpose, old.stack_level, old.evse) == (new.purpose, new.stack_level, new.evse)
