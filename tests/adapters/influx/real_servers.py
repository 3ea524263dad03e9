"""Time-series servers of the distribution, on loopback, in a directory of the test."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port as free_port


class RealServer(ABC):
    """A server process that can be ended, frozen and started again with the same data."""

    binary: str

    def __init__(self, folder: Path) -> None:
        if shutil.which(self.binary) is None:
            pytest.skip(f"{self.binary} is not installed: apt-get install {self.package}")
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    package: str

    @abstractmethod
    def command(self) -> list[str]: ...

    @abstractmethod
    def health_path(self) -> str: ...

    @abstractmethod
    def place(self) -> dict[str, Any]: ...

    @abstractmethod
    def count(self) -> int:
        """Count the stored values of the field `p` of `charger`."""

    def start(self) -> None:
        log = (self.folder / "server.log").open("ab")
        with log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        deadline_s = time.monotonic() + 20.0
        while True:
            try:
                self.get(self.health_path())
                return
            except OSError:
                if time.monotonic() > deadline_s or self.process.poll() is not None:
                    self.stop()
                    raise
                time.sleep(0.05)

    def send_signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(15.0)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def get(self, path: str, data: bytes | None = None) -> str:
        with urllib.request.urlopen(self.url + path, data=data, timeout=5.0) as answer:  # noqa: S310
            return str(answer.read().decode())


class InfluxDb1(RealServer):
    binary = "influxd"
    package = "influxdb"

    def command(self) -> list[str]:
        config = self.folder / "influxdb.conf"
        config.write_text(
            f"""
reporting-disabled = true
bind-address = "127.0.0.1:{free_port()}"
[meta]
dir = "{self.folder}/meta"
[data]
dir = "{self.folder}/data"
wal-dir = "{self.folder}/wal"
[http]
bind-address = "127.0.0.1:{self.port}"
log-enabled = false
"""
        )
        return [self.binary, "-config", str(config)]

    def health_path(self) -> str:
        return "/ping"

    def place(self) -> dict[str, Any]:
        return {"database": "depot"}

    def create_database(self) -> None:
        self.query("CREATE DATABASE depot", data=b"")

    def query(self, text: str, data: bytes | None = None) -> Any:
        arguments = urllib.parse.urlencode({"db": "depot", "q": text})
        return json.loads(self.get(f"/query?{arguments}", data))["results"][0]

    def count(self) -> int:
        series = self.query("SELECT count(p) FROM charger").get("series")
        return 0 if not series else int(series[0]["values"][0][1])


class VictoriaMetrics(RealServer):
    binary = "victoria-metrics"
    package = "victoria-metrics"

    def command(self) -> list[str]:
        return [
            self.binary,
            f"-storageDataPath={self.folder}/data",
            f"-httpListenAddr=127.0.0.1:{self.port}",
            "-retentionPeriod=12",
            "-search.latencyOffset=0s",
            "-dedup.minScrapeInterval=1ms",
        ]

    def health_path(self) -> str:
        return "/health"

    def place(self) -> dict[str, Any]:
        return {"bucket": "wattkeeper", "org": "depot"}

    def count(self) -> int:
        self.get("/internal/force_flush")
        match = urllib.parse.urlencode({"match[]": "charger_p"})
        rows = self.get(f"/api/v1/export?{match}").splitlines()
        return sum(len(json.loads(row)["values"]) for row in rows)
