"""Signing in and out with a browser."""

from __future__ import annotations

from math import ceil
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from adapters.http import models as m
from adapters.http.browser_sessions import COOKIE
from adapters.http.gate import session_key
from adapters.http.problems import Problem, ProblemError
from adapters.http.services import Services, Uses, Who
from adapters.http.throttle import client_key
from controller.records import AuditEntry, User

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
    await _audit(services, user.name, "session.begin", client)
    response.set_cookie(
        COOKIE,
        services.sessions.begin(user.name),
        max_age=int(services.sessions.absolute_s),
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return m.SignedIn(name=user.name, role=user.role.value)


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
        raise _locked(wait_s)
    locked = services.guard.attempted(asked.name, client)
    user = await services.accounts.user_by_password(asked.name, asked.password)
    if user is not None:
        services.guard.succeeded(asked.name, client)
        return user
    if locked:
        await _audit(services, asked.name, "session.locked", client)
    if not await services.accounts.has_any():
        raise _no_accounts()
    raise _wrong()


async def _audit(services: Services, actor: str, action: str, client: str) -> None:
    entry = AuditEntry(at=services.clock.now(), actor=actor, action=action, subject=client)
    await services.bridge.carry_out(services.store.audit(entry))


def _locked(wait_s: float) -> ProblemError:
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
            mend="On the controller, run `wattkeeper user add NAME --role admin`.",
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
