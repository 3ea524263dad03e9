"""Limits and needs that come from elsewhere: energy managers at the station, vehicles by ISO 15118."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.ocpp.clocks import parse_time
from adapters.ocpp.translation import EvseWiring
from controller.station import ChargingNeeds


def external_limit_a(
    schedules: Sequence[Mapping[str, Any]], wiring: EvseWiring, *, highest: bool = False
) -> float | None:
    """Return a schedule's limit per phase. [A]

    Without `highest` the lowest period counts: we cannot know how far the schedule has run, and less
    is safe. Several schedules are combined to the lowest.

    Args:
        schedules: ChargingScheduleType elements; none: a limit without numbers.
        wiring: Phases and voltage, for schedules in watts.
        highest: Take the highest period instead, to compare a vehicle's plan with its limit.
    """
    found = [
        _in_amperes(period["limit"], schedule["chargingRateUnit"], period, wiring)
        for schedule in schedules
        for period in schedule["chargingSchedulePeriod"]
    ]
    if not found:
        return None
    return max(0.0, max(found) if highest else min(found))


def _in_amperes(limit: float, unit: str, period: Mapping[str, Any], wiring: EvseWiring) -> float:
    if unit != "W":
        return float(limit)
    phases = period.get("numberPhases") or wiring.phases
    return float(limit) / (wiring.voltage_v * max(1, min(3, int(phases))))


def charging_needs(needs: Mapping[str, Any]) -> ChargingNeeds:
    """Read ChargingNeedsType.

    Source: OCPP 2.0.1 K15; ISO 15118-2 gives AC amounts in Wh and A, DC as energy and state of charge.
    """
    ac = needs.get("acChargingParameters") or {}
    dc = needs.get("dcChargingParameters") or {}
    amount = ac.get("energyAmount", dc.get("energyAmount"))
    most = ac.get("evMaxCurrent")
    return ChargingNeeds(
        departure_at=parse_time(needs.get("departureTime")),
        energy_wh=float(amount) if amount is not None and amount >= 0 else None,
        max_a=float(most) if most is not None and most > 0 else None,
    )
