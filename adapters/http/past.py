"""What was: reasons over time, and the explanation of a past moment from its recorded plan."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from adapters.http import models as m
from adapters.http.session_models import ReasonSpan
from adapters.http.views import figure
from controller.administration import PastPlan
from controller.reasons import ReasonChange
from controller.site import EvseId


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
            wording=change.wording,
            values=dict(change.values),
            setpoint_a=round(change.setpoint_a, 3),
        )
        for change, end in zip(changes, ends, strict=False)  # no changes, no spans
    ]


def why_at(past: PastPlan, evse: EvseId) -> m.WhyOut | None:
    """Explain an EVSE by a recorded plan; None: the plan does not know it."""
    plan, site = orjson.loads(past.plan), orjson.loads(past.site)
    status = plan["evses"].get(evse)
    built = _built(site, evse)
    if status is None or built is None:
        return None
    path = _path(site["circuits"], built["circuit"])
    bound = plan.get("binding", {}).get(evse)
    subjects = {evse, evse.rpartition("/")[0], "site", *path}
    subjects |= {meter for c in path if (meter := site["circuits"][c].get("meter"))}
    return m.WhyOut(
        id=evse,
        at=past.at,
        state=status["state"],
        setpoint_a=round(status["setpoint_a"], 3),
        committed_a=round(status["committed_a"], 3),
        drawn_a=_maybe_phases(status.get("drawn_a")),
        max_a=built["max_a"],
        reason=m.ReasonOut(
            code=status["reason"]["code"],
            text=status["reason"]["text"],
            bound_by=status["reason"]["bound_by"] or None,
            wording=status["reason"].get("wording", ""),
            values=status["reason"].get("values", {}),
        ),
        chain=[_step(plan["circuits"][c], bound) for c in path if c in plan["circuits"]],
        explanation=None,  # what would change it now would not change it then
        conditions=[_condition(c, past.at) for c in plan["conditions"] if c["subject"] in subjects],
    )


def _built(site: dict[str, Any], evse: EvseId) -> dict[str, Any] | None:
    station = site["stations"].get(evse.rpartition("/")[0])
    evses: list[dict[str, Any]] = station["evses"] if station is not None else []
    return next((e for e in evses if e["id"] == evse), None)


def _path(circuits: dict[str, Any], first: str) -> list[str]:
    path: list[str] = []
    name: str | None = first
    while name is not None and name in circuits and name not in path:
        path.append(name)
        name = circuits[name]["parent"]
    return path


def _step(status: dict[str, Any], bound: list[str] | None) -> m.WhyStep:
    binds = bound is not None and bound[0] == status["id"]
    return m.WhyStep(
        circuit=status["id"],
        mode=status["mode"],
        binds=binds,
        bound_phase=bound[1] if bound is not None and binds else None,
        limit_a=_phases(status["limit_a"]),
        building_a=_phases(status["building_a"]),
        committed_a=_phases(status["committed_a"]),
        headroom_a=_phases(status["headroom_a"]),
    )


def _phases(current: dict[str, float | None]) -> m.Phases:
    l1, l2, l3 = (figure(current[name]) for name in ("l1_a", "l2_a", "l3_a"))
    return m.Phases(l1=l1, l2=l2, l3=l3)


def _maybe_phases(current: dict[str, float | None] | None) -> m.Phases | None:
    return None if current is None else _phases(current)


def _condition(condition: dict[str, Any], at: datetime) -> m.AlarmOut:
    return m.AlarmOut(
        code=condition["code"],
        subject=condition["subject"],
        text=condition["text"],
        severity=condition["severity"],
        begin=at,
        end=None,
        values=condition.get("values", {}),
    )
