"""Accounts, for administrators."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from adapters.http.account_models import (
    ApiTokenIn,
    ApiTokenMade,
    ApiTokenOut,
    UserIn,
    UserName,
    UserOut,
    Users,
)
from adapters.http.auditing import audit
from adapters.http.gate import session_key
from adapters.http.preconditions import IfMatch, etag_of, require_match
from adapters.http.problems import Problem, ProblemError, not_found, unprocessable
from adapters.http.services import Services, Uses, Who
from controller.administration import Account
from controller.records import Role

router = APIRouter(prefix="/api/v1/users", tags=["users"])
Name = Annotated[UserName, Path()]
TokenName = Annotated[str, Path(max_length=64)]


@router.get("")
async def list_users(
    services: Uses,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Users:
    """Return accounts by name, with their API tokens."""
    accounts = await services.bridge.run(services.store.accounts())
    end = offset + limit
    return Users(
        items=[_shown(services, a) for a in accounts[offset:end]],
        next_offset=end if end < len(accounts) else None,
    )


@router.get("/{name}")
async def read_user(name: Name, services: Uses, response: Response) -> UserOut:
    """Return one account."""
    account = await _known(services, name)
    response.headers["ETag"] = _etag(account)
    return _shown(services, account)


@router.put("/{name}")
async def put_user(
    name: Name,
    asked: UserIn,
    request: Request,
    response: Response,
    services: Uses,
    who: Who,
    if_match: IfMatch = None,
) -> UserOut:
    """Add an account, or change its role or password; a new password signs its browsers out."""
    async with services.patching:
        before = await _found(services, name)
        require_match(if_match, _etag(before) if before is not None else None)
        if before is not None and asked.role is not Role.ADMIN:
            await _keep_an_admin(services, before)
        await services.bridge.carry_out(
            services.store.put_account(
                name, asked.role, services.clock.now(), password=asked.password
            )
        )
        services.accounts.forget()
    if asked.password is not None:
        own = session_key(request.headers) if name == who.name else None
        services.sessions.end_all(name, but=own)
    after = await _known(services, name)
    changed = {"password": "changed"} if asked.password is not None else {}
    await audit(
        services,
        who.name,
        "user.put",
        name,
        before=_facts(before) if before is not None else None,
        after=_facts(after) | changed,
    )
    response.headers["ETag"] = _etag(after)
    return _shown(services, after)


@router.delete("/{name}", status_code=204)
async def delete_user(name: Name, services: Uses, who: Who, if_match: IfMatch = None) -> None:
    """Delete an account with its API tokens, and sign its browsers out."""
    async with services.patching:
        before = await _known(services, name)
        require_match(if_match, _etag(before))
        await _keep_an_admin(services, before)
        await services.bridge.carry_out(services.store.delete_user(name))
        services.accounts.forget()
    services.sessions.end_all(name)
    await audit(services, who.name, "user.delete", name, before=_facts(before))


@router.delete("/{name}/sessions", status_code=204)
async def end_user_sessions(name: Name, request: Request, services: Uses, who: Who) -> None:
    """Sign all browsers of an account out, one's own present one excepted."""
    await _known(services, name)
    own = session_key(request.headers) if name == who.name else None
    ended = services.sessions.end_all(name, but=own)
    await audit(services, who.name, "user.sessions_end", name, after={"sessions_ended": ended})


@router.post("/{name}/tokens", status_code=201)
async def make_user_token(name: Name, asked: ApiTokenIn, services: Uses, who: Who) -> ApiTokenMade:
    """Make an API token; the answer shows it this once."""
    now = services.clock.now()
    if asked.expires_at is not None and asked.expires_at <= now:
        raise unprocessable("expires_at lies in the past.", "Give a time to come, or null.")
    await _known(services, name)
    try:
        record, token = await services.bridge.carry_out(
            services.store.add_api_token(
                name, label=asked.label, at=now, expires_at=asked.expires_at
            )
        )
    except KeyError:
        raise not_found("user", name) from None
    after = {"id": record.id, "label": record.label, "expires_at": _iso(record.expires_at)}
    await audit(services, who.name, "user.token_add", name, after=after)
    return ApiTokenMade(id=record.id, token=token)


@router.delete("/{name}/tokens/{token}", status_code=204)
async def revoke_user_token(name: Name, token: TokenName, services: Uses, who: Who) -> None:
    """Revoke an API token."""
    if not await services.bridge.carry_out(services.store.revoke_api_token(name, token)):
        raise not_found("token", token)
    services.accounts.forget()
    await audit(services, who.name, "user.token_revoke", name, before={"id": token})


async def _found(services: Services, name: str) -> Account | None:
    accounts = await services.bridge.run(services.store.accounts())
    return next((a for a in accounts if a.user.name == name), None)


async def _known(services: Services, name: str) -> Account:
    account = await _found(services, name)
    if account is None:
        raise not_found("user", name)
    return account


async def _keep_an_admin(services: Services, account: Account) -> None:
    """Refuse to take the last administrator away: nobody could make another one."""
    if account.user.role is not Role.ADMIN:
        return
    users = await services.bridge.run(services.store.users())
    if any(u.role is Role.ADMIN and u.name != account.user.name for u in users):
        return
    raise ProblemError(
        Problem(
            status=409,
            code="last-administrator",
            title="The last administrator",
            detail=f"{account.user.name} is the only administrator.",
            mend="Make another account an administrator first.",
        )
    )


def _facts(account: Account) -> dict[str, Any]:
    return {"role": account.user.role.value, "has_password": account.has_password}


def _etag(account: Account) -> str:
    return etag_of([account.user.name, _facts(account)])


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None


def _shown(services: Services, account: Account) -> UserOut:
    return UserOut(
        name=account.user.name,
        role=account.user.role,
        has_password=account.has_password,
        created_at=account.created_at,
        last_seen_at=account.last_seen_at,
        sessions=services.sessions.count(account.user.name),
        tokens=[
            ApiTokenOut(
                id=t.id,
                label=t.label,
                created_at=t.created_at,
                expires_at=t.expires_at,
                last_used_at=t.last_used_at,
            )
            for t in account.tokens
        ],
    )
