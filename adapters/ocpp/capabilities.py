"""What a connected station has shown it can do. One per connection, learned as we talk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.ocpp.profiles import ProfileForm, RateUnit
from adapters.ocpp.quirks import Quirks
from adapters.ocpp.settling import KEPT, learned_s
from controller.site import EvseId
from controller.station import LeaseMode, StationBehaviour, ZeroLimit


@dataclass(slots=True, kw_only=True)
class Capabilities:
    """Filled by provisioning and by the answers to limits."""

    is_dc: bool = False
    """Limits mean the power at the vehicle; amperes would mean its DC current, so only watts do."""
    units: frozenset[RateUnit] | None = None
    """ChargingRateUnits that the station names; None: it does not say."""
    highest_level: int | None = None
    """ChargeProfileMaxStackLevel, ProfileStackLevel; None: it does not say."""
    most_profiles: int | None = None
    items_per_read: int | None = None
    """Keys or variables per reading message; None: it does not say."""
    items_per_write: int | None = None
    takes_triggers: bool = True
    default_form: ProfileForm | None = None
    """The form of TxDefaultProfile that was accepted."""
    limit_form: ProfileForm | None = None
    """The form of a transaction's limit that was accepted last."""
    defaults_a: dict[EvseId, float] = field(default_factory=dict)
    """What the station confirmed to hold as its default. [A]"""
    default_places: dict[EvseId, int] = field(default_factory=dict)
    """Connector at which the default was accepted: its own, or 0 for the whole station."""
    refused_defaults: set[EvseId] = field(default_factory=set)
    """EVSEs whose default was refused in every form."""
    lease_mode: LeaseMode = LeaseMode.UNKNOWN
    quirks: Quirks = field(default_factory=Quirks)
    """What is known about the model."""
    holds_lease: bool | None = None
    """Whether a drill has seen a lease end at a station of this model; None: never tried."""
    is_doubted: bool = False
    """Its firmware changed and no drill has shown that it keeps leases: they are given, not relied on."""
    takes_dynamic: bool = False
    """It says that it takes dynamic profiles (2.1), and has refused none."""
    takes_offline_duration: bool | None = None
    """Whether it says that it knows `maxOfflineDuration` (2.1); None: it does not say."""
    zero_limit: ZeroLimit = ZeroLimit.PAUSES
    """What 0 A does: as the catalogue says, else as learned."""
    settled_s: list[float] = field(default_factory=list)
    """How long stations of this model and firmware took to follow lately; 0: no longer than usual. [s]"""
    restart_wanted: bool = False
    """A setting takes effect only after a restart. We never cause one."""

    def know(self, quirks: Quirks, *, holds_lease: bool | None) -> None:
        """Take over what is known about the model; it goes before what the station says."""
        self.quirks = quirks
        self.holds_lease = quirks.holds_lease if quirks.holds_lease is not None else holds_lease
        if quirks.zero_limit is not ZeroLimit.PAUSES:
            self.zero_limit = quirks.zero_limit
        self.takes_triggers = self.takes_triggers and quirks.takes_triggers
        self.apply_quirks()

    def recall(self, learned: Mapping[str, Any]) -> None:
        """Begin with what stations of this model and firmware have said; this one's word goes before.

        Args:
            learned: As kept: `units` by name, `highest_level`, `most_profiles`, `zero_limit`,
                `settled_s`. What does not make sense is left out.
        """
        names = learned.get("units")
        if self.units is None and isinstance(names, list):
            known = frozenset(unit for unit in RateUnit if unit.value in names)
            self.units = known or None
        if self.highest_level is None and isinstance(learned.get("highest_level"), int):
            self.highest_level = learned["highest_level"]
        if self.most_profiles is None and isinstance(learned.get("most_profiles"), int):
            self.most_profiles = learned["most_profiles"]
        if learned.get("zero_limit") == ZeroLimit.REFUSED.value:
            self.zero_limit = ZeroLimit.REFUSED
        settled = learned.get("settled_s")
        if isinstance(settled, list):
            known_s = [float(s) for s in settled if isinstance(s, int | float) and s >= 0]
            self.settled_s = known_s[-KEPT:]

    @property
    def behaviour(self) -> StationBehaviour:
        """How the station follows limits, for the decisions."""
        return StationBehaviour(zero_limit=self.zero_limit, settle_s=learned_s(self.settled_s))

    def settled(self, took_s: float) -> None:
        """Note how long it took to follow a lower limit. [s]"""
        self.settled_s = [*self.settled_s, round(took_s, 1)][-KEPT:]

    def apply_quirks(self) -> None:
        """Override what the station said about itself by what is known better."""
        if self.quirks.unit is not None:
            self.units = frozenset({RateUnit(self.quirks.unit)})
        if self.quirks.highest_level is not None:
            self.highest_level = self.quirks.highest_level
        if self.quirks.most_profiles is not None:
            self.most_profiles = self.quirks.most_profiles

    @property
    def may_lease(self) -> bool:
        """Whether a limit that ends by itself may be relied on."""
        quirks = self.quirks
        return self.holds_lease is not False and not quirks.is_relative and not quirks.limit_key

    def forget_defaults(self) -> None:
        """The station booted: what it holds is to be confirmed again."""
        self.defaults_a.clear()
        self.refused_defaults.clear()

    def mode_after_provisioning(self) -> LeaseMode:
        """Judge by what is known without a transaction; the first limit may correct it."""
        if not self.defaults_a:
            if self.refused_defaults:
                return LeaseMode.UNCONTROLLABLE
            return LeaseMode.PERMANENT if self.is_doubted else LeaseMode.UNKNOWN
        too_few = self.most_profiles is not None and self.most_profiles < 2
        is_weak = self.highest_level == 0 or too_few or not self.may_lease
        if self.refused_defaults or is_weak:
            return LeaseMode.PERMANENT
        if self.limit_form is not None and not self.limit_form.is_leased:
            return LeaseMode.PERMANENT
        return self.leased_mode

    @property
    def leased_mode(self) -> LeaseMode:
        """How a station that takes leases counts: in doubt like one that keeps its limit."""
        return LeaseMode.PERMANENT if self.is_doubted else LeaseMode.LEASED
