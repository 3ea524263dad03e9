"""A limit that this machine itself puts in force as a grid signal, and holds as long as it must."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import structlog

from controller.errors import StoreUnavailableError
from controller.ports import Clock
from controller.signals import GridSignal, SignalError
from controller.site import CircuitId

log = structlog.get_logger(__name__)


class Signals(Protocol):
    """What keeps the signals in force."""

    signals: dict[str, GridSignal]

    async def put_signal(self, signal: GridSignal, actor: str) -> None:
        """Set a signal; raises SignalError and StoreUnavailableError."""

    async def delete_signal(self, signal_id: str, actor: str) -> bool:
        """Remove a signal; raises StoreUnavailableError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldLimit:
    """One such limit. It outlives this process by `span_s` at most."""

    id: str
    circuit: CircuitId
    limit_w: float
    """Building and vehicles together. [W]"""
    span_s: float
    note: str
    actor: str
    signals: Signals
    clock: Clock

    @property
    def is_held(self) -> bool:
        """Tell whether it is among the signals, in force or not."""
        return self.id in self.signals.signals

    async def hold(self) -> None:
        """Keep it in force, whatever the clock or somebody else did to it."""
        now, span = self.clock.now(), timedelta(seconds=self.span_s)
        known = self.signals.signals.get(self.id)
        if known is not None and known.is_in_force(now) and known.end_at - now > span / 2:
            return
        signal = GridSignal(
            id=self.id,
            circuit=self.circuit,
            begin_at=now - timedelta(minutes=1),
            end_at=now + span,
            limit_w=self.limit_w,
            note=self.note,
        )
        try:
            await self.signals.put_signal(signal, self.actor)
        except (StoreUnavailableError, SignalError) as error:
            log.warning("grid.limit_not_stored", signal=self.id, error=str(error))
            # A full disk must not keep it from counting: the planner's next tick takes it from here.
            held: MutableMapping[str, GridSignal] = self.signals.signals
            held[self.id] = signal

    async def release(self) -> None:
        """Lift it."""
        try:
            await self.signals.delete_signal(self.id, self.actor)
        except StoreUnavailableError as error:
            log.warning("grid.limit_not_removed", signal=self.id, error=str(error))
