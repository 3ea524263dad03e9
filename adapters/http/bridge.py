"""The way from the HTTP thread to the control loop and back."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from adapters.http.problems import ProblemError, unavailable

T = TypeVar("T")


class Bridge:
    """Runs coroutines on the control loop for callers on another loop.

    Only `max_calls` are under way at once, so that no number of clients can crowd the control loop.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, timeout_s: float = 5.0, max_calls: int = 16
    ) -> None:
        self._loop = loop
        self._timeout_s = timeout_s
        self._places = asyncio.Semaphore(max_calls)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a reading call; it is cancelled when it takes too long.

        Raises:
            ProblemError: 503, the control loop does not answer in time.
        """
        await self._enter(work)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.wrap_future(self._submit(work))
        except TimeoutError:
            raise _late(self._timeout_s) from None
        finally:
            self._places.release()

    async def carry_out(self, work: Coroutine[Any, Any, T], *, timeout_s: float | None = None) -> T:
        """Run a changing call; once begun it is carried through even when we stop waiting.

        Raises:
            ProblemError: 503, the control loop does not answer in time.
        """
        wait_s = self._timeout_s if timeout_s is None else timeout_s
        await self._enter(work)
        try:
            async with asyncio.timeout(wait_s):
                return await asyncio.shield(asyncio.wrap_future(self._submit(work)))
        except TimeoutError:
            raise _late(wait_s) from None
        finally:
            self._places.release()

    async def _enter(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._places.acquire()
        except TimeoutError:
            work.close()
            raise _late(self._timeout_s) from None

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            raise unavailable(
                "The controller is stopping.", "Try again once it runs.", code="stopping"
            ) from None


def _late(timeout_s: float) -> ProblemError:
    return unavailable(
        f"The controller did not answer within {timeout_s:g} s; a change may still take effect.",
        "Read the value back before trying again; if it lasts, look at /readyz and the log.",
    )
