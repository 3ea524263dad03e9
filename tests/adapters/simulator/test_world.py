from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from adapters.simulator import scenario as scenarios
from adapters.simulator.building import BuildingHabits, BuildingStep, Curve
from adapters.simulator.scenario import FULL_POWER, Arrival, Scenario
from adapters.simulator.world import World
from controller.phases import Phase
from controller.site import EvseId, Site
from tests.adapters.simulator.sites import GARAGE, MAIN, a_circuit, a_site, an_evse

QUIET = BuildingHabits(base_ratio=0.5, noise_ratio=0.0)


def a_world(site: Site | None = None, **changes: object) -> World:
    scenario = replace(Scenario(name="test", building=QUIET), **changes)  # type: ignore[arg-type]
    return World(site=site or a_site(), scenario=scenario, seed=1)


def run(world: World, seconds: int) -> None:
    for _ in range(seconds):
        world.step(1.0)


def nested() -> Site:
    return a_site(
        an_evse("CP001", circuit=GARAGE),
        an_evse("CP002", circuit=MAIN),
        circuits=(
            a_circuit(MAIN, limit_a=200.0, building_a=60.0),
            a_circuit(GARAGE, parent=MAIN, limit_a=40.0, building_a=20.0),
        ),
    )


def charge_all(world: World) -> None:
    for charger in world.chargers.values():
        charger.plug_in(FULL_POWER)
        charger.permitted = True


def test_a_parent_carries_what_its_children_carry() -> None:
    world = a_world(nested())
    charge_all(world)
    run(world, 30)
    circuits = world.truth().circuits
    assert tuple(circuits[GARAGE].current_a) == pytest.approx((42.0,) * 3)
    assert tuple(circuits[MAIN].current_a) == pytest.approx((94.0,) * 3)
    assert tuple(circuits[MAIN].building_a) == pytest.approx((30.0,) * 3)


def test_ampere_seconds_above_the_limit_are_counted() -> None:
    world = a_world(nested())
    charge_all(world)
    run(world, 30)
    before_as = world.truth().circuits[GARAGE].over_as.l1_a
    run(world, 10)
    assert world.truth().circuits[GARAGE].over_as.l1_a - before_as == pytest.approx(20.0)
    assert world.truth().circuits[MAIN].over_as.l1_a == 0.0


def test_a_trip_is_recorded_and_opens_the_circuit_and_what_is_below() -> None:
    world = a_world(nested())
    charge_all(world)
    world.building_step(BuildingStep(phase=Phase.L2, current_a=300.0, start_s=0.0, circuit=MAIN))
    run(world, 60)
    truth = world.truth()
    assert [(trip.circuit, trip.phase) for trip in truth.trips] == [(MAIN, Phase.L2)]
    assert [tuple(c.current_a) for c in truth.circuits.values()] == [(0.0, 0.0, 0.0)] * 2
    assert [evse.power_w for evse in truth.evses.values()] == [0.0, 0.0]


def test_a_building_step_acts_while_it_lasts() -> None:
    step = BuildingStep(phase=Phase.L3, current_a=12.0, start_s=5.0, end_s=10.0)
    world = a_world(steps=(step,))
    seen_a = []
    for _ in range(12):
        world.step(1.0)
        seen_a.append(world.truth().circuits[MAIN].current_a.l3_a)
    assert seen_a == [20.0] * 4 + [32.0] * 5 + [20.0] * 3


def test_sun_feeds_back_and_is_counted_as_export() -> None:
    world = a_world(building=replace(QUIET, pv_ratio=1.0))
    run(world, 3600)
    main = world.truth().circuits[MAIN]
    assert main.current_a.l1_a == pytest.approx(-20.0)
    assert (main.import_wh, main.export_wh) == (0.0, pytest.approx(3 * 20 * 230.0))


def test_vehicles_come_and_leave_by_the_script() -> None:
    arrival = Arrival(evse=0, vehicle=FULL_POWER, at_s=3.0, leaves_at_s=6.0)
    world = a_world(arrivals=(arrival,))
    seen = []
    for _ in range(7):
        world.step(1.0)
        seen.append(world.truth().evses[EvseId("CP001/1")].vehicle is not None)
    assert seen == [False, False, True, True, True, False, False]


def test_the_same_seed_gives_the_same_site() -> None:
    truths = []
    for seed in (1, 1, 2):
        world = World(site=a_site(), scenario=scenarios.random(1, 7), seed=seed)
        charge_all(world)
        run(world, 300)
        truths.append(world.truth())
    assert truths[0] == truths[1]
    assert truths[0] != truths[2]


def test_the_building_wanders_slowly_around_its_base() -> None:
    world = a_world(building=BuildingHabits(base_ratio=0.5, noise_ratio=0.05))
    seen_a = []
    for _ in range(2000):
        world.step(1.0)
        seen_a.append(world.truth().circuits[MAIN].current_a.l1_a)
    steps_a = [abs(b - a) for a, b in itertools.pairwise(seen_a)]
    assert sum(seen_a) / len(seen_a) == pytest.approx(20.0, abs=2.0)
    assert 3.0 < max(seen_a) - min(seen_a) < 20.0
    assert max(steps_a) < 1.5


@pytest.mark.parametrize(
    ("time_s", "ratio"), [(0.0, 0.0), (5.0, 0.5), (10.0, 1.0), (15.0, 0.5), (25.0, 0.5)]
)
def test_a_curve_is_straight_between_its_points_and_repeats(time_s: float, ratio: float) -> None:
    curve = Curve(points=((0.0, 0.0), (10.0, 1.0)), period_s=20.0)
    assert curve.at(time_s) == pytest.approx(ratio)


@pytest.mark.parametrize("chargers", [1, 8, 200])
def test_in_the_demo_everyone_is_plugged_in_soon(chargers: int) -> None:
    arrivals = scenarios.demo(chargers).arrivals
    assert max(a.at_s for a in arrivals) <= 20.0
    assert len({a.vehicle.card for a in arrivals}) == chargers
