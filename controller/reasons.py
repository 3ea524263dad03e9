"""What limited an EVSE when: the changes of its reason, for people who look back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from controller.decision import Plan
from controller.site import EvseId

LEAST_S = 5.0
"""A reason that alternates from cycle to cycle is written down at most so often per EVSE. [s]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonChange:
    """From this instant on an EVSE had this reason."""

    evse: EvseId
    at: datetime
    code: str
    text: str
    bound_by: str
    setpoint_a: float
    wording: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    """Both as in `Reason`."""


class ReasonStore(Protocol):
    """Keeps changes of reasons."""

    async def put_reasons(self, changes: Sequence[ReasonChange]) -> None:
        """Store changes."""

    async def reasons(
        self, evse: EvseId, *, since: datetime, until: datetime, limit: int, offset: int
    ) -> tuple[ReasonChange, ...]:
        """List, oldest first; the first one may have begun before `since`."""


class ReasonLog:
    """Finds the changes from plan to plan and holds them until they are stored. One loop."""

    def __init__(self, *, capacity: int = 20_000) -> None:
        """Begin without knowing any reason."""
        self._known: dict[EvseId, tuple[str, str, float]] = {}
        self._waiting: list[ReasonChange] = []
        self._capacity = capacity

    def see(self, plan: Plan) -> None:
        """Take in a plan."""
        for evse, status in plan.evses.items():
            reason = status.reason
            known = self._known.get(evse)
            if known is not None and (
                known[:2] == (reason.code.value, reason.bound_by) or plan.now_s - known[2] < LEAST_S
            ):
                continue
            self._known[evse] = (reason.code.value, reason.bound_by, plan.now_s)
            self._waiting.append(
                ReasonChange(
                    evse=evse,
                    at=plan.at,
                    code=reason.code.value,
                    text=reason.text,
                    bound_by=reason.bound_by,
                    setpoint_a=status.setpoint_a,
                    wording=reason.wording,
                    values=reason.values,
                )
            )
        # A store that is away costs the oldest, never the memory of the machine.
        del self._waiting[: -self._capacity]

    def drain(self) -> tuple[ReasonChange, ...]:
        """Hand over what has to be stored."""
        changes, self._waiting = tuple(self._waiting), []
        return changes
