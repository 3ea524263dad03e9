"""Carries out limits: tries the forms a station may take, remembers which one it took."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from adapters.ocpp.capabilities import Capabilities
from adapters.ocpp.dialect import Caller, CallFailed
from adapters.ocpp.dynamic import DynamicProfiles
from adapters.ocpp.intake import Intake
from adapters.ocpp.profiles import (
    ChargingProfile,
    LeaseStanding,
    ProfileForm,
    Purpose,
    default_forms,
    known_forms,
    limit_forms,
    profile_for,
    round_down_a,
)
from adapters.ocpp.translation import DialectSettings
from adapters.ocpp.writebudget import WriteBudget
from controller.commands import (
    Applied,
    CommandResult,
    NotConnected,
    Rejected,
    SetLimit,
    TimedOut,
)
from controller.ports import Clock
from controller.site import EvseId
from controller.station import FallbackConfirmed, LeaseMode, LeaseModeFound, ZeroLimit
from controller.transaction import TransactionId

log = structlog.get_logger(__name__)

TRIES = 3
"""Forms tried per command; further ones have to wait for the next command."""
SAME_A = 0.05
SKEW_PART = 4.0
"""A clock off by more than this part of the lease cannot judge `validTo` (facts 1.7)."""
UNSUPPORTED = ("NotImplemented", "NotSupported")
"""CALLERROR codes of a station without smart charging."""
NEVER_SENT = ("Superseded", "OutboxFull")
"""Codes of calls that were dropped while they waited."""
ZEROS_TO_LEARN = 2
REFUSALS_TO_DOUBT = 3
"""Commands in a row that a form which once worked has to be refused for, before weaker ones are tried."""


class Limiter:
    """Turns SetLimit into charging profiles. One per connection."""

    def __init__(
        self,
        caller: Caller,
        *,
        intake: Intake,
        clock: Clock,
        settings: DialectSettings,
        capabilities: Capabilities,
        write: Callable[[ChargingProfile], dict[str, Any]],
        transaction_may_be_left_out: bool,
        on_learned: Callable[[], None],
        dynamic: DynamicProfiles | None = None,
    ) -> None:
        self._caller = caller
        self._intake = intake
        self._clock = clock
        self._settings = settings
        self._capabilities = capabilities
        self._write = write
        self._transaction_may_be_left_out = transaction_may_be_left_out
        self._latest: dict[EvseId, SetLimit] = {}
        self._sent_a: dict[EvseId, float] = {}
        self._refused: dict[EvseId, tuple[TransactionId, set[ProfileForm]]] = {}
        self._refusals: dict[EvseId, int] = {}
        self._clock_is_wrong = False
        self._budget = WriteBudget()
        self._unrenewed: set[EvseId] = set()
        self._refused_zeros = 0
        self._on_learned = on_learned
        self._dynamic = dynamic

    async def apply(self, command: SetLimit) -> CommandResult:
        """Carry out one limit within the command timeout."""
        self._latest[command.evse] = command
        try:
            async with asyncio.timeout(self._settings.command_timeout_s):
                return await self._carry_out(command)
        except TimeoutError:
            return TimedOut()
        except CallFailed as failed:
            if failed.code in UNSUPPORTED:
                self.set_mode(LeaseMode.UNCONTROLLABLE)
            return result_of(failed)

    @contextmanager
    def no_renewal(self, evse: EvseId) -> Iterator[None]:
        """Let the lease in force run out: nothing is sent meanwhile but what lowers the limit."""
        self._unrenewed.add(evse)
        try:
            yield
        finally:
            self._unrenewed.discard(evse)

    def is_unrenewed(self, evse: EvseId) -> bool:
        """Tell whether nothing had to be sent since `no_renewal` began."""
        return evse in self._unrenewed

    def floor_a(self, evse: EvseId) -> float:
        """Return the smallest limit that is sent; 0 A is refused by some models, or means no limit. [A]"""
        can_pause = self._capabilities.zero_limit.can_pause
        return 0.0 if can_pause else self._settings.wiring(evse).min_a

    def set_mode(self, mode: LeaseMode) -> None:
        """Report how the station takes limits, when that is news."""
        if mode is not self._capabilities.lease_mode:
            self._capabilities.lease_mode = mode
            self._intake.desk.post(LeaseModeFound(station=self._intake.station, mode=mode))

    def hold_default(self, evse: EvseId, default_a: float) -> None:
        """Book and report what the station confirmed to hold as its default."""
        self._capabilities.defaults_a[evse] = default_a
        self._capabilities.refused_defaults.discard(evse)
        self._intake.desk.post(FallbackConfirmed(evse=evse, fallback_a=default_a))

    async def _carry_out(self, command: SetLimit) -> CommandResult:
        fallback_a = self._intake.desk.fallback_a(command.evse)
        if fallback_a is None:
            return Rejected(reason=f"{command.evse} is not in the site file")
        floor_a = self.floor_a(command.evse)
        fallback_a = max(fallback_a, floor_a)
        try:
            limit_a = round_down_a(command.limit_a)
        except ValueError as error:
            return Rejected(reason=str(error))
        if limit_a < floor_a:
            return Rejected(reason=f"this model takes no limit below {floor_a:g} A")
        if command.transaction is None:
            return await self._set_idle(command, limit_a, fallback_a)
        await self._intake.gate.passed(command.transaction)
        if self._intake.has_ended(command.transaction):
            return Rejected(reason="the transaction has ended")
        if command.evse in self._unrenewed:
            if limit_a >= (self._intake.limit_a(command.evse) or 0.0) - SAME_A:
                return NotConnected()
            self._unrenewed.discard(command.evse)
        if self._is_held_back(command.evse, limit_a):
            return NotConnected()
        key = self._capabilities.quirks.limit_key
        if key is not None:
            return await self._set_key(command, key, limit_a)
        return await self._set_running(command, command.transaction, limit_a, fallback_a)

    def _is_held_back(self, evse: EvseId, limit_a: float) -> bool:
        """Tell whether a raise has to wait because the day's writes are spent; lowering never does."""
        known_a = self._intake.limit_a(evse)
        if known_a is None or limit_a <= known_a + SAME_A:
            return False
        return not self._budget.may_raise(
            evse, self._clock.monotonic_s(), per_day=self._capabilities.quirks.writes_per_day
        )

    async def _set_key(self, command: SetLimit, key: str, limit_a: float) -> CommandResult:
        """Limit a model that follows a configuration key and no charging profile."""
        value = math.floor(limit_a + 1e-6)
        answer = await self._caller.call(
            "ChangeConfiguration",
            {"key": key, "value": str(value)},
            urgent=self._is_decrease(command.evse, limit_a),
            replaces=f"limit:{command.evse}",
        )
        status = str(answer.get("status", ""))
        if status != "Accepted":
            return Rejected(reason=status)
        self._settle(command.evse, limit_a)
        self.hold_default(command.evse, limit_a)
        self.set_mode(LeaseMode.PERMANENT)
        return Applied(self_expiring=False)

    # --- without a transaction

    async def _set_idle(
        self, command: SetLimit, limit_a: float, fallback_a: float
    ) -> CommandResult:
        """Lower or restore the default of an EVSE without a transaction; it can hold no lease."""
        if limit_a > fallback_a + SAME_A:
            return Rejected(reason="no transaction: only the fallback or less can be set")
        held_a = self._capabilities.defaults_a.get(command.evse)
        if held_a is not None and abs(held_a - limit_a) <= SAME_A:
            return Applied(self_expiring=False)
        result = await self._set_default(command, limit_a)
        if isinstance(result, Applied):
            self._settle(command.evse, limit_a)
        return result

    async def _set_default(self, command: SetLimit, limit_a: float) -> CommandResult:
        known = self._capabilities.default_form
        forms = (
            (known,)
            if known is not None
            else default_forms(
                self._capabilities.units, is_relative=self._capabilities.quirks.is_relative
            )
        )
        reason = ""
        for form in forms[:TRIES]:
            if self._latest[command.evse] is not command:
                return NotConnected()
            reason = await self._try(form, command, limit_a)
            if not reason:
                self._capabilities.default_form = form
                self.hold_default(command.evse, limit_a)
                return Applied(self_expiring=False)
        return Rejected(reason=reason)

    # --- with a transaction

    async def _set_running(
        self, command: SetLimit, transaction: TransactionId, limit_a: float, fallback_a: float
    ) -> CommandResult:
        """Try the forms in turn; a newer command for the EVSE ends the attempt at once."""
        refused = self._refused_forms(command.evse, transaction)
        forms = self._forms(command, refused)
        reason = "refused in every form"
        for form in forms[:TRIES]:
            if self._latest[command.evse] is not command:
                return NotConnected()
            if self._intake.has_ended(transaction):
                return Rejected(reason="the transaction has ended")
            reason = await self._try(form, command, limit_a)
            if not reason:
                return await self._accepted(form, command, limit_a, fallback_a)
            refused.add(form)
        if limit_a == 0.0:
            self._learn_zero()
        self._count_refusal(command.evse, refused, is_last=len(forms) <= TRIES)
        return Rejected(reason=reason)

    def _learn_zero(self) -> None:
        """Conclude that 0 A is refused where other limits are taken, and 0 A was refused twice."""
        self._refused_zeros += 1
        takes_others = self._capabilities.limit_form is not None
        if takes_others and self._refused_zeros >= ZEROS_TO_LEARN:
            log.warning("station.refuses_zero", station=self._intake.station)
            self._capabilities.zero_limit = ZeroLimit.REFUSED
            self._on_learned()

    def _refused_forms(self, evse: EvseId, transaction: TransactionId) -> set[ProfileForm]:
        """Return the forms refused in this transaction; another transaction is another chance."""
        known = self._refused.get(evse)
        if known is None or known[0] != transaction:
            known = (transaction, set())
            self._refused[evse] = known
        return known[1]

    def _forms(self, command: SetLimit, refused: set[ProfileForm]) -> tuple[ProfileForm, ...]:
        """Return the forms to try, the one that worked last first.

        A form that once worked is not given up for one refusal: the transaction may just be over.
        """
        capabilities = self._capabilities
        forms = limit_forms(
            capabilities.units,
            self._level(),
            standing=self._standing(command),
            transaction_may_be_left_out=self._transaction_may_be_left_out,
        )
        forms = known_forms(forms, capabilities.quirks)
        known = capabilities.limit_form
        if known in forms and known is not None:
            if known.is_leased and self._refusals.get(command.evse, 0) < REFUSALS_TO_DOUBT:
                forms = tuple(f for f in forms if f.is_leased)
                return (known, *(f for f in forms if f != known and f not in refused))
            return (known, *(f for f in forms if f != known and f not in refused))
        return tuple(f for f in forms if f not in refused)

    def _level(self) -> int | None:
        """Return the highest level; a station that holds one profile only counts as one level."""
        most = self._capabilities.most_profiles
        return 0 if most is not None and most < 2 else self._capabilities.highest_level

    def _standing(self, command: SetLimit) -> LeaseStanding:
        skew_s = self._intake.skew.value_s or 0.0
        is_wrong = abs(skew_s) > command.lease_s / SKEW_PART
        if is_wrong != self._clock_is_wrong:
            self._clock_is_wrong = is_wrong
            event = "station.clock_wrong" if is_wrong else "station.clock_right"
            log.warning(event, station=self._intake.station, skew_s=round(skew_s, 1))
        if command.evse in self._capabilities.refused_defaults:
            return LeaseStanding.NO_DEFAULT
        if not self._capabilities.may_lease:
            return LeaseStanding.UNPROVEN
        return LeaseStanding.CLOCK_WRONG if is_wrong else LeaseStanding.POSSIBLE

    async def _try(self, form: ProfileForm, command: SetLimit, limit_a: float) -> str:
        """Send one profile.

        Returns:
            Why it was refused; empty when it was accepted.

        Raises:
            CallFailed: There was no answer to judge by.
        """
        evse = command.evse
        place = int(evse.rpartition("/")[2])
        if form.purpose is Purpose.TX_DEFAULT:
            place = self._capabilities.default_places.get(evse, place)
        profile = profile_for(
            form,
            connector=place,
            limit_a=limit_a,
            wiring=self._settings.wiring(evse),
            station_now=self._intake.skew.station_time(self._clock.now()),
            lease_s=command.lease_s,
            transaction=command.transaction,
            quirks=self._capabilities.quirks,
        )
        urgent = self._is_decrease(evse, limit_a)
        self._sent_a[evse] = max(limit_a, self._sent_a.get(evse, 0.0))
        if form.is_leased and await self._try_dynamic(profile, command, limit_a, urgent=urgent):
            return ""
        try:
            answer = await self._caller.call(
                "SetChargingProfile",
                self._write(profile),
                urgent=urgent,
                replaces=f"limit:{evse}",
            )
        except CallFailed as failed:
            if failed.kind != "error" or failed.code in UNSUPPORTED:
                raise
            return f"{failed.code} {failed.description}".strip()
        status = str(answer.get("status", ""))
        if status == "Accepted":
            return ""
        info = answer.get("statusInfo") or {}
        return " ".join(part for part in (status or "no status", info.get("reasonCode")) if part)

    async def _try_dynamic(
        self, profile: ChargingProfile, command: SetLimit, limit_a: float, *, urgent: bool
    ) -> bool:
        """Change the limit in place where that is safe, else set a dynamic profile anew.

        Returns:
            False: the station takes none; it is asked for no other on this connection.
        """
        dynamic, evse, now_s = self._dynamic, command.evse, self._clock.monotonic_s()
        if dynamic is None or not self._capabilities.takes_dynamic:
            return False
        fallback_a = self._intake.desk.fallback_a(evse) or 0.0
        may_update = limit_a >= fallback_a - SAME_A and dynamic.may_update(
            evse, profile, lease_s=command.lease_s, now_s=now_s
        )
        if may_update and await dynamic.update(evse, profile, urgent=urgent):
            return True
        try:
            answer = await self._caller.call(
                "SetChargingProfile",
                dynamic.write(profile),
                urgent=urgent,
                replaces=f"limit:{evse}",
            )
        except CallFailed as failed:
            if failed.kind != "error":
                raise
            answer = {}
        if answer.get("status") == "Accepted":
            dynamic.hold(evse, profile, until_s=now_s + command.lease_s)
            return True
        self._capabilities.takes_dynamic = False
        return False

    def _is_decrease(self, evse: EvseId, limit_a: float) -> bool:
        """Whether the limit is below all that may still be in force; then it goes first."""
        sent_a = self._sent_a.get(evse)
        if sent_a is None:
            return limit_a <= (self._intake.desk.fallback_a(evse) or 0.0) + SAME_A
        return limit_a < sent_a - SAME_A

    async def _accepted(
        self, form: ProfileForm, command: SetLimit, limit_a: float, fallback_a: float
    ) -> CommandResult:
        """Book an accepted limit; a lease wants the fallback below it, not an old permanent limit."""
        if self._standing(command) in (LeaseStanding.POSSIBLE, LeaseStanding.UNPROVEN):
            self._capabilities.limit_form = form
        self._budget.count(command.evse, self._clock.monotonic_s())
        self._refusals[command.evse] = 0
        self._settle(command.evse, limit_a)
        if not form.is_leased:
            if form.purpose is Purpose.TX_DEFAULT:
                self.hold_default(command.evse, limit_a)
            self.set_mode(LeaseMode.PERMANENT)
            return Applied(self_expiring=False)
        held_a = self._capabilities.defaults_a.get(command.evse)
        is_above = held_a is not None and held_a > fallback_a + SAME_A
        if is_above and not await self._restore(command, fallback_a):
            return Applied(self_expiring=False)
        self.set_mode(self._capabilities.leased_mode)
        return Applied(self_expiring=True)

    async def _restore(self, command: SetLimit, fallback_a: float) -> bool:
        """Put the fallback back below an accepted lease; a failure here never undoes the lease."""
        try:
            return isinstance(await self._set_default(command, fallback_a), Applied)
        except CallFailed:
            return False

    def _settle(self, evse: EvseId, limit_a: float) -> None:
        self._sent_a[evse] = limit_a
        self._intake.set_limit(evse, limit_a)

    def _count_refusal(self, evse: EvseId, refused: set[ProfileForm], *, is_last: bool) -> None:
        self._refusals[evse] = self._refusals.get(evse, 0) + 1
        if not is_last:
            return
        refused.clear()
        known = self._capabilities.limit_form
        if known is None or self._refusals[evse] > REFUSALS_TO_DOUBT:
            self.set_mode(LeaseMode.UNCONTROLLABLE)


def result_of(failed: CallFailed) -> CommandResult:
    """Turn a failed CALL into a result; where it may have been taken, that is what is said."""
    match failed.kind:
        case "error":
            return Rejected(reason=f"{failed.code} {failed.description}".strip())
        case "closed" if failed.code in NEVER_SENT:
            return NotConnected()
        case "timeout" | "closed" | "invalid":
            return TimedOut()
