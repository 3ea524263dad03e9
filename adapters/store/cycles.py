"""Cycle records: what was known and what was decided, compressed, in a bounded ring."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from enum import Enum

import orjson

from adapters.store.samples import millis_of, time_of
from controller.decision import Plan
from controller.site import Site
from controller.snapshot import Snapshot

FAST = 1
"""Level of zlib: the writer must keep up with every cycle of a large site."""
TYPE_KEY = "_type"
"""Names the class of an encoded value, so that replay can tell the members of a union apart."""
PRUNE_ROWS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleRecord:
    """One recorded cycle as JSON texts; `_type` in each object names its class."""

    id: int
    at: datetime
    site: str
    snapshot: str
    """Without its site, which is the same for many cycles and therefore apart."""
    plan: str
    memory: str
    """As the recorder got it."""


def encode(value: object) -> bytes:
    """Return a value as JSON: dataclasses as objects with `_type`, enums as their values."""
    return orjson.dumps(
        value,
        default=_default,
        option=orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z,
    )


def _default(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        names = (f.name for f in fields(value) if f.init)
        return {TYPE_KEY: type(value).__name__, **{n: getattr(value, n) for n in names}}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    if isinstance(value, Enum):
        return value.value
    raise TypeError(type(value).__name__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    snapshot: Snapshot
    plan: Plan
    memory: str


class CycleQueue:
    """Cycles on their way to the disk. `put` is called from any thread, the rest by the writer."""

    def __init__(self, capacity: int) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._capacity = capacity
        self._in_flight: _Waiting | None = None
        self._lock = threading.Lock()
        self._site: tuple[Site, str] | None = None
        self.dropped = 0
        """Cycles lost because the queue was full."""

    def put(self, snapshot: Snapshot, plan: Plan, memory: str) -> None:
        """Queue a cycle; drop the oldest beyond the capacity."""
        with self._lock:
            self._waiting.append(_Waiting(snapshot, plan, memory))
            self._trim()

    def is_waiting(self) -> bool:
        """Tell whether anything is queued."""
        return bool(self._waiting)

    def write(self, connection: sqlite3.Connection) -> None:
        """Write the oldest cycle."""
        with self._lock:
            self._in_flight = waiting = self._waiting.popleft()
        digest = self._site_digest(connection, waiting.snapshot.site)
        body = b"[%b,%b,%b]" % (
            self._encoded_snapshot(waiting.snapshot),
            encode(waiting.plan),
            encode(waiting.memory),
        )
        connection.execute(
            "INSERT INTO cycles (at_ms, site_digest, body) VALUES (?, ?, ?)",
            (millis_of(waiting.snapshot.at), digest, zlib.compress(body, FAST)),
        )

    def commit(self) -> None:
        """Forget the cycle: it is stored."""
        self._in_flight = None

    def roll_back(self, *, again: bool) -> None:
        """Forget the site that the transaction took with it; queue the cycle again, or give it up."""
        self._site = None
        with self._lock:
            if again and self._in_flight is not None:
                self._waiting.appendleft(self._in_flight)
                self._trim()
            else:
                self.dropped += 1
            self._in_flight = None

    def forget_site(self) -> None:
        """Write the site's row again with the next cycle."""
        self._site = None

    def _trim(self) -> None:
        while len(self._waiting) > self._capacity:
            self._waiting.popleft()
            self.dropped += 1

    def _encoded_snapshot(self, snapshot: Snapshot) -> bytes:
        names = (f.name for f in fields(snapshot) if f.name != "site")
        return encode({TYPE_KEY: "Snapshot", **{n: getattr(snapshot, n) for n in names}})

    def _site_digest(self, connection: sqlite3.Connection, site: Site) -> str:
        if self._site is not None and self._site[0] is site:
            return self._site[1]
        body = encode(site)
        digest = hashlib.blake2b(body, digest_size=16).hexdigest()
        connection.execute(
            "INSERT OR IGNORE INTO cycle_sites (digest, body) VALUES (?, ?)",
            (digest, zlib.compress(body)),
        )
        self._site = (site, digest)
        return digest


def read(
    connection: sqlite3.Connection, *, since: datetime, until: datetime, limit: int
) -> tuple[CycleRecord, ...]:
    """Return cycles of a time span in the order in which they happened."""
    rows = connection.execute(
        "SELECT c.id, c.at_ms, s.body, c.body FROM cycles c"
        " JOIN cycle_sites s ON s.digest = c.site_digest"
        " WHERE c.at_ms >= ? AND c.at_ms < ? ORDER BY c.id LIMIT ?",
        (millis_of(since), millis_of(until), limit),
    )
    return tuple(_record(*row) for row in rows)


def _record(number: int, at_ms: int, site: bytes, body: bytes) -> CycleRecord:
    snapshot, plan, memory = orjson.loads(zlib.decompress(body))
    return CycleRecord(
        id=number,
        at=time_of(at_ms),
        site=zlib.decompress(site).decode(),
        snapshot=orjson.dumps(snapshot).decode(),
        plan=orjson.dumps(plan).decode(),
        memory=memory,
    )


def prune(connection: sqlite3.Connection, *, keep: int, keep_bytes: int) -> bool:
    """Delete some of the oldest cycles beyond a number or a size; False: there are none."""
    count, size = connection.execute(
        "SELECT count(*), coalesce(sum(length(body)), 0) FROM cycles"
    ).fetchone()
    if count <= keep and size <= keep_bytes:
        return False
    # Size is evened out over the ring, so the share to delete follows from the excess.
    excess = max(count - keep, -(-(size - keep_bytes) * count // max(1, size)))
    connection.execute(
        "DELETE FROM cycles WHERE id IN (SELECT id FROM cycles ORDER BY id LIMIT ?)",
        (min(PRUNE_ROWS, excess),),
    )
    connection.execute(
        "DELETE FROM cycle_sites WHERE digest NOT IN (SELECT DISTINCT site_digest FROM cycles)"
    )
    return True
