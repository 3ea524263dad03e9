"""One client's stream of server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from adapters.http.event_feed import HEARTBEAT, EventFeed, Subscription
from adapters.http.shield import PEER, Peer


class EventStream(Response):
    """Sends a subscription until the client leaves, lags, or may no longer listen."""

    media_type = "text/event-stream"

    def __init__(
        self,
        *,
        feed: EventFeed,
        client: Subscription,
        heartbeat_s: float,
        may_listen: Callable[[], Awaitable[bool]],
        abort: Callable[[Peer], None],
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._feed = feed
        self._client = client
        self._heartbeat_s = heartbeat_s
        self._may_listen = may_listen
        self._abort = abort

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the stream."""
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._until_first(self._pump(send), _gone(receive), self._client.over.wait())
        finally:
            self._feed.unsubscribe(self._client)
        if self._client.lagged:
            # What is buffered for this client will never be taken: do not wait for it.
            self._abort(scope.get(PEER) or scope["client"])
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _until_first(self, *work: Awaitable[object]) -> None:
        tasks = [asyncio.ensure_future(w) for w in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        check_s = loop.time() + self._heartbeat_s
        while True:
            try:
                async with asyncio.timeout_at(check_s):
                    body = await self._client.queue.get()
            except TimeoutError:
                body = HEARTBEAT
            if loop.time() >= check_s:
                check_s = loop.time() + self._heartbeat_s
                if not await self._may_listen():
                    return
            await send({"type": "http.response.body", "body": body, "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
