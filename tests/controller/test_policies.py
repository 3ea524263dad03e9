"""Policies by name. The figures are those of docs/policies.md."""

from __future__ import annotations

import re
from pathlib import Path

import numpy
import pytest

from controller.guidance import Guidance, guided
from controller.outlook import Place, horizon_problem
from controller.phases import Phase, PhaseCurrents
from controller.policies import PRIORITY_CLASSES, PolicyName, class_of, composed, terms_for
from controller.roster import Room, TurnRules
from controller.site import CircuitId, EvseId
from controller.timegrid import grid_from
from controller.visit import Visit
from optimizer.allocate import Allocator
from optimizer.horizon import HorizonLp
from optimizer.horizon_problem import HorizonNode
from tests.controller.builders import START
from tests.optimizer.sites import a_car, a_node, a_site

MAIN = CircuitId("main")
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "policies.md"
LIMIT_A = 32.0


def a_visit(evse: str, *, here_h: float, stay_h: float, need_ah: float, priority: int = 0) -> Visit:
    return Visit(
        evse=EvseId(evse),
        circuit=MAIN,
        phases=(Phase.L1,),
        min_a=6.0,
        max_a=20.0,
        step_a=1.0,
        stay_h=stay_h,
        need_ah=need_ah,
        here_h=here_h,
        waited_h=0.1,
        priority=priority,
    )


EXAMPLE = (
    a_visit("A", here_h=0.3, stay_h=8.0, need_ah=40.0),
    a_visit("B", here_h=0.2, stay_h=2.0, need_ah=30.0),
    a_visit("C", here_h=0.1, stay_h=6.0, need_ah=20.0, priority=PRIORITY_CLASSES["high"]),
)
"""Three vehicles that have just come, on one phase that carries 32 A."""


def shared_a(policy: PolicyName, *, price: list[float] | None = None) -> dict[str, float]:
    """Plan, compose and allocate, as the product does. [A]"""
    grid = grid_from(START)
    visits = {v.evse: v for v in EXAMPLE}
    steering = None if price is None else numpy.interp(grid.begin_h, range(len(price)), price)
    node = HorizonNode(
        id=MAIN, parent=None, available_ah=numpy.tile(LIMIT_A * grid.length_h, (3, 1))
    )
    problem = horizon_problem(
        grid,
        nodes=(node,),
        places=[Place(evse=v.evse, circuit=MAIN, phases=v.phases) for v in EXAMPLE],
        visits=visits,
        terms=terms_for(policy),
        price=steering,
    )
    plan = HorizonLp().plan(problem, deadline_s=10)
    wish_a = {e: float(plan.charge_ah[e][0] / grid.length_h[0]) for e in visits}
    asked = composed(
        policy,
        EXAMPLE,
        wish_a=wish_a if policy.looks_ahead else {},
        rooms={MAIN: Room(parent=None, available=PhaseCurrents.balanced(LIMIT_A))},
        rules=TurnRules(),
    )
    cars = [a_car(v.evse, phases=v.phases, max_a=v.max_a, step_a=v.step_a) for v in EXAMPLE]
    lowered = guided(a_site(a_node(a=LIMIT_A), *cars), Guidance(evses=asked))
    return dict(Allocator().allocate(lowered, deadline_s=5).current_a)


DEAR_NOW = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("policy", list(PolicyName), ids=lambda p: p.value)
def test_the_worked_examples_of_the_document_are_what_comes_out(policy: PolicyName) -> None:
    price = DEAR_NOW if policy.waits_for_price else None

    shared = shared_a(policy, price=price)

    row = re.search(rf"^\| `{policy.value}` \|(.*)\|$", DOCUMENT.read_text(), re.MULTILINE)
    assert row is not None, f"docs/policies.md has no row for {policy.value}"
    written = [float(cell) for cell in row.group(1).split("|")[:3]]
    assert [shared["A"], shared["B"], shared["C"]] == written


@pytest.mark.parametrize(
    ("priority", "name"),
    [(-50, "low"), (-10, "low"), (0, "normal"), (9, "normal"), (10, "high"), (99, "urgent")],
)
def test_every_priority_has_a_class(priority: int, name: str) -> None:
    assert class_of(priority) == name


def test_every_policy_fits_the_limit() -> None:
    totals = {p: sum(shared_a(p, price=DEAR_NOW).values()) for p in PolicyName}

    assert all(total <= LIMIT_A for total in totals.values())


def test_who_did_not_say_when_it_leaves_is_not_made_to_wait_for_prices() -> None:
    silent = [
        Visit(
            **{
                **{f: getattr(v, f) for f in Visit.__slots__},
                "stated": False,
            }
        )
        for v in EXAMPLE
    ]

    asked = composed(
        PolicyName.CHEAPEST,
        silent,
        wish_a={v.evse: 0.0 for v in silent},
        rooms={MAIN: Room(parent=None, available=PhaseCurrents.balanced(LIMIT_A))},
        rules=TurnRules(),
    )

    assert all(a.cap_a is None for a in asked.values())
    assert sum(a.target_a or 0 for a in asked.values()) == LIMIT_A
