"""The stream of live events."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from adapters.http.event_stream import EventStream
from adapters.http.gate import Gate
from adapters.http.problems import ProblemError, unavailable
from adapters.http.services import Uses

router = APIRouter(prefix="/api/v1", tags=["events"])


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def stream_events(
    request: Request,
    services: Uses,
    deltas: Annotated[
        bool, Query(description="A whole `cycle` at first, then `delta` with what changed.")
    ] = False,
    last_event_id: Annotated[str | None, Header(max_length=64)] = None,
) -> EventStream:
    """Stream `cycle` or `delta`, `alarm` and `state`; `Last-Event-ID` resumes, `gap`: some are lost."""
    if services.sheds():
        raise unavailable(
            "This machine is short of memory or processor time; new live streams wait.",
            "Poll /api/v1/site, or see the alarm MEMORY_LOW or PROCESSOR_BUSY.",
            code="short-of-resources",
        )
    gate: Gate = request.app.state.gate
    headers = request.headers

    async def may_listen() -> bool:
        try:
            return await gate.identify(headers) is not None
        except ProblemError:
            # A store that is slow to answer is no reason to send people away.
            return True

    return EventStream(
        feed=services.feed,
        client=services.feed.subscribe(last_event_id, deltas=deltas),
        heartbeat_s=services.settings.heartbeat_s,
        may_listen=may_listen,
        abort=services.abort,
    )
