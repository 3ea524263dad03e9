"""The decision: everything comes in as arguments, everything goes out as a value.

Snapshot, memory and policy in; plan, commands and the next memory out. No clock, no log, no IO.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from controller import assess as assessing
from controller import ledger, turns, walltime
from controller.assess import Assessment
from controller.commands import CommandOutcome
from controller.decision import CircuitStatus, Condition, EvseStatus, Plan, SiteMode, Wave
from controller.dispatch import dispatch
from controller.draw import Draw, bare_from_s, drawn, observed, settle_s
from controller.due import (
    fading_instants_s,
    first_due_s,
    fresh_for_s,
    sample_due_s,
    step_instants_s,
)
from controller.explain import Outcome, bindings, reason_for, where_text
from controller.faults import conditions_of, outage_of
from controller.ledger import Account
from controller.memory import EvseMemory, Memory
from controller.newcomers import newcomers_reserve
from controller.phases import PhaseCurrents
from controller.policy import Policy
from controller.pose import Question, pose
from controller.questions import asked, overdue
from controller.readings import EvseSample
from controller.site import CircuitId, Evse, EvseId
from controller.snapshot import Snapshot
from controller.station import EvseView, StationView
from controller.stopping import carried_over, stop_asked, to_stop, with_stop_over
from controller.targets import Target, at_least, targets_outside
from controller.transaction import Transaction
from controller.values import replace
from controller.wishes import override_with, wanted_with_a
from controller.workspace import Step, Workspace
from optimizer.problem import Allocation, Problem

LIVE_AHEAD_WH = 50_000.0
"""The live register is at most so far ahead of what has been booked. [Wh]"""


class Allocate(Protocol):
    """The optimizer's entry point."""

    def __call__(self, problem: Problem, *, deadline_s: float) -> Allocation:
        """Answer a problem within its limits, whatever happens."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What to show, what to send, what to remember."""

    wave: Wave
    memory: Memory
    mode: SiteMode
    limits: Mapping[CircuitId, PhaseCurrents]
    """In force now, per circuit. [A]"""
    committed_a: Mapping[EvseId, float]
    """What each EVSE may draw per phase, before this decision's commands. [A]"""
    conditions: tuple[Condition, ...]
    solver_fault: str
    """Why the solver's answer was not used; empty when it was."""
    show: Callable[[], Plan]
    """Builds the plan from the same values."""

    @cached_property
    def plan(self) -> Plan:
        """The explained state of the site; built when it is first looked at."""
        return self.show()


def decide(
    snapshot: Snapshot,
    memory: Memory,
    policy: Policy,
    *,
    allocate: Allocate,
    workspace: Workspace | None = None,
) -> Decision:
    """Decide one cycle.

    Args:
        snapshot: What is known.
        memory: What the decision before left.
        policy: Thresholds and times.
        allocate: The optimizer.
        workspace: Saves work when the same one is given to every decision; never changes a result.
    """
    workspace = workspace if workspace is not None else Workspace()
    workspace.open(snapshot.site, policy)
    memory, draws = _remembered(snapshot, memory, policy, workspace)
    assessment = assessing.assess(
        snapshot, draws, memory, policy, peaks=workspace.peaks, below=workspace.below
    )
    reserve = newcomers_reserve(snapshot, draws, memory, policy)
    question = pose(
        snapshot,
        assessment=assessment,
        draws=draws,
        memory=memory,
        policy=policy,
        reserve=reserve,
        workspace=workspace,
    )
    allocation = workspace.answer(question.problem)
    if allocation is None:
        allocation = allocate(question.problem, deadline_s=policy.solver_deadline_s)
        if not allocation.note:  # a solver that failed is asked again
            workspace.keep(question.problem, allocation)
    targets = _targets(snapshot, question, allocation, draws, assessment, memory, workspace)
    wave, accounts = dispatch(
        snapshot,
        targets=targets,
        draws=draws,
        assessment=assessment,
        memory=memory,
        policy=policy,
        reserve=reserve,
    )
    questions = overdue(snapshot, draws, memory, policy)
    stops = to_stop(snapshot, draws, assessment, memory, policy, below=workspace.below)
    if questions or stops:
        wave = replace(wave, questions=questions, stops=stops)
    after = _advanced(memory, snapshot, targets, assessment, accounts, wave)
    after = _in_line(memory, after, snapshot.now_s, policy)
    conditions = (
        *assessment.conditions,
        *conditions_of(snapshot, draws, after),
        *walltime.conditions_of(after.clock, snapshot.now_s),
    )
    return Decision(
        wave=wave,
        memory=after,
        mode=assessment.mode,
        limits={c: state.limit for c, state in assessment.circuits.items()},
        committed_a={evse: draw.committed_a for evse, draw in draws.items()},
        conditions=conditions,
        solver_fault=allocation.note,
        show=lambda: _plan(snapshot, assessment, draws, targets, allocation, after, conditions),
    )


def question_of(snapshot: Snapshot, memory: Memory, policy: Policy) -> Question:
    """Return what the allocator would be asked now; for explanations, decides nothing."""
    workspace = Workspace()
    workspace.open(snapshot.site, policy)
    memory, draws = _remembered(snapshot, memory, policy, workspace)
    assessment = assessing.assess(
        snapshot, draws, memory, policy, peaks=workspace.peaks, below=workspace.below
    )
    return pose(
        snapshot,
        assessment=assessment,
        draws=draws,
        memory=memory,
        policy=policy,
        reserve=newcomers_reserve(snapshot, draws, memory, policy),
        workspace=workspace,
    )


# --- what is remembered -----------------------------------------------------------------------------


def _remembered(
    snapshot: Snapshot, memory: Memory, policy: Policy, workspace: Workspace
) -> tuple[Memory, dict[EvseId, Draw]]:
    """Book what happened since the last decision and learn from the samples."""
    outcomes: dict[EvseId, list[CommandOutcome]] = {}
    for outcome in snapshot.outcomes:
        outcomes.setdefault(outcome.command.evse, []).append(outcome)
    evses: dict[EvseId, EvseMemory] = {}
    draws: dict[EvseId, Draw] = {}
    now_s, steps, overrides = snapshot.now_s, workspace.steps, snapshot.overrides.evses
    for evse in snapshot.site.evses():
        station, view = views_of(snapshot, evse)
        before = memory.evse(evse.id)
        override = overrides.get(evse.id)
        step = steps.get(evse.id)
        if step is not None and step.view is not view:
            step = steps[evse.id] = step.carried_to(view)
        is_covered = (
            step is not None
            and evse.id not in outcomes
            and step.covers(
                view=view, before=before, station=station, override=override, now_s=now_s
            )
        )
        if step is None or not is_covered:
            heard = outcomes.get(evse.id, [])
            step = steps[evse.id] = _step(snapshot, evse, station, view, before, heard, policy)
        evses[evse.id], draws[evse.id] = step.after, step.draw
    started_s = memory.started_s if memory.started_s is not None else now_s
    return replace(
        memory,
        started_s=started_s,
        evses=evses,
        clock=walltime.advanced(memory.clock, now_s=now_s, at=snapshot.at),
        outage=outage_of(snapshot, memory.outage),
    ), draws


def _step(
    snapshot: Snapshot,
    evse: Evse,
    station: StationView,
    view: EvseView,
    before: EvseMemory,
    outcomes: list[CommandOutcome],
    policy: Policy,
) -> Step:
    """Work out one EVSE's part of a decision, and how long that holds."""
    now_s = snapshot.now_s
    wishes = override_with(snapshot, evse.id, view)
    most_a = wanted_with_a(evse, wishes, view)
    after, draw = _stepped(evse, station, view, before, outcomes, policy, now_s, most_a)
    settling_s = settle_s(station, policy)
    instants_s = [*step_instants_s(after, view, policy, settle_s=settling_s)]
    instants_s.append(bare_from_s(station))
    settled_due_s = first_due_s(instants_s, now_s)
    return Step(
        view=view,
        before=before,
        connected=station.connected,
        lease_mode=station.lease_mode,
        behaviour=station.behaviour,
        override=snapshot.overrides.evses.get(evse.id),
        wishes=wishes,
        from_s=now_s,
        due_s=min(settled_due_s, first_due_s(fading_instants_s(view, policy), now_s)),
        settled_due_s=settled_due_s,
        fresh_for_s=fresh_for_s(policy),
        sample_due_s=sample_due_s(after, view, policy, settle_s=settling_s, now_s=now_s),
        after=after,
        draw=draw,
        wanted_a=most_a,
        is_shut=wishes.paused or most_a < evse.min_a,
    )


def _stepped(
    evse: Evse,
    station: StationView,
    view: EvseView,
    before: EvseMemory,
    outcomes: list[CommandOutcome],
    policy: Policy,
    now_s: float,
    most_a: float,
) -> tuple[EvseMemory, Draw]:
    """Book one EVSE's outcomes, tidy its ledger page and learn from its sample."""
    transaction = view.transaction.id if view.transaction is not None else None
    account = before.account
    for outcome in outcomes:
        account = ledger.booked(account, outcome)
    if transaction != before.transaction:
        arrived_s = now_s if transaction is not None else None
        anew = EvseMemory(transaction=transaction, arrived_s=arrived_s)
        before = carried_over(before, anew)
        account = ledger.closed(account, transaction)
    before = with_stop_over(before, view)
    settling_s = settle_s(station, policy)
    account = ledger.tidied(account, now_s=now_s, settle_s=settling_s)
    if account is not before.account:
        before = replace(before, account=account)
    draw = drawn(evse, station=station, view=view, memory=before, policy=policy, now_s=now_s)
    after = observed(
        before, draw=draw, wanted_a=most_a, policy=policy, settle_s=settling_s, now_s=now_s
    )
    if after.vehicle_phases != before.vehicle_phases:
        draw = drawn(evse, station=station, view=view, memory=after, policy=policy, now_s=now_s)
    return after, draw


def views_of(snapshot: Snapshot, evse: Evse) -> tuple[StationView, EvseView]:
    """Return the station's and the EVSE's view; empty ones when nothing is known."""
    station = snapshot.stations.get(evse.station)
    if station is None:
        return StationView(id=evse.station), EvseView(id=evse.id)
    view = station.evses.get(evse.id)
    return station, view if view is not None else EvseView(id=evse.id)


def _advanced(
    memory: Memory,
    snapshot: Snapshot,
    targets: Mapping[EvseId, Target],
    assessment: Assessment,
    accounts: Mapping[EvseId, Account],
    wave: Wave,
) -> Memory:
    """Remember commands, questions, stops, setpoints, who runs and who waits, and the circuits' state.

    What has not changed stays the same object: the next decision can tell.
    """
    now_s = snapshot.now_s
    stopped = {stop.evse for stop in wave.stops}
    evses = {}
    for evse, before in memory.evses.items():
        if evse in accounts:
            before = replace(before, account=accounts[evse])
        if evse in wave.questions:
            before = asked(before, snapshot, evse)
        if evse in stopped:
            before = stop_asked(before, now_s)
        target = targets.get(evse)
        evses[evse] = _with_turn(before, target.limit_a if target is not None else 0.0, now_s)
    circuits = {c: state.memory for c, state in assessment.circuits.items()}
    return replace(memory, evses=evses, circuits=circuits, decided_s=now_s)


def _in_line(memory: Memory, after: Memory, now_s: float, policy: Policy) -> Memory:
    """Remember who stands where in line, and what each was given."""
    carried, booked_s = turns.advanced(memory, after.evses, now_s=now_s, policy=policy)
    return replace(after, turns=carried, booked_s=booked_s)


def _with_turn(before: EvseMemory, setpoint_a: float, now_s: float) -> EvseMemory:
    is_running = setpoint_a > 0 and before.transaction is not None
    is_waiting = before.transaction is not None and not is_running
    running_s = _since(before.running_since_s, is_running, now_s)
    waiting_s = _since(before.waiting_since_s, is_waiting, now_s)
    is_same = (
        setpoint_a == before.setpoint_a
        and running_s == before.running_since_s
        and waiting_s == before.waiting_since_s
    )
    if is_same:
        return before
    return replace(
        before,
        setpoint_a=setpoint_a,
        running_since_s=running_s,
        waiting_since_s=waiting_s,
        ran_before=before.ran_before or is_running,
    )


def _since(since_s: float | None, is_so: bool, now_s: float) -> float | None:
    if not is_so:
        return None
    return since_s if since_s is not None else now_s


# --- targets and plan -------------------------------------------------------------------------------


def _targets(
    snapshot: Snapshot,
    question: Question,
    allocation: Allocation,
    draws: Mapping[EvseId, Draw],
    assessment: Assessment,
    memory: Memory,
    workspace: Workspace,
) -> dict[EvseId, Target]:
    inside = workspace.targets
    if inside is None or allocation.note:  # with a note it was not kept
        inside = _targets_inside(question.problem, allocation)
        workspace.targets = inside if not allocation.note else None
    targets = dict(inside)
    pauses = frozenset(evse for evse in question.outside if workspace.steps[evse].is_shut)
    targets.update(
        targets_outside(
            snapshot,
            outside=question.outside,
            draws=draws,
            assessment=assessment,
            memory=memory,
            pauses=pauses,
        )
    )
    return {evse: at_least(target, draws[evse]) for evse, target in targets.items()}


def _targets_inside(problem: Problem, allocation: Allocation) -> dict[EvseId, Target]:
    """Return what the allocator's answer asks of those that took part."""
    targets = {}
    for load in problem.loads:
        evse = EvseId(load.id)
        binding = allocation.binding.get(load.id)
        cause = where_text(binding.node, binding.phase) if binding is not None else ""
        targets[evse] = Target(
            evse=evse, limit_a=allocation.current_a[load.id], cause=cause or "its own maximum"
        )
    return targets


def _plan(
    snapshot: Snapshot,
    assessment: Assessment,
    draws: Mapping[EvseId, Draw],
    targets: Mapping[EvseId, Target],
    allocation: Allocation,
    memory: Memory,
    conditions: tuple[Condition, ...],
) -> Plan:
    evses = {
        evse: _evse_status(draw, snapshot, assessment, targets.get(evse), allocation, memory)
        for evse, draw in draws.items()
    }
    return Plan(
        now_s=snapshot.now_s,
        at=snapshot.at,
        mode=assessment.mode,
        method=allocation.method.value,
        circuits={c: _circuit_status(state) for c, state in assessment.circuits.items()},
        evses=evses,
        conditions=conditions,
        binding={EvseId(k): v for k, v in bindings(allocation).items()},
    )


def _circuit_status(state: assessing.CircuitState) -> CircuitStatus:
    return CircuitStatus(
        id=state.circuit.id,
        mode=state.mode,
        rating_a=state.circuit.limit_a,
        limit_a=state.limit,
        measured_a=state.measured,
        measured_age_s=state.measured_age_s,
        building_a=state.building,
        committed_a=state.committed,
        headroom_a=state.headroom,
        thermal_ratio=state.memory.heat,
    )


def _evse_status(
    draw: Draw,
    snapshot: Snapshot,
    assessment: Assessment,
    target: Target | None,
    allocation: Allocation,
    memory: Memory,
) -> EvseStatus:
    remembered = memory.evse(draw.evse.id)
    latest = remembered.account.latest
    held_a = latest.limit_a if latest is not None else draw.committed_a
    setpoint_a = target.limit_a if target is not None else held_a
    transaction = draw.view.transaction
    sample = draw.view.sample.value if draw.view.sample is not None else None
    reason = reason_for(
        draw,
        snapshot=snapshot,
        assessment=assessment,
        memory=remembered,
        allocation=allocation,
        outcome=Outcome(target_a=setpoint_a, held_a=held_a),
    )
    return EvseStatus(
        id=draw.evse.id,
        state=draw.view.state,
        connected=draw.connected,
        drawn_a=draw.measured,
        power_w=sample.power_w if sample is not None and draw.measured is not None else None,
        energy_wh=live_energy_wh(transaction, sample),
        soc_percent=sample.soc_percent if sample is not None else None,
        setpoint_a=setpoint_a,
        committed_a=draw.committed_a,
        lease_until_s=latest.until_s if latest is not None else None,
        transaction=transaction.id if transaction is not None and not draw.evse.is_load else None,
        id_token=transaction.id_token if transaction is not None else None,
        reason=reason,
    )


def live_energy_wh(transaction: Transaction | None, sample: EvseSample | None) -> float | None:
    """Return the running transaction's energy, by the live register where it is a little ahead. [Wh].

    The transaction is booked from the register as sent; the sample's may have been brought to Wh.
    """
    if transaction is None:
        return None
    known_wh, start_wh = transaction.energy_wh, transaction.start_wh
    if known_wh is None or start_wh is None or sample is None or sample.energy_wh is None:
        return known_wh
    live_wh = sample.energy_wh - start_wh
    return live_wh if known_wh <= live_wh <= known_wh + LIVE_AHEAD_WH else known_wh
