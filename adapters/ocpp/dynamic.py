"""Dynamic profiles of OCPP 2.1: a limit is changed in place, without another profile being written.

The station ends such a profile by its `duration` after the last update (K28.FR.13), and at `validTo`,
which an update does not move. A change in place therefore never outlives the lease that decisions count
on; it may end sooner, and is only made where that is harmless: when the fallback is not more than the
limit, and when enough of the profile is left until the next renewal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from adapters.ocpp.dialect import Caller, CallFailed
from adapters.ocpp.profiles import ChargingProfile
from controller.site import EvseId

LEFT_RATIO: Final = 0.6
"""A lease is renewed when half of it is left: more than that must be left of the profile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    profile: ChargingProfile
    until_s: float
    """End of its `validTo`, by our monotonic clock. [s]"""


class DynamicProfiles:
    """The dynamic profiles of one connection."""

    def __init__(
        self, caller: Caller, *, write: Callable[[ChargingProfile], dict[str, Any]]
    ) -> None:
        """Hold none yet.

        Args:
            caller: The station.
            write: Writes the SetChargingProfile request of a dynamic profile.
        """
        self._caller = caller
        self._held: dict[EvseId, _Held] = {}
        self.write = write

    def forget(self, evse: EvseId) -> None:
        """Another profile took the place of what was held."""
        self._held.pop(evse, None)

    def hold(self, evse: EvseId, profile: ChargingProfile, *, until_s: float) -> None:
        """Note a dynamic profile that was accepted."""
        self._held[evse] = _Held(profile=profile, until_s=until_s)

    def may_update(
        self, evse: EvseId, profile: ChargingProfile, *, lease_s: float, now_s: float
    ) -> bool:
        """Tell whether the held profile differs in its limit only, and lives long enough."""
        held = self._held.get(evse)
        if held is None or held.until_s - now_s < LEFT_RATIO * lease_s:
            return False
        return _kind_of(held.profile) == _kind_of(profile)

    async def update(self, evse: EvseId, profile: ChargingProfile, *, urgent: bool) -> bool:
        """Change the limit of the held profile in place.

        Returns:
            False: it was refused, and has to be set anew.

        Raises:
            CallFailed: There was no answer to judge by.
        """
        payload = {"chargingProfileId": profile.id, "scheduleUpdate": {"limit": profile.limit}}
        try:
            answer = await self._caller.call(
                "UpdateDynamicSchedule", payload, urgent=urgent, replaces=f"limit:{evse}"
            )
        except CallFailed as failed:
            self.forget(evse)
            if failed.kind != "error":
                raise
            return False
        if answer.get("status") == "Accepted":
            return True
        self.forget(evse)
        return False


def _kind_of(profile: ChargingProfile) -> ChargingProfile:
    """Return a profile without what an update changes."""
    return replace(profile, limit=0.0, starts_at=None, valid_to=None, duration_s=None)
