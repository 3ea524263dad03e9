"""The configuration over the wire."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from adapters.http.models import Answer, Instant, Phases, Request, Text, example

_EXAMPLE_TEXT = "format: site/1\nsite: {id: depot-nord, name: Depot Nord, timezone: UTC}\n"


class VersionOut(Answer):
    """One version of the site file."""

    model_config = example(
        version=12,
        at="2026-03-02T08:00:00.000Z",
        actor="ada",
        note="second garage",
        state="running",
    )

    version: int
    at: Instant
    actor: str
    note: str
    state: Literal["trial", "running", "superseded", "rolled_back"]


class Versions(Answer):
    """A page of versions, newest first."""

    items: list[VersionOut]
    next_offset: int | None


class ConfigOut(VersionOut):
    """A version with its text, and the same content as JSON."""

    model_config = example(
        version=12,
        at="2026-03-02T08:00:00.000Z",
        actor="ada",
        note="second garage",
        state="running",
        text=_EXAMPLE_TEXT,
        data={"format": "site/1"},
        file_changed=False,
        restart=[],
    )

    text: str
    data: dict[str, Any]
    file_changed: bool = Field(
        False, description="The file was edited on disk; the edit is not in force."
    )
    restart: list[str] = Field(
        default_factory=list, description="Keys whose change waits for the next start."
    )


class ConfigIn(Request):
    """A new configuration: its whole text, or its whole content (comments of the file stay)."""

    model_config = ConfigDict(
        str_strip_whitespace=False,
        json_schema_extra={"examples": [{"text": _EXAMPLE_TEXT, "note": "second garage"}]},
    )
    text: Annotated[str, Field(max_length=900_000)] | None = None
    data: dict[str, Any] | None = None
    note: Annotated[Text, Field(max_length=500)] = ""
    overwrite: bool = Field(
        False, description="Also when the file was edited on disk since it was read."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> ConfigIn:
        if (self.text is None) == (self.data is None):
            raise ValueError("give either text or data")
        return self


class RestoreIn(Request):
    """Why an older version comes back."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "the new limit was wrong"}]})
    note: Annotated[Text, Field(max_length=500)] = ""
    overwrite: bool = False


class ConfigProblemOut(Answer):
    """One reason why a configuration is refused."""

    line: int | None
    column: int | None
    path: str
    text: str
    mend: str


class CircuitFiguresOut(Answer):
    """The numbers of a circuit that keep it safe. [A]"""

    limit_a: Phases
    building_peak_a: Phases
    fallback_a: Phases = Field(description="Sum below it when nobody controls it.")
    certificate_headroom_a: Phases = Field(description="Left when everything has failed.")


class CircuitEffectOut(Answer):
    """A circuit before and after."""

    id: str
    change: Literal["added", "removed", "changed", "same"]
    before: CircuitFiguresOut | None
    after: CircuitFiguresOut | None


class StationEffectOut(Answer):
    """A station that is added, removed or changed."""

    id: str
    change: Literal["added", "removed", "changed", "same"]
    text: str


class KeyEffectOut(Answer):
    """Another key that changes; null: absent."""

    key: str
    before: str | None
    after: str | None


class EffectOut(Answer):
    """Everything that a change does."""

    circuits: list[CircuitEffectOut]
    stations: list[StationEffectOut]
    policy: list[KeyEffectOut] = Field(description="All other keys, dotted.")
    restart: list[str] = Field(description="Keys that count only after the next start.")
    warnings: list[str]


class DryRunOut(Answer):
    """What a change would do, or why it is refused."""

    valid: bool
    problems: list[ConfigProblemOut]
    effect: EffectOut | None
    text: str = Field(description="The text that would be in force.")


class ConfigChanged(Answer):
    """The change is in force, on trial for its first cycles."""

    version: int
    state: Literal["trial", "running", "superseded", "rolled_back"]
    applied: Literal["hot", "restart"] = Field(
        description="`restart`: some keys wait for the next start, see the effect."
    )
    effect: EffectOut
    trial_s: float = Field(description="It is watched for so long at most, then taken back. [s]")
