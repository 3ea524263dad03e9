"""Sites and days drawn by lot: from five to a hundred chargers, with everything that may break."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, pi, sin
from random import Random

from adapters.simulator.lockstep.scenario import (
    DAY_S,
    Day,
    Fault,
    FaultKind,
    LoadChange,
    Visit,
)
from adapters.simulator.lockstep.station import Quirks
from adapters.simulator.vehicle import Sleep, Vehicle
from controller.certificate import certify
from controller.phases import PHASES, ZERO, PhaseCurrents, PhaseRotation
from controller.policy import Policy
from controller.site import (
    Circuit,
    CircuitId,
    Evse,
    Meter,
    MeterId,
    ProtectiveDevice,
    Site,
    Station,
    StationId,
    evse_id,
)
from controller.station import LeaseMode

SIZES = ((5, 7, 0.7), (8, 12, 0.2), (13, 25, 0.07), (26, 60, 0.02), (61, 100, 0.01))
"""From, to and share of the sites."""
HARD_FAULTS = 36
HARD_FROM_S = 7 * 3600.0
HARD_UNTIL_S = 13 * 3600.0
"""Every third day is half a day on a small site in which something breaks every few minutes."""
LATE_DEFAULT_S = 600.0
"""A station that is slow to take its permanent default has it after so long. [s]"""
GARAGE = (
    Vehicle(name="hatchback", max_a=16.0, battery_wh=58_000, soc_ratio=0.35),
    Vehicle(name="van", max_a=32.0, battery_wh=90_000, soc_ratio=0.2, ramp_a_per_s=6.0),
    Vehicle(name="city car", phases=1, max_a=32.0, battery_wh=36_000, soc_ratio=0.4),
    Vehicle(name="hybrid", phases=1, max_a=16.0, battery_wh=12_000, soc_ratio=0.3),
    Vehicle(name="older compact", phases=2, max_a=16.0, battery_wh=32_000, soc_ratio=0.4),
    Vehicle(name="slow saloon", max_a=16.0, battery_wh=77_000, response_s=5.0, start_s=5.0),
    Vehicle(name="picky", max_a=32.0, min_a=8.0, battery_wh=41_000),
    Vehicle(name="modest", max_a=32.0, take_ratio=0.9, battery_wh=80_000),
    Vehicle(name="sleeper", max_a=16.0, battery_wh=60_000, sleep=Sleep.UNTIL_OFFERED, wake_s=30.0),
    Vehicle(name="deep sleeper", phases=1, max_a=32.0, sleep=Sleep.FOR_GOOD),
)


def a_day(seed: int, *, chargers: int | None = None, with_faults: bool = True) -> Day:
    """Draw a site and a day on it.

    Args:
        seed: Another seed, another day; the same seed, the same day. Every third is a hard one.
        chargers: How many; None: drawn.
        with_faults: Also draw what breaks.
    """
    lot = Random(f"site/{seed}")
    is_hard = with_faults and chargers is None and seed % 3 == 0
    count = chargers if chargers is not None else _size(lot)
    count = min(count, 6) if is_hard else count
    site = a_random_site(lot, count)
    day = Day(site=site, policy=Policy(), seed=seed)
    day = replace(day, visits=visits(lot, site), loads=loads(lot, site))
    if not with_faults:
        return day
    if is_hard:
        faults = [_hard_fault(lot, site) for _ in range(HARD_FAULTS)]
        day = replace(day, duration_s=HARD_UNTIL_S, visits=visits(lot, site))
        faults += _wrong_clocks(Random(f"clocks/{seed}"), site, faults)
        day = replace(day, faults=tuple(sorted(faults, key=lambda f: (f.at_s, f.kind.value))))
        return _with_late_default(
            Random(f"default/{seed}"), replace(day, quirks=_quirks(lot, site))
        )
    return replace(day, quirks=_quirks(lot, site), faults=random_faults(lot, site))


def _hard_fault(lot: Random, site: Site) -> Fault:
    """Draw a fault for the morning in which everything breaks."""
    kind = lot.choice(list(_LONGEST_S))
    fault = a_fault(lot, site, kind, lot.uniform(HARD_FROM_S, HARD_UNTIL_S - 1800.0))
    return replace(fault, for_s=min(fault.for_s, 600.0))


def _wrong_clocks(lot: Random, site: Site, faults: Sequence[Fault]) -> list[Fault]:
    """Let some starts find another wall clock, and stations that keep their leases meanwhile.

    A box without a battery for its clock starts with the time of its last stop, or of its build.
    """
    found = []
    for fault in faults:
        if fault.kind not in _RESTARTS or lot.random() < 0.4:
            continue
        value = lot.choice((600.0, 3600.0, 86_400.0, -3600.0))
        jump = Fault(kind=FaultKind.CLOCK_JUMPS, at_s=fault.at_s + 0.5, for_s=600.0, value=value)
        found.append(jump)
        for evse in site.evses():
            if lot.random() < 0.5:
                away = a_fault(lot, site, FaultKind.STATION_OFFLINE, fault.at_s - 5.0)
                for_s = fault.for_s + lot.uniform(30.0, 240.0)
                found.append(replace(away, target=evse.id, for_s=round(for_s, 1)))
    return found


def _with_late_default(lot: Random, day: Day) -> Day:
    """Let a new station take its permanent default only after minutes, with a vehicle in it.

    Until then nothing lies beneath a lease: its limit may be lowered and must not be raised.
    """
    evses = list(day.site.evses())
    late, *others = lot.sample(evses, min(3, len(evses)))
    quirks = dict(day.quirks)
    quirks[late.station] = replace(quirks.get(late.station, Quirks()), set_up_s=LATE_DEFAULT_S)
    guests = [
        Visit(
            evse=evse.id,
            vehicle=replace(GARAGE[1], soc_ratio=0.2),
            at_s=round(lot.uniform(60.0, 100.0), 1),
            leaves_s=round(lot.uniform(200.0, 500.0) if evse is not late else 1500.0, 1),
        )
        for evse in (late, *others)
    ]
    busy = {v.evse for v in guests}
    rest = [v for v in day.visits if v.evse not in busy or v.at_s > 1800.0]
    visits_ = tuple(sorted((*guests, *rest), key=lambda v: (v.at_s, v.evse)))
    return replace(day, quirks=quirks, visits=visits_)


def _size(lot: Random) -> int:
    draw = lot.random()
    for first, last, share in SIZES:
        if draw < share:
            return lot.randint(first, last)
        draw -= share
    return SIZES[0][0]


# --- sites ------------------------------------------------------------------------------------------


def a_random_site(lot: Random, count: int) -> Site:
    """Draw a tree of circuits whose fallback certificate holds."""
    halls = max(1, min(6, count // lot.randint(4, 12)))
    parents = {
        CircuitId(f"hall-{n}"): "main" if n < 2 or lot.random() < 0.6 else f"hall-{n - 2}"
        for n in range(halls)
    }
    evses = [_evse(lot, n, CircuitId(f"hall-{n % halls}")) for n in range(count)]
    peak_a = {c: PhaseCurrents.balanced(float(lot.choice((0, 0, 0, 16)))) for c in parents}
    main = CircuitId("main")
    circuits = {main: _circuit(lot, main, None, is_metered=True)}
    for hall, parent in parents.items():
        is_metered = max(peak_a[hall]) > 0 or lot.random() < 0.3
        circuits[hall] = _circuit(lot, hall, CircuitId(parent), is_metered=is_metered)
    site = _site(circuits, evses)
    site = _rated(lot, site, peak_a)
    if not certify(site).holds:
        raise AssertionError("a drawn site must hold its certificate")
    return site


def _evse(lot: Random, number: int, circuit: CircuitId) -> Evse:
    station = StationId(f"CP{number:03d}")
    phases = lot.choice((3, 3, 3, 1))
    return Evse(
        id=evse_id(station, 1),
        station=station,
        number=1,
        circuit=circuit,
        phases=phases,
        rotation=lot.choice(list(PhaseRotation)),
        min_a=6.0,
        max_a=lot.choice((16.0, 32.0, 32.0)),
        step_a=lot.choice((0.1, 0.1, 1.0)),
        fallback_a=lot.choice((6.0, 6.0, 6.0, 0.0)),
        holds_lease=lot.random() > 0.04,
        priority=lot.choice((0, 0, 0, 1)),
    )


def _circuit(lot: Random, id_: CircuitId, parent: CircuitId | None, *, is_metered: bool) -> Circuit:
    return Circuit(
        id=id_,
        parent=parent,
        limit_a=ZERO,
        device=lot.choice(list(ProtectiveDevice)),
        meter=MeterId(f"meter-{id_}") if is_metered else None,
        building_peak_a=ZERO,
        margin_a=lot.choice((0.0, 0.5, 1.0)),
    )


def _site(circuits: dict[CircuitId, Circuit], evses: Sequence[Evse]) -> Site:
    stations = {e.station: Station(id=e.station, evses=(e,)) for e in evses}
    meters = {
        c.meter: Meter(id=c.meter, model="eastron/sdm630", connection="tcp://sim:502", unit=1)
        for c in circuits.values()
        if c.meter is not None
    }
    return Site(
        id="drawn",
        name="Drawn by lot",
        timezone="UTC",
        voltage_v=230.0,
        circuits=dict(sorted(circuits.items())),
        stations=dict(sorted(stations.items())),
        meters=dict(sorted(meters.items())),
    )


def _rated(lot: Random, site: Site, own_a: dict[CircuitId, PhaseCurrents]) -> Site:
    """Rate each circuit for its worst case and a share of what its chargers could take."""
    circuits = dict(site.circuits)
    leaves_first = sorted(circuits, key=lambda c: (-len(site.path_to_root(c)), c))
    for id_ in leaves_first:
        below = site.evses_below(id_)
        taken_a = sum((PhaseCurrents.on(e.grid_phases, e.max_a) for e in below), start=ZERO)
        peak = sum(
            (circuits[c].building_peak_a for c in circuits if circuits[c].parent == id_),
            start=own_a.get(id_, ZERO),
        )
        if id_ == "main":
            peak = peak + PhaseCurrents.balanced(
                float(ceil(max(taken_a) * lot.uniform(0.15, 0.5) + 10))
            )
        surely_a = sum(
            (PhaseCurrents.on(e.grid_phases, e.unreachable_a) for e in below), start=peak
        )
        share = lot.uniform(0.25, 0.7)
        limit_a = max(
            max(s, p + share * t) for s, p, t in zip(surely_a, peak, taken_a, strict=True)
        )
        limit = PhaseCurrents.balanced(float(ceil(max(limit_a, 16.0))))
        circuits[id_] = replace(circuits[id_], limit_a=limit, building_peak_a=peak)
    return replace(site, circuits=circuits)


# --- what happens -----------------------------------------------------------------------------------


def days_on(site: Site, policy: Policy, *, days: int, seed: int, faults: bool = False) -> Day:
    """Draw several days on a given site."""
    drawn = []
    for number in range(days):
        lot = Random(f"{seed}/{number}")
        start_s = number * DAY_S
        drawn.append(
            Day(
                site=site,
                visits=tuple(
                    replace(v, at_s=v.at_s + start_s, leaves_s=v.leaves_s + start_s)
                    for v in visits(lot, site)
                ),
                loads=tuple(replace(x, at_s=x.at_s + start_s) for x in loads(lot, site)),
                faults=tuple(
                    replace(f, at_s=f.at_s + start_s)
                    for f in (random_faults(lot, site) if faults else ())
                ),
            )
        )
    return Day(
        site=site,
        policy=policy,
        seed=seed,
        duration_s=days * DAY_S,
        visits=tuple(v for d in drawn for v in d.visits),
        loads=tuple(x for d in drawn for x in d.loads),
        faults=tuple(f for d in drawn for f in d.faults),
    )


def visits(lot: Random, site: Site) -> tuple[Visit, ...]:
    """Draw arrivals and departures: a few hours by day, some by night, some in a rush."""
    found: list[Visit] = []
    rush_s = lot.uniform(6.5, 9.0) * 3600.0
    for evse in site.evses():
        at_s = lot.gauss(rush_s, 1800.0) if lot.random() < 0.7 else lot.uniform(60.0, DAY_S)
        at_s = max(60.0, at_s)
        while at_s < DAY_S - 600.0:
            stay_s = lot.uniform(0.3, 6.0) * 3600.0
            leaves_s = min(DAY_S + 60.0, at_s + stay_s)
            vehicle = replace(lot.choice(GARAGE), soc_ratio=round(lot.uniform(0.1, 0.8), 2))
            found.append(Visit(evse=evse.id, vehicle=vehicle, at_s=at_s, leaves_s=leaves_s))
            at_s = leaves_s + lot.expovariate(1 / 14_400.0) + 30.0
            if lot.random() < 0.35:
                break
    return tuple(sorted(found, key=lambda v: (v.at_s, v.evse)))


def loads(lot: Random, site: Site) -> tuple[LoadChange, ...]:
    """Draw what the building draws: a day's shape, steps, and the sun on some roofs."""
    found: list[LoadChange] = []
    for circuit in site.circuits.values():
        own = circuit.building_peak_a
        for child in site.circuits.values():
            if child.parent == circuit.id:
                own = own - child.building_peak_a
        if max(own) > 0.0:
            found.extend(_load_of(lot, circuit.id, own))
    return tuple(found)


def _load_of(lot: Random, circuit: CircuitId, peak: PhaseCurrents) -> list[LoadChange]:
    sun = lot.choice((0.0, 0.0, 0.4, 0.9))
    base, swing = lot.uniform(0.2, 0.5), lot.uniform(0.2, 0.45)
    found = []
    at_s, step = 0.0, 0.0
    while at_s < DAY_S:
        day = 0.5 - 0.5 * sin(2 * pi * (at_s / DAY_S + 0.25))
        light = max(0.0, sin(pi * (at_s / DAY_S - 0.25) / 0.5)) if at_s > DAY_S / 4 else 0.0
        ratios = [
            min(0.8, max(0.0, base + swing * day + step + lot.gauss(0.0, 0.03))) for _ in PHASES
        ]
        cloud = lot.uniform(0.3, 1.0)
        values = [
            round(p * (r - sun * light * cloud), 1) for r, p in zip(ratios, peak, strict=True)
        ]
        current = PhaseCurrents(l1_a=values[0], l2_a=values[1], l3_a=values[2])
        found.append(LoadChange(circuit=circuit, at_s=round(at_s, 2), current=current))
        step = lot.choice((0.0, 0.0, 0.0, 0.15, 0.25))
        at_s += lot.uniform(60.0, 900.0) + 0.37
    return found


# --- what breaks --------------------------------------------------------------------------------------

_MINUTES = 60.0
_LONGEST_S: dict[FaultKind, tuple[float, float]] = {
    FaultKind.METER_SILENT: (2.0, 30 * _MINUTES),
    FaultKind.METER_BAD_DATA: (2.0, 5 * _MINUTES),
    FaultKind.METER_FROZEN: (20.0, 10 * _MINUTES),
    FaultKind.METER_SLOW: (30.0, 10 * _MINUTES),
    FaultKind.STATION_OFFLINE: (2.0, 60 * _MINUTES),
    FaultKind.STATION_HALF_OPEN: (5.0, 20 * _MINUTES),
    FaultKind.STATION_POWER_CUT: (30.0, 30 * _MINUTES),
    FaultKind.STATION_REBOOTS: (1.0, 2.0),
    FaultKind.STATION_REFUSES: (30.0, 20 * _MINUTES),
    FaultKind.STATION_LOSES_ANSWERS: (30.0, 20 * _MINUTES),
    FaultKind.STATION_DISOBEYS: (30.0, 20 * _MINUTES),
    FaultKind.STATION_SILENT: (30.0, 30 * _MINUTES),
    FaultKind.CONTACTOR_WELDED: (60.0, 20 * _MINUTES),
    FaultKind.NETWORK_PARTITION: (5.0, 15 * _MINUTES),
    FaultKind.CONTROLLER_KILLED: (2.0, 90.0),
    FaultKind.CONTROLLER_KILLED_WHILE_RAISING: (600.0, 601.0),
    FaultKind.MACHINE_REBOOTS: (20.0, 120.0),
    FaultKind.CLOCK_JUMPS: (60.0, 60 * _MINUTES),
    FaultKind.STORE_READ_ONLY: (60.0, 30 * _MINUTES),
    FaultKind.STORE_LOST: (2.0, 30.0),
    FaultKind.SOLVER_FAILS: (5.0, 2 * _MINUTES),
    FaultKind.OPERATOR_LIMIT: (60.0, 60 * _MINUTES),
    FaultKind.BUILDING_STEP: (20.0, 10 * _MINUTES),
}


_RESTARTS = frozenset({FaultKind.CONTROLLER_KILLED, FaultKind.MACHINE_REBOOTS})


def random_faults(lot: Random, site: Site) -> tuple[Fault, ...]:
    """Draw what breaks in a day: mostly a few things, at times several at once."""
    count = lot.choice((2, 4, 6, 8, 12))
    kinds = list(_LONGEST_S)
    found: list[Fault] = []
    for _ in range(count):
        kind = lot.choice(kinds)
        at_s = lot.uniform(900.0, DAY_S - 3600.0)
        if found and lot.random() < 0.4:
            at_s = found[-1].at_s + lot.uniform(-30.0, 60.0)
        found.append(a_fault(lot, site, kind, at_s))
    if any(f.kind is FaultKind.CONTROLLER_KILLED for f in found) and lot.random() < 0.5:
        last = next(f for f in found if f.kind is FaultKind.CONTROLLER_KILLED)
        jump = Fault(
            kind=FaultKind.CLOCK_JUMPS,
            at_s=last.at_s + 0.5,
            for_s=600.0,
            value=lot.choice((86_400.0, -3600.0)),
        )
        found.append(jump)
    return tuple(sorted(found, key=lambda f: (f.at_s, f.kind.value, f.target)))


def a_fault(lot: Random, site: Site, kind: FaultKind, at_s: float) -> Fault:
    """Draw one fault of a kind."""
    shortest_s, longest_s = _LONGEST_S[kind]
    for_s = shortest_s * (longest_s / shortest_s) ** lot.random()
    target, value = "", 0.0
    if kind.value.startswith("meter"):
        target = lot.choice(sorted(site.meters))
    elif kind.value.startswith("station") or kind is FaultKind.CONTACTOR_WELDED:
        target = lot.choice([e.id for e in site.evses()])
    elif kind is FaultKind.CLOCK_JUMPS:
        value = lot.choice((3.0, -3.0, 3600.0, -3600.0, 86_400.0, -86_400.0))
    elif kind is FaultKind.CONTROLLER_KILLED_WHILE_RAISING:
        value = float(lot.randint(0, 2))
    elif kind is FaultKind.OPERATOR_LIMIT:
        target, value = lot.choice(sorted(site.circuits)), lot.uniform(0.6, 1.0)
    elif kind is FaultKind.BUILDING_STEP:
        target, value = _step(lot, site)
    return Fault(kind=kind, at_s=round(at_s, 1), for_s=round(for_s, 1), target=target, value=value)


def _step(lot: Random, site: Site) -> tuple[str, float]:
    phase = lot.choice([p.value for p in PHASES])
    peak_a = max(site.circuits[CircuitId("main")].building_peak_a)
    return f"main {phase}", round(lot.uniform(0.05, 0.2) * peak_a, 1)


def _quirks(lot: Random, site: Site) -> dict[StationId, Quirks]:
    found = {}
    for station in site.stations.values():
        if lot.random() < 0.3:
            found[station.id] = _quirk(lot, station.evses[0])
    return found


def _quirk(lot: Random, evse: Evse) -> Quirks:
    weak = [] if evse.holds_lease else [LeaseMode.PERMANENT, LeaseMode.UNCONTROLLABLE]
    return Quirks(
        mode=lot.choice([LeaseMode.LEASED, *weak]),
        answer_s=round(lot.uniform(0.1, 2.5), 2),
        sample_s=lot.choice((10.0, 10.0, 10.0, 5.0, 30.0, 60.0, None)),
        answers_questions=lot.random() < 0.8,
        per_phase=lot.random() < 0.7,
        refuses_ratio=lot.choice((0.0, 0.0, 0.05)),
        loses_ratio=lot.choice((0.0, 0.0, 0.02)),
        forgets_on_reconnect=lot.random() < 0.2,
        repeats_status=lot.random() < 0.7,
        set_up_s=lot.choice((1.0, 1.0, 5.0, 40.0)),
        forgets_default=not evse.holds_lease and lot.random() < 0.5,
        starts_offline=lot.random() < 0.7,
        lease_late_s=round(lot.uniform(-3.0, 4.0), 1),
        redials_s=lot.uniform(1.0, 30.0),
    )
