"""Writes the table of `docs/meters.md` from the maps: `python -m adapters.modbus.table`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from adapters.modbus.catalogue import all_models
from adapters.modbus.registermap import (
    POWERS,
    VOLTAGES,
    MeterMap,
    PointName,
    RefusedMeter,
)

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "meters.md"
BEGIN: Final = "<!-- table begin -->\n"
END: Final = "<!-- table end -->\n"
_SIGNS: Final = {
    "from_power": "from power",
    "signed": "its own",
    "magnitude": "none: import",
}


def table() -> str:
    """Return the tables of the usable and of the refused models."""
    entries = sorted(all_models().items())
    usable = [(name, entry) for name, entry in entries if isinstance(entry, MeterMap)]
    refused = [(name, entry) for name, entry in entries if isinstance(entry, RefusedMeter)]
    lines = [
        "| model | device | sources | values beside currents | sign of current | unit | notes |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(_row(name, entry) for name, entry in usable),
        "",
        "Known, and not usable:",
        "",
        "| model | device | why |",
        "| --- | --- | --- |",
        *(f"| `{name}` | {e.maker} {e.model} | {e.refused} |" for name, e in refused),
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, entry: MeterMap) -> str:
    notes = "<br>".join(entry.notes)
    device = f"{entry.maker} {entry.model}"
    return (
        f"| `{name}` | {device} | {entry.evidence} | {_values(entry)} | "
        f"{_SIGNS[entry.current_sign]} | {entry.default.unit} | {notes} |"
    )


def _values(entry: MeterMap) -> str:
    layouts = [entry.points] if entry.sunspec is None else [m.points for m in entry.sunspec.models]
    points: set[PointName] = set(layouts[0]) - entry.points_for_signs
    has = (
        ("voltages", all(name in points for name in VOLTAGES)),
        ("power per phase", all(name in points for name in POWERS)),
        ("power", "power_total_w" in points and not all(name in points for name in POWERS)),
        ("frequency", "frequency_hz" in points),
        ("import", "energy_import_wh" in points),
        ("export", "energy_export_wh" in points),
    )
    return ", ".join(name for name, is_there in has if is_there)


def filled(document: str) -> str:
    """Return the document with a fresh table between its marks."""
    head, _, rest = document.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{table()}{END}{tail}"


if __name__ == "__main__":
    DOCUMENT.write_text(filled(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
