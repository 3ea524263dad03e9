from __future__ import annotations

from dataclasses import replace

from controller.decide import decide
from controller.site import EvseId, StationId
from controller.station import EvseState, EvseView, StationView
from optimizer.allocate import Allocator
from tests.controller.builders import Bench, a_site

EVSE = EvseId("CP001/1")


def codes(bench: Bench, view: EvseView) -> set[str]:
    """Return the codes about the EVSE when its view is another."""
    snapshot = bench.snapshot()
    station: StationView = snapshot.stations[StationId("CP001")]
    stations = {**snapshot.stations, station.id: replace(station, evses={EVSE: view})}
    decision = decide(
        replace(snapshot, stations=stations),
        bench.memory,
        bench.policy,
        allocate=Allocator().allocate,
    )
    return {c.code for c in decision.conditions if c.subject == EVSE}


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


def test_a_session_without_meter_values_is_told() -> None:
    bench, view = charging()
    assert view.sample is not None
    old = replace(view.sample, taken_s=bench.now_s - 61.0)
    assert "EVSE_METER_SILENT" in codes(bench, replace(view, sample=old, state_since_s=0.0))
    assert "EVSE_METER_SILENT" not in codes(bench, view)
