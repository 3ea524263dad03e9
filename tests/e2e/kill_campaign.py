"""Kills a loaded controller again and again, and counts what its stations were promised.

    python -m tests.e2e.kill_campaign --kills 200

Stations of both versions run transactions as fast as they are answered, and repeat what was not
answered after each restart, as real ones do. At the end the store must hold every confirmed start
and end exactly once, and nothing twice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from tests.e2e.rig import ROOT, free_port

START = datetime.now(UTC).replace(microsecond=0)
ANSWER_S = 5.0


@dataclass
class Promise:
    """What a station was told about one of its transactions."""

    station: str
    number: int
    id: str | None = None
    """Confirmed start."""
    is_ended: bool = False
    """Confirmed end."""

    @property
    def started_at(self) -> datetime:
        """Differs for each transaction of a station."""
        return START - timedelta(hours=5) + timedelta(seconds=self.number)

    @property
    def start_wh(self) -> int:
        return 1000 * self.number

    @property
    def end_wh(self) -> int:
        return self.start_wh + 700


@dataclass
class Report:
    """Figures of a campaign."""

    kills: int = 0
    seconds: float = 0.0
    started: int = 0
    ended: int = 0
    repeated: int = 0
    lost_starts: list[str] = field(default_factory=list)
    lost_ends: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    rows: int = 0

    def __str__(self) -> str:
        return (
            f"{self.kills} kills in {self.seconds:.0f} s: {self.started} starts and {self.ended} "
            f"ends confirmed, {self.repeated} attempts repeated; {len(self.lost_starts)} starts "
            f"lost, {len(self.lost_ends)} ends lost, {len(self.doubled)} doubled; "
            f"{self.rows} transactions in the store"
        )


class Station:
    """Runs one transaction after the other; an unanswered message is sent again."""

    protocol = "ocpp1.6"

    def __init__(self, name: str, port: int, report: Report) -> None:
        self.name = name
        self.promises: list[Promise] = []
        self._url = f"ws://127.0.0.1:{port}/{name}"
        self._report = report
        self._socket: ClientConnection | None = None
        self.stopping = False

    async def run(self) -> None:
        """Run until told to stop, and then finish what is open."""
        number = 0
        while not self.stopping:
            promise = Promise(self.name, number)
            self.promises.append(promise)
            await self.transact(promise)
            number += 1

    async def transact(self, promise: Promise) -> None:
        answer = await self.tell(
            "StartTransaction",
            {
                "connectorId": 1,
                "idTag": "CARD",
                "meterStart": promise.start_wh,
                "timestamp": promise.started_at.isoformat(),
            },
        )
        promise.id = str(answer["transactionId"])
        await self.tell(
            "StopTransaction",
            {
                "transactionId": int(promise.id),
                "idTag": "CARD",
                "meterStop": promise.end_wh,
                "timestamp": (promise.started_at + timedelta(seconds=1)).isoformat(),
            },
        )
        promise.is_ended = True

    async def tell(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Send until it is answered, over as many connections as it takes."""
        for attempt in range(10_000):
            self._report.repeated += attempt > 0
            try:
                return await self._once(action, payload)
            except (OSError, WebSocketException, TimeoutError, EOFError):
                self._socket = None
                await asyncio.sleep(0.05)
        raise RuntimeError(f"{self.name}: no answer to {action}")

    async def _once(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        async with asyncio.timeout(ANSWER_S):
            if self._socket is None:
                self._socket = await connect(
                    self._url, subprotocols=[self.protocol], proxy=None, close_timeout=0.1
                )
            unique = str(uuid4())
            await self._socket.send(json.dumps([2, unique, action, payload]))
            while True:
                frame = json.loads(await self._socket.recv())
                if frame[0] == 2:
                    answer = {"status": "Accepted"}
                    await self._socket.send(json.dumps([3, frame[1], answer]))
                elif frame[0] == 3 and frame[1] == unique:
                    return dict(frame[2])

    async def close(self) -> None:
        if self._socket is not None:
            with suppress(OSError, WebSocketException):
                await self._socket.close()


class Station201(Station):
    """The same with TransactionEvent and ids of its own."""

    protocol = "ocpp2.0.1"

    async def transact(self, promise: Promise) -> None:
        id_ = f"{self.name}-{promise.number}"
        await self._event("Started", id_, promise, 0, promise.start_wh, "CablePluggedIn")
        promise.id = id_
        await self._event("Ended", id_, promise, 1, promise.end_wh, "EVDeparted")
        promise.is_ended = True

    async def _event(
        self, kind: str, id_: str, promise: Promise, seq: int, wh: int, trigger: str
    ) -> None:
        at = (promise.started_at + timedelta(seconds=seq)).isoformat()
        sample = {"value": wh, "measurand": "Energy.Active.Import.Register"}
        await self.tell(
            "TransactionEvent",
            {
                "eventType": kind,
                "timestamp": at,
                "triggerReason": trigger,
                "seqNo": seq,
                "transactionInfo": {"transactionId": id_},
                "evse": {"id": 1, "connectorId": 1},
                "idToken": {"idToken": "CARD", "type": "ISO14443"},
                "meterValue": [{"timestamp": at, "sampledValue": [sample]}],
            },
        )


def write_site(folder: Path, port: int, http: int, stations: list[str]) -> Path:
    """Write a site without a meter: its chargers stay at their fallback, which is enough here."""
    path = folder / "site.yaml"
    entries = "\n".join(f"  {s}: {{circuit: main, evses: {{1: {{max_a: 16}}}}}}" for s in stations)
    path.write_text(
        f"""format: site/1
site: {{id: kill, name: Kill, timezone: UTC}}
circuits: {{main: {{limit_a: 250}}}}
stations:
{entries}
ocpp: {{listen: "127.0.0.1:{port}", security_profile: 0, unknown_tokens: accept}}
http: {{listen: "127.0.0.1:{http}"}}
store: {{path: kill.db}}
"""
    )
    return path


async def campaign(folder: Path, *, kills: int, seed: int, stations: int = 6) -> Report:
    """Run a campaign and check the store."""
    report = Report()
    port, http = free_port(), free_port()
    names = [f"CP{n:03}" for n in range(1, stations + 1)]
    site = write_site(folder, port, http, names)
    fleet = [(Station if n % 2 else Station201)(name, port, report) for n, name in enumerate(names)]
    chance = random.Random(seed)
    began = time.monotonic()
    running = [asyncio.create_task(station.run()) for station in fleet]
    for _ in range(kills):
        # One in five while it starts, the others while stations talk to it.
        is_starting = chance.random() < 0.2
        await _run_and_kill(
            site, None if is_starting else port, chance.uniform(0.0, 2.0 if is_starting else 1.2)
        )
        report.kills += 1
    process = await _controller(site)
    for station in fleet:
        station.stopping = True
    async with asyncio.timeout(120):
        await asyncio.gather(*running)
    for station in fleet:
        await station.close()
    process.terminate()
    await process.wait()
    report.seconds = time.monotonic() - began
    _check(folder / "kill.db", [p for s in fleet for p in s.promises], report)
    return report


async def _controller(site: Path) -> asyncio.subprocess.Process:
    log = (site.parent / "controller.log").open("ab")
    with closing(log):
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "adapters.cli.main", "run", str(site),
            cwd=ROOT, stdout=log, stderr=log,
        )  # fmt: skip


async def _run_and_kill(site: Path, port: int | None, alive_s: float) -> None:
    """Start a controller and kill it a while later, counted from when its port is open."""
    process = await _controller(site)
    if port is not None:
        await _opened(port, process)
    await asyncio.sleep(alive_s)
    if process.returncode is not None:
        text = (site.parent / "controller.log").read_text()[-2000:]
        raise RuntimeError(f"the controller ended by itself: {text}")
    process.kill()
    await process.wait()


async def _opened(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(60):
        while process.returncode is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.transport.abort()
                return


def _check(path: Path, promises: list[Promise], report: Report) -> None:
    with closing(sqlite3.connect(path)) as store:
        rows = store.execute(
            "SELECT station, id, started_at, start_wh, last_wh, ended_at FROM transactions"
        ).fetchall()
    report.rows = len(rows)
    by_start = Counter((row[0], row[2]) for row in rows)
    report.doubled = [f"{s} at {at}" for (s, at), count in by_start.items() if count > 1]
    stored = {(row[0], row[1]): row for row in rows}
    for promise in promises:
        row = stored.get((promise.station, promise.id or ""))
        name = f"{promise.station}/{promise.id}"
        if promise.id is not None:
            report.started += 1
            if row is None or row[3] != promise.start_wh:
                report.lost_starts.append(name)
        if promise.is_ended:
            report.ended += 1
            if row is None or row[5] is None or row[4] != promise.end_wh:
                report.lost_ends.append(name)


def main() -> int:
    """Run from the command line; exit 1 when anything was lost or doubled."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--seed", type=int, default=7)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="kill-campaign-") as folder:
        report = asyncio.run(campaign(Path(folder), kills=given.kills, seed=given.seed))
    sys.stdout.write(f"{report}\n")
    return 1 if report.lost_starts or report.lost_ends or report.doubled else 0


if __name__ == "__main__":
    raise SystemExit(main())
