"""EVSEs: their state, their explanation, and what operators ask of them."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Response

from adapters.http import models as m
from adapters.http import views
from adapters.http.actions import carry_out
from adapters.http.live import Live, read_live
from adapters.http.paging import MANY, Limit, Offset, page_of
from adapters.http.past import spans_of, why_at
from adapters.http.preconditions import IfMatch, etag_of, require_match
from adapters.http.problems import Problem, ProblemError, not_found, unprocessable
from adapters.http.services import Services, Uses, Who
from adapters.http.session_models import ReasonSpans
from controller.commands import ActionRequest, StationAction
from controller.operator import EvseOverride
from controller.site import EvseId, StationId, evse_id

router = APIRouter(prefix="/api/v1/evses", tags=["evses"])
_PAST_REACHES = timedelta(minutes=15)
"""Cycles are recorded when they send commands, leases are renewed more often than this."""
Number = Annotated[int, Path(ge=0, le=1000)]


class EvseAction(Enum):
    """What an operator may ask of an EVSE besides wishes."""

    PAUSE = "pause"
    RESUME = "resume"
    START = "start"
    STOP = "stop"
    UNLOCK = "unlock"


@router.get("")
async def list_evses(
    services: Uses,
    who: Who,
    circuit: Annotated[str | None, Query(max_length=100)] = None,
    state: Annotated[str | None, Query(max_length=40)] = None,
    limit: Limit = MANY,
    offset: Offset = 0,
) -> m.Evses:
    """Return EVSEs, or those of a circuit or in a state."""
    items = await _shown(services, read_live(services.control), who)
    wanted = [
        e
        for e in items
        if (circuit is None or e.circuit == circuit) and (state is None or e.state == state)
    ]
    page, next_offset = page_of(wanted, limit=limit, offset=offset)
    return m.Evses(items=page, next_offset=next_offset)


async def _shown(services: Services, live: Live, who: Who) -> list[m.EvseOut]:
    whole = views.sees_tokens(who)
    labels = await services.labels.known() if whole else {}
    return views.evses(live, whole_tokens=whole, labels=labels)


@router.get("/{station}/{evse}")
async def read_evse(
    station: str, evse: Number, services: Uses, who: Who, response: Response
) -> m.EvseOut:
    """Return one EVSE; its ETag is of an operator's wishes."""
    live = read_live(services.control)
    status = live.evse(station, evse)
    response.headers["ETag"] = _etag(live.override(status.id))
    whole = views.sees_tokens(who)
    labels = await services.labels.known() if whole else {}
    return views.evse(live, status, whole_tokens=whole, labels=labels)


@router.patch("/{station}/{evse}")
async def change_evse(
    station: str,
    evse: Number,
    patch: m.EvsePatch,
    services: Uses,
    who: Who,
    response: Response,
    if_match: IfMatch = None,
) -> m.EvseOut:
    """Change wishes: absent stays as it is, null is lifted. They count from the next cycle."""
    changes = {name: getattr(patch, name) for name in patch.model_fields_set}
    shown = await _override(services, station, evse, changes, who, if_match)
    live = read_live(services.control)
    response.headers["ETag"] = _etag(live.override(evse_id(StationId(station), evse)))
    return shown


def _etag(override: EvseOverride) -> str:
    return etag_of(asdict(override))


@router.get("/{station}/{evse}/why")
async def explain_evse(
    station: str, evse: Number, services: Uses, at: m.InstantIn | None = None
) -> m.WhyOut:
    """Explain an EVSE's setpoint: the reason, what would change it, every circuit up to the grid.

    `at` asks for a moment of the past; the answer is of the last recorded cycle before it.
    """
    live = read_live(services.control)
    if at is not None and at < live.plan.at:
        return await _explain_past(services, evse_id(StationId(station), evse), at)
    status = live.evse(station, evse)
    found = await asyncio.to_thread(services.control.explain, status.id)
    return views.why(live, status, services.control.alarms(), found)


@router.get("/{station}/{evse}/why/changes")
async def list_evse_reasons(
    station: str,
    evse: Number,
    services: Uses,
    since: Annotated[m.InstantIn | None, Query(alias="from")] = None,
    until: Annotated[m.InstantIn | None, Query(alias="to")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> ReasonSpans:
    """Return what limited an EVSE when, oldest first; without times, the last day."""
    read_live(services.control).evse(station, evse)
    end = until if until is not None else services.clock.now()
    begin = since if since is not None else end - timedelta(days=1)
    found = await services.bridge.run(
        services.store.reasons(
            evse_id(StationId(station), evse),
            since=begin,
            until=end,
            limit=limit + 1,
            offset=offset,
        )
    )
    spans = spans_of(found, since=begin, until=None)
    return ReasonSpans(
        items=spans[:limit], next_offset=offset + limit if len(found) > limit else None
    )


@router.post("/{station}/{evse}/pause")
async def pause_evse(station: str, evse: Number, services: Uses, who: Who) -> m.EvseOut:
    """Hold an EVSE at no current until it is resumed."""
    return await _override(services, station, evse, {"paused": True}, who)


@router.post("/{station}/{evse}/resume")
async def resume_evse(station: str, evse: Number, services: Uses, who: Who) -> m.EvseOut:
    """End a pause."""
    return await _override(services, station, evse, {"paused": False}, who)


@router.post("/{station}/{evse}/start")
async def start_evse(
    station: str,
    evse: Number,
    services: Uses,
    who: Who,
    request: Annotated[m.StartRequest, Body(examples=[{"id_token": "04A1B2C3"}])],
) -> m.ActionOut:
    """Ask the station to start a transaction for an id token."""
    read_live(services.control).evse(station, evse)
    return await carry_out(
        services, _request(station, evse, StationAction.START, request.id_token), who
    )


@router.post("/{station}/{evse}/stop")
async def stop_evse(station: str, evse: Number, services: Uses, who: Who) -> m.ActionOut:
    """Ask the station to end the running transaction."""
    status = read_live(services.control).evse(station, evse)
    if status.transaction is None:
        raise ProblemError(
            Problem(
                status=409,
                code="no-session",
                title="No session",
                detail=f"No transaction runs at EVSE {status.id}.",
                mend="Look at its state; there is nothing to stop.",
            )
        )
    return await carry_out(
        services, _request(station, evse, StationAction.STOP, status.transaction), who
    )


@router.post("/{station}/{evse}/unlock")
async def unlock_evse(station: str, evse: Number, services: Uses, who: Who) -> m.ActionOut:
    """Ask the station to unlock the connector."""
    read_live(services.control).evse(station, evse)
    return await carry_out(services, _request(station, evse, StationAction.UNLOCK, ""), who)


def _request(station: str, evse: int, action: StationAction, argument: str) -> ActionRequest:
    return ActionRequest(
        station=StationId(station),
        evse=evse_id(StationId(station), evse),
        action=action,
        argument=argument,
    )


async def _override(
    services: Services,
    station: str,
    number: int,
    changes: dict[str, Any],
    who: Who,
    if_match: str | None = None,
) -> m.EvseOut:
    async with services.patching:
        live = read_live(services.control)
        evse = live.evse(station, number).id
        built = live.built(evse)
        max_a = changes.get("max_a")
        if built is not None and max_a is not None and max_a > built.max_a:
            raise _above_rating(evse, f"above the rating of {built.max_a:g} A", built.max_a)
        before = live.override(evse)
        require_match(if_match, _etag(before))
        after = replace(before, **changes)
        if after != before:
            await _set(services, evse, after, who.name)
    return views.evse(
        live := read_live(services.control),
        live.evse(station, number),
        whole_tokens=views.sees_tokens(who),
    )


async def _set(services: Services, evse: EvseId, override: EvseOverride, actor: str) -> None:
    try:
        await services.bridge.carry_out(services.control.set_evse_override(evse, override, actor))
    except KeyError:
        raise not_found("EVSE", evse) from None
    except ValueError as error:
        raise _above_rating(evse, str(error), None) from None


def _above_rating(evse: EvseId, detail: str, rating_a: float | None) -> ProblemError:
    most = "its rating" if rating_a is None else f"{rating_a:g} A"
    return unprocessable(
        f"max_a of EVSE {evse}: {detail}.",
        f"Give at most {most}, or null to lift the limit.",
        code="above-rating",
    )


async def _explain_past(services: Services, evse: EvseId, at: datetime) -> m.WhyOut:
    past = await services.bridge.run(services.store.plan_at(at))
    if past is None or at - past.at > _PAST_REACHES:
        raise _not_kept(at)
    found = why_at(past, evse)
    if found is None:
        raise not_found("EVSE", evse)
    return found


def _not_kept(at: datetime) -> ProblemError:
    return ProblemError(
        Problem(
            status=404,
            code="history-not-kept",
            title="Not kept",
            detail=f"No cycle of {m.rfc3339(at)} or shortly before is kept.",
            mend="Ask for a later moment; /why/changes tells what limited it further back.",
        )
    )
