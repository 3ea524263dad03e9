"""Store and forward: sends the spool's samples to a time-series server, each at least once.

A sample sent twice has the same tags and time, so the server keeps it once. Whatever the server
does, this task only waits: nothing in the controller depends on it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from adapters.influx.line import NotExpressibleError, format_line
from adapters.influx.plan import Range, size, unsent
from adapters.influx.server import (
    Denied,
    Outcome,
    Refused,
    Server,
    Unavailable,
    Written,
    missing_secret,
    server_for,
)
from adapters.influx.settings import InfluxSettings
from controller.decision import Condition, Severity
from controller.ports import Clock, ConditionSink, SampleSpool
from controller.records import SpooledSample

T = TypeVar("T")
BACKOFF_S = (1.0, 30.0)
"""Shortest and longest pause between attempts. [s]"""
LIVE = timedelta(minutes=1)
"""After an outage so much is sent first, so that live screens recover at once."""
MAX_REQUESTS = 256
"""Per batch, to find its bad lines; what is refused beyond that is kept aside unexamined."""
READING_FACTOR = 3.0
"""CPU time of a batch over that of its lines and its request: reading it and marking it in the store
took 1.8 times as much again (tests/adapters/influx/test_uploader.py, share of the processor)."""
ALARM_AFTER_S = 3600.0
"""A server that is away for longer is no passing matter. [s]"""
UNREACHABLE = "INFLUX_UNREACHABLE"
DENIED = "INFLUX_DENIED"
SUBJECT = "influx"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Line:
    spooled: SpooledSample
    text: str


@dataclass(frozen=True, slots=True)
class _Batch:
    """Rows to send, and the range of cursors that they settle."""

    first: int
    last: int
    rows: tuple[SpooledSample, ...]
    is_newest: bool
    """It ends with the newest sample there was."""

    @property
    def missing(self) -> int:
        """Samples that retention removed before they were sent."""
        return self.last - self.first + 1 - len(self.rows)


class _StoppedError(Exception):
    """Nothing more can be sent now."""

    def __init__(self, outcome: Unavailable | Denied) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


class InfluxUploader:
    """Uploads until cancelled. One per server."""

    def __init__(
        self,
        *,
        settings: InfluxSettings,
        spool: SampleSpool,
        conditions: ConditionSink,
        clock: Clock,
        sheds: Callable[[], bool] = lambda: False,
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            settings: Where to.
            spool: What waits to be sent.
            conditions: Who is told of failures.
            clock: Time.
            sheds: Whether this machine needs what it has for control: nothing is sent meanwhile.
        """
        self._sheds = sheds
        self._settings = settings
        self._spool = spool
        self._conditions = conditions
        self._clock = clock
        self._threads = ThreadPoolExecutor(1, "influx")
        self._condition: Condition | None = None
        self._failing_since_s: float | None = None
        self._failures = 0
        self._is_spool_failing = False
        self._live_due_s = 0.0
        self._backfill_due_s = 0.0
        self._worked_s = 0.0
        """CPU time of our thread for the batch under way."""
        self._depth = 0
        self._oldest_at: datetime | None = None
        self._sent = 0
        self._quarantined = 0
        self._dropped = 0

    def stats(self) -> Mapping[str, float]:
        """Return the spool's depth and age, and what became of the samples since the start."""
        age_s = 0.0
        if self._oldest_at is not None:
            age_s = max(0.0, (self._clock.now() - self._oldest_at).total_seconds())
        return {
            "spool_depth": self._depth,
            "oldest_unsent_age_s": age_s,
            "sent": self._sent,
            "quarantined": self._quarantined,
            "dropped": self._dropped,
        }

    async def run(self) -> None:
        """Upload until cancelled. A server that is absent is only a condition."""
        server = server_for(self._settings)
        try:
            while True:  # noqa: ASYNC110 - there is nothing to be woken by, the spool is polled
                await asyncio.sleep(await self._step(server))
        finally:
            # A request under way ends by its own timeout; waiting for it here would delay the stop.
            self._threads.submit(server.close)
            self._threads.shutdown(wait=False)

    async def _step(self, server: Server) -> float:
        """Send one batch if one is due; return how long to pause. [s]"""
        if self._sheds():
            return self._settings.interval_s
        try:
            batch, pause_s = await self._next_batch()
            if batch is None:
                return pause_s
            self._worked_s = 0.0
            await self._settle(server, batch)
            now_s = self._clock.monotonic_s()
            if batch.is_newest:
                self._live_due_s = now_s + self._settings.interval_s
            else:
                rest_s = READING_FACTOR * self._worked_s / self._settings.backfill_cpu_share
                self._backfill_due_s = max(self._backfill_due_s, now_s + rest_s)
        except _StoppedError as stop:
            return self._back_off(stop.outcome)
        except Exception as error:  # noqa: BLE001 - a spool fails as disks do; it may recover
            return self._back_off_from_spool(error)
        self._note_success()
        return 0.0

    # --- what to send ---------------------------------------------------------------------------

    async def _next_batch(self) -> tuple[_Batch | None, float]:
        """Return the live batch when it is due, else the oldest unsent one, else how long to wait."""
        newest = await self._spool.newest_cursor()
        gaps = unsent(await self._spool.upload_cursors(self._settings.target), newest)
        await self._note_backlog(gaps)
        now_s = self._clock.monotonic_s()
        if not gaps:
            return None, self._settings.interval_s
        live = gaps[-1] if gaps[-1][1] == newest else None
        if live is not None and now_s >= self._live_due_s:
            return await self._batch((await self._live_start(live), newest), newest), 0.0
        if gaps == (live,):
            return None, self._live_due_s - now_s
        if now_s < self._backfill_due_s:
            # Nothing new has come if the live batch is overdue: look again soon, but never at once.
            look_s = (
                self._live_due_s if self._live_due_s > now_s else now_s + self._settings.interval_s
            )
            return None, min(self._backfill_due_s, look_s) - now_s
        batch = await self._batch(gaps[0], newest)
        self._backfill_due_s = now_s + len(batch.rows) / self._settings.backfill_lines_per_s
        return batch, 0.0

    async def _live_start(self, live: Range) -> int:
        """Return the first cursor of the newest minute, found by halving."""
        first, last = live
        newest_at = await self._time_of(last)
        first_at = await self._time_of(first)
        if newest_at is None or first_at is None or newest_at - first_at <= LIVE:
            return first
        while first < last:
            middle = (first + last) // 2
            at = await self._time_of(middle)
            if at is not None and newest_at - at > LIVE:
                first = middle + 1
            else:
                last = middle
        return first

    async def _time_of(self, cursor: int) -> datetime | None:
        rows = await self._spool.spooled(after=cursor - 1, limit=1)
        return rows[0].sample.at if rows else None

    async def _batch(self, wanted: Range, newest: int) -> _Batch:
        first, last = wanted
        limit = min(self._settings.batch_lines, last - first + 1)
        found = await self._spool.spooled(after=first - 1, limit=limit)
        rows = tuple(row for row in found if row.cursor <= last)
        is_whole = len(rows) < limit
        end = last if is_whole else rows[-1].cursor
        return _Batch(first, end, rows, end == newest)

    async def _note_backlog(self, gaps: Sequence[Range]) -> None:
        self._depth = size(gaps)
        self._oldest_at = await self._time_of(gaps[0][0]) if gaps else None

    # --- sending --------------------------------------------------------------------------------

    async def _settle(self, server: Server, batch: _Batch) -> None:
        """Send a batch, keep aside what is refused for ever, and move the cursor over all of it."""
        loop = asyncio.get_running_loop()
        # In a thread: thousands of lines would hold up the loop that control runs on.
        lines, inexpressible = await loop.run_in_executor(
            self._threads, self._timed, self._format, batch.rows
        )
        for spooled, reason in inexpressible:
            await self._spool.quarantine(self._settings.target, (spooled,), reason)
        refused = await self._deliver(server, lines)
        await self._spool.mark_uploaded(self._settings.target, batch.first, batch.last)
        self._sent += len(lines) - refused
        self._quarantined += len(inexpressible) + refused
        self._dropped += batch.missing

    def _format(
        self, rows: Sequence[SpooledSample]
    ) -> tuple[list[_Line], list[tuple[SpooledSample, str]]]:
        lines: list[_Line] = []
        inexpressible: list[tuple[SpooledSample, str]] = []
        for row in rows:
            try:
                lines.append(_Line(row, format_line(row.sample, self._settings.site)))
            except NotExpressibleError as error:
                inexpressible.append((row, str(error)))
        return lines, inexpressible

    async def _deliver(self, server: Server, lines: list[_Line]) -> int:
        """Write lines, halving what is refused until the bad ones stand alone; return their number."""
        refused = 0
        chunks = [lines] if lines else []
        requests = 0
        while chunks:
            chunk = chunks.pop()
            outcome = await self._write(server, chunk)
            requests += 1
            match outcome:
                case Written():
                    continue
                case Unavailable() | Denied():
                    raise _StoppedError(outcome)
                case Refused(reason=reason, dropped=dropped):
                    if len(chunk) == 1 or dropped == len(chunk) or requests >= MAX_REQUESTS:
                        await self._quarantine(chunk, reason)
                        refused += len(chunk)
                    else:
                        chunks.extend(_split(chunk))
        return refused

    async def _write(self, server: Server, chunk: Sequence[_Line]) -> Outcome:
        variable = missing_secret(self._settings)
        if variable is not None:
            return Denied(f"the environment variable {variable} is empty")

        def send() -> Outcome:
            return server.write("\n".join([line.text for line in chunk]).encode())

        return await asyncio.get_running_loop().run_in_executor(self._threads, self._timed, send)

    def _timed(self, work: Callable[..., T], *given: object) -> T:
        """Work in our thread, and count what CPU time that takes."""
        begun_s = time.thread_time()
        try:
            return work(*given)
        finally:
            self._worked_s += time.thread_time() - begun_s

    async def _quarantine(self, chunk: Sequence[_Line], reason: str) -> None:
        _log.warning("influx.refused", lines=len(chunk), reason=reason, first=chunk[0].text[:200])
        await self._spool.quarantine(
            self._settings.target, tuple(line.spooled for line in chunk), reason
        )

    # --- what went wrong ------------------------------------------------------------------------

    def _back_off(self, outcome: Unavailable | Denied) -> float:
        url = self._settings.url
        match outcome:
            case Unavailable(reason=reason, retry_after_s=asked_s):
                mend = "Start the server or correct influx.url; samples are kept and sent later."
                self._begin(UNREACHABLE, f"{url}: no answer ({reason}). {mend}")
                return max(self._pause_s(), asked_s)
            case Denied(reason=reason):
                mend = (
                    f"Create the {'bucket' if self._settings.bucket else 'database'}, or correct "
                    f"the {self._secret_name()} and start again; samples are kept meanwhile."
                )
                self._begin(DENIED, f"{url}: does not accept our samples ({reason}). {mend}")
                return self._pause_s()

    def _secret_name(self) -> str:
        name = self._settings.token_env or self._settings.password_env
        return f"secret in {name}" if name else "credentials (token_env, or username, password_env)"

    def _back_off_from_spool(self, error: Exception) -> float:
        if not self._is_spool_failing:
            _log.warning("influx.spool_failing", error=str(error))
        self._is_spool_failing = True
        return self._pause_s()

    def _pause_s(self) -> float:
        shortest_s, longest_s = BACKOFF_S
        pause_s = min(longest_s, shortest_s * 2.0 ** min(self._failures, 10))
        self._failures += 1
        return max(shortest_s, pause_s * random.uniform(0.5, 1.0))

    def _begin(self, code: str, text: str) -> None:
        now_s = self._clock.monotonic_s()
        if self._failing_since_s is None:
            self._failing_since_s = now_s
        is_long = now_s - self._failing_since_s >= ALARM_AFTER_S
        severity = Severity.ALARM if is_long else Severity.WARNING
        known = self._condition
        if known is not None and (known.code, known.severity) == (code, severity):
            return
        if known is not None and known.code != code:
            self._conditions.end(known.code, SUBJECT)
        self._condition = Condition(code=code, subject=SUBJECT, text=text, severity=severity)
        self._conditions.begin(self._condition)

    def _end(self) -> None:
        if self._condition is not None:
            self._conditions.end(self._condition.code, SUBJECT)
            self._condition = None
        self._failing_since_s = None

    def _note_success(self) -> None:
        self._failures = 0
        self._is_spool_failing = False
        self._end()


def _split(chunk: list[_Line]) -> tuple[list[_Line], list[_Line]]:
    """Split by measurement while there are several, for a bad field spoils all lines of one."""
    name = chunk[0].spooled.sample.measurement
    same = [line for line in chunk if line.spooled.sample.measurement == name]
    if len(same) < len(chunk):
        return same, [line for line in chunk if line.spooled.sample.measurement != name]
    middle = len(chunk) // 2
    return chunk[:middle], chunk[middle:]
