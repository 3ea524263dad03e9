"""From the assessed site to the allocator's question: who takes part, within what, in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf, isfinite

from controller import turns
from controller.assess import Assessment
from controller.decision import SiteMode
from controller.draw import Draw
from controller.guidance import guided
from controller.memory import EvseMemory, Memory, Turn
from controller.phases import ZERO, PhaseCurrents
from controller.policy import Policy
from controller.site import CircuitId, EvseId
from controller.snapshot import Snapshot
from controller.station import EvseState, LeaseMode, ZeroLimit
from controller.surplus import surplus_budgets
from controller.wishes import is_shut as is_shut
from controller.wishes import override_of as override_of
from controller.wishes import priority_of as priority_of
from controller.wishes import wanted_a as wanted_a
from controller.workspace import Placed, Posed, Step, Workspace
from optimizer.problem import Load, Node, Problem

_NOTHING = PhaseCurrents.balanced(-1.0)
"""A circuit of which nothing is known gives nothing. [A]"""
_BEFORE_ALL = 1_000_000
"""Puts a rank before every other: more than there are EVSEs."""
_OUT_OF_ORDER = frozenset({EvseState.FAULTED, EvseState.UNAVAILABLE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The problem and who stayed out of it."""

    problem: Problem
    outside: frozenset[EvseId]
    """EVSEs that take part in nothing: their committed current is subtracted from every circuit."""


def is_controllable(draw: Draw, snapshot: Snapshot, memory: EvseMemory) -> bool:
    """Tell whether a limit can be sent now and will be heard."""
    return _is_controllable(draw, snapshot.stations[draw.evse.station].lease_mode, memory)


def _is_controllable(draw: Draw, lease_mode: LeaseMode, memory: EvseMemory) -> bool:
    return (
        draw.connected
        and draw.is_charging
        and lease_mode is not LeaseMode.UNCONTROLLABLE
        and not memory.disobeys
        and not is_stubborn(memory)
    )


def is_kept_on(draw: Draw, zero_limit: ZeroLimit) -> bool:
    """Tell whether a pause would not be one, or would never end: it is admitted before all others."""
    if zero_limit is ZeroLimit.STAYS_PAUSED:
        return draw.view.state is not EvseState.SUSPENDED_EV
    return not zero_limit.can_pause


def _rank(step: Step, rank: int) -> int:
    draw = step.draw
    is_first = draw.is_charging and is_kept_on(draw, step.behaviour.zero_limit)
    return rank - _BEFORE_ALL if is_first else rank


def is_stubborn(memory: EvseMemory) -> bool:
    """Tell whether it did not take its latest command: it counts with what it may still hold."""
    return memory.account.timeouts > 0 or memory.account.refusals > 0


def pose(
    snapshot: Snapshot,
    *,
    assessment: Assessment,
    draws: Mapping[EvseId, Draw],
    memory: Memory,
    policy: Policy,
    reserve: Mapping[CircuitId, PhaseCurrents],
    workspace: Workspace,
) -> Question:
    """Build the allocator's problem for this cycle; `reserve` is kept free for newcomers. [A]"""
    loads: list[Load] = []
    outside: list[EvseId] = []  # in the site's order: sums must not depend on a hash
    steps, posed, modes = workspace.steps, workspace.posed, assessment.modes
    ranks = turns.ranked(
        [
            (_place(steps[evse], snapshot, memory.turn(evse), policy, workspace.placed), evse)
            for evse, draw in draws.items()
            if draw.is_charging
        ]
    )
    for evse in draws:
        step, mode, rank = steps[evse], modes[evse], ranks.get(evse, 0)
        known = posed.get(evse)
        if (
            known is None
            or known.stem is not step.stem
            or known.mode is not mode
            or known.rank != rank
        ):
            load = _load(step, mode=mode, rank=_rank(step, rank))
            known = posed[evse] = Posed(stem=step.stem, mode=mode, rank=rank, load=load)
        if known.load is None:
            outside.append(evse)
        else:
            loads.append(known.load)
    problem = workspace.problem(
        nodes=_nodes(snapshot, assessment, steps, outside, reserve),
        loads=tuple(loads),
        budgets=surplus_budgets(snapshot.site, assessment, draws, loads),
        settle_a=policy.steady_a,
    )
    if snapshot.guidance.holds(snapshot.now_s):
        problem = guided(problem, snapshot.guidance)
    return Question(problem=problem, outside=frozenset(outside))


def _place(
    step: Step, snapshot: Snapshot, turn: Turn, policy: Policy, placed: dict[EvseId, Placed]
) -> turns.Place:
    """Return where an EVSE with a vehicle stands; the place it had, as long as nothing moves it."""
    evse, now_s = step.draw.evse.id, snapshot.now_s
    known = placed.get(evse)
    if (
        known is not None
        and known.stem is step.stem
        and known.turn is turn
        and known.from_s <= now_s < known.due_s
    ):
        return known.place
    place = turns.place_of(
        step.draw, step.after, turn, override=step.wishes, snapshot=snapshot, policy=policy
    )
    due_s = turns.place_due_s(step.after, turn, step.wishes, now_s=now_s, policy=policy)
    placed[evse] = Placed(stem=step.stem, turn=turn, place=place, from_s=now_s, due_s=due_s)
    return place


def _load(step: Step, *, mode: SiteMode, rank: int) -> Load | None:
    """Return the EVSE as a load; None when it cannot or must not be given anything new."""
    draw, memory = step.draw, step.after
    evse = draw.evse
    if mode is SiteMode.FALLBACK or not _is_controllable(draw, step.lease_mode, memory):
        return None
    if step.is_shut or draw.view.state in _OUT_OF_ORDER:
        return None
    most_a = step.wanted_a
    if memory.demand_a is not None:
        most_a = min(most_a, max(memory.demand_a, evse.min_a))
    latest = memory.account.latest
    held_a = latest.limit_a if latest is not None else draw.committed_a
    if mode is not SiteMode.NORMAL:
        most_a = min(most_a, held_a)
    if not (evse.min_a <= most_a < inf and isfinite(held_a)):
        return None
    return Load(
        id=evse.id,
        node=evse.circuit,
        phases=draw.phases,
        min_a=evse.min_a,
        max_a=most_a,
        step_a=evse.step_a,
        weight=evse.weight,
        rank=rank,
        current_a=held_a,
    )


def _nodes(
    snapshot: Snapshot,
    assessment: Assessment,
    steps: Mapping[EvseId, Step],
    outside: Iterable[EvseId],
    reserve: Mapping[CircuitId, PhaseCurrents],
) -> tuple[Node, ...]:
    site = snapshot.site
    taken: dict[CircuitId, PhaseCurrents] = dict.fromkeys(site.circuits, ZERO)
    for evse in outside:
        counted = _counted(steps[evse])
        if counted == ZERO:
            continue
        for circuit in site.path_to_root(steps[evse].draw.evse.circuit):
            taken[circuit] = taken[circuit] + counted
    return tuple(
        Node(
            id=circuit.id,
            parent=circuit.parent,
            available=_known(
                assessment.circuits[circuit.id].usable - taken[circuit.id] - reserve[circuit.id],
                otherwise=_NOTHING,
            ),
            unbalance_a=circuit.unbalance_a,
            flowing=_known(
                assessment.circuits[circuit.id].building + taken[circuit.id], otherwise=ZERO
            )
            if circuit.unbalance_a is not None
            else ZERO,
        )
        for circuit in site.circuits.values()
    )


def _known(current: PhaseCurrents, *, otherwise: PhaseCurrents) -> PhaseCurrents:
    """Return a current, or another when it is not a number: a cycle must not end for it. [A]."""
    return current if current.is_finite() else otherwise


def _counted(step: Step) -> PhaseCurrents:
    """Return what an EVSE outside the problem takes from its circuits. [A].

    One that is about to be paused or brought to its fallback counts with what it will then draw;
    whatever it still holds until that is confirmed is guarded by the ledger when others rise.
    """
    draw = step.draw
    if draw.connected and draw.is_charging and step.is_shut:
        paused = PhaseCurrents.on(draw.phases, draw.floor_a)
        return paused if draw.view.fallback_a is not None else draw.committed
    return draw.committed
