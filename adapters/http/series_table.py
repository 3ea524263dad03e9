"""Several series on one time axis, for charts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil

from adapters.http.bridge import Bridge
from adapters.http.views import figure
from controller.ports import Store
from controller.records import SeriesPoint


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesTable:
    """Means of several fields on one time axis; None where nothing is known. Shape (n_steps,) each."""

    at: list[datetime]
    """Begin of each step."""
    series: dict[str, list[float | None]]


async def read_series(
    store: Store,
    bridge: Bridge,
    *,
    measurement: str,
    fields: Sequence[str],
    tags: Mapping[str, str],
    span: Span,
) -> SeriesTable:
    """Return each field's mean per step.

    The store may let steps begin at a round time before `since`: the axis follows its points.
    """

    async def column(name: str) -> Sequence[SeriesPoint]:
        return await bridge.run(
            store.history(
                measurement=measurement,
                field=name,
                tags=tags,
                since=span.since,
                until=span.until,
                step_s=span.step_s,
            )
        )

    columns = await asyncio.gather(*(column(name) for name in fields))
    axis = _axis(span, [point for points in columns for point in points])
    return SeriesTable(
        at=axis.times(),
        series={name: _values(axis, points) for name, points in zip(fields, columns, strict=True)},
    )


def _axis(span: Span, points: Sequence[SeriesPoint]) -> Span:
    """Return the span from where its first step begins, less than a step before `since`."""
    if not points:
        return span
    step = timedelta(seconds=span.step_s)
    first = min(point.at for point in points)
    return replace(span, since=first - -((span.since - first) // step) * step)


def _values(axis: Span, points: Sequence[SeriesPoint]) -> list[float | None]:
    values: list[float | None] = [None] * axis.steps
    for point in points:
        index = (point.at - axis.since) // timedelta(seconds=axis.step_s)
        if 0 <= index < len(values):
            values[index] = figure(point.value)
    return values
