"""The whole answer to "why not more?": what holds an EVSE, who shares it, and what would change it.

Computed when somebody asks, on the latest snapshot, away from the control loop. Every gain is the
exact answer to the changed question, before rounding to the charger's steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

from controller.decide import question_of
from controller.decision import Plan
from controller.memory import Memory
from controller.phases import PhaseCurrents
from controller.policy import Policy
from controller.site import CircuitId, EvseId
from controller.snapshot import Snapshot
from optimizer.counterfactual import Counterfactuals, Held
from optimizer.problem import Problem
from optimizer.tree import Row

RATINGS_A = (16, 20, 25, 32, 35, 40, 50, 63, 80, 100, 125, 160, 200, 250, 315, 400, 500, 630)
"""Usual ratings of protective devices (IEC 60898-1, IEC 60947-2, IEC 60269). [A]"""
WORTH_TELLING_A = 0.1
"""A smaller gain is not told. [A]"""
NAMED = 3
"""So many others are named; the rest is counted."""


class ChangeKind(Enum):
    """What would have to be different."""

    LARGER_LIMIT = "larger_limit"
    FIRST_IN_LINE = "first_in_line"
    NO_OPERATOR_MAXIMUM = "no_operator_maximum"
    NOBODY_ELSE = "nobody_else"
    NO_PLAN = "no_plan"
    ITS_TURN = "its_turn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that would give the EVSE more."""

    kind: ChangeKind
    gain_a: float
    """What it would get more, per phase. [A]"""
    text: str
    """For example `+4.0 A if garage-a were 63 A`."""
    circuit: CircuitId | None = None
    limit_a: float | None = None
    """The limit that `LARGER_LIMIT` speaks of. [A]"""
    at: datetime | None = None
    """When `ITS_TURN` comes: from then on it goes before all who have waited less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBy:
    """One limit that holds the EVSE."""

    subject: str
    """The circuit, or the name of a common budget."""
    phase: str | None
    """`l1`, `l1-l2` where the difference between two phases is limited; None: all together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why an EVSE has what it has, and what would change it."""

    evse: EvseId
    text: str
    """For a facility manager, in whole sentences."""
    held_by: tuple[HeldBy, ...] = ()
    """Limits that hold it; several only if no single one does."""
    marginal_factor: float | None = None
    """What it would gain per ampere more on them. [A/A]"""
    missing_a: float | None = None
    """What they lack for its minimum, while it waits. [A]"""
    shared_with: tuple[EvseId, ...] = ()
    """Who else takes current there."""
    changes: tuple[Change, ...] = ()
    """What would give it more, the largest gain first."""


def explained(
    snapshot: Snapshot, memory: Memory, policy: Policy, plan: Plan, evse: EvseId
) -> Explanation:
    """Explain an EVSE.

    Args:
        snapshot: The latest.
        memory: What the latest decision left.
        policy: Thresholds and times.
        plan: The latest; its reason begins the text.
        evse: One of the site's.

    Raises:
        KeyError: There is no such EVSE.
    """
    reason = plan.evses[evse].reason.text
    snapshot = replace(snapshot, outcomes=())
    problem = question_of(snapshot, memory, policy).problem
    load = next((load for load in problem.loads if load.id == evse), None)
    if load is None:
        return Explanation(evse=evse, text=reason)
    found: list[Change] = []
    if load.max_a == 0.0:  # guidance alone makes it so: who may take nothing is no load
        problem = question_of(_unguided(snapshot, evse), memory, policy).problem
        found += _without_plan(Counterfactuals(problem), evse)
    asked = Counterfactuals(problem)
    held = asked.held(evse) if not found else None
    found += _changes(asked, problem, held, snapshot, evse)
    if asked.share_a(evse) == 0.0 or load.max_a == 0.0:
        found += _its_turn(asked, problem, snapshot, memory, policy, evse)
    changes = sorted(
        (c for c in found if c.gain_a >= WORTH_TELLING_A),
        key=lambda c: (-round(c.gain_a, 3), c.text),
    )
    if held is None:
        return Explanation(evse=evse, text=_text(reason, None, changes), changes=tuple(changes))
    return Explanation(
        evse=evse,
        text=_text(reason, held, changes),
        held_by=tuple(_held_by(row) for row in held.rows),
        marginal_factor=held.marginal_factor,
        missing_a=held.missing_a if held.missing_a > 0 else None,
        shared_with=tuple(EvseId(x) for x in held.shared_with),
        changes=tuple(changes),
    )


def _held_by(row: Row) -> HeldBy:
    phase = row.phase.value if row.phase is not None else None
    if phase is not None and row.against is not None:
        phase = f"{phase}-{row.against.value}"
    return HeldBy(subject=row.node, phase=phase)


# --- what would change it ---------------------------------------------------------------------------


def _unguided(snapshot: Snapshot, evse: EvseId) -> Snapshot:
    """Return the snapshot as if the plan asked nothing of an EVSE but its place among the others."""
    guidance = snapshot.guidance
    asked = replace(guidance.evse(evse), target_a=None, cap_a=None)
    return replace(snapshot, guidance=replace(guidance, evses={**guidance.evses, evse: asked}))


def _without_plan(asked: Counterfactuals, evse: EvseId) -> Iterator[Change]:
    """Yield what an EVSE would get in its place in line that the plan lets wait all the same."""
    gain_a = asked.share_a(evse)
    if gain_a >= WORTH_TELLING_A:
        text = f"+{gain_a:.1f} A if the plan did not let it wait for others"
        yield Change(kind=ChangeKind.NO_PLAN, gain_a=gain_a, text=text)


def _its_turn(
    asked: Counterfactuals,
    problem: Problem,
    snapshot: Snapshot,
    memory: Memory,
    policy: Policy,
    evse: EvseId,
) -> Iterator[Change]:
    """Yield what it gets once it has stood in line for the bound: then it goes first."""
    in_line_s = memory.turn(evse).in_line_s
    if in_line_s is None or asked.load(evse).max_a == 0.0:
        return
    left_s = in_line_s + policy.max_wait_s - snapshot.now_s
    if left_s <= 0:
        return
    at = snapshot.at + timedelta(seconds=left_s)
    gain_a = asked.share_a(evse) + _first_in_line(asked, problem, evse).gain_a
    local = at.astimezone(ZoneInfo(snapshot.site.timezone))
    text = f"+{gain_a:.1f} A from {local:%H:%M} on, when it goes before all who have waited less"
    yield Change(kind=ChangeKind.ITS_TURN, gain_a=gain_a, text=text, at=at)


def _changes(
    asked: Counterfactuals,
    problem: Problem,
    held: Held | None,
    snapshot: Snapshot,
    evse: EvseId,
) -> Iterator[Change]:
    if held is not None:
        yield from _larger_limits(asked, held, snapshot, evse)
        yield _first_in_line(asked, problem, evse)
        yield _nobody_else(asked, problem, held, evse)
    yield from _without_maximum(asked, snapshot, evse)


def _larger_limits(
    asked: Counterfactuals, held: Held, snapshot: Snapshot, evse: EvseId
) -> Iterator[Change]:
    """Ask for the next usual rating of each circuit that holds it."""
    for name in dict.fromkeys(row.node for row in held.rows if row.phase is not None):
        circuit = snapshot.site.circuits.get(CircuitId(name))
        if circuit is None:
            continue
        now_a = min(circuit.limit_a)
        next_a = next((a for a in RATINGS_A if a > now_a), None)
        if next_a is None:
            continue
        rating = PhaseCurrents.balanced(next_a).highest(circuit.limit_a)
        gain_a = asked.gain_a(evse, asked.with_available(name, rating - circuit.limit_a))
        yield Change(
            kind=ChangeKind.LARGER_LIMIT,
            gain_a=gain_a,
            text=f"+{gain_a:.1f} A if {name} were {next_a:g} A",
            circuit=circuit.id,
            limit_a=float(next_a),
        )


def _first_in_line(asked: Counterfactuals, problem: Problem, evse: EvseId) -> Change:
    first = min(load.rank for load in problem.loads) - 1
    gain_a = asked.gain_a(evse, asked.with_load(replace(asked.load(evse), rank=first)))
    return Change(
        kind=ChangeKind.FIRST_IN_LINE,
        gain_a=gain_a,
        text=f"+{gain_a:.1f} A with the highest priority",
    )


def _nobody_else(asked: Counterfactuals, problem: Problem, held: Held, evse: EvseId) -> Change:
    others = set(held.shared_with)
    gone = tuple(replace(x, min_a=0.0, max_a=0.0) if x.id in others else x for x in problem.loads)
    gain_a = asked.gain_a(evse, replace(problem, loads=gone))
    return Change(
        kind=ChangeKind.NOBODY_ELSE,
        gain_a=gain_a,
        text=f"+{gain_a:.1f} A once nobody else charges there",
    )


def _without_maximum(asked: Counterfactuals, snapshot: Snapshot, evse: EvseId) -> Iterator[Change]:
    configured = snapshot.site.evse(evse)
    override = snapshot.overrides.evses.get(evse)
    if configured is None or override is None or override.max_a is None:
        return
    load = asked.load(evse)
    if load.max_a < override.max_a:
        return  # held lower by something else
    gain_a = asked.gain_a(evse, asked.with_load(replace(load, max_a=configured.max_a)))
    yield Change(
        kind=ChangeKind.NO_OPERATOR_MAXIMUM,
        gain_a=gain_a,
        text=f"+{gain_a:.1f} A without the operator's maximum",
    )


# --- in words ---------------------------------------------------------------------------------------


def _text(reason: str, held: Held | None, changes: list[Change]) -> str:
    parts = [reason]
    if held is not None:
        parts.append(_shared_text(held))
        if held.missing_a > 0:
            parts.append(f"It can start when {held.missing_a:.1f} A more are free there.")
        else:
            parts.append(f"One ampere more there would give it {held.marginal_factor:.2f} A.")
    if changes:
        parts.append("; ".join(change.text for change in changes) + ".")
    return " ".join(parts)


def _shared_text(held: Held) -> str:
    nodes = dict.fromkeys(row.node for row in held.rows)
    where = " and ".join(_rows_text([x for x in held.rows if x.node == node]) for node in nodes)
    if not held.shared_with:
        return f"Nobody else charges on {where}."
    named = ", ".join(held.shared_with[:NAMED])
    more = len(held.shared_with) - NAMED
    return f"It shares {where} with {named}{f' and {more} more' if more > 0 else ''}."


def _rows_text(rows: Sequence[Row]) -> str:
    """Name the rows of one circuit: `garage-a L1`, or `garage-a (L1, L2, L3)`."""
    if len(rows) == 1:
        return _row_text(rows[0])
    phases = ", ".join(_row_text(row).removeprefix(row.node).strip() for row in rows)
    return f"{rows[0].node} ({phases})"


def _row_text(row: Row) -> str:
    if row.phase is None:
        return "the site's surplus" if row.node.startswith("surplus:") else row.node
    if row.against is not None:
        return f"{row.node} {row.phase.name} against {row.against.name}"
    return f"{row.node} {row.phase.name}"
