"""Two controllers on one store would undo each other's limits: the second refuses to start."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.bootstrap import StartError, _only_one
from tests.e2e.rig import ROOT

HOLD = """
import sys
from pathlib import Path
from adapters.bootstrap import _only_one
with _only_one(Path(sys.argv[1])):
    print("holds", flush=True)
    sys.stdin.read()
"""


def holder(store: Path) -> subprocess.Popen[str]:
    """Start a process that holds the site's lock until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "holds\n"
    return process


def test_a_second_controller_is_refused_with_the_mend_until_the_first_has_ended(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    store = tmp_path / "var" / "site.db"
    first = holder(store)
    asked_s = time.monotonic()
    with pytest.raises(StartError, match="another controller runs on this store"):
        _only_one(store).__enter__()
    record_property("fault_t_d_s", time.monotonic() - asked_s)
    assert first.poll() is None, "the first goes on"
    assert store.with_name("site.db.lock").read_text() == str(first.pid)

    first.communicate(timeout=20)

    with _only_one(store):
        assert store.with_name("site.db.lock").exists()


def test_a_first_controller_that_was_killed_leaves_no_lock(tmp_path: Path) -> None:
    store = tmp_path / "site.db"
    first = holder(store)
    first.kill()
    first.communicate(timeout=20)

    with _only_one(store) as entered:
        assert entered is None


def test_sites_with_stores_of_their_own_run_side_by_side(tmp_path: Path) -> None:
    with _only_one(tmp_path / "north.db"), _only_one(tmp_path / "south.db"):
        locks = sorted(p.name for p in tmp_path.glob("*.lock"))

    assert locks == ["north.db.lock", "south.db.lock"]
