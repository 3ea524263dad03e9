"""One fault alone on a site that would feel it: when it is told, when all is safe, when it is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache

from adapters.simulator.lockstep.lockstep import Lockstep
from adapters.simulator.lockstep.scenario import Day, Fault, FaultKind, LoadChange, Visit
from adapters.simulator.vehicle import Vehicle
from controller.commands import SetLimit
from controller.decide import Allocate, Decision
from controller.decision import Alarm, SiteMode
from controller.phases import PhaseCurrents
from controller.site import CircuitId, EvseId, StationId
from controller.snapshot import Snapshot
from optimizer.admission import Admission
from optimizer.allocate import Allocator
from optimizer.arrays import Floats
from optimizer.lp import SolverError
from tests.controller.builders import a_circuit, a_site, an_evse

MAIN, EVSE = CircuitId("main"), EvseId("CP001/1")
LIMIT_A, PEAK_A, BUILDING_A = 125.0, 60.0, 20.0
AT_S, UNTIL_S = 1800.0, 5400.0
BUS = Vehicle(name="bus", max_a=32.0, battery_wh=1_000_000.0, soc_ratio=0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One decision and the truth at its time."""

    at_s: float
    mode: SiteMode
    committed_a: float
    """Of the EVSE that the fault hits. [A]"""
    may_draw_a: float
    """What all EVSEs hold in truth. [A]"""
    is_connected: bool
    asked: bool
    raised: tuple[SetLimit, ...]
    lowered: tuple[SetLimit, ...]
    renewed: tuple[SetLimit, ...]
    solver_fault: str
    refusals: int
    """In a row, by the EVSE that the fault hits."""
    under_since_s: float | None
    """Since when it is known to take less than it was given, by the controller's clock. [s]"""


@dataclass(slots=True)
class Notes:
    """Implements `Watch`: writes down, and hands on to the inspector."""

    run: Lockstep
    moments: list[Moment] = field(default_factory=list)
    failed_s: list[float] = field(default_factory=list)

    def decided(self, snapshot: Snapshot, decision: Decision) -> None:
        self.run.inspector.decided(snapshot, decision)
        outlets = [o for s in self.run.stations.values() for o in s.outlets.values()]
        wave = decision.wave
        known = decision.memory.evse(EVSE)
        self.moments.append(
            Moment(
                at_s=self.run.agenda.now_s,
                mode=decision.mode,
                committed_a=decision.committed_a[EVSE],
                may_draw_a=sum(o.bay.limit_a for o in outlets if o.transaction is not None),
                is_connected=snapshot.stations[_station(EVSE)].connected,
                asked=EVSE in wave.questions,
                raised=wave.increases,
                lowered=wave.decreases,
                renewed=wave.renewals,
                solver_fault=decision.solver_fault,
                refusals=known.account.refusals,
                under_since_s=known.under_since_s,
            )
        )

    def alarmed(self, alarms: tuple[Alarm, ...]) -> None:
        self.run.inspector.alarmed(alarms)

    def failed(self, error: Exception) -> None:
        self.failed_s.append(self.run.agenda.now_s)
        self.run.inspector.failed(error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is tried: a fault, and what makes it felt."""

    kind: FaultKind | None
    for_s: float = 600.0
    target: str = ""
    value: float = 0.0
    code: str = ""
    """The alarm that tells it."""
    building_steps_s: float | None = None
    """So long after the fault's begin the building takes more, so that limits have to fall. [s]"""
    step_a: float = 30.0
    lasts_s: float = UNTIL_S
    vehicle_takes_a: float = 32.0
    solver_fails: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """A trial that was run."""

    trial: Trial
    lockstep: Lockstep
    moments: tuple[Moment, ...]
    failed_s: tuple[float, ...]
    solver_failed_s: tuple[float, ...]
    """When the solver was asked and failed. [s]"""

    @property
    def mended_s(self) -> float:
        return AT_S + self.trial.for_s

    def first_s(self, holds: Callable[[Moment], bool], since_s: float = AT_S) -> float | None:
        """Return how long after an instant something held first. [s]"""
        found = (m.at_s - since_s for m in self.moments if m.at_s >= since_s and holds(m))
        return next(found, None)

    def alarms(self, *, ended: bool, code: str | None = None) -> list[float]:
        code = self.trial.code if code is None else code
        return [
            at_s
            for at_s, alarm in self.lockstep.inspector.alarms
            if alarm.condition.code == code and (alarm.end is not None) == ended
        ]

    @property
    def told_s(self) -> float | None:
        return next((at_s - AT_S for at_s in self.alarms(ended=False)), None)

    @property
    def over_s(self) -> float | None:
        """How long after the mend the alarm ended. [s]"""
        return next((at_s - self.mended_s for at_s in self.alarms(ended=True)), None)

    @property
    def is_told_once(self) -> bool:
        if not self.trial.code:
            return True
        subjects = [
            (a.condition.subject, a.end is None)
            for _, a in self.lockstep.inspector.alarms
            if a.condition.code == self.trial.code
        ]
        return subjects != [] and len(subjects) == len(set(subjects)) and len(subjects) % 2 == 0

    @property
    def rises_s(self) -> float | None:
        """When a limit rose first after the mend. [s]"""
        return self.first_s(lambda m: bool(m.raised), self.mended_s)

    @property
    def broken(self) -> int:
        return sum(self.lockstep.inspector.counts.values())

    @property
    def over_limit_until_s(self) -> float:
        """When more flowed than the limit for the last time, after the begin; 0: never. [s]"""
        times = [
            moment.at_s - AT_S
            for moment in self.lockstep.trace[MAIN]
            if moment.at_s >= AT_S and max(moment.current_a) > LIMIT_A + 0.5
        ]
        return max(times, default=0.0)

    def blind_safe_s(self) -> float | None:
        """When what all may draw fits beside the building's worst case. [s]"""
        return self.first_s(lambda m: m.may_draw_a + PEAK_A <= LIMIT_A + 0.5)


def _station(evse: EvseId) -> StationId:
    return StationId(evse.partition("/")[0])


class FailingSolver(Allocator):
    """The product's allocator with a solver that fails while the fault lasts."""

    def __init__(self) -> None:
        super().__init__()
        self.is_broken: Callable[[], bool] = lambda: False
        self.on_failure: Callable[[], None] = lambda: None
        solver = self._lp.share

        def share(admission: Admission, *, deadline_s: float) -> Floats:
            if self.is_broken():
                self.on_failure()
                raise SolverError("infeasible")
            return solver(admission, deadline_s=deadline_s)

        self._lp.share = share  # type: ignore[method-assign]


@cache
def ran(trial: Trial) -> Run:
    """Run a trial."""
    solver = FailingSolver()
    lockstep = Lockstep(_day(trial), trace_s=1.0, allocate=_untimed(solver))
    solver_failed_s: list[float] = []
    if trial.solver_fails:
        mended_s = AT_S + trial.for_s
        solver.is_broken = lambda: AT_S <= lockstep.agenda.now_s < mended_s
        solver.on_failure = lambda: solver_failed_s.append(lockstep.agenda.now_s)
        lockstep.agenda.at(AT_S, lambda: _jolt(lockstep))
    notes = Notes(lockstep)
    lockstep.host._watch = notes
    lockstep.run()
    return Run(trial, lockstep, tuple(notes.moments), tuple(notes.failed_s), tuple(solver_failed_s))


def _untimed(solver: Allocator) -> Allocate:
    return lambda problem, *, deadline_s: solver.allocate(problem, deadline_s=60.0)


def _jolt(lockstep: Lockstep) -> None:
    """The building moves every few seconds, so that the solver is asked again and again."""
    step_a = 3.0 if round(lockstep.agenda.now_s / 20.0) % 2 else -3.0
    for index in range(3):
        lockstep._add_load(MAIN, index, step_a)
    if lockstep.agenda.now_s < AT_S + 900.0:
        lockstep.agenda.after(20.0, lambda: _jolt(lockstep))


def _day(trial: Trial) -> Day:
    site = a_site(
        circuits=[a_circuit(limit_a=LIMIT_A, building_peak_a=PEAK_A)],
        evses=[an_evse(f"CP{n:03d}") for n in range(1, 6)],
    )
    visits = []
    for number, evse in enumerate(site.evses()):
        takes_a = trial.vehicle_takes_a if evse.id == EVSE else BUS.max_a
        is_late = evse.id == EVSE and takes_a < BUS.max_a
        visits.append(
            Visit(
                evse=evse.id,
                vehicle=replace(BUS, max_a=takes_a),
                at_s=AT_S if is_late else 60.0 + 20.0 * number,
                leaves_s=trial.lasts_s + 100.0,
            )
        )
    loads = [_load(0.0, BUILDING_A)]
    if trial.building_steps_s is not None:
        loads.append(_load(AT_S + trial.building_steps_s, BUILDING_A + trial.step_a))
        loads.append(_load(AT_S + trial.for_s + 300.0, BUILDING_A))
    faults: tuple[Fault, ...] = ()
    if trial.kind is not None:
        faults = (
            Fault(
                kind=trial.kind,
                at_s=AT_S,
                for_s=trial.for_s,
                target=trial.target,
                value=trial.value,
            ),
        )
    return Day(
        site=site,
        seed=7,
        duration_s=trial.lasts_s,
        visits=tuple(visits),
        loads=tuple(loads),
        faults=faults,
    )


def _load(at_s: float, current_a: float) -> LoadChange:
    return LoadChange(circuit=MAIN, at_s=at_s, current=PhaseCurrents.balanced(current_a))
