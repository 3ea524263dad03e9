"""Carries out an operator's action and tells what became of it."""

from __future__ import annotations

from typing import assert_never

from adapters.http import models as m
from adapters.http.problems import Problem, ProblemError, not_found
from adapters.http.roles import Principal
from adapters.http.services import Services
from controller.commands import ActionRequest, Applied, NotConnected, Rejected, TimedOut


async def carry_out(services: Services, request: ActionRequest, who: Principal) -> m.ActionOut:
    """Carry out an action.

    Raises:
        ProblemError: 404 unknown, 409 refused or not connected, 504 no answer in time.
    """
    try:
        result = await services.bridge.carry_out(
            services.control.act(request, who.name),
            timeout_s=services.settings.action_timeout_s,
        )
    except KeyError:
        raise not_found("station", request.station) from None
    subject = request.evse or request.station
    match result:
        case Applied(answer=answer):
            return m.ActionOut(
                action=request.action.value, subject=subject, result="applied", answer=dict(answer)
            )
        case Rejected(reason=reason):
            raise _failed(
                409,
                "refused-by-station",
                f"{subject} refused: {reason}.",
                "Look at the state of the charger and at its log of frames.",
            )
        case NotConnected():
            raise _failed(
                409,
                "station-not-connected",
                f"{request.station} is not connected; nothing was sent.",
                "Check its power and network, then try again.",
            )
        case TimedOut():
            raise _failed(
                504,
                "no-answer",
                f"{subject} did not answer in time; the action may still take effect.",
                "Look at the state of the charger before trying again.",
            )
        case _:
            assert_never(result)


def _failed(status: int, code: str, detail: str, mend: str) -> ProblemError:
    return ProblemError(
        Problem(status=status, code=code, title="Action failed", detail=detail, mend=mend)
    )
