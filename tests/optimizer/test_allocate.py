from __future__ import annotations

from dataclasses import replace

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer import allocate as module
from optimizer import lp
from optimizer.admission import Admission
from optimizer.allocate import NOTHING_SAFE, Allocator
from optimizer.arrays import Floats
from optimizer.check import check
from optimizer.phases import PhaseCurrents
from optimizer.problem import Allocation, Binding, BindingCause, Method, Problem
from optimizer.solver import KeptProgram
from tests.optimizer.sites import L1, L2, MANY, a_car, a_node, a_site, posed, sites


def allocated(problem: Problem) -> Allocation:
    return Allocator().allocate(problem, deadline_s=5)


def held_by(node: str, phase: object) -> Binding:
    return Binding(node=node, phase=phase, cause=BindingCause.NODE)  # type: ignore[arg-type]


THREE = a_site(a_node(a=(23, 53, 53)), *map(a_car, "abc"))


def test_three_cars_share_what_l1_leaves() -> None:
    assert allocated(THREE).current_a == {"a": 7.7, "b": 7.7, "c": 7.6}


def test_the_lp_answers() -> None:
    assert (allocated(THREE).method, allocated(THREE).note) == (Method.LP, "")


def test_every_car_is_told_that_l1_is_full() -> None:
    assert {x: held_by("main", L1) for x in "abc"} == allocated(THREE).binding


def test_each_car_learns_what_holds_it() -> None:
    problem = a_site(
        a_node("main", a=100),
        a_node("garage-a", parent="main", a=(40, 15, 40)),
        a_car("a1", node="garage-a"),
        a_car("a2", node="garage-a"),
        a_car("b1", max_a=16),
        a_car("b2", min_a=40, max_a=80, rank=1),
    )
    assert {
        "a1": held_by("garage-a", L2),
        "a2": held_by("garage-a", L2),
        "b1": Binding(node=None, phase=None, cause=BindingCause.OWN_MAXIMUM),
        "b2": held_by("main", L1),
    } == allocated(problem).binding


def test_a_site_without_anything_is_answered() -> None:
    assert allocated(a_site()).current_a == {}


def test_a_site_already_over_gives_nothing_and_says_where() -> None:
    answer = allocated(a_site(a_node(a=(-3, 20, 20)), a_car("a"), a_car("b", phases=(L2,))))
    assert answer.current_a == {"a": 0.0, "b": 20.0}
    refused = Binding(node="main", phase=L1, cause=BindingCause.NOT_ADMITTED)
    assert refused == answer.binding["a"]


class _Lp:
    """A solver that answers what it is told."""

    def __init__(self, share_a: float) -> None:
        self._share_a = share_a

    def share(self, admission: Admission, *, deadline_s: float) -> Floats:
        return numpy.full(len(admission.admitted), self._share_a)


def test_without_time_filling_answers_and_says_why() -> None:
    answer = Allocator().allocate(THREE, deadline_s=0)
    assert (answer.method, answer.note) == (Method.FILLING, "SolverError: the deadline passed")
    assert allocated(THREE).current_a == answer.current_a


@pytest.mark.parametrize("share_a", [32.0, 1e9, float("nan"), float("inf")])
def test_a_wrong_share_never_leaves(share_a: float) -> None:
    allocator = Allocator()
    allocator._lp = _Lp(share_a)  # type: ignore[assignment]
    answer = allocator.allocate(THREE, deadline_s=5)
    assert Method.FILLING is answer.method
    assert check(THREE, answer.current_a) == ()


def test_when_no_method_passes_everything_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    def nearest(admission: Admission, share_a: Floats) -> Floats:
        return numpy.round(share_a + 0.05, 1)

    monkeypatch.setattr(module, "quantise", nearest)
    answer = allocated(THREE)
    assert answer.current_a == {"a": 0.0, "b": 0.0, "c": 0.0}
    assert (answer.method, answer.note.startswith(NOTHING_SAFE)) == (Method.FILLING, True)


def test_whatever_the_solver_raises_filling_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> float:
        raise RuntimeError("lost licence")

    monkeypatch.setattr(KeptProgram, "solve", broken)
    answer = allocated(THREE)
    expected = (Method.FILLING, "SolverError: RuntimeError: lost licence")
    assert expected == (answer.method, answer.note)


def test_an_lp_that_forgets_a_phase_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted defect that a fallback would hide: only L2 and L3 limit."""
    original = lp._Model.load_bounds

    def without_l1(model: lp._Model, admission: Admission, fair_a: Floats) -> None:
        original(model, admission, fair_a)
        model.program.highs.changeRowBounds(int(model.limit[0]), -1e30, 1e30)

    monkeypatch.setattr(lp._Model, "load_bounds", without_l1)
    answer = allocated(THREE)
    assert Method.FILLING is answer.method
    assert "overfill main,L1" in answer.note


@MANY
@given(sites())
def test_the_lp_answers_and_the_answer_passes_the_check(problem: Problem) -> None:
    answer = allocated(problem)
    assert (answer.method, answer.note) == (Method.LP, "")
    assert check(problem, answer.current_a) == ()
    assert {x.id for x in problem.loads} == set(answer.binding)


@MANY
@given(st.data(), sites())
def test_the_order_of_nodes_and_loads_changes_nothing(
    data: st.DataObject, problem: Problem
) -> None:
    shuffled = Problem(
        nodes=tuple(data.draw(st.permutations(problem.nodes))),
        loads=tuple(data.draw(st.permutations(problem.loads))),
    )
    assert allocated(problem) == allocated(shuffled)


@MANY
@given(sites())
def test_nobody_is_at_zero_while_its_minimum_fits_beside_all_others(problem: Problem) -> None:
    current_a = dict(allocated(problem).current_a)
    for load in problem.loads:
        if current_a[load.id] == 0 and load.min_a > 0 and load.max_a >= 10:
            steps = -(-load.min_a // load.step_a) + 1
            more = {**current_a, load.id: round(steps * load.step_a, 6)}
            assert check(problem, more) != ()


@MANY
@given(sites())
def test_one_more_step_for_anyone_would_break_a_limit(problem: Problem) -> None:
    answer = allocated(problem)
    for load in problem.loads:
        value_a = answer.current_a[load.id]
        if value_a > 0 and value_a + load.step_a <= load.max_a:
            more = {**answer.current_a, load.id: round(value_a + load.step_a, 6)}
            assert check(problem, more) != ()


@MANY
@given(sites())
def test_a_binding_names_a_row_without_a_step_left(problem: Problem) -> None:
    answer = allocated(problem)
    tree = posed(problem).tree
    slack_a = list(tree.available_a)
    for load, rows in zip(tree.loads, tree.rows_of, strict=True):
        for row in rows:
            slack_a[row] -= answer.current_a[load.id]
    for load, rows in zip(tree.loads, tree.rows_of, strict=True):
        binding = answer.binding[load.id]
        if binding.cause is BindingCause.NODE:
            row = next(
                r
                for r in rows
                if (tree.rows[r].node, tree.rows[r].phase) == (binding.node, binding.phase)
            )
            assert slack_a[row] < load.step_a


@settings(MANY, max_examples=80)
@given(sites(), st.data())
def test_more_at_any_node_never_lowers_the_worst_off(problem: Problem, data: st.DataObject) -> None:
    """By exact shares, per weight above the minimum; more may let one more car start."""
    if not problem.loads:
        return
    chosen = data.draw(st.sampled_from(problem.nodes))
    more_a = data.draw(st.sampled_from([0.1, 1.0, 7.5]))
    available = chosen.available + PhaseCurrents.balanced(more_a)
    nodes = tuple(replace(x, available=available) if x is chosen else x for x in problem.nodes)
    before, after = posed(problem), posed(replace(problem, nodes=nodes))
    same = before.admitted.tolist() == after.admitted.tolist()
    some = before.admitted & (before.room_a > 0)
    if not same or not some.any():
        return
    worst_off = [
        min((lp.FairShareLp().share(x, deadline_s=5) - x.base_a)[some] / x.tree.weight[some])
        for x in (before, after)
    ]
    assert worst_off[1] >= worst_off[0] - 1e-9


@pytest.mark.parametrize(
    ("a", "min_a", "max_a", "expected_a"),
    [
        (0.0, 6.0, 32.0, 0.0),  # a limit of zero
        (5.9, 6.0, 32.0, 0.0),  # a minimum that fits nowhere
        (63.0, 0.0, 0.0, 0.0),  # a car that may take nothing
        (63.0, 0.0, 4.0, 4.0),  # no minimum
        (1e6, 6.0, 32.0, 32.0),  # no limit to speak of
    ],
)
def test_extremes_have_an_answer_with_a_reason(
    a: float, min_a: float, max_a: float, expected_a: float
) -> None:
    answer = allocated(a_site(a_node(a=a), a_car("a", min_a=min_a, max_a=max_a)))
    assert (answer.method, answer.current_a["a"]) == (Method.LP, expected_a)
    assert answer.binding["a"].cause in BindingCause
