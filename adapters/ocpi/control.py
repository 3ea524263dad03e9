"""The way from the roaming server's loop to the control loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from controller.commands import ActionRequest, CommandResult
from controller.decision import Plan
from controller.operator import EvseOverride
from controller.ports import Control
from controller.site import EvseId

T = TypeVar("T")


class ControlRoom:
    """What partners may ask of the controller: actions, and wishes that can only lower."""

    def __init__(self, control: Control, loop: asyncio.AbstractEventLoop) -> None:
        self._control = control
        self._loop = loop

    def plan(self) -> Plan | None:
        """Return the latest plan."""
        return self._control.plan()

    def override(self, evse: EvseId) -> EvseOverride:
        """Return what is wished for an EVSE."""
        return self._control.overrides().evses.get(evse, EvseOverride())

    async def act(self, request: ActionRequest, actor: str) -> CommandResult:
        """Carry out a station action."""
        return await self._on_control(self._control.act(request, actor))

    async def limit(self, evse: EvseId, limit_a: float | None, actor: str) -> None:
        """Set or lift a partner's limit on an EVSE; it counts as a minimum with all others."""

        async def change() -> None:
            wished = self.override(evse)
            if wished.partner_max_a != limit_a:
                await self._control.set_evse_override(
                    evse, replace(wished, partner_max_a=limit_a), actor
                )

        await self._on_control(change())

    async def prefer(
        self, evse: EvseId, departure_at: datetime | None, need_wh: float | None, actor: str
    ) -> None:
        """Pass a driver's wishes on to the planner."""

        async def change() -> None:
            wished = replace(self.override(evse), departure_at=departure_at, energy_need_wh=need_wh)
            await self._control.set_evse_override(evse, wished, actor)

        await self._on_control(change())

    async def _on_control(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))
