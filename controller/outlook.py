"""From visits to the horizon program: the terms of the plan, each by its name.

worth   charge is worth more the sooner it comes, measured against the time the vehicle has: of two
        vehicles the one that leaves first goes first, and nothing is put off without a reason;
first   the first part of everybody's need is worth more: nobody leaves with nothing;
change  a limit that stays saves commands and contactors;
price   energy that costs money is worth less by its price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy

from controller.site import EvseId
from controller.timegrid import TimeGrid
from controller.visit import Visit
from optimizer.horizon_problem import FloatArray, HorizonLoad, HorizonNode, HorizonProblem
from optimizer.phases import PhaseSet

LEAST_VALUE = 0.7
"""Even the lowest priority is worth more than the dearest price takes off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An EVSE in the program, whether a vehicle is there or not: then the program stays the same."""

    evse: EvseId
    circuit: str
    phases: PhaseSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How much each term counts, against 1 for a unit of charge."""

    late_factor: float = 0.1
    """Lost by charge that comes at the end of the stay instead of at once."""
    first_ratio: float = 0.15
    """The first part of a need. [share]"""
    first_factor: float = 0.5
    change_factor: float = 0.01
    priority_factor: float = 0.02
    """Gained per unit of priority: 0.2 per class."""
    price_factor: float = 0.0
    """Lost per unit of price of a slot; prices are scaled to 0..1."""


def horizon_problem(
    grid: TimeGrid,
    *,
    nodes: tuple[HorizonNode, ...],
    places: Iterable[Place],
    visits: Mapping[EvseId, Visit],
    terms: Terms,
    price: FloatArray | None = None,
) -> HorizonProblem:
    """Write the program of a planning run.

    Args:
        grid: The slots.
        nodes: What the circuits leave for charging.
        places: Every EVSE of the site.
        visits: The vehicles that are there.
        terms: Weights of the terms.
        price: Price per slot, 0 (cheapest) to 1 (dearest); None: it does not matter.
    """
    nothing = numpy.zeros(grid.n_slots)
    middle_h = grid.begin_h + grid.length_h / 2
    cost = nothing if price is None else terms.price_factor * price
    loads = tuple(
        _load(place, visits.get(place.evse), grid, middle_h, cost, terms) for place in places
    )
    return HorizonProblem(n_slots=grid.n_slots, nodes=nodes, loads=loads)


def _load(
    place: Place,
    visit: Visit | None,
    grid: TimeGrid,
    middle_h: FloatArray,
    cost: FloatArray,
    terms: Terms,
) -> HorizonLoad:
    if visit is None:
        nothing = numpy.zeros(grid.n_slots)
        return HorizonLoad(
            id=place.evse,
            node=place.circuit,
            phases=place.phases,
            ceiling_ah=nothing,
            need_ah=0.0,
            worth=nothing,
        )
    phases = len(place.phases)
    value = max(LEAST_VALUE, 1.0 + terms.priority_factor * visit.priority)
    late = numpy.minimum(1.0, middle_h / max(visit.stay_h, 1e-3))
    whole_ah = visit.need_ah + visit.taken_ah
    return HorizonLoad(
        id=place.evse,
        node=place.circuit,
        phases=place.phases,
        ceiling_ah=grid.stay_h(visit.stay_h) * visit.max_a,
        need_ah=visit.need_ah,
        worth=phases * (value * (1.0 - terms.late_factor * late) - cost),
        first_ah=max(0.0, terms.first_ratio * whole_ah - visit.taken_ah),
        first_worth_per_ah=phases * terms.first_factor,
        held_ah=visit.held_a * float(grid.length_h[0]),
        change_cost_per_ah=phases * terms.change_factor,
    )
