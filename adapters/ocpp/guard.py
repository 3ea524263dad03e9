"""What an operator's own message may not do: nothing may undo the limits that protect the site."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from adapters.ocpp.external import external_limit_a
from adapters.ocpp.profiles import HIGHEST_LEVEL
from adapters.ocpp.translation import EvseWiring
from controller.desired import SECRET

MAX_PURPOSES = frozenset({"ChargePointMaxProfile", "ChargingStationMaxProfile"})
"""Profiles that can only lower: the lowest of all purposes holds (1.6 section 3.13.3, 2.0.1 K01)."""
OWN_IDS = range(100, 100_000)
"""Ids of our own profiles: connector * 100 + purpose * 10 + level."""
OWN_LEVELS = range(2)
FORBIDDEN = frozenset({"UpdateDynamicSchedule", "UsePriorityCharging", "SetDefaultTariff"})
SAME_A = 0.05
OURS = "the controller limits by it"


def refusal(
    action: str, payload: Mapping[str, Any], *, fallback_a: float, wiring: EvseWiring
) -> str | None:
    """Say why an operator's message is not sent; None: it may be.

    Args:
        action: Name of the message.
        payload: As it would be sent, valid against its schema.
        fallback_a: Lowest fallback of the EVSEs concerned. [A]
        wiring: Of the EVSE concerned, for limits in watts.
    """
    if action in FORBIDDEN:
        return f"{action} could raise a limit behind the controller's back"
    for profile in _profiles_of(payload):
        reason = _profile_refusal(profile, fallback_a=fallback_a, wiring=wiring)
        if reason is not None:
            return reason
    if any(SECRET.search(name) for name in _settings_of(payload)):
        return (
            "passwords are changed with `wattkeeper station secret`, so that both sides know them"
        )
    return None


def is_ours(name: str, value: str, *, limit_key: str | None) -> bool:
    """Tell whether a setting would take the limits out of the controller's hands.

    Args:
        name: Key of 1.6, or `Component.Variable`.
        value: What it is to become.
        limit_key: The key that limits this model, where it has one.
    """
    switches_off = name.lower() == "smartchargingctrlr.enabled" and value.lower() != "true"
    return switches_off or name == limit_key


def _profiles_of(payload: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    for name in ("csChargingProfiles", "chargingProfile"):
        profile = payload.get(name)
        if isinstance(profile, Mapping) and "chargingSchedule" in profile:
            yield profile


def _settings_of(payload: Mapping[str, Any]) -> Iterable[str]:
    if "key" in payload and "value" in payload:
        yield str(payload["key"])
    for entry in payload.get("setVariableData", ()):
        yield str(entry["variable"]["name"])


def _profile_refusal(
    profile: Mapping[str, Any], *, fallback_a: float, wiring: EvseWiring
) -> str | None:
    number = profile.get("chargingProfileId", profile.get("id", 0))
    if number in OWN_IDS:
        return f"profile ids from {OWN_IDS.start} belong to the controller; use a smaller one"
    if profile["chargingProfilePurpose"] in MAX_PURPOSES:
        return None
    if profile["stackLevel"] in OWN_LEVELS or profile["stackLevel"] > HIGHEST_LEVEL:
        return f"stack levels 0 and 1 belong to the controller; use 2 to {HIGHEST_LEVEL}"
    schedules = profile["chargingSchedule"]
    given = schedules if isinstance(schedules, list) else [schedules]
    limit_a = external_limit_a(given, wiring, highest=True)
    if limit_a is not None and limit_a > fallback_a + SAME_A:
        return (
            f"{limit_a:g} A is above the fallback of {fallback_a:g} A: a profile of your own may only "
            "lower. Change the EVSE's max_a instead"
        )
    return None
