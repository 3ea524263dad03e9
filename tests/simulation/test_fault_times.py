"""Rows of the fault matrix that are simulated keep their bars; `scripts/fault_times` writes all of them down."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.fault_rows import ROWS, Row
from tests.simulation.fault_runs import ran

SIMULATED = [row for row in ROWS if row.trial is not None and not row.missing]
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("row", SIMULATED, ids=lambda row: row.fault)
def test_a_row_keeps_its_bars(row: Row) -> None:
    assert row.trial is not None
    run = ran(row.trial)

    missed = {f.name: value for f in row.figures if not f.holds(value := f.measure(run))}
    assert missed == {}
    assert run.is_told_once
    assert run.broken == 0


def test_every_row_is_simulated_or_names_its_tests_or_what_is_missing() -> None:
    idle = [row.fault for row in ROWS if not (row.trial or row.tests or row.missing)]
    files = {node.partition("::")[0] for row in ROWS for node in row.tests}

    assert idle == []
    assert [name for name in sorted(files) if not (ROOT / name).is_file()] == []


def test_every_figure_that_a_row_takes_from_tests_is_told_by_one_of_them() -> None:
    untold = []
    for row in ROWS:
        files = {node.partition("::")[0] for node in row.tests}
        texts = [(ROOT / name).read_text() for name in files]
        untold += [
            (row.fault, told.key)
            for told in row.told
            if not any(f'"{told.key}"' in text for text in texts)
        ]

    assert untold == []


def test_the_page_has_every_row() -> None:
    page = (ROOT / "docs" / "fault-times.md").read_text()

    assert [row.fault for row in ROWS if f"| {row.fault} |" not in page] == []
