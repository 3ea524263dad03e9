"""The commissioning drill: let a lease run out at a station, and watch whether it falls back by itself.

`Accepted` proves nothing: of five charger implementations one ignored `validTo` and one `duration`.
The drill never raises a limit. At an idle EVSE it lowers the default for a moment and reads the
composite schedule back; at a charging one it lets the lease in force end and looks at the current.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum
from typing import Any

from adapters.ocpp.capabilities import Capabilities
from adapters.ocpp.clocks import wire_time
from adapters.ocpp.dialect import Caller, CallFailed
from adapters.ocpp.intake import Intake
from adapters.ocpp.limiter import Limiter
from adapters.ocpp.profiles import ProfileForm, Purpose, RateUnit, profile_for
from adapters.ocpp.translation import DialectSettings
from controller.commands import Applied, SetLimit
from controller.ports import Clock
from controller.site import EvseId
from controller.transaction import TransactionId

LEASE_S = 20.0
FOLLOW_S = 15.0
"""After the lease's end the vehicle has so long to follow: signal 5 s, vehicle 5 s, a sample 5 s. [s]"""
SAME_A = 1.0
DRILL_LEVEL = 1


class Verdict(Enum):
    """What a drill has shown."""

    HOLDS = "holds"
    """The lease ended by itself."""
    FAILS = "fails"
    """The limit stayed: this model cannot protect the site alone."""
    UNCLEAR = "unclear"
    """Nothing could be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillResult:
    """The verdict and what was seen."""

    verdict: Verdict
    text: str


class Drill:
    """Drills one EVSE of a connected station."""

    def __init__(
        self,
        caller: Caller,
        *,
        intake: Intake,
        clock: Clock,
        settings: DialectSettings,
        capabilities: Capabilities,
        limiter: Limiter,
        wire: Any,
        lease_s: float = LEASE_S,
        follow_s: float = FOLLOW_S,
    ) -> None:
        self._caller = caller
        self._intake = intake
        self._clock = clock
        self._settings = settings
        self._capabilities = capabilities
        self._limiter = limiter
        self._wire = wire
        self._lease_s = lease_s
        self._follow_s = follow_s

    async def run(self, evse: EvseId) -> DrillResult:
        """Drill; takes as long as a lease and its following.

        Raises:
            CallFailed: The connection has ended.
        """
        transaction = self._intake.running(evse)
        limit_a = self._intake.limit_a(evse)
        fallback_a = self._intake.desk.fallback_a(evse) or 0.0
        if transaction is None:
            return await self._run_idle(evse, fallback_a)
        if limit_a is None or limit_a <= fallback_a + SAME_A:
            return _unclear(f"the limit in force is not above the fallback of {fallback_a:g} A")
        return await self._run_charging(evse, transaction, limit_a, fallback_a)

    # --- idle

    async def _run_idle(self, evse: EvseId, fallback_a: float) -> DrillResult:
        if fallback_a < SAME_A:
            return _unclear("the fallback is 0 A; drill while a vehicle charges")
        profile = profile_for(
            ProfileForm(purpose=Purpose.TX_DEFAULT, unit=self._unit(), level=DRILL_LEVEL),
            connector=_number(evse),
            limit_a=0.0,
            wiring=self._settings.wiring(evse),
            station_now=self._intake.skew.station_time(self._clock.now()),
            lease_s=self._lease_s,
            quirks=self._capabilities.quirks,
        )
        answer = await self._caller.call("SetChargingProfile", self._wire.profile(profile))
        if answer.get("status") != "Accepted":
            return _unclear(f"the station answered {answer.get('status')} to a second level")
        try:
            return await self._watch_idle(evse, fallback_a)
        finally:
            await self._clear(profile.id)

    async def _watch_idle(self, evse: EvseId, fallback_a: float) -> DrillResult:
        during_a = await self._composite_a(evse)
        if during_a is None or during_a > SAME_A:
            return _unclear("its composite schedule does not show the limit")
        await asyncio.sleep(self._lease_s + self._follow_s)
        after_a = await self._composite_a(evse)
        if after_a is None:
            return _unclear("its composite schedule shows nothing after the lease")
        if abs(after_a - fallback_a) <= SAME_A:
            return DrillResult(
                verdict=Verdict.HOLDS, text=f"0 A, then {after_a:g} A after {self._lease_s:g} s"
            )
        return DrillResult(
            verdict=Verdict.FAILS, text=f"{after_a:g} A after the lease, not {fallback_a:g} A"
        )

    async def _clear(self, profile: int) -> None:
        """Take the drill's own profile away, whatever came of it."""
        is_16 = self._caller.protocol == "ocpp1.6"
        try:
            await self._caller.call(
                "ClearChargingProfile", {"id" if is_16 else "chargingProfileId": profile}
            )
        except CallFailed:
            return

    async def _composite_a(self, evse: EvseId) -> float | None:
        """Return what the station says to hold now. [A]"""
        request = self._wire.composite(_number(evse), self._unit(), 60)
        try:
            answer = await self._caller.call(request.action, request.payload)
        except CallFailed as failed:
            if failed.kind == "closed":
                raise
            return None
        schedule = answer.get("chargingSchedule") or answer.get("schedule") or {}
        periods = schedule.get("chargingSchedulePeriod") or []
        if not periods or not isinstance(periods[0].get("limit"), int | float):
            return None
        limit = float(periods[0]["limit"])
        wiring = self._settings.wiring(evse)
        in_watts = schedule.get("chargingRateUnit") == "W"
        return limit / (wiring.voltage_v * wiring.phases) if in_watts else limit

    def _unit(self) -> RateUnit:
        form = self._capabilities.default_form
        return form.unit if form is not None else RateUnit.A

    # --- charging

    async def _run_charging(
        self, evse: EvseId, transaction: TransactionId, limit_a: float, fallback_a: float
    ) -> DrillResult:
        command = SetLimit(
            evse=evse,
            limit_a=limit_a,
            lease_s=self._lease_s,
            transaction=transaction,
            cause=f"lease drill at {wire_time(self._clock.now())}",
        )
        result = await self._limiter.apply(command)
        if not isinstance(result, Applied) or not result.self_expiring:
            return _unclear("it did not take a short lease")
        with self._limiter.no_renewal(evse):
            await asyncio.sleep(self._lease_s + self._follow_s)
            if not self._limiter.is_unrenewed(evse):
                return _unclear("the limit had to be lowered meanwhile")
        drawn_a = self._intake.drawn_a(evse)
        if drawn_a is None:
            return _unclear("it reported no current after the lease")
        if drawn_a <= fallback_a + SAME_A:
            return DrillResult(
                verdict=Verdict.HOLDS, text=f"{limit_a:g} A, then {drawn_a:g} A after the lease"
            )
        return DrillResult(
            verdict=Verdict.FAILS, text=f"still {drawn_a:g} A after the lease of {limit_a:g} A"
        )


def _unclear(text: str) -> DrillResult:
    return DrillResult(verdict=Verdict.UNCLEAR, text=text)


def _number(evse: EvseId) -> int:
    return int(evse.rpartition("/")[2])
