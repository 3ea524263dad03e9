"""The allocator: admission, solver, rounding, check; and what happens when one of them fails.

A solver's answer is used only after the independent check. If the solver fails or its answer
breaks a rule, progressive filling answers, and is checked too. If that breaks a rule as well, every
load gets 0: chargers then pause, which is safe, visible and an alarm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from optimizer.admission import Admission, admit
from optimizer.check import Violation, check
from optimizer.filling import fill
from optimizer.lp import FairShareLp, SolverError
from optimizer.problem import Allocation, Binding, BindingCause, Load, Method, Problem
from optimizer.rounding import quantise
from optimizer.steps import amperes, highest_count
from optimizer.tree import Tree, tree_of

NOTHING_SAFE = "no method passed the check: all loads at 0"
"""Note of an allocation that gives nothing to anybody because no answer could be trusted."""


class Allocator:
    """Answers problem after problem; the answer depends on the problem only."""

    def __init__(self) -> None:
        self._lp = FairShareLp()

    def allocate(self, problem: Problem, *, deadline_s: float) -> Allocation:
        """Share the available current between the loads.

        Args:
            problem: Nodes and loads of this cycle.
            deadline_s: Time the solver may take before progressive filling answers. [s]

        Returns:
            A checked answer for every load. `method` is FILLING, with the reason in `note`, when
            the solver's answer could not be used; the note is `NOTHING_SAFE` when all are at 0.
        """
        admission = admit(tree_of(problem))
        try:
            share_a = self._lp.share(admission, deadline_s=deadline_s)
            return _answer(problem, admission, share_a, Method.LP, note="")
        except (SolverError, ValueError, _BrokenRuleError) as failure:
            note = f"{type(failure).__name__.lstrip('_')}: {failure}"
        try:
            return _answer(problem, admission, fill(admission), Method.FILLING, note=note)
        except (ValueError, _BrokenRuleError) as failure:
            return _nothing(admission, note=f"{NOTHING_SAFE}; {note}; {failure}")


class _BrokenRuleError(RuntimeError):
    """An answer did not pass the check."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        first = violations[0]
        where = f"{first.subject} {first.phase.name}" if first.phase else first.subject
        super().__init__(
            f"{len(violations)} rules broken, first: {first.rule.value} at {where}"
            f" by {first.excess_a:.6f} A"
        )


def _answer(
    problem: Problem, admission: Admission, share_a: Sequence[float], method: Method, *, note: str
) -> Allocation:
    """Round and check a share.

    Raises:
        _BrokenRuleError: If the rounded values break a rule.
    """
    loads = admission.tree.loads
    rounded_a = quantise(admission, share_a)
    current_a = {load.id: value for load, value in zip(loads, rounded_a, strict=True)}
    violations = check(problem, current_a)
    if violations:
        raise _BrokenRuleError(violations)
    return Allocation(
        current_a=current_a,
        binding=_bindings(admission, rounded_a),
        method=method,
        note=note,
        stages={"admitted": float(sum(admission.admitted)), "share_a": sum(share_a)},
    )


def _nothing(admission: Admission, *, note: str) -> Allocation:
    """Give 0 to everybody."""
    nobody_a = [0.0] * len(admission.tree.loads)
    return Allocation(
        current_a={load.id: 0.0 for load in admission.tree.loads},
        binding=_bindings(admission, nobody_a),
        method=Method.FILLING,
        note=note,
    )


def _bindings(admission: Admission, current_a: Sequence[float]) -> Mapping[str, Binding]:
    """Say for every load what holds it: its own maximum, or the tightest row on its path."""
    tree = admission.tree
    slack_a = list(tree.available_a)
    for rows, value_a in zip(tree.rows_of, current_a, strict=True):
        for row in rows:
            slack_a[row] -= value_a
    return {
        load.id: admission.refused.get(load.id) or _binding(tree, i, load, current_a[i], slack_a)
        for i, load in enumerate(tree.loads)
    }


def _binding(
    tree: Tree, index: int, load: Load, value_a: float, slack_a: Sequence[float]
) -> Binding:
    if value_a >= amperes(load.step_a, highest_count(load)):
        return Binding(node=None, phase=None, cause=BindingCause.OWN_MAXIMUM)
    tightest = min(tree.rows_of[index], key=lambda row: round(slack_a[row], 6))
    row = tree.rows[tightest]
    return Binding(node=row.node, phase=row.phase, cause=BindingCause.NODE)
