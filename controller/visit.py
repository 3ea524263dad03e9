"""A vehicle's stay as the planner sees it: where it is, how long yet, how much it still wants."""

from __future__ import annotations

from dataclasses import dataclass

from controller.phases import PhaseSet
from controller.site import CircuitId, EvseId


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One vehicle that is plugged in and wants charge. Times are hours from now, or until now."""

    evse: EvseId
    circuit: CircuitId
    phases: PhaseSet
    min_a: float
    max_a: float
    """The most that charger, vehicle and operator allow. [A]"""
    step_a: float
    stay_h: float
    """Time left until it is expected to leave, above 0. [h]"""
    need_ah: float
    """Charge it still wants, per conductor. [Ah]"""
    taken_ah: float = 0.0
    """Charge it has had, per conductor. [Ah]"""
    held_a: float = 0.0
    """Its limit now; 0: it is off. [A]"""
    ran_h: float = 0.0
    """How long it has been on without a break. [h]"""
    waited_h: float = 0.0
    """How long it has been off, from its arrival or its last pause. [h]"""
    pauses: int = 0
    """How often it was paused."""
    here_h: float = 0.0
    """How long it has been plugged in. [h]"""
    priority: int = 0
    """Higher is served first."""
    stated: bool = True
    """Whether somebody said when it leaves and what it needs; False: both are typical values."""

    @property
    def laxity_h(self) -> float:
        """Time it could still lose and leave full. Below 0: it cannot leave full any more. [h]"""
        return self.stay_h - self.need_ah / max(self.max_a, 1e-6)

    @property
    def is_on(self) -> bool:
        """Whether it has current now."""
        return self.held_a > 0
