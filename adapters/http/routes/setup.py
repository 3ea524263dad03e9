"""The first account of a new controller."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from adapters.http import models as m
from adapters.http.account_models import SetupIn, SetupOut
from adapters.http.auditing import audit
from adapters.http.first_run import is_at_the_controller
from adapters.http.problems import Problem, ProblemError
from adapters.http.routes.session import begin_session, locked_out
from adapters.http.services import Services, Uses
from adapters.http.throttle import client_key
from controller.records import Role, User

router = APIRouter(prefix="/api/v1/setup", tags=["setup"])
_GUARDED = "/setup"
"""Counts wrong codes apart from every account; no account has a slash in its name."""


@router.get("")
async def read_setup(request: Request, services: Uses) -> SetupOut:
    """Tell whether the first account is still to be made."""
    needed = not await services.accounts.has_any()
    return SetupOut(needed=needed, code_required=needed and not is_at_the_controller(request))


@router.post("", status_code=201)
async def set_up(
    request: Request, response: Response, services: Uses, asked: SetupIn
) -> m.SignedIn:
    """Make the first account, an administrator, and sign it in."""
    if await services.accounts.has_any():
        raise _done()
    if not is_at_the_controller(request):
        _check_code(request, services, asked.code)
    user = User(name=asked.name, role=Role.ADMIN)
    work = services.store.add_first_user(user, asked.password, services.clock.now())
    if not await services.bridge.carry_out(work):
        raise _done()
    services.accounts.forget()
    await audit(services, user.name, "setup", user.name, after={"role": user.role.value})
    begin_session(request, response, services, user)
    return m.SignedIn(name=user.name, role=user.role.value)


def _check_code(request: Request, services: Services, code: str | None) -> None:
    client = client_key(request.client.host if request.client else "")
    wait_s = services.guard.wait_s(_GUARDED, client)
    if wait_s > 0:
        raise locked_out(wait_s)
    services.guard.attempted(_GUARDED, client)
    if not services.first_run.accepts(code):
        raise ProblemError(
            Problem(
                status=403,
                code="wrong-setup-code",
                title="Set-up code needed",
                detail="From another machine the first account needs the code of this run.",
                mend="Read the code where the controller was started (terminal or its log), or use "
                "a browser on the controller itself.",
            )
        )
    services.guard.succeeded(_GUARDED, client)


def _done() -> ProblemError:
    return ProblemError(
        Problem(
            status=409,
            code="already-set-up",
            title="Already set up",
            detail="This controller has accounts.",
            mend="Sign in; an administrator adds more accounts.",
        )
    )
