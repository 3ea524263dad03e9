"""What people ask of the controller while it runs: overrides that outlive a restart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from controller.phases import PhaseCurrents
from controller.site import CircuitId, EvseId


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseOverride:
    """An operator's wishes for one EVSE. None: as configured."""

    priority: int | None = None
    max_a: float | None = None
    """At or below the rating. [A]"""
    partner_max_a: float | None = None
    """A roaming partner's limit: counts as a minimum with all others. [A]"""
    upstream_max_a: float | None = None
    """The back office's limit: counts as a minimum with all others. [A]"""
    paused: bool = False
    departure_at: datetime | None = None
    energy_need_wh: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """All overrides in force. A missing key means none."""

    circuit_limit_a: Mapping[CircuitId, PhaseCurrents] = field(default_factory=dict)
    """Operating limits, at or below the rating."""
    evses: Mapping[EvseId, EvseOverride] = field(default_factory=dict)
