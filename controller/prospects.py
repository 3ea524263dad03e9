"""What each vehicle will leave with, told early and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy

from controller.decision import Plan
from controller.phases import PHASES
from controller.pose import override_of
from controller.site import EvseId, Site
from controller.snapshot import Snapshot
from controller.timegrid import TimeGrid
from controller.visit import Visit
from optimizer.horizon_problem import HorizonPlan

SHORT_WH = 500.0
"""Less than this missing is no news. [Wh]"""
FULL_PRICE_PER_AH = 0.05
"""A circuit whose limit is worth this much to the plan is what holds it. [1/Ah]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What a vehicle is expected to leave with."""

    departure_at: datetime
    need_wh: float
    """All it wants in this session. [Wh]"""
    expected_wh: float
    """What it will have had by then. [Wh]"""
    is_stated: bool
    """Whether departure and need were told; otherwise both are typical values."""
    is_met: bool
    text: str


def prospects_of(
    grid: TimeGrid,
    visits: Mapping[EvseId, Visit],
    horizon: HorizonPlan,
    *,
    snapshot: Snapshot,
    plan: Plan,
) -> dict[EvseId, Prospect]:
    """Compare the plan with what each vehicle needs."""
    site = snapshot.site
    prospects = {}
    for evse, visit in visits.items():
        override = override_of(snapshot, evse)
        had_wh = plan.evses[evse].energy_wh or 0.0
        planned_wh = float(horizon.charge_ah[evse].sum()) * len(visit.phases) * site.voltage_v
        need_wh = override.energy_need_wh
        if need_wh is None:
            need_wh = had_wh + visit.need_ah * len(visit.phases) * site.voltage_v
        departure_at = snapshot.at + timedelta(hours=visit.stay_h)
        is_late = override.departure_at is not None and override.departure_at <= snapshot.at
        expected_wh = had_wh + planned_wh
        is_met = expected_wh >= need_wh - SHORT_WH
        why = "" if is_met else _why_short(grid, visit, horizon, site)
        if is_late:
            why = f"its departure at {_local(override.departure_at, site)} is past"
        prospects[evse] = Prospect(
            departure_at=departure_at,
            need_wh=need_wh,
            expected_wh=expected_wh,
            is_stated=visit.stated,
            is_met=is_met,
            text=_text(evse, is_met, expected_wh, need_wh, why),
        )
    return prospects


def _text(evse: EvseId, is_met: bool, expected_wh: float, need_wh: float, why: str) -> str:
    if is_met:
        told = f"{evse} will have its {need_wh / 1000:.0f} kWh in time"
    else:
        told = f"{evse} will leave with {expected_wh / 1000:.0f} of {need_wh / 1000:.0f} kWh"
    return f"{told}: {why}." if why else f"{told}."


def _why_short(grid: TimeGrid, visit: Visit, horizon: HorizonPlan, site: Site) -> str:
    """Say what holds the vehicle: its own charger, or the first circuit that is full and when."""
    if visit.max_a * visit.stay_h < visit.need_ah - 1e-6:
        return f"at {visit.max_a:g} A it would need {visit.need_ah / visit.max_a:.1f} h"
    rows = [row for row, phase in enumerate(PHASES) if phase in visit.phases]
    there = grid.stay_h(visit.stay_h) > 0
    for slot in numpy.flatnonzero(there):
        for circuit in site.path_to_root(visit.circuit):
            if horizon.price[circuit][rows, slot].max() > FULL_PRICE_PER_AH:
                begin = grid.instants()[int(slot)]
                return f"{circuit} is full from {_local(begin, site)}"
    return "others are served first"


def _local(at: datetime | None, site: Site) -> str:
    return "" if at is None else f"{at.astimezone(ZoneInfo(site.timezone)):%H:%M}"
