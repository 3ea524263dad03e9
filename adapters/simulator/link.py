"""One OCPP-J connection of a simulated station: frames in both directions, one CALL at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import IntEnum
from typing import Any, TypeAlias
from uuid import uuid4

import orjson
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

Json: TypeAlias = dict[str, Any]

CALL_TIMEOUT_S = 30.0


class MessageType(IntEnum):
    """First element of a frame."""

    CALL = 2
    CALLRESULT = 3
    CALLERROR = 4


class CallRefusedError(Exception):
    """A CALL that is answered with a CALLERROR."""

    def __init__(self, code: str, description: str = "") -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description


class SilenceError(Exception):
    """A CALL that gets no answer at all."""


Handler: TypeAlias = Callable[[str, Json], Json]
"""Action and payload of a CALL to the answer; raises CallRefusedError or SilenceError."""


class Link:
    """The frames on one websocket."""

    def __init__(
        self,
        socket: ClientConnection,
        *,
        handler: Handler,
        answer_after_s: Callable[[], float],
    ) -> None:
        self._socket = socket
        self._handler = handler
        self._answer_after_s = answer_after_s
        self._pending: dict[str, asyncio.Future[Json]] = {}

    async def call(self, action: str, payload: Json) -> Json:
        """Send a CALL and wait for its answer.

        Raises:
            CallRefusedError: If the answer is a CALLERROR.
            TimeoutError: If there is none in time.
            ConnectionClosed: If the connection ends first.
        """
        unique_id = str(uuid4())
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._pending[unique_id] = answer
        try:
            await self._send([MessageType.CALL, unique_id, action, payload])
            async with asyncio.timeout(CALL_TIMEOUT_S):
                return await answer
        finally:
            del self._pending[unique_id]

    async def serve(self) -> None:
        """Read frames until the connection ends."""
        try:
            async for text in self._socket:
                await self._receive(text)
        except ConnectionClosed:
            return

    async def _receive(self, text: str | bytes) -> None:
        try:
            frame = orjson.loads(text)
            kind, unique_id, third = MessageType(frame[0]), str(frame[1]), frame[2]
            fourth: Any = None if kind is MessageType.CALLRESULT else frame[3]
        except (IndexError, KeyError, TypeError, ValueError):
            return  # What is no frame cannot be answered.
        if kind is MessageType.CALL:
            await self._answer(unique_id, third, fourth)
            return
        pending = self._pending.get(unique_id)
        if pending is None or pending.done():
            return
        if kind is MessageType.CALLRESULT:
            pending.set_result(third)
        else:
            pending.set_exception(CallRefusedError(str(third), str(fourth)))

    async def _answer(self, unique_id: str, action: str, payload: Json) -> None:
        # A slow station is slow as real ones are: it reads nothing else meanwhile.
        await asyncio.sleep(self._answer_after_s())
        frame: list[Any]
        try:
            frame = [MessageType.CALLRESULT, unique_id, self._handler(action, payload)]
        except SilenceError:
            return
        except CallRefusedError as refused:
            frame = [MessageType.CALLERROR, unique_id, refused.code, refused.description, {}]
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            frame = [MessageType.CALLERROR, unique_id, "FormationViolation", repr(error)[:255], {}]
        await self._send(frame)

    async def _send(self, frame: list[Any]) -> None:
        await self._socket.send(orjson.dumps(frame).decode())
