"""What a simulated stretch came to, in figures and in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from adapters.simulator.lockstep.checks import Violation
from adapters.simulator.lockstep.lines import Line
from adapters.simulator.lockstep.lockstep import Lockstep, Stay
from controller.phases import PHASES
from controller.site import CircuitId, Site, StationId

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitReport:
    """One circuit's stretch."""

    id: CircuitId
    limit_a: float
    """The lowest of its phases. [A]"""
    peak_a: float
    over_as: float
    """Ampere-seconds above the limit, the worst phase; the building's own steps included. [As]"""
    tripped: str
    """Phase and second of a trip; empty: none."""
    line: str
    """The load over the stretch as a row of bars; empty without a trace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A simulated stretch."""

    site: str
    seed: int
    days: float
    vehicles: int
    delivered_kwh: float
    ideal_kwh: float
    """What the vehicles would have had if nothing limited them. [kWh]"""
    waited_s: float
    """Mean time per vehicle without current although it wanted some. [s]"""
    longest_wait_s: float
    fairness: float
    """Jain's index of the delivered share of the ideal: 1 is even."""
    commands_per_charger_hour: float
    """Per hour with a vehicle plugged in."""
    decisions: int
    circuits: tuple[CircuitReport, ...]
    alarms: tuple[tuple[str, int], ...]
    violations: tuple[Violation, ...]

    @property
    def trips(self) -> int:
        """Circuits whose device opened."""
        return sum(bool(c.tripped) for c in self.circuits)

    def lines(self) -> Iterator[str]:
        """Yield the report as text."""
        share = self.delivered_kwh / self.ideal_kwh if self.ideal_kwh else 1.0
        yield f"{self.site}: {self.days:g} days, seed {self.seed}, {self.vehicles} vehicles"
        yield (
            f"  energy      {self.delivered_kwh:.0f} kWh of {self.ideal_kwh:.0f} kWh that the "
            f"vehicles could have taken ({share:.1%})"
        )
        yield (
            f"  waiting     {self.waited_s / 60:.1f} min per vehicle, "
            f"longest {self.longest_wait_s / 60:.0f} min"
        )
        yield f"  fairness    {self.fairness:.3f} (1 is even)"
        yield (
            f"  commands    {self.commands_per_charger_hour:.1f} per charger-hour; "
            f"{self.decisions} decisions"
        )
        for circuit in self.circuits:
            state = f"TRIPPED {circuit.tripped}" if circuit.tripped else "no trip"
            yield (
                f"  {circuit.id:<12} peak {circuit.peak_a:.0f} A of {circuit.limit_a:.0f} A, "
                f"{circuit.over_as:.0f} As over, {state}  {circuit.line}"
            )
        told = ", ".join(f"{code} {count}" for code, count in self.alarms) or "none"
        yield f"  alarms      {told}"
        yield f"  promises    {len(self.violations)} broken, {self.trips} trips"
        for violation in self.violations[:20]:
            yield (
                f"    {violation.promise} {violation.subject} at {violation.at_s:.1f} s: "
                f"{violation.text}"
            )


def report_on(run: Lockstep) -> Report:
    """Sum a run up."""
    day = run.day
    stays = [s for s in run.stays if s.visit.at_s < day.duration_s]
    delivered_wh = [s.energy_wh for s in stays]
    ideal_wh = [ideal_of(s, day.site, day.duration_s) for s in stays]
    shares = [d / i for d, i in zip(delivered_wh, ideal_wh, strict=True) if i > 100.0]
    plugged_s = sum(min(s.visit.leaves_s, day.duration_s) - s.visit.at_s for s in stays)
    begun = Counter(a.condition.code for _, a in run.inspector.alarms if a.end is None)
    return Report(
        site=day.site.name,
        seed=day.seed,
        days=day.duration_s / 86_400.0,
        vehicles=len(stays),
        delivered_kwh=sum(delivered_wh) / 1000.0,
        ideal_kwh=sum(ideal_wh) / 1000.0,
        waited_s=sum(s.waited_s for s in stays) / max(1, len(stays)),
        longest_wait_s=max((s.waited_s for s in stays), default=0.0),
        fairness=_jain(shares),
        commands_per_charger_hour=run.host.commands / max(1.0, plugged_s / 3600.0),
        decisions=run.host.cycles,
        circuits=tuple(_circuit(run, line) for line in run.lines.values()),
        alarms=tuple(sorted(begun.items())),
        violations=tuple(run.inspector.violations),
    )


def ideal_of(stay: Stay, site: Site, end_s: float) -> float:
    """Return what a vehicle would have taken if nothing limited it. [Wh]"""
    visit = stay.visit
    station = site.stations[StationId(visit.evse.rpartition("/")[0])]
    evse = next(e for e in station.evses if e.id == visit.evse)
    vehicle = visit.vehicle
    phases = min(evse.phases, vehicle.phases)
    power_w = min(evse.max_a * vehicle.take_ratio, vehicle.max_a) * phases * site.voltage_v
    stayed_s = max(0.0, min(visit.leaves_s, end_s) - visit.at_s - 15.0)
    return max(min(vehicle.need_wh(), power_w * stayed_s / 3600.0), stay.energy_wh)


def _jain(shares: Sequence[float]) -> float:
    squares = sum(s * s for s in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares > 0 else 1.0


def _circuit(run: Lockstep, line: Line) -> CircuitReport:
    trip = line.tripped
    moments = run.trace[line.circuit.id]
    limit_a = min(line.circuit.limit_a)
    return CircuitReport(
        id=line.circuit.id,
        limit_a=limit_a,
        peak_a=max(p.peak_a for p in line.poles),
        over_as=max(p.over_as for p in line.poles),
        tripped=f"{trip.phase.value} at {trip.at_s:.0f} s" if trip is not None else "",
        line=_bars([max(m.current_a) for m in moments], limit_a),
    )


def _bars(values: Sequence[float], full: float) -> str:
    if not values or full <= 0:
        return ""
    size = max(1, len(values) // _WIDTH)
    chunks = [values[i : i + size] for i in range(0, len(values), size)][:_WIDTH]
    tops = [max(0.0, min(0.999, max(chunk) / full)) for chunk in chunks]
    return "".join(_BARS[int(top * len(_BARS))] for top in tops)


def phases_of(run: Lockstep, circuit: CircuitId) -> Iterator[tuple[str, list[float], list[float]]]:
    """Yield name, current and building of each phase, for plots. [A]"""
    moments = run.trace[circuit]
    for index, phase in enumerate(PHASES):
        name = phase.value.upper()
        yield name, [m.current_a[index] for m in moments], [m.building_a[index] for m in moments]


def hours_of(run: Lockstep, circuit: CircuitId) -> list[float]:
    """Return the moments of a trace in hours, for plots."""
    return [m.at_s / 3600.0 for m in run.trace[circuit]]
