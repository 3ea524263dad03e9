"""OCPP 2.0.1: operator's actions and read-back as requests."""

from __future__ import annotations

import secrets
from typing import Any

from adapters.ocpp.profiles import RateUnit
from adapters.ocpp.provisioning import Request
from controller.commands import StationAction
from controller.transaction import TransactionId


def action_v201(
    action: StationAction,
    *,
    connector: int | None,
    argument: str,
    running: TransactionId | None,
) -> Request | str:
    """Write an operator's action.

    Args:
        action: What.
        connector: EVSE number; None: the station.
        argument: START: the id token. STOP: the transaction id, empty for the running one.
        running: The transaction that runs at the EVSE.

    Returns:
        The request, or why there can be none.

    Source: OCPP 2.0.1 F01, F03, F05, F06, B11, B12.
    """
    match action:
        case StationAction.START:
            return _start(connector, argument)
        case StationAction.STOP:
            transaction = argument or (running or "")
            if not 1 <= len(transaction) <= 36:
                return "there is no transaction to stop"
            return Request(action="RequestStopTransaction", payload={"transactionId": transaction})
        case StationAction.UNLOCK:
            if connector is None:
                return "unlock needs an EVSE"
            return Request(
                action="UnlockConnector", payload={"evseId": connector, "connectorId": 1}
            )
        case StationAction.SOFT_RESET:
            return _reset("OnIdle", connector)
        case StationAction.HARD_RESET:
            return _reset("Immediate", connector)
        case StationAction.TRIGGER_STATUS:
            place = None if connector is None else {"id": connector, "connectorId": 1}
            return _trigger("StatusNotification", place)
        case StationAction.TRIGGER_METER_VALUES:
            return _trigger("MeterValues", None if connector is None else {"id": connector})


def _start(evse: int | None, token: str) -> Request | str:
    if not 1 <= len(token) <= 36:
        return "start needs an id token of 1 to 36 characters"
    payload: dict[str, Any] = {
        "remoteStartId": secrets.randbelow(2**31 - 1) + 1,
        "idToken": {"idToken": token, "type": "Central"},
    }
    if evse is not None:
        payload["evseId"] = evse
    return Request(action="RequestStartTransaction", payload=payload)


def _reset(kind: str, evse: int | None) -> Request:
    payload: dict[str, Any] = {"type": kind}
    if evse is not None:
        payload["evseId"] = evse
    return Request(action="Reset", payload=payload)


def _trigger(message: str, place: dict[str, int] | None) -> Request:
    payload: dict[str, Any] = {"requestedMessage": message}
    if place is not None:
        payload["evse"] = place
    return Request(action="TriggerMessage", payload=payload)


def composite_v201(evse: int, unit: RateUnit, duration_s: int) -> Request:
    """Write GetCompositeSchedule, always with the unit."""
    return Request(
        action="GetCompositeSchedule",
        payload={"evseId": evse, "duration": duration_s, "chargingRateUnit": unit.value},
    )
