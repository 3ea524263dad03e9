"""One session in detail."""

from __future__ import annotations

from pydantic import Field

from adapters.http.models import VALUES, Answer, Instant, SessionOut, Values


class SessionCurve(Answer):
    """What was drawn and granted over a session, one value per step; null: not known."""

    step_s: float
    at: list[Instant]
    drawn_l1: list[float | None] = Field(description="Terminal currents by grid phase. [A]")
    drawn_l2: list[float | None]
    drawn_l3: list[float | None]
    limit_a: list[float | None]
    power_w: list[float | None]
    energy_wh: list[float | None]


class ReasonSpan(Answer):
    """A reason and how long it held."""

    at: Instant
    until: Instant | None = Field(description="null: it still holds.")
    code: str
    text: str
    bound_by: str | None
    wording: str = ""
    values: Values = Field({}, description=VALUES)
    setpoint_a: float = Field(description="At its begin. [A]")


class ReasonSpans(Answer):
    """A page of reasons, oldest first."""

    items: list[ReasonSpan]
    next_offset: int | None


class SessionDetail(SessionOut):
    """A session with its curve and what limited it when."""

    curve: SessionCurve
    limited_by: list[ReasonSpan]
