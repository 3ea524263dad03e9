"""`wattkeeper simulate SITE.yaml`: the controller against the simulated site in virtual time."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from adapters.cli.site_store import opened_site
from adapters.loads import without_loads
from adapters.simulator.lockstep.lockstep import Lockstep
from adapters.simulator.lockstep.plots import write_plots
from adapters.simulator.lockstep.random_days import days_on
from adapters.simulator.lockstep.report import report_on
from adapters.simulator.lockstep.scenario import DAY_S, Day, Fault, LoadChange, faults_from_yaml
from controller.phases import PhaseCurrents
from controller.policy import Policy
from controller.site import CircuitId, Meter, Site

RANDOM = "random"
TRACE_S = 60.0
_COLUMNS = ("time_s", "l1_a", "l2_a", "l3_a")


class InputError(Exception):
    """A file cannot be used; the text names it, the line and the mend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateSettings:
    """What to simulate."""

    path: Path
    days: int
    seed: int
    faults: str | None
    """Path of a fault script, or `random`; None: nothing breaks."""
    building: Path | None
    """CSV of the building's load on the root circuit, repeated day by day."""
    plots: Path | None


def simulate_command(settings: SimulateSettings) -> int:
    """Simulate and report; 1 when a promise was broken."""
    file = opened_site(settings.path)
    if file is None:
        return 2
    try:
        day = _day(settings, simulated_site(file.site), file.policy)
    except InputError as error:
        typer.echo(str(error), err=True)
        return 2
    run = Lockstep(day, trace_s=TRACE_S)
    run.run()
    report = report_on(run)
    for line in report.lines():
        typer.echo(line)
    if settings.plots is None:
        typer.echo("  --plots DIR writes a picture per circuit (pip install 'wattkeeper[plots]').")
    elif not _plotted(run, settings.plots):
        return 1
    return 1 if report.violations else 0


def simulated_site(site: Site) -> Site:
    """Return the site with its calculated meters as if they were read; loads are not simulated."""
    read = {m: Meter(id=m, model="calculated", connection="", unit=1) for m in site.virtual_meters}
    meters = dict(sorted({**site.meters, **read}.items()))
    return replace(without_loads(site), meters=meters, virtual_meters={})


def _day(settings: SimulateSettings, site: Site, policy: Policy) -> Day:
    is_random = settings.faults == RANDOM
    day = days_on(site, policy, days=settings.days, seed=settings.seed, faults=is_random)
    if settings.building is not None:
        day = replace(day, loads=_recorded(settings.building, site, settings.days))
    if settings.faults is not None and not is_random:
        day = replace(day, faults=_script(Path(settings.faults), site))
    return day


def _script(path: Path, site: Site) -> tuple[Fault, ...]:
    try:
        faults = faults_from_yaml(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"{path}: {error}.") from error
    known = {
        "",
        *site.meters,
        *site.stations,
        *(e.id for e in site.evses()),
        *site.circuits,
        *(f"{c} {p}" for c in site.circuits for p in ("l1", "l2", "l3")),
    }
    for fault in faults:
        if fault.target not in known:
            raise InputError(
                f"{path}: {fault.kind.value} names {fault.target!r}, which this site has not. "
                "Name a meter, station, EVSE (CP001/1) or circuit of the site file."
            )
    return faults


def _recorded(path: Path, site: Site, days: int) -> tuple[LoadChange, ...]:
    """Read a building's recorded day: columns time_s, l1_a, l2_a, l3_a."""
    root = min(c for c, circuit in site.circuits.items() if circuit.parent is None)
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error
    found = []
    for number, row in enumerate(rows, start=2):
        at_s, *currents_a = _numbers(row, path, number)
        for day in range(days):
            found.append(_load(root, at_s % DAY_S + day * DAY_S, currents_a))
    if not found:
        raise InputError(f"{path}: has no rows. Give columns {', '.join(_COLUMNS)}.")
    return tuple(sorted(found, key=lambda x: x.at_s))


def _numbers(row: dict[str, str], path: Path, number: int) -> list[float]:
    try:
        return [float(row[c]) for c in _COLUMNS]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}:{number}: needs numbers in the columns {', '.join(_COLUMNS)}."
        ) from error


def _load(circuit: CircuitId, at_s: float, currents_a: Sequence[float]) -> LoadChange:
    l1_a, l2_a, l3_a = currents_a
    current = PhaseCurrents(l1_a=l1_a, l2_a=l2_a, l3_a=l3_a)
    return LoadChange(circuit=circuit, at_s=at_s, current=current)


def _plotted(run: Lockstep, folder: Path) -> bool:
    try:
        written = write_plots(run, folder)
    except ImportError:
        typer.echo("Plots need matplotlib: pip install 'wattkeeper[plots]'.", err=True)
        return False
    except OSError as error:
        typer.echo(f"{folder}: cannot be written: {error.strerror}.", err=True)
        return False
    for path in written:
        typer.echo(f"  plot        {path}")
    return True
