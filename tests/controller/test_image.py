"""The process image: what adapters put in is what a snapshot shows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from controller.image import ProcessImage
from controller.phases import PhaseCurrents
from controller.readings import EvseSample, GridReading
from controller.site import EvseId, MeterId, StationId
from controller.station import (
    BehaviourFound,
    EvseSampled,
    EvseState,
    EvseStateChanged,
    FallbackConfirmed,
    LeaseMode,
    LeaseModeFound,
    StationBehaviour,
    StationBooted,
    StationConnected,
    StationDisconnected,
    StationEvent,
    StationHeard,
    StationInfo,
    TransactionChanged,
)
from controller.transaction import Transaction, TransactionId
from tests.controller.builders import a_site

METER = MeterId("main")
STATION = StationId("CP001")
EVSE = EvseId("CP001/1")
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class HandClock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.at_s = 100.0

    def monotonic_s(self) -> float:
        return self.at_s

    def now(self) -> datetime:
        return NOW


class Scene:
    """An image with its clock and the wakes it asked for."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.wakes: list[str] = []
        self.image = ProcessImage(site=a_site(), clock=self.clock, wake=self.wakes.append)

    def post(self, *events: StationEvent) -> None:
        for event in events:
            self.image.post(event)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def reading(current_a: float, fingerprint: str = "") -> GridReading:
    return GridReading(current=PhaseCurrents.balanced(current_a), fingerprint=fingerprint)


def a_transaction(identifier: str = "1", *, ended: bool = False) -> Transaction:
    return Transaction(
        id=TransactionId(identifier),
        station=STATION,
        evse=EVSE,
        id_token=None,
        started_at=NOW,
        start_wh=0.0,
        ended_at=NOW if ended else None,
    )


def test_before_anything_is_heard_nothing_is_known(scene: Scene) -> None:
    snapshot = scene.image.freeze()

    assert snapshot.meters[METER].reading is None
    assert not snapshot.stations[STATION].connected
    assert snapshot.stations[STATION].evses[EVSE].state is EvseState.UNKNOWN


def test_a_reading_carries_the_time_it_was_accepted(scene: Scene) -> None:
    scene.image.put_reading(METER, reading(20.0))
    scene.clock.at_s += 4.0

    view = scene.image.freeze().meters[METER]

    assert view.reading is not None
    assert view.reading.age_s(scene.clock.at_s) == 4.0


def test_how_a_station_follows_limits_is_decided_on_at_once_and_outlives_the_line(
    scene: Scene,
) -> None:
    behaviour = StationBehaviour(settle_s=30.0)
    scene.wakes.clear()
    scene.post(BehaviourFound(station=STATION, behaviour=behaviour))
    woken = len(scene.wakes)
    scene.post(
        StationDisconnected(station=STATION), StationConnected(station=STATION, protocol="ocpp1.6")
    )

    assert woken == 1
    assert scene.image.freeze().stations[STATION].behaviour == behaviour


def test_equal_registers_are_remembered_as_standing_still(scene: Scene) -> None:
    for fingerprint in ("a", "a", "a"):
        scene.clock.at_s += 1.0
        scene.image.put_reading(METER, reading(20.0, fingerprint))

    assert scene.image.freeze().meters[METER].changed_s == 101.0


def test_without_a_fingerprint_nothing_stands_still(scene: Scene) -> None:
    for _ in range(3):
        scene.clock.at_s += 1.0
        scene.image.put_reading(METER, reading(20.0))

    assert scene.image.freeze().meters[METER].changed_s == 103.0


def test_a_good_reading_ends_a_fault(scene: Scene) -> None:
    scene.image.put_fault(METER, "no answer")
    scene.image.put_reading(METER, reading(20.0))

    assert scene.image.freeze().meters[METER].fault == ""


def test_an_overload_wakes_the_cycle_and_a_normal_reading_does_not(scene: Scene) -> None:
    scene.image.put_reading(METER, reading(60.0))
    scene.image.put_reading(METER, reading(64.0))

    assert scene.wakes == ["overload"]


def test_the_watched_limit_is_the_one_in_force(scene: Scene) -> None:
    circuit = next(iter(scene.image.site.circuits))
    scene.image.watch_limit(circuit, PhaseCurrents.balanced(40.0))

    scene.image.put_reading(METER, reading(41.0))

    assert scene.wakes == ["overload"]


def test_a_station_comes_and_goes(scene: Scene) -> None:
    scene.post(StationConnected(station=STATION, protocol="ocpp1.6"))
    scene.clock.at_s += 5.0
    scene.post(StationDisconnected(station=STATION))

    view = scene.image.freeze().stations[STATION]

    assert (view.connected, view.lost_since_s, view.protocol) == (False, 105.0, "ocpp1.6")


def test_a_new_connection_must_confirm_the_fallback_anew(scene: Scene) -> None:
    scene.post(FallbackConfirmed(evse=EVSE, fallback_a=6.0))
    scene.post(StationBooted(station=STATION, info=StationInfo(vendor="Acme")))
    asked = scene.image.freeze().stations[STATION]
    scene.post(StationConnected(station=STATION, protocol="ocpp1.6"))
    anew = scene.image.freeze().stations[STATION]

    assert (asked.info.vendor, asked.evses[EVSE].fallback_a) == ("Acme", 6.0)
    assert anew.evses[EVSE].fallback_a is None


def test_a_transaction_starts_and_ends(scene: Scene) -> None:
    scene.post(TransactionChanged(transaction=a_transaction()))
    running = scene.image.freeze().stations[STATION].evses[EVSE].transaction
    scene.post(TransactionChanged(transaction=a_transaction(ended=True)))

    assert running is not None
    assert scene.image.freeze().stations[STATION].evses[EVSE].transaction is None


def test_the_late_end_of_an_old_transaction_leaves_the_new_one_alone(scene: Scene) -> None:
    scene.post(TransactionChanged(transaction=a_transaction("2")))
    scene.post(TransactionChanged(transaction=a_transaction("1", ended=True)))

    transaction = scene.image.freeze().stations[STATION].evses[EVSE].transaction
    assert transaction is not None
    assert transaction.id == "2"


@pytest.mark.parametrize(
    ("event", "wakes"),
    [
        (EvseStateChanged(evse=EVSE, state=EvseState.CHARGING), True),
        (LeaseModeFound(station=STATION, mode=LeaseMode.LEASED), True),
        (TransactionChanged(transaction=a_transaction()), True),
        (StationHeard(station=STATION), False),
        (EvseSampled(evse=EVSE, sample=EvseSample(power_w=1.0)), False),
    ],
    ids=lambda x: type(x).__name__,
)
def test_only_what_changes_the_plan_wakes_the_cycle(
    scene: Scene, event: StationEvent, wakes: bool
) -> None:
    scene.post(event)

    assert bool(scene.wakes) is wakes


def test_events_of_strangers_are_ignored(scene: Scene) -> None:
    scene.post(
        StationConnected(station=StationId("NOBODY"), protocol="ocpp1.6"),
        EvseStateChanged(evse=EvseId("CP001/9"), state=EvseState.CHARGING),
    )

    assert set(scene.image.freeze().stations) == {"CP001", "CP002", "CP003"}
