"""What goes over the wire. Field names are the contract; domain values never leak through."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer

from controller.records import TokenKind, TokenStatus
from controller.token_table import LEAST_MAX_A

Number = Annotated[float, Field(allow_inf_nan=False)]


def rfc3339(at: datetime) -> str:
    """Write an instant in UTC, to the millisecond, ending in Z."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plausible(at: datetime) -> datetime:
    if not 1970 < at.year < 2200:
        raise ValueError("must lie between 1971 and 2199")
    return at.astimezone(UTC)


def _plain(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must not contain control characters")
    return text


Instant = Annotated[datetime, PlainSerializer(rfc3339, return_type=str)]
"""An instant in an answer: RFC 3339, UTC."""
InstantIn = Annotated[AwareDatetime, AfterValidator(_plausible)]
"""An instant in a request: RFC 3339 with its offset."""
Text = Annotated[str, AfterValidator(_plain)]
Values = dict[str, str]
VALUES = "What the text names, for catalogues; names with a unit hold a number, as `limit_a`."
TokenId = Annotated[str, Field(min_length=1, max_length=36), AfterValidator(_plain)]


def example(**fields: Any) -> ConfigDict:
    """Show an answer in the API's description."""
    return ConfigDict(json_schema_extra={"examples": [dict(fields)]})


class Answer(BaseModel):
    """Base of what is answered."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="null")


class Request(BaseModel):
    """Base of what is asked: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Problem(Answer):
    """Problem details (RFC 9457)."""

    model_config = example(
        type="urn:wattkeeper:problem:above-rating",
        title="Invalid value",
        status=422,
        detail="limit_a: above the rating of circuit main (L1 250 A, L2 250 A, L3 250 A).",
        instance="/api/v1/circuits/main",
        mend="Give at most 250 A, or a value per phase; the rating itself is changed in the "
        "site file.",
    )

    type: str
    title: str
    status: int
    detail: str
    instance: str
    mend: str
    """What to do about it."""
    errors: list[dict[str, str]] | None = None


class Phases(Answer):
    """One figure per phase of the grid connection; null: not known."""

    l1: float | None
    l2: float | None
    l3: float | None


class ReasonOut(Answer):
    """Why a number is what it is."""

    code: str
    text: str
    bound_by: str | None = Field(description="Circuit and phase that bind, as `garage-a L1`.")
    wording: str = Field("", description="Which sentence of the code; empty: the usual one.")
    values: Values = Field({}, description=VALUES)


class AlarmOut(Answer):
    """A condition with its begin and, when over, its end."""

    code: str
    subject: str
    text: str
    severity: str
    begin: Instant
    end: Instant | None
    values: Values = Field({}, description=VALUES)


class CircuitOut(Answer):
    """A circuit now. Currents per phase, + towards the loads. [A]"""

    model_config = example(
        id="garage-a",
        parent="main",
        mode="normal",
        device="mcb",
        meter=None,
        rating_a={"l1": 125, "l2": 125, "l3": 125},
        limit_a={"l1": 60, "l2": 60, "l3": 60},
        operating_limit_a={"l1": 60, "l2": 60, "l3": 60},
        measured_a=None,
        measured_age_s=None,
        building_a={"l1": 0, "l2": 0, "l3": 0},
        committed_a={"l1": 48, "l2": 48, "l3": 48},
        headroom_a={"l1": 12, "l2": 12, "l3": 12},
        thermal_ratio={"l1": 0.2, "l2": 0.2, "l3": 0.2},
    )

    id: str
    parent: str | None
    mode: str
    device: str | None
    meter: str | None
    rating_a: Phases
    limit_a: Phases = Field(description="In force now.")
    operating_limit_a: Phases | None = Field(description="Set by an operator; null: none.")
    measured_a: Phases | None
    measured_age_s: float | None
    building_a: Phases
    committed_a: Phases
    headroom_a: Phases
    thermal_ratio: Phases


class LastCycle(Answer):
    """The latest decision."""

    solver: str
    solve_ms: float | None
    age_s: float
    at: Instant


class SiteOut(Answer):
    """The whole site in one answer."""

    id: str
    name: str
    timezone: str
    voltage_v: float
    mode: str
    alarms: list[AlarmOut]
    last_cycle: LastCycle
    circuits: list[CircuitOut]


class Circuits(Answer):
    """A page of circuits by id."""

    items: list[CircuitOut]
    next_offset: int | None


class PhaseLimits(Request):
    """A limit per phase; a phase that is absent stays as it is, null lifts its limit. [A]"""

    l1: Annotated[Number, Field(ge=0)] | None = None
    l2: Annotated[Number, Field(ge=0)] | None = None
    l3: Annotated[Number, Field(ge=0)] | None = None


class CircuitPatch(Request):
    """An operating limit at or below the rating; null lifts it. [A]"""

    model_config = ConfigDict(json_schema_extra={"examples": [{"limit_a": 60}, {"limit_a": None}]})
    limit_a: Annotated[Number, Field(ge=0)] | PhaseLimits | None = None


class EvseOut(Answer):
    """One EVSE now."""

    model_config = example(
        id="CP001/1",
        station="CP001",
        evse=1,
        circuit="garage-a",
        state="charging",
        connected=True,
        drawn_a={"l1": 15.8, "l2": 15.7, "l3": 15.9},
        power_w=10900,
        energy_wh=4200,
        soc_percent=None,
        setpoint_a=16,
        committed_a=16,
        lease_until="2026-03-02T08:05:00.000Z",
        session_id="CP001/17",
        id_token="04A1B2C3D4",  # noqa: S106 - the number of a card, no secret of ours
        reason={
            "code": "circuit_full",
            "text": "16 A: garage-a is full on L1; 3 vehicles share 48 A.",
            "bound_by": "garage-a L1",
        },
        priority=0,
        max_a=32,
        min_a=6,
        rating_a=32,
        fallback_a=6,
        paused=False,
        departure_at=None,
        energy_need_wh=None,
    )

    id: str
    station: str
    evse: int
    kind: Literal["vehicle", "load"] = Field(
        "vehicle", description="`load`: a battery, heat pump or other load; never has a session."
    )
    circuit: str | None
    state: str
    connected: bool
    drawn_a: Phases | None
    power_w: float | None
    energy_wh: float | None
    soc_percent: float | None
    setpoint_a: float
    committed_a: float
    lease_until: Instant | None
    session_id: str | None
    id_token: str | None = Field(description="Shortened for viewers.")
    reason: ReasonOut
    priority: int | None
    max_a: float | None = Field(description="The rating, or less when an operator says so.")
    min_a: float | None
    rating_a: float | None
    fallback_a: float | None
    paused: bool
    departure_at: Instant | None
    energy_need_wh: float | None
    label: str | None = Field(None, description="The token's label; for operators.")
    finish_at: Instant | None = Field(
        None, description="When the energy need is met at the present power; null: not known."
    )
    finish_text: str | None = None


class Evses(Answer):
    """A page of EVSEs by id."""

    items: list[EvseOut]
    next_offset: int | None


class EvsePatch(Request):
    """An operator's wishes: absent stays as it is, null is lifted."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"priority": 5, "max_a": 16},
                {"departure_at": "2026-03-02T06:30:00Z", "energy_need_wh": 22000},
                {"max_a": None},
            ]
        }
    )
    priority: Annotated[int, Field(ge=-1000, le=1000)] | None = None
    max_a: Annotated[Number, Field(ge=0)] | None = None
    departure_at: InstantIn | None = None
    energy_need_wh: Annotated[Number, Field(ge=0, le=10_000_000)] | None = None


class WhyStep(Answer):
    """One circuit between an EVSE and the grid."""

    circuit: str
    mode: str
    binds: bool
    bound_phase: str | None
    limit_a: Phases
    building_a: Phases
    committed_a: Phases
    headroom_a: Phases


class HeldByOut(Answer):
    """A limit that holds an EVSE."""

    subject: str
    """The circuit, or the name of a common budget."""
    phase: str | None
    """`l1`; `l1-l2` for a difference between two phases; null: all together."""


class ChangeOut(Answer):
    """Something that would give an EVSE more."""

    kind: str
    gain_a: float
    text: str
    circuit: str | None
    limit_a: float | None
    at: Instant | None
    """When its turn comes (`its_turn`)."""


class ExplanationOut(Answer):
    """What holds an EVSE, who shares it, and what would change it."""

    text: str
    held_by: list[HeldByOut]
    gain_per_ampere: float | None
    """What it would gain per ampere more on what holds it."""
    missing_a: float | None
    """What is missing for its minimum, while it waits. [A]"""
    shared_with: list[str]
    changes: list[ChangeOut]


class WhyOut(Answer):
    """Why an EVSE has its setpoint, with the numbers from its circuit up to the grid."""

    id: str
    at: Instant
    state: str
    setpoint_a: float
    committed_a: float
    drawn_a: Phases | None
    max_a: float | None
    reason: ReasonOut
    chain: list[WhyStep]
    explanation: ExplanationOut | None
    """Computed for this answer from the latest snapshot; null for a moment of the past."""
    conditions: list[AlarmOut]


class StartRequest(Request):
    """Who charges."""

    id_token: TokenId


class ActionOut(Answer):
    """What became of an action."""

    action: str
    subject: str
    result: str
    answer: dict[str, Any] = {}
    """What the station answered, in the names of the wire."""


class ResetKind(Enum):
    """How a station restarts."""

    SOFT = "soft"
    HARD = "hard"


class ResetRequest(Request):
    """How to restart."""

    kind: ResetKind = ResetKind.SOFT


class TriggerKind(Enum):
    """What a station is asked to send at once."""

    STATUS = "status"
    METER_VALUES = "meter_values"


class TriggerRequest(Request):
    """What to ask for, and of which EVSE; null: of the whole station."""

    what: TriggerKind = TriggerKind.STATUS
    message: Annotated[str, Field(min_length=1, max_length=50)] | None = None
    """Any message of OCPP that can be triggered, in place of `what`: `Heartbeat`."""
    evse: Annotated[int, Field(ge=1, le=1000)] | None = None


class StationInfoOut(Answer):
    """What a station said about itself."""

    vendor: str
    model: str
    serial: str
    firmware: str


class JobOut(Answer):
    """How far a station is with something that takes long."""

    status: str
    """As the station words it: `Downloading`, `Installed`, `Uploaded`; of a drill its verdict."""
    at: Instant
    request_id: int | None


class StationOut(Answer):
    """A station now."""

    id: str
    configured: bool
    connected: bool
    protocol: str | None
    lease_mode: str
    info: StationInfoOut
    last_boot_at: Instant | None
    last_heard_age_s: float | None
    clock_skew_s: float | None
    jobs: dict[str, JobOut]
    """Latest of each kind: `firmware`, `log`, `publish`, `drill`."""
    has_secret: bool
    evses: list[str]


class Stations(Answer):
    """A page of stations by id."""

    items: list[StationOut]
    next_offset: int | None


class FrameOut(Answer):
    """One OCPP frame, secrets removed. The text is for operators."""

    at: Instant
    direction: str
    action: str
    text: str | None


class StationDetail(StationOut):
    """A station with its latest frames, oldest first."""

    frames: list[FrameOut]


class SessionOut(Answer):
    """One transaction."""

    model_config = example(
        id="CP001/17",
        transaction_id="17",
        station="CP001",
        evse="CP001/1",
        id_token="04A1B2C3D4",  # noqa: S106 - the number of a card, no secret of ours
        started_at="2026-03-01T12:01:00.000Z",
        ended_at="2026-03-01T14:01:00.000Z",
        end_reason="Local",
        energy_wh=7500,
        start_wh=1000,
        last_wh=8500,
    )

    id: str
    transaction_id: str
    station: str
    evse: str
    id_token: str | None = Field(description="Shortened for viewers.")
    started_at: Instant
    ended_at: Instant | None
    end_reason: str | None
    energy_wh: float | None
    start_wh: float | None
    last_wh: float | None


class Sessions(Answer):
    """A page of sessions, newest first."""

    items: list[SessionOut]
    next_offset: int | None = Field(description="Where the next page begins; null: no more.")
    total: int = Field(description="How many there are on all pages.")


class TokenIn(Request):
    """An RFID card or other id token."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"status": "accepted", "label": "Van 7", "priority": 2}]}
    )
    status: TokenStatus = TokenStatus.ACCEPTED
    label: Annotated[Text, Field(max_length=100)] = ""
    group: TokenId | None = None
    expires_at: InstantIn | None = None
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    kind: TokenKind = TokenKind.ISO14443
    max_a: Annotated[float, Field(ge=LEAST_MAX_A, le=1000)] | None = None
    stations: Annotated[list[Text], Field(max_length=1000)] = []
    concurrent: Annotated[int, Field(ge=1, le=1000)] | None = None


class TokenOut(Answer):
    """An id token known at this site."""

    id: str
    status: TokenStatus
    label: str
    group: str | None = Field(
        description="Its parentIdTag; a token with that id limits all members."
    )
    expires_at: Instant | None
    priority: int
    kind: TokenKind
    max_a: float | None = Field(description="Most current of its sessions per phase; null: any.")
    stations: list[str] = Field(description="Where it may charge; empty: everywhere.")
    concurrent: int | None = Field(description="Sessions at once; null: any number.")


class TokensImported(Answer):
    """What an import changed."""

    added: int
    changed: int
    same: int
    deleted: int


class Tokens(Answer):
    """Tokens by id."""

    items: list[TokenOut]
    next_offset: int | None


class Point(Answer):
    """One step of a series."""

    at: Instant
    value: float | None


class History(Answer):
    """The mean of a field per step."""

    measurement: str
    field: str
    tags: dict[str, str]
    step_s: float
    points: list[Point]


class HistoryTable(Answer):
    """The means of several fields on one time axis; null: not known."""

    model_config = example(
        measurement="circuit",
        fields=["building_l1", "committed_l1"],
        tags={"circuit": "main"},
        step_s=60,
        at=["2026-03-02T08:00:00.000Z"],
        series={"building_l1": [41.2], "committed_l1": [48]},
    )

    measurement: str
    fields: list[str]
    tags: dict[str, str]
    step_s: float
    at: list[Instant]
    series: dict[str, list[float | None]]


class Alarms(Answer):
    """A page of alarms, newest first."""

    items: list[AlarmOut]
    next_offset: int | None


class AuditOut(Answer):
    """Who changed what; `before` and `after` are JSON text."""

    at: Instant
    actor: str
    action: str
    subject: str
    before: str
    after: str


class Audit(Answer):
    """A page of the audit log, newest first."""

    items: list[AuditOut]
    next_offset: int | None


class SignIn(Request):
    """Name and password of an account."""

    model_config = ConfigDict(str_strip_whitespace=False, hide_input_in_errors=True)
    name: Annotated[Text, Field(min_length=1, max_length=64)]
    password: Annotated[str, Field(min_length=1, max_length=256)]


class SignedIn(Answer):
    """Who is signed in."""

    name: str
    role: str


class Health(Answer):
    """Alive, or ready."""

    status: str
    cycle_age_s: float | None = None
