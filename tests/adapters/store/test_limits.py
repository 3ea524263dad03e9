"""Bounds, full disks and retention."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.store.errors import StoreError
from adapters.store.limits import StoreLimits
from adapters.store.writer import Writer
from controller.records import Sample
from tests.adapters.store.store_site import (
    NOON,
    Conditions,
    a_sample,
    a_transaction,
    opened,
    run,
    until,
)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process may grow, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk_is_one_condition_and_ends_by_itself(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async def scenario() -> None:
        conditions = Conditions()
        async with opened(tmp_path / "w.db", conditions) as store:
            await store.open_transaction(a_transaction(1), offline=False)
            full_s = time.monotonic()
            with full_disk():
                for number in (2, 3):
                    began_s = time.monotonic()
                    with pytest.raises(StoreError, match="cannot be written"):
                        await store.open_transaction(a_transaction(number), offline=False)
                    assert time.monotonic() - began_s < 1.0
                    if number == 2:
                        await until(lambda: bool(conditions.log))
                        record_property("fault_t_d_s", time.monotonic() - full_s)
                store.put_samples([a_sample(0)])
                await store.flush()
                assert [t.id for t in await store.open_transactions()] == ["1"]
                assert conditions.log == ["begin STORE_UNWRITABLE"]
            mended_s = time.monotonic()
            await until(lambda: len(conditions.log) == 2)
            record_property("fault_t_r_s", time.monotonic() - mended_s)
            assert conditions.log[1] == "end STORE_UNWRITABLE"
            await store.flush()
            assert await store.newest_cursor() == 1
            await store.open_transaction(a_transaction(2), offline=False)
            assert len(await store.open_transactions()) == 2

    run(scenario)


def test_lock_of_another_program_fails_promptly_and_passes(tmp_path: Path) -> None:
    async def scenario() -> None:
        path, conditions = tmp_path / "w.db", Conditions()
        async with opened(path, conditions) as store:
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(StoreError, match="locked"):
                    await store.save_memory("{}")
            await until(lambda: "end STORE_UNWRITABLE" in conditions.log)

    run(scenario)


def test_queue_drops_the_oldest_and_counts_them(tmp_path: Path) -> None:
    async def scenario() -> None:
        limits = StoreLimits(queued_samples=10)
        async with opened(tmp_path / "w.db", limits=limits) as store:
            with full_disk():
                store.put_samples([a_sample(0, float(n)) for n in range(8)])
                await store.flush()
                store.put_samples([a_sample(0, float(n)) for n in range(8, 16)])
                assert store.stats()["samples_queued"] == 10
                assert store.stats()["samples_dropped"] == 6
            await until(lambda: store.stats()["samples_queued"] == 0)
            values = [s.sample.fields["p"] for s in await store.spooled(after=0, limit=99)]
            assert [float(n) for n in range(6, 16)] == values

    run(scenario)


def test_little_room_keeps_samples_in_memory_and_stores_transactions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.store.writer.ROOM_CHECK_S", 0.0)
    free_bytes = [0]
    monkeypatch.setattr(Writer, "_free_bytes", lambda _: free_bytes[0])

    async def scenario() -> None:
        conditions = Conditions()
        async with opened(tmp_path / "w.db", conditions) as store:
            store.put_samples([a_sample(0)])
            await until(lambda: conditions.log == ["begin STORE_SPACE_LOW"])
            await store.open_transaction(a_transaction(1), offline=False)
            assert await store.newest_cursor() == 0
            free_bytes[0] = 10**12
            await until(lambda: store.stats()["samples_queued"] == 0)
            assert conditions.log == ["begin STORE_SPACE_LOW", "end STORE_SPACE_LOW"]

    run(scenario)


def test_sample_that_cannot_be_written_down_does_not_stop_the_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path / "w.db") as store:
            wrong = [
                Sample(measurement="\ud800", tags={}, fields={"p": 1.0}, at=NOON),
                Sample(measurement="a", tags={"k": "\ud800"}, fields={"p": 1.0}, at=NOON),
                Sample(measurement="a", tags={}, fields={"p": 2**80}, at=NOON),
                Sample(measurement="a", tags={}, fields={"p": 1.0}, at=NOON.replace(tzinfo=None)),
            ]
            store.put_samples([*wrong, a_sample(0)])
            await store.flush()
            assert store.stats()["samples_refused"] == 4
            assert await store.newest_cursor() == 1

    run(scenario)


def test_old_samples_go_and_cursors_stay(tmp_path: Path) -> None:
    async def scenario() -> None:
        limits = StoreLimits(samples_age_s=3600.0)
        async with opened(tmp_path / "w.db", limits=limits) as store:
            for minute in range(0, 180, 2):
                store.put_samples([a_sample(minute * 60.0)])
                await store.flush()
            await store.prune(NOON + timedelta(minutes=180))
            kept = await store.spooled(after=0, limit=999)
            assert list(range(61, 91)) == [s.cursor for s in kept]
            assert await store.newest_cursor() == 90

    run(scenario)


def test_too_many_samples_go_oldest_first_whatever_the_clock_did(tmp_path: Path) -> None:
    async def scenario() -> None:
        limits = StoreLimits(samples_bytes=10_000)
        async with opened(tmp_path / "w.db", limits=limits) as store:
            for block in (50_000, 1, 2, 3, 4, 5, 6, 7, 8, 9):
                store.put_samples([a_sample(block * 100.0 + n / 10.0) for n in range(100)])
                await store.flush()
            await store.prune(NOON)
            kept = await store.spooled(after=0, limit=9999)
            assert kept[0].cursor > 100
            assert kept[-1].cursor == 1000
            assert 300 <= len(kept) <= 600

    run(scenario)


def test_history_finds_samples_of_a_clock_that_went_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path / "w.db") as store:
            for second in (0, 7200, 10, 7210, -3600, 20):
                store.put_samples([a_sample(second, float(second))])
                await store.flush()
            points = await store.history(
                measurement="grid",
                field="p",
                tags={},
                since=NOON,
                until=NOON + timedelta(hours=1),
                step_s=1.0,
            )
            assert [p.value for p in points] == [0.0, 10.0, 20.0]

    run(scenario)


def test_alarms_are_bounded(tmp_path: Path) -> None:
    from controller.decision import Alarm, Condition, Severity

    async def scenario() -> None:
        async with opened(tmp_path / "w.db", limits=StoreLimits(alarms=5)) as store:
            for minute in range(9):
                what = Condition(code="C", subject="s", text="t", severity=Severity.INFO)
                await store.save_alarm(
                    Alarm(condition=what, begin=NOON + timedelta(minutes=minute))
                )
            await store.prune(NOON)
            assert len(await store.alarms(since=None, limit=99)) == 5

    run(scenario)


def test_damaged_memory_gives_the_one_before(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "w.db"
        async with opened(path) as store:
            for n in range(5):
                await store.save_memory(f'{{"n": {n}}}')
            with closing(sqlite3.connect(path)) as other, other:
                assert other.execute("SELECT count(*) FROM states").fetchone() == (2,)
                other.execute("UPDATE states SET text = '{' WHERE text LIKE '%4%'")
            assert await store.load_memory() == '{"n": 3}'

    run(scenario)


def test_quarantine_is_bounded_and_keeps_each_sample_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "w.db"
        async with opened(path, limits=StoreLimits(quarantined=10)) as store:
            store.put_samples([a_sample(n) for n in range(30)])
            await store.flush()
            spooled = await store.spooled(after=0, limit=99)
            for _ in range(2):
                await store.quarantine("t", spooled[:4], "bad")
            with closing(sqlite3.connect(path)) as other:
                assert other.execute("SELECT count(*) FROM quarantined").fetchone() == (4,)
            await store.quarantine("t", spooled, "bad")
            with closing(sqlite3.connect(path)) as other:
                rows = other.execute("SELECT cursor FROM quarantined ORDER BY 1").fetchall()
            assert [(n,) for n in range(21, 31)] == rows

    run(scenario)


def test_closed_store_says_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path / "w.db") as store:
            store.put_samples([a_sample(0)])
        with pytest.raises(StoreError, match="closed"):
            await store.save_memory("{}")
        with pytest.raises(StoreError, match="closed"):
            await store.load_memory()
        async with opened(tmp_path / "w.db") as store:
            assert await store.newest_cursor() == 1

    run(scenario)


def test_control_is_never_delayed_by_a_disk_that_does_not_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "w.db"
        async with opened(path) as store:
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                for second in range(50):
                    store.put_samples([a_sample(second, float(n)) for n in range(200)])
                    await asyncio.sleep(0.005)
                # All were taken while nothing could be written: a put that waited would hang here.
                assert store.stats()["samples_queued"] > 0
            await until(lambda: store.stats()["samples_queued"] == 0)
            assert await store.newest_cursor() == 10_000

    run(scenario)
