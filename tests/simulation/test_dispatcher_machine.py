"""Whatever stations answer and vehicles take, no command lets a circuit be over-committed (I1, I2, I3, I5)."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from controller.commands import CommandResult, NotConnected, Rejected, TimedOut
from controller.decide import Decision
from controller.ledger import GrantState
from controller.phases import PHASES, PhaseCurrents
from controller.site import CircuitId, EvseId, StationId
from tests.controller.builders import MAIN, Bench, a_circuit, a_site, an_evse

GARAGE = CircuitId("garage")
EVSES = ("CP001", "CP002", "CP003")
TOLERANCE_A = 0.05
Habit = tuple[CommandResult | None, bool]
"""How a station answers, and whether it obeys all the same; None: it confirms."""
HABITS: st.SearchStrategy[Habit] = st.sampled_from(
    [
        (None, True),
        (TimedOut(), True),
        (TimedOut(), False),
        (Rejected(reason="no"), False),
        (NotConnected(), False),
    ]
)


class Dispatcher(RuleBasedStateMachine):
    """Three EVSEs below a garage below the grid connection; every wave is held against the truth."""

    def __init__(self) -> None:
        super().__init__()
        site = a_site(
            circuits=[
                a_circuit(limit_a=80.0, building_peak_a=30.0),
                a_circuit("garage", limit_a=50.0, parent="main", meter=None, building_peak_a=0.0),
            ],
            evses=[
                an_evse(s, circuit="garage", phases=p)
                for s, p in zip(EVSES, (3, 1, 3), strict=True)
            ],
        )
        self.bench = Bench(site=site, building={"main": PhaseCurrents.balanced(10.0)})
        self.bench.plug_in().run(5.0)

    # --- what happens

    @rule(station=st.sampled_from(EVSES), habit=HABITS)
    def arrive(self, station: str, habit: Habit) -> None:
        """Another vehicle comes, and its station answers in some way from now on."""
        self.bench.unplug(f"{station}/1")
        self.step()
        self.answer(station, habit)
        self.bench.plug_in(f"{station}/1", transaction=f"{self.bench.now_s:.0f}")

    @rule(station=st.sampled_from(EVSES), habit=HABITS)
    def change(self, station: str, habit: Habit) -> None:
        self.answer(station, habit)

    def answer(self, station: str, habit: Habit) -> None:
        evse = EvseId(f"{station}/1")
        result, is_heard = habit
        self.bench.heard.discard(evse)
        self.bench.answers.pop(evse, None)
        if result is not None:
            self.bench.answers[evse] = result
        if is_heard:
            self.bench.heard.add(evse)

    @rule(station=st.sampled_from(EVSES))
    def leave(self, station: str) -> None:
        self.bench.unplug(f"{station}/1")

    @rule(current_a=st.sampled_from([0.0, 10.0, 20.0, 30.0]))
    def building(self, current_a: float) -> None:
        self.bench.building["main"] = PhaseCurrents.balanced(current_a)

    @rule(station=st.sampled_from(EVSES), current_a=st.sampled_from([6.0, 12.0, 32.0]))
    def want(self, station: str, current_a: float) -> None:
        self.bench.want_a[EvseId(f"{station}/1")] = current_a

    @rule(station=st.sampled_from(EVSES), is_away=st.sampled_from([False, False, True]))
    def connection(self, station: str, is_away: bool) -> None:
        (self.bench.offline.add if is_away else self.bench.offline.discard)(StationId(station))

    @rule(seconds=st.sampled_from([35, 70]))
    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.step()

    @invariant()
    def time_passes(self) -> None:
        for _ in range(9):
            self.step()

    # --- what must hold

    def step(self) -> None:
        before = self.bench.memory
        decision = self.bench.step()
        self.check_counted(decision)
        raised = {c.evse: c.limit_a for c in decision.wave.increases}
        if raised:
            self.check_paid(decision, raised)
        for evse in raised:
            latest = before.evse(evse).account.latest
            assert latest is None or latest.state is not GrantState.UNCERTAIN
            assert StationId(evse.split("/")[0]) not in self.bench.offline

    def check_paid(self, decision: Decision, raised: dict[EvseId, float]) -> None:
        """I2: with all raises in force and nothing else yet, every conductor carries it."""
        plan, site = decision.plan, self.bench.site
        for circuit in (MAIN, GARAGE):
            status = plan.circuits[circuit]
            for phase in PHASES:
                total_a = status.building_a.of(phase)
                for evse in site.evses_below(circuit):
                    if phase in evse.grid_phases:
                        committed_a = plan.evses[evse.id].committed_a
                        total_a += max(committed_a, raised.get(evse.id, 0.0))
                assert total_a <= status.limit_a.of(phase) + TOLERANCE_A, (circuit, phase)

    def check_counted(self, decision: Decision) -> None:
        """I1 and I3: silence and refusals never lower what is counted below what flows."""
        for evse in self.bench.site.evses():
            flows_a = max(self.bench.true_a(evse))
            assert flows_a <= decision.plan.evses[evse.id].committed_a + 0.5, evse.id

    @invariant()
    def all_stays_below_the_rating(self) -> None:
        garage = self.bench.true_total("garage")
        assert garage.fits(PhaseCurrents.balanced(50.0), tolerance_a=0.5)


QUICK = settings(max_examples=8, stateful_step_count=20, deadline=None, derandomize=True)


@pytest.mark.timeout(600)
class TestDispatcher(Dispatcher.TestCase):  # type: ignore[misc, valid-type, name-defined]
    settings = QUICK


@pytest.mark.long
@pytest.mark.timeout(3600)
class TestDispatcherLong(Dispatcher.TestCase):  # type: ignore[misc, valid-type, name-defined]
    settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
