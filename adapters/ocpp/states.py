"""States of connectors and transactions of both versions as `EvseState`, and answers to tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from adapters.ocpp.clocks import wire_time
from controller.records import Authorization, TokenStatus
from controller.station import EvseState

CHARGE_POINT_STATUS = {
    "Available": EvseState.AVAILABLE,
    "Preparing": EvseState.CONNECTED,
    "Charging": EvseState.CHARGING,
    "SuspendedEVSE": EvseState.SUSPENDED_EVSE,
    "SuspendedEV": EvseState.SUSPENDED_EV,
    "Finishing": EvseState.FINISHING,
    "Reserved": EvseState.RESERVED,
    "Unavailable": EvseState.UNAVAILABLE,
    "Faulted": EvseState.FAULTED,
}
"""OCPP 1.6 section 7.7, ChargePointStatus."""

CHARGING_STATE = {
    "Charging": EvseState.CHARGING,
    "EVConnected": EvseState.CONNECTED,
    "SuspendedEV": EvseState.SUSPENDED_EV,
    "SuspendedEVSE": EvseState.SUSPENDED_EVSE,
    "Idle": EvseState.CONNECTED,
}
"""OCPP 2.0.1 ChargingStateEnumType. Idle inside a transaction is what 1.6 calls Preparing."""

CONNECTOR_RANK = ("Occupied", "Faulted", "Reserved", "Unavailable", "Available")
"""Of several connectors of one EVSE the first of these speaks for it."""

TOKEN_STATUS = {
    TokenStatus.ACCEPTED: "Accepted",
    TokenStatus.BLOCKED: "Blocked",
    TokenStatus.EXPIRED: "Expired",
    TokenStatus.INVALID: "Invalid",
    TokenStatus.CONCURRENT_TX: "ConcurrentTx",
}
"""1.6 AuthorizationStatus and 2.0.1 AuthorizationStatusEnumType."""


def evse_state(
    connectors: Iterable[str], charging_state: str | None, *, in_transaction: bool
) -> EvseState:
    """Combine what OCPP 2.0.1 reports apart: connector states and the transaction's charging state.

    Args:
        connectors: ConnectorStatusEnumType of every connector of the EVSE.
        charging_state: ChargingStateEnumType as last reported in the running transaction.
        in_transaction: Whether a transaction runs.

    Source: OCPP 2.0.1 G01, E02.
    """
    present = set(connectors)
    status = next((s for s in CONNECTOR_RANK if s in present), None)
    if status == "Faulted":
        return EvseState.FAULTED
    if in_transaction and charging_state is not None:
        return CHARGING_STATE.get(charging_state, EvseState.CONNECTED)
    match status:
        case "Occupied":
            return EvseState.CONNECTED
        case "Available":
            return EvseState.AVAILABLE
        case "Reserved":
            return EvseState.RESERVED
        case "Unavailable":
            return EvseState.UNAVAILABLE
        case _:
            return EvseState.CONNECTED if in_transaction else EvseState.UNKNOWN


def id_tag_info(authorization: Authorization) -> dict[str, Any]:
    """Write OCPP 1.6 IdTagInfo."""
    info: dict[str, Any] = {"status": TOKEN_STATUS[authorization.status]}
    if authorization.expires_at is not None:
        info["expiryDate"] = wire_time(authorization.expires_at)
    if authorization.group is not None and len(authorization.group) <= 20:
        info["parentIdTag"] = authorization.group
    return info


def id_token_info(authorization: Authorization) -> dict[str, Any]:
    """Write OCPP 2.0.1 IdTokenInfoType; the priority keeps to -9..9."""
    info: dict[str, Any] = {"status": TOKEN_STATUS[authorization.status]}
    if authorization.expires_at is not None:
        info["cacheExpiryDateTime"] = wire_time(authorization.expires_at)
    if authorization.group is not None and len(authorization.group) <= 36:
        info["groupIdToken"] = {"idToken": authorization.group, "type": "Central"}
    if authorization.priority != 0:
        info["chargingPriority"] = max(-9, min(9, authorization.priority))
    return info
