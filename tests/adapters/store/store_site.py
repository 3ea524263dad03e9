"""Builders for the store's tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from adapters.store.limits import StoreLimits
from adapters.store.sqlite_store import SqliteStore
from controller.decision import Condition
from controller.records import Sample
from controller.transaction import Transaction

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Conditions:
    """Remembers begins and ends."""

    log: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def begin(self, condition: Condition) -> None:
        self.log.append(f"begin {condition.code}")
        self.texts.append(condition.text)

    def end(self, code: str, subject: str) -> None:
        self.log.append(f"end {code}")


class FixedClock:
    def monotonic_s(self) -> float:
        return 0.0

    def now(self) -> datetime:
        return NOON


@asynccontextmanager
async def opened(
    path: Path, conditions: Conditions | None = None, limits: StoreLimits | None = None
) -> AsyncIterator[SqliteStore]:
    store = SqliteStore.open(
        path, conditions=conditions or Conditions(), clock=FixedClock(), limits=limits
    )
    try:
        yield store
    finally:
        await store.close()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]


async def until(is_true: Callable[[], bool], *, timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not is_true():  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.02)


def a_transaction(number: int) -> Transaction:
    return Transaction(
        id=str(number),
        station="CP001",
        evse="CP001/1",
        id_token="ABC",
        started_at=NOON + timedelta(seconds=number),
        start_wh=float(number),
    )


def a_sample(second: float, value: float = 1.0) -> Sample:
    return Sample(
        measurement="grid",
        tags={"meter": "main"},
        fields={"p": value},
        at=NOON + timedelta(seconds=second),
    )
