"""The system's clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """Implements `Clock`."""

    def monotonic_s(self) -> float:
        """Return seconds that never jump. [s]."""
        return time.monotonic()

    def now(self) -> datetime:
        """Return the wall clock in UTC."""
        return datetime.now(UTC)
