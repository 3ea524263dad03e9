"""Logs and diagnostics: asked of stations, received by our own server, kept for operators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import FileResponse

from adapters.http import care_models as c
from adapters.http import care_views as views
from adapters.http.live import read_live
from adapters.http.problems import not_found, unavailable
from adapters.http.services import Services, Uses, Who
from controller.care import LogRequest, StationLogs
from controller.site import StationId

router = APIRouter(prefix="/api/v1", tags=["stations"])
Id = Annotated[str, Path(alias="id", pattern=r"^[0-9a-f]{16}$")]


@router.post("/stations/{id}/diagnostics", status_code=202)
async def request_log(
    station: Annotated[str, Path(alias="id", max_length=48)],
    services: Uses,
    who: Who,
    asked: c.LogIn | None = None,
) -> c.UploadOut:
    """Ask a station for its diagnostics or its security log; the answer says where it will be."""
    if StationId(station) not in read_live(services.control).snapshot.site.stations:
        raise not_found("station", station)
    wanted = asked if asked is not None else c.LogIn()
    request = LogRequest(kind=wanted.kind, since=wanted.since, until=wanted.until)
    upload, answer = await services.bridge.carry_out(
        _logs(services).request(StationId(station), request, who.name),
        timeout_s=services.settings.action_timeout_s,
    )
    if upload is None:
        views.require_applied(StationId(station), answer.result)
        raise not_found("upload", station)
    return views.upload(upload)


@router.get("/uploads")
async def list_uploads(
    services: Uses,
    station: Annotated[str | None, Query(max_length=48)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> c.UploadsOut:
    """Return files that stations were asked for, newest first."""
    wanted = StationId(station) if station is not None else None
    found = await services.bridge.run(_logs(services).uploads(wanted))
    end = offset + limit
    return c.UploadsOut(
        items=[views.upload(u) for u in found[offset:end]],
        next_offset=end if end < len(found) else None,
    )


@router.get(
    "/uploads/{id}/file",
    response_class=FileResponse,
    responses={
        200: {"content": {"application/octet-stream": {"schema": {"type": "string"}}}},
    },
)
async def download_upload(upload: Id, services: Uses) -> FileResponse:
    """Return a stored file, never to be shown in the browser: a station wrote it."""
    try:
        found, path = await services.bridge.run(_logs(services).content(upload))
    except KeyError:
        raise not_found("file", upload) from None
    return FileResponse(
        path,
        media_type="application/octet-stream",
        filename=f"{found.station}-{found.name}",
        headers={"X-Content-Type-Options": "nosniff"},
    )


def _logs(services: Services) -> StationLogs:
    logs = views.care_of(services).logs
    if logs is None:
        raise unavailable(
            "This site receives no files of stations.",
            "Set uploads.listen in the site file to an address that stations can reach.",
            code="no-uploads",
        )
    return logs
