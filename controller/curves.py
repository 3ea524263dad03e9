"""Reads what was recorded of a session out of the store."""

from __future__ import annotations

from datetime import datetime

from controller.metering import Curve
from controller.ports import Store
from controller.records import SeriesPoint
from controller.transaction import Transaction

STEP_S = 10.0
"""Charger rows are written every 5 s; the register between two of them moves by little. [s]"""


async def recorded_curve(store: Store, transaction: Transaction, now: datetime) -> Curve:
    """Read a session's energy, states and power; empty where nothing was recorded."""
    station, _, number = transaction.evse.rpartition("/")
    end = transaction.ended_at or now
    if end <= transaction.started_at:
        return Curve()

    async def series(field: str) -> tuple[SeriesPoint, ...]:
        return await store.history(
            measurement="charger",
            field=field,
            tags={"cp": station, "evse": number},
            since=transaction.started_at,
            until=end,
            step_s=STEP_S,
        )

    return Curve(
        energy_wh=await series("e_session"),
        status=await series("status"),
        power_w=await series("p"),
    )
