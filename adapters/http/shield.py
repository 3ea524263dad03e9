"""The outermost layer: headers, body size, request rate and patience, before anything is parsed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import ceil

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.http.problems import Problem
from adapters.http.settings import HttpSettings
from adapters.http.throttle import RequestRate, client_key

PEER = "wattkeeper.peer"
"""Key of the scope: address and port of the socket's other end, whatever a proxy says."""

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_UNCOUNTED = frozenset({"/healthz", "/readyz"})

Peer = tuple[str, int]


class Shield:
    """Wraps an application; answers by itself what must not reach it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: HttpSettings,
        rate: RequestRate,
        abort: Callable[[Peer], None],
    ) -> None:
        self._app = app
        self._settings = settings
        self._rate = rate
        self._abort = abort

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection scope."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        client = scope.get("client") or ("", 0)
        patient = self._patient(send, scope.get(PEER) or client, secure=scope["scheme"] == "https")
        refusal = self._refusal(scope, client[0])
        if refusal is not None:
            await refusal.response(scope["path"])(scope, receive, patient)
            return
        try:
            await self._app(scope, self._measured(receive), patient)
        except (_DeafError, ClientDisconnect):
            return

    def _refusal(self, scope: Scope, host: str) -> Problem | None:
        wait_s = 0.0 if scope["path"] in _UNCOUNTED else self._rate.wait_s(client_key(host))
        if wait_s > 0:
            return Problem(
                status=429,
                code="too-many-requests",
                title="Too many requests",
                detail="This client asks more often than allowed.",
                mend="Wait as long as Retry-After says; use /api/v1/events instead of polling.",
                headers={"Retry-After": str(ceil(wait_s))},
            )
        length = Headers(scope=scope).get("content-length", "0")
        if not length.isdigit() or int(length[:20]) > self._settings.max_body_bytes:
            return Problem(
                status=413,
                code="body-too-large",
                title="Body too large",
                detail=f"The body is larger than {self._settings.max_body_bytes} bytes.",
                mend="Send less at once.",
                headers={"Connection": "close"},
            )
        return None

    def _measured(self, receive: Receive) -> Receive:
        received = 0
        whole = False
        deadline_s = asyncio.get_running_loop().time() + self._settings.body_timeout_s

        async def measured() -> Message:
            nonlocal received, whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline_s):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, headers={"Connection": "close"}) from None
            received += len(message.get("body", b""))
            if received > self._settings.max_body_bytes:
                raise HTTPException(413, headers={"Connection": "close"})
            whole = not message.get("more_body", False)
            return message

        return measured

    def _patient(self, send: Send, peer: Peer, *, secure: bool) -> Send:
        async def patient(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", _POLICY)
                headers.setdefault("Cache-Control", "no-store")
                if secure:
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
            try:
                async with asyncio.timeout(self._settings.send_timeout_s):
                    await send(message)
            except TimeoutError:
                self._abort(peer)
                raise _DeafError from None

        return patient


class _DeafError(OSError):
    """The client takes no data."""
