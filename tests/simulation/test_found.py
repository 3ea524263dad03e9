"""What the campaign has found: each was a defect of the controller once."""

from __future__ import annotations

from dataclasses import replace

from controller.draw import drawn
from controller.image import ProcessImage, applied
from controller.memory import EvseMemory
from controller.phases import PhaseCurrents
from controller.policy import Policy
from controller.readings import EvseSample, GridReading, Reading
from controller.site import EvseId, MeterId, StationId
from controller.station import EvseState, EvseView, LeaseMode, StationConnected, StationView
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
    view = EvseView(id=EVSE, state=EvseState.FAULTED, sample=sample)

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
