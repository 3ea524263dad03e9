"""The horizon program: the best use of hours to come."""

from __future__ import annotations

from dataclasses import replace

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.horizon import HorizonError, HorizonLp
from optimizer.horizon_problem import HorizonLoad, HorizonNode, HorizonPlan, HorizonProblem
from optimizer.phases import PHASES, Phase, PhaseSet

SOME = settings(max_examples=100, derandomize=True, deadline=None, database=None)

SLOTS = 4


def a_node(
    id: str = "main", *, parent: str | None = None, ah: float = 10.0, total_ah: float | None = None
) -> HorizonNode:
    return HorizonNode(
        id=id,
        parent=parent,
        available_ah=numpy.full((3, SLOTS), ah),
        total_ah=None if total_ah is None else numpy.full(SLOTS, total_ah),
    )


def a_load(
    id: str = "a",
    *,
    node: str = "main",
    phases: PhaseSet = (Phase.L1,),
    ceiling_ah: float = 10.0,
    stay: int = SLOTS,
    need_ah: float = 20.0,
    worth: float = 1.0,
    first_ah: float = 0.0,
    held_ah: float = 0.0,
    change: float = 0.0,
) -> HorizonLoad:
    ceiling = numpy.where(numpy.arange(SLOTS) < stay, ceiling_ah, 0.0)
    return HorizonLoad(
        id=id,
        node=node,
        phases=phases,
        ceiling_ah=ceiling,
        need_ah=need_ah,
        worth=worth * (1 - 0.1 * numpy.arange(SLOTS) / stay),
        first_ah=first_ah,
        first_worth_per_ah=2.0 if first_ah else 0.0,
        held_ah=held_ah,
        change_cost_per_ah=change,
    )


def planned(*parts: HorizonNode | HorizonLoad) -> HorizonPlan:
    return HorizonLp().plan(a_problem(*parts), deadline_s=10)


def a_problem(*parts: HorizonNode | HorizonLoad) -> HorizonProblem:
    return HorizonProblem(
        n_slots=SLOTS,
        nodes=tuple(x for x in parts if isinstance(x, HorizonNode)),
        loads=tuple(x for x in parts if isinstance(x, HorizonLoad)),
    )


def test_whoever_leaves_first_goes_first() -> None:
    plan = planned(a_node(), a_load("early", stay=2), a_load("late"))

    assert pytest.approx(plan.charge_ah["early"]) == [10, 10, 0, 0]
    assert pytest.approx(plan.charge_ah["late"]) == [0, 0, 10, 10]


def test_nobody_gets_more_than_it_needs() -> None:
    plan = planned(a_node(), a_load(need_ah=13.0))

    assert plan.charge_ah["a"].sum() == pytest.approx(13.0)


def test_the_first_part_of_a_need_goes_before_the_rest_of_anothers() -> None:
    rich, poor = a_load("rich", worth=1.5, need_ah=40), a_load("poor", first_ah=5.0, need_ah=40)

    plan = planned(a_node(), rich, poor)

    assert plan.charge_ah["poor"].sum() == pytest.approx(5.0)


def test_a_limit_stays_where_moving_it_gains_less_than_it_costs() -> None:
    one, other = a_load("one", held_ah=0.0, worth=1.01, change=0.5), a_load("other", held_ah=10.0)
    other = replace(other, change_cost_per_ah=0.5)

    plan = planned(a_node(), one, other)

    assert plan.charge_ah["other"][0] == pytest.approx(10.0)


def test_dear_slots_are_left_out_when_the_need_fits_elsewhere() -> None:
    load = replace(a_load(need_ah=20.0), worth=numpy.array([0.2, 0.9, 0.9, 0.2]))

    plan = planned(a_node(), load)

    assert pytest.approx(plan.charge_ah["a"]) == [0, 10, 10, 0]


def test_a_total_holds_all_phases_together() -> None:
    loads = [a_load(p.name, phases=(p,), need_ah=99) for p in PHASES]

    plan = planned(a_node(total_ah=12.0), *loads)

    assert sum(x for x in plan.charge_ah.values()) == pytest.approx(numpy.full(SLOTS, 12.0))


def test_a_priced_total_is_exceeded_only_for_what_is_worth_more() -> None:
    node = replace(a_node(total_ah=4.0), excess_cost=numpy.array([5.0, 5.0, 0.1, 5.0]))

    plan = planned(node, a_load(need_ah=99))

    assert pytest.approx(plan.excess_ah["main"]) == [0, 0, 6, 0]


def test_a_full_circuit_has_a_price() -> None:
    plan = planned(a_node(ah=100), a_node("hall", parent="main", ah=3), a_load(node="hall"))

    assert plan.price["main"].max() == pytest.approx(0.0)
    assert plan.price["hall"][0].min() > 0.5


def test_an_empty_site_has_an_empty_plan() -> None:
    assert planned(a_node()).charge_ah == {}


def test_no_time_is_an_error_with_a_reason() -> None:
    loads = [a_load(f"l{n:03d}", stay=1 + n % SLOTS, need_ah=3 + n) for n in range(60)]

    with pytest.raises(HorizonError, match="deadline"):
        HorizonLp().plan(a_problem(a_node(ah=50), *loads), deadline_s=0.0)


def test_bad_numbers_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"load a: a worth is not.*load b: a value is negative"):
        a_problem(a_node(), a_load("a", worth=float("nan")), a_load("b", need_ah=-1))


loads_strategy = st.lists(
    st.tuples(
        st.sampled_from([(Phase.L1,), (Phase.L2, Phase.L3), PHASES]),
        st.sampled_from(["main", "hall"]),
        st.integers(1, SLOTS),
        st.floats(0, 40),
        st.floats(0.5, 2),
    ),
    max_size=6,
)


@SOME
@given(loads_strategy, loads_strategy, st.floats(0, 30), st.floats(0, 30))
def test_a_kept_model_answers_as_a_new_one_and_fits_every_limit(
    before: list[tuple[PhaseSet, str, int, float, float]],
    after: list[tuple[PhaseSet, str, int, float, float]],
    main_ah: float,
    hall_ah: float,
) -> None:
    nodes = (a_node(ah=main_ah), a_node("hall", parent="main", ah=hall_ah))
    kept = HorizonLp()
    problem = a_problem(*nodes)
    for cars in (before, after):
        loads = [
            a_load(f"l{n}", phases=p, node=node, stay=stay, need_ah=need, worth=worth)
            for n, (p, node, stay, need, worth) in enumerate(cars)
        ]
        problem = a_problem(*nodes, *loads)
        kept.plan(replace(problem, loads=tuple(loads)), deadline_s=10)

    plan = kept.plan(problem, deadline_s=10)

    assert HorizonLp().plan(problem, deadline_s=10).value == pytest.approx(plan.value, abs=1e-6)
    for phase in PHASES:
        flow = sum(plan.charge_ah[x.id] for x in problem.loads if phase in x.phases)
        assert numpy.all(numpy.zeros(SLOTS) + flow <= main_ah + 1e-6)
