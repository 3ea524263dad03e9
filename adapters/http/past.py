"""What was: reasons over time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from adapters.http.session_models import ReasonSpan
from controller.reasons import ReasonChange


def spans_of(
    changes: Sequence[ReasonChange], *, since: datetime, until: datetime | None
) -> list[ReasonSpan]:
    """Turn changes into spans that follow each other without a gap."""
    ends: list[datetime | None] = [*(c.at for c in changes[1:]), until]
    return [
        ReasonSpan(
            at=max(change.at, since),
            until=end,
            code=change.code,
            text=change.text,
            bound_by=change.bound_by or None,
            setpoint_a=round(change.setpoint_a, 3),
        )
        for change, end in zip(changes, ends, strict=False)  # no changes, no spans
    ]
