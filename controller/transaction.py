"""A transaction: one vehicle, one EVSE, one piece of energy, in the vocabulary of OCPP 2.0.1."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NewType

from controller.site import EvseId, StationId

TransactionId = NewType("TransactionId", str)
"""Always text; the integers of 1.6 are mapped to their decimal form."""
IdToken = NewType("IdToken", str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One transaction as it is stored and billed. Times are UTC."""

    id: TransactionId
    """Unique within its station: 1.6 ids are ours, 2.0.1 ids are the station's."""
    station: StationId
    evse: EvseId
    id_token: IdToken | None
    started_at: datetime
    start_wh: float | None
    """The meter's register at the start. [Wh]"""
    last_wh: float | None = None
    """The register's latest plausible value. [Wh]"""
    ended_at: datetime | None = None
    end_reason: str | None = None
    seq_no: int | None = None
    max_a: float | None = None
    """The most that its token may draw per phase; None: what the EVSE may. [A]"""
    priority: int = 0
    """Its token's; higher is served first. 0: as the EVSE is configured."""
    assumed_scale_ratio: float | None = None
    """Not None: the station has not reported its end, which was assumed; the factor that its registers
    were multiplied with then to be Wh. The real end, when it comes, takes the place of the assumed one."""

    @property
    def has_final_end(self) -> bool:
        """Whether it ended, and by the station's own word."""
        return self.ended_at is not None and self.assumed_scale_ratio is None

    @property
    def energy_wh(self) -> float | None:
        """Energy from the meter's own registers; None while either end is unknown. [Wh]"""
        if self.start_wh is None or self.last_wh is None:
            return None
        return max(0.0, self.last_wh - self.start_wh)
