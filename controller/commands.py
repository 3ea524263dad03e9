"""What the controller asks of a station, and how it can end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from controller.site import EvseId, StationId
from controller.transaction import TransactionId


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLimit:
    """Grant an EVSE a current for a time. Every grant above the fallback is a lease."""

    evse: EvseId
    limit_a: float
    """Per phase, already rounded to the EVSE's step. 0 pauses. [A]"""
    lease_s: float
    transaction: TransactionId | None
    """Running transaction; None: the station holds the limit as its default for the next one."""
    cause: str
    """Why, in words: which circuit, which rule."""


Command = SetLimit


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The station confirmed."""

    self_expiring: bool
    """True: the station ends the limit by itself (a lease). False: it stays until replaced."""
    answer: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """What the station answered to an operator's action, in the names of the wire."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The station answered and refused in every form we know."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedOut:
    """No answer in time: it may or may not have taken effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotConnected:
    """Nothing was sent."""


CommandResult = Applied | Rejected | TimedOut | NotConnected


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOutcome:
    """A finished command; the ledger learns from it at the next decision."""

    command: Command
    result: CommandResult
    sent_s: float
    done_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """End a session: its station does not keep to its limit, and its circuit carries too much."""

    evse: EvseId
    transaction: TransactionId


class StationAction(Enum):
    """Operator's actions on a station or EVSE that are not limits."""

    START = "start"
    STOP = "stop"
    UNLOCK = "unlock"
    SOFT_RESET = "soft_reset"
    HARD_RESET = "hard_reset"
    TRIGGER_STATUS = "trigger_status"
    TRIGGER_METER_VALUES = "trigger_meter_values"
    TRIGGER = "trigger"
    AVAILABILITY = "availability"
    CLEAR_CACHE = "clear_cache"
    RESERVE = "reserve"
    CANCEL_RESERVATION = "cancel_reservation"
    READ_CONFIGURATION = "read_configuration"
    WRITE_CONFIGURATION = "write_configuration"
    READ_REPORT = "read_report"
    UPDATE_FIRMWARE = "update_firmware"
    GET_LOG = "get_log"
    TRANSFER_DATA = "transfer_data"
    DRILL = "drill"
    CALL = "call"
    """Any message of the station's OCPP version, checked against its schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRequest:
    """An operator's action, addressed to a station and, where it matters, one EVSE."""

    station: StationId
    evse: EvseId | None
    action: StationAction
    argument: str = ""
    """START: the id token. STOP: the transaction id."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What the action needs besides; the names are those of `docs/api.md`."""
