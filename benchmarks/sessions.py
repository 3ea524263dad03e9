"""How well sessions are served when the transformer is too small: energy, waits, changes, pauses.

Run: python benchmarks/sessions.py [FILE.csv ...] [--caps 30,50,70] [--network delta|single|mixed]
     [--chargers ideal,practical] [--methods ours,equal,...] [--days N] [--speed]

Files of recorded sessions have the columns of ACN-Data (station, arrival, departure, kwh_delivered,
minutes_available); without files, sessions are generated. Every five simulated minutes the planner,
the policy, the guidance and the allocator of the product answer; the classic rules are plain greedy
ones. Ideal chargers give any current and departures are known; practical ones know 0 or 6 A and
more in steps of 1 A, and departures are what the driver said, or typical where nothing was said.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.sessions_rules import Rule, Vehicle, rule_named
from benchmarks.sessions_speed import print_speed
from benchmarks.sessions_world import (
    STEP_H,
    World,
    generated,
    offline_optimum_wh,
    read,
    world,
)

METHODS = ("equal", "first_come", "deadline", "laxity", "ours")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chargers:
    """What chargers can signal, and what is known of departures."""

    name: str
    min_a: float
    step_a: float
    knows_departure: bool


IDEAL = Chargers(name="ideal", min_a=0.0, step_a=0.01, knows_departure=True)
PRACTICAL = Chargers(name="practical", min_a=6.0, step_a=1.0, knows_departure=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What came out of one run."""

    energy_wh: float
    share: float
    wait_p95_min: float
    worst: float
    fifth: float
    nothing: int
    """Sessions of an hour or more that got nothing."""
    change_a_per_h: float
    """Sum of all changes, the first and the last included, per hour plugged in."""
    change_a_per_want_h: float
    """The same per hour in which a vehicle wants charge."""
    pauses: float
    seconds: float


def simulated(on: World, chargers: Chargers, rule: Rule) -> Figures:
    """Serve all sessions by one rule."""
    started = perf_counter()
    count = len(on.sessions)
    stated = [s.stated_h for s in on.sessions if s.stated_h is not None]
    typical_h = statistics.median(stated) if stated else 8.0
    vehicles = [_vehicle(on, i, chargers, typical_h) for i in range(count)]
    longest, change_a, wanted_h = numpy.zeros(count), 0.0, 0.0
    present: list[Vehicle] = []
    arriving = 0
    for step in range(max(s.end for s in on.sessions)):
        while arriving < count and on.sessions[arriving].begin <= step:
            present.append(vehicles[arriving])
            arriving += 1
        for vehicle in present:
            if vehicle.end <= step or vehicle.need_ah <= 1e-6:
                change_a += vehicle.held_a
                vehicle.held_a = 0.0
        present = [v for v in present if v.end > step and v.need_ah > 1e-6]
        if not present:
            continue
        currents = rule.currents_a(step, present)
        _check(on, chargers, present, currents)
        for vehicle in present:
            current_a = currents[vehicle.index]
            change_a += abs(current_a - vehicle.held_a)
            vehicle.take(current_a)
            longest[vehicle.index] = max(longest[vehicle.index], vehicle.waited_h * 60)
        wanted_h += len(present) * STEP_H
    got_wh = numpy.array([v.taken_ah * v.volts for v in vehicles])
    share = got_wh / numpy.array([s.asked_wh for s in on.sessions])
    stays_h = numpy.array([(s.end - s.begin) * STEP_H for s in on.sessions])
    return Figures(
        energy_wh=float(got_wh.sum()),
        share=float(got_wh.sum() / on.asked_wh),
        wait_p95_min=float(numpy.percentile(longest, 95)),
        worst=float(share[stays_h >= 1].min()),
        fifth=float(numpy.percentile(share, 5)),
        nothing=int(((got_wh <= 1e-6) & (stays_h >= 1)).sum()),
        change_a_per_h=change_a / float(stays_h.sum()),
        change_a_per_want_h=change_a / wanted_h,
        pauses=statistics.fmean(v.pauses for v in vehicles),
        seconds=perf_counter() - started,
    )


def _vehicle(on: World, index: int, chargers: Chargers, typical_h: float) -> Vehicle:
    session, wiring = on.sessions[index], on.wirings[index]
    stay_h = (session.end - session.begin) * STEP_H
    expected_h = session.stated_h if session.stated_h is not None else typical_h
    return Vehicle(
        index=index,
        station=session.station,
        begin=session.begin,
        end=session.end,
        leaves=session.begin + (stay_h if chargers.knows_departure else expected_h) / STEP_H,
        phases=wiring.phases,
        volts=wiring.volts,
        min_a=chargers.min_a,
        most_a=wiring.max_a,
        step_a=chargers.step_a,
        need_ah=on.asked_ah(index),
    )


def _check(
    on: World, chargers: Chargers, present: list[Vehicle], currents: dict[int, float]
) -> None:
    """Stop at once if a line is overloaded or a charger is told what it does not know."""
    line_a: dict[object, float] = {}
    for vehicle in present:
        current_a = currents[vehicle.index]
        assert current_a == 0 or chargers.min_a <= current_a <= vehicle.most_a + 1e-9
        for phase in vehicle.phases:
            line_a[phase] = line_a.get(phase, 0.0) + current_a
    assert all(total <= on.line_a + 1e-6 for total in line_a.values()), line_a


# --- the report -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One line of the report."""

    on: World
    cap_kw: float
    chargers: Chargers
    method: str


def run(job: Job) -> Figures:
    """Run one line; in a process of its own."""
    return simulated(job.on, job.chargers, rule_named(job.method, job.on))


def main() -> None:
    """Print the report."""
    args = _arguments()
    if args.speed:
        print_speed()
        return
    sessions = read(args.files) if args.files else generated(days=args.days or 14, seed=1)
    if args.days and args.files:
        sessions = [s for s in sessions if s.end <= args.days * 24 / STEP_H]
    worlds = {cap: world(sessions, network=args.network, cap_kw=cap) for cap in args.caps}
    optimum_wh = {cap: offline_optimum_wh(on) for cap, on in worlds.items()}
    print(f"{len(sessions)} sessions, {next(iter(worlds.values())).asked_wh / 1000:.0f} kWh asked")
    for cap, on in worlds.items():
        print(f"{cap:g} kW: offline optimum {100 * optimum_wh[cap] / on.asked_wh:.1f} % of asked")
    kinds = [{"ideal": IDEAL, "practical": PRACTICAL}[name] for name in args.chargers]
    jobs = [
        Job(on=on, cap_kw=cap, chargers=kind, method=method)
        for kind in kinds
        for cap, on in worlds.items()
        for method in args.methods
    ]
    print(
        f"{'chargers':10} {'kW':>3} {'method':11} {'asked %':>8} {'optimum %':>9} {'wait p95':>8}"
        f" {'worst %':>8} {'5th %':>6} {'none':>5} {'A/car-h':>8} {'A/want-h':>8} {'pauses':>7} {'s':>5}"
    )
    with ProcessPoolExecutor(max_workers=args.workers) as pool:
        for job, figures in zip(jobs, pool.map(run, jobs), strict=True):
            print(_line(job, figures, optimum_wh[job.cap_kw]), flush=True)


def _line(job: Job, f: Figures, optimum_wh: float) -> str:
    return (
        f"{job.chargers.name:10} {job.cap_kw:3.0f} {job.method:11} {100 * f.share:8.2f}"
        f" {100 * f.energy_wh / optimum_wh:9.2f} {f.wait_p95_min:8.0f} {100 * f.worst:8.1f}"
        f" {100 * f.fifth:6.1f} {f.nothing:5d} {f.change_a_per_h:8.1f} {f.change_a_per_want_h:8.1f}"
        f" {f.pauses:7.2f} {f.seconds:5.0f}"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--caps", type=lambda t: [float(x) for x in t.split(",")], default=[30, 50])
    parser.add_argument("--network", choices=["delta", "single", "mixed"], default="delta")
    parser.add_argument("--chargers", type=lambda t: t.split(","), default=["ideal", "practical"])
    parser.add_argument("--methods", type=lambda t: t.split(","), default=list(METHODS))
    parser.add_argument("--days", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--speed", action="store_true", help="time the planner instead")
    return parser.parse_args()


if __name__ == "__main__":
    main()
