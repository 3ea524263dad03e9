"""A grid meter as the controller reads it: every second, or not, or wrongly."""

from __future__ import annotations

from enum import Enum
from math import nan
from typing import Protocol

from adapters.simulator.lockstep.agenda import Agenda
from adapters.simulator.lockstep.lines import Line
from controller.phases import PhaseCurrents
from controller.readings import GridReading
from controller.site import MeterId

INTERVAL_S = 1.0


class MeterFault(Enum):
    """What may be wrong with a meter."""

    NONE = "none"
    SILENT = "silent"
    """No answer, or only values that the adapter throws away."""
    NONSENSE = "nonsense"
    """It sends what is no number."""
    FROZEN = "frozen"
    """It repeats its registers bit for bit."""
    SLOW = "slow"
    """It answers every few seconds."""


class Reader(Protocol):
    """Who reads meters: the controller's process."""

    def read(self, meter: MeterId, reading: GridReading, *, at_s: float, is_news: bool) -> bool:
        """Take a sample of an instant; return whether it is above the watched limit. [s]"""

    def miss(self, meter: MeterId, fault: str) -> None:
        """Hear why there is no sample."""


class SimMeter:
    """One meter on one line."""

    def __init__(self, meter: MeterId, line: Line, *, agenda: Agenda, offset_s: float) -> None:
        """Start healthy and unread."""
        self.id = meter
        self.line = line
        self.fault = MeterFault.NONE
        self.slow_s = 5.0
        self.reader: Reader | None = None
        self.good_s = float("-inf")
        """When it last gave a good sample. [s]"""
        self._agenda = agenda
        self._offset_s = offset_s
        self._value: PhaseCurrents | None = None
        self._fingerprint = ""
        self._taken_s = float("-inf")
        self._is_dirty = False
        self._is_mended = False
        """Its next sample is news whatever it says."""
        self._plan = 0

    @property
    def is_regular(self) -> bool:
        """Tell whether it is read every second and lives."""
        return self.fault is MeterFault.NONE and self._value is not None

    def attach(self, reader: Reader) -> None:
        """Be read by a new process."""
        self.reader, self._value = reader, None
        self.notice()

    def fail(self, fault: MeterFault) -> None:
        """Begin or end a fault; what was due before is delivered."""
        self.refresh()
        self.fault = fault
        if fault is MeterFault.SILENT and self.reader is not None:
            self.reader.miss(self.id, "no answer in 1 s")
        self._is_dirty = False
        self._is_mended = True
        self.notice()

    def notice(self) -> None:
        """What it measures may have changed: its next sample is read as news."""
        if not self._is_dirty:
            self._is_dirty = True
            self._plan_sample()

    def refresh(self) -> None:
        """Deliver the latest sample that was due, unless it was delivered."""
        if (
            self._is_mended
            or self._value is None
            or self.fault not in (MeterFault.NONE, MeterFault.FROZEN)
        ):
            return
        at_s = self._instant_s(self._agenda.now_s)
        if at_s > self._taken_s:
            self._deliver(at_s, self._value, is_news=False)

    def _instant_s(self, not_after_s: float) -> float:
        return self._offset_s + (not_after_s - self._offset_s) // INTERVAL_S * INTERVAL_S

    def _plan_sample(self) -> None:
        wait_s = INTERVAL_S if self.fault is not MeterFault.SLOW else self.slow_s
        at_s = self._instant_s(self._agenda.now_s + 1e-6) + wait_s
        self._plan += 1
        plan = self._plan
        self._agenda.at(at_s, lambda: self._sample() if plan == self._plan else None)

    def _sample(self) -> None:
        self._is_dirty = False
        if self.fault is MeterFault.SILENT or self.reader is None:
            return
        if self.fault is MeterFault.NONSENSE:
            reading = GridReading(current=PhaseCurrents.balanced(nan))
            self.reader.read(self.id, reading, at_s=self._agenda.now_s, is_news=True)
            self.notice()
            return
        if self.fault is MeterFault.FROZEN and self._value is not None:
            self._is_mended = False
            if self._deliver(self._agenda.now_s, self._value, is_news=False):
                self.notice()
            return
        value = _quantised(self.line.current_a)
        is_news = value != self._value or self._is_mended or self.fault is MeterFault.SLOW
        self._is_mended = False
        is_over = self._deliver(self._agenda.now_s, value, is_news=is_news)
        if is_over or self.fault is MeterFault.SLOW:
            self.notice()

    def _deliver(self, at_s: float, value: PhaseCurrents, *, is_news: bool) -> bool:
        if self.reader is None:
            return False
        if self.fault is not MeterFault.FROZEN or self._fingerprint == "":
            self._fingerprint = f"{at_s:.3f}"
            self.good_s = at_s
        self._value, self._taken_s = value, at_s
        reading = GridReading(current=value, fingerprint=self._fingerprint)
        return self.reader.read(self.id, reading, at_s=at_s, is_news=is_news)


def _quantised(current_a: tuple[float, float, float]) -> PhaseCurrents:
    return PhaseCurrents(
        l1_a=round(current_a[0], 1), l2_a=round(current_a[1], 1), l3_a=round(current_a[2], 1)
    )
