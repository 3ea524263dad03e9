"""`wattkeeper meter detect`: finds the meter and prints the lines for the site file."""

from __future__ import annotations

import asyncio
import json

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from adapters.modbus.connection import ConnectionTextError
from adapters.modbus.detect import Candidate, Finding, NothingFoundError, detect
from adapters.modbus.fit import Confidence

_SAYINGS = {
    Confidence.HIGH: "high: voltages, frequency and power against current agree",
    Confidence.MEDIUM: "medium: too little load to check power against current; switch some on",
    Confidence.LOW: "low: compare every value with the meter's display",
}


def detect_command(connection: str, unit: int | None, seconds: float) -> int:
    """Search, with a display of what is being tried.

    Returns:
        0: found; 1: nothing found; 2: a wrong connection.
    """
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        finding = asyncio.run(_with_progress(errors, connection, unit, seconds))
    except ConnectionTextError as error:
        errors.print(str(error), markup=False)
        return 2
    except NothingFoundError as error:
        errors.print(str(error), markup=False)
        return 1
    Console(highlight=False, soft_wrap=True).print(told(finding), markup=False)
    return 0


async def _with_progress(
    errors: Console, connection: str, unit: int | None, seconds: float
) -> Finding:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task("connecting", total=None)
        return await detect(
            connection,
            unit=unit,
            seconds=seconds,
            step=lambda text: progress.update(task, description=text),
        )


def told(finding: Finding) -> str:
    """Return what to say: the finding, its evidence, and the lines for the site file."""
    best = finding.best
    lines = [
        f"{best.meter_map.maker} {best.meter_map.model}",
        f"  model        {best.model}",
        f"  connection   {best.connection}",
        f"  unit         {best.unit}",
        f"  word order   {best.word_order or best.meter_map.word_order}"
        + (" (the map says otherwise)" if best.word_order else ""),
    ]
    if best.register_offset:
        lines.append(f"  offset       {best.register_offset:+d} register")
    lines.append(f"  confidence   {_SAYINGS[finding.confidence]}")
    lines += [f"  evidence     {text}" for text in best.fit.evidence]
    lines += [f"  note         {note}" for note in best.meter_map.notes]
    lines += _rivals(finding)
    return "\n".join([*lines, "", "For the site file:", "", *site_lines(best)])


def _rivals(finding: Finding) -> list[str]:
    lines = []
    if finding.twins:
        names = ", ".join(candidate.model for candidate in finding.twins)
        lines.append(f"  same registers: {names}; take the one that stands on the device")
        if any(c.meter_map.power_sign != finding.best.meter_map.power_sign for c in finding.twins):
            lines.append("  they differ in the sign of export: check it with a known load")
    if finding.others:
        names = ", ".join(candidate.model for candidate in finding.others[:5])
        lines.append(f"  explain less of the answers: {names}")
    return lines


def site_lines(candidate: Candidate) -> list[str]:
    """Return the meter's entry of the site file."""
    keys = [
        f"model: {candidate.model}",
        f"connection: {json.dumps(candidate.connection)}",
        f"unit: {candidate.unit}",
    ]
    if candidate.word_order is not None:
        keys.append(f"word_order: {candidate.word_order}")
    if candidate.register_offset:
        keys.append(f"register_offset: {candidate.register_offset}")
    return ["meters:", f"  main: {{{', '.join(keys)}}}"]
