"""Firmware for several stations: one at a time, the next only when the last came back well. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

from controller.site import StationId
from controller.station import EvseState, StationView

UPDATE_S: Final = 3600.0
"""Longest time from the order until a station is back and well. [s]"""
FAILURES: Final = frozenset(
    {
        "DownloadFailed",
        "InstallationFailed",
        "InstallVerificationFailed",
        "InvalidSignature",
        "InvalidCertificate",
        "RevokedCertificate",
    }
)
"""Ends of FirmwareStatusNotification that are no success (1.6, its security extension, 2.0.1 L01)."""


class RolloutState(Enum):
    """How a roll-out is."""

    RUNNING = "running"
    PAUSED = "paused"
    """A station failed; nothing more is ordered until an operator goes on."""
    DONE = "done"
    CANCELLED = "cancelled"


class StepState(Enum):
    """How one station of a roll-out is."""

    WAITING = "waiting"
    UPDATING = "updating"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One station of a roll-out."""

    station: StationId
    state: StepState = StepState.WAITING
    ordered_at: datetime | None = None
    text: str = ""
    """Why it waits or failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A firmware for several stations."""

    id: str
    location: str
    version: str
    """As the stations report it in BootNotification once it is installed."""
    by: str
    created_at: datetime
    steps: tuple[Step, ...]
    """In order; the first is the trial of all."""
    state: RolloutState = RolloutState.RUNNING
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What an update needs besides: signature, signing certificate."""

    @property
    def is_open(self) -> bool:
        """Whether it may still order something."""
        return self.state in (RolloutState.RUNNING, RolloutState.PAUSED)

    def with_step(self, step: Step) -> Rollout:
        """Return it with the step of one station replaced."""
        steps = tuple(step if s.station == step.station else s for s in self.steps)
        return replace(self, steps=steps)

    @property
    def failed(self) -> Step | None:
        """The station that failed first, where one did."""
        return next((s for s in self.steps if s.state is StepState.FAILED), None)


Views = Mapping[StationId, StationView]


def advanced(rollout: Rollout, views: Views, now: datetime) -> tuple[Rollout, StationId | None]:
    """Take a roll-out as far as the stations are.

    Args:
        rollout: As it was.
        views: The latest about the stations.
        now: The time.

    Returns:
        The roll-out, and the station to order the update of; it is marked as updating already, so
        that the order is never given twice. None: nothing is to be ordered now.
    """
    if rollout.state is not RolloutState.RUNNING:
        return rollout, None
    for step in rollout.steps:
        if step.state is StepState.UPDATING:
            rollout = rollout.with_step(_watched(step, _view(views, step), rollout.version, now))
    rollout = _settled(rollout)
    if rollout.state is not RolloutState.RUNNING:
        return rollout, None
    if any(step.state is StepState.UPDATING for step in rollout.steps):
        return rollout, None
    return _next_order(rollout, views, now)


def refused(rollout: Rollout, station: StationId, reason: str, *, is_final: bool) -> Rollout:
    """Note that an order was not taken: for good, or a station that is to be asked again later."""
    state = StepState.FAILED if is_final else StepState.WAITING
    return _settled(rollout.with_step(Step(station=station, state=state, text=reason)))


def resumed(rollout: Rollout) -> Rollout:
    """Let a paused roll-out go on; stations that failed are tried again."""
    steps = tuple(
        Step(station=s.station) if s.state is StepState.FAILED else s for s in rollout.steps
    )
    return replace(rollout, steps=steps, state=RolloutState.RUNNING)


def has_transaction(view: StationView) -> bool:
    """Tell whether a transaction of the station runs."""
    return any(
        e.transaction is not None and e.transaction.ended_at is None for e in view.evses.values()
    )


def _view(views: Views, step: Step) -> StationView:
    return views.get(step.station) or StationView(id=step.station)


def _watched(step: Step, view: StationView, version: str, now: datetime) -> Step:
    ordered_at = step.ordered_at or now
    job = view.jobs.get("firmware")
    if job is not None and job.at >= ordered_at and job.status in FAILURES:
        return replace(step, state=StepState.FAILED, text=f"it reports {job.status}")
    missing = _missing(view, version)
    if not missing:
        return replace(step, state=StepState.DONE, text="")
    if now - ordered_at > timedelta(seconds=UPDATE_S):
        text = f"{missing} {UPDATE_S / 60:g} min after the order"
        return replace(step, state=StepState.FAILED, text=text)
    return replace(step, text=missing)


def _missing(view: StationView, version: str) -> str:
    """Say what a station lacks to be back and well; empty: nothing."""
    if not view.connected:
        return "it is not connected"
    if view.info.firmware != version:
        return f"it runs {view.info.firmware or 'an unknown version'}"
    if not view.evses or any(e.fallback_a is None for e in view.evses.values()):
        return "it has not confirmed its fallback"
    if any(e.state is EvseState.FAULTED for e in view.evses.values()):
        return "it reports a fault"
    return ""


def _settled(rollout: Rollout) -> Rollout:
    if rollout.state is RolloutState.RUNNING and rollout.failed is not None:
        return replace(rollout, state=RolloutState.PAUSED)
    if all(step.state is StepState.DONE for step in rollout.steps):
        return replace(rollout, state=RolloutState.DONE)
    return rollout


def _next_order(rollout: Rollout, views: Views, now: datetime) -> tuple[Rollout, StationId | None]:
    for step in rollout.steps:
        if step.state is not StepState.WAITING:
            continue
        view = _view(views, step)
        if view.connected and view.info.firmware == rollout.version:
            rollout = rollout.with_step(Step(station=step.station, state=StepState.DONE))
            continue
        if not view.connected or has_transaction(view):
            reason = "a transaction runs" if view.connected else "it is not connected"
            rollout = rollout.with_step(replace(step, text=f"waits: {reason}"))
            continue
        ordered = replace(step, state=StepState.UPDATING, ordered_at=now, text="")
        return rollout.with_step(ordered), step.station
    return _settled(rollout), None


# --- as text --------------------------------------------------------------------------------------


def to_text(rollout: Rollout) -> str:
    """Write a roll-out as JSON."""
    return json.dumps(
        {
            "id": rollout.id,
            "location": rollout.location,
            "version": rollout.version,
            "by": rollout.by,
            "created_at": rollout.created_at.isoformat(),
            "state": rollout.state.value,
            "parameters": dict(rollout.parameters),
            "steps": [
                {
                    "station": s.station,
                    "state": s.state.value,
                    "ordered_at": None if s.ordered_at is None else s.ordered_at.isoformat(),
                    "text": s.text,
                }
                for s in rollout.steps
            ],
        }
    )


def from_text(text: str) -> Rollout:
    """Read what `to_text` wrote.

    Raises:
        ValueError, KeyError, TypeError: It is damaged.
    """
    row = json.loads(text)
    return Rollout(
        id=row["id"],
        location=row["location"],
        version=row["version"],
        by=row["by"],
        created_at=datetime.fromisoformat(row["created_at"]),
        state=RolloutState(row["state"]),
        parameters=row["parameters"],
        steps=tuple(
            Step(
                station=StationId(s["station"]),
                state=StepState(s["state"]),
                ordered_at=None
                if s["ordered_at"] is None
                else datetime.fromisoformat(s["ordered_at"]),
                text=s["text"],
            )
            for s in row["steps"]
        ),
    )
