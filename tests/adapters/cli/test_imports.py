"""A command reads and imports what it needs, and no more: that is what its start takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters.cli.main import app
from adapters.modbus.catalogue import catalogue
from tests.adapters.cli.yard import SITE

WATCHED = """
import json, sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from adapters.cli.main import app
try:
    app(sys.argv[1:])
except SystemExit as end:
    code = end.code
print(json.dumps({"code": code, "modules": list(sys.modules), "opened": opened}))
"""
SERVING = ("fastapi", "uvicorn", "sqlalchemy", "influxdb_client", "aiomqtt")


def watched(*arguments: str) -> tuple[set[str], list[str]]:
    """Run a command in a process of its own; return what it imported and the files it opened."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments], capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["code"] == 0, done.stdout
    return set(told["modules"]), told["opened"]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    return path


def test_a_check_reads_the_maps_of_the_meters_of_the_site_alone_and_no_server(site: Path) -> None:
    modules, opened = watched("check", str(site))

    maps = [path for path in opened if path.startswith(str(catalogue()))]
    assert maps == [str(catalogue() / "eastron" / "sdm630.yaml")]
    assert modules.isdisjoint(SERVING)


def test_simulating_imports_no_server_and_no_store(site: Path) -> None:
    modules, _ = watched("simulate", str(site))

    assert modules.isdisjoint(SERVING)


def test_help_imports_no_command() -> None:
    modules, _ = watched("--help")

    assert modules.isdisjoint((*SERVING, "pydantic", "pymodbus", "adapters.config.loader"))


def test_the_controller_imports_the_upload_and_roaming_only_for_a_site_that_has_them() -> None:
    told = subprocess.run(
        [sys.executable, "-c", "import adapters.cli.run, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert set(told.stdout.split()).isdisjoint(("influxdb_client", "adapters.ocpi.server"))


@pytest.mark.parametrize(
    ("group", "commands"),
    [
        ("meter", ("read", "detect")),
        ("user", ("add", "token")),
        ("station", ("secret", "certificate", "profile")),
        ("ca", ("init", "renew", "issue")),
        ("tokens", ("import", "export")),
        ("ocpi", ("invite",)),
        ("billing", ()),
        ("upstream", ("secret", "status")),
        ("wiring", ()),
    ],
)
def test_a_group_shows_its_commands_and_the_help_that_its_module_gives(
    group: str, commands: tuple[str, ...]
) -> None:
    shown = CliRunner().invoke(app, [group, "--help"])
    everything = CliRunner().invoke(app, ["--help"])

    assert shown.exit_code == 0
    assert all(command in shown.output for command in commands)
    line = next(line for line in everything.output.splitlines() if f" {group} " in line)
    assert line.strip(" │").removeprefix(group).strip() in shown.output
