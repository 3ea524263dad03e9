"""Set up the virtual environment that the scripts run in. Needs nothing but Python >= 3.11.

Called by `scripts/demo` and `scripts/test`; prints the environment's Python as its last line.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDED = (3, 11)


def main() -> int:
    """Create or refresh `.venv` for the lock file named on the command line."""
    if sys.version_info < NEEDED:
        have = ".".join(str(n) for n in sys.version_info[:3])
        print(f"Python {have} is too old: Wattkeeper needs 3.11 or newer.", file=sys.stderr)
        return 1
    lock = ROOT / "requirements" / f"{sys.argv[1]}.lock"
    folder = ROOT / ".venv"
    python = folder / "bin" / "python"
    stamp = folder / f"{lock.stem}.installed"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not (python.exists() and stamp.exists() and stamp.read_text() == wanted):
        error = _install(folder, python, lock)
        if error:
            print(error, file=sys.stderr)
            return 1
        stamp.write_text(wanted)
    print(python)
    return 0


def _install(folder: Path, python: Path, lock: Path) -> str:
    """Install the locked packages and the project; return what went wrong, or nothing."""
    print(f"Setting up {folder.name} from {lock.relative_to(ROOT)} ...", file=sys.stderr)
    if not python.exists():
        made = subprocess.run([sys.executable, "-m", "venv", str(folder)], check=False)
        if made.returncode != 0:
            return (
                "Could not create a virtual environment. On Debian and Ubuntu: "
                "apt-get install python3-venv, then try again."
            )
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    steps = (
        [*pip, "--require-hashes", "-r", str(lock)],
        [*pip, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)],
    )
    for step in steps:
        if subprocess.run(step, check=False, env={**os.environ, "PIP_NO_INPUT": "1"}).returncode:
            return f"Installing failed: {' '.join(step[3:])}. Is the package index reachable?"
    return ""


if __name__ == "__main__":
    sys.exit(main())
