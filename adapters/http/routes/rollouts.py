"""Firmware for several stations, one at a time."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field

from adapters.http.care_views import care_of
from adapters.http.live import read_live
from adapters.http.maintenance_models import MaintenanceRequest, Url
from adapters.http.models import Answer, Instant
from adapters.http.problems import Problem, ProblemError, not_found, unavailable, unprocessable
from adapters.http.services import Services, Uses, Who
from controller.rollout import Rollout
from controller.rollouts import RolloutDesk, RolloutError, RolloutOrder
from controller.site import StationId

router = APIRouter(prefix="/api/v1/rollouts", tags=["stations"])
Id = Annotated[str, Path(alias="id", max_length=32)]


class RolloutRequest(MaintenanceRequest):
    """A firmware for the stations named, or for those of a group of the site file."""

    location: Url
    version: Annotated[str, Field(min_length=1, max_length=50)]
    """As the stations report it once it is installed."""
    stations: Annotated[list[str], Field(max_length=5000)] = Field(default_factory=list)
    """In order; the first is the trial of all."""
    group: Annotated[str, Field(max_length=48)] | None = None
    signing_certificate: Annotated[str, Field(min_length=1, max_length=5500)] | None = None
    signature: Annotated[str, Field(min_length=1, max_length=800)] | None = None

    def update(self) -> dict[str, Any]:
        """Return what each update needs besides its location."""
        return self.model_dump(exclude_none=True, include={"signing_certificate", "signature"})


class RolloutStepOut(Answer):
    """One station of a roll-out."""

    station: str
    state: str
    ordered_at: Instant | None
    text: str


class RolloutOut(Answer):
    """A roll-out: `running`, `paused` by a failure, `done` or `cancelled`."""

    id: str
    state: str
    location: str
    version: str
    by: str
    created_at: Instant
    stations: list[RolloutStepOut]


class RolloutsOut(Answer):
    """All roll-outs, the latest first."""

    items: list[RolloutOut]


@router.post("", status_code=201)
async def start_rollout(request: RolloutRequest, services: Uses, who: Who) -> RolloutOut:
    """Begin: one station first, the next only when it is back with the new version and well."""
    desk = _desk(services)
    order = RolloutOrder(
        location=request.location,
        version=request.version,
        stations=_stations(services, desk, request),
        parameters=request.update(),
    )
    try:
        return _shown(await services.bridge.carry_out(desk.start(order, who.name)))
    except RolloutError as error:
        raise _conflict(str(error)) from None


@router.get("")
async def list_rollouts(services: Uses) -> RolloutsOut:
    """Return all roll-outs with the state of each station."""
    return RolloutsOut(items=[_shown(rollout) for rollout in _desk(services).all()])


@router.post("/{id}/cancel")
async def cancel_rollout(rollout: Id, services: Uses) -> RolloutOut:
    """End a roll-out; a station that updates already goes on."""
    try:
        return _shown(await services.bridge.carry_out(_desk(services).cancel(rollout)))
    except KeyError:
        raise not_found("roll-out", rollout) from None
    except RolloutError as error:
        raise _conflict(str(error)) from None


@router.post("/{id}/resume")
async def resume_rollout(rollout: Id, services: Uses) -> RolloutOut:
    """Let a paused roll-out go on; the station that failed is tried again."""
    try:
        return _shown(await services.bridge.carry_out(_desk(services).resume(rollout)))
    except KeyError:
        raise not_found("roll-out", rollout) from None
    except RolloutError as error:
        raise _conflict(str(error)) from None


def _stations(
    services: Services, desk: RolloutDesk, request: RolloutRequest
) -> tuple[StationId, ...]:
    known = read_live(services.control).snapshot.site.stations
    if (request.group is None) == (not request.stations):
        raise unprocessable("stations, group: one of them is needed.", "Give one, not both.")
    named = tuple(StationId(name) for name in request.stations)
    if request.group is not None:
        named = desk.members(request.group)
        if not named:
            raise unprocessable(
                f"group: no station names the group {request.group}.",
                "Write `group` at the stations in the site file.",
            )
    for name in named:
        if name not in known:
            raise not_found("station", name)
    return named


def _desk(services: Services) -> RolloutDesk:
    rollouts = care_of(services).rollouts
    if rollouts is None:
        raise unavailable(
            "Roll-outs are not offered here.",
            "Run the controller with `wattkeeper run`.",
            code="not-offered",
        )
    return rollouts


def _shown(rollout: Rollout) -> RolloutOut:
    return RolloutOut(
        id=rollout.id,
        state=rollout.state.value,
        location=rollout.location,
        version=rollout.version,
        by=rollout.by,
        created_at=rollout.created_at,
        stations=[
            RolloutStepOut(
                station=s.station, state=s.state.value, ordered_at=s.ordered_at, text=s.text
            )
            for s in rollout.steps
        ],
    )


def _conflict(detail: str) -> ProblemError:
    return ProblemError(
        Problem(
            status=409,
            code="rollout-conflict",
            title="Not changed",
            detail=f"{detail}.",
            mend="Look at `GET /api/v1/rollouts`.",
        )
    )
