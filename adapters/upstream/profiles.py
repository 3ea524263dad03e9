"""The back office's charging profiles: read in both versions, kept, filtered, and shown again as sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from adapters.upstream.wire import Json
from controller.foreign_profiles import ForeignProfile, Kind, Period, Purpose
from controller.roaming import Document, DocumentQuery, DocumentStore
from controller.site import StationId

PURPOSES = {
    "ChargePointMaxProfile": Purpose.STATION_MAXIMUM,
    "ChargingStationMaxProfile": Purpose.STATION_MAXIMUM,
    "TxDefaultProfile": Purpose.DEFAULT,
    "TxProfile": Purpose.TRANSACTION,
}
MOST_PROFILES = 200
MOST_PERIODS = 1024


class BadProfileError(ValueError):
    """The profile cannot be used; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which profiles are meant. None: any."""

    id: int | None = None
    evse: int | None = None
    purpose: Purpose | None = None
    level: int | None = None

    def matches(self, profile: ForeignProfile) -> bool:
        """Tell whether a profile is meant."""
        return (
            self.id in (None, profile.id)
            and self.evse in (None, profile.evse)
            and self.purpose in (None, profile.purpose)
            and self.level in (None, profile.level)
        )


class ProfileShelf:
    """One station's profiles of the back office, in the store."""

    def __init__(self, store: DocumentStore, station: StationId) -> None:
        self._store = store
        self._station = station
        self._kind = profiles_query(station).kind
        self._kept: dict[int, tuple[ForeignProfile, Json]] = {}

    async def load(self) -> None:
        """Read what was kept over a restart."""
        for document in await self._store.documents(profiles_query(self._station)):
            body = json.loads(document.body)
            profile = read_profile(body["raw"], evse=body["evse"], transaction=body["transaction"])
            self._kept[profile.id] = (profile, body["raw"])

    def all(self) -> tuple[ForeignProfile, ...]:
        """Return what counts."""
        return tuple(profile for profile, _ in self._kept.values())

    def shown(self, wanted: Filter) -> list[tuple[int, Json]]:
        """Return EVSE and profile as sent, of those that are meant."""
        return [(p.evse, raw) for p, raw in self._kept.values() if wanted.matches(p)]

    async def put(
        self, raw: Json, *, evse: int, transaction: str | None, now: datetime
    ) -> ForeignProfile:
        """Keep a profile; the same id, or the same purpose, level and EVSE, is replaced.

        Raises:
            BadProfileError: It cannot be used, or there are too many.
        """
        profile = read_profile(raw, evse=evse, transaction=transaction)
        same = [
            p.id
            for p in self.all()
            if p.id == profile.id
            or (p.purpose, p.level, p.evse) == (profile.purpose, profile.level, profile.evse)
        ]
        if len(self._kept) - len(same) >= MOST_PROFILES:
            raise BadProfileError("too many profiles")
        for known in same:
            await self._drop(known)
        self._kept[profile.id] = (profile, raw)
        body = {"raw": raw, "evse": evse, "transaction": transaction}
        await self._store.put_document(
            Document(kind=self._kind, key=str(profile.id), body=json.dumps(body), updated_at=now)
        )
        return profile

    async def clear(self, wanted: Filter) -> int:
        """Remove what is meant; return how many."""
        gone = [p.id for p in self.all() if wanted.matches(p)]
        for known in gone:
            await self._drop(known)
        return len(gone)

    async def end(self, transaction: str) -> None:
        """Remove the profiles of a transaction that ended."""
        for profile in self.all():
            if profile.purpose is Purpose.TRANSACTION and profile.transaction == transaction:
                await self._drop(profile.id)

    async def _drop(self, profile: int) -> None:
        self._kept.pop(profile, None)
        await self._store.delete_document(self._kind, str(profile))


def profiles_query(station: StationId) -> DocumentQuery:
    """Return the query of a station's profiles."""
    return DocumentQuery(kind=f"upstream.profile.{station}", limit=MOST_PROFILES)


def read_profile(raw: Mapping[str, Any], *, evse: int, transaction: str | None) -> ForeignProfile:
    """Read a profile of either version.

    Raises:
        BadProfileError: A field is missing or makes no sense.
    """
    try:
        schedule = raw["chargingSchedule"]
        if isinstance(schedule, list):
            schedule = schedule[0]
        recurrency = raw.get("recurrencyKind")
        kind = {
            "Absolute": Kind.ABSOLUTE,
            "Relative": Kind.RELATIVE,
            "Recurring": Kind.WEEKLY if recurrency == "Weekly" else Kind.DAILY,
        }[raw["chargingProfileKind"]]
        periods = tuple(
            Period(
                start_s=float(p["startPeriod"]),
                value=float(p["limit"]),
                phases=p.get("numberPhases"),
            )
            for p in schedule["chargingSchedulePeriod"][:MOST_PERIODS]
        )
        duration = schedule.get("duration")
        return ForeignProfile(
            id=int(raw["chargingProfileId"] if "chargingProfileId" in raw else raw["id"]),
            evse=evse,
            purpose=PURPOSES[raw["chargingProfilePurpose"]],
            level=int(raw["stackLevel"]),
            kind=kind,
            is_watts=schedule["chargingRateUnit"] == "W",
            periods=periods,
            start_at=_time(schedule.get("startSchedule")),
            duration_s=None if duration is None else float(duration),
            valid_from=_time(raw.get("validFrom")),
            valid_to=_time(raw.get("validTo")),
            transaction=transaction,
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BadProfileError(f"the profile cannot be used: {error!r}"[:200]) from error


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
