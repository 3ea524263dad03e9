"""Several series on one time axis, for charts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from adapters.http.bridge import Bridge
from adapters.http.views import figure
from controller.ports import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A time span in steps."""

    since: datetime
    until: datetime
    step_s: float

    @property
    def steps(self) -> int:
        """Number of steps."""
        return max(1, ceil((self.until - self.since).total_seconds() / self.step_s))

    def times(self) -> list[datetime]:
        """Return the begin of each step."""
        return [self.since + timedelta(seconds=i * self.step_s) for i in range(self.steps)]


async def read_series(
    store: Store,
    bridge: Bridge,
    *,
    measurement: str,
    fields: Sequence[str],
    tags: Mapping[str, str],
    span: Span,
) -> dict[str, list[float | None]]:
    """Return each field's mean per step; None where nothing is known. Shape (n_steps,) each."""

    async def column(name: str) -> list[float | None]:
        points = await bridge.run(
            store.history(
                measurement=measurement,
                field=name,
                tags=tags,
                since=span.since,
                until=span.until,
                step_s=span.step_s,
            )
        )
        values: list[float | None] = [None] * span.steps
        for point in points:
            index = int((point.at - span.since).total_seconds() // span.step_s)
            if 0 <= index < len(values):
                values[index] = figure(point.value)
        return values

    columns = await asyncio.gather(*(column(name) for name in fields))
    return dict(zip(fields, columns, strict=True))
