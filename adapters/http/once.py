"""Idempotent actions: the same `Idempotency-Key` gets the same answer, and the action runs once.

Source: the IETF draft on the Idempotency-Key header field. Answers are kept in memory: a restart
forgets them.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.http.gate import PRINCIPAL
from adapters.http.problems import Problem
from controller.ports import Clock

_KEPT = 1024
_KEPT_S = 86_400.0
_MOST_BODY = 64_000
_WAIT_S = 35.0
_ACTIONS = re.compile(r"/api/v1/(evses|stations|config|notifications|tokens)/")
_KEY = re.compile(r"[!-~]{1,200}")
_UNSETTLED = frozenset({429, 500, 503})
"""Nothing was done, or it is not known: the next try shall be a new one."""


@dataclass(slots=True)
class _Answer:
    fingerprint: bytes
    at_s: float
    done: asyncio.Event = field(default_factory=asyncio.Event)
    messages: list[Message] | None = None
    """The response, once it is known and worth repeating."""


class Once:
    """Wraps an application; remembers the answers to actions that carry a key."""

    def __init__(self, app: ASGIApp, *, clock: Clock) -> None:
        self._app = app
        self._clock = clock
        self._answers: OrderedDict[tuple[str, str, str], _Answer] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection scope."""
        key = Headers(scope=scope).get("idempotency-key") if scope["type"] == "http" else None
        if key is None or scope["method"] != "POST" or not _ACTIONS.match(scope["path"]):
            await self._app(scope, receive, send)
            return
        body = await _whole(receive)
        refusal = None if _KEY.fullmatch(key) else _bad_key()
        if refusal is None and body is None:
            refusal = _too_large()
        if refusal is not None or body is None:
            await (refusal or _too_large()).response(scope["path"])(scope, receive, send)
            return
        await self._once(scope, body, send, key)

    async def _once(self, scope: Scope, body: bytes, send: Send, key: str) -> None:
        name = scope[PRINCIPAL].name if PRINCIPAL in scope else ""
        place = (name, scope["path"], key)
        fingerprint = hashlib.sha256(scope["query_string"] + b"\n" + body).digest()
        known = self._known(place)
        if known is None:
            await self._run(scope, body, send, place, fingerprint)
            return
        if known.fingerprint != fingerprint:
            await _other_request().response(scope["path"])(scope, _never, send)
            return
        try:
            async with asyncio.timeout(_WAIT_S):
                await known.done.wait()
        except TimeoutError:
            await _under_way().response(scope["path"])(scope, _never, send)
            return
        if known.messages is None:
            await self._once(scope, body, send, key)  # the first try settled nothing
            return
        for message in known.messages:
            await send(_marked(message))

    def _known(self, place: tuple[str, str, str]) -> _Answer | None:
        known = self._answers.get(place)
        if known is not None and self._clock.monotonic_s() - known.at_s > _KEPT_S:
            del self._answers[place]
            return None
        return known

    async def _run(
        self, scope: Scope, body: bytes, send: Send, place: tuple[str, str, str], print_: bytes
    ) -> None:
        answer = _Answer(fingerprint=print_, at_s=self._clock.monotonic_s())
        self._answers[place] = answer
        while len(self._answers) > _KEPT:
            self._answers.popitem(last=False)
        sent: list[Message] = []

        async def keep(message: Message) -> None:
            sent.append(message)
            await send(message)

        try:
            await self._app(scope, _replayed(body), keep)
        finally:
            status = sent[0]["status"] if sent else 500
            if status in _UNSETTLED:
                self._answers.pop(place, None)
            else:
                answer.messages = [dict(m) for m in sent]
            answer.done.set()


async def _whole(receive: Receive) -> bytes | None:
    """Read the body; None: too large to be compared with another."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > _MOST_BODY:
            return None
        if message["type"] != "http.request" or not message.get("more_body", False):
            return b"".join(parts)


def _replayed(body: bytes) -> Receive:
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


async def _never() -> Message:
    return {"type": "http.disconnect"}


def _marked(message: Message) -> Message:
    if message["type"] != "http.response.start":
        return message
    return {**message, "headers": [*message["headers"], (b"idempotent-replayed", b"true")]}


def _bad_key() -> Problem:
    return Problem(
        status=400,
        code="bad-idempotency-key",
        title="Bad Idempotency-Key",
        detail="The Idempotency-Key is empty, longer than 200 characters, or has blanks.",
        mend="Send a random UUID.",
    )


def _too_large() -> Problem:
    return Problem(
        status=413,
        code="body-too-large",
        title="Body too large",
        detail=f"With an Idempotency-Key the body has at most {_MOST_BODY} bytes.",
        mend="Send it without the header.",
    )


def _other_request() -> Problem:
    return Problem(
        status=422,
        code="idempotency-key-reused",
        title="Key used for another request",
        detail="This Idempotency-Key came with another body before.",
        mend="Use a new key for each new action.",
    )


def _under_way() -> Problem:
    return Problem(
        status=409,
        code="under-way",
        title="Under way",
        detail="The first request with this Idempotency-Key has not been answered yet.",
        mend="Ask again in a few seconds with the same key.",
        headers={"Retry-After": "5"},
    )
