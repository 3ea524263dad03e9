"""What a decision says: the state of the site, what each EVSE gets, why, and what to send."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from controller.commands import Command, Stop
from controller.phases import Phase, PhaseCurrents
from controller.site import CircuitId, EvseId
from controller.station import EvseState
from controller.transaction import IdToken, TransactionId


class SiteMode(Enum):
    """How much the controller knows, from best to worst. A site is as bad as its worst circuit."""

    NORMAL = "normal"
    HOLD = "hold"
    """Meter a few seconds old, or just recovered: nothing rises."""
    BLIND = "blind"
    """Meter lost: the building counts with its worst case."""
    FALLBACK = "fallback"
    """Meter lost for long, or no allocation was possible: every EVSE at its fallback."""


class ReasonCode(Enum):
    """Why an EVSE has its setpoint."""

    NO_VEHICLE = "no_vehicle"
    OWN_MAXIMUM = "own_maximum"
    OPERATOR_MAXIMUM = "operator_maximum"
    CIRCUIT_FULL = "circuit_full"
    VEHICLE_TAKES_LESS = "vehicle_takes_less"
    VEHICLE_FINISHED = "vehicle_finished"
    WAITING_TURN = "waiting_turn"
    WAITING_RISE = "waiting_rise"
    """More is planned; it waits for a decrease elsewhere or for its next allowed rise."""
    PAUSED = "paused"
    METER_LOST = "meter_lost"
    NOT_CONNECTED = "not_connected"
    NOT_CONTROLLABLE = "not_controllable"
    FAULTED = "faulted"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """An explained number. Read aloud, `text` answers "why not more?"."""

    code: ReasonCode
    text: str
    bound_by: str = ""
    """The circuit and phase that binds, as `garage-a L1`; empty when no circuit does."""
    wording: str = ""
    """Which sentence of its code this is, for catalogues of texts; empty: the usual one."""
    values: Mapping[str, str] = field(default_factory=dict)
    """What the sentence names. Names that end in a unit hold a decimal number, as `limit_a`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitStatus:
    """One circuit at one instant. All currents per phase, + towards the loads. [A]"""

    id: CircuitId
    mode: SiteMode
    rating_a: PhaseCurrents
    limit_a: PhaseCurrents
    """In force: the rating, an operator's lower limit, or less while the device cools down."""
    measured_a: PhaseCurrents | None
    measured_age_s: float | None
    building_a: PhaseCurrents
    """What is counted for everything that is not one of our stations."""
    committed_a: PhaseCurrents
    """What our stations may draw by what was granted or measured."""
    headroom_a: PhaseCurrents
    """limit - building - committed; below 0 means: being reduced."""
    thermal_ratio: PhaseCurrents
    """Estimated heat of the protective device; 1 trips. Dimensionless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseStatus:
    """One EVSE at one instant."""

    id: EvseId
    state: EvseState
    connected: bool
    drawn_a: PhaseCurrents | None
    """Measured, per grid phase. None: not known. [A]"""
    power_w: float | None
    energy_wh: float | None
    """Of the running transaction. [Wh]"""
    soc_percent: float | None
    setpoint_a: float
    """What we want it to be limited to. [A]"""
    committed_a: float
    """What it may draw per phase, by what was granted and not yet ended, or measured. [A]"""
    lease_until_s: float | None
    """Monotonic end of the running lease; None: no lease. [s]"""
    transaction: TransactionId | None
    id_token: IdToken | None
    reason: Reason


class Severity(Enum):
    """How soon somebody should look."""

    INFO = "info"
    WARNING = "warning"
    ALARM = "alarm"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Something that is wrong now. It begins and ends; `Alarm` records both."""

    code: str
    """Upper case, stable, for example `METER_LOST`."""
    subject: str
    """Id of the meter, circuit, station or EVSE concerned, or `site`."""
    text: str
    """What is wrong and what to do."""
    severity: Severity
    values: Mapping[str, str] = field(default_factory=dict)
    """What the text names besides the subject, for catalogues of texts; as in `Reason`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A condition with its begin and, when over, its end."""

    condition: Condition
    begin: datetime
    end: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The explained state of the site after a decision. This is what screens show."""

    now_s: float
    at: datetime
    mode: SiteMode
    method: str
    """`lp`, `filling` or `fallback`: what produced the allocation."""
    circuits: Mapping[CircuitId, CircuitStatus]
    evses: Mapping[EvseId, EvseStatus]
    conditions: tuple[Condition, ...] = field(default_factory=tuple)
    binding: Mapping[EvseId, tuple[CircuitId, Phase]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """Commands for this cycle. Decreases may all go at once; increases are already paid for."""

    decreases: tuple[Command, ...] = ()
    renewals: tuple[Command, ...] = ()
    increases: tuple[Command, ...] = ()
    questions: tuple[EvseId, ...] = ()
    """EVSEs whose meter values are overdue and shall be asked for."""
    stops: tuple[Stop, ...] = ()
    """Sessions that must end so that no circuit stays above its rating."""

    def __len__(self) -> int:
        """Count all limits that are sent; a question changes none, and a stop ends one."""
        return len(self.decreases) + len(self.renewals) + len(self.increases)
