"""Prices, forecasts, signals, demand states and the picked policy as stored text, and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from controller.demand import DemandState
from controller.phases import PhaseCurrents
from controller.signals import GridSignal
from controller.site import CircuitId
from controller.tariffs import Series

KIND = "planning"
"""Kind of all documents of the planner."""
PRICES, PV, POLICY = "prices", "pv-forecast", "policy"
SIGNAL, DEMAND = "signal:", "demand:"


def series_to_text(series: Series) -> str:
    """Write a series as JSON."""
    return json.dumps(
        {
            "begin_at": series.begin_at.isoformat(),
            "step_s": series.step_s,
            "values": list(series.values),
        }
    )


def series_from_text(text: str) -> Series:
    """Read a series.

    Raises:
        ValueError: Damaged.
    """
    data = _read(text)
    return Series(
        begin_at=datetime.fromisoformat(data["begin_at"]),
        step_s=float(data["step_s"]),
        values=tuple(float(x) for x in data["values"]),
    )


def signal_to_text(signal: GridSignal) -> str:
    """Write a signal as JSON."""
    limit = None if signal.limit_a is None else list(signal.limit_a)
    return json.dumps(
        {
            "id": signal.id,
            "circuit": signal.circuit,
            "begin_at": signal.begin_at.isoformat(),
            "end_at": signal.end_at.isoformat(),
            "limit_a": limit,
            "limit_w": signal.limit_w,
            "note": signal.note,
        }
    )


def signal_from_text(text: str) -> GridSignal:
    """Read a signal.

    Raises:
        ValueError: Damaged.
    """
    data = _read(text)
    limit = data["limit_a"]
    return GridSignal(
        id=data["id"],
        circuit=CircuitId(data["circuit"]),
        begin_at=datetime.fromisoformat(data["begin_at"]),
        end_at=datetime.fromisoformat(data["end_at"]),
        limit_a=None
        if limit is None
        else PhaseCurrents(l1_a=limit[0], l2_a=limit[1], l3_a=limit[2]),
        limit_w=data["limit_w"],
        note=data["note"],
    )


def demand_to_text(state: DemandState) -> str:
    """Write a demand state as JSON."""
    return json.dumps(asdict(state))


def demand_from_text(text: str) -> DemandState:
    """Read a demand state.

    Raises:
        ValueError: Damaged.
    """
    try:
        return DemandState(**_read(text))
    except TypeError as error:
        raise ValueError(str(error)) from error


class _Fields(dict[str, Any]):
    """A missing field is damage, not a defect of ours."""

    def __missing__(self, key: str) -> Any:
        raise ValueError(f"{key} is missing")


def _read(text: str) -> _Fields:
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("not an object")
    return _Fields(data)
