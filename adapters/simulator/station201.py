"""A simulated charging station that speaks OCPP 2.0.1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from uuid import UUID

from adapters.simulator.calls201 import Calls201
from adapters.simulator.charger import ChargerState
from adapters.simulator.device_model import variables
from adapters.simulator.link import Json
from adapters.simulator.outbox import Message
from adapters.simulator.outlet import ConnectorStatus, Outlet, StopReason, Transaction, Trigger
from adapters.simulator.profile_format import timestamp
from adapters.simulator.samples import Sample
from adapters.simulator.setup import Setup
from adapters.simulator.station_common import Handler, VirtualStation

_SETTINGS: Mapping[str, tuple[str, str]] = {
    "ClockAlignedDataInterval": ("AlignedDataCtrlr", "Interval"),
    "ConnectionTimeOut": ("TxCtrlr", "EVConnectionTimeOut"),
    "MeterValueSampleInterval": ("SampledDataCtrlr", "TxUpdatedInterval"),
    "MeterValuesAlignedData": ("AlignedDataCtrlr", "Measurands"),
    "MeterValuesSampledData": ("SampledDataCtrlr", "TxUpdatedMeasurands"),
    "StopTransactionOnInvalidId": ("TxCtrlr", "StopTxOnInvalidId"),
    "TxEndedMeasurands": ("SampledDataCtrlr", "TxEndedMeasurands"),
    "TxStartedMeasurands": ("SampledDataCtrlr", "TxStartedMeasurands"),
    "WebSocketPingInterval": ("OCPPCommCtrlr", "WebSocketPingInterval"),
}
_CHARGING_STATES = {
    ChargerState.CHARGING: "Charging",
    ChargerState.SUSPENDED_EV: "SuspendedEV",
    ChargerState.SUSPENDED_EVSE: "SuspendedEVSE",
}
_STOPPED = {
    StopReason.UNPLUGGED: ("EVDisconnected", "EVCommunicationLost"),
    StopReason.REMOTE: ("Remote", "RemoteStop"),
    StopReason.REFUSED: ("DeAuthorized", "Deauthorized"),
    StopReason.SOFT_RESET: ("ImmediateReset", "ResetCommand"),
    StopReason.HARD_RESET: ("ImmediateReset", "ResetCommand"),
    StopReason.UNLOCKED: ("Remote", "UnlockCommand"),
}


class Station201(VirtualStation):
    """OCPP 2.0.1 over JSON."""

    subprotocol: ClassVar[str] = "ocpp2.0.1"

    def __init__(self, setup: Setup) -> None:
        self.model = variables(
            ratings_a={n: charger.evse.max_a for n, charger in setup.chargers.items()},
            phases=max(charger.evse.phases for charger in setup.chargers.values()),
            voltage_v=setup.voltage_v,
            units="W" if setup.habits.rejects_unit_ampere else "A,W",
        )
        super().__init__(setup)

    def handlers(self) -> Mapping[str, Handler]:
        """Return what answers each action of the controller."""
        return Calls201(self).handlers()

    def setting(self, name: str) -> str:
        """Return the variable that a 1.6 configuration key has become."""
        return str(self.model.actual(*_SETTINGS[name]))

    def status_name(self, outlet: Outlet) -> str:
        """Return one of the connector states of 2.0.1."""
        if not outlet.is_operative:
            return ConnectorStatus.UNAVAILABLE.value
        return "Occupied" if outlet.is_plugged else ConnectorStatus.AVAILABLE.value

    def new_transaction_id(self) -> str:
        """Return an id that the station chooses."""
        return str(UUID(int=self.random.getrandbits(128), version=4))

    # Messages to the controller.

    def boot(self) -> Json:
        """Return the payload of BootNotification."""
        return {
            "reason": "PowerUp",
            "chargingStation": {
                "vendorName": "Wattkeeper",
                "model": "Virtual 2.0.1",
                "serialNumber": str(self.id)[:25],
                "firmwareVersion": self.firmware.version,
            },
        }

    def report_status(self, outlet: Outlet) -> None:
        """Send StatusNotification."""
        outlet.reported = self.status_name(outlet)
        payload = {
            "timestamp": timestamp(self.now_s),
            "connectorStatus": outlet.reported,
            "evseId": outlet.number,
            "connectorId": 1,
        }
        self.outbox.put(Message(action="StatusNotification", build=lambda: payload))

    def authorise(self, outlet: Outlet, card: str) -> None:
        """Send Authorize."""

        def answered(answer: Json) -> None:
            self.authorised(outlet, card, answer["idTokenInfo"]["status"])

        self.outbox.put(
            Message(
                action="Authorize",
                build=lambda: {"idToken": _token(card)},
                answered=answered,
                failed=lambda: self.try_again(outlet),
            )
        )

    def report_started(self, outlet: Outlet, transaction: Transaction) -> None:
        """Send TransactionEvent Started."""
        remote = transaction.trigger is Trigger.REMOTE
        event = self._event(
            outlet, transaction, "Started", "RemoteStart" if remote else "Authorized"
        )
        event["idToken"] = _token(transaction.card)
        self._add_values(event, outlet, "TxStartedMeasurands", "Transaction.Begin")
        self._put_event(event, transaction)

    def report_charging_state(self, outlet: Outlet, transaction: Transaction) -> None:
        """Send TransactionEvent Updated with the new charging state."""
        event = self._event(outlet, transaction, "Updated", "ChargingStateChanged")
        self._put_event(event, transaction)

    def report_sample(self, outlet: Outlet, context: str) -> None:
        """Send TransactionEvent Updated, or MeterValues without a transaction."""
        transaction = outlet.transaction
        if transaction is None:
            self.report_meter_values(outlet, context)
            return
        reasons = {"Sample.Clock": "MeterValueClock", "Trigger": "Trigger"}
        reason = reasons.get(context, "MeterValuePeriodic")
        values = self._meter_value(outlet, _list_for(context), context)
        if not values and reason != "Trigger":
            return
        event = self._event(outlet, transaction, "Updated", reason)
        if values:
            event["meterValue"] = values
        self._put_event(event, transaction, is_sample=True)

    def report_meter_values(self, outlet: Outlet, context: str) -> None:
        """Send MeterValues."""
        values = self._meter_value(outlet, _list_for(context), context)
        if values:
            payload = {"evseId": outlet.number, "meterValue": values}
            self.outbox.put(Message(action="MeterValues", build=lambda: payload))

    def report_ended(self, outlet: Outlet, transaction: Transaction, reason: StopReason) -> None:
        """Send TransactionEvent Ended."""
        stopped, trigger = _STOPPED[reason]
        event = self._event(outlet, transaction, "Ended", trigger)
        event["transactionInfo"]["stoppedReason"] = stopped
        event["transactionInfo"]["chargingState"] = "EVConnected" if outlet.is_plugged else "Idle"
        self._add_values(event, outlet, "TxEndedMeasurands", "Transaction.End")
        self._put_event(event, transaction)

    def _event(self, outlet: Outlet, transaction: Transaction, kind: str, trigger: str) -> Json:
        state = _CHARGING_STATES.get(outlet.charger.state, "EVConnected")
        info: Json = {"transactionId": transaction.id, "chargingState": state}
        if transaction.remote_start_id is not None:
            info["remoteStartId"] = transaction.remote_start_id
        event: Json = {
            "eventType": kind,
            "timestamp": timestamp(self.now_s),
            "triggerReason": trigger,
            "seqNo": transaction.sequence,
            "offline": not self.is_connected,
            "numberOfPhasesUsed": outlet.charger.used_phases,
            "transactionInfo": info,
            "evse": {"id": outlet.number, "connectorId": 1},
        }
        transaction.sequence += 1
        return event

    def _put_event(self, event: Json, transaction: Transaction, *, is_sample: bool = False) -> None:
        def answered(answer: Json) -> None:
            status = answer.get("idTokenInfo", {}).get("status", "Accepted")
            if status != "Accepted" and self.setting("StopTransactionOnInvalidId") == "true":
                transaction.is_refused = True

        self.outbox.put(
            Message(
                action="TransactionEvent",
                build=lambda: event,
                is_durable=True,
                is_sample=is_sample,
                answered=answered,
            )
        )

    def _add_values(self, event: Json, outlet: Outlet, name: str, context: str) -> None:
        values = self._meter_value(outlet, name, context)
        if values:
            event["meterValue"] = values

    def _meter_value(self, outlet: Outlet, name: str, context: str) -> list[Json]:
        values = [_sampled_value(sample, context) for sample in self.measure(outlet, name)]
        return [{"timestamp": timestamp(self.now_s), "sampledValue": values}] if values else []


def _list_for(context: str) -> str:
    return "MeterValuesAlignedData" if context == "Sample.Clock" else "MeterValuesSampledData"


def _token(card: str) -> Json:
    return {"idToken": card, "type": "ISO14443"}


def _sampled_value(sample: Sample, context: str) -> Json:
    value: Json = {
        "value": sample.value,
        "context": context,
        "measurand": sample.measurand,
        "location": sample.location,
        "unitOfMeasure": {"unit": sample.unit},
    }
    if sample.phase is not None:
        value["phase"] = sample.phase
    return value
