"""What `wattkeeper check SITE.yaml` prints: the tree, the certificate, remarks; or every problem."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import groupby
from math import floor
from pathlib import Path
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from adapters.config.loader import SiteFile, load_site_file
from adapters.config.problems import SiteFileError
from controller.certificate import Certificate, CircuitProof
from controller.phases import PHASES, Phase, PhaseCurrents
from controller.site import Circuit, CircuitId, Evse, ProtectiveDevice, Site, Station

OK: Final = 0
REFUSED: Final = 2

_DEVICES: Final = {
    ProtectiveDevice.MCB: "MCB",
    ProtectiveDevice.MCCB: "MCCB",
    ProtectiveDevice.GG: "gG",
}

_FEW: Final = 3
"""So many equal stations in a row stand on lines of their own; more are drawn together."""


def check_command(
    path: Path,
    *,
    known_models: Set[str] | None = None,
    known_loads: Mapping[str, bool] | None = None,
    console: Console | None = None,
) -> int:
    """Check a site file and print what was found.

    Args:
        path: The site file.
        known_models: Meter models of the catalogue. None: models are not checked.
        known_loads: Models of loads, and whether they have a watchdog. None: not checked.
        console: Where to print. None: standard output.

    Returns:
        The exit code: 0 when the file is accepted, 2 when it has problems.
    """
    out = console or Console(highlight=False)
    try:
        site_file = load_site_file(path, known_models=known_models, known_loads=known_loads)
    except SiteFileError as error:
        _print_problems(error, out)
        return REFUSED
    _print_accepted(site_file, out)
    return OK


def render_tree(site: Site) -> Tree:
    """Draw circuits and stations as they feed each other. Equal stations in a row share a line."""
    tree = Tree(Text(f"{site.name} ({site.id})", style="bold"), guide_style="dim")
    for circuit in site.circuits.values():
        if circuit.parent is None:
            _grow(tree, site, circuit)
    return tree


def render_certificate(certificate: Certificate) -> Table:
    """Tabulate what each circuit carries without the controller; negative slack does not hold."""
    table = Table(
        title="Fallback certificate [A]",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("circuit", overflow="fold")
    table.add_column("phase", no_wrap=True)
    for heading in ("building", "fallbacks", "no lease", "total", "limit", "slack"):
        table.add_column(heading, justify="right", no_wrap=True)
    for proof in certificate.circuits.values():
        for row in _rows(proof):
            table.add_row(*row)
    return table


def _print_problems(error: SiteFileError, out: Console) -> None:
    for problem in error.problems:
        out.print(Text(str(problem)), soft_wrap=True)
    if error.certificate is not None:
        out.print()
        out.print(render_certificate(error.certificate))
    out.print(Text(f"Refused: {_count(len(error.problems), 'problem')}.", style="bold red"))


def _print_accepted(site_file: SiteFile, out: Console) -> None:
    out.print(render_tree(site_file.site))
    out.print()
    out.print(render_certificate(site_file.certificate))
    out.print(
        "Building at its worst, every EVSE that holds leases at its fallback, every other at its "
        "rating: what flows one lease after everything has failed at the same time."
    )
    if site_file.remarks:
        out.print(Text("\nRemarks", style="bold"))
    for remark in site_file.remarks:
        out.print(Text(str(remark)), soft_wrap=True)
    site = site_file.site
    loads = sum(evse.is_load for evse in site.evses())
    counts = ", ".join(
        _count(number, noun)
        for number, noun in (
            (len(site.circuits), "circuit"),
            (len(site.stations) - loads, "station"),
            (sum(1 for _ in site.evses()) - loads, "EVSE"),
            *(((loads, "load"),) if loads else ()),
            (len(site.meters), "meter"),
        )
    )
    out.print(Text(f"\nAccepted: {counts}. The certificate holds.", style="bold green"))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _grow(branch: Tree, site: Site, circuit: Circuit) -> None:
    grown = branch.add(_circuit_line(circuit))
    for line in _station_lines(site, circuit.id):
        grown.add(line)
    for child in site.circuits.values():
        if child.parent == circuit.id:
            _grow(grown, site, child)


def _circuit_line(circuit: Circuit) -> Text:
    line = Text(str(circuit.id), style="bold")
    facts = f"  {_phases(circuit.limit_a)} A {_DEVICES[circuit.device]}"
    if circuit.meter is not None:
        facts += f", meter {circuit.meter}"
    if any(circuit.building_peak_a):
        facts += f", building up to {_phases(circuit.building_peak_a)} A"
    return line.append(facts, style="not bold")


def _station_lines(site: Site, circuit: CircuitId) -> Iterator[Text]:
    lines = [line for station in site.stations.values() for line in _lines_of(station, circuit)]
    for facts, run in groupby(lines, key=lambda line: line[1]):
        names = [name for name, _ in run]
        if len(names) <= _FEW:
            yield from (Text(f"{name}  {facts}") for name in names)
        else:
            yield Text(f"{names[0]} to {names[-1]} ({len(names)})  each {facts}")


def _lines_of(station: Station, circuit: CircuitId) -> Sequence[tuple[str, str]]:
    """Describe what of a station hangs on a circuit: in one line, or one for each EVSE."""
    here = [(str(evse.id), _evse(evse)) for evse in station.evses if evse.circuit == circuit]
    if len(here) < len(station.evses) or len({facts for _, facts in here}) > 1:
        return here
    count = "" if len(here) == 1 else f"{len(here)} x "
    return [(str(station.id), count + here[0][1])]


def _evse(evse: Evse) -> str:
    phases = " ".join(phase.name for phase in evse.grid_phases)
    facts = f"{evse.min_a:g}-{evse.max_a:g} A on {phases}"
    facts += f", fallback {evse.fallback_a:g} A" if evse.holds_lease else ", holds no lease"
    return facts + (f", priority {evse.priority}" if evse.priority else "")


def _rows(proof: CircuitProof) -> Iterator[tuple[Text, ...]]:
    """Return one row for each group of phases with equal figures."""
    groups: dict[tuple[float, ...], list[Phase]] = {}
    for phase in PHASES:
        groups.setdefault(_figures(proof, phase), []).append(phase)
    for index, (figures, phases) in enumerate(groups.items()):
        style = "" if figures[-1] >= 0 else "bold red"
        yield (
            Text(str(proof.circuit) if index == 0 else ""),
            Text(" ".join(phase.name for phase in phases)),
            *(Text(f"{figure:.1f}", style=style) for figure in figures),
        )


def _figures(proof: CircuitProof, phase: Phase) -> tuple[float, ...]:
    amounts = (proof.building_a, proof.fallback_a, proof.rating_a, proof.total_a, proof.limit_a)
    slack_a = floor(proof.slack_a.of(phase) * 10 + 1e-6) / 10
    return (*(amount.of(phase) for amount in amounts), slack_a)


def _phases(current_a: PhaseCurrents) -> str:
    l1_a, l2_a, l3_a = current_a
    return f"{l1_a:g}" if l1_a == l2_a == l3_a else f"{l1_a:g}/{l2_a:g}/{l3_a:g}"
