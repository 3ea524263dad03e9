"""`wattkeeper check`: what it prints and how it exits."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from adapters.config.loader import load_site_text
from adapters.config.report import check_command, render_certificate, render_tree
from controller.certificate import certify
from tests.adapters.config.files import EXAMPLES, GOOD, load, spoiled


def a_console(width: int = 80) -> Console:
    return Console(file=io.StringIO(), width=width, highlight=False, color_system=None)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def check(tmp_path: Path, text: str, *, width: int = 80) -> tuple[int, str]:
    file = tmp_path / "site.yaml"
    file.write_text(text, encoding="utf-8")
    console = a_console(width)
    return check_command(file, console=console), printed(console)


def test_an_accepted_file_shows_tree_certificate_and_remarks(tmp_path: Path) -> None:
    code, out = check(tmp_path, GOOD)

    assert code == 0
    assert "main  63 A MCB, meter main, building up to 30 A" in out
    assert "CP1/2  6-16 A on L2, fallback 6 A" in out
    assert "Fallback certificate [A]" in out
    assert "site.yaml:15: ocpp.listen: only this machine can connect" in out
    assert "Accepted: 2 circuits, 1 station, 2 EVSEs, 1 meter. The certificate holds." in out


def test_a_refused_file_shows_every_problem_on_one_line(tmp_path: Path) -> None:
    code, out = check(tmp_path, spoiled("limit_a: 40", "limit_a: 40A").replace("Yard", "17"))

    assert code == 2
    assert [line.partition("site.yaml")[2][:4] for line in out.splitlines()[:2]] == [":2: ", ":7: "]
    assert "Refused: 2 problems." in out


def test_a_certificate_that_fails_is_shown_with_the_problem(tmp_path: Path) -> None:
    code, out = check(tmp_path, spoiled("limit_a: 63", "limit_a: 40"))

    assert code == 2
    assert "without the controller main L2 could carry 42 A" in out
    assert "-2.0" in out
    assert "Refused: 1 problem." in out


def test_a_missing_file_exits_with_2(tmp_path: Path) -> None:
    console = a_console()

    assert check_command(tmp_path / "none.yaml", console=console) == 2
    assert "there is no such file" in printed(console)


def test_meter_models_are_checked_against_the_catalogue(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(GOOD, encoding="utf-8")

    assert check_command(file, known_models=frozenset(), console=a_console()) == 2


def test_brackets_in_names_are_not_taken_for_markup(tmp_path: Path) -> None:
    code, out = check(tmp_path, spoiled("name: Yard", 'name: "[red]Yard[/]"'))

    assert code == 0
    assert "[red]Yard[/] (yard)" in out


@pytest.mark.parametrize("width", [80, 120])
def test_big_sites_fit_the_terminal(width: int) -> None:
    console = a_console(width)
    site = load_site_text(
        (EXAMPLES / "big-depot.yaml").read_text(encoding="utf-8"), Path("site.yaml")
    ).site

    console.print(render_tree(site))
    console.print(render_certificate(certify(site)))

    lines = printed(console).splitlines()
    assert len(lines) < 90
    assert max(map(len, lines)) <= width
    assert any("CP051 to CP060 (10)  each 6-32 A on L1 L2 L3, fallback 6 A" in x for x in lines)


def test_phases_with_equal_figures_share_a_row() -> None:
    console = a_console()

    console.print(render_certificate(certify(load(GOOD).site)))

    rows = [line.split() for line in printed(console).splitlines() if " L" in line]
    assert rows == [
        ["hall", "L1", "L3", "0.0", "6.0", "0.0", "6.0", "40.0", "34.0"],
        ["L2", "0.0", "12.0", "0.0", "12.0", "40.0", "28.0"],
        ["main", "L1", "L3", "30.0", "6.0", "0.0", "36.0", "63.0", "27.0"],
        ["L2", "30.0", "12.0", "0.0", "42.0", "63.0", "21.0"],
    ]


def test_stations_with_equal_evses_are_counted() -> None:
    text = spoiled("2: {max_a: 16, phases: 1, rotation: L2}", "2: {max_a: 32}")
    console = a_console()

    console.print(render_tree(load(text).site))

    assert "CP1  2 x 6-32 A on L1 L2 L3, fallback 6 A" in printed(console)
