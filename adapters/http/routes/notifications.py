"""Who is told of alarms, and whether that works."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import ConfigDict, Field

from adapters.http.auditing import audit
from adapters.http.models import Answer, Instant, Request, example
from adapters.http.paging import MANY, Limit, Offset, page_of
from adapters.http.problems import Problem, ProblemError, not_found
from adapters.http.services import Uses, Who
from controller.notices import TargetView

router = APIRouter(prefix="/api/v1/notifications", tags=["notifications"])


class TargetOut(Answer):
    """Somebody who is told of alarms."""

    model_config = example(
        name="ops",
        kind="webhook",
        address="https://ops.example/hooks/depot",
        least="warning",
        waiting=0,
        delivered_at="2026-03-02T08:00:00.000Z",
        fault=None,
    )

    name: str
    kind: str
    address: str
    least: str
    waiting: int = Field(description="Messages not yet delivered.")
    delivered_at: Instant | None
    fault: str | None


class Targets(Answer):
    """A page of targets."""

    items: list[TargetOut]
    next_offset: int | None


class TestIn(Request):
    """Whom to send a test message."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"target": "ops"}]})
    target: Annotated[str, Field(min_length=1, max_length=100)]


class TestOut(Answer):
    """The test message was delivered."""

    model_config = example(result="delivered")

    result: str


@router.get("")
async def list_notification_targets(
    services: Uses, limit: Limit = MANY, offset: Offset = 0
) -> Targets:
    """Return who is told of alarms. They are set in the site file, `notifications`."""
    found = services.notifications.targets() if services.notifications is not None else ()
    page, next_offset = page_of(found, limit=limit, offset=offset)
    return Targets(items=[_target(t) for t in page], next_offset=next_offset)


@router.post("/test")
async def send_test_notification(asked: TestIn, services: Uses, who: Who) -> TestOut:
    """Send a test message now."""
    if services.notifications is None:
        raise not_found("target", asked.target)
    try:
        fault = await services.bridge.carry_out(
            services.notifications.test(asked.target),
            timeout_s=services.settings.change_timeout_s,
        )
    except KeyError:
        raise not_found("target", asked.target) from None
    await audit(services, who.name, "notification.test", asked.target, after={"fault": fault})
    if fault:
        raise ProblemError(
            Problem(
                status=409,
                code="not-delivered",
                title="Not delivered",
                detail=f"{asked.target}: {fault}.",
                mend="Correct `notifications` in the settings and try again.",
            )
        )
    return TestOut(result="delivered")


def _target(view: TargetView) -> TargetOut:
    return TargetOut(
        name=view.name,
        kind=view.kind,
        address=view.address,
        least=view.least,
        waiting=view.waiting,
        delivered_at=view.delivered_at,
        fault=view.fault or None,
    )
