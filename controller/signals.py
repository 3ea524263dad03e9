"""Signals of the grid operator: a lower limit on a circuit for a time.

They count in the assessment of every cycle, like an operator's limit, whatever the planner does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from math import isfinite

from controller.phases import PhaseCurrents
from controller.site import CircuitId, Site

MOST_SIGNALS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class GridSignal:
    """A temporary limit on all that flows through a circuit, building and vehicles together."""

    id: str
    circuit: CircuitId
    begin_at: datetime
    end_at: datetime
    limit_a: PhaseCurrents | None = None
    """Per phase. [A]"""
    limit_w: float | None = None
    """All phases together; each phase may then carry a third of it. [W]"""
    note: str = ""

    def is_in_force(self, at: datetime) -> bool:
        """Tell whether it holds at an instant."""
        return self.begin_at <= at < self.end_at

    def phase_limit(self, voltage_v: float) -> PhaseCurrents:
        """Return the limit per phase. [A].

        A limit on the total is split evenly: whatever the vehicles' phases, the total then holds.
        """
        if self.limit_a is not None:
            return self.limit_a
        return PhaseCurrents.balanced((self.limit_w or 0.0) / 3 / voltage_v)


class SignalError(ValueError):
    """A signal cannot be used; the text says why."""


def check_signal(signal: GridSignal, site: Site, now: datetime) -> None:
    """Check a signal against the site.

    Raises:
        SignalError: With the first defect.
    """
    if signal.circuit not in site.circuits:
        known = ", ".join(sorted(site.circuits))
        raise SignalError(f"circuit {signal.circuit} does not exist; there are {known}")
    if signal.begin_at.tzinfo is None or signal.end_at.tzinfo is None:
        raise SignalError("begin_at and end_at need a time zone, for example a final Z")
    if signal.end_at <= signal.begin_at:
        raise SignalError("end_at must be after begin_at")
    if signal.end_at <= now:
        raise SignalError("the signal has ended already")
    if (signal.limit_a is None) == (signal.limit_w is None):
        raise SignalError("give limit_a or limit_w, one of both")
    amounts = [signal.limit_w] if signal.limit_a is None else list(signal.limit_a)
    if any(x is None or not isfinite(x) or x < 0 for x in amounts):
        raise SignalError("a limit is a finite number, 0 or more")


def limits_in_force(
    signals: Iterable[GridSignal], at: datetime, voltage_v: float
) -> dict[CircuitId, PhaseCurrents]:
    """Return the lowest limit per circuit at an instant. [A]"""
    limits: dict[CircuitId, PhaseCurrents] = {}
    for signal in signals:
        if signal.is_in_force(at):
            limit = signal.phase_limit(voltage_v)
            known = limits.get(signal.circuit)
            limits[signal.circuit] = limit if known is None else known.lowest(limit)
    return limits
