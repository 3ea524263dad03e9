"""Rules of the house that a machine can hold."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INNER = ("controller", "optimizer")
UNITS = (
    "_a",
    "_ah",
    "_h",
    "_per_ah",
    "_per_kwh",
    "_cost",
    "_w",
    "_wh",
    "_v",
    "_hz",
    "_s",
    "_ms",
    "_percent",
    "_ratio",
    "_per_s",
    "_factor",
)
UNITLESS = {"weight", "factor", "value", "level"}
"""Dimensionless, or of the dimension that its neighbour names."""


def modules(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def float_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for item in node.body:
                if isinstance(item, ast.AnnAssign) and _is_float(item.annotation):
                    yield ast.unparse(item.target), item.lineno
        elif isinstance(node, ast.arg) and node.annotation and _is_float(node.annotation):
            yield node.arg, node.lineno


def _is_float(annotation: ast.expr) -> bool:
    return ast.unparse(annotation) in ("float", "float | None")


@pytest.mark.parametrize("path", list(modules(*INNER)), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_number_of_the_inner_rings_carries_its_unit(path: Path) -> None:
    nameless = [
        f"{path.name}:{line} {name}"
        for name, line in float_names(ast.parse(path.read_text()))
        if not name.endswith(UNITS) and name not in UNITLESS
    ]

    assert nameless == []


def test_pure_modules_know_no_clock_and_no_loop() -> None:
    shells = {
        "cycle.py",
        "image.py",
        "alarms.py",
        "desk.py",
        "operations.py",
        "feed.py",
        "lp.py",
        "planning.py",
    }
    impure = {"asyncio", "time", "threading", "random", "structlog"}
    found = [
        f"{path.name}: {name}"
        for path in modules(*INNER)
        if path.name not in shells
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in _imported(node)
        if name.partition(".")[0] in impure
    ]

    assert found == []


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [alias.name for alias in node.names]


@pytest.mark.parametrize("name", ["run.lock", "dev.lock"])
def test_lock_files_name_hashes_and_no_download_addresses(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()

    assert "://" not in text
    assert "--index-url" not in text
    packages = re.findall(r"^[a-z0-9][\w.-]*==", text, flags=re.MULTILINE | re.IGNORECASE)
    assert len(packages) > 30
    assert text.count("--hash=sha256:") >= len(packages)


def test_nothing_is_left_to_do_in_the_code() -> None:
    marks = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked()
        if path.suffix in (".py", ".md", ".yaml", ".sh")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if marks.search(line)
    ]

    assert found == []


def test_the_import_contracts_name_every_adapter() -> None:
    """A new adapter package must be put under the independence contract."""
    text = (ROOT / "pyproject.toml").read_text()
    packages = {p.parent.name for p in (ROOT / "adapters").glob("*/__init__.py")} - {"cli"}

    assert [p for p in sorted(packages) if f'"adapters.{p}"' not in text] == []
