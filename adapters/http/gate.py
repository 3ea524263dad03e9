"""Sign-in and roles, before a request reaches a route: what is not open needs an account."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.http.accounts import Accounts
from adapters.http.browser_sessions import COOKIE, BrowserSessions
from adapters.http.problems import Problem, ProblemError
from adapters.http.roles import Principal, SignedInBy, required_role
from adapters.http.shield import PEER
from controller.records import Role

PRINCIPAL = "wattkeeper.principal"
"""Key of the scope: who makes the request."""

_MAX_KEY = 512
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Gate:
    """Wraps an application; only requests that may be made pass."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        accounts: Accounts,
        sessions: BrowserSessions,
        metrics_open_on_loopback: bool,
    ) -> None:
        self._app = app
        self._accounts = accounts
        self._sessions = sessions
        self._metrics_open_on_loopback = metrics_open_on_loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._admit(scope)
        except ProblemError as refused:
            await refused.problem.response(scope["path"])(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _admit(self, scope: Scope) -> None:
        role = required_role(scope["method"], scope["path"])
        headers = Headers(scope=scope)
        if role is None:
            if scope["method"] not in _SAFE:
                _refuse_foreign_origin(headers)
            return
        if self._is_open_metrics(scope, headers):
            return
        principal = await self.identify(headers)
        if principal is None:
            raise _not_signed_in()
        if scope["method"] not in _SAFE and principal.by is SignedInBy.BROWSER_SESSION:
            _refuse_forgery(headers)
        if not principal.is_at_least(role):
            raise _not_allowed(principal, role)
        scope[PRINCIPAL] = principal

    async def identify(self, headers: Headers) -> Principal | None:
        """Find out who makes a request: by its API token, else by its browser session.

        Raises:
            ProblemError: 503, the store does not answer.
        """
        authorization = headers.get("authorization")
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            token = token.strip()
            if scheme.lower() != "bearer" or not 0 < len(token) <= _MAX_KEY:
                return None
            user = await self._accounts.user_by_token(token)
            if user is None:
                return None
            return Principal(name=user.name, role=user.role, by=SignedInBy.API_TOKEN)
        key = session_key(headers)
        name = self._sessions.use(key) if key else None
        role = await self._accounts.role_of(name) if name is not None else None
        if name is None or role is None:
            return None
        return Principal(name=name, role=role, by=SignedInBy.BROWSER_SESSION)

    def _is_open_metrics(self, scope: Scope, headers: Headers) -> bool:
        if not self._metrics_open_on_loopback or scope["path"] != "/metrics":
            return False
        peer = scope.get(PEER) or scope.get("client") or ("", 0)
        # A forwarded request comes from elsewhere even when the proxy runs on this machine.
        return _is_loopback(peer[0]) and "x-forwarded-for" not in headers


def session_key(headers: Headers) -> str | None:
    """Return the id of the browser session that a request carries."""
    key = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
    return key if 0 < len(key) <= _MAX_KEY else None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse_foreign_origin(headers: Headers) -> None:
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        raise _forged("The request comes from a page of another origin.")
    if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise _forged("The request comes from a page of another site.")


def _refuse_forgery(headers: Headers) -> None:
    _refuse_foreign_origin(headers)
    if headers.get("x-wattkeeper") != "1":
        raise _forged("The header X-Wattkeeper is missing.")


def _forged(detail: str) -> ProblemError:
    return ProblemError(
        Problem(
            status=403,
            code="cross-site-request",
            title="Cross-site request refused",
            detail=detail,
            mend="From a browser session, send `X-Wattkeeper: 1` from this server's own page; "
            "programs use an API token.",
        )
    )


def _not_signed_in() -> ProblemError:
    return ProblemError(
        Problem(
            status=401,
            code="not-signed-in",
            title="Not signed in",
            detail="The request carries no valid API token and no running browser session.",
            mend="Send `Authorization: Bearer wk_...` (make one with `wattkeeper user token NAME`), "
            "or sign in with POST /api/v1/session.",
            headers={"WWW-Authenticate": 'Bearer realm="wattkeeper"'},
        )
    )


def _not_allowed(principal: Principal, role: Role) -> ProblemError:
    return ProblemError(
        Problem(
            status=403,
            code="role-too-low",
            title="Not allowed",
            detail=f"This needs the role {role.value}; {principal.name} is {principal.role.value}.",
            mend="Ask an administrator, or use an account with that role.",
        )
    )
