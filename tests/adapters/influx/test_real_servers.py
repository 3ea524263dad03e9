"""The uploader against servers that nobody here wrote, fed from the real store."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapters.influx.settings import InfluxSettings
from adapters.store.sqlite_store import SqliteStore
from controller.records import Sample
from tests.adapters.influx.influx_site import (
    Conditions,
    RealClock,
    run,
    settings_for,
    until,
    until_uploaded,
    uploading,
)
from tests.adapters.influx.real_servers import InfluxDb1, RealServer, VictoriaMetrics

pytestmark = pytest.mark.services
CHARGERS = 20


@pytest.fixture(params=[InfluxDb1, VictoriaMetrics], ids=["influxdb-1", "victoria-metrics"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RealServer]:
    folder = tmp_path / "server"
    folder.mkdir()
    server: RealServer = request.param(folder)
    server.start()
    if isinstance(server, InfluxDb1):
        server.create_database()
    yield server
    server.stop()


class Site:
    """Puts samples of all chargers, one second of site time after the other."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
        self.seconds = 0

    @property
    def count(self) -> int:
        return self.seconds * CHARGERS

    def charge(self, seconds: int) -> None:
        for _ in range(seconds):
            at = self.start + timedelta(seconds=self.seconds)
            self.store.put_samples([self.sample(number, at) for number in range(CHARGERS)])
            self.seconds += 1

    def sample(self, number: int, at: datetime) -> Sample:
        return Sample(
            measurement="charger",
            tags={"cp": f"CP {number:03d}", "evse": "1"},
            fields={"p": 7000.0 + number, "phases": 3},
            at=at,
        )


@asynccontextmanager
async def a_site(folder: Path) -> AsyncIterator[Site]:
    store = SqliteStore.open(folder / "w.db", conditions=Conditions(), clock=RealClock())
    try:
        yield Site(store)
    finally:
        await store.close()


def settings_of(server: RealServer) -> InfluxSettings:
    return settings_for(server.port, batch_lines=500, **server.place())


async def until_uploaded_all(site: Site, settings: InfluxSettings) -> None:
    await site.store.flush()
    await until_uploaded(site.store, settings, timeout_s=60.0)


@pytest.mark.parametrize("outage_s", [8.0, pytest.param(60.0, marks=pytest.mark.long)])
def test_outage_loses_nothing_and_doubles_nothing(
    server: RealServer, tmp_path: Path, outage_s: float
) -> None:
    async def scenario() -> None:
        conditions = Conditions()
        settings = settings_of(server)
        async with a_site(tmp_path) as site, uploading(settings, site.store, conditions):
            site.charge(60)
            await until_uploaded_all(site, settings)
            await asyncio.to_thread(server.stop)
            for _ in range(20):
                site.charge(10)
                await asyncio.sleep(outage_s / 20)
            assert conditions.log == ["begin INFLUX_UNREACHABLE"]
            await asyncio.to_thread(server.start)
            site.charge(40)
            await until_uploaded_all(site, settings)
            await until(lambda: len(conditions.log) == 2)
            assert conditions.log[1] == "end INFLUX_UNREACHABLE"
            assert site.count == await asyncio.to_thread(server.count)

    run(scenario)


def test_frozen_server_gets_everything_once_when_it_thaws(
    server: RealServer, tmp_path: Path
) -> None:
    async def scenario() -> None:
        settings = settings_of(server)
        async with a_site(tmp_path) as site, uploading(settings, site.store):
            server.send_signal(signal.SIGSTOP)
            site.charge(50)
            await asyncio.sleep(2.5)
            server.send_signal(signal.SIGCONT)
            await until_uploaded_all(site, settings)
            assert site.count == await asyncio.to_thread(server.count)

    run(scenario)


def test_restarts_in_the_middle_of_batches_double_nothing(
    server: RealServer, tmp_path: Path
) -> None:
    async def scenario() -> None:
        settings = settings_of(server)
        async with a_site(tmp_path) as site:
            site.charge(300)
            await site.store.flush()
            for pause_ms in (5, 10, 15, 20, 25, 30, 40, 60):
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause_ms / 1000.0), uploading(settings, site.store):
                        await asyncio.sleep(1.0)
            async with uploading(settings, site.store):
                await until_uploaded_all(site, settings)
            assert site.count == await asyncio.to_thread(server.count)

    run(scenario)


def test_influxdb_keeps_good_lines_beside_bad_ones(tmp_path: Path) -> None:
    server = InfluxDb1(tmp_path)
    server.start()
    server.create_database()

    async def scenario() -> None:
        settings = settings_of(server)
        async with a_site(tmp_path) as site, uploading(settings, site.store) as upload:
            site.charge(5)
            await until_uploaded_all(site, settings)
            # A text where the server has a number: InfluxDB never takes it.
            wrong = Sample(
                measurement="charger",
                tags={"cp": "CP"},
                fields={"p": "seven"},
                at=site.start + timedelta(seconds=5),
            )
            site.store.put_samples([wrong])
            site.charge(5)
            await until_uploaded_all(site, settings)
            await until(lambda: upload.stats()["quarantined"] == 1)
            assert site.count == await asyncio.to_thread(server.count)

    try:
        run(scenario)
    finally:
        server.stop()


def test_influxdb_without_the_database_is_a_condition_until_it_is_created(tmp_path: Path) -> None:
    server = InfluxDb1(tmp_path)
    server.start()

    async def scenario() -> None:
        conditions = Conditions()
        settings = settings_of(server)
        async with a_site(tmp_path) as site, uploading(settings, site.store, conditions):
            site.charge(5)
            await until(lambda: bool(conditions.log))
            assert conditions.log == ["begin INFLUX_DENIED"]
            await asyncio.to_thread(server.create_database)
            await until_uploaded_all(site, settings)
            assert site.count == await asyncio.to_thread(server.count)

    try:
        run(scenario)
    finally:
        server.stop()
