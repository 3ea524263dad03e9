"""Signing in and out with a browser."""

from __future__ import annotations

from math import ceil
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from adapters.http import models as m
from adapters.http.account_models import PasswordChange
from adapters.http.auditing import audit
from adapters.http.browser_sessions import COOKIE
from adapters.http.gate import session_key
from adapters.http.problems import Problem, ProblemError
from adapters.http.services import Services, Uses, Who
from adapters.http.throttle import client_key
from controller.records import User

router = APIRouter(prefix="/api/v1/session", tags=["session"])


@router.get("")
async def who_am_i(who: Who) -> m.SignedIn:
    """Return who is signed in."""
    return m.SignedIn(name=who.name, role=who.role.value)


@router.post("")
async def sign_in(
    request: Request,
    response: Response,
    services: Uses,
    asked: Annotated[m.SignIn, Body(examples=[{"name": "ada", "password": "..."}])],
) -> m.SignedIn:
    """Sign in; the answer sets a cookie that scripts cannot read."""
    client = client_key(request.client.host if request.client else "")
    user = await _checked(services, asked, client)
    await audit(services, user.name, "session.begin", client)
    await services.bridge.carry_out(services.store.note_sign_in(user.name, services.clock.now()))
    begin_session(request, response, services, user)
    return m.SignedIn(name=user.name, role=user.role.value)


def begin_session(request: Request, response: Response, services: Services, user: User) -> None:
    """Sign a browser in."""
    response.set_cookie(
        COOKIE,
        services.sessions.begin(user.name),
        max_age=int(services.sessions.absolute_s),
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )


@router.post("/password", status_code=204)
async def change_password(
    request: Request, services: Uses, who: Who, asked: PasswordChange
) -> None:
    """Change one's own password; every other browser of this account is signed out."""
    client = client_key(request.client.host if request.client else "")
    await _checked(services, m.SignIn(name=who.name, password=asked.old), client)
    await services.bridge.carry_out(services.store.set_password(who.name, asked.new))
    ended = services.sessions.end_all(who.name, but=session_key(request.headers))
    await audit(services, who.name, "user.password", who.name, after={"sessions_ended": ended})


@router.delete("", status_code=204)
async def sign_out(request: Request, response: Response, services: Uses) -> None:
    """Sign out."""
    key = session_key(request.headers)
    if key is not None:
        services.sessions.end(key)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


async def _checked(services: Services, asked: m.SignIn, client: str) -> User:
    wait_s = services.guard.wait_s(asked.name, client)
    if wait_s > 0:
        raise locked_out(wait_s)
    locked = services.guard.attempted(asked.name, client)
    user = await services.accounts.user_by_password(asked.name, asked.password)
    if user is not None:
        services.guard.succeeded(asked.name, client)
        return user
    await _note_refusal(services, asked.name, client, locked=locked)
    if not await services.accounts.has_any():
        raise _no_accounts()
    raise _wrong()


async def _note_refusal(services: Services, name: str, client: str, *, locked: bool) -> None:
    """Write refusals down: each that begins a lock-out, else at most one a minute and client."""
    if not locked and services.refusals.wait_s(client) > 0:
        return
    # What is typed as a name may be a password: only names of accounts are written down.
    known = await services.accounts.role_of(name) is not None
    action = "session.locked" if locked else "session.refused"
    await audit(services, name if known else "(unknown)", action, client)


def locked_out(wait_s: float) -> ProblemError:
    """Say how long no further attempt is heard."""
    return ProblemError(
        Problem(
            status=429,
            code="sign-in-locked",
            title="Too many failed sign-ins",
            detail=f"Sign-in is held back for {ceil(wait_s)} s after failed attempts.",
            mend="Wait, then try again with the right password.",
            headers={"Retry-After": str(ceil(wait_s))},
        )
    )


def _no_accounts() -> ProblemError:
    return ProblemError(
        Problem(
            status=409,
            code="no-accounts",
            title="No accounts yet",
            detail="This controller has no accounts, and none is built in.",
            mend="Open the page: it makes the first account. Or, on the controller, run "
            "`wattkeeper user add NAME --role admin`.",
        )
    )


def _wrong() -> ProblemError:
    return ProblemError(
        Problem(
            status=401,
            code="wrong-name-or-password",
            title="Not signed in",
            detail="Name or password is wrong.",
            mend="Try again; `wattkeeper user add NAME` sets a new password.",
        )
    )
