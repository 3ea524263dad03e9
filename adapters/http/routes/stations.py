"""Charging stations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from adapters.http import models as m
from adapters.http import views
from adapters.http.actions import carry_out
from adapters.http.care_models import AllStations
from adapters.http.care_views import approved_stations, pending_stations
from adapters.http.live import Live, read_live
from adapters.http.paging import MANY, Limit, Offset, page_of
from adapters.http.problems import not_found
from adapters.http.services import Services, Uses, Who
from controller.commands import ActionRequest, StationAction
from controller.records import StationRecord
from controller.site import StationId

router = APIRouter(prefix="/api/v1/stations", tags=["stations"])
Name = Annotated[str, Path(alias="id")]

_RESET = {
    m.ResetKind.SOFT: StationAction.SOFT_RESET,
    m.ResetKind.HARD: StationAction.HARD_RESET,
}
_TRIGGER = {
    m.TriggerKind.STATUS: StationAction.TRIGGER_STATUS,
    m.TriggerKind.METER_VALUES: StationAction.TRIGGER_METER_VALUES,
}


@router.get("")
async def list_stations(
    services: Uses,
    pending: Annotated[
        str | None, Query(max_length=10, description="Only those that are not in the site file.")
    ] = None,
    limit: Limit = MANY,
    offset: Offset = 0,
) -> AllStations:
    """Return all stations of the site file, and others that knock or were heard of."""
    live = read_live(services.control)
    records = await _records(services)
    waiting = pending_stations(services)
    configured = set(live.snapshot.site.stations)
    names = {*live.snapshot.stations, *records, *(StationId(w.id) for w in waiting)} | configured
    if pending not in (None, "false", "0"):
        names -= configured
    page, next_offset = page_of(sorted(names), limit=limit, offset=offset)
    return AllStations(
        items=[views.station(live, n, records.get(n)) for n in page],
        next_offset=next_offset,
        pending=waiting,
        approved=await approved_stations(services),
    )


@router.get("/{id}")
async def read_station(station: Name, services: Uses, who: Who) -> m.StationDetail:
    """Return one station with its latest frames."""
    live = read_live(services.control)
    name = StationId(station)
    records = await _records(services)
    _require_known(live, name, records)
    whole = views.sees_tokens(who)
    frames = [views.frame(f, whole=whole) for f in services.control.frames(name)]
    return m.StationDetail(
        **views.station(live, name, records.get(name)).model_dump(), frames=frames
    )


@router.post("/{id}/reset")
async def reset(
    station: Name, services: Uses, who: Who, request: m.ResetRequest | None = None
) -> m.ActionOut:
    """Restart a station; a soft reset lets transactions end first."""
    kind = request.kind if request is not None else m.ResetKind.SOFT
    return await _act(services, StationId(station), None, _RESET[kind], who)


@router.post("/{id}/trigger")
async def trigger(
    station: Name, services: Uses, who: Who, request: m.TriggerRequest | None = None
) -> m.ActionOut:
    """Ask a station to report its status or meter values at once."""
    asked = request if request is not None else m.TriggerRequest()
    if asked.message is None:
        return await _act(services, StationId(station), asked.evse, _TRIGGER[asked.what], who)
    parameters = {"message": asked.message}
    return await _act(
        services, StationId(station), asked.evse, StationAction.TRIGGER, who, parameters
    )


async def _act(
    services: Services,
    station: StationId,
    number: int | None,
    action: StationAction,
    who: Who,
    parameters: Mapping[str, Any] | None = None,
) -> m.ActionOut:
    live = read_live(services.control)
    _require_known(live, station, {})
    evse = live.evse(station, number).id if number is not None else None
    request = ActionRequest(station=station, evse=evse, action=action, parameters=parameters or {})
    return await carry_out(services, request, who)


async def _records(services: Services) -> dict[StationId, StationRecord]:
    records = await services.bridge.run(services.store.stations())
    return {r.id: r for r in records}


def _require_known(live: Live, name: StationId, records: dict[StationId, StationRecord]) -> None:
    if name not in {*live.snapshot.site.stations, *live.snapshot.stations, *records}:
        raise not_found("station", name)
