"""The embedded store: one SQLite file behind the ports `Store`, `SampleSpool` and `Recorder`."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from adapters.store import (
    access,
    accounts,
    credentials,
    cycles,
    documents,
    journal,
    reasons,
    rollups,
    samples,
    spool,
    transactions,
)
from adapters.store.administration import Administration
from adapters.store.cycles import CycleQueue, CycleRecord
from adapters.store.engines import bulk_connection, reading_engine
from adapters.store.errors import StoreError
from adapters.store.history import HistoryQuery, Statistic, history
from adapters.store.limits import StoreLimits
from adapters.store.opening import ask_for_check, is_damage, prepare
from adapters.store.rollup_rows import TIERS_S
from adapters.store.samples import SampleQueue, SampleReader
from adapters.store.writer import Health, Writer
from controller.access import StationSecurity
from controller.decision import Alarm, Plan
from controller.ports import Clock, ConditionSink
from controller.records import (
    AuditEntry,
    Sample,
    SeriesPoint,
    SpooledSample,
    StationRecord,
    TokenImport,
    TokenRecord,
    User,
)
from controller.roaming import Document, DocumentQuery
from controller.site import StationId
from controller.snapshot import Snapshot
from controller.transaction import IdToken, Transaction, TransactionId

T = TypeVar("T")
READERS = 2
HASHERS = 2


class SqliteStore(Administration):
    """One file, one writing thread.

    Reads see every write whose call has returned. Samples and cycles are written a moment after
    they were put; `flush` waits for them. Every method may be awaited from any event loop.
    """

    def __init__(self, path: Path, *, conditions: ConditionSink, limits: StoreLimits) -> None:
        self._path = path
        self._limits = limits
        self._samples = SampleQueue(limits.queued_samples)
        self._cycles = CycleQueue(limits.queued_cycles)
        self._reading = reading_engine(path, connections=READERS)
        # While one connection is open SQLite keeps its index of the log, without which nothing can
        # be read on a full disk; test_limits.py::test_full_disk_is_one_condition_and_ends_by_itself.
        with self._reading.begin() as connection:
            journal.load_state(connection, "memory")
        self._writer = Writer(
            path,
            Health(path, conditions),
            (self._samples, self._cycles),
            reserve_bytes=limits.reserve_bytes,
        )
        self._readers = ThreadPoolExecutor(READERS, "store-reader")
        self._hashers = ThreadPoolExecutor(HASHERS, "store-hasher")
        self._scanner = ThreadPoolExecutor(1, "store-scanner")
        self._scanned: sqlite3.Connection | None = None
        self._reader = SampleReader()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        conditions: ConditionSink,
        clock: Clock,
        limits: StoreLimits | None = None,
    ) -> SqliteStore:
        """Open or create the store. Blocks; call it before the loop is busy.

        A damaged file is moved aside and what is readable of its records is copied; that begins the
        condition STORE_RECOVERED.

        Raises:
            StoreError: The path cannot be used, or a newer version has written the file.
        """
        prepare(path, conditions, clock)
        return cls(path, conditions=conditions, limits=limits or StoreLimits())

    async def close(self) -> None:
        """Write what is queued and close the file."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.stop()
        self._scanner.submit(self._close_scanned).result()
        for pool in (self._scanner, self._hashers, self._readers):
            pool.shutdown()
        self._reading.dispose()

    async def flush(self) -> None:
        """Wait until samples and cycles put so far are written, as far as the disk allows."""
        await asyncio.wrap_future(self._writer.flush())

    def stats(self) -> Mapping[str, float]:
        """Return queue depth and losses."""
        return {
            "samples_queued": self._samples.depth(),
            "samples_dropped": self._samples.dropped,
            "samples_refused": self._samples.refused,
            "cycles_dropped": self._cycles.dropped,
        }

    # --- transactions ---------------------------------------------------------------------------

    async def open_transaction(self, transaction: Transaction, *, offline: bool) -> Transaction:
        """Store a start, or return the one that is stored under its id or its natural key."""
        return await self._write(lambda c: transactions.open_once(c, transaction, offline=offline))

    async def find_transaction(
        self, station: StationId, transaction: TransactionId
    ) -> Transaction | None:
        """Find a station's transaction."""
        return await self._read(lambda c: transactions.find(c, station, transaction))

    async def save_transaction(self, transaction: Transaction) -> None:
        """Store progress or the end. A stored end is never undone."""
        await self._write(lambda c: transactions.save(c, transaction))

    async def open_transactions(self) -> tuple[Transaction, ...]:
        """Return all that have not ended, oldest first."""
        return await self._read(transactions.running)

    async def transactions(
        self, *, since: datetime | None, until: datetime | None, limit: int, offset: int
    ) -> tuple[Transaction, ...]:
        """List by start time, newest first."""
        return await self._read(
            lambda c: transactions.listed(c, since=since, until=until, limit=limit, offset=offset)
        )

    # --- tokens, stations, users ----------------------------------------------------------------

    async def token(self, token: IdToken) -> TokenRecord | None:
        """Find a token, ignoring case."""
        return await self._read(lambda c: accounts.find_token(c, token))

    async def tokens(self) -> tuple[TokenRecord, ...]:
        """List all tokens by id."""
        return await self._read(accounts.all_tokens)

    async def put_token(self, record: TokenRecord) -> None:
        """Insert or replace."""
        await self._write(lambda c: accounts.put_token(c, record))

    async def import_tokens(self, records: Sequence[TokenRecord], *, replace: bool) -> TokenImport:
        """Insert or replace all, in one step; with `replace`, delete those that are not among them."""
        return await self._write(lambda c: accounts.import_tokens(c, records, replace=replace))

    async def delete_token(self, token: IdToken) -> bool:
        """Delete; False when it did not exist."""
        return await self._write(lambda c: accounts.delete_token(c, token))

    async def station_secret_matches(self, station: StationId, candidate: bytes) -> bool:
        """Compare in constant time; False for unknown stations, in about the same time."""
        in_use, new = await self._read(lambda c: access.digests(c, station))
        if await self._hash(lambda: credentials.station_secret_matches(in_use, candidate)):
            return True
        if new is None or not await self._hash(
            lambda: credentials.station_secret_matches(new, candidate)
        ):
            return False
        await self._write(lambda c: access.promote_digest(c, station, new))
        return True

    async def set_station_secret(self, station: StationId, secret: str) -> None:
        """Store a digest of the station's password; one that waited to be used is forgotten."""
        digest = await self._hash(lambda: credentials.station_digest(secret))

        def put(connection: Connection) -> None:
            access.propose_digest(connection, station, None)
            accounts.set_station_digest(connection, station, digest)

        await self._write(put)

    async def propose_station_secret(self, station: StationId, secret: str) -> None:
        """Keep a new password beside the old one; the first use of it replaces the old one."""
        digest = await self._hash(lambda: credentials.station_digest(secret))
        await self._write(lambda c: access.propose_digest(c, station, digest))

    async def withdraw_station_secret(self, station: StationId) -> None:
        """Forget the new password; the old one stays."""
        await self._write(lambda c: access.propose_digest(c, station, None))

    async def station_security(self, station: StationId) -> StationSecurity:
        """Return how a station must protect its connection."""
        return await self._read(lambda c: access.find_security(c, station))

    async def save_station_security(self, station: StationId, security: StationSecurity) -> None:
        """Store it; `has_new_secret` is ignored."""
        await self._write(lambda c: access.put_security(c, station, security))

    async def save_station(self, record: StationRecord) -> None:
        """Store what a station said about itself; its secret stays."""
        await self._write(lambda c: accounts.put_station(c, record))

    async def stations(self) -> tuple[StationRecord, ...]:
        """List stored stations by id."""
        return await self._read(accounts.all_stations)

    async def add_user(self, user: User, password: str | None) -> None:
        """Add or change an account; None: no sign-in by password, tokens only."""
        stored: str | None = None
        if password is not None:
            secret = password
            stored = await self._hash(lambda: credentials.password_hash(secret))
        await self._write(lambda c: accounts.put_user(c, user, stored))

    async def user_by_password(self, name: str, password: str) -> User | None:
        """Check a password in a thread of its own; unknown names take as long."""
        found = await self._read(lambda c: accounts.find_user(c, name))
        user, stored = found if found is not None else (None, None)
        is_right = await self._hash(lambda: credentials.password_matches(stored, password))
        return user if is_right else None

    async def issue_api_token(self, name: str) -> str:
        """Make a new API token for a user and return it; only its digest is stored.

        Raises:
            KeyError: There is no such user.
        """
        token = credentials.new_api_token()
        await self._write(lambda c: accounts.add_api_token(c, name, token))
        return token

    async def user_by_api_token(self, token: str) -> User | None:
        """Find the user of an API token that has not expired."""
        return await self.user_by_live_token(token, datetime.now(UTC))

    async def users(self) -> tuple[User, ...]:
        """List accounts by name."""
        return await self._read(accounts.all_users)

    # --- state, alarms, audit -------------------------------------------------------------------

    async def save_memory(self, memory: str) -> None:
        """Keep the controller's memory beside its previous version."""
        await self._write(lambda c: journal.save_state(c, "memory", memory))

    async def load_memory(self) -> str | None:
        """Return the newest undamaged memory."""
        return await self._read(lambda c: journal.load_state(c, "memory"))

    async def save_overrides(self, overrides: str) -> None:
        """Keep operator overrides beside their previous version."""
        await self._write(lambda c: journal.save_state(c, "overrides", overrides))

    async def load_overrides(self) -> str | None:
        """Return the newest undamaged overrides."""
        return await self._read(lambda c: journal.load_state(c, "overrides"))

    async def save_alarm(self, alarm: Alarm) -> None:
        """Store a begin, or the end of the alarm with the same code, subject and begin."""
        await self._write(lambda c: journal.save_alarm(c, alarm))

    async def alarms(self, *, since: datetime | None, limit: int) -> tuple[Alarm, ...]:
        """List by begin, newest first."""
        return await self._read(lambda c: journal.list_alarms(c, since=since, limit=limit))

    async def open_alarms(self) -> tuple[Alarm, ...]:
        """List those without an end, oldest first."""
        return await self._read(journal.list_open_alarms)

    async def audit(self, entry: AuditEntry) -> None:
        """Append to the audit log."""
        await self._write(lambda c: journal.append_audit(c, entry))

    async def audit_log(self, *, limit: int, offset: int) -> tuple[AuditEntry, ...]:
        """List, newest first."""
        return await self._read(lambda c: journal.list_audit(c, limit=limit, offset=offset))

    # --- documents of partners --------------------------------------------------------------------

    async def put_document(self, document: Document, *, once: bool = False) -> bool:
        """Insert or replace; with `once` an existing one stays. Return whether it is new."""
        return await self._write(lambda c: documents.put(c, document, once=once))

    async def document(self, kind: str, key: str) -> Document | None:
        """Find one."""
        return await self._read(lambda c: documents.find(c, kind, key))

    async def documents(self, query: DocumentQuery) -> tuple[Document, ...]:
        """List, oldest change first, then by key."""
        return await self._read(lambda c: documents.listed(c, query))

    async def count_documents(self, query: DocumentQuery) -> int:
        """Count what the query finds without its limit and offset."""
        return await self._read(lambda c: documents.count(c, query))

    async def delete_document(self, kind: str, key: str) -> bool:
        """Delete; False when it did not exist."""
        return await self._write(lambda c: documents.remove(c, kind, key))

    # --- time series ----------------------------------------------------------------------------

    def put_samples(self, samples: Sequence[Sample]) -> None:
        """Queue samples; when the bounded queue is full the oldest are dropped and counted."""
        self._samples.put(samples)
        self._writer.wake()

    async def history(
        self,
        *,
        measurement: str,
        field: str,
        tags: Mapping[str, str],
        since: datetime,
        until: datetime,
        step_s: float,
        statistic: Statistic = "mean",
    ) -> tuple[SeriesPoint, ...]:
        """Return the mean or maximum of a field per step, counted from `since`.

        Steps without samples are absent. Steps of a minute and more come from roll-ups.
        """
        query = HistoryQuery(
            measurement=measurement,
            field=field,
            tags=dict(tags),
            since=since,
            until=until,
            step_s=step_s,
            statistic=statistic,
        )
        return await self._scan(lambda c: history(c, query))

    async def spooled(self, *, after: int, limit: int) -> tuple[SpooledSample, ...]:
        """Return samples after a cursor, oldest first."""
        return await self._scan(lambda c: self._reader.spooled(c, after, limit))

    async def newest_cursor(self) -> int:
        """Return the cursor of the newest sample; 0 when there is none."""
        return await self._scan(samples.newest)

    async def upload_cursors(self, target: str) -> tuple[tuple[int, int], ...]:
        """Return the ranges already uploaded to a target, both ends inclusive, ascending."""
        return await self._read(lambda c: spool.ranges(c, target))

    async def mark_uploaded(self, target: str, first: int, last: int) -> None:
        """Record an uploaded range, durably; adjacent ranges merge."""
        await self._write(lambda c: spool.mark(c, target, first, last))

    async def quarantine(self, target: str, samples: Sequence[SpooledSample], reason: str) -> None:
        """Keep samples that the target refuses for ever; the oldest beyond the bound go."""
        capacity = self._limits.quarantined
        await self._write(lambda c: spool.quarantine(c, target, samples, reason, capacity))

    # --- cycles ---------------------------------------------------------------------------------

    def record(self, snapshot: Snapshot, plan: Plan, memory: str) -> None:
        """Queue one cycle; when the bounded queue is full the oldest are dropped and counted."""
        self._cycles.put(snapshot, plan, memory)
        self._writer.wake()

    async def cycles(
        self, *, since: datetime, until: datetime, limit: int
    ) -> tuple[CycleRecord, ...]:
        """Return recorded cycles in the order in which they happened."""
        return await self._scan(lambda c: cycles.read(c, since=since, until=until, limit=limit))

    # --- retention ------------------------------------------------------------------------------

    async def prune(self, now: datetime) -> None:
        """Delete what is beyond the limits, in short steps, so that other writes come in between."""
        limits = self._limits
        before_ms = samples.millis_of(now - timedelta(seconds=limits.samples_age_s))
        while await self._write_bulk(
            lambda c: samples.prune_block(c, before_ms=before_ms, keep_bytes=limits.samples_bytes)
        ):
            pass
        while await self._write_bulk(self._prune_cycles):
            pass
        await self._prune_rollups(now)
        await self._write(lambda c: journal.prune_alarms(c, limits.alarms))
        await self._write(lambda c: reasons.prune(c, limits.reasons))

    async def _prune_rollups(self, now: datetime) -> None:
        limits = self._limits
        for tier_s, age_s, rows in zip(
            TIERS_S, limits.rollups_age_s, limits.rollups_rows, strict=True
        ):
            before_s = int(now.timestamp() - age_s)
            prune = partial(rollups.prune, tier_s=tier_s, before_s=before_s, keep_rows=rows)
            while await self._write_bulk(prune):
                pass

    def _prune_cycles(self, connection: sqlite3.Connection) -> bool:
        is_pruned = cycles.prune(
            connection, keep=self._limits.cycles, keep_bytes=self._limits.cycles_bytes
        )
        if is_pruned:
            self._cycles.forget_site()
        return is_pruned

    # --- threads --------------------------------------------------------------------------------

    async def _write(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.wrap_future(self._writer.durable(work))

    async def _write_bulk(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.wrap_future(self._writer.bulk(work))

    async def _read(self, work: Callable[[Connection], T]) -> T:
        def call() -> T:
            with self._reading.begin() as connection:
                return work(connection)

        return await self._in_pool(self._readers, call)

    async def _scan(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def call() -> T:
            if self._scanned is None:
                self._scanned = bulk_connection(self._path)
                self._scanned.execute("PRAGMA query_only=ON")
            return work(self._scanned)

        return await self._in_pool(self._scanner, call)

    async def _hash(self, work: Callable[[], T]) -> T:
        return await self._in_pool(self._hashers, work)

    async def _in_pool(self, pool: ThreadPoolExecutor, call: Callable[[], T]) -> T:
        try:
            future: Future[T] = pool.submit(call)
        except RuntimeError as error:
            raise StoreError(f"{self._path}: the store is closed") from error
        try:
            return await asyncio.wrap_future(future)
        except (DBAPIError, sqlite3.Error) as error:
            # Without the statement and its values, which are nobody's business.
            cause = error.orig or error if isinstance(error, DBAPIError) else error
            if is_damage(cause):
                ask_for_check(self._path)
            raise StoreError(f"{self._path}: cannot be read ({cause}). Check the disk.") from error

    def _close_scanned(self) -> None:
        if self._scanned is not None:
            self._scanned.close()
