"""`wattkeeper demo --secure`: a station of each version, with TLS and a client certificate."""

from __future__ import annotations

import subprocess
import sys

from tests.e2e.rig import ROOT


def test_a_station_of_each_version_connects_with_its_certificate() -> None:
    demo = subprocess.run(
        [sys.executable, "-m", "adapters.cli.main", "demo", "--secure", "--chargers", "3",
         "--http", "0", "--seconds", "10"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert demo.returncode == 0, demo.stderr
    assert "wss://127.0.0.1:" in demo.stdout
    assert "Connected with client certificates: CP001 (ocpp1.6), CP002 (ocpp2.0.1)." in demo.stdout
