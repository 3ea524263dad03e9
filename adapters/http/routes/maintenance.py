"""Maintenance of charging stations: configuration, firmware, availability, reservations, messages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from adapters.http import maintenance_models as mm
from adapters.http import models as m
from adapters.http.actions import carry_out
from adapters.http.device_model import KIND, VariablesOut, device_model
from adapters.http.live import read_live
from adapters.http.paging import MANY, Limit, Offset, page_of
from adapters.http.problems import not_found
from adapters.http.services import Services, Uses, Who
from controller.commands import ActionRequest, StationAction
from controller.site import StationId

router = APIRouter(prefix="/api/v1/stations", tags=["stations"])
Name = Annotated[str, Path(alias="id")]
Reservation = Annotated[int, Path(ge=0, le=2**31 - 1)]


@router.post("/{id}/availability")
async def availability(
    station: Name, request: mm.AvailabilityRequest, services: Uses, who: Who
) -> m.ActionOut:
    """Put a station, an EVSE or a connector in or out of service; a running transaction ends first."""
    return await _act(services, station, request, StationAction.AVAILABILITY, who)


@router.post("/{id}/clear-cache")
async def clear_cache(station: Name, services: Uses, who: Who) -> m.ActionOut:
    """Let a station forget the answers to id tokens that it keeps."""
    return await _act(services, station, mm.EvseRequest(), StationAction.CLEAR_CACHE, who)


@router.post("/{id}/reservations")
async def reserve(
    station: Name, request: mm.ReservationRequest, services: Uses, who: Who
) -> m.ActionOut:
    """Keep an EVSE free for an id token until a time."""
    return await _act(services, station, request, StationAction.RESERVE, who)


@router.delete("/{id}/reservations/{reservation_id}")
async def cancel_reservation(
    station: Name, reservation_id: Reservation, services: Uses, who: Who
) -> m.ActionOut:
    """Cancel a reservation."""
    return await _send(
        services,
        station,
        None,
        StationAction.CANCEL_RESERVATION,
        {"reservation_id": reservation_id},
        who,
    )


@router.get("/{id}/configuration")
async def read_configuration(
    station: Name,
    services: Uses,
    who: Who,
    name: Annotated[list[str] | None, Query(max_length=200)] = None,
) -> m.ActionOut:
    """Read a station's configuration from the station itself, beside what is wanted of it.

    Without names a 1.6 station gives everything, a 2.0.1 station what is wanted of it.
    """
    parameters = {"names": name or []}
    return await _send(services, station, None, StationAction.READ_CONFIGURATION, parameters, who)


@router.post("/{id}/configuration")
async def write_configuration(
    station: Name, request: mm.ConfigurationRequest, services: Uses, who: Who
) -> m.ActionOut:
    """Write a station's configuration; the answer says for each name what became of it."""
    return await _act(services, station, request, StationAction.WRITE_CONFIGURATION, who)


@router.get("/{id}/variables")
async def read_variables(
    station: Name,
    services: Uses,
    prefix: Annotated[str, Query(max_length=200)] = "",
    limit: Limit = MANY,
    offset: Offset = 0,
) -> VariablesOut:
    """Return the variables that a 2.0.1 station last reported; it is not asked again."""
    name = _known(services, station)
    kept = await services.bridge.run(services.store.document(KIND, name))
    model = device_model(kept.body if kept is not None else None)
    found = [v for v in model.variables if v.name.lower().startswith(prefix.lower())]
    items, next_offset = page_of(found, limit=limit, offset=offset)
    at = None if model.at is None else datetime.fromisoformat(model.at)
    return VariablesOut(at=at, items=items, next_offset=next_offset)


@router.post("/{id}/report")
async def report(
    station: Name, services: Uses, who: Who, request: mm.ReportRequest | None = None
) -> m.ActionOut:
    """Ask a station to describe itself; see `variables` when the report has come."""
    asked = request if request is not None else mm.ReportRequest()
    return await _act(services, station, asked, StationAction.READ_REPORT, who)


@router.post("/{id}/firmware")
async def firmware(
    station: Name, request: mm.FirmwareRequest, services: Uses, who: Who
) -> m.ActionOut:
    """Update a station's firmware; refused while one of its transactions runs."""
    return await _act(services, station, request, StationAction.UPDATE_FIRMWARE, who)


@router.post("/{id}/data-transfer")
async def transfer_data(
    station: Name, request: mm.DataTransferRequest, services: Uses, who: Who
) -> m.ActionOut:
    """Send a vendor's own message."""
    return await _act(services, station, request, StationAction.TRANSFER_DATA, who)


@router.post("/{id}/drill")
async def drill(
    station: Name, services: Uses, who: Who, request: mm.EvseRequest | None = None
) -> m.ActionOut:
    """Let a lease run out at the station and watch it fall back; the result is kept per model."""
    asked = request if request is not None else mm.EvseRequest()
    return await _act(services, station, asked, StationAction.DRILL, who)


@router.post("/{id}/call")
async def call(station: Name, request: mm.CallRequest, services: Uses, who: Who) -> m.ActionOut:
    """Send any OCPP message, for administrators. Nothing that could raise a limit is sent."""
    return await _act(services, station, request, StationAction.CALL, who)


async def _act(
    services: Services,
    station: str,
    request: mm.MaintenanceRequest,
    action: StationAction,
    who: Who,
) -> m.ActionOut:
    number = getattr(request, "evse", None)
    return await _send(services, station, number, action, request.parameters(), who)


async def _send(
    services: Services,
    station: str,
    number: int | None,
    action: StationAction,
    parameters: Mapping[str, Any],
    who: Who,
) -> m.ActionOut:
    name = _known(services, station)
    live = read_live(services.control)
    evse = live.evse(name, number).id if number is not None else None
    return await carry_out(
        services,
        ActionRequest(station=name, evse=evse, action=action, parameters=parameters),
        who,
    )


def _known(services: Services, station: str) -> StationId:
    live, name = read_live(services.control), StationId(station)
    if name not in {*live.snapshot.site.stations, *live.snapshot.stations}:
        raise not_found("station", name)
    return name
