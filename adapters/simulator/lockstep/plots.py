"""A picture per circuit: what flowed, what the building drew, what the limit is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapters.simulator.lockstep.lockstep import Lockstep
from adapters.simulator.lockstep.report import hours_of, phases_of

_COLOURS = ("#8a5a00", "#333333", "#7f7f7f")


def write_plots(run: Lockstep, folder: Path) -> tuple[Path, ...]:
    """Write one PNG per circuit.

    Raises:
        ImportError: The extra `plots` (matplotlib) is not installed.
        OSError: The folder cannot be written.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for line in run.lines.values():
        figure, axes = pyplot.subplots(figsize=(10, 4))
        _draw(axes, run, line.circuit.id, min(line.circuit.limit_a))
        path = folder / f"{line.circuit.id}.png"
        figure.tight_layout()
        figure.savefig(path, dpi=110)
        pyplot.close(figure)
        written.append(path)
    return tuple(written)


def _draw(axes: Any, run: Lockstep, circuit: Any, limit_a: float) -> None:
    hours = hours_of(run, circuit)
    for (name, current, building), colour in zip(phases_of(run, circuit), _COLOURS, strict=True):
        axes.plot(hours, current, color=colour, linewidth=1.0, label=name)
        axes.plot(hours, building, color=colour, linewidth=0.7, linestyle=":")
    axes.axhline(limit_a, color="#b00020", linewidth=1.2, label="limit")
    axes.set_title(f"{circuit}: current (solid) and building (dotted)")
    axes.set_xlabel("hours")
    axes.set_ylabel("A")
    axes.legend(loc="upper left", ncols=4)
