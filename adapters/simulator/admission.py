"""Whether a station takes a charging profile."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.simulator.habits import StationHabits
from adapters.simulator.outlet import Outlet
from adapters.simulator.profiles import Kind, Profile, ProfileStore, Purpose

STACK_LEVEL_MAX = 8
PERIODS_MAX = 24
PROFILES_MAX = 16


def refusal(
    profile: Profile,
    *,
    outlets: Mapping[int, Outlet],
    store: ProfileStore,
    habits: StationHabits,
) -> str | None:
    """Return why a profile is not taken; None: it is.

    Args:
        profile: What the controller sent.
        outlets: EVSEs by number.
        store: What is installed.
        habits: Defects of the station.
    """
    is_max = profile.purpose is Purpose.MAX
    refused = {
        "RejectsAll": habits.rejects_all,
        "RateUnit": habits.rejects_unit_ampere and profile.unit == "A",
        "MaxProfile": habits.rejects_max_profile and is_max,
        "TxProfile": habits.rejects_tx_profile and profile.purpose is Purpose.TX,
        "UnknownEvse": profile.evse != 0 and profile.evse not in outlets,
        "InvalidStackLevel": not 0 <= profile.stack_level <= STACK_LEVEL_MAX,
        "InvalidSchedule": not _is_sound(profile),
        "MaxOnEvse": is_max and profile.evse != 0,
        "RelativeMax": is_max and profile.kind is Kind.RELATIVE,
        "TooManyProfiles": _is_too_many(profile, store),
    }
    reason = next((name for name, holds in refused.items() if holds), None)
    if reason is None and profile.purpose is Purpose.TX:
        return _refusal_of_tx(profile, outlets)
    return reason


def _refusal_of_tx(profile: Profile, outlets: Mapping[int, Outlet]) -> str | None:
    outlet = outlets.get(profile.evse)
    if outlet is None or outlet.transaction is None:
        return "TxNotFound"
    if profile.transaction is not None and profile.transaction != outlet.transaction.id:
        return "InvalidTransactionId"
    return None


def _is_too_many(profile: Profile, store: ProfileStore) -> bool:
    installed = {held.id for held in store.profiles}
    return len(installed) >= PROFILES_MAX and profile.id not in installed


def _is_sound(profile: Profile) -> bool:
    starts_s = [period.start_s for period in profile.periods]
    return (
        0 < len(starts_s) <= PERIODS_MAX
        and starts_s[0] == 0
        and starts_s == sorted(set(starts_s))
        and all(period.limit >= 0 for period in profile.periods)
    )
