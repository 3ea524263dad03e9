"""Recorded cycles decide as they did. Each file is an incident or a standing promise, written by replay.

`wattkeeper replay STORE --golden FILE` writes one. When a change of behaviour is meant, write them anew:
`WATTKEEPER_GOLDEN=write python -m pytest tests/simulation/test_golden.py`, and read the difference.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from adapters.cli.replay import decided, read_golden

FOLDER = Path(__file__).resolve().parents[1] / "golden"
FILES = sorted(FOLDER.glob("*.json"))
SAME_A = 0.05


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_golden_scenario_is_decided_as_it_was(file: Path) -> None:
    moment, setpoints_a = read_golden(file)

    now_a = {e: s.setpoint_a for e, s in decided(moment).plan.evses.items()}
    if os.environ.get("WATTKEEPER_GOLDEN") == "write":
        data = json.loads(file.read_text())
        file.write_text(json.dumps({**data, "setpoints_a": now_a}, indent=1) + "\n")

    assert now_a == pytest.approx(setpoints_a, abs=SAME_A)


def test_there_are_golden_scenarios() -> None:
    assert len(FILES) >= 5
