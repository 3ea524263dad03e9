"""Guidance can only lower."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.guidance import NO_GUIDANCE, EvseGuidance, Guidance, guided
from controller.phases import PhaseCurrents
from controller.site import CircuitId, EvseId
from optimizer.allocate import Allocator
from optimizer.problem import Problem
from tests.optimizer.sites import a_car, a_node, a_site

SOME = settings(max_examples=100, derandomize=True, deadline=None, database=None)


def currents_a(problem: Problem) -> dict[str, float]:
    return dict(Allocator().allocate(problem, deadline_s=5).current_a)


def asking(**evses: EvseGuidance) -> Guidance:
    return Guidance(evses={EvseId(evse): asked for evse, asked in evses.items()})


def test_no_guidance_changes_nothing() -> None:
    problem = a_site(a_node(a=32), a_car("a"), a_car("b"))

    assert guided(problem, NO_GUIDANCE) is problem


def test_targets_are_met_and_what_is_left_is_shared_in_their_proportion() -> None:
    problem = a_site(a_node(a=50), a_car("a"), a_car("b"))

    answer = currents_a(
        guided(problem, asking(a=EvseGuidance(target_a=26), b=EvseGuidance(target_a=16)))
    )

    assert answer == {"a": 31.3, "b": 18.7}


def test_a_target_keeps_its_room_from_those_that_the_plan_lets_wait() -> None:
    problem = a_site(a_node(a=30), a_car("a"), a_car("b"))

    answer = currents_a(
        guided(problem, asking(a=EvseGuidance(target_a=28), b=EvseGuidance(target_a=0, tier=1)))
    )

    assert answer == {"a": 30.0, "b": 0.0}


def test_nobody_waits_beside_room_that_no_target_needs() -> None:
    problem = a_site(a_node(a=40), a_car("a"), a_car("b"))

    answer = currents_a(
        guided(problem, asking(a=EvseGuidance(target_a=28), b=EvseGuidance(target_a=0, tier=1)))
    )

    assert answer["b"] >= 6.0


def test_lower_tiers_are_served_first() -> None:
    problem = a_site(a_node(a=8), a_car("a", rank=0), a_car("b", rank=1))

    assert currents_a(guided(problem, asking(a=EvseGuidance(tier=1)))) == {"a": 0.0, "b": 8.0}


def test_no_tier_goes_before_the_overdue() -> None:
    problem = a_site(a_node(a=8), a_car("a", rank=-1), a_car("b", rank=0))

    assert currents_a(guided(problem, asking(a=EvseGuidance(tier=9)))) == {"a": 8.0, "b": 0.0}


def test_tiers_do_not_order_the_overdue() -> None:
    problem = a_site(a_node(a=8), a_car("a", rank=-2), a_car("b", rank=-1))

    assert currents_a(guided(problem, asking(a=EvseGuidance(tier=9)))) == {"a": 8.0, "b": 0.0}


def test_no_target_keeps_room_from_the_overdue() -> None:
    problem = a_site(a_node(a=14), a_car("a", rank=-2), a_car("b", rank=-1))
    wishes = asking(a=EvseGuidance(target_a=14), b=EvseGuidance(target_a=0, tier=1))

    assert currents_a(guided(problem, wishes))["b"] >= 6.0


def test_a_cap_below_the_minimum_holds_it_at_zero() -> None:
    problem = a_site(a_node(a=32), a_car("a"))

    assert currents_a(guided(problem, asking(a=EvseGuidance(cap_a=5.9)))) == {"a": 0.0}


def test_a_circuit_cap_lowers_the_circuit() -> None:
    problem = a_site(a_node(a=32), a_car("a"))
    cap = Guidance(circuit_cap_a={CircuitId("main"): PhaseCurrents.balanced(10.0)})

    assert currents_a(guided(problem, cap)) == {"a": 10.0}


def test_a_total_cap_holds_all_phases_together() -> None:
    problem = a_site(a_node(a=32), a_car("a", phases=(a_car("x").phases[0],)))
    cap = Guidance(circuit_total_a={CircuitId("main"): 12.0})

    assert currents_a(guided(problem, cap)) == {"a": 12.0}


numbers = st.none() | st.floats(allow_nan=True, allow_infinity=True)
wishes = st.builds(
    EvseGuidance,
    target_a=numbers,
    cap_a=numbers,
    weight=st.floats(allow_nan=True, allow_infinity=True),
    tier=st.integers(-3, 3),
)


@SOME
@given(
    st.dictionaries(st.sampled_from("abc"), wishes),
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=3, max_size=3),
    st.lists(st.floats(-5, 60), min_size=2, max_size=2),
)
def test_guidance_only_lowers(
    asked: dict[str, EvseGuidance], cap_a: list[float], limits_a: list[float]
) -> None:
    problem = a_site(
        a_node(a=limits_a[0]),
        a_node("hall", parent="main", a=limits_a[1]),
        *(a_car(x, node="hall", max_a=10.0 + n) for n, x in enumerate("abc")),
    )
    cap = PhaseCurrents(l1_a=cap_a[0], l2_a=cap_a[1], l3_a=cap_a[2])
    guidance = Guidance(
        evses={EvseId(k): v for k, v in asked.items()},
        circuit_cap_a={CircuitId("hall"): cap},
        circuit_total_a={CircuitId("main"): cap_a[0]},
    )

    lowered = guided(problem, guidance)

    for was, now in zip(problem.nodes, lowered.nodes, strict=True):
        assert (now.id, now.parent) == (was.id, was.parent)
        assert now.available.fits(was.available, tolerance_a=0.0)
    for before, after in zip(problem.loads, lowered.loads, strict=True):
        assert (after.id, after.node, after.phases) == (before.id, before.node, before.phases)
        assert after.max_a <= before.max_a
        assert after.min_a == before.min_a or after.max_a == 0
        assert after.step_a == before.step_a
    assert set(problem.budgets) <= set(lowered.budgets)
    answer = Allocator().allocate(lowered, deadline_s=5)
    assert all(value <= 12.0 for value in answer.current_a.values())
