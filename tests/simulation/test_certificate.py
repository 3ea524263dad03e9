"""The fallback certificate against the simulation: what passes `check` is safe without a controller."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.simulator.lockstep.lockstep import Lockstep
from adapters.simulator.lockstep.random_days import a_random_site
from adapters.simulator.lockstep.scenario import Day, Fault, FaultKind, LoadChange, Visit
from adapters.simulator.vehicle import Vehicle
from controller.certificate import certify
from controller.phases import PhaseCurrents
from controller.site import Site

THIRSTY = Vehicle(name="thirsty", max_a=32.0, battery_wh=1_000_000.0, soc_ratio=0.0)
DEAD_S = 900.0


def abandoned(site: Site, *, killed_s: float, away: tuple[bool, ...]) -> Lockstep:
    """Everybody charges, the building draws its worst, stations go away, the controller dies."""
    loads = tuple(
        LoadChange(circuit=c.id, at_s=0.0, current=_own_peak(site, c.id))
        for c in site.circuits.values()
    )
    evses = list(site.evses())
    visits = tuple(
        Visit(evse=e.id, vehicle=THIRSTY, at_s=30.0 + n, leaves_s=9000.0)
        for n, e in enumerate(evses)
    )
    offline = tuple(
        Fault(kind=FaultKind.STATION_OFFLINE, at_s=killed_s - 5.0, for_s=DEAD_S, target=e.station)
        for e, is_away in zip(evses, away, strict=False)
        if is_away
    )
    killed = Fault(kind=FaultKind.CONTROLLER_KILLED, at_s=killed_s, for_s=DEAD_S)
    day = Day(
        site=site,
        duration_s=killed_s + DEAD_S - 1.0,
        visits=visits,
        loads=loads,
        faults=(*offline, killed),
    )
    run = Lockstep(day)
    run.run()
    return run


def _own_peak(site: Site, circuit: str) -> PhaseCurrents:
    own = next(c for c in site.circuits.values() if c.id == circuit).building_peak_a
    for child in site.circuits.values():
        if child.parent == circuit:
            own = own - child.building_peak_a
    return own


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10_000),
    killed_s=st.floats(60.0, 400.0),
    away=st.lists(st.booleans(), min_size=10, max_size=10),
)
def test_a_site_that_passes_is_never_overloaded_without_its_controller(
    seed: int, killed_s: float, away: list[bool]
) -> None:
    site = a_random_site(Random(seed), 5 + seed % 4)
    run = abandoned(site, killed_s=killed_s, away=tuple(away))

    assert certify(site).holds
    assert max(p.over_as for line in run.lines.values() for p in line.poles) <= 1e-6


def test_a_site_that_fails_shows_the_phase_that_is_overloaded() -> None:
    site = a_random_site(Random(1), 6)
    main = next(c for c in site.circuits.values() if c.parent is None)
    small = replace(main, limit_a=PhaseCurrents.balanced(max(main.building_peak_a) + 7.0))
    site = replace(site, circuits={**site.circuits, main.id: small})

    run = abandoned(site, killed_s=100.0, away=(True,) * 6)
    failing = {(f.circuit, f.phase) for f in certify(site).failures}
    overloaded = {
        (line.circuit.id, phase)
        for line in run.lines.values()
        for phase, pole in zip(("l1", "l2", "l3"), line.poles, strict=True)
        if pole.current_a > pole.limit_a
    }

    assert overloaded
    assert overloaded <= {(circuit, phase.value) for circuit, phase in failing}
