from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import adapters.store
from adapters.store.engines import bulk_connection, writing_engine
from adapters.store.errors import StoreError
from adapters.store.opening import migrate
from adapters.store.schema import HEAD, METADATA
from tests.adapters.store.store_site import Conditions, opened, run


def test_newest_migration_is_the_head() -> None:
    config = Config()
    folder = Path(adapters.store.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_migrations_lead_to_the_declared_tables(tmp_path: Path) -> None:
    migrate(tmp_path / "w.db")
    engine = writing_engine(tmp_path / "w.db")
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()


def test_upgrade_keeps_what_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    migrate(path, "0001")
    with closing(bulk_connection(path)) as connection:
        connection.execute(
            "INSERT INTO transactions (station, id, natural_key, evse, started_at, start_wh)"
            " VALUES ('CP001', '7', 'k', 'CP001/1', 1772366400000000, 5.0)"
        )

    async def scenario() -> None:
        async with opened(path) as store:
            (transaction,) = await store.open_transactions()
            assert transaction.id == "7"
            assert transaction.started_at.isoformat() == "2026-03-01T12:00:00+00:00"

    run(scenario)


def test_file_of_a_newer_version_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    migrate(path)
    with closing(bulk_connection(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    async def scenario() -> None:
        conditions = Conditions()
        with pytest.raises(StoreError, match="newer version"):
            async with opened(path, conditions):
                pass
        assert conditions.log == []

    run(scenario)
    assert list(tmp_path.glob("*.damaged*")) == []
