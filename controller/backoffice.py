"""The back office's limits as one more maximum on each EVSE."""

from __future__ import annotations

from dataclasses import replace

from controller.decision import Plan
from controller.operator import EvseOverride
from controller.ports import Control
from controller.site import EvseId

ACTOR = "upstream"


class BackOfficeLimits:
    """Sets what the back office allows. Before the controller runs it sets nothing."""

    def __init__(self) -> None:
        """Wait for the controller."""
        self._control: Control | None = None

    def bind(self, control: Control) -> None:
        """Begin to set limits."""
        self._control = control

    def plan(self) -> Plan | None:
        """Return the latest plan."""
        return self._control.plan() if self._control is not None else None

    async def limit(self, evse: EvseId, limit_a: float | None) -> None:
        """Set or lift the limit where it changes; other wishes for the EVSE stay."""
        if self._control is None:
            return
        wished = self._control.overrides().evses.get(evse, EvseOverride())
        if wished.upstream_max_a != limit_a:
            changed = replace(wished, upstream_max_a=limit_a)
            await self._control.set_evse_override(evse, changed, ACTOR)
