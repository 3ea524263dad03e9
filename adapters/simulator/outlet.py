"""One EVSE as its station sees it: who is plugged in, which transaction runs, what was reported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from adapters.simulator.charger import Charger, ChargerState
from adapters.simulator.profiles import Profile
from adapters.simulator.vehicle import PluggedVehicle


class Trigger(Enum):
    """Why a transaction began."""

    CARD = "card"
    REMOTE = "remote"


class StopReason(Enum):
    """Why a transaction ended; values are those of OCPP 1.6."""

    UNPLUGGED = "EVDisconnected"
    REMOTE = "Remote"
    REFUSED = "DeAuthorized"
    SOFT_RESET = "SoftReset"
    HARD_RESET = "HardReset"
    UNLOCKED = "UnlockCommand"


class ConnectorStatus(Enum):
    """Status of a connector; values are those of OCPP 1.6."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    FINISHING = "Finishing"
    UNAVAILABLE = "Unavailable"


@dataclass(slots=True, kw_only=True)
class Transaction:
    """A running transaction."""

    id: str
    """As the controller knows it; in 1.6 empty until StartTransaction is answered."""
    card: str
    trigger: Trigger
    start_s: float
    """By the station's clock. [s]"""
    meter_start_wh: int
    remote_start_id: int | None = None
    sequence: int = 0
    """Number of the next TransactionEvent."""
    is_refused: bool = False
    """The controller did not accept the card after all."""


@dataclass(slots=True, kw_only=True)
class RemoteStart:
    """A transaction that was asked for and waits for a vehicle."""

    card: str
    until_s: float
    remote_start_id: int | None = None
    profile: Profile | None = None
    """TxProfile that came with it."""


class Outlet:
    """State of one EVSE inside its station."""

    def __init__(self, number: int, charger: Charger) -> None:
        self.number = number
        self.charger = charger
        self.limit_a = charger.evse.max_a
        self.transaction: Transaction | None = None
        self.remote_start: RemoteStart | None = None
        self.vehicle: PluggedVehicle | None = None
        """Who was plugged in when the station looked last."""
        self.is_operative = True
        self.becomes_inoperative = False
        self.authorise_at_s: float | None = None
        self.has_ended = False
        """A transaction has ended and the vehicle is still there."""
        self.sampled_s = float("-inf")
        """When the running transaction was sampled last. [s]"""
        self.reported: str | None = None
        self.reported_charging: ChargerState | None = None

    @property
    def is_plugged(self) -> bool:
        """Tell whether the station has noticed a vehicle."""
        return self.vehicle is not None

    @property
    def status(self) -> ConnectorStatus:
        """Status by the state model of OCPP 1.6."""
        if not self.is_operative:
            return ConnectorStatus.UNAVAILABLE
        if self.transaction is None:
            if not self.is_plugged:
                return (
                    ConnectorStatus.AVAILABLE
                    if self.remote_start is None
                    else ConnectorStatus.PREPARING
                )
            return ConnectorStatus.FINISHING if self.has_ended else ConnectorStatus.PREPARING
        return {
            ChargerState.CHARGING: ConnectorStatus.CHARGING,
            ChargerState.SUSPENDED_EV: ConnectorStatus.SUSPENDED_EV,
            ChargerState.WAITING: ConnectorStatus.PREPARING,
        }.get(self.charger.state, ConnectorStatus.SUSPENDED_EVSE)


def charging_at(outlets: Iterable[Outlet], transaction: str) -> Outlet | None:
    """Find the EVSE of a running transaction."""
    return next((o for o in outlets if o.transaction and o.transaction.id == transaction), None)


def free_among(outlets: Iterable[Outlet], number: int | None) -> Outlet | None:
    """Find an EVSE where a transaction can start; None as number: any."""
    wanted = [o for o in outlets if number in (None, o.number)]
    return next((o for o in wanted if o.is_operative and o.transaction is None), None)
