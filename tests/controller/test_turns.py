"""Whose turn it is: a bounded wait for everybody, departures, priorities, and the account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller import turns
from controller.draw import Draw, drawn
from controller.memory import EvseMemory, Memory, Turn
from controller.operator import EvseOverride, Overrides
from controller.phases import PHASES, PhaseSet
from controller.policy import Policy
from controller.site import EvseId
from controller.station import EvseState, EvseView, StationView
from controller.transaction import IdToken, Transaction, TransactionId
from controller.wishes import override_of
from optimizer.admission import admit
from optimizer.problem import Load, Node, Problem
from optimizer.tree import tree_of
from tests.controller.builders import Bench, a_site, an_evse, setpoints_a, with_policy
from tests.optimizer.sites import a_node

STEP_S = 60.0


@dataclass
class Queue:
    """Vehicles that all want current, and circuits that cannot serve all of them at once."""

    nodes: tuple[Node, ...]
    phases: Mapping[EvseId, PhaseSet]
    node_of: Mapping[EvseId, str] = field(default_factory=dict)
    arrives_s: Mapping[EvseId, float] = field(default_factory=dict)
    overrides: Mapping[EvseId, EvseOverride] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    had_wh: float = 0.0

    def __post_init__(self) -> None:
        site = a_site(evses=[an_evse(evse.partition("/")[0]) for evse in self.phases])
        bench = Bench(site=site, overrides=Overrides(evses=self.overrides))
        self.snapshot = bench.snapshot()
        self.memory = Memory()
        self.now_s = 0.0
        self.running: frozenset[EvseId] = frozenset()
        self.longest_s: dict[EvseId, float] = dict.fromkeys(self.phases, 0.0)

    def draw(self, evse: EvseId) -> Draw:
        configured = self.snapshot.site.evse(evse)
        assert configured is not None
        transaction = Transaction(
            id=TransactionId(evse),
            station=configured.station,
            evse=evse,
            id_token=IdToken("CARD"),
            started_at=self.snapshot.at,
            start_wh=0.0,
            last_wh=self.had_wh,
        )
        view = EvseView(id=evse, state=EvseState.CHARGING, transaction=transaction)
        return drawn(
            configured,
            station=StationView(id=configured.station, connected=True),
            view=view,
            memory=EvseMemory(vehicle_phases=self.phases[evse]),
            policy=self.policy,
            now_s=self.now_s,
        )

    def step(self) -> frozenset[EvseId]:
        """Decide who runs for the next minute."""
        here = [evse for evse in self.phases if self.arrives_s.get(evse, 0.0) <= self.now_s]
        snapshot = replace(
            self.snapshot, now_s=self.now_s, at=self.snapshot.at + timedelta(seconds=self.now_s)
        )
        ranks = turns.ranked(
            (
                turns.place_of(
                    self.draw(evse),
                    self.memory.evse(evse),
                    self.memory.turn(evse),
                    override=override_of(snapshot, evse),
                    snapshot=snapshot,
                    policy=self.policy,
                ),
                evse,
            )
            for evse in here
        )
        loads = tuple(
            Load(
                id=evse,
                node=self.node_of.get(evse, "main"),
                phases=self.phases[evse],
                min_a=6.0,
                max_a=32.0,
                rank=ranks[evse],
            )
            for evse in here
        )
        admission = admit(tree_of(Problem(nodes=self.nodes, loads=loads)))
        refused = set(admission.refused)
        self.running = frozenset(evse for evse in here if evse not in refused)
        self._remember(here)
        self.now_s += STEP_S
        return self.running

    def _remember(self, here: list[EvseId]) -> None:
        evses: dict[EvseId, EvseMemory] = {}
        for evse in here:
            before = self.memory.evse(evse)
            runs = evse in self.running
            began_s = before.running_since_s if runs else before.waiting_since_s
            began_s = self.now_s if began_s is None else began_s
            evses[evse] = EvseMemory(
                transaction=TransactionId(evse),
                running_since_s=began_s if runs else None,
                waiting_since_s=None if runs else began_s,
                ran_before=before.ran_before or runs,
                setpoint_a=6.0 if runs else 0.0,
            )
            waited_s = 0.0 if runs else self.now_s + STEP_S - began_s
            self.longest_s[evse] = max(self.longest_s[evse], waited_s)
        carried, booked_s = turns.advanced(self.memory, evses, now_s=self.now_s, policy=self.policy)
        self.memory = replace(self.memory, evses=evses, turns=carried, booked_s=booked_s)


def cars(count: int, phases: PhaseSet = PHASES) -> dict[EvseId, PhaseSet]:
    return {EvseId(f"CP{n:03d}/1"): phases for n in range(count)}


def test_four_cars_and_room_for_one_take_turns_of_min_on() -> None:
    queue = Queue(nodes=(a_node(a=10),), phases=cars(4))
    order = [min(queue.step()) for _ in range(60)]
    expected = [f"CP{n:03d}/1" for n in (0, 1, 2, 3) for _ in range(15)]
    assert expected == order


def test_a_three_phase_car_is_not_overtaken_for_ever() -> None:
    """Single-phase cars free L1, L2 and L3 at different times, never all at once by chance."""
    single = {EvseId(f"CP{n:03d}/1"): (PHASES[n % 3],) for n in range(9)}
    three = EvseId("CP100/1")
    arrives_s = {evse: 300.0 * n for n, evse in enumerate(single)} | {three: 3000.0}
    queue = Queue(nodes=(a_node(a=10),), phases={**single, three: PHASES}, arrives_s=arrives_s)
    for _ in range(600):
        queue.step()
    assert queue.longest_s[three] <= 9 * (queue.policy.min_on_s + STEP_S)


@settings(max_examples=20, derandomize=True, deadline=None, database=None)
@given(st.data())
def test_nobody_waits_longer_than_the_bound(data: st.DataObject) -> None:
    """Any wiring, arrivals, priorities and departures; every minimum fits when alone."""
    policy = with_policy(min_on_s=300.0, max_wait_s=600.0)
    count = data.draw(st.integers(2, 9))
    one = st.sampled_from([PHASES, PHASES[:1], PHASES[1:2], PHASES[2:], PHASES[:2]])
    phases = {EvseId(f"CP{n:03d}/1"): data.draw(one) for n in range(count)}
    amperes = st.tuples(*[st.sampled_from([6.0, 7.0, 12.5, 20.0])] * 3)
    nodes = (a_node("main", a=data.draw(amperes)), a_node("g", parent="main", a=data.draw(amperes)))
    start = Bench(site=a_site()).snapshot().at
    queue = Queue(
        nodes=nodes,
        phases=phases,
        node_of={evse: data.draw(st.sampled_from(["main", "g"])) for evse in phases},
        arrives_s={evse: 60.0 * data.draw(st.integers(0, 40)) for evse in phases},
        overrides={evse: data.draw(_overrides(start)) for evse in phases},
        policy=policy,
    )
    for _ in range(120):
        queue.step()
    bound_s = policy.max_wait_s + (count - 1) * (policy.min_on_s + 2 * STEP_S) + 2 * STEP_S
    assert max(queue.longest_s.values()) <= bound_s


def _overrides(start: datetime) -> st.SearchStrategy[EvseOverride]:
    departures = st.one_of(st.none(), st.integers(0, 300))
    return st.builds(
        lambda priority, minutes: EvseOverride(
            priority=priority,
            departure_at=None if minutes is None else start + timedelta(minutes=minutes),
            energy_need_wh=None if minutes is None else 20_000.0,
        ),
        st.sampled_from([None, 0, 5]),
        departures,
    )


def test_who_would_miss_its_departure_goes_first() -> None:
    at = Bench(site=a_site()).snapshot().at
    hurried = EvseOverride(departure_at=at + timedelta(hours=1), energy_need_wh=20_000)
    queue = Queue(nodes=(a_node(a=10),), phases=cars(3), overrides={EvseId("CP002/1"): hurried})
    assert {"CP002/1"} == queue.step()


def test_who_has_time_to_spare_gives_way_first() -> None:
    at = Bench(site=a_site()).snapshot().at
    relaxed = EvseOverride(departure_at=at + timedelta(hours=20), energy_need_wh=5_000)
    late = EvseId("CP002/1")
    queue = Queue(
        nodes=(a_node(a=12),),
        phases=cars(3),
        arrives_s={late: 1800.0},
        overrides={EvseId("CP001/1"): relaxed},
    )
    for _ in range(31):
        queue.step()
    assert {"CP000/1", "CP002/1"} == queue.running


@pytest.mark.parametrize("departs_in_s", [-60, 0])
def test_a_departure_in_the_past_asks_for_nothing(departs_in_s: float) -> None:
    at = Bench(site=a_site()).snapshot().at
    gone = EvseOverride(departure_at=at + timedelta(seconds=departs_in_s), energy_need_wh=9e9)
    queue = Queue(nodes=(a_node(a=10),), phases=cars(2), overrides={EvseId("CP001/1"): gone})
    assert {"CP000/1"} == queue.step()


def test_who_has_what_it_asked_for_waits_for_those_who_have_not() -> None:
    done = EvseOverride(energy_need_wh=5_000)
    queue = Queue(
        nodes=(a_node(a=10),),
        phases=cars(2),
        overrides={EvseId("CP000/1"): done},
        had_wh=6_000.0,
    )
    assert {"CP001/1"} == queue.step()


def test_priority_goes_before_the_line_until_somebody_has_waited_too_long() -> None:
    first = EvseOverride(priority=5)
    queue = Queue(
        nodes=(a_node(a=10),),
        phases=cars(2),
        overrides={EvseId("CP001/1"): first},
        policy=with_policy(max_wait_s=1200.0),
    )
    order = [min(queue.step()) for _ in range(40)]
    expected = ["CP001/1"] * 20 + ["CP000/1"] * 15 + ["CP001/1"] * 5
    assert expected == order


def test_the_account_says_who_had_more_than_an_equal_share() -> None:
    queue = Queue(nodes=(a_node(a=10),), phases=cars(2))
    for _ in range(11):
        queue.step()
    surplus_ah = [round(queue.memory.turn(evse).surplus_ah, 6) for evse in queue.phases]
    assert surplus_ah == [0.5, -0.5]


def test_a_new_transaction_starts_a_new_account() -> None:
    queue = Queue(nodes=(a_node(a=10),), phases=cars(2))
    for _ in range(11):
        queue.step()
    evse = EvseId("CP000/1")
    evses = {evse: EvseMemory(transaction=TransactionId("next"))}
    carried, _ = turns.advanced(queue.memory, evses, now_s=queue.now_s, policy=queue.policy)
    assert (0.0, queue.now_s) == (carried[evse].surplus_ah, carried[evse].in_line_s)


def test_in_the_real_decision_a_paused_car_does_not_push_the_next_one_out() -> None:
    site = a_site(evses=[an_evse(f"CP{n:03d}", fallback_a=0.0) for n in range(3)])
    bench = Bench(
        site=site, policy=with_policy(min_on_s=60.0, increase_interval_s=5.0, newcomers=0)
    )
    bench.building["main"] = a_node(a=63 - 8).available
    bench.plug_in()
    bench.run(30)
    switches = 0
    before = {e for e, a in setpoints_a(bench.step()).items() if a > 0}
    for _ in range(120):
        now = {e for e, a in setpoints_a(bench.step()).items() if a > 0}
        switches += now != before
        before = now
    assert 2 <= switches <= 5


def test_a_place_holds_until_the_instant_that_is_told() -> None:
    policy = Policy()
    turn = Turn(in_line_s=0.0)
    resting = EvseMemory(waiting_since_s=100.0, ran_before=True)
    due_s = turns.place_due_s(resting, turn, EvseOverride(), now_s=110.0, policy=policy)
    first_s = min(100.0 + policy.min_off_s, policy.max_wait_s)
    assert first_s - 1e-3 < due_s <= first_s


def test_a_place_that_time_moves_holds_not_at_all() -> None:
    leaves = EvseOverride(departure_at=datetime(2026, 3, 2, 12, tzinfo=UTC))
    for turn, wishes in ((Turn(), EvseOverride()), (Turn(in_line_s=0.0), leaves)):
        due_s = turns.place_due_s(EvseMemory(), turn, wishes, now_s=5.0, policy=Policy())
        assert due_s <= 5.0
