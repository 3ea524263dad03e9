"""The image in any order of events: a frozen snapshot shows the latest, and nothing counts for less (I1, I3, I4)."""

from __future__ import annotations

from datetime import timedelta
from math import inf, nan

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from controller.commands import Applied, CommandOutcome, SetLimit
from controller.draw import drawn
from controller.image import ProcessImage
from controller.memory import EvseMemory
from controller.phases import PhaseCurrents
from controller.policy import Policy
from controller.readings import EvseSample, GridReading
from controller.site import EvseId, MeterId, StationId
from controller.station import (
    EvseSampled,
    EvseState,
    EvseStateChanged,
    FallbackConfirmed,
    LeaseMode,
    LeaseModeFound,
    StationBooted,
    StationConnected,
    StationDisconnected,
    StationHeard,
    StationInfo,
    TransactionChanged,
)
from controller.transaction import IdToken, Transaction, TransactionId
from tests.controller.builders import START, a_site, an_evse
from tests.controller.test_image import HandClock

STATIONS = (StationId("CP001"), StationId("CP002"))
METER = MeterId("main")
POLICY = Policy()
stations = st.sampled_from((*STATIONS, StationId("STRANGER")))


def evse_of(station: StationId) -> EvseId:
    return EvseId(f"{station}/1")


class Image(RuleBasedStateMachine):
    """Two stations and a meter; beside the image, what a careful reader would have written down."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock()
        self.wakes: list[str] = []
        site = a_site(evses=[an_evse(s) for s in STATIONS])
        self.image = ProcessImage(site=site, clock=self.clock, wake=self.wakes.append)
        self.connected: dict[StationId, bool] = dict.fromkeys(STATIONS, False)
        self.confirmed: dict[StationId, float | None] = dict.fromkeys(STATIONS)
        self.running: dict[StationId, TransactionId | None] = dict.fromkeys(STATIONS)
        self.reading: tuple[float, float] | None = None
        self.outcomes: list[CommandOutcome] = []
        self.number = 0

    # --- what happens

    @rule(station=stations)
    def connects(self, station: StationId) -> None:
        self.image.post(StationConnected(station=station, protocol="ocpp1.6"))
        if station in self.connected:
            self.connected[station], self.confirmed[station] = True, None

    @rule(station=stations)
    def is_lost(self, station: StationId) -> None:
        self.image.post(StationDisconnected(station=station))
        if station in self.connected:
            self.connected[station] = False

    @rule(station=stations, firmware=st.sampled_from(["1", "2"]))
    def boots(self, station: StationId, firmware: str) -> None:
        self.image.post(StationBooted(station=station, info=StationInfo(firmware=firmware)))
        self.image.post(StationHeard(station=station))

    @rule(station=stations, mode=st.sampled_from(LeaseMode))
    def shows_how_it_takes_limits(self, station: StationId, mode: LeaseMode) -> None:
        self.image.post(LeaseModeFound(station=station, mode=mode))

    @rule(station=stations, fallback_a=st.sampled_from([0.0, 6.0]))
    def confirms_its_fallback(self, station: StationId, fallback_a: float) -> None:
        self.image.post(FallbackConfirmed(evse=evse_of(station), fallback_a=fallback_a))
        if station in self.confirmed:
            self.confirmed[station] = fallback_a

    @rule(station=stations, state=st.sampled_from(EvseState))
    def tells_its_state(self, station: StationId, state: EvseState) -> None:
        self.image.post(EvseStateChanged(evse=evse_of(station), state=state))

    @rule(station=stations)
    def starts(self, station: StationId) -> None:
        self.number += 1
        transaction = self.a_transaction(station, TransactionId(str(self.number)))
        self.image.post(TransactionChanged(transaction=transaction))
        if station in self.running:
            self.running[station] = transaction.id

    @rule(station=stations, is_late=st.booleans())
    def ends(self, station: StationId, is_late: bool) -> None:
        """The end of the running transaction, or the late end of one long gone."""
        running = self.running.get(station)
        known = TransactionId("0") if is_late or running is None else running
        ended = self.a_transaction(station, known, ended=True)
        self.image.post(TransactionChanged(transaction=ended))
        if station in self.running and running == known:
            self.running[station] = None

    @rule(station=stations, current_a=st.sampled_from([0.0, 6.0, 16.0, 32.0, 40.0]))
    def samples(self, station: StationId, current_a: float) -> None:
        sample = EvseSample(terminal_a=(current_a,) * 3, phases_known=True)
        self.image.post(EvseSampled(evse=evse_of(station), sample=sample))

    @rule(current_a=st.sampled_from([0.0, 20.0, 70.0, nan, inf, -inf]))
    def meters(self, current_a: float) -> None:
        self.wakes.clear()
        self.image.put_reading(METER, GridReading(current=PhaseCurrents.balanced(current_a)))
        if -inf < current_a < inf:
            self.reading = (current_a, self.clock.at_s)
        assert ("overload" in self.wakes) == (current_a == 70.0)

    @rule(fault=st.text(max_size=5))
    def misses(self, fault: str) -> None:
        self.image.put_fault(METER, fault)

    @rule(station=st.sampled_from(STATIONS))
    def answers(self, station: StationId) -> None:
        command = SetLimit(
            evse=evse_of(station), limit_a=6.0, lease_s=60.0, transaction=None, cause=""
        )
        outcome = CommandOutcome(
            command=command,
            result=Applied(self_expiring=True),
            sent_s=self.clock.at_s,
            done_s=self.clock.at_s,
        )
        self.image.put_outcome(outcome)
        self.outcomes.append(outcome)

    @rule(seconds=st.sampled_from([0.5, 11.0, 50.0]))
    def wait(self, seconds: float) -> None:
        self.clock.at_s += seconds

    @rule()
    def freeze(self) -> None:
        snapshot = self.image.freeze()
        assert list(snapshot.outcomes) == self.outcomes, "each is handed over once, in order"
        self.outcomes = []
        assert self.image.freeze().outcomes == ()
        before = dict(snapshot.stations)
        self.image.post(StationDisconnected(station=STATIONS[0]))
        self.connected[STATIONS[0]] = False
        assert before == snapshot.stations, "what is frozen does not thaw"

    # --- what must hold

    @invariant()
    def shows_the_latest(self) -> None:
        views = self.image.station_views()
        assert set(views) == set(STATIONS)
        for station in STATIONS:
            view = views[station]
            transaction = view.evses[evse_of(station)].transaction
            assert view.connected == self.connected[station]
            assert view.evses[evse_of(station)].fallback_a == self.confirmed[station]
            assert (transaction.id if transaction is not None else None) == self.running[station]
            assert view.connected or view.connected_since_s is None

    @invariant()
    def a_reading_is_the_last_that_is_a_number(self) -> None:
        frozen = self.image.freeze()
        for outcome in frozen.outcomes:
            self.image.put_outcome(outcome)
        (view,) = frozen.meters.values()
        seen = (
            (max(view.reading.value.current), view.reading.taken_s)
            if view.reading is not None
            else None
        )
        assert seen == self.reading

    @invariant()
    def nothing_counts_for_less_than_it_may_draw(self) -> None:
        for station in STATIONS:
            view = self.image.station_views()[station]
            evse = an_evse(station)
            draw = drawn(
                evse,
                station=view,
                view=view.evses[evse.id],
                memory=EvseMemory(),
                policy=POLICY,
                now_s=self.clock.at_s,
            )
            if self.running[station] is None:
                continue
            held_a = self.confirmed[station] if view.connected else evse.fallback_a
            least_a = evse.max_a if held_a is None else held_a
            is_weak = view.lease_mode in (LeaseMode.PERMANENT, LeaseMode.UNCONTROLLABLE)
            if is_weak and not view.connected:
                least_a = evse.max_a
            assert draw.committed_a >= least_a
            if draw.measured is not None:
                assert draw.measured.fits(draw.committed, tolerance_a=0.5)

    def a_transaction(
        self, station: StationId, name: TransactionId, *, ended: bool = False
    ) -> Transaction:
        return Transaction(
            id=name,
            station=station,
            evse=evse_of(station),
            id_token=IdToken("CARD"),
            started_at=START,
            start_wh=0.0,
            ended_at=START + timedelta(hours=1) if ended else None,
        )


class TestImage(Image.TestCase):  # type: ignore[misc, valid-type, name-defined]
    settings = settings(max_examples=60, stateful_step_count=30, deadline=None, derandomize=True)


@pytest.mark.long
@pytest.mark.timeout(3600)
class TestImageLong(Image.TestCase):  # type: ignore[misc, valid-type, name-defined]
    settings = settings(max_examples=3_000, stateful_step_count=60, deadline=None)
