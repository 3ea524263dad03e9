"""OCPP 1.6: operator's actions and read-back as requests."""

from __future__ import annotations

from typing import Any

from adapters.ocpp.profiles import RateUnit
from adapters.ocpp.provisioning import Request
from controller.commands import StationAction
from controller.transaction import TransactionId


def action_v16(
    action: StationAction,
    *,
    connector: int | None,
    argument: str,
    running: TransactionId | None,
) -> Request | str:
    """Write an operator's action.

    Args:
        action: What.
        connector: Where; None: the station.
        argument: START: the id token. STOP: the transaction id, empty for the running one.
        running: The transaction that runs at the connector.

    Returns:
        The request, or why there can be none.

    Source: OCPP 1.6 sections 6.33, 6.35, 6.45 and 6.49 to 6.51.
    """
    match action:
        case StationAction.START:
            return _start(connector, argument)
        case StationAction.STOP:
            number = argument or (running or "")
            if not (number.isascii() and number.isdigit()):
                return "there is no transaction to stop"
            return Request(action="RemoteStopTransaction", payload={"transactionId": int(number)})
        case StationAction.UNLOCK:
            if connector is None:
                return "unlock needs a connector"
            return Request(action="UnlockConnector", payload={"connectorId": connector})
        case StationAction.SOFT_RESET:
            return Request(action="Reset", payload={"type": "Soft"})
        case StationAction.HARD_RESET:
            return Request(action="Reset", payload={"type": "Hard"})
        case StationAction.TRIGGER_STATUS:
            return _trigger("StatusNotification", connector)
        case StationAction.TRIGGER_METER_VALUES:
            return _trigger("MeterValues", connector)


def _start(connector: int | None, token: str) -> Request | str:
    """Write RemoteStartTransaction, without a profile: some stations refuse it for that."""
    if not 1 <= len(token) <= 20:
        return "start needs an id token of 1 to 20 characters"
    payload: dict[str, Any] = {"idTag": token}
    if connector is not None:
        payload["connectorId"] = connector
    return Request(action="RemoteStartTransaction", payload=payload)


def _trigger(message: str, connector: int | None) -> Request:
    payload: dict[str, Any] = {"requestedMessage": message}
    if connector is not None:
        payload["connectorId"] = connector
    return Request(action="TriggerMessage", payload=payload)


def composite_v16(connector: int, unit: RateUnit, duration_s: int) -> Request:
    """Write GetCompositeSchedule; without the unit some stations answer in the other one."""
    return Request(
        action="GetCompositeSchedule",
        payload={
            "connectorId": connector,
            "duration": duration_s,
            "chargingRateUnit": unit.value,
        },
    )
