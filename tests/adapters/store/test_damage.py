"""Damaged files: what is readable is kept, the damaged file too, and people are told."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from adapters.store.errors import StoreError
from adapters.store.opening import suspicion_file
from controller.records import Role, TokenRecord, User
from tests.adapters.store.store_site import Conditions, a_sample, a_transaction, opened, run

COUNT = 400


def write(path: Path, *, count: int = COUNT, samples: int = 0) -> None:
    async def scenario() -> None:
        async with opened(path) as store:
            for number in range(count):
                await store.open_transaction(a_transaction(number), offline=False)
            await store.put_token(TokenRecord(id="ABC"))
            await store.add_user(User(name="eva", role=Role.ADMIN), None)
            store.put_samples([a_sample(second) for second in range(samples)])

    run(scenario)


def stored_after_recovery(path: Path, expected_log: list[str]) -> int:
    found: list[int] = []

    async def scenario() -> None:
        conditions = Conditions()
        async with opened(path, conditions) as store:
            found.append(len(await store.open_transactions()))
            await store.open_transaction(a_transaction(10**6), offline=False)
            store.put_samples([a_sample(0)])
            await store.flush()
            assert await store.newest_cursor() >= 1
        assert expected_log == conditions.log

    run(scenario)
    return found[0]


def asides(path: Path) -> list[Path]:
    return sorted(p for p in path.parent.glob("*.damaged-*") if not p.name.endswith(("wal", "shm")))


def cut(path: Path, size_bytes: int) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - size_bytes)


def boot_s(path: Path, copy: Path) -> float:
    """Return how long a start takes with a copy of a damaged file, until it is told and mended. [s]"""
    shutil.copy(path, copy)
    conditions, begun_s = Conditions(), time.monotonic()

    async def scenario() -> None:
        async with opened(copy, conditions) as store:
            await store.open_transaction(a_transaction(10**6), offline=False)

    run(scenario)
    assert conditions.log == ["begin STORE_RECOVERED"]
    return time.monotonic() - begun_s


def test_cut_file_is_recovered_and_kept(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    path = tmp_path / "w.db"
    write(path, samples=20_000)
    before = path.read_bytes()
    cut(path, 4096)
    record_property("fault_t_s_s", boot_s(path, tmp_path / "again.db"))
    assert stored_after_recovery(path, ["begin STORE_RECOVERED"]) > COUNT * 0.7
    (aside,) = [p for p in asides(path) if p.name.startswith("w.db")]
    assert before[:-4096] == aside.read_bytes()


def test_cut_log_costs_only_its_end(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    write(path, count=10)
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_autocheckpoint=0")
        other.execute("SELECT 1 FROM tokens").fetchall()
        write(path, count=50)  # The other connection keeps the log from being removed.
        copy = tmp_path / "copy.db"
        shutil.copy(path, copy)
        shutil.copy(f"{path}-wal", f"{copy}-wal")
    cut(Path(f"{copy}-wal"), 4096)
    # A log that ends early is a power cut, which is no damage.
    assert 10 <= stored_after_recovery(copy, []) <= 50


def test_any_overwritten_page_is_told_or_costs_nothing(tmp_path: Path) -> None:
    original = tmp_path / "original.db"
    write(original, count=60)
    content = original.read_bytes()
    for page in range(len(content) // 4096):
        path = tmp_path / str(page) / "w.db"
        path.parent.mkdir()
        at = page * 4096
        path.write_bytes(content[:at] + b"\xa5" * 4096 + content[at + 4096 :])
        assert_recovered_or_whole(path, 60)


def assert_recovered_or_whole(path: Path, count: int) -> None:
    async def scenario() -> None:
        conditions = Conditions()
        async with opened(path, conditions) as store:
            found = len(await store.open_transactions())
            await store.open_transaction(a_transaction(10**6), offline=False)
            if conditions.log:
                (aside,) = asides(path)
                assert str(aside) in conditions.texts[0]
            else:
                assert found == count

    run(scenario)


def test_damage_met_while_reading_is_mended_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    write(path, count=5, samples=5_000)
    with closing(sqlite3.connect(path)) as other:
        (root,) = other.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'samples'"
        ).fetchone()
    middle = (path.stat().st_size // 4096 + root) // 2
    with path.open("r+b") as file:
        file.seek(middle * 4096)
        file.write(b"\xa5" * 4096)

    async def read_all() -> None:
        async with opened(path) as store:
            with pytest.raises(StoreError, match="malformed"):
                await store.spooled(after=0, limit=10_000)

    run(read_all)
    assert stored_after_recovery(path, ["begin STORE_RECOVERED"]) == 5
    assert not suspicion_file(path).exists()


@pytest.mark.parametrize("content", [b"\x00" * 8192, b"garbage" * 2000])
def test_file_that_is_no_database_any_more_is_kept_aside(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.db"
    path.write_bytes(content)
    assert stored_after_recovery(path, ["begin STORE_RECOVERED"]) == 0
    assert content == asides(path)[0].read_bytes()


def test_second_recovery_keeps_the_first_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    for _ in range(2):
        path.write_bytes(b"garbage" * 2000)
        stored_after_recovery(path, ["begin STORE_RECOVERED"])
    assert len(asides(path)) == 2


def test_somebody_elses_file_stays_untouched(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("format: site/1, and much more than sixteen bytes\n")
    with pytest.raises(StoreError, match=r"site\.yaml"):
        stored_after_recovery(path, [])
    assert path.read_text().startswith("format")


def test_path_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "w.db", tmp_path):
        with pytest.raises(StoreError, match=str(path)):
            stored_after_recovery(path, [])


def test_locked_file_is_not_taken_for_damaged(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="locked"):
            stored_after_recovery(path, [])
    assert asides(path) == []


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "w.db"
    path.parent.mkdir(parents=True)
    path.touch(0o644)

    async def scenario() -> None:
        async with opened(path) as store:
            await store.set_station_secret("CP001", "planted-secret")
            await store.add_user(User(name="eva", role=Role.ADMIN), "planted-password")
            token = await store.issue_api_token("eva")
            files = sorted(path.parent.iterdir())
            assert {0o600} == {stat.S_IMODE(file.stat().st_mode) for file in files}
            content = b"".join(file.read_bytes() for file in files)
            for secret in ("planted-secret", "planted-password", token):
                assert secret.encode() not in content

    run(scenario)


def test_missing_directories_are_made(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "w.db"
    assert stored_after_recovery(path, []) == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
