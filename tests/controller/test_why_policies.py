"""Under every policy the limit that is named really binds: one ampere more there, and it gets more."""

from __future__ import annotations

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.guidance import Guidance, guided
from controller.outlook import Place, horizon_problem
from controller.phases import PHASES, Phase, PhaseCurrents, PhaseSet
from controller.policies import PolicyName, composed, terms_for
from controller.roster import Room, TurnRules
from controller.site import CircuitId, EvseId
from controller.timegrid import grid_from
from controller.visit import Visit
from optimizer.counterfactual import Counterfactuals
from optimizer.horizon import HorizonLp
from optimizer.horizon_problem import HorizonNode
from optimizer.problem import Problem
from tests.controller.builders import START
from tests.optimizer.sites import a_car, a_node, a_site

SOME = settings(max_examples=25, derandomize=True, deadline=None, database=None)
MAIN, GARAGE = CircuitId("main"), CircuitId("garage")
GAIN_A = 1e-6
GRID = grid_from(START)
DEAR_NOW = numpy.interp(GRID.begin_h, range(4), [1.0, 1.0, 0.0, 0.0])
_PHASES: tuple[PhaseSet, ...] = (PHASES, PHASES, (Phase.L1,), (Phase.L2,), (Phase.L3, Phase.L1))


@st.composite
def visits(draw: st.DrawFn) -> list[Visit]:
    """Vehicles of all kinds, some of them on, some waiting for their turn."""
    found = []
    for number in range(draw(st.integers(1, 6))):
        held_a = draw(st.sampled_from([0.0, 0.0, 6.0, 10.0]))
        found.append(
            Visit(
                evse=EvseId(f"cp{number}/1"),
                circuit=draw(st.sampled_from([MAIN, GARAGE])),
                phases=draw(st.sampled_from(_PHASES)),
                min_a=6.0,
                max_a=draw(st.sampled_from([6.0, 16.0, 32.0])),
                step_a=draw(st.sampled_from([0.1, 1.0])),
                stay_h=draw(st.sampled_from([0.5, 2.0, 9.0])),
                need_ah=draw(st.sampled_from([3.0, 30.0, 90.0])),
                taken_ah=draw(st.sampled_from([0.0, 10.0])),
                held_a=held_a,
                ran_h=draw(st.sampled_from([0.1, 2.0])) if held_a else 0.0,
                waited_h=0.0 if held_a else draw(st.sampled_from([0.1, 0.8, 1.3])),
                here_h=number * 0.1 + 1.5,
                priority=draw(st.sampled_from([-10, 0, 0, 10])),
            )
        )
    return found


def guided_problem(
    policy: PolicyName, present: list[Visit], main_a: float, garage_a: float
) -> Problem:
    """Plan, compose and guide, as the product does."""
    limits_a = {MAIN: main_a, GARAGE: garage_a}
    rooms = {
        c: Room(parent=None if c is MAIN else MAIN, available=PhaseCurrents.balanced(limits_a[c]))
        for c in limits_a
    }
    by_evse = {v.evse: v for v in present}
    wish_a = {}
    if policy.looks_ahead:
        nodes = tuple(
            HorizonNode(
                id=c,
                parent=None if c is MAIN else MAIN,
                available_ah=numpy.tile(a * GRID.length_h, (3, 1)),
            )
            for c, a in limits_a.items()
        )
        asked = horizon_problem(
            GRID,
            nodes=nodes,
            places=[Place(evse=v.evse, circuit=v.circuit, phases=v.phases) for v in present],
            visits=by_evse,
            terms=terms_for(policy),
            price=DEAR_NOW if policy.waits_for_price else None,
        )
        plan = HorizonLp().plan(asked, deadline_s=10)
        wish_a = {e: float(plan.charge_ah[e][0] / GRID.length_h[0]) for e in by_evse}
    guidance = composed(policy, present, wish_a=wish_a, rooms=rooms, rules=TurnRules())
    cars = [
        a_car(v.evse, node=v.circuit, phases=v.phases, max_a=v.max_a, step_a=v.step_a)
        for v in present
    ]
    site = a_site(a_node(a=main_a), a_node("garage", parent="main", a=garage_a), *cars)
    return guided(site, Guidance(evses=guidance, policy=policy.value))


@pytest.mark.parametrize("policy", list(PolicyName), ids=lambda p: p.value)
@SOME
@given(
    present=visits(),
    main_a=st.sampled_from([4.0, 13.0, 32.0, 63.0]),
    garage_a=st.sampled_from([7.0, 20.0, 40.0]),
)
def test_raising_what_holds_an_evse_gives_it_more_under_every_policy(
    policy: PolicyName, present: list[Visit], main_a: float, garage_a: float
) -> None:
    """Of those that wait too, whoever is ahead of them in line."""
    asked = Counterfactuals(guided_problem(policy, present, main_a, garage_a))
    for visit in present:
        held = asked.held(visit.evse)
        if held is None:
            continue
        rows = [i for i, row in enumerate(asked._tree.rows) if row in held.rows]
        more_a = max(1.0, held.missing_a + 1e-6)
        gain_a = asked.gain_a(visit.evse, asked.raised(rows, more_a))
        assert gain_a > GAIN_A, (visit.evse, held)


@pytest.mark.parametrize("policy", list(PolicyName), ids=lambda p: p.value)
@SOME
@given(
    present=visits(), main_a=st.sampled_from([13.0, 32.0]), garage_a=st.sampled_from([7.0, 20.0])
)
def test_who_is_held_by_nothing_has_what_policy_and_charger_allow(
    policy: PolicyName, present: list[Visit], main_a: float, garage_a: float
) -> None:
    """At its maximum, or one that the policy lets wait: its maximum is 0 then."""
    problem = guided_problem(policy, present, main_a, garage_a)
    asked = Counterfactuals(problem)
    for load in problem.loads:
        if asked.held(load.id) is None:
            assert asked.share_a(load.id) >= load.max_a - load.step_a
