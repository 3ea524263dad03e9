"""What was: series for charts, alarms, and the audit log."""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from adapters.http import models as m
from adapters.http import views
from adapters.http.problems import unprocessable
from adapters.http.series_table import Span, read_series
from adapters.http.services import Services, Uses
from controller.decision import Alarm

router = APIRouter(prefix="/api/v1", tags=["history"])
_MOST_POINTS = 10_000
_MOST_TABLE_POINTS = 50_000
Name = Annotated[str, Query(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.-]+$")]


@router.get("/history")
async def read_history(
    services: Uses,
    measurement: Name,
    field: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.-]+$")]],
        Query(min_length=1, max_length=24, description="Repeat for a table of several."),
    ],
    tag: Annotated[
        list[Annotated[str, Query(max_length=200)]] | None,
        Query(description="`name:value`; repeat for more.", max_length=20),
    ] = None,
    since: Annotated[m.InstantIn | None, Query(alias="from")] = None,
    until: Annotated[m.InstantIn | None, Query(alias="to")] = None,
    step_s: Annotated[float, Query(alias="step", ge=1, le=86400, allow_inf_nan=False)] = 60.0,
    statistic: Annotated[
        Literal["mean", "max"], Query(description="`max` is what conductors are judged by.")
    ] = "mean",
) -> m.History | m.HistoryTable:
    """Return the mean or maximum of a field per step of `step` seconds; without times, the last hour.

    One field gives its points; several give a table of means on one time axis. Over more than two hours
    steps begin at whole minutes, quarters or hours, the longest that divides the step.
    """
    end = until if until is not None else services.clock.now()
    begin = since if since is not None else end - timedelta(hours=1)
    span_s = (end - begin).total_seconds()
    if span_s <= 0:
        raise unprocessable("`to` is not after `from`.", "Exchange them.", code="empty-span")
    points_asked = span_s / step_s * len(field)
    most = _MOST_POINTS if len(field) == 1 else _MOST_TABLE_POINTS
    if points_asked > most:
        raise unprocessable(
            f"This asks for {points_asked:.0f} points; at most {most} are given.",
            f"Use a step of at least {ceil(span_s * len(field) / most)} s.",
            code="too-many-points",
        )
    tags = _tags(tag or [])
    if len(field) > 1:
        return await _table(
            services, measurement, field, tags, Span(since=begin, until=end, step_s=step_s)
        )
    points = await services.bridge.run(
        services.store.history(
            measurement=measurement,
            field=field[0],
            tags=tags,
            since=begin,
            until=end,
            step_s=step_s,
            statistic=statistic,
        )
    )
    return m.History(
        measurement=measurement,
        field=field[0],
        tags=tags,
        step_s=step_s,
        points=[m.Point(at=p.at, value=views.figure(p.value)) for p in points],
    )


async def _table(
    services: Services, measurement: str, fields: list[str], tags: dict[str, str], span: Span
) -> m.HistoryTable:
    table = await read_series(
        services.store,
        services.bridge,
        measurement=measurement,
        fields=list(dict.fromkeys(fields)),
        tags=tags,
        span=span,
    )
    return m.HistoryTable(
        measurement=measurement,
        fields=list(table.series),
        tags=tags,
        step_s=span.step_s,
        at=table.at,
        series=table.series,
    )


def _tags(given: list[str]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for text in given:
        name, colon, value = text.partition(":")
        if not name or not colon:
            raise unprocessable(f"tag: {text!r} is not `name:value`.", "Write tag=circuit:main.")
        tags[name] = value
    return tags


@router.get("/alarms")
async def list_alarms(
    services: Uses,
    in_force: Annotated[bool, Query(description="Only those that have not ended.")] = False,
    since: Annotated[m.InstantIn | None, Query(alias="from")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> m.Alarms:
    """Return alarms, newest first: those in force, and those that began since `from`."""
    end = offset + limit
    found = {_key(a): a for a in services.control.alarms()}
    if not in_force:
        stored = await services.bridge.run(services.store.alarms(since=since, limit=end + 1))
        # The store may lag behind the controller by an instant: what is in force wins.
        found = {_key(a): a for a in stored} | found
    newest = sorted(found.values(), key=lambda a: a.begin, reverse=True)
    return m.Alarms(
        items=[views.alarm(a) for a in newest[offset:end]],
        next_offset=end if end < len(newest) else None,
    )


def _key(entry: Alarm) -> tuple[str, str, str]:
    return entry.condition.code, entry.condition.subject, m.rfc3339(entry.begin)


@router.get("/audit")
async def list_audit(
    services: Uses,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> m.Audit:
    """Return who changed what, newest first."""
    entries = await services.bridge.run(services.store.audit_log(limit=limit + 1, offset=offset))
    return m.Audit(
        items=[views.audit(e) for e in entries[:limit]],
        next_offset=offset + limit if len(entries) > limit else None,
    )
