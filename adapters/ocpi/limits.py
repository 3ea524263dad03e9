"""Partners' charging profiles and drivers' preferences: wishes that can only lower.

Source: OCPI 2.2.1 `mod_charging_profiles`, `mod_sessions` (charging preferences).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from adapters.ocpi.control import ControlRoom
from adapters.ocpi.ledger import SessionLedger
from adapters.ocpi.models.commands import (
    ActiveChargingProfile,
    ChargingProfile,
    ChargingProfilePeriod,
    ChargingProfileResponseType,
)
from adapters.ocpi.models.sessions import ChargingPreferences, ChargingPreferencesResponse
from adapters.ocpi.partners import Partner
from controller.ports import Clock
from controller.roaming import Document, DocumentQuery, DocumentStore
from controller.site import Evse, EvseId, Site

KIND = "ocpi.profile"
LEAST_APART = timedelta(seconds=30)
"""A session's profile is taken at most so often; stations take only so many limits."""
PROFILE_TYPES = frozenset({"CHEAP", "FAST", "GREEN", "REGULAR"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A profile on a running session."""

    evse: EvseId
    transaction: str
    partner: str
    profile: ChargingProfile
    begin: datetime


class Limits:
    """Keeps profiles and applies their present period, cycle after cycle."""

    def __init__(
        self,
        *,
        site: Site,
        documents: DocumentStore,
        ledger: SessionLedger,
        room: ControlRoom,
        clock: Clock,
    ) -> None:
        self._site = site
        self._documents = documents
        self._ledger = ledger
        self._room = room
        self._clock = clock
        self._applied: set[EvseId] = set()

    async def put(
        self, partner: Partner, session_id: str, profile: ChargingProfile
    ) -> ChargingProfileResponseType:
        """Take a profile for a session of the partner's customer."""
        transaction = await self._ledger.transaction_of(partner.id, session_id)
        if transaction is None:
            return ChargingProfileResponseType.UNKNOWN_SESSION
        now = self._clock.now()
        before = await self._documents.document(KIND, session_id)
        if before is not None and now - before.updated_at < LEAST_APART:
            return ChargingProfileResponseType.TOO_OFTEN
        body = {
            "evse": transaction.evse,
            "transaction": transaction.id,
            "partner": partner.id,
            "profile": profile.as_json(),
            "begin": (profile.start_date_time or now).isoformat(),
        }
        await self._documents.put_document(
            Document(kind=KIND, key=session_id, body=json.dumps(body), updated_at=now)
        )
        await self.apply()
        return ChargingProfileResponseType.ACCEPTED

    async def clear(self, partner: Partner, session_id: str) -> ChargingProfileResponseType:
        """Take a profile away."""
        transaction = await self._ledger.transaction_of(partner.id, session_id)
        found = await self._documents.document(KIND, session_id)
        if transaction is None:
            return ChargingProfileResponseType.UNKNOWN_SESSION
        if found is None:
            return ChargingProfileResponseType.REJECTED
        await self._documents.delete_document(KIND, session_id)
        await self.apply()
        return ChargingProfileResponseType.ACCEPTED

    async def active(self, partner: Partner, session_id: str) -> ActiveChargingProfile | None:
        """Say what a session may take now; None: there is no such session."""
        transaction = await self._ledger.transaction_of(partner.id, session_id)
        plan = self._room.plan()
        status = plan.evses.get(transaction.evse) if plan and transaction else None
        if status is None:
            return None
        now = self._clock.now()
        period = ChargingProfilePeriod(
            start_period=0, limit=Decimal(str(round(status.setpoint_a, 1)))
        )
        return ActiveChargingProfile(
            start_date_time=now,
            charging_profile=ChargingProfile(
                start_date_time=now, charging_rate_unit="A", charging_profile_period=(period,)
            ),
        )

    async def apply(self) -> None:
        """Set what counts now, and lift what ended with its session."""
        now = self._clock.now()
        wanted: dict[EvseId, tuple[float | None, str]] = {}
        for document in await self._documents.documents(DocumentQuery(kind=KIND, limit=5000)):
            held = _held(document.body)
            evse = self._site.evse(held.evse)
            if evse is None or not self._runs(held):
                await self._documents.delete_document(KIND, document.key)
                wanted.setdefault(held.evse, (None, held.partner))
                continue
            limit_a = limit_now_a(held, now, evse=evse, voltage_v=self._site.voltage_v)
            wanted[held.evse] = (limit_a, held.partner)
        for gone in self._applied - wanted.keys():
            wanted[gone] = (None, "roaming")
        for evse_id, (limit, actor) in wanted.items():
            if self._site.evse(evse_id) is not None:
                await self._room.limit(evse_id, limit, f"ocpi:{actor}")
        self._applied = {e for e, (limit, _) in wanted.items() if limit is not None}

    async def prefer(
        self, partner: Partner, session_id: str, wishes: ChargingPreferences
    ) -> ChargingPreferencesResponse | None:
        """Pass a driver's wishes to the planner; None: there is no such session."""
        transaction = await self._ledger.transaction_of(partner.id, session_id)
        if transaction is None:
            return None
        if wishes.profile_type not in PROFILE_TYPES:
            return ChargingPreferencesResponse.PROFILE_TYPE_NOT_SUPPORTED
        if wishes.profile_type in ("CHEAP", "GREEN"):
            if wishes.departure_time is None:
                return ChargingPreferencesResponse.DEPARTURE_REQUIRED
            if wishes.energy_need is None:
                return ChargingPreferencesResponse.ENERGY_NEED_REQUIRED
        departure = wishes.departure_time
        if departure is not None and departure <= self._clock.now():
            return ChargingPreferencesResponse.NOT_POSSIBLE
        if wishes.energy_need is not None and not 0 <= wishes.energy_need <= 1000:
            return ChargingPreferencesResponse.NOT_POSSIBLE
        need_wh = None if wishes.energy_need is None else float(wishes.energy_need * 1000)
        await self._room.prefer(transaction.evse, departure, need_wh, f"ocpi:{partner.id}")
        return ChargingPreferencesResponse.ACCEPTED

    def _runs(self, held: Held) -> bool:
        plan = self._room.plan()
        if plan is None:
            return True  # right after a start nothing is known yet; the limit stays
        status = plan.evses.get(held.evse)
        return status is not None and status.transaction == held.transaction


def limit_now_a(held: Held, now: datetime, *, evse: Evse, voltage_v: float) -> float | None:
    """Return a profile's limit of this moment per phase; None: it does not count now. [A]."""
    since_s = (now - held.begin).total_seconds()
    duration_s = held.profile.duration
    if since_s < 0 or (duration_s is not None and since_s >= duration_s):
        return None
    past = [p for p in held.profile.charging_profile_period if p.start_period <= since_s]
    if not past:
        return None
    limit = float(max(past, key=lambda p: p.start_period).limit)
    if held.profile.charging_rate_unit == "W":
        limit /= voltage_v * evse.phases
    return max(0.0, limit)


def _held(body: str) -> Held:
    data = json.loads(body)
    return Held(
        evse=EvseId(data["evse"]),
        transaction=data["transaction"],
        partner=data["partner"],
        profile=ChargingProfile.model_validate(data["profile"]),
        begin=datetime.fromisoformat(data["begin"]).astimezone(UTC),
    )
