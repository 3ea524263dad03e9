"""What one decision takes over from the one before to save work. It never changes a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from operator import attrgetter

from controller.assess import building_worst_case
from controller.decision import SiteMode
from controller.draw import Draw
from controller.memory import EvseMemory
from controller.operator import EvseOverride
from controller.phases import PhaseCurrents
from controller.policy import Policy
from controller.site import CircuitId, EvseId, Site
from controller.station import EvseView, LeaseMode, StationBehaviour, StationView
from controller.targets import Target
from controller.values import replace
from optimizer.problem import Allocation, Budget, Load, Node, Problem

_BUT_SAMPLE = attrgetter(*(f.name for f in fields(EvseView) if f.name != "sample"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One EVSE's part of a decision: what it was made from, what came out, how long that holds."""

    view: EvseView
    before: EvseMemory
    connected: bool
    lease_mode: LeaseMode
    behaviour: StationBehaviour
    override: EvseOverride | None
    """What the operator asks."""
    wishes: EvseOverride
    """What the operator and the vehicle ask."""
    from_s: float
    due_s: float
    """From then on the same inputs may lead to something else. [s]"""
    settled_due_s: float
    """The same without what the age of the sample may change. [s]"""
    fresh_for_s: float
    """A sample is judged the same until it is so old. [s]"""
    sample_due_s: float
    """The same values sampled from then on may lead to something else. [s]"""
    after: EvseMemory
    draw: Draw
    wanted_a: float
    """The most that it may be given. [A]"""
    is_shut: bool
    """It is wanted to take nothing."""

    def covers(
        self,
        *,
        view: EvseView,
        before: EvseMemory,
        station: StationView,
        override: EvseOverride | None,
        now_s: float,
    ) -> bool:
        """Tell whether it answers for these inputs, which are compared by identity."""
        return (
            self.view is view
            and self.before is before
            and self.override is override
            and self.connected == station.connected
            and self.lease_mode is station.lease_mode
            and (self.behaviour is station.behaviour or self.behaviour == station.behaviour)
            and self.from_s <= now_s < self.due_s
        )

    def carried_to(self, view: EvseView) -> Step:
        """Return it for a view that is the same, or only sampled later with the same values.

        One that it does not answer for leaves it as it is.
        """
        known, sample = self.view.sample, view.sample
        if self.view is view or known is None or sample is None:
            return self
        is_later = known.taken_s < sample.taken_s < self.sample_due_s
        if not is_later or known.value != sample.value:
            return self
        if _BUT_SAMPLE(view) != _BUT_SAMPLE(self.view):
            return self
        due_s = min(self.settled_due_s, sample.taken_s + self.fresh_for_s)
        return replace(self, view=view, draw=replace(self.draw, view=view), due_s=due_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Posed:
    """One EVSE as a load of the problem, and what that was made from."""

    step: Step
    mode: SiteMode
    rank: int
    load: Load | None
    """None: it stays out of the problem."""


class Workspace:
    """Reused values, each with the inputs it answers for. One decision at a time."""

    def __init__(self) -> None:
        """Start with nothing to reuse."""
        self._site: Site | None = None
        self._policy: Policy | None = None
        self._allocation: tuple[Problem, Allocation] | None = None
        self._problem: Problem | None = None
        self._peaks: dict[CircuitId, PhaseCurrents] = {}
        self._below: dict[CircuitId, tuple[EvseId, ...]] = {}
        self.steps: dict[EvseId, Step] = {}
        self.posed: dict[EvseId, Posed] = {}
        self.targets: Mapping[EvseId, Target] | None = None
        """What the kept allocation asks of those that took part; None: not worked out yet."""

    def open(self, site: Site, policy: Policy) -> None:
        """Begin a decision; what belongs to another site or policy is thrown away."""
        if self._site is site and self._policy is policy:
            return
        self._site, self._policy = site, policy
        self._allocation = self._problem = self.targets = None
        self._peaks = {c: building_worst_case(site, c) for c in site.circuits}
        self._below = {c: tuple(e.id for e in site.evses_below(c)) for c in site.circuits}
        self.steps = {}
        self.posed = {}

    @property
    def peaks(self) -> Mapping[CircuitId, PhaseCurrents]:
        """The building's worst case below each circuit. [A]"""
        return self._peaks

    @property
    def below(self) -> Mapping[CircuitId, tuple[EvseId, ...]]:
        """The EVSEs on each circuit and on those below it, in the site's order."""
        return self._below

    def carried(self, step: Step, view: EvseView) -> Step:
        """Carry an EVSE's step over to its latest view if that says the same; its load stays too."""
        carried = step.carried_to(view)
        if carried is not step:
            self.steps[view.id] = carried
            posed = self.posed.get(view.id)
            if posed is not None and posed.step is step:
                self.posed[view.id] = replace(posed, step=carried)
        return carried

    def problem(
        self,
        nodes: tuple[Node, ...],
        loads: tuple[Load, ...],
        budgets: tuple[Budget, ...],
        settle_a: float,
    ) -> Problem:
        """Return the problem; the one before, which was checked, where it is the same. [A]"""
        known = self._problem
        if (
            known is not None
            and known.nodes == nodes
            and known.loads == loads
            and known.budgets == budgets
            and known.settle_a == settle_a
        ):
            return known
        self._problem = Problem(nodes=nodes, loads=loads, budgets=budgets, settle_a=settle_a)
        return self._problem

    def answer(self, problem: Problem) -> Allocation | None:
        """Return the allocation of the same problem; None: it was another one."""
        if self._allocation is None:
            return None
        known = self._allocation[0]
        if known is not problem and known != problem:
            return None
        return self._allocation[1]

    def keep(self, problem: Problem, allocation: Allocation) -> None:
        """Keep an allocation for the next decision."""
        self._allocation, self.targets = (problem, allocation), None
