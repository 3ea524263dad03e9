"""Keeps limits behind the answer that their transaction waits for."""

from __future__ import annotations

import asyncio

from controller.transaction import TransactionId


class AnswerGate:
    """Holds limits back until the answer that made their transaction known has been sent.

    A TxProfile for a transaction whose StartTransaction is not answered yet names an id that the
    station has not heard of, and is refused (1.6 section 5.16.1, 2.0.1 K01.FR.09). The controller
    learns of the transaction inside the handler, and may be quicker than the answer.
    """

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._pending: dict[TransactionId, asyncio.Event] = {}

    def shut(self, transaction: TransactionId) -> None:
        """Begin to hold back limits for a transaction."""
        self._pending.setdefault(transaction, asyncio.Event())

    def open_soon(self) -> None:
        """Let limits pass once the answer, now about to be returned, has left."""
        if self._pending:
            loop = asyncio.get_running_loop()
            loop.call_later(self._delay_s, self._open, tuple(self._pending))

    def _open(self, transactions: tuple[TransactionId, ...]) -> None:
        for transaction in transactions:
            event = self._pending.pop(transaction, None)
            if event is not None:
                event.set()

    async def passed(self, transaction: TransactionId) -> None:
        """Wait until the transaction's answer has been sent."""
        event = self._pending.get(transaction)
        if event is not None:
            await event.wait()
