"""`wattkeeper tokens` on a real site file and store."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from adapters.cli.main import app

SITE = """format: site/1
site: {id: yard, name: Yard, timezone: UTC}
circuits: {main: {limit_a: 63}}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    return path


def tokens(site: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["tokens", *arguments, "--site", str(site)])


def test_a_table_goes_in_and_comes_out(site: Path, tmp_path: Path) -> None:
    table = tmp_path / "cards.csv"
    table.write_text("id,label\n04A1,Van 7\n04A2,\n")
    taken = tokens(site, "import", str(table))
    table.write_text("id\n04A1\n")
    replaced = tokens(site, "import", str(table), "--replace")
    written = tokens(site, "export")

    assert taken.output == "2 added, 0 changed, 0 as they were, 0 deleted.\n"
    assert replaced.output == "0 added, 1 changed, 0 as they were, 1 deleted.\n"
    assert [line.split(",")[0] for line in written.output.splitlines()] == ["id", "04A1"]


def test_bad_tables_are_refused_with_file_and_line(site: Path, tmp_path: Path) -> None:
    table = tmp_path / "cards.csv"
    table.write_text("id\n1.2E+15\n")
    mangled = tokens(site, "import", str(table))
    missing = tokens(site, "import", str(tmp_path / "none.csv"))

    assert mangled.exit_code == missing.exit_code == 2
    assert f"{table}: line 2:" in mangled.output
    assert "cannot be read" in missing.output
