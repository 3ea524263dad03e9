"""Liveness, readiness and figures for monitoring."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from adapters.http import models as m
from adapters.http.metrics import exposition
from adapters.http.problems import unavailable
from adapters.http.services import Uses

router = APIRouter(tags=["health"])
_CYCLES = 3


@router.get("/healthz")
async def is_alive() -> m.Health:
    """Tell that the process answers."""
    return m.Health(status="alive")


@router.get("/readyz")
async def is_ready(services: Uses) -> m.Health:
    """Tell whether the controller decides: 200 only when the last cycle is younger than three intervals."""
    plan = services.control.plan()
    if plan is None:
        raise unavailable(
            "The controller has not finished its first cycle.",
            "Wait; if it lasts, look at the log.",
            code="not-ready",
        )
    age_s = max(0.0, services.clock.monotonic_s() - plan.now_s)
    interval_s = services.control.stats().get("interval_s", services.settings.interval_s)
    most_s = _CYCLES * interval_s
    if age_s >= most_s:
        raise unavailable(
            f"The last cycle is {age_s:.1f} s old; it must be younger than {most_s:g} s.",
            "Look at the log of the controller; chargers fall back by themselves.",
            code="not-ready",
        )
    return m.Health(status="ready", cycle_age_s=round(age_s, 3))


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def read_metrics(services: Uses) -> Response:
    """Return figures in Prometheus' text format."""
    return Response(exposition(services.control, services.clock), media_type=CONTENT_TYPE_LATEST)
