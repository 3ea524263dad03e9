"""The allocator: admission, solver, rounding, check; and what happens when one of them fails.

A solver's answer is used only after the independent check. If the solver fails or its answer
breaks a rule, progressive filling answers, and is checked too. If that breaks a rule as well, every
load gets 0: chargers then pause, which is safe, visible and an alarm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy

from optimizer.admission import Admission, admit
from optimizer.arrays import Floats
from optimizer.check import Violation, check
from optimizer.filling import fill
from optimizer.lp import FairShareLp, SolverError
from optimizer.problem import Allocation, Binding, BindingCause, Method, Problem
from optimizer.rounding import quantise
from optimizer.settling import settle
from optimizer.tree import Layout, tree_of

NOTHING_SAFE = "no method passed the check: all loads at 0"
"""Note of an allocation that gives nothing to anybody because no answer could be trusted."""

_OWN_MAXIMUM = Binding(node=None, phase=None, cause=BindingCause.OWN_MAXIMUM)


class Allocator:
    """Answers problem after problem; the answer depends on the problem only."""

    def __init__(self) -> None:
        self._lp = FairShareLp()
        self._layout: Layout | None = None

    def allocate(self, problem: Problem, *, deadline_s: float) -> Allocation:
        """Share the available current between the loads.

        Args:
            problem: Nodes and loads of this cycle.
            deadline_s: Time the solver may take before progressive filling answers. [s]

        Returns:
            A checked answer for every load. `method` is FILLING, with the reason in `note`, when
            the solver's answer could not be used; the note is `NOTHING_SAFE` when all are at 0.
        """
        tree = tree_of(problem, self._layout)
        self._layout = tree.layout
        admission = admit(tree)

        def solved() -> Floats:
            return self._lp.share(admission, deadline_s=deadline_s)

        try:
            return _answer(problem, admission, solved, Method.LP, note="")
        except (SolverError, ValueError, _BrokenRuleError) as failure:
            note = f"{type(failure).__name__.lstrip('_')}: {failure}"
        try:
            return _answer(problem, admission, lambda: fill(admission), Method.FILLING, note=note)
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
    problem: Problem,
    admission: Admission,
    share: Callable[[], Floats],
    method: Method,
    *,
    note: str,
) -> Allocation:
    """Share, round, settle and check.

    Raises:
        SolverError: If the solver gave no share.
        ValueError: If the share cannot be rounded.
        _BrokenRuleError: If the final values break a rule.
    """
    share_a = share()
    rounded_a = quantise(admission, share_a)
    final_a = rounded_a
    if problem.settle_a > 0:
        final_a = settle(admission, rounded_a, tolerance_a=problem.settle_a)
    current_a = _by_load(admission, final_a)
    violations = check(problem, current_a)
    if violations:
        raise _BrokenRuleError(violations)
    held_a = admission.tree.current_a
    return Allocation(
        current_a=current_a,
        binding=_bindings(admission, final_a),
        method=method,
        note=note,
        stages={
            "admitted": float(admission.admitted.sum()),
            "share_a": float(share_a.sum()),
            "rounded_a": float(rounded_a.sum()),
            "changed_a": float(numpy.abs(final_a - held_a).sum()),
        },
    )


def _by_load(admission: Admission, current_a: Floats) -> dict[str, float]:
    values = zip(admission.tree.loads, current_a.tolist(), strict=True)
    return {load.id: value_a for load, value_a in values}


def _nothing(admission: Admission, *, note: str) -> Allocation:
    """Give 0 to everybody."""
    nobody_a = numpy.zeros(len(admission.tree.loads))
    return Allocation(
        current_a=_by_load(admission, nobody_a),
        binding=_bindings(admission, nobody_a),
        method=Method.FILLING,
        note=note,
    )


def _bindings(admission: Admission, current_a: Floats) -> Mapping[str, Binding]:
    """Say for every load what holds it: its own maximum, or the tightest row on its path."""
    tree = admission.tree
    layout = tree.layout
    if not tree.loads:
        return {}
    slack_a = numpy.round(tree.available_a - layout.used_a(current_a), 6)
    seen_a = numpy.where(layout.entry_factor > 0, slack_a[layout.entry_row], numpy.inf)
    row = layout.first_lowest_rows(seen_a).tolist()
    at_maximum = (current_a >= admission.high * tree.step_a - 1e-9).tolist()
    found = {
        load.id: _OWN_MAXIMUM if done else layout.bindings[at]
        for load, done, at in zip(tree.loads, at_maximum, row, strict=True)
    }
    found.update(admission.refused)
    return found
