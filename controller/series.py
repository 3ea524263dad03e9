"""From a plan to time-series samples. Names and units: `docs/timeseries.md`. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from controller.decision import Alarm, CircuitStatus, EvseStatus, Plan, SiteMode
from controller.phases import ZERO, PhaseCurrents
from controller.readings import GridReading
from controller.records import Sample
from controller.site import MeterId
from controller.station import EvseState
from controller.transaction import Transaction

MODES = tuple(SiteMode)
"""`mode` in the series is the index in this order."""
STATES = tuple(EvseState)
"""`status` in the series is the index in this order."""


def whole_second(at: datetime) -> datetime:
    """Return the second that a sample belongs to."""
    return at.replace(microsecond=0)


def of_meter(meter: MeterId, reading: GridReading, at: datetime) -> Sample:
    """Return the `grid` sample of a reading."""
    fields: dict[str, float | int | str] = {f"i_l{n}": v for n, v in _numbered(reading.current)}
    for name, values in (("v", reading.voltage_v), ("p", reading.power_w)):
        fields |= {f"{name}_l{n}": v for n, v in enumerate(values or (), start=1)}
    single = {
        "p": reading.power_total_w,
        "f": reading.frequency_hz,
        "pf": reading.power_factor,
        "e_imp": reading.energy_import_wh,
        "e_exp": reading.energy_export_wh,
    }
    fields |= {name: v for name, v in single.items() if v is not None}
    return Sample(measurement="grid", tags={"meter": meter}, fields=fields, at=whole_second(at))


def of_circuits(plan: Plan) -> Iterator[Sample]:
    """Return a `circuit` sample for every circuit."""
    for circuit in plan.circuits.values():
        yield Sample(
            measurement="circuit",
            tags={"circuit": circuit.id},
            fields=_circuit_fields(circuit),
            at=whole_second(plan.at),
        )


def of_evses(plan: Plan) -> Iterator[Sample]:
    """Return a `charger` sample for every EVSE."""
    for evse in plan.evses.values():
        station, _, number = evse.id.rpartition("/")
        yield Sample(
            measurement="charger",
            tags={"cp": station, "evse": number},
            fields=_evse_fields(evse),
            at=whole_second(plan.at),
        )


def of_allocation(plan: Plan, *, solver_ms: float) -> Sample:
    """Return the `allocation` sample of a decision."""
    return Sample(
        measurement="allocation",
        tags={},
        fields={
            "solver_ms": solver_ms,
            "mode": MODES.index(plan.mode),
            "method": plan.method,
            "n_active": sum(e.transaction is not None for e in plan.evses.values()),
            **{f"ev_l{n}": v for n, v in _numbered(_drawn(plan))},
        },
        at=whole_second(plan.at),
    )


def _drawn(plan: Plan) -> PhaseCurrents:
    """Return what all EVSEs are measured to draw. [A]"""
    total = ZERO
    for evse in plan.evses.values():
        if evse.drawn_a is not None:
            total = total + evse.drawn_a
    return total


def of_alarm(alarm: Alarm) -> Sample:
    """Return the `event` sample of an alarm's begin or end."""
    condition = alarm.condition
    return Sample(
        measurement="event",
        tags={"code": condition.code, "subject": condition.subject},
        fields={"text": condition.text, "active": int(alarm.end is None)},
        at=alarm.end if alarm.end is not None else alarm.begin,
    )


def of_session(transaction: Transaction, *, at: datetime | None = None) -> Sample:
    """Return the `session` sample of a transaction that has ended. Ids are fields, never tags.

    Args:
        transaction: It has ended.
        at: Where its sample stands; None: at its end. A corrected one keeps its place, so that it
            replaces the first.
    """
    station, _, number = transaction.evse.rpartition("/")
    ended_at = transaction.ended_at or transaction.started_at
    fields: dict[str, float | int | str] = {
        "transaction": transaction.id,
        "duration_s": (ended_at - transaction.started_at).total_seconds(),
        "reason": transaction.end_reason or "",
    }
    if transaction.energy_wh is not None:
        fields["energy_wh"] = transaction.energy_wh
    return Sample(
        measurement="session",
        tags={"cp": station, "evse": number},
        fields=fields,
        at=at or ended_at,
    )


def _circuit_fields(circuit: CircuitStatus) -> dict[str, float | int | str]:
    fields: dict[str, float | int | str] = {}
    for name, current in (
        ("limit", circuit.limit_a),
        ("building", circuit.building_a),
        ("committed", circuit.committed_a),
        ("load", circuit.measured_a),
    ):
        if current is not None:
            fields |= {f"{name}_l{n}": v for n, v in _numbered(current)}
    if circuit.measured_age_s is not None:
        fields["age_ms"] = circuit.measured_age_s * 1000.0
    return fields


def _evse_fields(evse: EvseStatus) -> dict[str, float | int | str]:
    fields: dict[str, float | int | str] = {
        "limit_a": evse.setpoint_a,
        "committed_a": evse.committed_a,
        "status": STATES.index(evse.state),
        "connected": int(evse.connected),
    }
    if evse.drawn_a is not None:
        fields |= {f"i_l{n}": v for n, v in _numbered(evse.drawn_a)}
    single = {"p": evse.power_w, "e_session": evse.energy_wh, "soc": evse.soc_percent}
    return fields | {name: v for name, v in single.items() if v is not None}


def _numbered(current: PhaseCurrents) -> Iterator[tuple[int, float]]:
    return enumerate((round(x, 2) for x in current), start=1)
