"""Charging profiles, independent of the OCPP version: the fallback, the lease above it, and weaker forms. Pure.

Set S (the rule): a permanent TxDefaultProfile at level 0 holds the fallback, a TxProfile that ends
by itself holds the limit. Set T (weak stations): the TxDefaultProfile itself holds the limit and
stays until replaced. Design facts 1.7; OCPP 1.6 section 3.13, OCPP 2.0.1 block K.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import Any

from adapters.ocpp.clocks import wire_time
from adapters.ocpp.quirks import Quirks
from adapters.ocpp.translation import EvseWiring

START_BEFORE_S = 60
"""The schedule starts in the past, so that no station waits for its start. [s]"""
HIGHEST_LIMIT_A = 1000.0
STEP_A = 0.1
HIGHEST_LEVEL = 9
"""Levels above would collide in the profile ids."""


class RateUnit(Enum):
    """ChargingRateUnit."""

    A = "A"
    W = "W"


class Purpose(Enum):
    """The purposes we use. External constraints are not ours to send (2.0.1 K03.FR.08)."""

    TX_DEFAULT = "TxDefaultProfile"
    TX = "TxProfile"

    @property
    def digit(self) -> int:
        """Its digit in profile ids."""
        return 1 if self is Purpose.TX_DEFAULT else 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileForm:
    """One of the ways to tell a station a limit; stations differ in which they take."""

    purpose: Purpose = Purpose.TX
    unit: RateUnit = RateUnit.A
    level: int = 1
    is_leased: bool = True
    """Whether it ends by itself: `validTo` and `duration`, kind Absolute."""
    is_relative: bool = False
    """Kind Relative. It counts from plug-in, so it can never carry a lease."""
    names_transaction: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingProfile:
    """One profile with one period, ready to be written in either version."""

    id: int
    connector: int
    """Connector of 1.6, EVSE of 2.0.1; 0 is the station."""
    purpose: Purpose
    level: int
    unit: RateUnit
    limit: float
    """Per phase in A, or in total in W."""
    number_phases: int | None = None
    """Only with W: a station divides by it. With A it might switch relays (design facts 1.1)."""
    starts_at: datetime | None = None
    """The station's clock; None: kind Relative."""
    valid_to: datetime | None = None
    duration_s: int | None = None
    transaction: str | None = None


def profile_id(connector: int, purpose: Purpose, level: int) -> int:
    """Return the one id ever used for a connector, purpose and level, so that it always replaces."""
    return connector * 100 + purpose.digit * 10 + level


def round_down_a(limit_a: float) -> float:
    """Round down to what a schedule can say: 0.1 A.

    Raises:
        ValueError: Not a number, negative or above 1000 A; no schema would stop it.

    Source: OCPP 1.6 SetChargingProfile schema, limit multipleOf 0.1.
    """
    if not 0.0 <= limit_a <= HIGHEST_LIMIT_A:
        raise ValueError(f"{limit_a} A is no limit")
    return math.floor(limit_a * 10.0 + 1e-6) / 10.0


def profile_for(
    form: ProfileForm,
    *,
    connector: int,
    limit_a: float,
    wiring: EvseWiring,
    station_now: datetime,
    lease_s: float = 0.0,
    transaction: str | None = None,
    quirks: Quirks | None = None,
) -> ChargingProfile:
    """Build the profile that says a limit in a form.

    Args:
        form: How.
        connector: Where.
        limit_a: Per phase. [A]
        wiring: Phases and nominal voltage, for W.
        station_now: Now, by the station's clock: it is the station that judges `validTo`.
        lease_s: How long a leased form holds. [s]
        transaction: Id of the running transaction; only a TxProfile carries it.
        quirks: Whether it may name phases, and its step.

    Raises:
        ValueError: The limit is none.

    Source: OCPP 1.6 section 7.8, errata 3.65/3.66; OCPP 2.0.1 K01.FR.36/37, K02.FR.08.
    """
    quirks = quirks or Quirks()
    limit_a = round_down_a(limit_a)
    if quirks.step_a > STEP_A:
        limit_a = round_down_a(math.floor(limit_a / quirks.step_a + 1e-6) * quirks.step_a)
    in_watts = form.unit is RateUnit.W
    watts = float(math.floor(limit_a * wiring.w_per_a + 1e-6))
    is_dc = wiring.dc_w_per_a is not None
    now = station_now.replace(microsecond=0)
    profile = ChargingProfile(
        id=profile_id(connector, form.purpose, form.level),
        connector=connector,
        purpose=form.purpose,
        level=form.level,
        unit=form.unit,
        limit=watts if in_watts else limit_a,
        number_phases=wiring.phases if in_watts and quirks.sends_phases and not is_dc else None,
        starts_at=None if form.is_relative else now - timedelta(seconds=START_BEFORE_S),
    )
    if form.purpose is Purpose.TX and form.names_transaction:
        profile = replace(profile, transaction=transaction)
    if form.is_leased:
        whole_s = int(lease_s)
        profile = replace(
            profile,
            valid_to=now + timedelta(seconds=whole_s),
            duration_s=START_BEFORE_S + whole_s,
        )
    return profile


def default_forms(
    units: frozenset[RateUnit] | None, *, is_relative: bool = False
) -> tuple[ProfileForm, ...]:
    """Return the forms of the permanent TxDefaultProfile, the best first.

    Args:
        units: What the station says it takes; None: it does not say, so both are tried.
        is_relative: It is known to take kind Relative only.
    """
    absolute = ProfileForm(purpose=Purpose.TX_DEFAULT, level=0, is_leased=False)
    forms = [replace(absolute, unit=unit) for unit in _unit_order(units)]
    if is_relative:
        return tuple(replace(form, is_relative=True) for form in forms)
    return (*forms, replace(forms[0], is_relative=True))


def known_forms(forms: tuple[ProfileForm, ...], quirks: Quirks) -> tuple[ProfileForm, ...]:
    """Return the forms that a model is known to take, in their order; all when none is left."""
    if not (quirks.is_relative or quirks.refuses_tx_profile) and quirks.names_transaction:
        return forms
    fitting = tuple(
        form
        for form in forms
        if (form.is_relative or not quirks.is_relative)
        and (form.purpose is Purpose.TX_DEFAULT or not quirks.refuses_tx_profile)
    )
    if not quirks.names_transaction:
        fitting = tuple(replace(form, names_transaction=False) for form in fitting)
    return tuple(dict.fromkeys(fitting)) or forms


class LeaseStanding(Enum):
    """Whether a limit may be a lease at all, at one EVSE and moment."""

    POSSIBLE = "possible"
    UNPROVEN = "unproven"
    """The model is known not to let a lease end by itself."""
    CLOCK_WRONG = "clock_wrong"
    """The station's clock is too far off to judge `validTo`."""
    NO_DEFAULT = "no_default"
    """The station refused the fallback: below the lease there is nothing, and its end means no limit."""


@lru_cache(maxsize=64)
def limit_forms(
    units: frozenset[RateUnit] | None,
    highest_level: int | None,
    *,
    standing: LeaseStanding,
    transaction_may_be_left_out: bool,
) -> tuple[ProfileForm, ...]:
    """Return the forms of a limit for a running transaction, the best first.

    Where the clock is wrong, a permanent TxProfile goes first: it replaces the lease that may
    still be there, and it ends with the transaction.

    Args:
        units: What the station says it takes; None: unknown.
        highest_level: Its highest stack level; None: unknown. 0 means it knows one level only.
        standing: Whether leases are possible.
        transaction_may_be_left_out: 1.6 only; 2.0.1 K01.FR.03 demands the id.
    """
    order = _unit_order(units)
    level = 0 if highest_level == 0 else 1
    defaults = [
        ProfileForm(purpose=Purpose.TX_DEFAULT, unit=unit, level=0, is_leased=False)
        for unit in order
    ]
    permanent = ProfileForm(unit=order[0], level=level, is_leased=False)
    relative = replace(permanent, is_relative=True)
    if standing is LeaseStanding.NO_DEFAULT:
        return (permanent, relative)
    if highest_level == 0:
        return (*defaults, relative)
    if standing is LeaseStanding.UNPROVEN:
        return (*defaults, relative, permanent)
    if standing is LeaseStanding.CLOCK_WRONG:
        return (permanent, *defaults, relative)
    lease = ProfileForm(unit=order[0], level=1)
    leased = [replace(lease, unit=unit) for unit in order]
    leased.append(replace(lease, level=0))
    if transaction_may_be_left_out:
        leased.append(replace(lease, names_transaction=False))
    if highest_level is not None and highest_level > 1:
        leased.append(replace(lease, level=min(highest_level, HIGHEST_LEVEL)))
    return (*leased, *defaults, relative, permanent)


def _unit_order(units: frozenset[RateUnit] | None) -> tuple[RateUnit, ...]:
    if units is None or not units:
        return (RateUnit.A, RateUnit.W)
    return tuple(unit for unit in (RateUnit.A, RateUnit.W) if unit in units)


def profile_v16(profile: ChargingProfile) -> dict[str, Any]:
    """Write the SetChargingProfile request of OCPP 1.6 (section 6.43)."""
    schedule: dict[str, Any] = {
        "chargingRateUnit": profile.unit.value,
        "chargingSchedulePeriod": [_period(profile)],
    }
    body: dict[str, Any] = {
        "chargingProfileId": profile.id,
        "stackLevel": profile.level,
        "chargingProfilePurpose": profile.purpose.value,
        "chargingProfileKind": "Relative" if profile.starts_at is None else "Absolute",
        "chargingSchedule": schedule,
    }
    _add_times(profile, body, schedule)
    if profile.transaction is not None:
        body["transactionId"] = int(profile.transaction)
    return {"connectorId": profile.connector, "csChargingProfiles": body}


def profile_v201(profile: ChargingProfile) -> dict[str, Any]:
    """Write the SetChargingProfileRequest of OCPP 2.0.1 (K01)."""
    schedule: dict[str, Any] = {
        "id": profile.id,
        "chargingRateUnit": profile.unit.value,
        "chargingSchedulePeriod": [_period(profile)],
    }
    body: dict[str, Any] = {
        "id": profile.id,
        "stackLevel": profile.level,
        "chargingProfilePurpose": profile.purpose.value,
        "chargingProfileKind": "Relative" if profile.starts_at is None else "Absolute",
        "chargingSchedule": [schedule],
    }
    _add_times(profile, body, schedule)
    if profile.transaction is not None:
        body["transactionId"] = profile.transaction
    return {"evseId": profile.connector, "chargingProfile": body}


def _period(profile: ChargingProfile) -> dict[str, Any]:
    period: dict[str, Any] = {"startPeriod": 0, "limit": profile.limit}
    if profile.number_phases is not None:
        period["numberPhases"] = profile.number_phases
    return period


def _add_times(profile: ChargingProfile, body: dict[str, Any], schedule: dict[str, Any]) -> None:
    if profile.starts_at is not None:
        schedule["startSchedule"] = wire_time(profile.starts_at)
    if profile.duration_s is not None:
        schedule["duration"] = profile.duration_s
    if profile.valid_to is not None:
        body["validTo"] = wire_time(profile.valid_to)
