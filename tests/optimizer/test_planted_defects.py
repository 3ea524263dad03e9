"""Mistakes that programs make, planted in one stage at a time: a test of that stage alone finds each.

The allocator as a whole would hide some of them, because the checker falls back to another method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy
import pytest

from optimizer import check as checking
from optimizer import lp as programs
from optimizer.admission import Admission, admit
from optimizer.arrays import Floats
from optimizer.check import Violation, check
from optimizer.filling import fill
from optimizer.levels import fair_above
from optimizer.lp import FairShareLp
from optimizer.phases import Phase, PhaseCurrents
from optimizer.problem import Node, Problem
from optimizer.rounding import Rounding, quantise
from optimizer.settling import settle
from optimizer.solver import KeptProgram
from optimizer.tree import Tree, tree_of
from tests.optimizer.sites import L1, L2, a_car, a_node, a_site

Stage = Callable[..., Any]

SITE = a_site(
    a_node("main", a=(50, 41, 60)),
    a_node("garage-a", parent="main", a=(23, 40, 40)),
    a_car("a", node="garage-a", weight=2),
    a_car("b", node="garage-a"),
    a_car("c", node="garage-a", phases=(L1,), max_a=8.05),
    a_car("d", phases=(L2,)),
    a_car("e", step_a=1),
)
"""garage-a L1 holds a and b, its own maximum holds c, main L2 holds d and e."""


# --- one test per stage: true for the right stage --------------------------------------------------


def rows_are_right(stage: Callable[[Problem], Tree]) -> bool:
    tree = stage(SITE)
    names = [{tree.rows[row].name for row in rows} for rows in tree.rows_of]
    garage = {f"{node},{phase.name}" for node in ("garage-a", "main") for phase in Phase}
    return (
        names[0] == garage
        and names[2] == {"garage-a,L1", "main,L1"}
        and names[3] == {"main,L2"}
        and tree.available_a[tree.rows_of[3][0]] == 41
    )


def admission_is_right(stage: Callable[[Tree], Admission]) -> bool:
    scarce = a_site(a_node(a=(13, 60, 60)), a_car("a"), a_car("b", rank=-1), a_car("c", rank=-2))
    admission = stage(tree_of(scarce))
    return (
        admission.admitted.tolist() == [False, True, True]
        and admission.refused["a"].phase is L1
        and admission.left_a.tolist() == [1, 48, 48]
    )


def share_is_fair(stage: Callable[[Admission], Floats]) -> bool:
    """A has twice b's weight: 23 - 18 A above the minimums, c no more than 2 A of them."""
    share_a = dict(zip("abcde", stage(admit(tree_of(SITE))), strict=True))
    expected = {"a": 6 + 2.5, "b": 6 + 1.25, "c": 6 + 1.25, "d": 12.625, "e": 12.625}
    return share_a == pytest.approx(expected)


def rounding_is_right(stage: Callable[[Admission, Floats], Floats]) -> bool:
    site = a_site(a_node(a=23), *map(a_car, "abc"))
    values = stage(admit(tree_of(site)), numpy.full(3, 23 / 3)).tolist()
    return values == [7.7, 7.7, 7.6]


def settling_is_right(stage: Stage) -> bool:
    cars = (a_car("a", current_a=7.9), a_car("b", current_a=7.5), a_car("c", current_a=7.6))
    admission = admit(tree_of(a_site(a_node(a=23), *cars)))
    kept = stage(admission, numpy.array([7.7, 7.7, 7.6]), tolerance_a=0.5).tolist()
    full = (a_car("a", current_a=8.0), a_car("b", current_a=7.6))
    admission = admit(tree_of(a_site(a_node(a=15.4), *full)))
    bound = stage(admission, numpy.array([7.7, 7.7]), tolerance_a=0.5)
    return kept == [7.9, 7.5, 7.6] and bound.sum() <= 15.4 + 1e-9


def judge_is_right(stage: Callable[[Problem, Mapping[str, float]], tuple[Violation, ...]]) -> bool:
    good = {"a": 8.0, "b": 7.0, "c": 7.2, "d": 12.0, "e": 13.0}
    at_l1 = {**good, "b": 8.0}
    at_main_l2 = {**good, "e": 15.0}
    return (
        stage(SITE, good) == ()
        and [(x.subject, x.phase) for x in stage(SITE, at_l1)] == [("garage-a", L1)]
        and [(x.subject, x.phase) for x in stage(SITE, at_main_l2)] == [("main", L2)]
        and len(stage(SITE, {**good, "d": 5.0})) == 1
        and len(stage(SITE, {**good, "e": 12.5})) == 1
        and len(stage(SITE, {**good, "d": -12.0})) == 1
    )


def by_lp(admission: Admission) -> Floats:
    return FairShareLp().share(admission, deadline_s=5)


def by_levels(admission: Admission) -> Floats:
    return admission.base_a + fair_above(admission)


TESTS: dict[str, tuple[Callable[[Any], bool], Stage]] = {
    "tree": (rows_are_right, tree_of),
    "admission": (admission_is_right, admit),
    "levels": (share_is_fair, by_levels),
    "lp": (share_is_fair, by_lp),
    "filling": (share_is_fair, fill),
    "rounding": (rounding_is_right, quantise),
    "settling": (settling_is_right, settle),
    "check": (judge_is_right, check),
}


@pytest.mark.parametrize("stage", sorted(TESTS))
def test_the_right_stage_passes(stage: str) -> None:
    is_right, right = TESTS[stage]
    assert is_right(right)


# --- the defects ------------------------------------------------------------------------------------


def with_nodes(problem: Problem, change: Callable[[Node], Node]) -> Problem:
    return replace(problem, nodes=tuple(change(node) for node in problem.nodes))


def without_l1(problem: Problem) -> Problem:
    loads = (replace(x, phases=tuple(p for p in x.phases if p is not L1)) for x in problem.loads)
    return replace(problem, loads=tuple(x if x.phases else replace(x, phases=(L2,)) for x in loads))


def without_parents(problem: Problem) -> Problem:
    return with_nodes(problem, lambda node: replace(node, parent=None))


def with_l1_for_all(problem: Problem) -> Problem:
    return with_nodes(
        problem, lambda n: replace(n, available=PhaseCurrents.balanced(n.available.l1_a))
    )


def dropped_row(admission: Admission) -> Admission:
    """garage-a L1 does not limit."""
    left_a = admission.left_a.copy()
    left_a[0] = 1000.0
    return replace(admission, left_a=left_a)


def added_minimums(admission: Admission) -> Admission:
    """A sign error: what the minimums take is given back to the row."""
    tree = admission.tree
    return replace(admission, left_a=tree.available_a + tree.layout.used_a(admission.base_a))


def without_weights(admission: Admission) -> Admission:
    tree = admission.tree
    return replace(admission, tree=replace(tree, weight=numpy.ones(len(tree.loads))))


def everybody(tree: Tree) -> Admission:
    """Admission skipped."""
    roomy = replace(tree, available_a=tree.available_a + 1000)
    admission = admit(roomy)
    return replace(admission, tree=tree, left_a=numpy.maximum(0, admission.left_a - 1000))


def by_id_only(tree: Tree) -> Admission:
    return admit(replace(tree, rank=numpy.zeros(len(tree.loads))))


def only_one_phase(tree: Tree) -> Admission:
    available_a = tree.available_a.copy()
    available_a[0] = 60
    return admit(replace(tree, available_a=available_a))


def flipped_row(admission: Admission) -> Floats:
    """The limit becomes a floor: the sum must be at least what is left."""
    original = KeptProgram.bound_rows

    def flipped(program: KeptProgram, rows: Any, lower: Floats, upper: Floats) -> None:
        original(program, rows, upper, -lower)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KeptProgram, "bound_rows", flipped)
        return by_lp(admission)


def level_stage_skipped(admission: Admission) -> Floats:
    """Without fair levels the program still fits, but who gets what is left to chance."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs, "fair_above", lambda x: numpy.zeros(len(x.admitted)))
        return by_lp(admission)


def floor_only(admission: Admission, share_a: Floats) -> Floats:
    """The stage that hands out what is left over is skipped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rounding, "hand_out", lambda self: None)
        return quantise(admission, share_a)


def to_nearest(admission: Admission, share_a: Floats) -> Floats:
    return numpy.round(share_a, 1)


def upwards(admission: Admission, share_a: Floats) -> Floats:
    return numpy.ceil(share_a * 10) / 10


def kept_at_any_price(admission: Admission, rounded_a: Floats, *, tolerance_a: float) -> Floats:
    """What is held is kept without asking whether it fits."""
    held_a = admission.tree.current_a
    return numpy.where(numpy.abs(held_a - rounded_a) <= tolerance_a, held_a, rounded_a)


def not_settled(admission: Admission, rounded_a: Floats, *, tolerance_a: float) -> Floats:
    return rounded_a


def blind_on_l1(problem: Problem, current_a: Mapping[str, float]) -> tuple[Violation, ...]:
    return tuple(x for x in check(problem, current_a) if x.phase is not L1)


def magnitudes(problem: Problem, current_a: Mapping[str, float]) -> tuple[Violation, ...]:
    """A sign error: negative values count as positive ones."""
    return check(problem, {load: abs(value_a) for load, value_a in current_a.items()})


def without_steps(problem: Problem, current_a: Mapping[str, float]) -> tuple[Violation, ...]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "OFF_STEP_TOLERANCE_A", 1.0)
        return check(problem, current_a)


DEFECTS: dict[str, tuple[str, Stage]] = {
    "tree: a phase dropped": ("tree", lambda p: tree_of(without_l1(p))),
    "tree: ancestors forgotten": ("tree", lambda p: tree_of(without_parents(p))),
    "tree: one phase's limit for all": ("tree", lambda p: tree_of(with_l1_for_all(p))),
    "admission: a phase dropped": ("admission", only_one_phase),
    "admission: skipped": ("admission", everybody),
    "admission: rank ignored": ("admission", by_id_only),
    "admission: minimums added": ("admission", lambda t: added_minimums(admit(t))),
    "levels: a phase dropped": ("levels", lambda a: by_levels(dropped_row(a))),
    "levels: minimums added": ("levels", lambda a: by_levels(added_minimums(a))),
    "levels: weights ignored": ("levels", lambda a: by_levels(without_weights(a))),
    "lp: a phase dropped": ("lp", lambda a: by_lp(dropped_row(a))),
    "lp: a sign error in a row": ("lp", flipped_row),
    "lp: fair levels skipped": ("lp", level_stage_skipped),
    "lp: weights ignored": ("lp", lambda a: by_lp(without_weights(a))),
    "filling: a phase dropped": ("filling", lambda a: fill(dropped_row(a))),
    "filling: minimums added": ("filling", lambda a: fill(added_minimums(a))),
    "filling: weights ignored": ("filling", lambda a: fill(without_weights(a))),
    "rounding: to the nearest": ("rounding", to_nearest),
    "rounding: upwards": ("rounding", upwards),
    "rounding: the rest not handed out": ("rounding", floor_only),
    "settling: skipped": ("settling", not_settled),
    "settling: limits not asked": ("settling", kept_at_any_price),
    "check: a phase dropped": ("check", blind_on_l1),
    "check: ancestors forgotten": ("check", lambda p, x: check(without_parents(p), x)),
    "check: a sign error": ("check", magnitudes),
    "check: steps skipped": ("check", without_steps),
}


@pytest.mark.parametrize("defect", sorted(DEFECTS))
def test_the_stages_own_test_finds_it(defect: str) -> None:
    stage, broken = DEFECTS[defect]
    assert not _passes(TESTS[stage][0], broken)


def _passes(is_right: Callable[[Any], bool], stage: Stage) -> bool:
    """Tell whether a stage passes its test; raising is failing."""
    try:
        return is_right(stage)
    except (ValueError, RuntimeError, KeyError, IndexError):
        return False
