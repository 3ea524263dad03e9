"""Roll-ups: what was put comes back at every step, over restarts, faults and retention."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.store.engines import bulk_connection
from adapters.store.limits import StoreLimits
from adapters.store.sqlite_store import SqliteStore
from controller.records import Sample
from tests.adapters.store.store_site import opened, run

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def grid(second: float, current_a: float, *, meter: str = "main", **fields: float) -> Sample:
    return Sample(
        measurement="grid",
        tags={"meter": meter},
        fields={"i_l1": current_a, "e_imp": 1e9 + second, **fields},
        at=T0 + timedelta(seconds=second),
    )


async def points(
    store: SqliteStore,
    *,
    since: float = 0,
    until: float,
    step_s: float,
    statistic: str = "mean",
    field: str = "i_l1",
) -> list[tuple[float, float]]:
    await store.flush()
    found = await store.history(
        measurement="grid",
        field=field,
        tags={"meter": "main"},
        since=T0 + timedelta(seconds=since),
        until=T0 + timedelta(seconds=until),
        step_s=step_s,
        statistic=statistic,  # type: ignore[arg-type]
    )
    return [((p.at - T0).total_seconds(), p.value) for p in found]


def rows_of(path: Path, tier_s: int) -> int:
    with closing(bulk_connection(path)) as connection:
        return int(
            connection.execute(
                "SELECT count(*) FROM rollups WHERE tier_s = ?", (tier_s,)
            ).fetchone()[0]
        )


def test_mean_and_maximum_of_an_hour(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path / "w.db") as store:
            store.put_samples([grid(s, 10.0 + (s == 1800)) for s in range(0, 7200, 5)])
            mean = await points(store, until=7200, step_s=3600)
            highest = await points(store, until=7200, step_s=3600, statistic="max")
            assert mean == [(0, pytest.approx(10.0 + 1 / 720, abs=1e-5)), (3600, 10.0)]
            assert highest == [(0, 11.0), (3600, 10.0)]

    run(scenario)


def test_counters_keep_their_digits(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path / "w.db") as store:
            store.put_samples([grid(s, 1.0) for s in range(0, 3600, 60)])
            (first, *_) = await points(
                store, until=3600, step_s=900, statistic="max", field="e_imp"
            )
            assert first == (0, 1e9 + 840)

    run(scenario)


def test_open_minutes_are_answered_from_the_samples(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path / "w.db") as store:
            store.put_samples([grid(s, float(s)) for s in range(100)])
            assert await points(store, until=100, step_s=60) == [(0, 29.5), (60, 79.5)]

    run(scenario)


def test_restart_loses_and_repeats_nothing(tmp_path: Path) -> None:
    path = tmp_path / "w.db"

    async def scenario() -> None:
        for begin in range(0, 600, 50):
            async with opened(path) as store:
                store.put_samples([grid(s, float(s)) for s in range(begin, begin + 50)])
        async with opened(path) as store:
            expected = [(60.0 * n, 60.0 * n + 29.5) for n in range(10)]
            found = await points(store, until=600, step_s=60)
            assert dict(found) == pytest.approx(dict(expected))
        assert rows_of(path, 60) == 9

    run(scenario)


def test_late_samples_are_added(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path / "w.db") as store:
            store.put_samples([grid(s, 10.0) for s in range(0, 300, 10)])
            await store.flush()
            store.put_samples([grid(5, 28.0)])
            assert (await points(store, until=60, step_s=60)) == [(0, pytest.approx(88.0 / 7))]

    run(scenario)


def test_roll_ups_outlive_the_samples(tmp_path: Path) -> None:
    limits = StoreLimits(samples_age_s=3600.0)
    path = tmp_path / "w.db"

    async def scenario() -> None:
        async with opened(path, limits=limits) as store:
            store.put_samples([grid(s, 10.0) for s in range(0, 86_400, 60)])
            await store.flush()
            await store.prune(T0 + timedelta(days=1))
            found = await points(store, until=86_400, step_s=900)
            assert len(found) == 96
            assert {value for _, value in found} == {10.0}
            assert len(await points(store, until=86_400, step_s=30)) == 1440

    run(scenario)


def test_old_and_surplus_roll_ups_go(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    limits = StoreLimits(
        samples_age_s=60.0,
        rollups_age_s=(7200.0, 1e9, 1e9),
        rollups_rows=(10_000, 100, 10_000),
    )

    async def scenario() -> None:
        async with opened(path, limits=limits) as store:
            store.put_samples([grid(s, 10.0) for s in range(0, 3 * 86_400, 60)])
            await store.flush()
            await store.prune(T0 + timedelta(days=3))
            assert rows_of(path, 60) <= 120
            assert rows_of(path, 900) <= 100
            assert rows_of(path, 3600) == 72
            assert len(await points(store, until=3 * 86_400, step_s=3600)) == 72

    run(scenario)


@given(
    seconds=st.lists(st.integers(0, 4000), min_size=1, max_size=80),
    cuts=st.lists(st.integers(1, 79), max_size=1),
    step_s=st.sampled_from([1, 7, 60, 90, 900, 3600]),
    since=st.sampled_from([0, 900, 1800]),
)
@settings(max_examples=12, deadline=None)
def test_every_step_equals_what_the_samples_say(
    tmp_path_factory: pytest.TempPathFactory,
    seconds: Sequence[int],
    cuts: Sequence[int],
    step_s: int,
    since: int,
) -> None:
    """Whatever the order, the pauses and the restarts: the mean of each step is that of its samples."""
    path = tmp_path_factory.mktemp("store") / "w.db"
    samples = [grid(second, float(n)) for n, second in enumerate(seconds)]

    async def scenario() -> None:
        begin = 0
        for end in sorted({*cuts, len(samples)}):
            async with opened(path) as store:
                store.put_samples(samples[begin:end])
            begin = end
        async with opened(path) as store:
            for statistic in ("mean", "max"):
                found = await points(
                    store, since=since, until=4001, step_s=step_s, statistic=statistic
                )
                steps: dict[int, list[float]] = {}
                for n, second in enumerate(seconds):
                    if since <= second < 4001:
                        steps.setdefault((second - since) // step_s, []).append(float(n))
                expected = [
                    (since + step * step_s, sum(v) / len(v) if statistic == "mean" else max(v))
                    for step, v in sorted(steps.items())
                ]
                assert dict(found) == pytest.approx(dict(expected)), (seconds, cuts, step_s, since)

    run(scenario)


def test_late_sample_counts_once_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "w.db"

    async def scenario() -> None:
        async with opened(path) as store:
            store.put_samples([grid(s, 10.0) for s in range(0, 140, 10)])
            await store.flush()
            store.put_samples([grid(5, 80.0)])
        async with opened(path) as store:
            store.put_samples([grid(s, 10.0) for s in range(140, 400, 10)])
            assert (await points(store, until=60, step_s=60)) == [(0, pytest.approx(20.0))]

    run(scenario)


DAY_S = 86_400


@pytest.mark.parametrize(
    ("since", "step_s", "begin"),
    [(17, 3600, 0), (17, 900, 0), (617, 900, 0), (3617, 600, 3600), (600, 3600, 0)],
)
def test_no_row_counts_for_two_steps_when_the_time_is_odd(
    tmp_path: Path, since: float, step_s: int, begin: int
) -> None:
    """The current rises by 10 A with every step: a mean between two levels would mix neighbours."""

    async def scenario() -> None:
        async with opened(tmp_path / "w.db") as store:
            store.put_samples(
                [grid(s, 10.0 * ((s - begin) // step_s + 1)) for s in range(begin, DAY_S, 20)]
            )
            found = await points(store, since=since, until=DAY_S, step_s=step_s)
            assert found[:3] == [
                (begin, 10.0),
                (begin + step_s, 20.0),
                (begin + 2 * step_s, pytest.approx(30.0)),
            ]
            highest = await points(store, since=since, until=DAY_S, step_s=step_s, statistic="max")
            assert [value for _, value in highest[:3]] == [10.0, 20.0, 30.0]

    run(scenario)


def test_short_span_begins_when_it_is_asked_to(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path / "w.db") as store:
            store.put_samples([grid(s, 10.0 if s < 617 else 20.0) for s in range(0, 7200, 5)])
            found = await points(store, since=17, until=3617, step_s=600)
            assert found[:2] == [(17, 10.0), (617, 20.0)]

    run(scenario)


def test_row_between_two_steps_counts_for_both_with_its_part(tmp_path: Path) -> None:
    """Steps of 90 s over hours: every third minute lies in two of them."""

    async def scenario() -> None:
        async with opened(tmp_path / "w.db") as store:
            store.put_samples([grid(s, float(s // 60)) for s in range(0, 9000, 10)])
            found = await points(store, until=9000, step_s=90)
            # Minutes 0 and half of 1; the other half of 1, and 2.
            assert found[:2] == [(0, pytest.approx(1 / 3)), (90, pytest.approx(5 / 3))]
            assert len(found) == 100

    run(scenario)


def charger(second: float, number: int, **fields: float) -> Sample:
    return Sample(
        measurement="charger",
        tags={"cp": f"CP{number}", "evse": "1"},
        fields={"p": float(second % 977) + number, **fields},
        at=T0 + timedelta(seconds=second),
    )


async def together(store: SqliteStore, *, step_s: float, statistic: str) -> dict[float, float]:
    await store.flush()
    found = await store.history(
        measurement="charger",
        field="p",
        tags={},
        since=T0,
        until=T0 + timedelta(seconds=40_000),
        step_s=step_s,
        statistic=statistic,  # type: ignore[arg-type]
    )
    return {(p.at - T0).total_seconds(): p.value for p in found}


def said(samples: Sequence[Sample], step_s: int, statistic: str) -> dict[float, float]:
    steps: dict[float, list[float]] = {}
    for sample in samples:
        second = (sample.at - T0).total_seconds()
        steps.setdefault(second // step_s * step_s, []).append(float(sample.fields["p"]))
    return {at: sum(v) / len(v) if statistic == "mean" else max(v) for at, v in steps.items()}


@pytest.mark.parametrize("is_upgraded", [False, True])
def test_all_chargers_together_are_what_their_samples_say(
    tmp_path: Path, is_upgraded: bool
) -> None:
    """Late samples, a restart, chargers of different fields, and a file from before the totals."""
    path = tmp_path / "w.db"
    samples = [
        charger(s, n, **({"soc": 50.0} if n == 3 and s % 120 == 0 else {}))
        for s in range(0, 30_000, 60)
        for n in range(1, 5)
    ]
    late = [charger(30, 1), charger(14_000, 2), charger(22_000, 2)]
    rest = [charger(s, 2) for s in range(30_000, 40_000, 60)]

    async def scenario() -> None:
        async with opened(path) as store:
            store.put_samples(samples[:800])
            await store.flush()
            store.put_samples(samples[800:])
        if is_upgraded:
            forget_totals(path)
        async with opened(path) as store:
            store.put_samples(late)
            await store.flush()
            store.put_samples(rest)
            for statistic in ("mean", "max"):
                for step_s in (900, 3600):
                    expected = said([*samples, *late, *rest], step_s, statistic)
                    found = await together(store, step_s=step_s, statistic=statistic)
                    assert found == pytest.approx(expected, rel=1e-5)

    run(scenario)
    with closing(bulk_connection(path)) as connection:
        totals = connection.execute(
            "SELECT count(*) FROM rollups WHERE tier_s = 900 AND series_id IN"
            " (SELECT id FROM series WHERE measurement = '*charger')"
        ).fetchone()[0]
    assert totals >= (8 if is_upgraded else 40)


def forget_totals(path: Path) -> None:
    """Make the file what a version without totals leaves."""
    with closing(bulk_connection(path)) as connection:
        connection.execute("DELETE FROM rollup_state WHERE key LIKE 'totals%'")
        connection.execute(
            "DELETE FROM rollups WHERE series_id IN"
            " (SELECT id FROM series WHERE measurement = '*charger')"
        )
        connection.execute("DELETE FROM series WHERE measurement = '*charger'")


def test_totals_are_read_and_not_the_chargers(tmp_path: Path) -> None:
    """A row of the totals that is changed shows in the answer: it was not summed up from chargers."""
    path = tmp_path / "w.db"

    async def scenario() -> None:
        async with opened(path) as store:
            store.put_samples([charger(s, n) for s in range(0, 9000, 60) for n in range(3)])
        with closing(bulk_connection(path)) as connection:
            connection.execute(
                "DELETE FROM rollups WHERE at_s = ? AND tier_s = 3600 AND series_id IN"
                " (SELECT id FROM series WHERE measurement = '*charger')",
                (round(T0.timestamp()),),
            )
        async with opened(path) as store:
            assert 0.0 not in await together(store, step_s=3600, statistic="mean")
            assert 3600.0 in await together(store, step_s=3600, statistic="mean")

    run(scenario)
