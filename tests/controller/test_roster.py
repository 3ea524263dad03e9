"""Turns: what drivers and chargers are promised."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.phases import PHASES, Phase, PhaseCurrents, PhaseSet
from controller.policy import Policy
from controller.roster import Room, TurnRules, roster, turns_within
from controller.site import CircuitId, EvseId
from controller.visit import Visit

SOME = settings(max_examples=100, derandomize=True, deadline=None, database=None)

MAIN = CircuitId("main")
RULES = TurnRules()


def a_visit(
    evse: str,
    *,
    held_a: float = 0.0,
    ran_h: float = 0.0,
    waited_h: float = 0.0,
    need_ah: float = 30.0,
    taken_ah: float = 0.0,
    pauses: int = 0,
    stay_h: float = 5.0,
    phases: PhaseSet = (Phase.L1,),
    priority: int = 0,
    max_a: float = 32.0,
) -> Visit:
    return Visit(
        evse=EvseId(evse),
        circuit=MAIN,
        phases=phases,
        min_a=6.0,
        max_a=max_a,
        step_a=1.0,
        stay_h=stay_h,
        need_ah=need_ah,
        taken_ah=taken_ah,
        held_a=held_a,
        ran_h=ran_h,
        waited_h=waited_h,
        pauses=pauses,
        priority=priority,
    )


def targets_a(*visits: Visit, room_a: float, **wish_a: float) -> dict[str, float]:
    answer = roster(
        visits,
        wish_a={EvseId(k): v for k, v in wish_a.items()},
        rooms={MAIN: Room(parent=None, available=PhaseCurrents.balanced(room_a))},
        rules=RULES,
    )
    return {evse: asked.target_a or 0.0 for evse, asked in answer.items()}


def test_who_was_just_started_goes_on_though_another_is_due() -> None:
    on = a_visit("on", held_a=6, ran_h=0.4)
    due = a_visit("due", waited_h=0.8)

    assert targets_a(on, due, room_a=6) == {"on": 6, "due": 0}


def test_whoever_has_waited_long_enough_is_served_before_those_that_are_on() -> None:
    on = a_visit("on", held_a=6, ran_h=0.5)
    due = a_visit("due", waited_h=0.75)

    assert targets_a(on, due, room_a=6) == {"on": 0, "due": 6}


def test_before_that_those_that_are_on_go_on() -> None:
    on = a_visit("on", held_a=6, ran_h=3.0)
    early = a_visit("early", waited_h=0.7)

    assert targets_a(on, early, room_a=6) == {"on": 6, "early": 0}


def test_after_a_pause_the_wait_may_be_longer() -> None:
    on = a_visit("on", held_a=6, ran_h=3.0)
    paused = a_visit("paused", waited_h=1.0, pauses=1)

    assert targets_a(on, paused, room_a=6) == {"on": 6, "paused": 0}


@pytest.mark.parametrize(
    ("max_wait_s", "first_turn_h", "turn_h"), [(4200.0, 0.75, 7 / 6), (1800.0, 0.5, 0.5)]
)
def test_the_plan_keeps_the_bound_of_the_line(
    max_wait_s: float, first_turn_h: float, turn_h: float
) -> None:
    """Two bounds crossed once: the line broke into the plan's turns before they were due."""
    rules = turns_within(max_wait_s)

    assert (rules.first_turn_h, rules.turn_h) == (first_turn_h, pytest.approx(turn_h))
    assert turns_within(Policy().max_wait_s) == TurnRules()


def test_of_two_that_are_on_the_one_that_is_soon_done_goes_on() -> None:
    nearly = a_visit("nearly", held_a=6, ran_h=3.0, need_ah=2)
    far = a_visit("far", held_a=6, ran_h=1.0, need_ah=40)
    due = a_visit("due", waited_h=0.75)

    assert targets_a(nearly, far, due, room_a=12) == {"nearly": 6, "far": 0, "due": 6}


def on_since_an_hour(evse: str, *phases: Phase, need_ah: float = 20, priority: int = 0) -> Visit:
    return a_visit(
        evse, held_a=6, ran_h=1.0, phases=phases, need_ah=need_ah, max_a=6, priority=priority
    )


SINGLES = tuple(
    on_since_an_hour(f"on-{p.name}", p, need_ah=n)
    for p, n in zip(PHASES, (30, 31, 32), strict=True)
)


def test_for_one_start_on_three_phases_one_on_three_phases_gives_way_not_three_on_one() -> None:
    three = on_since_an_hour("three", *PHASES, need_ah=2)
    due = a_visit("due", waited_h=0.8, phases=PHASES, max_a=6)

    answer = targets_a(*SINGLES, three, due, room_a=12)

    assert answer == {"on-L1": 6, "on-L2": 6, "on-L3": 6, "three": 0, "due": 6}


def test_between_lines_the_one_on_the_same_two_lines_gives_way() -> None:
    """By need alone two would have been paused for one start: b-c frees only one of its lines."""
    a_b = on_since_an_hour("a-b", Phase.L1, Phase.L2, need_ah=2)
    b_c = on_since_an_hour("b-c", Phase.L2, Phase.L3, need_ah=40)
    c_a = on_since_an_hour("c-a", Phase.L3, Phase.L1, need_ah=39)
    due = a_visit("due", waited_h=0.8, phases=(Phase.L1, Phase.L2), max_a=6)

    assert targets_a(a_b, b_c, c_a, due, room_a=12) == {"a-b": 0, "b-c": 6, "c-a": 6, "due": 6}


def test_a_higher_priority_does_not_give_way_to_spare_pauses() -> None:
    three = on_since_an_hour("three", *PHASES, priority=1)
    due = a_visit("due", waited_h=0.8, phases=PHASES, max_a=6)

    answer = targets_a(*SINGLES, three, due, room_a=12)

    assert answer == {"on-L1": 0, "on-L2": 0, "on-L3": 0, "three": 6, "due": 6}


def test_a_higher_priority_goes_first_within_its_group() -> None:
    assert targets_a(a_visit("a"), a_visit("b", priority=1), room_a=6) == {"a": 0, "b": 6}


def test_a_limit_stays_when_the_wish_is_near() -> None:
    one, other = (a_visit(x, held_a=16, ran_h=1, max_a=20) for x in "ab")

    assert targets_a(one, other, room_a=32, a=16.9, b=15.1) == {"a": 16, "b": 16}


def test_a_wish_that_differs_moves_it() -> None:
    one, other = (a_visit(x, held_a=16, ran_h=1) for x in "ab")

    assert targets_a(one, other, room_a=32, a=24, b=8) == {"a": 24, "b": 8}


def test_what_no_wish_asks_for_goes_to_the_most_urgent() -> None:
    soon, later = a_visit("soon", stay_h=2), a_visit("later", stay_h=9)

    assert targets_a(soon, later, room_a=20, soon=6, later=6) == {"soon": 14, "later": 6}


def test_who_need_not_charge_yet_waits_for_what_others_are_to_get() -> None:
    urgent, idle = a_visit("urgent"), a_visit("idle")

    assert targets_a(urgent, idle, room_a=30, urgent=28, idle=0) == {"urgent": 30, "idle": 0}


def test_nobody_at_all_is_no_error() -> None:
    assert targets_a(room_a=10) == {}


cars = st.lists(
    st.tuples(
        st.sampled_from([(Phase.L1,), (Phase.L2, Phase.L3), PHASES]),
        st.sampled_from([0.0, 6.0, 11.0, 32.0]),
        st.floats(0, 3),
        st.floats(0, 60),
        st.floats(0, 32),
        st.integers(0, 2),
    ),
    max_size=12,
)


@SOME
@given(cars, st.floats(0, 90))
def test_targets_fit_the_room_and_the_chargers(
    values: list[tuple[PhaseSet, float, float, float, float, int]], room_a: float
) -> None:
    visits = [
        a_visit(
            f"{n:02d}",
            phases=phases,
            held_a=held_a,
            ran_h=hours if held_a else 0.0,
            waited_h=0.0 if held_a else hours,
            need_ah=need_ah,
            priority=priority,
        )
        for n, (phases, held_a, hours, need_ah, _, priority) in enumerate(values)
    ]
    wishes = {f"{n:02d}": wish_a for n, (_, _, _, _, wish_a, _) in enumerate(values)}

    answer = targets_a(*visits, room_a=room_a, **wishes)

    for phase in PHASES:
        assert sum(answer[v.evse] for v in visits if phase in v.phases) <= room_a + 1e-6
    assert all(a == 0 or (6 <= a <= 32 and a == int(a)) for a in answer.values())
    due = [v for v in visits if not v.is_on and v.waited_h >= RULES.turn_h and answer[v.evse] == 0]
    kept = [v for v in visits if v.is_on and v.ran_h >= RULES.min_on_h and answer[v.evse] > 0]
    assert not [
        (waiting, on)
        for waiting in due
        for on in kept
        if waiting.priority >= on.priority and waiting.phases == on.phases
    ]


@SOME
@given(cars, st.floats(6, 60), st.randoms())
def test_the_order_of_the_vehicles_does_not_matter(
    values: list[tuple[PhaseSet, float, float, float, float, int]], room_a: float, chance: object
) -> None:
    visits = [
        a_visit(f"{n:02d}", phases=p, held_a=a, ran_h=h, waited_h=h, need_ah=e, priority=q)
        for n, (p, a, h, e, _, q) in enumerate(values)
    ]
    shuffled = list(visits)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]

    assert targets_a(*visits, room_a=room_a) == targets_a(*shuffled, room_a=room_a)
