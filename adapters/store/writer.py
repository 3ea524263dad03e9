"""The one thread that writes, and how it reports that writing fails."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol, TypeVar

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from adapters.store.engines import bulk_connection, writing_engine
from adapters.store.errors import StoreError
from adapters.store.opening import ask_for_check, is_damage
from controller.decision import Condition, Severity
from controller.ports import ConditionSink

T = TypeVar("T")
_log = structlog.get_logger(__name__)

BULK_INTERVAL_S = 0.25
"""Bulk queues are written at most so often: more samples per commit, less wear. [s]"""
RETRY_S = 1.0
"""Pause between attempts while writing fails. [s]"""
ROOM_CHECK_S = 5.0
"""The free space of the disk is looked at so often. [s]"""
SPARE_PAGES = 1024
"""Free pages inside the file that let bulk writing go on when the disk is nearly full."""


class BulkQueue(Protocol):
    """Bounded rows in memory that the writer moves to the disk when it can."""

    def is_waiting(self) -> bool:
        """Tell whether anything is queued."""

    def write(self, connection: sqlite3.Connection) -> None:
        """Write one batch inside the caller's transaction."""

    def commit(self) -> None:
        """Forget the batch: it is stored."""

    def roll_back(self, *, again: bool) -> None:
        """Forget what the transaction had learnt; queue the batch again, or give it up."""


class Health:
    """Turns failing writes into one condition that begins once and ends once. Writer thread only."""

    def __init__(self, path: Path, conditions: ConditionSink) -> None:
        self._path = path
        self._conditions = conditions
        self._failing: set[str] = set()
        self._is_short = False

    @property
    def failing(self) -> frozenset[str]:
        """Kinds of writing that failed at their last attempt."""
        return frozenset(self._failing)

    def note_failure(self, kind: str, error: BaseException) -> StoreError:
        """Begin the condition; return the error to raise."""
        if is_damage(error):
            ask_for_check(self._path)
        text = (
            f"{self._path}: cannot be written ({error}). Free or mount the disk, or give this user "
            "the right to write; charging goes on, and writing resumes by itself."
        )
        if not self._failing:
            self._begin("STORE_UNWRITABLE", text, Severity.CRITICAL)
        self._failing.add(kind)
        return StoreError(text)

    def note_success(self, kind: str) -> None:
        """End the condition when nothing fails any more."""
        if not self._failing:
            return
        self._failing.discard(kind)
        if not self._failing:
            self._conditions.end("STORE_UNWRITABLE", "store")

    def note_room(self, *, is_short: bool, reserve_bytes: int) -> None:
        """Begin or end the condition about the disk's free space."""
        if is_short == self._is_short:
            return
        self._is_short = is_short
        if not is_short:
            self._conditions.end("STORE_SPACE_LOW", "store")
            return
        text = (
            f"{self._path}: less than {reserve_bytes // 1_048_576} MiB are free on its disk. "
            "History is kept in memory only, so that sessions can still be stored. Free some space."
        )
        self._begin("STORE_SPACE_LOW", text, Severity.ALARM)

    def _begin(self, code: str, text: str, severity: Severity) -> None:
        self._conditions.begin(Condition(code=code, subject="store", text=text, severity=severity))


class Writer:
    """Runs durable work in order, and bulk queues in between, in one thread."""

    def __init__(
        self, path: Path, health: Health, queues: Sequence[BulkQueue], *, reserve_bytes: int
    ) -> None:
        self._path = path
        self._health = health
        self._queues = queues
        self._reserve_bytes = reserve_bytes
        self._engine = writing_engine(path)
        self._bulk: sqlite3.Connection | None = None
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._signal = threading.Condition()
        self._is_stopping = False
        self._bulk_due_s = 0.0
        self._room_due_s = 0.0
        self._probe_due_s = 0.0
        self._has_room = True
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def durable(self, work: Callable[[Connection], T]) -> Future[T]:
        """Queue work on a transaction that has survived a power cut once the future is done."""
        return self._submit(lambda: self._attempt_durable(work))

    def bulk(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Queue work on a transaction that a power cut may undo."""
        return self._submit(lambda: self._attempt_bulk(work))

    def flush(self) -> Future[None]:
        """Write the bulk queues now, as far as the disk allows."""
        return self._submit(self._flush)

    def wake(self) -> None:
        """Say that a bulk queue has something; returns at once."""
        with self._signal:
            self._signal.notify()

    def stop(self) -> None:
        """Finish what is queued and end the thread. Blocks."""
        with self._signal:
            self._is_stopping = True
            self._signal.notify()
        self._thread.join()

    def _submit(self, call: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        with self._signal:
            if self._is_stopping:
                raise StoreError(f"{self._path}: the store is closed")
            self._jobs.append((future, call))
            self._signal.notify()
        return future

    def _run(self) -> None:
        while self._wait():
            self._run_jobs()
            if time.monotonic() >= self._bulk_due_s:
                self._write_queues()
            self._probe()
        self._run_jobs()
        self._flush()
        self._drop_connections()

    def _wait(self) -> bool:
        """Sleep until there is something to do; False: stop."""
        with self._signal:
            if not self._jobs and not self._is_stopping:
                self._signal.wait(self._pause_s())
            return not self._is_stopping

    def _pause_s(self) -> float | None:
        if any(queue.is_waiting() for queue in self._queues):
            return max(0.0, self._bulk_due_s - time.monotonic())
        return RETRY_S if self._health.failing else None

    def _run_jobs(self) -> None:
        while True:
            with self._signal:
                if not self._jobs:
                    return
                future, call = self._jobs.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except Exception as error:  # noqa: BLE001 - it belongs to whoever waits for the future
                future.set_exception(error)

    def _attempt_durable(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._engine.begin() as connection:
                result = work(connection)
        except DBAPIError as error:
            if isinstance(error.orig, sqlite3.IntegrityError):
                raise
            self._engine.dispose()
            raise self._health.note_failure("records", error.orig or error) from error
        self._health.note_success("records")
        return result

    def _attempt_bulk(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._bulk is None:
                self._bulk = bulk_connection(self._path)
            self._bulk.execute("BEGIN IMMEDIATE")
            result = work(self._bulk)
            self._bulk.execute("COMMIT")
        except sqlite3.Error as error:
            self._drop_bulk()
            raise self._health.note_failure("series", error) from error
        except Exception:
            self._drop_bulk()
            raise
        self._health.note_success("series")
        return result

    def _write_queues(self) -> None:
        """Write one batch of each queue."""
        self._bulk_due_s = time.monotonic() + BULK_INTERVAL_S
        if not self._find_room():
            return
        for queue in self._queues:
            if queue.is_waiting():
                self._write_batch(queue)

    def _write_batch(self, queue: BulkQueue) -> bool:
        try:
            self._attempt_bulk(queue.write)
        except StoreError:
            self._bulk_due_s = time.monotonic() + RETRY_S  # The condition has begun.
            queue.roll_back(again=True)
            return False
        except Exception:  # noqa: BLE001 - one bad batch must not stop this thread
            _log.exception("store.batch_dropped")
            queue.roll_back(again=False)
            return True
        queue.commit()
        return True

    def _flush(self) -> None:
        for queue in self._queues:
            while queue.is_waiting() and self._write_batch(queue):
                pass

    def _find_room(self) -> bool:
        """Tell whether bulk writing may go on; looks at the disk only now and then."""
        now_s = time.monotonic()
        if now_s < self._room_due_s:
            return self._has_room
        self._room_due_s = now_s + ROOM_CHECK_S
        is_short = self._free_bytes() < self._reserve_bytes
        self._health.note_room(is_short=is_short, reserve_bytes=self._reserve_bytes)
        self._has_room = not is_short or self._spare_pages() >= SPARE_PAGES
        return self._has_room

    def _free_bytes(self) -> int:
        try:
            disk = os.statvfs(self._path.parent)
        except OSError:
            return 0
        return disk.f_bavail * disk.f_frsize

    def _spare_pages(self) -> int:
        try:
            if self._bulk is None:
                self._bulk = bulk_connection(self._path)
            return int(self._bulk.execute("PRAGMA freelist_count").fetchone()[0])
        except sqlite3.Error:
            self._drop_bulk()
            return 0

    def _probe(self) -> None:
        """Find out that writing works again although nobody writes."""
        failing = self._health.failing
        if not failing or time.monotonic() < self._probe_due_s:
            return
        self._probe_due_s = time.monotonic() + RETRY_S
        probe = "INSERT INTO states (kind, text, sha256) VALUES ('probe', '', '')"
        forget = "DELETE FROM states WHERE kind = 'probe'"
        try:
            if "records" in failing:
                self._attempt_durable(
                    lambda c: (c.exec_driver_sql(probe), c.exec_driver_sql(forget))
                )
            if "series" in failing and not any(queue.is_waiting() for queue in self._queues):
                self._attempt_bulk(lambda c: (c.execute(probe), c.execute(forget)))
        except StoreError:
            return  # Still failing; the condition stays.

    def _drop_bulk(self) -> None:
        if self._bulk is not None:
            self._bulk.close()
            self._bulk = None

    def _drop_connections(self) -> None:
        self._drop_bulk()
        self._engine.dispose()
