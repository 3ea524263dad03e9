"""What the allocator is asked: every limit of the site stands in its question."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.decide import question_of
from controller.phases import PhaseCurrents
from controller.site import EvseId, Site
from optimizer.allocate import Allocator
from tests.controller.builders import (
    MAIN,
    Bench,
    a_circuit,
    a_site,
    an_evse,
    setpoints_a,
    with_policy,
)


def charged(site: Site, building: PhaseCurrents, **phases: int) -> dict[str, float]:
    bench = Bench(site=site, building={"main": building}, policy=with_policy(newcomers=0))
    bench.plug_in()
    return setpoints_a(bench.run(150, step_s=2.0))


def test_evses_of_one_station_share_its_own_limit() -> None:
    own = a_circuit("station:CP001", parent="main", meter=None, limit_a=20, building_peak_a=0)
    evses = [an_evse("CP001", number=n, circuit="station:CP001") for n in (1, 2)]
    site = a_site(circuits=[a_circuit(), own], evses=[*evses, an_evse("CP002")])
    expected = {"CP001/1": 10.0, "CP001/2": 10.0, "CP002/1": 32.0}
    assert expected == charged(site, PhaseCurrents.balanced(5.0))


@pytest.mark.parametrize(("l1_a", "expected_a"), [(5.0, 20.0), (15.0, 10.0)])
def test_a_single_phase_car_keeps_the_unbalance_limit_with_the_building(
    l1_a: float, expected_a: float
) -> None:
    circuit = replace(a_circuit(), unbalance_a=20.0)
    site = a_site(circuits=[circuit], evses=[an_evse("CP001", phases=1)])
    building = PhaseCurrents(l1_a=l1_a, l2_a=5.0, l3_a=5.0)
    setpoint_a = charged(site, building)["CP001/1"]
    assert setpoint_a == pytest.approx(expected_a, abs=0.2)


def test_a_circuit_of_which_nothing_is_known_gives_nothing() -> None:
    bench = Bench(site=a_site(evses=1), policy=with_policy(newcomers=0)).plug_in()
    bench.run(60, step_s=2.0)
    limit = PhaseCurrents(l1_a=float("nan"), l2_a=63.0, l3_a=63.0)
    broken = replace(a_circuit(), limit_a=limit)
    question = question_of(
        replace(bench.snapshot(), site=replace(bench.site, circuits={MAIN: broken}), outcomes=()),
        bench.memory,
        bench.policy,
    )
    assert [max(node.available) for node in question.problem.nodes] == [-1.0]
    answer = Allocator().allocate(question.problem, deadline_s=5)
    assert set(answer.current_a.values()) == {0.0}


def test_a_site_without_evses_is_asked_nothing() -> None:
    decision = Bench(site=a_site(evses=[])).step()
    assert (decision.plan.evses, decision.plan.method) == ({}, "lp")


@pytest.mark.parametrize(
    ("building_a", "solar_min_a", "expected_a"),
    [
        (-10.0, 0.0, 10.0),  # 30 A are exported on all phases together: 10 A on each of three
        (-3.0, 0.0, 0.0),  # too little for its minimum
        (-3.0, 6.0, 6.0),  # its minimum may come from the grid
        (5.0, 0.0, 0.0),  # nothing is exported
        (-50.0, 0.0, 32.0),  # more than it can take
    ],
)
def test_who_charges_from_surplus_takes_what_would_be_exported(
    building_a: float, solar_min_a: float, expected_a: float
) -> None:
    solar = replace(an_evse("CP001", fallback_a=0.0), solar_min_a=solar_min_a)
    setpoints = charged(a_site(evses=[solar]), PhaseCurrents.balanced(building_a))
    assert setpoints["CP001/1"] == pytest.approx(expected_a, abs=0.2)


def test_surplus_goes_to_others_first_and_is_named_when_it_is_short() -> None:
    solar = replace(an_evse("CP001", fallback_a=0.0), solar_min_a=0.0)
    site = a_site(evses=[solar, an_evse("CP002", max_a=8.0)])
    bench = Bench(
        site=site,
        building={"main": PhaseCurrents.balanced(-20.0)},
        policy=with_policy(newcomers=0),
    ).plug_in()
    decision = bench.run(150, step_s=2.0)
    assert setpoints_a(decision) == pytest.approx({"CP001/1": 12.0, "CP002/1": 8.0}, abs=0.3)
    reason = decision.plan.evses[EvseId("CP001/1")].reason
    assert (reason.text, reason.bound_by) == ("The site's surplus is used up.", "surplus:main")
    assert (reason.wording, reason.values) == ("surplus", {"budget": "main"})


def test_an_unbalance_limit_is_told_as_one() -> None:
    circuit = replace(a_circuit(), unbalance_a=20.0)
    bench = Bench(
        site=a_site(circuits=[circuit], evses=[an_evse("CP001", phases=1)]),
        policy=with_policy(newcomers=0),
    ).plug_in()
    reason = bench.run(150, step_s=2.0).plan.evses[EvseId("CP001/1")].reason
    expected = "main L1 may not exceed another phase by more than the unbalance limit."
    assert (expected, "unbalance") == (reason.text, reason.wording)
