"""Sessions: transactions with their energy."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from math import ceil
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import StreamingResponse

from adapters.http import models as m
from adapters.http import views
from adapters.http.past import spans_of
from adapters.http.problems import Problem, ProblemError, not_found
from adapters.http.series_table import Span, read_series
from adapters.http.services import Services, Uses, Who
from adapters.http.session_models import ReasonSpan, SessionCurve, SessionDetail
from adapters.http.session_table import csv_lines, select
from controller.administration import TransactionQuery
from controller.site import StationId
from controller.transaction import Transaction, TransactionId

router = APIRouter(prefix="/api/v1", tags=["sessions"])
_CURVE_POINTS = 600
_MOST_REASONS = 1000
_LEAST_STEP_S = 5.0
"""Samples of chargers are kept every 5 s. [s]"""
_FIELDS = {
    "drawn_l1": "i_l1",
    "drawn_l2": "i_l2",
    "drawn_l3": "i_l3",
    "limit_a": "limit_a",
    "power_w": "p",
    "energy_wh": "e_session",
}
Name = Annotated[str | None, Query(max_length=100)]


class Progress(Enum):
    """Whether a session goes on."""

    RUNNING = "running"
    ENDED = "ended"


def _wanted(
    who: Who,
    since: Annotated[m.InstantIn | None, Query(alias="from")] = None,
    until: Annotated[m.InstantIn | None, Query(alias="to")] = None,
    station: Name = None,
    evse: Name = None,
    id_token: Name = None,
    state: Progress | None = None,
) -> TransactionQuery:
    if id_token is not None and not views.sees_tokens(who):
        raise ProblemError(
            Problem(
                status=403,
                code="role-too-low",
                title="Not allowed",
                detail="Viewers may not search by id token.",
                mend="Use an operator's account.",
            )
        )
    return TransactionQuery(
        since=since,
        until=until,
        station=station,
        evse=evse,
        id_token=id_token,
        is_running=None if state is None else state is Progress.RUNNING,
    )


Wanted = Annotated[TransactionQuery, Depends(_wanted)]


@router.get("/sessions")
async def list_sessions(
    services: Uses,
    who: Who,
    wanted: Wanted,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> m.Sessions:
    """Return sessions by start time, newest first; `from` is inclusive, `to` exclusive."""
    store, bridge = services.store, services.bridge
    page = await bridge.run(store.list_transactions(wanted, limit=limit, offset=offset))
    total = await bridge.run(store.count_transactions(wanted))
    whole = views.sees_tokens(who)
    return m.Sessions(
        items=[views.session(t, whole_tokens=whole) for t in page],
        next_offset=offset + limit if offset + limit < total else None,
        total=total,
    )


@router.get(
    "/sessions.csv",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def export_sessions(services: Uses, who: Who, wanted: Wanted) -> StreamingResponse:
    """Return all sessions of a time as CSV for billing."""
    found = select(services.store, services.bridge, wanted)
    return StreamingResponse(
        csv_lines(found, whole_tokens=views.sees_tokens(who)),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="sessions.csv"'},
    )


@router.get("/sessions/{id:path}")
async def read_session(
    session: Annotated[str, Path(alias="id")], services: Uses, who: Who
) -> SessionDetail:
    """Return one session with its curve and what limited it; its id is `station/transaction`."""
    station, _, transaction = session.partition("/")
    found = await services.bridge.run(
        services.store.find_transaction(StationId(station), TransactionId(transaction))
    )
    if found is None:
        raise not_found("session", session)
    whole = views.session(found, whole_tokens=views.sees_tokens(who))
    return SessionDetail(
        **whole.model_dump(),
        curve=await _curve(services, found),
        limited_by=await _limited_by(services, found),
    )


async def _curve(services: Services, session: Transaction) -> SessionCurve:
    station, _, number = session.evse.rpartition("/")
    until = session.ended_at or services.clock.now()
    length_s = max(1.0, (until - session.started_at).total_seconds())
    step_s = max(_LEAST_STEP_S, float(ceil(length_s / _CURVE_POINTS)))
    span = Span(
        since=session.started_at,
        until=session.started_at + timedelta(seconds=length_s),
        step_s=step_s,
    )
    table = await read_series(
        services.store,
        services.bridge,
        measurement="charger",
        fields=list(_FIELDS.values()),
        tags={"cp": station, "evse": number},
        span=span,
    )
    columns = {name: table.series[field] for name, field in _FIELDS.items()}
    return SessionCurve(step_s=step_s, at=table.at, **columns)


async def _limited_by(services: Services, session: Transaction) -> list[ReasonSpan]:
    until = session.ended_at or services.clock.now()
    changes = await services.bridge.run(
        services.store.reasons(
            session.evse, since=session.started_at, until=until, limit=_MOST_REASONS, offset=0
        )
    )
    return spans_of(changes, since=session.started_at, until=session.ended_at)
