"""What a back office's charging profiles allow at a moment. Pure.

Source: OCPP 1.6 clauses 3.13 and 7.8-7.17, OCPP 2.0.1 K01-K03: of one purpose the highest stack level that
is valid counts; the maximum of the station, and the profile of the transaction or else the default,
count as a minimum.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum


class Purpose(Enum):
    """What a profile is for."""

    STATION_MAXIMUM = "station_maximum"
    DEFAULT = "default"
    TRANSACTION = "transaction"


class Kind(Enum):
    """From when a schedule counts."""

    ABSOLUTE = "absolute"
    DAILY = "daily"
    WEEKLY = "weekly"
    RELATIVE = "relative"
    """From the start of the transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From when on which limit counts."""

    start_s: float
    value: float
    """In the unit that the profile names: `is_watts`. [A or W]"""
    phases: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignProfile:
    """A profile as the back office sent it, in one form for all versions."""

    id: int
    evse: int
    """0: all EVSEs of the station."""
    purpose: Purpose
    level: int
    kind: Kind
    is_watts: bool
    periods: tuple[Period, ...]
    start_at: datetime | None = None
    duration_s: float | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    transaction: str | None = None
    """Of a transaction profile: our id; None: the one that runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The EVSE that is asked about."""

    number: int
    phases: int
    voltage_v: float
    evses: int
    """On its station: they share the station's maximum."""
    transaction: str | None = None
    started_at: datetime | None = None


def limit_at_a(profiles: Iterable[ForeignProfile], place: Place, at: datetime) -> float | None:
    """Return the limit per phase; None: nothing limits. [A]."""
    known = [p for p in profiles if p.evse in (0, place.number)]
    most = _best(known, Purpose.STATION_MAXIMUM, place, at)
    session = _best(known, Purpose.TRANSACTION, place, at)
    if session is None:
        session = _best(known, Purpose.DEFAULT, place, at)
    if most is not None:
        most /= place.evses
    limits = [x for x in (most, session) if x is not None]
    return min(limits, default=None)


def change_times(
    profiles: Iterable[ForeignProfile], place: Place, begin: datetime, ahead_s: float
) -> list[float]:
    """Return the seconds after `begin` at which the limit may change, 0 among them. [s]."""
    found = {0.0}
    for profile in profiles:
        for edge in _edges(profile, place, begin, ahead_s):
            after_s = (edge - begin).total_seconds()
            if 0 < after_s < ahead_s:
                found.add(after_s)
    return sorted(found)


def _edges(
    profile: ForeignProfile, place: Place, begin: datetime, ahead_s: float
) -> Iterable[datetime]:
    for at in (profile.valid_from, profile.valid_to):
        if at is not None:
            yield at
    end = begin + timedelta(seconds=ahead_s)
    cycle = {Kind.DAILY: timedelta(days=1), Kind.WEEKLY: timedelta(days=7)}.get(profile.kind)
    origin = _origin(profile, place, begin)
    while origin is not None and origin < end:
        for period in profile.periods:
            yield origin + timedelta(seconds=period.start_s)
        if profile.duration_s is not None:
            yield origin + timedelta(seconds=profile.duration_s)
        origin = origin + cycle if cycle is not None else None


def _best(
    profiles: list[ForeignProfile], purpose: Purpose, place: Place, at: datetime
) -> float | None:
    """Return what the highest valid level allows; one EVSE's own profile beats that of all."""
    candidates = sorted(
        (p for p in profiles if p.purpose is purpose and _counts(p, place, at)),
        key=lambda p: (p.evse != 0, p.level),
        reverse=True,
    )
    for profile in candidates:
        limit_a = _limit_a(profile, place, at)
        if limit_a is not None:
            return limit_a
    return None


def _counts(profile: ForeignProfile, place: Place, at: datetime) -> bool:
    if profile.valid_from is not None and at < profile.valid_from:
        return False
    if profile.valid_to is not None and at >= profile.valid_to:
        return False
    if profile.purpose is not Purpose.TRANSACTION:
        return True
    return place.transaction is not None and profile.transaction in (None, place.transaction)


def _origin(profile: ForeignProfile, place: Place, at: datetime) -> datetime | None:
    """Return when the schedule that counts at a moment began."""
    if profile.kind is Kind.RELATIVE:
        return place.started_at
    if profile.start_at is None:
        return profile.valid_from if profile.valid_from is not None else place.started_at or at
    cycle_s = {Kind.DAILY: 86_400.0, Kind.WEEKLY: 604_800.0}.get(profile.kind)
    if cycle_s is None:
        return profile.start_at
    since_s = (at - profile.start_at).total_seconds()
    return profile.start_at + timedelta(seconds=since_s // cycle_s * cycle_s)


def _limit_a(profile: ForeignProfile, place: Place, at: datetime) -> float | None:
    origin = _origin(profile, place, at)
    if origin is None:
        # Nobody knows when the transaction began: the least of the schedule is never too much.
        return _in_amperes(profile, min(profile.periods, key=lambda p: p.value), place)
    since_s = (at - origin).total_seconds()
    if since_s < 0 or (profile.duration_s is not None and since_s >= profile.duration_s):
        return None
    past = [p for p in profile.periods if p.start_s <= since_s]
    if not past:
        return None
    return _in_amperes(profile, max(past, key=lambda p: p.start_s), place)


def _in_amperes(profile: ForeignProfile, period: Period, place: Place) -> float:
    if not profile.is_watts:
        return max(0.0, period.value)
    phases = min(period.phases or place.phases, place.phases)
    return max(0.0, period.value / (place.voltage_v * phases))
