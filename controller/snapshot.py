"""Everything a decision may look at, frozen at one instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from controller.commands import CommandOutcome
from controller.guidance import NO_GUIDANCE, Guidance
from controller.operator import Overrides
from controller.phases import PhaseCurrents
from controller.readings import GridReading, Reading
from controller.site import CircuitId, MeterId, Site, StationId
from controller.station import StationView


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterView:
    """The latest about one meter. `reading` is None until the first plausible sample."""

    reading: Reading[GridReading] | None = None
    changed_s: float | None = None
    """When its registers last differed from the sample before."""
    fault: str = ""
    """Why there is no fresh sample, in words; empty when all is well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One frozen process image. `now_s` is monotonic and the only clock for control."""

    now_s: float
    at: datetime
    """Wall clock, UTC: for people and records, never for control."""
    site: Site
    meters: Mapping[MeterId, MeterView]
    stations: Mapping[StationId, StationView]
    overrides: Overrides = field(default_factory=Overrides)
    guidance: Guidance = NO_GUIDANCE
    """What plan and policy ask; it can only lower what the limits allow."""
    signal_limit_a: Mapping[CircuitId, PhaseCurrents] = field(default_factory=dict)
    """Limits of the grid operator in force now. [A]"""
    outcomes: tuple[CommandOutcome, ...] = ()
    """Commands that ended since the last snapshot."""
