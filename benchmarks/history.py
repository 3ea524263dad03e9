# ruff: noqa: ASYNC110, ASYNC220, ASYNC240, D102, D103 - a script that measures, not a service
"""Measures the embedded history: commits, bytes, queries of a month, refilling after an outage.

Run `python -m benchmarks.history two-hours|month|outage [--chargers N] [--hours H]`.
`outage` starts `influxd` (Debian package `influxdb`) on a free port.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from adapters.cli.loop import run_on_loop
from adapters.influx.settings import InfluxSettings
from adapters.influx.uploader import InfluxUploader
from adapters.store.sqlite_store import SqliteStore
from controller.alarms import AlarmBook
from controller.records import Sample

T0 = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """The real clock."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)


def chargers(count: int, at: datetime, dice: random.Random) -> Iterator[Sample]:
    for number in range(count):
        current_a = round(dice.uniform(6.0, 32.0), 1)
        yield Sample(
            measurement="charger",
            tags={"cp": f"CP{number:03d}", "evse": "1"},
            fields={
                "i_l1": current_a,
                "i_l2": current_a,
                "i_l3": current_a,
                "limit_a": 32.0,
                "committed_a": 32.0,
                "p": round(690.0 * current_a, 1),
                "e_session": 12345.0,
                "soc": 55.0,
                "status": 3,
                "connected": 1,
            },
            at=at,
        )


def grid(at: datetime, dice: random.Random) -> Sample:
    return Sample(
        measurement="grid",
        tags={"meter": "main"},
        fields={f"i_l{n}": round(dice.gauss(180.0, 20.0), 2) for n in (1, 2, 3)}
        | {"p": 120_000.0, "e_imp": 1e8 + (at - T0).total_seconds()},
        at=at,
    )


def opened(folder: Path) -> SqliteStore:
    return SqliteStore.open(folder / "bench.db", conditions=AlarmBook(), clock=Clock())


async def two_hours(folder: Path, count: int, hours: float) -> dict[str, float]:
    """Commit each second of `count` chargers at once; nothing is skipped, only the waiting."""
    dice, store, took_ms = random.Random(1), opened(folder), []
    cpu_s = time.process_time()
    seconds = round(hours * 3600)
    for second in range(seconds):
        at = T0 + timedelta(seconds=second)
        store.put_samples([*chargers(count, at, dice), grid(at, dice)])
        begun = time.perf_counter()
        await store.flush()
        took_ms.append((time.perf_counter() - begun) * 1000.0)
    cpu_s = time.process_time() - cpu_s
    await store.close()
    size = sum(f.stat().st_size for f in folder.iterdir())
    took_ms.sort()
    return {
        "seconds": seconds,
        "commit_median_ms": round(took_ms[len(took_ms) // 2], 2),
        "commit_p99_ms": round(took_ms[int(0.99 * len(took_ms))], 2),
        "commit_max_ms": round(took_ms[-1], 2),
        "mib_per_day": round(size / seconds * 86_400 / 2**20),
        "cpu_percent_of_a_core": round(100.0 * cpu_s / seconds, 2),
        "rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


async def month(folder: Path, count: int, hours: float) -> dict[str, float]:
    """Write a month with a sample of every charger in 5 minutes; then ask for it."""
    dice, store = random.Random(1), opened(folder)
    step_s = 300
    for second in range(0, 30 * 86_400, step_s):
        at = T0 + timedelta(seconds=second)
        store.put_samples([*chargers(count, at, dice), grid(at, dice)])
        if second % (100 * step_s) == 0:
            await store.flush()
    await store.flush()
    answers = {}
    for name, measurement, field, tags, step in (
        ("grid_15min", "grid", "i_l1", {"meter": "main"}, 900.0),
        ("grid_1h_unaligned", "grid", "i_l1", {"meter": "main"}, 3600.0),
        ("one_charger_15min", "charger", "p", {"cp": "CP001"}, 900.0),
        ("all_chargers_15min", "charger", "p", {}, 900.0),
        ("all_chargers_1h", "charger", "p", {}, 3600.0),
        ("all_chargers_1h_unaligned", "charger", "p", {}, 3600.0),
        ("all_chargers_1day", "charger", "p", {}, 86_400.0),
    ):
        since = T0 + timedelta(seconds=17 if "unaligned" in name else 0)
        took_ms = []
        for _ in range(7):
            begun = time.perf_counter()
            found = await store.history(
                measurement=measurement,
                field=field,
                tags=tags,
                since=since,
                until=T0 + timedelta(days=30),
                step_s=step,
            )
            took_ms.append((time.perf_counter() - begun) * 1000.0)
        answers[f"{name}_median_ms"] = round(sorted(took_ms)[3], 1)
        answers[f"{name}_worst_ms"] = round(max(took_ms), 1)
        answers[f"{name}_points"] = len(found)
    await store.close()
    return answers


async def outage(folder: Path, count: int, hours: float) -> dict[str, float]:
    """Fill the spool with what 5-s samples of an outage leave, then let the server answer.

    The server runs all the time, so that the lines compare the refilling and not the server.
    """
    dice, store = random.Random(1), opened(folder)
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=hours)
    for step in range(round(hours * 720)):
        at = start + timedelta(seconds=5 * step)
        store.put_samples([*chargers(count, at, dice), grid(at, dice)])
        if step % 100 == 0:
            await store.flush()
    await store.flush()
    total = await store.newest_cursor()
    port = free_port()
    with subprocess.Popen(influxd(folder, port), stderr=subprocess.DEVNULL) as server:
        await ready(port)
        query(port, "CREATE DATABASE depot")
        uploader = InfluxUploader(
            settings=InfluxSettings(
                url=f"http://127.0.0.1:{port}", site="bench", database="depot", timeout_s=30.0
            ),
            spool=store,
            conditions=AlarmBook(),
            clock=Clock(),
        )
        await asyncio.sleep(5.0)
        before = await lag_ms(LAG_S)
        begun = time.monotonic()
        work = asyncio.create_task(uploader.run())
        busy = await lag_ms(LAG_S)
        sent = uploader.stats()["sent"]
        while uploader.stats()["spool_depth"] or not uploader.stats()["sent"]:
            await asyncio.sleep(0.5)
        took_s = time.monotonic() - begun
        after = await lag_ms(LAG_S)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        stored = query(port, "SELECT count(p) FROM charger")["series"][0]["values"][0][1]
        stored += query(port, "SELECT count(p) FROM grid")["series"][0]["values"][0][1]
        server.terminate()
    await store.close()
    return {
        "samples": total,
        "stored": stored,
        "refill_s": round(took_s, 1),
        "refilling_lines_per_s": round(sent / LAG_S),
        **{f"before_{k}": v for k, v in before.items()},
        **{f"refilling_{k}": v for k, v in busy.items()},
        **{f"after_{k}": v for k, v in after.items()},
        **{k: v for k, v in uploader.stats().items() if k in ("quarantined", "dropped")},
    }


LAG_S = 30.0
"""So long the loop is watched. [s]"""


async def lag_ms(seconds: float) -> dict[str, float]:
    """Measure by how much the loop is late for a timer of 10 ms, and what this process costs."""
    late, end, cpu_s = [], time.monotonic() + seconds, time.process_time()
    while time.monotonic() < end:
        begun = time.perf_counter()
        await asyncio.sleep(0.01)
        late.append((time.perf_counter() - begun - 0.01) * 1000.0)
    cpu_s = time.process_time() - cpu_s
    late.sort()
    return {
        "median_ms": round(late[len(late) // 2], 2),
        "p99_ms": round(late[int(0.99 * len(late))], 2),
        "max_ms": round(late[-1], 2),
        "cpu_percent": round(100.0 * cpu_s / seconds, 1),
    }


def influxd(folder: Path, port: int) -> list[str]:
    binary = shutil.which("influxd")
    if binary is None:
        raise SystemExit("influxd is not installed: apt-get install influxdb")
    config = folder / "influxdb.conf"
    config.write_text(
        f'reporting-disabled = true\nbind-address = "127.0.0.1:{free_port()}"\n'
        f'[meta]\ndir = "{folder}/meta"\n[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\n'
        f'[http]\nbind-address = "127.0.0.1:{port}"\nlog-enabled = false\n'
    )
    return [binary, "-config", str(config)]


async def ready(port: int) -> None:
    for _ in range(200):
        try:
            await asyncio.to_thread(
                urllib.request.urlopen, f"http://127.0.0.1:{port}/ping", None, 2.0
            )
            return
        except OSError:
            await asyncio.sleep(0.1)
    raise SystemExit("influxd does not answer")


def query(port: int, text: str) -> dict[str, object]:
    arguments = urllib.parse.urlencode({"db": "depot", "q": text})
    with urllib.request.urlopen(
        f"http://127.0.0.1:{port}/query?{arguments}", data=b"", timeout=60.0
    ) as answer:
        return json.loads(answer.read())["results"][0]  # type: ignore[no-any-return]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["two-hours", "month", "outage"])
    parser.add_argument("--chargers", type=int, default=200)
    parser.add_argument("--hours", type=float)
    given = parser.parse_args()
    works = {"two-hours": (two_hours, 2.0), "month": (month, 0.0), "outage": (outage, 24.0)}
    work, hours = works[given.what]
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        found = run_on_loop(
            work(Path(folder), given.chargers, hours if given.hours is None else given.hours)
        )
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
