from __future__ import annotations

from dataclasses import replace

from controller.commands import Rejected
from controller.decide import Decision, decide
from controller.faults import outage_of, unheard
from controller.memory import EvseMemory, Outage
from controller.phases import PhaseCurrents
from controller.readings import EvseSample, Reading
from controller.site import EvseId, StationId
from controller.snapshot import Snapshot
from controller.station import EvseState, EvseView, LeaseMode, StationView
from optimizer.allocate import Allocator
from tests.controller.builders import Bench, a_site, setpoints_a

EVSE = EvseId("CP001/1")


def codes(bench: Bench, view: EvseView) -> set[str]:
    """Return the codes about the EVSE when its view is another."""
    return {c.code for c in decided(bench, view).conditions if c.subject == EVSE}


def questions(bench: Bench, view: EvseView) -> tuple[EvseId, ...]:
    """Return who is asked for meter values when the EVSE's view is another."""
    return decided(bench, view).wave.questions


def decided(bench: Bench, view: EvseView) -> Decision:
    snapshot = bench.snapshot()
    station: StationView = snapshot.stations[StationId("CP001")]
    stations = {**snapshot.stations, station.id: replace(station, evses={EVSE: view})}
    return decide(
        replace(snapshot, stations=stations),
        bench.memory,
        bench.policy,
        allocate=Allocator().allocate,
    )


def charging() -> tuple[Bench, EvseView]:
    bench = Bench(site=a_site(evses=1)).plug_in()
    bench.run(90.0)
    return bench, bench.snapshot().stations[StationId("CP001")].evses[EVSE]


def test_current_though_nobody_charges_is_a_welded_contactor() -> None:
    bench, view = charging()
    idle = replace(view, transaction=None, state=EvseState.AVAILABLE)
    long_ago = replace(idle, state_since_s=bench.now_s - 31.0)
    just_now = replace(idle, state_since_s=bench.now_s - 5.0)
    assert "CURRENT_WITHOUT_SESSION" in codes(bench, long_ago)
    assert "CURRENT_WITHOUT_SESSION" not in codes(bench, just_now)
    assert "CURRENT_WITHOUT_SESSION" not in codes(bench, view)


def test_a_vehicle_that_has_left_is_no_welded_contactor() -> None:
    """The last sample of a session stays the latest where stations send none outside of sessions."""
    bench, view = charging()
    assert view.sample is not None
    last_s = view.sample.taken_s
    left = replace(view, transaction=None, state=EvseState.AVAILABLE, state_since_s=last_s)
    for seconds in range(120):
        bench.now_s = last_s + seconds
        assert "CURRENT_WITHOUT_SESSION" not in codes(bench, left)


def asked_at_s(bench: Bench, view: EvseView, seconds: int, *, answers: bool) -> list[int]:
    """Return when it is asked while it stays as it is; its answers show what its last sample did."""
    memory, began_s, found = bench.memory, bench.now_s, []
    for second in range(seconds):
        bench.now_s = began_s + second
        snapshot = bench.snapshot()
        station: StationView = snapshot.stations[StationId("CP001")]
        stations = {**snapshot.stations, station.id: replace(station, evses={EVSE: view})}
        snapshot = replace(snapshot, stations=stations)
        decision = decide(snapshot, memory, bench.policy, allocate=Allocator().allocate)
        memory = decision.memory
        if EVSE in decision.wave.questions:
            found.append(second)
            assert view.sample is not None
            if answers:
                view = replace(view, sample=replace(view.sample, taken_s=bench.now_s + 0.5))
    return found


def test_who_was_last_seen_to_draw_is_asked_after_its_session_but_not_in_vain_for_ever() -> None:
    """A third silence would end the connection of a station that answers no question at all."""
    bench, view = charging()
    assert view.sample is not None
    left = replace(
        view, transaction=None, state=EvseState.AVAILABLE, state_since_s=view.sample.taken_s
    )
    silent = asked_at_s(bench, left, 300, answers=False)
    bench, _ = charging()
    welded = asked_at_s(bench, left, 300, answers=True)

    assert len(silent) == 2
    assert len(welded) >= 15, "it carries current"


def test_a_sample_that_comes_late_is_a_welded_contactor_for_no_longer_than_it_is_believed() -> None:
    bench, view = charging()
    assert view.sample is not None
    last_s = view.sample.taken_s
    late = replace(view, transaction=None, state=EvseState.AVAILABLE, state_since_s=last_s - 12.0)
    told = []
    for second in range(300):
        bench.now_s = last_s + second
        told += [second] if "CURRENT_WITHOUT_SESSION" in codes(bench, late) else []

    assert told
    assert max(told) <= bench.policy.sample_stale_s


def test_a_session_without_meter_values_is_told() -> None:
    bench, view = charging()
    assert view.sample is not None
    old = replace(view.sample, taken_s=bench.now_s - 61.0)
    assert "EVSE_METER_SILENT" in codes(bench, replace(view, sample=old, state_since_s=0.0))
    assert "EVSE_METER_SILENT" not in codes(bench, view)


def told_s(bench: Bench, code: str, since_s: float) -> list[float]:
    """Return when a condition stood, in seconds since an instant."""
    return [
        at_s - since_s
        for at_s, decision in bench.history
        if at_s > since_s and any(c.code == code for c in decision.conditions)
    ]


def test_a_station_that_disobeys_is_asked_for_the_proof_and_told_its_limit_once_more() -> None:
    bench = Bench(site=a_site(evses=2), building={"main": PhaseCurrents.balanced(30.0)}).plug_in()
    bench.policy = replace(bench.policy, sample_interval_s=30.0)
    bench.run(120.0)
    held_a = bench.sent[-1][1].limit_a
    began_s = bench.now_s
    bench.drawn[EVSE] = held_a + 8.0
    bench.run(90.0)

    asked_s = [
        at_s - began_s for at_s, d in bench.history if at_s > began_s and EVSE in d.wave.questions
    ]
    first_s = min(told_s(bench, "DISOBEYS", began_s))
    again = [c for at_s, c, kind in bench.sent if at_s - began_s >= first_s and c.evse == EVSE]
    assert asked_s, "the next sample is not awaited"
    assert len([c for c in again if c.limit_a <= held_a]) >= 1


def test_three_refusals_are_told_within_a_quarter_of_a_minute() -> None:
    bench = Bench(site=a_site(evses=2)).plug_in()
    bench.run(60.0)
    bench.answers[EVSE] = Rejected(reason="no")
    sent = len(bench.sent)
    bench.building["main"] = PhaseCurrents.balanced(40.0)
    bench.run(30.0)

    first_s = next(at_s for at_s, c, _ in bench.sent[sent:] if c.evse == EVSE)
    assert min(told_s(bench, "LIMIT_REFUSED", first_s)) <= 15.0


def test_who_refused_until_its_lease_ended_is_asked_again_and_comes_back() -> None:
    bench = Bench(site=a_site(evses=2), building={"main": PhaseCurrents.balanced(5.0)})
    bench.policy = replace(bench.policy, lease_s=60.0)
    bench.plug_in().run(60.0)
    bench.answers[EVSE] = Rejected(reason="no")
    bench.run(300.0)
    assert "LIMIT_REFUSED" in {c.code for c in bench.step().conditions}

    del bench.answers[EVSE]
    bench.run(180.0)

    assert "LIMIT_REFUSED" not in {c.code for c in bench.step().conditions}
    assert setpoints_a(bench.step())[EVSE] > 6.0


def lost(bench: Bench, *stations: str, at_s: float) -> Snapshot:
    """Return what is known when some stations were lost at an instant."""
    snapshot = bench.snapshot()
    gone = {
        s: replace(v, connected=False, connected_since_s=None, lost_since_s=at_s)
        for s, v in snapshot.stations.items()
        if s in stations
    }
    return replace(snapshot, stations={**snapshot.stations, **gone})


def test_most_stations_lost_at_once_are_the_network() -> None:
    bench = Bench(site=a_site(evses=5))
    bench.run(5.0)
    two = outage_of(lost(bench, "CP001", "CP002", at_s=900.0), None)
    three = outage_of(lost(bench, "CP001", "CP002", "CP003", at_s=900.0), None)

    assert two is None
    assert three == Outage()


def test_an_outage_is_over_when_most_are_back_for_a_minute() -> None:
    bench = Bench(site=a_site(evses=5))
    bench.run(5.0)
    since = outage_of(bench.snapshot(), Outage())
    bench.run(59.0)
    still = outage_of(bench.snapshot(), since)
    bench.run(2.0)

    assert since is not None
    assert still == since
    assert outage_of(bench.snapshot(), still) is None


def test_a_meter_lost_for_a_quarter_of_an_hour_is_told_again_as_critical() -> None:
    bench = Bench(site=a_site(evses=1)).plug_in()
    bench.run(30.0)
    bench.meter_stops_s = bench.now_s
    began_s = bench.now_s
    bench.run(960.0, step_s=2.0)

    assert 900.0 <= min(told_s(bench, "METER_LOST_LONG", began_s)) <= 905.0
    assert min(told_s(bench, "METER_LOST", began_s)) <= 12.0


def test_of_whom_too_little_was_heard_nothing_is_over() -> None:
    """After a restart EVSE_METER_SILENT ended with the connection, and began again a minute later."""
    bench, view = charging()
    snapshot = bench.snapshot()
    station = snapshot.stations[StationId("CP001")]
    (meter,) = snapshot.meters

    def unheard_with(seen: EvseView, changed_s: float) -> frozenset[str]:
        stations = {station.id: replace(station, evses={EVSE: seen})}
        meters = {meter: replace(snapshot.meters[meter], changed_s=changed_s)}
        return unheard(replace(snapshot, stations=stations, meters=meters))

    assert unheard_with(view, bench.now_s) == frozenset()
    assert unheard_with(replace(view, sample=None), bench.now_s) == {EVSE}
    assert unheard_with(view, bench.now_s - 20.0) == {meter}


def test_who_faults_without_a_session_is_asked_until_it_has_shown_whether_current_flows() -> None:
    bench, view = charging()
    assert view.sample is not None
    faulted = replace(
        view, transaction=None, state=EvseState.FAULTED, faulted_since_s=bench.now_s - 30.0
    )
    before = replace(view.sample, taken_s=bench.now_s - 31.0)
    since = replace(view.sample, taken_s=bench.now_s - 20.0)

    assert EVSE in questions(bench, replace(faulted, sample=None))
    assert EVSE in questions(bench, replace(faulted, sample=before))
    assert EVSE in questions(bench, replace(faulted, sample=since)), "it still flows"
    none = replace(since, value=replace(since.value, terminal_a=(0.0, 0.0, 0.0)))
    assert EVSE not in questions(bench, replace(faulted, sample=none))


def test_who_draws_more_than_its_fallback_before_its_first_limit_is_suspected_from_then_on() -> (
    None
):
    bench, view = charging()
    assert view.sample is not None
    assert view.transaction is not None
    arrived = EvseMemory(transaction=view.transaction.id, arrived_s=bench.now_s - 5.0)
    bench.memory = replace(bench.memory, evses={EVSE: arrived})
    taken_s = bench.now_s - 2.0
    above = replace(view.sample.value, terminal_a=(16.0, 16.0, 16.0))
    within = replace(view.sample.value, terminal_a=(6.0, 6.0, 6.0))

    def suspected_s(value: EvseSample, *, fallback_a: float | None = 6.0) -> float | None:
        sample = Reading(value=value, taken_s=taken_s)
        seen = replace(view, sample=sample, fallback_a=fallback_a)
        return decided(bench, seen).memory.evse(EVSE).over_since_s

    assert suspected_s(above) == taken_s
    assert suspected_s(within) is None
    assert suspected_s(above, fallback_a=None) is None


def test_who_may_have_had_no_limit_is_given_time_to_follow_its_fallback() -> None:
    bench, view = charging()
    bench.memory = replace(bench.memory, evses={})
    station = replace(bench.snapshot().stations[StationId("CP001")], connected_since_s=0.0)

    def counted_a(mode: LeaseMode, *, confirmed_s: float) -> float:
        fresh = replace(view, fallback_a=6.0, fallback_since_s=confirmed_s, sample=None)
        stations = {station.id: replace(station, lease_mode=mode, evses={EVSE: fresh})}
        snapshot = replace(bench.snapshot(), stations=stations)
        decision = decide(snapshot, bench.memory, bench.policy, allocate=Allocator().allocate)
        return decision.committed_a[EVSE]

    just_now_s, long_ago_s = bench.now_s - 5.0, bench.now_s - 11.0
    assert counted_a(LeaseMode.PERMANENT, confirmed_s=just_now_s) == 32.0
    assert counted_a(LeaseMode.PERMANENT, confirmed_s=long_ago_s) == 6.0
    assert counted_a(LeaseMode.LEASED, confirmed_s=just_now_s) == 6.0
