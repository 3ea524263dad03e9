"""What a station still has to send, in order; messages of transactions outlive a lost connection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from adapters.simulator.link import Json

_SAMPLES_MAX = 500


@dataclass(slots=True, kw_only=True, eq=False)
class Message:
    """A CALL to be sent."""

    action: str
    build: Callable[[], Json]
    """Makes the payload when it is sent: an id may be known only then."""
    is_durable: bool = False
    """It is kept while there is no connection, and sent later with its own timestamps."""
    is_sample: bool = False
    """Of durable messages, the kind that is dropped first when too many wait."""
    answered: Callable[[Json], None] | None = None
    failed: Callable[[], None] | None = None
    attempts: int = 0

    def hear(self, answer: Json) -> None:
        """Pass on the answer."""
        if self.answered is not None:
            self.answered(answer)

    def fail(self) -> None:
        """Pass on that there will be no answer."""
        if self.failed is not None:
            self.failed()


class Outbox:
    """Messages in the order in which they happened."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, message: Message) -> None:
        """Add a message at the end."""
        if message.is_sample and len(self._messages) >= _SAMPLES_MAX:
            return
        self._messages.append(message)
        self._wake.set()

    async def first(self) -> Message:
        """Wait for a message and return the first, which stays in the outbox."""
        while not self._messages:
            self._wake.clear()
            await self._wake.wait()
        return self._messages[0]

    def remove(self, message: Message) -> None:
        """Take out a message that is done."""
        if message in self._messages:
            self._messages.remove(message)

    def drop_volatile(self) -> None:
        """Forget what is not worth sending after a lost connection."""
        dropped = [message for message in self._messages if not message.is_durable]
        self._messages = deque(message for message in self._messages if message.is_durable)
        for message in dropped:
            message.fail()
