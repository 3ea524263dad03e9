"""`wattkeeper simulate` on real site files: the report, the exit codes, and what cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from adapters.cli.main import app
from tests.adapters.cli.yard import SITE

SILENT = """faults:
  - {kind: meter_silent, at_s: 30000, for_s: 600, target: main}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    return path


def simulate(site: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["simulate", str(site), *arguments])


def test_a_day_is_reported(site: Path) -> None:
    one = simulate(site, "--seed", "4")

    assert one.exit_code == 0
    for word in ("Yard: 1 days, seed 4", "energy", "waiting", "fairness", "commands", "alarms"):
        assert word in one.output
    assert "63 A, 0 As over, no trip" in one.output
    assert "promises    0 broken, 0 trips" in one.output


def test_a_fault_script_is_carried_out(site: Path, tmp_path: Path) -> None:
    script = tmp_path / "faults.yaml"
    script.write_text(SILENT)

    result = simulate(site, "--faults", str(script))

    assert result.exit_code == 0
    assert "METER_LOST 1" in result.output


def test_a_building_that_overloads_by_itself_is_a_trip_and_fails(
    site: Path, tmp_path: Path
) -> None:
    load = tmp_path / "load.csv"
    load.write_text("time_s,l1_a,l2_a,l3_a\n0,10,10,10\n40000,200,200,200\n")

    result = simulate(site, "--building", str(load))

    assert result.exit_code == 1
    assert "TRIPPED l1 at" in result.output


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("faults: {}", "a fault script is a mapping with a list under `faults`"),
        ("faults: [{kind: meteor, at_s: 1, for_s: 1}]", "faults.yaml"),
        (SILENT.replace("target: main", "target: nowhere"), "names 'nowhere'"),
        ("faults: [", "faults.yaml"),
    ],
)
def test_a_fault_script_that_is_none_is_named(
    site: Path, tmp_path: Path, content: str, says: str
) -> None:
    script = tmp_path / "faults.yaml"
    script.write_text(content)

    result = simulate(site, "--faults", str(script))

    assert result.exit_code == 2
    assert says in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("time_s,l1_a,l2_a,l3_a\n", "has no rows"),
        ("time_s,l1_a\n0,1\n", "load.csv:2: needs numbers in the columns"),
        ("time_s,l1_a,l2_a,l3_a\n0,1,2,much\n", "load.csv:2"),
    ],
)
def test_a_load_that_cannot_be_read_is_named(
    site: Path, tmp_path: Path, content: str, says: str
) -> None:
    load = tmp_path / "load.csv"
    load.write_text(content)

    result = simulate(site, "--building", str(load))

    assert result.exit_code == 2
    assert says in result.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--faults", "missing.yaml"), "missing.yaml: cannot be read"),
        (("--building", "missing.csv"), "missing.csv: cannot be read"),
        (("--days", "0"), "--days"),
    ],
)
def test_bad_usage_is_two(site: Path, arguments: tuple[str, ...], says: str) -> None:
    result = simulate(site, *arguments)

    assert result.exit_code == 2
    assert says in result.output


def test_a_site_file_with_a_mistake_is_refused_with_its_line(site: Path) -> None:
    site.write_text(SITE.replace("limit_a: 63", "limit_a: many"))

    result = simulate(site)

    assert result.exit_code == 2
    assert "site.yaml:6" in result.output
