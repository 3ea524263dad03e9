"""Notifications as the dashboard sees them: who is told, and whether it works."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetView:
    """Somebody who is told of alarms. No secrets."""

    name: str
    kind: str
    """`webhook` or `email`."""
    address: str
    least: str
    """Least severity that is told."""
    waiting: int
    """Messages not yet delivered."""
    delivered_at: datetime | None
    fault: str
    """Why the last attempt failed; empty when it did not."""


class Notifications(Protocol):
    """Tells people of alarms. Control loop only."""

    def targets(self) -> tuple[TargetView, ...]:
        """List who is told."""

    async def test(self, target: str) -> str:
        """Send a test message now; return why it failed, or nothing.

        Raises:
            KeyError: There is no such target.
        """
