"""What happens on a simulated site: who arrives when, how the building behaves, which stations err."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random

from adapters.simulator.building import BuildingHabits, BuildingStep, Curve
from adapters.simulator.habits import StationHabits
from adapters.simulator.vehicle import Sleep, Vehicle


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A vehicle that plugs in, and perhaps leaves."""

    evse: int
    """Index of the EVSE in the order of the site."""
    vehicle: Vehicle
    at_s: float
    leaves_at_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A script for any site. Times are simulated time since the start. [s]"""

    name: str
    arrivals: tuple[Arrival, ...] = ()
    building: BuildingHabits = field(default_factory=BuildingHabits)
    steps: tuple[BuildingStep, ...] = ()
    habits: Mapping[int, StationHabits] = field(default_factory=dict)
    """By index of the station in the order of the site; stations without an entry are sound."""


GARAGE: tuple[Vehicle, ...] = (
    Vehicle(name="hatchback", phases=3, max_a=16.0, battery_wh=58_000, soc_ratio=0.35),
    Vehicle(name="van", phases=3, max_a=32.0, battery_wh=90_000, soc_ratio=0.2, ramp_a_per_s=6.0),
    Vehicle(name="city car", phases=1, max_a=32.0, battery_wh=36_000, soc_ratio=0.5),
    Vehicle(name="plug-in hybrid", phases=1, max_a=16.0, battery_wh=12_000, soc_ratio=0.75),
    Vehicle(
        name="saloon",
        phases=3,
        max_a=16.0,
        battery_wh=77_000,
        soc_ratio=0.3,
        response_s=4.0,
        sleep=Sleep.UNTIL_OFFERED,
    ),
    Vehicle(name="older compact", phases=2, max_a=16.0, battery_wh=32_000, soc_ratio=0.55),
    Vehicle(name="picky compact", phases=3, max_a=32.0, min_a=8.0, battery_wh=41_000),
    Vehicle(name="modest saloon", phases=3, max_a=32.0, take_ratio=0.94, battery_wh=80_000),
)
"""Vehicles as they stand in a car park."""

FULL_POWER = Vehicle(
    name="full power",
    phases=3,
    max_a=32.0,
    battery_wh=1_000_000.0,
    soc_ratio=0.0,
    ramp_a_per_s=16.0,
    response_s=1.0,
    start_s=1.0,
)
"""A vehicle that takes whatever it is offered for as long as a measurement lasts."""

DEMO_DAY = Curve(
    points=(
        (0.0, 0.75),
        (60.0, 0.8),
        (61.0, 1.0),
        (100.0, 0.95),
        (101.0, 0.7),
        (170.0, 0.6),
        (171.0, 0.85),
        (240.0, 0.9),
        (241.0, 0.65),
    ),
    period_s=300.0,
)
"""A building's day in five minutes, with loads that switch."""

_DEMO_RUSH_S = 15.0


def demo(evses: int) -> Scenario:
    """Return a lively site: vehicles of all kinds plug in within the first seconds."""
    gap_s = min(1.5, _DEMO_RUSH_S / max(1, evses))
    return Scenario(
        name="demo",
        arrivals=tuple(
            Arrival(
                evse=index,
                vehicle=_with_card(GARAGE[index % len(GARAGE)], index),
                at_s=2.0 + index * gap_s,
            )
            for index in range(evses)
        ),
        building=BuildingHabits(base_ratio=0.75, curve=DEMO_DAY, phase_shift_s=20.0),
    )


def steady(evses: int) -> Scenario:
    """Return a site that does not change: every EVSE with a three-phase vehicle at full power."""
    return Scenario(
        name="steady",
        arrivals=tuple(
            Arrival(evse=index, vehicle=_with_card(FULL_POWER, index), at_s=1.0)
            for index in range(evses)
        ),
        building=BuildingHabits(base_ratio=0.5, noise_ratio=0.0),
    )


def random(evses: int, seed: int) -> Scenario:
    """Return vehicles, arrivals, departures and building loads drawn by lot."""
    lot = Random(seed)
    arrivals: list[Arrival] = []
    for index in range(evses):
        time_s = lot.uniform(1.0, 60.0)
        for _ in range(lot.randint(0, 3)):
            stay_s = lot.uniform(120.0, 3600.0)
            arrivals.append(
                Arrival(
                    evse=index,
                    vehicle=_with_card(lot.choice(GARAGE), index),
                    at_s=time_s,
                    leaves_at_s=time_s + stay_s,
                )
            )
            time_s += stay_s + lot.uniform(30.0, 600.0)
    times_s = sorted(lot.uniform(1.0, 599.0) for _ in range(6))
    curve = Curve(
        points=((0.0, 0.7), *((time_s, lot.uniform(0.4, 1.0)) for time_s in times_s)),
        period_s=600.0,
    )
    return Scenario(
        name=f"random {seed}",
        arrivals=tuple(arrivals),
        building=BuildingHabits(
            base_ratio=lot.uniform(0.4, 0.9),
            curve=curve,
            phase_shift_s=lot.uniform(0.0, 200.0),
        ),
    )


def _with_card(vehicle: Vehicle, index: int) -> Vehicle:
    """Give a vehicle a card of its own: one card cannot charge twice at a time."""
    return replace(vehicle, card=f"04A1B2{index:08X}")
