"""The planning run: from the site as it is to guidance for the allocator and a plan for people. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy

from controller.decision import Condition, Plan, Severity
from controller.demand import DemandLimit, DemandState, threshold_w
from controller.forecast import Profile
from controller.guidance import Guidance, with_loads_last
from controller.memory import Memory
from controller.outlook import Place, horizon_problem
from controller.phases import PHASES, PhaseCurrents, PhaseSet
from controller.policies import PolicyName, composed, terms_for
from controller.prospects import Prospect, prospects_of
from controller.roster import Room, TurnRules
from controller.signals import GridSignal, limits_in_force
from controller.site import Circuit, CircuitId, EvseId, Site
from controller.snapshot import Snapshot
from controller.tariffs import Series, SlotPrices, Tariff, slot_prices
from controller.timegrid import TimeGrid, grid_from
from controller.visit import Visit
from controller.visiting import TypicalStay, visits_of
from optimizer.horizon_problem import FloatArray, HorizonNode, HorizonPlan, HorizonProblem

EXCESS_COST_PER_AH = 5.0
"""Going over a demand limit costs more than any charge is worth."""
Solve = Callable[[HorizonProblem], HorizonPlan]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanningSettings:
    """The site's planning section."""

    policy: PolicyName = PolicyName.EQUAL_SHARE
    typical: TypicalStay = field(default_factory=TypicalStay)
    turns: TurnRules = field(default_factory=TurnRules)
    tariff: Tariff | None = None
    demand: tuple[DemandLimit, ...] = ()
    valid_s: float = 1800.0
    """How long guidance holds without a newer one. [s]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanningInput:
    """Everything a planning run may look at."""

    snapshot: Snapshot
    plan: Plan
    memory: Memory
    policy: PolicyName
    settings: PlanningSettings
    prices: Series | None = None
    pv_w: Series | None = None
    signals: tuple[GridSignal, ...] = ()
    demand: Mapping[CircuitId, DemandState] = field(default_factory=dict)
    profiles: Mapping[CircuitId, Mapping[str, Profile]] = field(default_factory=dict)
    """What the building draws, by circuit and phase name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitOutlook:
    """What a circuit leaves for charging, slot by slot."""

    limit_a: FloatArray
    """Shape (3, n_slots). [A]"""
    building_a: FloatArray
    """Expected. Shape (3, n_slots). [A]"""
    charging_a: FloatArray
    """Planned. Shape (3, n_slots). [A]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePlan:
    """The outcome of a planning run."""

    at: datetime
    policy: PolicyName
    grid: TimeGrid
    guidance: Guidance
    currents_a: Mapping[EvseId, FloatArray]
    """Planned mean current per EVSE and slot. Shape (n_slots,). [A]"""
    circuits: Mapping[CircuitId, CircuitOutlook]
    prospects: Mapping[EvseId, Prospect]
    prices: SlotPrices | None
    energy_wh: float
    """Planned, all vehicles. [Wh]"""
    planned_cost: float | None
    """Of that energy, in the currency of the prices; None without prices."""
    at_once_cost: float | None
    """Of charging as soon as possible instead."""
    conditions: tuple[Condition, ...]


def plan_site(given: PlanningInput, solve: Solve) -> SitePlan:
    """Plan the hours to come.

    Args:
        given: The site as it is and what is known ahead.
        solve: The horizon program's solver.

    Raises:
        Whatever `solve` raises; the caller goes on without a plan.
    """
    snapshot, site = given.snapshot, given.snapshot.site
    grid = grid_from(snapshot.at)
    visits = visits_of(snapshot, given.plan, given.memory, given.settings.typical)
    outlooks = _outlooks(given, grid)
    nodes = tuple(_node(given, site.circuits[c], grid, x, visits) for c, x in outlooks.items())
    places = _places(site, visits)
    prices = _prices(given, grid)
    terms = terms_for(given.policy)
    scaled = _scaled(_steering(given, grid, prices))
    problem = horizon_problem(
        grid, nodes=nodes, places=places, visits=visits, terms=terms, price=scaled
    )
    horizon = solve(problem)
    currents_a = {e: horizon.charge_ah[e] / grid.length_h for e in visits}
    wish_a = {e: float(x[0]) for e, x in currents_a.items()} if given.policy.looks_ahead else {}
    evses = composed(
        given.policy,
        list(visits.values()),
        wish_a=wish_a,
        rooms=_rooms(given, outlooks, visits),
        rules=given.settings.turns,
    )
    prospects = prospects_of(grid, visits, horizon, snapshot=snapshot, plan=given.plan)
    at_once = None
    if prices is not None and given.policy.waits_for_price:
        terms = terms_for(PolicyName.LEAST_LAXITY)
        hasty = horizon_problem(grid, nodes=nodes, places=places, visits=visits, terms=terms)
        at_once = _cost(site, grid, visits, solve(hasty), prices)
    return SitePlan(
        at=snapshot.at,
        policy=given.policy,
        grid=grid,
        guidance=Guidance(
            evses=with_loads_last(evses, site),
            policy=given.policy.value,
            until_s=snapshot.now_s + given.settings.valid_s,
        ),
        currents_a=currents_a,
        circuits=_with_charging(site, grid, outlooks, visits, currents_a),
        prospects=prospects,
        prices=prices,
        energy_wh=sum(_energy_wh(site, v, horizon.charge_ah[e]) for e, v in visits.items()),
        planned_cost=None if prices is None else _cost(site, grid, visits, horizon, prices),
        at_once_cost=at_once,
        conditions=tuple(_conditions(prospects, prices)),
    )


# --- what circuits leave --------------------------------------------------------------------------


def _outlooks(given: PlanningInput, grid: TimeGrid) -> dict[CircuitId, CircuitOutlook]:
    """Return limits and expected building load of every circuit that the last decision knows."""
    snapshot = given.snapshot
    instants = grid.instants()
    outlooks = {}
    for circuit, status in given.plan.circuits.items():
        built = snapshot.site.circuits[circuit]
        limit = numpy.array([list(_limit_at(given, built, at)) for at in instants]).T
        profiles = given.profiles.get(circuit, {})
        building = numpy.empty((3, grid.n_slots))
        for row, (phase, now_a) in enumerate(zip(PHASES, status.building_a, strict=True)):
            profile = profiles.get(phase.value)
            most_a = built.building_peak_a.of(phase) if built.meter is not None else None
            building[row] = [
                now_a
                if profile is None
                else profile.expected_a(at, now=snapshot.at, now_a=now_a, most_a=most_a)
                for at in instants
            ]
        outlooks[circuit] = CircuitOutlook(
            limit_a=limit, building_a=building, charging_a=numpy.zeros((3, grid.n_slots))
        )
    return outlooks


def _limit_at(given: PlanningInput, circuit: Circuit, at: datetime) -> PhaseCurrents:
    snapshot = given.snapshot
    limit = snapshot.overrides.circuit_limit_a.get(circuit.id, circuit.limit_a)
    signals = limits_in_force(given.signals, at, snapshot.site.voltage_v)
    return limit.lowest(circuit.limit_a).lowest(signals.get(circuit.id, limit))


def _outside_a(
    given: PlanningInput, circuit: CircuitId, visits: Mapping[EvseId, Visit]
) -> PhaseCurrents:
    """Return what EVSEs that are not planned for keep of a circuit. [A]"""
    total = PhaseCurrents.balanced(0.0)
    for evse in given.snapshot.site.evses_below(circuit):
        status = given.plan.evses.get(evse.id)
        if evse.id not in visits and status is not None:
            total = total + PhaseCurrents.on(evse.grid_phases, status.committed_a)
    return total


def _node(
    given: PlanningInput,
    circuit: Circuit,
    grid: TimeGrid,
    outlook: CircuitOutlook,
    visits: Mapping[EvseId, Visit],
) -> HorizonNode:
    outside = numpy.array([[x] for x in _outside_a(given, circuit.id, visits)])
    left_a = outlook.limit_a - outlook.building_a - outside - circuit.margin_a
    limit = next((d for d in given.settings.demand if d.circuit == circuit.id), None)
    total_ah = cost = None
    if limit is not None:
        state = given.demand.get(circuit.id, DemandState())
        most_a = threshold_w(state, limit) / given.snapshot.site.voltage_v
        others_a = (outlook.building_a + outside).sum(axis=0)
        total_ah = numpy.maximum(0.0, most_a - others_a) * grid.length_h
        cost = numpy.full(grid.n_slots, EXCESS_COST_PER_AH)
    return HorizonNode(
        id=circuit.id,
        parent=circuit.parent,
        available_ah=numpy.maximum(0.0, left_a) * grid.length_h,
        total_ah=total_ah,
        excess_cost=cost,
    )


def _rooms(
    given: PlanningInput,
    outlooks: Mapping[CircuitId, CircuitOutlook],
    visits: Mapping[EvseId, Visit],
) -> dict[CircuitId, Room]:
    rooms = {}
    for circuit, outlook in outlooks.items():
        built = given.snapshot.site.circuits[circuit]
        now = (outlook.limit_a - outlook.building_a)[:, 0] - built.margin_a
        left = PhaseCurrents(l1_a=float(now[0]), l2_a=float(now[1]), l3_a=float(now[2]))
        available = left - _outside_a(given, circuit, visits)
        rooms[circuit] = Room(parent=built.parent, available=available)
    return rooms


def _places(site: Site, visits: Mapping[EvseId, Visit]) -> list[Place]:
    def phases(evse: EvseId, wired: PhaseSet) -> PhaseSet:
        return visits[evse].phases if evse in visits else wired

    return [
        Place(evse=e.id, circuit=e.circuit, phases=phases(e.id, e.grid_phases))
        for e in site.evses()
    ]


def _with_charging(
    site: Site,
    grid: TimeGrid,
    outlooks: Mapping[CircuitId, CircuitOutlook],
    visits: Mapping[EvseId, Visit],
    currents_a: Mapping[EvseId, FloatArray],
) -> dict[CircuitId, CircuitOutlook]:
    charging = {c: numpy.zeros((3, grid.n_slots)) for c in outlooks}
    for evse, visit in visits.items():
        for circuit in site.path_to_root(visit.circuit):
            for row, phase in enumerate(PHASES):
                if phase in visit.phases:
                    charging[circuit][row] += currents_a[evse]
    return {
        c: CircuitOutlook(limit_a=x.limit_a, building_a=x.building_a, charging_a=charging[c])
        for c, x in outlooks.items()
    }


# --- what it costs --------------------------------------------------------------------------------


def _slots(grid: TimeGrid) -> list[tuple[datetime, datetime]]:
    return [
        (at, at + timedelta(hours=float(h)))
        for at, h in zip(grid.instants(), grid.length_h, strict=True)
    ]


def _prices(given: PlanningInput, grid: TimeGrid) -> SlotPrices | None:
    return slot_prices(_slots(grid), series=given.prices, tariff=given.settings.tariff)


def _steering(given: PlanningInput, grid: TimeGrid, prices: SlotPrices | None) -> FloatArray | None:
    """Return what makes a slot dear: its price, or how little sun is forecast for it."""
    if given.policy is PolicyName.CHEAPEST and prices is not None:
        return numpy.array(prices.per_kwh)
    if given.policy is PolicyName.SOLAR_FIRST and given.pv_w is not None:
        sun = [given.pv_w.value_at(at + (end - at) / 2) or 0.0 for at, end in _slots(grid)]
        return -numpy.array(sun)
    return None


def _scaled(price: FloatArray | None) -> FloatArray | None:
    """Scale prices to 0..1; prices that are all alike do not matter."""
    if price is None or float(numpy.ptp(price)) <= 1e-9:
        return None
    scaled: FloatArray = (price - price.min()) / numpy.ptp(price)
    return scaled


def _energy_wh(site: Site, visit: Visit, charge_ah: FloatArray) -> float:
    return float(charge_ah.sum()) * len(visit.phases) * site.voltage_v


def _cost(
    site: Site,
    grid: TimeGrid,
    visits: Mapping[EvseId, Visit],
    horizon: HorizonPlan,
    prices: SlotPrices,
) -> float:
    per_kwh = numpy.array(prices.per_kwh)
    return sum(
        _energy_wh(site, v, horizon.charge_ah[e] * per_kwh) / 1000 for e, v in visits.items()
    )


def _conditions(prospects: Mapping[EvseId, Prospect], prices: SlotPrices | None) -> list[Condition]:
    conditions = [
        Condition(
            code="NEED_NOT_MET",
            subject=evse,
            text=prospect.text,
            severity=Severity.WARNING,
            values={
                "expected_wh": f"{prospect.expected_wh:.0f}",
                "need_wh": f"{prospect.need_wh:.0f}",
            },
        )
        for evse, prospect in prospects.items()
        if prospect.is_stated and not prospect.is_met
    ]
    if prices is not None and prices.note:
        text = f"The plan has {prices.note}. Complete the tariff, or send the prices."
        conditions.append(
            Condition(code="PRICES_MISSING", subject="site", text=text, severity=Severity.INFO)
        )
    return conditions
