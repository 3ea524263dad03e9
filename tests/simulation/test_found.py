"""What the campaign has found: each was a defect of the controller once."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from controller import ledger
from controller.commands import Applied, CommandOutcome, SetLimit
from controller.draw import drawn
from controller.faults import conditions_of
from controller.image import ProcessImage, applied
from controller.memory import EvseMemory, Memory
from controller.phases import PhaseCurrents
from controller.policy import Policy
from controller.readings import EvseSample, GridReading, Reading
from controller.site import EvseId, MeterId, StationId
from controller.station import EvseState, EvseView, LeaseMode, StationConnected, StationView
from controller.transaction import TransactionId
from tests.controller.builders import Bench, a_circuit, a_site, an_evse
from tests.controller.test_image import HandClock

EVSE = EvseId("CP001/1")
STATION = StationId("CP001")


def a_station(**changes: object) -> StationView:
    station = StationView(id=STATION, connected=True, lease_mode=LeaseMode.LEASED)
    return replace(station, **changes)  # type: ignore[arg-type]


def committed_a(view: EvseView, *, now_s: float = 100.0, connected: bool = True) -> float:
    draw = drawn(
        an_evse("CP001"),
        station=a_station(connected=connected),
        view=view,
        memory=EvseMemory(),
        policy=Policy(),
        now_s=now_s,
    )
    return draw.committed_a


def test_a_vehicle_that_charges_in_an_unknown_transaction_counts_with_the_rating() -> None:
    """After the loss of the store its station may hold any limit of ours."""
    view = EvseView(id=EVSE, state=EvseState.CHARGING, state_since_s=0.0, fallback_a=6.0)

    assert committed_a(view) == 32.0
    assert committed_a(replace(view, state_since_s=95.0)) == 6.0, "its transaction is on the way"


def test_a_station_that_connects_may_have_a_vehicle_whatever_it_said_before() -> None:
    view = a_station(
        connected=False, evses={EVSE: EvseView(id=EVSE, state=EvseState.AVAILABLE, fallback_a=6.0)}
    )

    after = applied(view, StationConnected(station=STATION, protocol="ocpp1.6"), now_s=50.0)

    assert after.evses[EVSE].state is EvseState.UNKNOWN
    assert committed_a(after.evses[EVSE]) == 6.0


def test_a_welded_contactor_does_not_open_by_falling_silent() -> None:
    sample = Reading(
        value=EvseSample(terminal_a=(10.0, 10.0, 10.0), phases_known=True), taken_s=0.0
    )
    view = EvseView(id=EVSE, state=EvseState.FAULTED, faulted_since_s=0.0, sample=sample)

    assert committed_a(view, now_s=500.0, connected=False) == 10.0


def test_a_frozen_meter_is_not_found_again_because_vehicles_stopped() -> None:
    bench = Bench(
        site=a_site(circuits=[a_circuit(limit_a=40.0)], evses=[an_evse("CP001", fallback_a=0.0)])
    ).plug_in()
    bench.run(60)
    bench.meter_frozen = True
    bench.run(200)
    codes = {c.code for _, d in bench.history[-120:] for c in d.conditions}
    told = [any(c.code == "METER_FROZEN" for c in d.conditions) for _, d in bench.history]

    assert "METER_FROZEN" in codes
    assert all(told[told.index(True) :])


def test_what_is_no_number_is_no_sample() -> None:
    bench = Bench(site=a_site(evses=1))
    snapshot = bench.snapshot()
    image = ProcessImage(site=snapshot.site, clock=HandClock(), wake=lambda reason: None)
    image.put_reading(MeterId("main"), GridReading(current=PhaseCurrents.balanced(20.0)))
    image.put_reading(MeterId("main"), GridReading(current=PhaseCurrents.balanced(float("nan"))))

    reading = image.freeze().meters[MeterId("main")].reading
    assert reading is not None
    assert reading.value.current == PhaseCurrents.balanced(20.0)


def a_leased_account(limit_a: float) -> ledger.Account:
    command = SetLimit(
        evse=EVSE, limit_a=limit_a, lease_s=300.0, transaction=TransactionId("T1"), cause="test"
    )
    outcome = CommandOutcome(
        command=command, result=Applied(self_expiring=True), sent_s=0.0, done_s=1.0
    )
    return ledger.booked(ledger.granted(ledger.Account(), command, now_s=0.0), outcome)


def test_a_lease_that_ends_late_still_counts_while_its_vehicle_follows() -> None:
    account = a_leased_account(15.4)

    def counted_a(now_s: float) -> float:
        return ledger.committed_a(account, without_grant_a=6.0, now_s=now_s, settle_s=10.0)

    assert counted_a(300.0 + ledger.LEASE_GUARD_S + 4.0) == 15.4
    assert counted_a(300.0 + ledger.LEASE_GUARD_S + 6.0) == 6.0


def test_a_station_may_forget_a_pause_with_its_connection() -> None:
    account = a_leased_account(0.0)

    def counted_a(linked_s: float) -> float:
        return ledger.committed_a(
            account, without_grant_a=6.0, now_s=100.0, settle_s=10.0, linked_s=linked_s
        )

    assert counted_a(linked_s=-5.0) == 0.0
    assert counted_a(linked_s=50.0) == 6.0
    assert counted_a(linked_s=inf) == 6.0


def test_a_welded_contactor_is_told_once_however_rarely_its_station_samples() -> None:
    sample = Reading(
        value=EvseSample(terminal_a=(10.0, 10.0, 10.0), phases_known=True), taken_s=60.0
    )
    view = EvseView(id=EVSE, state=EvseState.FAULTED, faulted_since_s=50.0, sample=sample)
    away = a_station(connected=False, evses={EVSE: view})

    again = applied(away, StationConnected(station=STATION, protocol="ocpp1.6"), now_s=130.0)

    assert codes_of(view, now_s=119.0) == {"EVSE_FAULTED", "CONTACTOR_WELDED"}
    assert codes_of(again.evses[EVSE], now_s=131.0) == {"EVSE_FAULTED", "CONTACTOR_WELDED"}


def codes_of(view: EvseView, *, now_s: float) -> set[str]:
    draw = drawn(
        an_evse("CP001"),
        station=a_station(evses={EVSE: view}),
        view=view,
        memory=EvseMemory(),
        policy=Policy(),
        now_s=now_s,
    )
    snapshot = Bench(site=a_site(evses=[an_evse("CP001")])).snapshot()
    return {c.code for c in conditions_of(snapshot, {EVSE: draw}, Memory())}


def test_a_meter_that_stands_still_lets_nobody_above_the_minimum_before_it_moves() -> None:
    """It may be frozen since the last vehicle left; the first ampere shows."""
    bench = Bench(
        site=a_site(circuits=[a_circuit(limit_a=40.0)], evses=[an_evse("CP001", fallback_a=0.0)])
    )
    bench.run(60)
    bench.meter_frozen = True
    bench.run(120)
    bench.plug_in()
    bench.run(20)

    raises = [c for _, d in bench.history for c in d.wave.increases]

    assert raises
    assert not [c for c in raises if c.limit_a > 6.0]


def test_a_vehicle_at_a_station_that_takes_no_fallback_counts_with_the_rating() -> None:
    """It begins with its rating: the others have to give way before its transaction is told."""
    view = EvseView(id=EVSE, state=EvseState.CONNECTED, fallback_a=None)

    def counted_a(now_s: float) -> float:
        station = a_station(connected_since_s=50.0)
        draw = drawn(
            an_evse("CP001"),
            station=station,
            view=view,
            memory=EvseMemory(),
            policy=Policy(),
            now_s=now_s,
        )
        return draw.committed_a

    assert counted_a(55.0) == 6.0, "its fallback is on the way"
    assert counted_a(61.0) == 32.0
