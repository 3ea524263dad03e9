"""Smart charging on the line: the back office's requests are answered here and never reach a station."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from adapters.upstream.profiles import PURPOSES, BadProfileError, Filter, ProfileShelf
from adapters.upstream.wire import Json
from controller.decision import Plan
from controller.foreign_profiles import Place, change_times, limit_at_a
from controller.site import Evse, Site, StationId, evse_id

SMART = frozenset(
    {
        "SetChargingProfile",
        "ClearChargingProfile",
        "GetCompositeSchedule",
        "GetChargingProfiles",
    }
)
MOST_COMPOSITE_S = 7 * 86_400
MOST_PERIODS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request of the back office and what is known while it is answered."""

    payload: Json
    plan: Plan | None
    now: datetime


@dataclass(slots=True)
class ChargingDesk:
    """Answers for one station."""

    site: Site
    station: StationId
    protocol: str
    shelf: ProfileShelf
    began: dict[str, datetime] = field(default_factory=dict)
    """Our id of a transaction to its start, as the station said it."""

    @property
    def is_old(self) -> bool:
        """Tell whether the station speaks 1.6."""
        return self.protocol == "ocpp1.6"

    def evses(self) -> tuple[Evse, ...]:
        """Return the station's EVSEs."""
        built = self.site.stations.get(self.station)
        return built.evses if built is not None else ()

    def place(self, evse: Evse, plan: Plan | None) -> Place:
        """Return what a profile's evaluation needs to know of an EVSE."""
        status = plan.evses.get(evse.id) if plan is not None else None
        running = status.transaction if status is not None else None
        return Place(
            number=evse.number,
            phases=evse.phases,
            voltage_v=self.site.voltage_v,
            evses=max(1, len(self.evses())),
            transaction=running,
            started_at=self.began.get(running) if running is not None else None,
        )

    def limits_a(self, plan: Plan | None, now: datetime) -> dict[str, float | None]:
        """Return what the back office allows each EVSE now; None: it says nothing. [A]."""
        profiles = self.shelf.all()
        return {e.id: limit_at_a(profiles, self.place(e, plan), now) for e in self.evses()}

    async def set_profile(self, asked: Asked, *, transaction: str | None) -> Json:
        """Keep a profile.

        Args:
            asked: The request.
            transaction: Our id of the transaction that the profile names; None: none.
        """
        payload = asked.payload
        raw = payload.get("csChargingProfiles" if self.is_old else "chargingProfile") or {}
        number = int(payload.get("connectorId" if self.is_old else "evseId", 0))
        if number and number not in {e.number for e in self.evses()}:
            return {"status": "Rejected"}
        try:
            await self.shelf.put(raw, evse=number, transaction=transaction, now=asked.now)
        except BadProfileError:
            return {"status": "Rejected"}
        return {"status": "Accepted"}

    async def clear(self, asked: Asked) -> Json:
        """Remove profiles; ours are not among them."""
        payload = asked.payload
        if self.is_old:
            wanted = Filter(
                id=payload.get("id"),
                evse=payload.get("connectorId"),
                purpose=PURPOSES.get(payload.get("chargingProfilePurpose", "")),
                level=payload.get("stackLevel"),
            )
        else:
            which = payload.get("chargingProfileCriteria") or {}
            wanted = Filter(
                id=payload.get("chargingProfileId"),
                evse=which.get("evseId"),
                purpose=PURPOSES.get(which.get("chargingProfilePurpose", "")),
                level=which.get("stackLevel"),
            )
        gone = await self.shelf.clear(wanted)
        return {"status": "Accepted" if gone else "Unknown"}

    def reports(self, payload: Json) -> list[Json]:
        """Return the ReportChargingProfiles messages that answer GetChargingProfiles (2.0.1)."""
        which = payload.get("chargingProfile") or {}
        ids = which.get("chargingProfileId") or [None]
        wanted = [
            Filter(
                id=profile,
                evse=payload.get("evseId"),
                purpose=PURPOSES.get(which.get("chargingProfilePurpose", "")),
                level=which.get("stackLevel"),
            )
            for profile in ids
        ]
        found = [shown for f in wanted for shown in self.shelf.shown(f)]
        return [
            {
                "requestId": payload.get("requestId", 0),
                "chargingLimitSource": "CSO",
                "evseId": evse,
                "chargingProfile": [raw],
                "tbc": index < len(found) - 1,
            }
            for index, (evse, raw) in enumerate(found)
        ]

    def composite(self, asked: Asked) -> Json:
        """Say what the EVSE may really take: the smaller of what we give and what they allow."""
        payload, now = asked.payload, asked.now
        number = int(payload.get("connectorId" if self.is_old else "evseId", 0))
        duration_s = max(0, min(int(payload.get("duration", 0)), MOST_COMPOSITE_S))
        chosen = [e for e in self.evses() if number in (0, e.number)]
        if not chosen or asked.plan is None:
            return {"status": "Rejected"}
        unit = payload.get("chargingRateUnit", "A")
        periods = self._periods(chosen, asked.plan, now, duration_s, unit)
        begin = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        schedule: Json = {
            "duration": duration_s,
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": periods,
        }
        if self.is_old:
            schedule["startSchedule"] = begin
            return {
                "status": "Accepted",
                "connectorId": number,
                "scheduleStart": begin,
                "chargingSchedule": schedule,
            }
        return {
            "status": "Accepted",
            "schedule": schedule | {"evseId": number, "scheduleStart": begin},
        }

    def _periods(
        self, chosen: list[Evse], plan: Plan, now: datetime, duration_s: float, unit: str
    ) -> list[Json]:
        profiles = self.shelf.all()
        places = {e.id: self.place(e, plan) for e in chosen}
        starts = sorted(
            {s for p in places.values() for s in change_times(profiles, p, now, duration_s)}
        )
        periods: list[Json] = []
        for start_s in starts[:MOST_PERIODS]:
            at = datetime.fromtimestamp(now.timestamp() + start_s, tz=now.tzinfo)
            total = 0.0
            for evse in chosen:
                allowed_a = limit_at_a(profiles, places[evse.id], at)
                status = plan.evses.get(evse_id(self.station, evse.number))
                given_a = status.setpoint_a if status is not None else evse.fallback_a
                limit_a = given_a if allowed_a is None else min(given_a, allowed_a)
                watts = limit_a * evse.phases * self.site.voltage_v
                total += watts if unit == "W" else limit_a
            period: dict[str, Any] = {"startPeriod": int(start_s), "limit": round(total, 1)}
            if not periods or periods[-1]["limit"] != period["limit"]:
                periods.append(period)
        return periods
