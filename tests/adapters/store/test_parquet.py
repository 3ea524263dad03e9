"""Export of closed days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from adapters.store.parquet import export_days
from controller.records import Sample
from tests.adapters.store.store_site import opened, run

DAY = datetime(2026, 3, 1, tzinfo=UTC)
NOW = DAY + timedelta(days=1, hours=12)


def charger(hours: float, **fields: float) -> Sample:
    at = DAY + timedelta(hours=hours)
    return Sample(measurement="charger", tags={"cp": "CP1", "evse": "1"}, fields=fields, at=at)


def test_closed_days_are_written_once_and_the_running_one_is_not(tmp_path: Path) -> None:
    path, folder = tmp_path / "w.db", tmp_path / "out"

    async def scenario() -> None:
        async with opened(path) as store:
            store.put_samples([charger(h, p=100.0 * h, i_l1=1.0) for h in range(36)])
            store.put_samples([charger(3.5, p=7.0)])
            await store.flush()
            assert export_days(path, folder, now=NOW) == 1
            assert export_days(path, folder, now=NOW) == 0

    run(scenario)
    (file,) = folder.rglob("*.parquet")
    table = pq.read_table(file)
    rows = table.to_pylist()
    assert file == folder / "charger" / "2026-03-01.parquet"
    assert table.schema.names == ["at", "cp", "evse", "i_l1", "p"]
    assert len(rows) == 25
    assert rows[2] == {
        "at": DAY + timedelta(hours=2),
        "cp": "CP1",
        "evse": "1",
        "i_l1": 1.0,
        "p": 200.0,
    }
    assert rows[-1]["i_l1"] is None


def test_texts_and_whole_numbers_are_exported(tmp_path: Path) -> None:
    path, folder = tmp_path / "w.db", tmp_path / "out"
    event = Sample(
        measurement="event", tags={"code": "X"}, fields={"text": "lost", "active": 1}, at=DAY
    )

    async def scenario() -> None:
        async with opened(path) as store:
            store.put_samples([event])
            await store.flush()
            export_days(path, folder, now=NOW)

    run(scenario)
    (row,) = pq.read_table(folder / "event" / "2026-03-01.parquet").to_pylist()
    assert (row["text"], row["active"], row["code"]) == ("lost", 1.0, "X")


def test_empty_store_gives_no_file(tmp_path: Path) -> None:
    path = tmp_path / "w.db"

    async def scenario() -> None:
        async with opened(path):
            assert export_days(path, tmp_path / "out", now=NOW) == 0

    run(scenario)
