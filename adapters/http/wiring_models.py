"""What the wiring watch says over HTTP."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from adapters.http import models as m


class WiringOut(m.Answer):
    """An EVSE and the meter of a circuit above it."""

    evse: str
    circuit: str
    meter: str
    verdict: Literal["right", "reversed", "phases", "unseen", "unknown"] = Field(
        description="`unknown`: too few starts and stops, or too much else moved meanwhile."
    )
    steps: int = Field(description="Starts and stops that counted.")
    gain: m.Phases = Field(
        description="What the meter saw of each ampere drawn: 1 where all is well, -1 reversed, "
        "0 not seen; null: never loaded."
    )
    tells_phases: bool = Field(
        description="One phase was loaded alone: three at once cannot tell exchanged phases."
    )


class WiringList(m.Answer):
    """Pairs by EVSE, the nearest circuit first."""

    items: list[WiringOut]
    next_offset: int | None
