"""The promise, over random sites and random trouble: charging never overloads a conductor by itself."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.commands import Rejected, TimedOut
from controller.phases import PhaseCurrents, PhaseRotation
from controller.site import Circuit, Evse, StationId
from tests.controller.builders import Bench, a_circuit, a_site, an_evse

TROUBLES = ("plug", "unplug", "silent", "silent_but_obeys", "refuses", "well", "away", "back")
PEAK_A = 20.0


@st.composite
def sites(draw: st.DrawFn) -> Bench:
    """A metered main circuit with one or two sub-circuits whose fallbacks fit (the certificate)."""
    count = draw(st.integers(2, 6))
    halls = draw(st.integers(1, 2))
    circuits: list[Circuit] = [
        a_circuit(limit_a=PEAK_A + 6.0 * count + draw(st.floats(0, 60)), building_peak_a=PEAK_A)
    ]
    for hall in range(halls):
        circuits.append(
            a_circuit(
                f"hall-{hall}",
                parent="main",
                meter=None,
                limit_a=6.0 * count + draw(st.floats(0, 30)),
                building_peak_a=0.0,
            )
        )
    evses: list[Evse] = [
        an_evse(
            f"CP{n:03d}",
            circuit=f"hall-{n % halls}",
            rotation=draw(st.sampled_from(PhaseRotation)),
        )
        for n in range(count)
    ]
    building = PhaseCurrents(
        l1_a=draw(st.floats(0, PEAK_A)), l2_a=draw(st.floats(0, PEAK_A)), l3_a=0.0
    )
    bench = Bench(
        site=a_site(circuits=circuits, evses=evses),
        building={"main": building},
        follow_s=draw(st.floats(1, 9)),
    )
    bench.phases = {e.id: draw(st.sampled_from([1, 3])) for e in evses}
    return bench


def trouble(bench: Bench, kind: str, evse: Evse, count: int) -> None:
    """Let something happen to one EVSE."""
    station = StationId(evse.station)
    match kind:
        case "plug" if evse.id not in bench.charging:
            bench.plug_in(evse.id, transaction=str(count))
        case "unplug":
            bench.unplug(evse.id)
        case "silent":
            bench.answers[evse.id] = TimedOut()
        case "silent_but_obeys":
            bench.answers[evse.id] = TimedOut()
            bench.heard.add(evse.id)
        case "refuses":
            bench.answers[evse.id] = Rejected(reason="no")
        case "well":
            bench.answers.pop(evse.id, None)
            bench.heard.discard(evse.id)
        case "away":
            bench.offline.add(station)
        case "back":
            bench.offline.discard(station)
        case _:
            pass


def overload_a(bench: Bench) -> float:
    """The worst excess over any circuit's limit, in truth. [A]."""
    return max(
        current - limit
        for circuit in bench.site.circuits.values()
        for current, limit in zip(bench.true_total(circuit.id), circuit.limit_a, strict=True)
    )


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    bench=sites(),
    events=st.lists(
        st.tuples(st.sampled_from(TROUBLES), st.integers(0, 5), st.integers(1, 25)),
        min_size=4,
        max_size=14,
    ),
)
def test_charging_never_overloads_a_conductor_by_itself(
    bench: Bench, events: list[tuple[str, int, int]]
) -> None:
    evses = list(bench.site.evses())
    for count, (kind, index, wait_s) in enumerate(events):
        trouble(bench, kind, evses[index % len(evses)], count)
        apart_s = 20 if kind == "plug" else 0  # the reserve is for one newcomer at a time
        for _ in range(wait_s + apart_s):
            bench.step()
            assert overload_a(bench) <= 1e-6


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(bench=sites(), steps=st.lists(st.floats(0, PEAK_A), min_size=1, max_size=3))
def test_a_building_step_is_answered_before_a_device_notices(
    bench: Bench, steps: list[float]
) -> None:
    """Whatever the building does below its peak, the excess is gone within ten seconds."""
    bench.plug_in()
    bench.run(45)
    for step_a in steps:
        bench.building["main"] = PhaseCurrents(l1_a=step_a, l2_a=PEAK_A - step_a, l3_a=step_a)
        bench.run(1 + bench.follow_s)
        bench.run(2)
        for _ in range(20):
            bench.step()
            assert overload_a(bench) <= 1e-6
