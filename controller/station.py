"""A charging station as the controller sees it, whatever its OCPP version, and what can happen to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from controller.readings import EvseSample, Reading
from controller.site import EvseId, StationId
from controller.transaction import Transaction


class EvseState(Enum):
    """State of an EVSE: 1.6 ChargePointStatus, or 2.0.1 connector status with charging state."""

    # Members are single objects; Enum's own hash is Python code and shows up in every cycle.
    __hash__ = object.__hash__

    UNKNOWN = "unknown"
    """Nothing received since the station connected."""
    AVAILABLE = "available"
    CONNECTED = "connected"
    """A vehicle is plugged in and takes no energy yet (1.6 Preparing)."""
    CHARGING = "charging"
    SUSPENDED_EV = "suspended_ev"
    SUSPENDED_EVSE = "suspended_evse"
    FINISHING = "finishing"
    RESERVED = "reserved"
    UNAVAILABLE = "unavailable"
    FAULTED = "faulted"


class LeaseMode(Enum):
    """How a station takes limits, as found out while talking to it."""

    UNKNOWN = "unknown"
    LEASED = "leased"
    """Profile set S: a permanent fallback below a limit that ends by itself."""
    PERMANENT = "permanent"
    """Profile set T: the limit stays until replaced; the station cannot protect the site alone."""
    UNCONTROLLABLE = "uncontrollable"
    """It refused every form of limit."""


class ZeroLimit(Enum):
    """What a limit of 0 A does at a station."""

    PAUSES = "pauses"
    """The station suspends and resumes by itself."""
    STAYS_PAUSED = "stays_paused"
    """The vehicle does not resume afterwards: it is served before others and paused only in need."""
    REFUSED = "refused"
    """The station rejects 0: its minimum is the smallest limit it takes."""
    UNLIMITED = "unlimited"
    """The station reads 0 as no limit: its minimum is the smallest limit that is safe."""

    @property
    def can_pause(self) -> bool:
        """Whether 0 A is a limit that the station keeps to."""
        return self in (ZeroLimit.PAUSES, ZeroLimit.STAYS_PAUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StationBehaviour:
    """How a station of this model and firmware follows limits, as known or learned."""

    zero_limit: ZeroLimit = ZeroLimit.PAUSES
    settle_s: float | None = None
    """How long it was seen to take to follow a lower limit; None: no longer than usual. [s]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StationInfo:
    """What a station says about itself at boot."""

    vendor: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingNeeds:
    """What a vehicle itself asked for (ISO 15118, reported by the station)."""

    departure_at: datetime | None = None
    energy_wh: float | None = None
    max_a: float | None = None
    """Most it can take per phase. [A]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """How far a station is with something that takes long: a firmware update, an upload."""

    status: str
    """As the station words it, for example `Downloading`."""
    at: datetime
    request_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseView:
    """The latest about one EVSE."""

    id: EvseId
    state: EvseState = EvseState.UNKNOWN
    state_since_s: float = 0.0
    error_code: str | None = None
    """1.6 error code other than NoError, or 2.0.1 event; kept as received."""
    faulted_since_s: float | None = None
    """Since when the last state it told has been Faulted, over reconnections. [s]"""
    transaction: Transaction | None = None
    sample: Reading[EvseSample] | None = None
    fallback_a: float | None = None
    """Fallback that the station confirmed to hold; None: not confirmed, it may draw `max_a`. [A]"""
    fallback_since_s: float | None = None
    """When the station confirmed it. [s]"""
    external_limit_a: float | None = None
    """Limit that something else put on the station (NotifyChargingLimit), per phase. [A]"""
    needs: ChargingNeeds | None = None
    """What the plugged vehicle asked for; an operator's wish goes before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StationView:
    """The latest about one station."""

    id: StationId
    connected: bool = False
    connected_since_s: float | None = None
    lost_since_s: float | None = None
    last_heard_s: float | None = None
    protocol: str = ""
    """`ocpp1.6` or `ocpp2.0.1`."""
    info: StationInfo = field(default_factory=StationInfo)
    lease_mode: LeaseMode = LeaseMode.UNKNOWN
    behaviour: StationBehaviour = field(default_factory=StationBehaviour)
    clock_skew_s: float | None = None
    """Station clock minus ours. [s]"""
    evses: Mapping[EvseId, EvseView] = field(default_factory=dict)
    jobs: Mapping[str, Job] = field(default_factory=dict)
    """Latest state per kind: `firmware`, `log`, `publish`, `drill`."""


# --- events: what an adapter tells the controller -------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class StationConnected:
    """A station opened an authenticated connection."""

    station: StationId
    protocol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StationDisconnected:
    """The connection ended or was found dead."""

    station: StationId


@dataclass(frozen=True, slots=True, kw_only=True)
class StationBooted:
    """BootNotification."""

    station: StationId
    info: StationInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class StationHeard:
    """Any frame arrived."""

    station: StationId
    clock_skew_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseModeFound:
    """Provisioning or an answer showed how the station takes limits."""

    station: StationId
    mode: LeaseMode


@dataclass(frozen=True, slots=True, kw_only=True)
class BehaviourFound:
    """The station was recognised, or showed how it follows limits."""

    station: StationId
    behaviour: StationBehaviour


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackConfirmed:
    """The station accepted the permanent fallback of an EVSE."""

    evse: EvseId
    fallback_a: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseStateChanged:
    """StatusNotification, or the charging state of a 2.0.1 transaction."""

    evse: EvseId
    state: EvseState
    error_code: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionChanged:
    """A transaction started, went on or ended (`ended_at`); already stored when this is posted."""

    transaction: Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseSampled:
    """Live meter values; replayed ones (from an offline queue) never become this event."""

    evse: EvseId
    sample: EvseSample


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReported:
    """A station says how far a job is."""

    station: StationId
    kind: str
    job: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalLimitReported:
    """Something else limits an EVSE, or no longer does (None)."""

    evse: EvseId
    limit_a: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingNeedsReported:
    """A vehicle said what it needs."""

    evse: EvseId
    needs: ChargingNeeds


StationEvent = (
    StationConnected
    | StationDisconnected
    | StationBooted
    | StationHeard
    | LeaseModeFound
    | BehaviourFound
    | FallbackConfirmed
    | EvseStateChanged
    | TransactionChanged
    | EvseSampled
    | JobReported
    | ExternalLimitReported
    | ChargingNeedsReported
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameLogged:
    """One OCPP frame for the station's log, secrets already removed."""

    station: StationId
    at: datetime
    inbound: bool
    action: str
    text: str
