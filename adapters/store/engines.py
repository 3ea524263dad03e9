"""Connections to the store's file. Durable ones wait for the disk, bulk ones only for the log file."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event

BUSY_TIMEOUT_S = 2.0
"""How long a statement waits for another process, for example `wattkeeper user add`. [s]"""
LOG_SIZE_BYTES = 16 * 1024 * 1024
"""Size to which the write-ahead log shrinks after a checkpoint. [B]"""


def writing_engine(path: Path) -> Engine:
    """Return an engine whose commits survive a power cut."""
    return _engine(path, begin="BEGIN IMMEDIATE", pragmas=("synchronous=FULL",), connections=1)


def reading_engine(path: Path, *, connections: int) -> Engine:
    """Return an engine that cannot write."""
    return _engine(path, begin="BEGIN", pragmas=("query_only=ON",), connections=connections)


def bulk_connection(path: Path) -> sqlite3.Connection:
    """Connect for samples and cycle records: a power cut may cost the last commits, nothing else.

    Source: https://www.sqlite.org/pragma.html#pragma_synchronous, NORMAL in WAL mode.
    """
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    _set_pragmas(connection, ("synchronous=NORMAL",))
    return connection


def _engine(path: Path, *, begin: str, pragmas: tuple[str, ...], connections: int) -> Engine:
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
        pool_size=connections,
        max_overflow=0,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # The driver would begin late and only before writes; `begin` below does it on time.
        connection.isolation_level = None
        _set_pragmas(connection, pragmas)

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _set_pragmas(connection: sqlite3.Connection, pragmas: tuple[str, ...]) -> None:
    for pragma in ("temp_store=MEMORY", f"journal_size_limit={LOG_SIZE_BYTES}", *pragmas):
        connection.execute(f"PRAGMA {pragma}")
