"""What a meter cannot truly show. Pure: what is implausible is neither booked nor used, and told."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from controller.transaction import Transaction

RATING_FACTOR: Final = 3.0
"""A site file may name less than an EVSE's true rating, as a limit; never so much less."""
LEAST_POWER_W: Final = 44_000.0
"""No AC outlet gives more (63 A on three phases), whatever the site file says it is built for. [W]"""
ROOM_WH: Final = 1_000.0
"""A meter may count in whole kWh. [Wh]"""


def register_objection(
    register_wh: float,
    transaction: Transaction,
    *,
    scale_ratio: float,
    rating_w: float | None,
    at: datetime,
) -> str | None:
    """Say why a transaction's register cannot be right; None: it can.

    Args:
        register_wh: As the station sent it. [Wh]
        transaction: What is booked of it.
        scale_ratio: Factor that was found to make the register Wh.
        rating_w: Power of the EVSE as built; None: not known, nothing is judged.
        at: When it was received, by our clock: a stamp of the future must not make room.
    """
    start_wh = transaction.start_wh
    elapsed_s = (at - transaction.started_at).total_seconds()
    if start_wh is None or rating_w is None or elapsed_s < 0.0:
        return None
    energy_wh = (register_wh - start_wh) * scale_ratio
    if energy_wh < -ROOM_WH and register_wh < start_wh:
        return f"the register went back from {start_wh:.0f} to {register_wh:.0f} Wh"
    most_wh = max(RATING_FACTOR * rating_w, LEAST_POWER_W) * elapsed_s / 3600.0 + ROOM_WH
    if energy_wh > most_wh:
        return (
            f"the register rose by {energy_wh:.0f} Wh in {elapsed_s / 60.0:.0f} min, more than can "
            "have flowed"
        )
    return None
