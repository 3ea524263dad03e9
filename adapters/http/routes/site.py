"""The site and its circuits."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from adapters.http import models as m
from adapters.http import views
from adapters.http.live import Live, read_live
from adapters.http.paging import MANY, Limit, Offset, page_of
from adapters.http.preconditions import IfMatch, etag_of, require_match
from adapters.http.problems import not_found, unprocessable
from adapters.http.services import Services, Uses, Who
from controller.phases import PHASES, Phase, PhaseCurrents
from controller.site import Circuit, CircuitId

router = APIRouter(prefix="/api/v1", tags=["site"])
Name = Annotated[str, Path(alias="id")]


@router.get("/site")
async def read_site(services: Uses) -> m.SiteOut:
    """Return mode, alarms, the last cycle and all circuits."""
    control = services.control
    return views.site(
        read_live(control),
        alarms=control.alarms(),
        stats=control.stats(),
        now_s=services.clock.monotonic_s(),
    )


@router.get("/circuits")
async def list_circuits(services: Uses, limit: Limit = MANY, offset: Offset = 0) -> m.Circuits:
    """Return circuits by id."""
    found = views.circuits(read_live(services.control))
    items, next_offset = page_of(found, limit=limit, offset=offset)
    return m.Circuits(items=items, next_offset=next_offset)


@router.get("/circuits/{id}")
async def read_circuit(circuit: Name, services: Uses, response: Response) -> m.CircuitOut:
    """Return one circuit; its ETag is of the operating limit."""
    live = read_live(services.control)
    response.headers["ETag"] = _etag(live, circuit)
    return views.circuit(live, live.circuit(circuit))


@router.patch("/circuits/{id}")
async def limit_circuit(
    circuit: Name,
    patch: m.CircuitPatch,
    services: Uses,
    who: Who,
    response: Response,
    if_match: IfMatch = None,
) -> m.CircuitOut:
    """Set or lift an operating limit at or below the rating; it counts from the next cycle."""
    async with services.patching:
        live = read_live(services.control)
        live.circuit(circuit)
        require_match(if_match, _etag(live, circuit))
        if "limit_a" in patch.model_fields_set:
            await _set_limit(services, live, CircuitId(circuit), patch, who.name)
    live = read_live(services.control)
    response.headers["ETag"] = _etag(live, circuit)
    return views.circuit(live, live.circuit(circuit))


def _etag(live: Live, circuit: str) -> str:
    limit_a = live.overrides.circuit_limit_a.get(CircuitId(circuit))
    return etag_of([circuit, None if limit_a is None else list(limit_a)])


async def _set_limit(
    services: Services, live: Live, circuit: CircuitId, patch: m.CircuitPatch, actor: str
) -> None:
    built = live.snapshot.site.circuits.get(circuit)
    if built is None:
        raise not_found("circuit", circuit)
    limit_a = _wanted(built, live.overrides.circuit_limit_a.get(circuit), patch)
    if limit_a is not None and not limit_a.fits(built.limit_a):
        raise _above_rating(built)
    try:
        await services.bridge.carry_out(services.control.set_circuit_limit(circuit, limit_a, actor))
    except KeyError:
        raise not_found("circuit", circuit) from None
    except ValueError as error:
        raise unprocessable(f"limit_a: {error}.", _mend(built), code="above-rating") from None


def _wanted(
    built: Circuit, now: PhaseCurrents | None, patch: m.CircuitPatch
) -> PhaseCurrents | None:
    match patch.limit_a:
        case None:
            return None
        case m.PhaseLimits() as asked:
            wanted = {phase: _wanted_on(phase, built, now, asked) for phase in PHASES}
            limit_a = PhaseCurrents.from_mapping(wanted)
            return None if limit_a == built.limit_a else limit_a
        case current_a:
            return PhaseCurrents.balanced(current_a)


def _wanted_on(
    phase: Phase, built: Circuit, now: PhaseCurrents | None, asked: m.PhaseLimits
) -> float:
    value: float | None = getattr(asked, phase.value)
    if value is not None:
        return value
    if phase.value in asked.model_fields_set or now is None:
        return built.limit_a.of(phase)
    return now.of(phase)


def _above_rating(built: Circuit) -> Exception:
    rating = ", ".join(f"{p.name} {built.limit_a.of(p):g} A" for p in PHASES)
    return unprocessable(
        f"limit_a: above the rating of circuit {built.id} ({rating}).",
        _mend(built),
        code="above-rating",
    )


def _mend(built: Circuit) -> str:
    return (
        f"Give at most {min(built.limit_a):g} A, or a value per phase; "
        "the rating itself is changed in the site file."
    )
