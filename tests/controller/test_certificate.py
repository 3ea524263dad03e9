"""The certificate covers every way in which stations can be lost, on every phase."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.certificate import certify
from controller.phases import PHASES, ZERO, Phase, PhaseCurrents, PhaseRotation
from controller.site import (
    Circuit,
    CircuitId,
    Evse,
    EvseId,
    ProtectiveDevice,
    Site,
    Station,
    StationId,
)


def a_circuit(
    name: str = "main",
    *,
    parent: str | None = None,
    limit_a: float | tuple[float, float, float] = 100.0,
    building_a: float | tuple[float, float, float] = 0.0,
) -> Circuit:
    return Circuit(
        id=CircuitId(name),
        parent=None if parent is None else CircuitId(parent),
        limit_a=phases(limit_a),
        device=ProtectiveDevice.MCB,
        meter=None,
        building_peak_a=phases(building_a),
        margin_a=1.0,
    )


def an_evse(
    name: str,
    *,
    circuit: str = "main",
    max_a: float = 32.0,
    fallback_a: float = 6.0,
    count: int = 3,
    rotation: PhaseRotation = PhaseRotation.RST,
    holds_lease: bool = True,
) -> Evse:
    return Evse(
        id=EvseId(f"{name}/1"),
        station=StationId(name),
        number=1,
        circuit=CircuitId(circuit),
        phases=count,
        rotation=rotation,
        min_a=6.0,
        max_a=max_a,
        step_a=0.1,
        fallback_a=fallback_a,
        holds_lease=holds_lease,
        priority=0,
    )


def a_site(circuits: list[Circuit], evses: list[Evse]) -> Site:
    return Site(
        id="site",
        name="Site",
        timezone="Europe/Stockholm",
        voltage_v=230.0,
        circuits={c.id: c for c in sorted(circuits, key=lambda c: c.id)},
        stations={e.station: Station(id=e.station, evses=(e,)) for e in evses},
        meters={},
    )


def phases(value_a: float | tuple[float, float, float]) -> PhaseCurrents:
    if isinstance(value_a, tuple):
        return PhaseCurrents(l1_a=value_a[0], l2_a=value_a[1], l3_a=value_a[2])
    return PhaseCurrents.balanced(value_a)


def test_a_circuit_adds_building_fallbacks_and_ratings_without_lease() -> None:
    site = a_site(
        [a_circuit(building_a=40)],
        [an_evse("a"), an_evse("b", fallback_a=0), an_evse("c", max_a=16, holds_lease=False)],
    )

    proof = certify(site).circuits[CircuitId("main")]

    assert proof.building_a == phases(40)
    assert proof.fallback_a == phases(6)
    assert proof.rating_a == phases(16)
    assert proof.total_a == phases(62)
    assert proof.slack_a == phases(38)


@pytest.mark.parametrize(("limit_a", "holds"), [(46.0, True), (45.9, False)])
def test_it_holds_up_to_the_limit_and_not_beyond(limit_a: float, holds: bool) -> None:
    site = a_site([a_circuit(limit_a=limit_a, building_a=40)], [an_evse("a")])

    assert certify(site).holds is holds


def test_sums_of_tenths_do_not_fail_by_rounding() -> None:
    site = a_site([a_circuit(limit_a=61.0)], [an_evse(f"s{i}", fallback_a=6.1) for i in range(10)])

    assert certify(site).holds


def test_each_phase_stands_alone() -> None:
    site = a_site(
        [a_circuit(limit_a=(20, 20, 12), building_a=(10, 0, 0))],
        [
            an_evse("a", count=1, rotation=PhaseRotation.RST),
            an_evse("b", count=1, rotation=PhaseRotation.TRS, fallback_a=13),
            an_evse("c", count=2, rotation=PhaseRotation.RST, holds_lease=False, max_a=16),
        ],
    )

    failures = certify(site).failures

    assert [(f.phase, f.total_a, round(f.missing_a, 6)) for f in failures] == [
        (Phase.L1, 32.0, 12.0),
        (Phase.L3, 13.0, 1.0),
    ]


def test_a_parent_carries_what_hangs_below_its_children() -> None:
    site = a_site(
        [a_circuit(limit_a=20), a_circuit("a", parent="main"), a_circuit("b", parent="a")],
        [an_evse("x", circuit="a"), an_evse("y", circuit="b", holds_lease=False)],
    )

    certificate = certify(site)

    assert [f.circuit for f in certificate.failures] == ["main"] * 3
    assert certificate.circuits[CircuitId("b")].total_a == phases(32)
    assert certificate.circuits[CircuitId("a")].total_a == phases(38)


@pytest.mark.parametrize(
    ("own_a", "expected_a"),
    [((50, 50, 50), (50, 50, 50)), ((20, 50, 20), (40, 50, 30)), (0, (40, 30, 30))],
)
def test_the_building_is_at_least_what_the_circuits_below_say(
    own_a: float | tuple[float, float, float], expected_a: tuple[float, float, float]
) -> None:
    site = a_site(
        [
            a_circuit(building_a=own_a),
            a_circuit("a", parent="main", building_a=0),
            a_circuit("a-a", parent="a", building_a=(30, 20, 20)),
            a_circuit("b", parent="main", building_a=10),
        ],
        [],
    )

    proof = certify(site).circuits[CircuitId("main")]

    assert proof.building_a == phases(expected_a)


def test_circuits_stand_in_id_order() -> None:
    site = a_site([a_circuit("b", parent="a"), a_circuit("c", parent="b"), a_circuit("a")], [])

    assert list(certify(site).circuits) == ["a", "b", "c"]


currents_a = st.floats(min_value=0, max_value=40, allow_nan=False)


@st.composite
def sites(draw: st.DrawFn) -> Site:
    count = draw(st.integers(min_value=1, max_value=6))
    names = [f"c{i}" for i in range(count)]
    circuits = [
        a_circuit(
            name,
            parent=None if i == 0 else names[draw(st.integers(0, i - 1))],
            building_a=draw(st.tuples(currents_a, currents_a, currents_a)),
        )
        for i, name in enumerate(names)
    ]
    evses = [
        an_evse(
            f"s{i}",
            circuit=draw(st.sampled_from(names)),
            max_a=draw(st.sampled_from([16.0, 32.0])),
            fallback_a=draw(st.sampled_from([0.0, 6.0, 10.0])),
            count=draw(st.integers(1, 3)),
            rotation=draw(st.sampled_from(PhaseRotation)),
            holds_lease=draw(st.booleans()),
        )
        for i in range(draw(st.integers(0, 8)))
    ]
    return a_site(circuits, evses)


@given(site=sites(), data=st.data())
def test_no_set_of_lost_stations_exceeds_the_total(site: Site, data: st.DataObject) -> None:
    """Lost stations as bad as they can be, the others anywhere up to what they fall back to."""
    flows_a = {}
    for evse in site.evses():
        lost = data.draw(st.booleans(), label=f"{evse.id} lost")
        share = 1.0 if lost else data.draw(st.floats(0, 1), label=f"{evse.id} share")
        flows_a[evse.id] = PhaseCurrents.on(evse.grid_phases, share * evse.unreachable_a)

    certificate = certify(site)

    for circuit, proof in certificate.circuits.items():
        below_a = sum((flows_a[e.id] for e in site.evses_below(circuit)), start=ZERO)
        assert (below_a + proof.building_a).fits(proof.total_a)
        assert site.circuits[circuit].building_peak_a.fits(proof.building_a)


@given(site=sites())
def test_failures_are_exactly_the_phases_above_their_limit(site: Site) -> None:
    certificate = certify(site)

    above = [
        (circuit, phase)
        for circuit, proof in certificate.circuits.items()
        for phase in PHASES
        if proof.total_a.of(phase) > proof.limit_a.of(phase) + 1e-6
    ]
    assert above == [(f.circuit, f.phase) for f in certificate.failures]
    assert certificate.holds is (not above)
