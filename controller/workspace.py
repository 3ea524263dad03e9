"""What one decision takes over from the one before to save work. It never changes a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.assess import building_worst_case
from controller.draw import Draw
from controller.memory import EvseMemory
from controller.phases import PhaseCurrents
from controller.policy import Policy
from controller.site import CircuitId, EvseId, Site
from controller.station import EvseView, LeaseMode, StationBehaviour
from optimizer.problem import Allocation, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One EVSE's part of a decision: what it was made from, what came out, how long that holds."""

    view: EvseView
    before: EvseMemory
    connected: bool
    lease_mode: LeaseMode
    behaviour: StationBehaviour
    wanted_a: float
    from_s: float
    due_s: float
    """From then on the same inputs may lead to something else. [s]"""
    after: EvseMemory
    draw: Draw

    def covers(
        self,
        *,
        view: EvseView,
        before: EvseMemory,
        connected: bool,
        lease_mode: LeaseMode,
        behaviour: StationBehaviour,
        wanted_a: float,
        now_s: float,
    ) -> bool:
        """Tell whether it answers for these inputs, which are compared by identity."""
        return (
            self.view is view
            and self.before is before
            and self.connected == connected
            and self.lease_mode is lease_mode
            and self.behaviour == behaviour
            and self.wanted_a == wanted_a
            and self.from_s <= now_s < self.due_s
        )


class Workspace:
    """Reused values, each with the inputs it answers for. One decision at a time."""

    def __init__(self) -> None:
        """Start with nothing to reuse."""
        self._site: Site | None = None
        self._policy: Policy | None = None
        self._allocation: tuple[Problem, Allocation] | None = None
        self._peaks: dict[CircuitId, PhaseCurrents] = {}
        self.steps: dict[EvseId, Step] = {}

    def open(self, site: Site, policy: Policy) -> None:
        """Begin a decision; what belongs to another site or policy is thrown away."""
        if self._site is site and self._policy is policy:
            return
        self._site, self._policy = site, policy
        self._allocation = None
        self._peaks = {c: building_worst_case(site, c) for c in site.circuits}
        self.steps = {}

    @property
    def peaks(self) -> Mapping[CircuitId, PhaseCurrents]:
        """The building's worst case below each circuit. [A]"""
        return self._peaks

    def answer(self, problem: Problem) -> Allocation | None:
        """Return the allocation of the same problem; None: it was another one."""
        if self._allocation is None or self._allocation[0] != problem:
            return None
        return self._allocation[1]

    def keep(self, problem: Problem, allocation: Allocation) -> None:
        """Keep an allocation for the next decision."""
        self._allocation = (problem, allocation)
