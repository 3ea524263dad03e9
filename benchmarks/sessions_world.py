"""Recorded or generated charging sessions, the network they charge on, and the offline optimum."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import highspy
import numpy
import numpy.typing

from controller.phases import PHASES, PhaseSet

FloatArray = numpy.typing.NDArray[numpy.float64]
STEP_H = 5 / 60
"""Length of a simulated step. [h]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One vehicle, in steps of the simulation."""

    station: str
    begin: int
    end: int
    asked_wh: float
    stated_h: float | None
    """How long the driver said to stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What one vehicle is to the network."""

    phases: PhaseSet
    volts: float
    """Power is this times the current. [V]"""
    max_a: float


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Sessions on a network behind one transformer."""

    sessions: tuple[Session, ...]
    wirings: tuple[Wiring, ...]
    line_a: float
    """Limit per phase conductor. [A]"""

    @property
    def asked_wh(self) -> float:
        """All energy asked. [Wh]"""
        return sum(session.asked_wh for session in self.sessions)

    def asked_ah(self, index: int) -> float:
        """Charge that a session asks, per conductor. [Ah]"""
        return self.sessions[index].asked_wh / self.wirings[index].volts


def world(sessions: Sequence[Session], *, network: str, cap_kw: float) -> World:
    """Put sessions on a network.

    Args:
        sessions: By arrival.
        network: `delta`: 208 V between two of three lines, 32 A, as in the recorded car parks;
            `single`: 230 V on one phase, 32 A; `mixed`: half on one phase, the rest on two or
            three at 16 A.
        cap_kw: What the transformer carries when all lines are loaded alike. [kW]
    """
    stations = {s: n for n, s in enumerate(sorted({x.station for x in sessions}))}
    wirings = [_wiring(network, stations[s.station], n) for n, s in enumerate(sessions)]
    line_a = cap_kw * 1000 * 2 / 3 / 208 if network == "delta" else cap_kw * 1000 / 3 / 230
    return World(sessions=tuple(sessions), wirings=tuple(wirings), line_a=line_a)


def _wiring(network: str, place: int, number: int) -> Wiring:
    turned = PHASES[place % 3 :] + PHASES[: place % 3]
    if network == "delta":
        return Wiring(phases=turned[:2], volts=208.0, max_a=32.0)
    count = 1 if network == "single" else (1, 2, 1, 3)[number * 7 % 4]
    return Wiring(phases=turned[:count], volts=230.0 * count, max_a=32.0 if count == 1 else 16.0)


def read(paths: Sequence[Path]) -> list[Session]:
    """Read files of recorded sessions; columns as in ACN-Data: arrival, departure, kwh_delivered.

    What was delivered is what is asked: the vehicle would not have taken more.
    """
    rows = [row for path in paths for row in csv.DictReader(path.open())]
    first = min(_hours(row["arrival"]) for row in rows) // 24 * 24
    sessions = []
    for row in rows:
        begin = int(numpy.ceil((_hours(row["arrival"]) - first) / STEP_H - 1e-9))
        end = int(numpy.floor((_hours(row["departure"]) - first) / STEP_H + 1e-9))
        asked_wh = float(row["kwh_delivered"]) * 1000
        stated = row.get("minutes_available")
        if end > begin and asked_wh > 0:
            stated_h = float(stated) / 60 if stated else None
            sessions.append(
                Session(
                    station=row["station"],
                    begin=begin,
                    end=end,
                    asked_wh=asked_wh,
                    stated_h=stated_h,
                )
            )
    return sorted(sessions, key=lambda s: (s.begin, s.station, s.end))


def _hours(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() / 3600


def generated(*, days: int, seed: int, places: int = 80) -> list[Session]:
    """Make sessions like those of a workplace: a rush in the morning, stays of hours."""
    rng = numpy.random.default_rng(seed)
    busy = [0.0] * places
    sessions = []
    for day in range(days):
        count = rng.poisson(95 if day % 7 < 5 else 25)
        for hour in sorted(rng.choice([8.5, 12.5, 17.0], count, p=[0.6, 0.2, 0.2])):
            begin_h = 24 * day + hour + rng.normal(0, 1.3)
            stay_h = float(numpy.clip(rng.lognormal(1.6, 0.6), 0.3, 16.0))
            place = next((p for p in range(places) if busy[p] <= begin_h), None)
            if place is None or begin_h < 0:
                continue
            busy[place] = begin_h + stay_h
            sessions.append(
                Session(
                    station=f"P{place:03d}",
                    begin=int(begin_h / STEP_H) + 1,
                    end=int((begin_h + stay_h) / STEP_H),
                    asked_wh=float(min(rng.gamma(1.6, 6000.0) + 500, 5000 * stay_h)),
                    stated_h=stay_h * float(numpy.exp(rng.normal(0, 0.35))),
                )
            )
    return sorted(
        (s for s in sessions if s.end > s.begin), key=lambda s: (s.begin, s.station, s.end)
    )


def offline_optimum_wh(on: World) -> float:
    """Return the most energy that could have been given, had everything been known before. [Wh]

    One linear program over all intervals between arrivals and departures, limits per line.
    """
    at = numpy.unique([x for s in on.sessions for x in (s.begin, s.end)])
    hours = numpy.diff(at) * STEP_H
    n = len(on.sessions)
    start: list[int] = []
    row: list[int] = []
    upper: list[float] = []
    cost: list[float] = []
    for i, (session, wiring) in enumerate(zip(on.sessions, on.wirings, strict=True)):
        phases = [PHASES.index(phase) for phase in wiring.phases]
        for k in range(*numpy.searchsorted(at, (session.begin, session.end))):
            start.append(len(row))
            row += [i, *(n + 3 * k + p for p in phases)]
            upper.append(wiring.max_a * hours[k])
            cost.append(-wiring.volts / 1000)
    start.append(len(row))
    program = highspy.HighsLp()
    program.num_col_, program.num_row_ = len(upper), n + 3 * len(hours)
    program.col_cost_ = numpy.array(cost)
    program.col_lower_, program.col_upper_ = numpy.zeros(len(upper)), numpy.array(upper)
    asked_ah = numpy.array([on.asked_ah(i) for i in range(n)])
    program.row_lower_ = numpy.full(program.num_row_, -highspy.kHighsInf)
    program.row_upper_ = numpy.concatenate([asked_ah, numpy.repeat(on.line_a * hours, 3)])
    program.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    program.a_matrix_.start_ = numpy.array(start, numpy.int32)
    program.a_matrix_.index_ = numpy.array(row, numpy.int32)
    program.a_matrix_.value_ = numpy.ones(len(row))
    solver = highspy.Highs()
    for option, value in (("output_flag", False), ("threads", 1), ("solver", "ipm")):
        solver.setOptionValue(option, value)
    solver.passModel(program)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise RuntimeError("the offline optimum was not found")
    return -float(solver.getInfo().objective_function_value) * 1000
