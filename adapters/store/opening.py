"""Opening the store's file: create, check, recover, migrate."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Table, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from adapters.store.engines import BUSY_TIMEOUT_S, writing_engine
from adapters.store.errors import StoreError
from adapters.store.schema import HEAD, LARGE, PRECIOUS
from controller.decision import Condition, Severity
from controller.ports import Clock, ConditionSink

MAGIC = b"SQLite format 3\x00"
SUFFIXES = frozenset({".db", ".sqlite", ".sqlite3"})
COMPANIONS = ("", "-wal", "-shm")


def prepare(path: Path, conditions: ConditionSink, clock: Clock) -> None:
    """Leave a sound, migrated database at `path`.

    A damaged one is moved aside, what is readable of its records is copied into a new one, and the
    condition STORE_RECOVERED begins.

    Raises:
        StoreError: The path cannot be used.
    """
    _create(path)
    damage = find_damage(path)
    if damage is None:
        migrate(path)
        return
    aside = _move_aside(path, clock.now())
    _create(path)
    _start_log(path)
    migrate(path)
    copied = _salvage(aside, path)
    conditions.begin(
        Condition(
            code="STORE_RECOVERED",
            subject="store",
            text=(
                f"{path} was damaged ({damage}). {copied} records were copied into a new file; "
                f"the damaged one is kept as {aside}. Check sessions and tokens, and the disk."
            ),
            severity=Severity.ALARM,
        )
    )


def suspicion_file(path: Path) -> Path:
    """Name the file whose presence asks for a full check at the next start."""
    return path.with_name(path.name + ".check")


def ask_for_check(path: Path) -> None:
    """Have the whole file checked at the next start."""
    try:
        suspicion_file(path).touch(mode=0o600)
    except OSError:
        return  # The disk is worse off than the file, and that is reported by whoever writes.


def _create(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        with open(descriptor, "rb") as file:
            head = file.read(len(MAGIC))
            os.fchmod(file.fileno(), 0o600)
    except OSError as error:
        raise StoreError(
            f"store.path {path}: cannot be written ({error.strerror}). Name a file in a directory "
            "that this user may write, on a disk that is not full or read-only."
        ) from error
    if head and head != MAGIC and path.suffix not in SUFFIXES:
        raise StoreError(
            f"store.path {path}: is not a store and stays untouched. Name another file."
        )


def find_damage(path: Path) -> str | None:
    """Check the file and start its write-ahead log; return what is damaged, or None.

    Raises:
        StoreError: It cannot be read or written for another reason, for example a lock.
    """
    try:
        _start_log(path)
        with closing(_connect(path)) as connection:
            return next(_findings(connection, in_full=suspicion_file(path).exists()), None)
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            return str(error)
        raise StoreError(
            f"store.path {path}: cannot be opened ({error}). End other programs that use it, and "
            "check the disk's space and permissions."
        ) from error


def is_damage(error: BaseException) -> bool:
    """Tell whether SQLite found the file itself wrong, not only busy or full."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _start_log(path: Path) -> None:
    with closing(_connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)


def _findings(connection: sqlite3.Connection, *, in_full: bool) -> Iterator[str]:
    """Yield what is damaged. Large tables are probed at both ends, and read whole only on suspicion."""
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    names = {row[0] for row in tables}
    large = {table.name for table in LARGE}
    # SQLite checks its own tables only together with all others.
    small = sorted(name for name in names - large if not name.startswith("sqlite_"))
    for check in ["quick_check"] if in_full else [f"quick_check('{name}')" for name in small]:
        for (finding,) in connection.execute(f"PRAGMA {check}"):
            if finding != "ok":
                yield " ".join(str(finding).split())
    if "sqlite_sequence" in names:
        connection.execute("SELECT * FROM sqlite_sequence").fetchall()
    for table in (table for table in LARGE if table.name in names):
        for end in ("ASC", "DESC"):
            order = ", ".join(f"{column.name} {end}" for column in table.primary_key)
            connection.execute(
                f"SELECT * FROM {table.name} ORDER BY {order} LIMIT 1"  # noqa: S608 - constant
            ).fetchall()


def _move_aside(path: Path, now: datetime) -> Path:
    stem = f"{path.name}.damaged-{now:%Y%m%dT%H%M%SZ}"
    aside = path.with_name(stem)
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{stem}-{number}")
    for companion in COMPANIONS:
        source = path.with_name(path.name + companion)
        if source.exists():
            source.rename(aside.with_name(aside.name + companion))
    suspicion_file(path).unlink(missing_ok=True)
    return aside


def migrate(path: Path, revision: str = HEAD) -> None:
    """Bring the schema to a revision, in one transaction.

    Raises:
        StoreError: The file was written by a newer version, or cannot be written.
    """
    engine = writing_engine(path)
    try:
        with engine.begin() as connection:
            if _revision(connection) != revision:
                _upgrade(connection, revision)
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", error)
        raise StoreError(
            f"store.path {path}: cannot be migrated ({cause}). Check the disk's space and permissions."
        ) from error
    finally:
        engine.dispose()


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection, revision: str) -> None:
    # Imported here because it is slow and needed once per release.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        raise StoreError(
            f"the store was written by a newer version of Wattkeeper ({error}). Install that "
            "version, or name another file as store.path."
        ) from error


def _salvage(aside: Path, path: Path) -> int:
    """Copy what is readable of the precious tables; return the number of rows."""
    engine = writing_engine(path)
    try:
        with (
            closing(_connect_to_damaged(aside)) as damaged,
            engine.begin() as connection,
        ):
            return sum(_salvage_table(damaged, connection, table) for table in PRECIOUS)
    finally:
        engine.dispose()


def _connect_to_damaged(aside: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{aside.absolute().as_uri()}?mode=ro", uri=True)
    # Lets SQLite read a file that is shorter than its header says.
    connection.execute("PRAGMA writable_schema=ON")
    return connection


def _salvage_table(damaged: sqlite3.Connection, connection: Connection, table: Table) -> int:
    """Read from both ends towards the damage."""
    copied = 0
    for order in ("ASC", "DESC"):
        try:
            rows = damaged.execute(f"SELECT * FROM {table.name} ORDER BY rowid {order}")  # noqa: S608 - constant
            names = [column[0] for column in rows.description]
            for row in rows:
                known = {n: v for n, v in zip(names, row, strict=True) if n in table.c}
                copied += _copy_row(connection, table, known)
        except sqlite3.DatabaseError:
            continue
        return copied
    return copied


def _copy_row(connection: Connection, table: Table, row: dict[str, object]) -> int:
    columns = ", ".join(f'"{name}"' for name in row)
    places = ", ".join("?" for _ in row)
    result = connection.exec_driver_sql(
        f'INSERT OR IGNORE INTO "{table.name}" ({columns}) VALUES ({places})',  # noqa: S608 - constant
        tuple(row.values()),
    )
    return result.rowcount
