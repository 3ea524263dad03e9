"""Sessions: transactions with their energy."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import StreamingResponse

from adapters.http import models as m
from adapters.http import views
from adapters.http.problems import Problem, ProblemError, not_found
from adapters.http.services import Uses, Who
from adapters.http.session_table import Progress, SessionFilter, csv_lines, page_of, select
from controller.site import StationId
from controller.transaction import TransactionId

router = APIRouter(prefix="/api/v1", tags=["sessions"])
Name = Annotated[str | None, Query(max_length=100)]


def _wanted(
    who: Who,
    since: Annotated[m.InstantIn | None, Query(alias="from")] = None,
    until: Annotated[m.InstantIn | None, Query(alias="to")] = None,
    station: Name = None,
    evse: Name = None,
    id_token: Name = None,
    state: Progress | None = None,
) -> SessionFilter:
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
    return SessionFilter(
        since=since, until=until, station=station, evse=evse, id_token=id_token, progress=state
    )


Wanted = Annotated[SessionFilter, Depends(_wanted)]


@router.get("/sessions")
async def list_sessions(
    services: Uses,
    who: Who,
    wanted: Wanted,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> m.Sessions:
    """Return sessions by start time, newest first; `from` is inclusive, `to` exclusive."""
    found = select(services.store, services.bridge, wanted)
    page, next_offset = await page_of(found, limit=limit, offset=offset)
    whole = views.sees_tokens(who)
    return m.Sessions(
        items=[views.session(t, whole_tokens=whole) for t in page], next_offset=next_offset
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
) -> m.SessionOut:
    """Return one session; its id is `station/transaction`."""
    station, _, transaction = session.partition("/")
    found = await services.bridge.run(
        services.store.find_transaction(StationId(station), TransactionId(transaction))
    )
    if found is None:
        raise not_found("session", session)
    return views.session(found, whole_tokens=views.sees_tokens(who))
