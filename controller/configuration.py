"""The running configuration as people change it: what a change would do, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from controller.administration import ConfigVersion
from controller.phases import PhaseCurrents

# --- what a change would do -------------------------------------------------------------------------


class Change(Enum):
    """What becomes of a thing of the site."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    SAME = "same"


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitFigures:
    """The numbers of one circuit that keep it safe, per phase. All in [A]."""

    limit_a: PhaseCurrents
    building_peak_a: PhaseCurrents
    fallback_a: PhaseCurrents
    """Sum below it when nobody controls it, ratings of EVSEs that hold no lease included."""
    certificate_headroom_a: PhaseCurrents
    """Left below the limit when everything has failed; the certificate holds from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitEffect:
    """One circuit before and after."""

    id: str
    change: Change
    before: CircuitFigures | None
    after: CircuitFigures | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StationEffect:
    """One station that is added, removed or changed, in words."""

    id: str
    change: Change
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEffect:
    """Another key that changes; None: it is absent."""

    key: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Everything that a change does."""

    circuits: tuple[CircuitEffect, ...]
    stations: tuple[StationEffect, ...]
    keys: tuple[KeyEffect, ...]
    restart: tuple[str, ...]
    """Keys that count only after the next start of the controller."""
    warnings: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing changes but texts and comments."""
        return (
            not self.stations
            and not self.keys
            and all(c.change is Change.SAME for c in self.circuits)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigProblem:
    """Why a configuration is refused: the place, what is wrong, and what to write instead."""

    line: int | None
    column: int | None
    path: str
    text: str
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A proposed text: its problems, or without any what it does."""

    text: str = field(repr=False)
    problems: tuple[ConfigProblem, ...] = ()
    effect: Effect | None = None


# --- what became of a change ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """It is in force, on trial for its first cycles."""

    version: ConfigVersion
    effect: Effect
    trial_s: float
    """How long it is watched at most. [s]"""


class RefusalKind(Enum):
    """Why a change was not made."""

    OUTDATED = "changed-meanwhile"
    FILE_EDITED = "file-edited"
    FILE_LOCKED = "file-not-writable"
    IN_USE = "evse-in-use"
    ON_TRIAL = "trial-under-way"
    NOT_KEPT = "no-site-file"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRefused:
    """It was not made; nothing has changed."""

    kind: RefusalKind
    text: str
    mend: str


ChangeResult = Changed | Review | ChangeRefused
"""A `Review` here has problems."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What somebody wants: a whole text, or the whole content as plain values."""

    text: str | None = field(default=None, repr=False)
    data: Mapping[str, Any] | None = None
    """Replaces the content; comments of what stays are kept."""
    actor: str = ""
    note: str = ""
    expected: int | None = None
    """Number of the version that the change was made from; None: whatever is in force."""
    overwrite: bool = False
    """Also when the file was edited on disk meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentConfig:
    """What is in force."""

    version: ConfigVersion
    data: Mapping[str, Any]
    file_changed: bool
    """Somebody edited the file since it was read; the edit is not in force."""
    restart: tuple[str, ...]
    """Keys whose change waits for the next start."""


class Configuration(Protocol):
    """Reads and changes the configuration of the running controller. Control loop only."""

    async def current(self) -> CurrentConfig:
        """Return what is in force."""

    async def review(self, proposal: Proposal) -> Review:
        """Say what a change would do, without making it."""

    async def change(self, proposal: Proposal) -> ChangeResult:
        """Put a change in force between two cycles; it is rolled back when these fail."""
