"""A simulated charging station that speaks OCPP 1.6-J."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from adapters.simulator.admission import PERIODS_MAX, PROFILES_MAX, STACK_LEVEL_MAX
from adapters.simulator.link import Json
from adapters.simulator.outbox import Message
from adapters.simulator.outlet import (
    ConnectorStatus,
    Outlet,
    RemoteStart,
    StopReason,
    Transaction,
    charging_at,
    free_among,
)
from adapters.simulator.profile_format import profile_from_16, purpose_of, timestamp
from adapters.simulator.profiles import Profile
from adapters.simulator.samples import DEFAULT_MEASURANDS, Sample, is_supported
from adapters.simulator.setup import Setup
from adapters.simulator.station_common import Handler, VirtualStation

_NOT_YET = -1
"""Transaction id while StartTransaction is unanswered. Source: 1.6 errata 3.18."""

_ADJUSTABLE = {
    "AllowOfflineTxForUnknownId": "true",
    "AuthorizeRemoteTxRequests": "false",
    "ClockAlignedDataInterval": "0",
    "ConnectionTimeOut": "60",
    "HeartbeatInterval": "300",
    "LocalAuthorizeOffline": "true",
    "LocalPreAuthorize": "false",
    "MeterValueSampleInterval": "60",
    "MeterValuesAlignedData": DEFAULT_MEASURANDS,
    "MeterValuesSampledData": DEFAULT_MEASURANDS,
    "ResetRetries": "1",
    "StopTransactionOnInvalidId": "true",
    "TransactionMessageAttempts": "3",
    "TransactionMessageRetryInterval": "10",
    "WebSocketPingInterval": "30",
}
_FIXED = {
    "ChargeProfileMaxStackLevel": str(STACK_LEVEL_MAX),
    "ChargingScheduleMaxPeriods": str(PERIODS_MAX),
    "ConnectorSwitch3to1PhaseSupported": "false",
    "GetConfigurationMaxKeys": "50",
    "MaxChargingProfilesInstalled": str(PROFILES_MAX),
    "StopTransactionOnEVSideDisconnect": "true",
    "StopTxnAlignedData": "",
    "StopTxnSampledData": "",
    "SupportedFeatureProfiles": "Core,FirmwareManagement,SmartCharging,RemoteTrigger",
    "UnlockConnectorOnEVSideDisconnect": "true",
}
_FLAGS = ("true", "false")


class Station16(VirtualStation):
    """OCPP 1.6 over JSON."""

    subprotocol: ClassVar[str] = "ocpp1.6"

    def __init__(self, setup: Setup) -> None:
        self._settings = dict(_ADJUSTABLE)
        super().__init__(setup)
        unit = "Power" if self.habits.rejects_unit_ampere else "Current,Power"
        rotations = [
            f"{n}.{outlet.charger.evse.rotation.value}" for n, outlet in self.outlets.items()
        ]
        self._fixed = _FIXED | {
            "ChargingScheduleAllowedChargingRateUnit": unit,
            "ConnectorPhaseRotation": ",".join(rotations),
            "NumberOfConnectors": str(len(self.outlets)),
        }

    def handlers(self) -> Mapping[str, Handler]:
        """Return what answers each action of the controller."""
        return {
            "CancelReservation": lambda _: {"status": "Rejected"},
            "ChangeAvailability": self._change_availability,
            "ChangeConfiguration": self._change_configuration,
            "ClearCache": lambda _: {"status": "Accepted"},
            "ClearChargingProfile": self._clear_profile,
            "DataTransfer": lambda _: {"status": "UnknownVendorId"},
            "GetCompositeSchedule": self._composite,
            "GetConfiguration": self._get_configuration,
            "RemoteStartTransaction": self._remote_start,
            "RemoteStopTransaction": self._remote_stop,
            "Reset": self._reset,
            "SetChargingProfile": self._set_profile,
            "TriggerMessage": self._trigger,
            "UnlockConnector": self._unlock,
            "UpdateFirmware": self._update_firmware,
        }

    def setting(self, name: str) -> str:
        """Return a configuration key."""
        return self._settings[name]

    # Messages to the controller.

    def boot(self) -> Json:
        """Return the payload of BootNotification."""
        return {
            "chargePointVendor": "Wattkeeper",
            "chargePointModel": "Virtual 1.6",
            "chargePointSerialNumber": str(self.id)[:25],
            "firmwareVersion": self.firmware.version,
        }

    def report_status(self, outlet: Outlet) -> None:
        """Send StatusNotification."""
        outlet.reported = self.status_name(outlet)
        self._report_connector(outlet.number, outlet.reported)

    def report_all(self) -> None:
        """Send StatusNotification of the station, which is connector 0, and of all EVSEs."""
        self._report_connector(0, ConnectorStatus.AVAILABLE.value)
        super().report_all()

    def _report_connector(self, number: int, status: str) -> None:
        payload = {
            "connectorId": number,
            "errorCode": "NoError",
            "status": status,
            "timestamp": timestamp(self.now_s),
        }
        self.outbox.put(Message(action="StatusNotification", build=lambda: payload))

    def authorise(self, outlet: Outlet, card: str) -> None:
        """Send Authorize."""

        def answered(answer: Json) -> None:
            self.authorised(outlet, card, answer["idTagInfo"]["status"])

        self.outbox.put(
            Message(
                action="Authorize",
                build=lambda: {"idTag": card},
                answered=answered,
                failed=lambda: self.try_again(outlet),
            )
        )

    def report_started(self, outlet: Outlet, transaction: Transaction) -> None:
        """Send StartTransaction; its answer gives the transaction its id."""
        payload = {
            "connectorId": outlet.number,
            "idTag": transaction.card,
            "meterStart": transaction.meter_start_wh,
            "timestamp": timestamp(transaction.start_s),
        }

        def answered(answer: Json) -> None:
            transaction.id = str(answer["transactionId"])
            refused = answer["idTagInfo"]["status"] != "Accepted"
            transaction.is_refused = refused and self.setting("StopTransactionOnInvalidId") == (
                "true"
            )

        self.outbox.put(
            Message(
                action="StartTransaction",
                build=lambda: payload,
                is_durable=True,
                answered=answered,
            )
        )

    def report_sample(self, outlet: Outlet, context: str) -> None:
        """Send MeterValues."""
        name = "MeterValuesAlignedData" if context == "Sample.Clock" else "MeterValuesSampledData"
        values = [_sampled_value(s, context) for s in self.measure(outlet, name)]
        if not values:
            return
        meter_value = [{"timestamp": timestamp(self.now_s), "sampledValue": values}]
        transaction = outlet.transaction

        def build() -> Json:
            payload: Json = {"connectorId": outlet.number, "meterValue": meter_value}
            if transaction is not None:
                payload["transactionId"] = _number(transaction)
            return payload

        self.outbox.put(
            Message(
                action="MeterValues",
                build=build,
                is_durable=transaction is not None,
                is_sample=True,
            )
        )

    def report_charging_state(self, outlet: Outlet, transaction: Transaction) -> None:
        """Do nothing: StatusNotification tells it."""

    def report_ended(self, outlet: Outlet, transaction: Transaction, reason: StopReason) -> None:
        """Send StopTransaction."""
        payload = {
            "idTag": transaction.card,
            "meterStop": int(outlet.charger.energy_wh),
            "timestamp": timestamp(self.now_s),
            "reason": reason.value,
        }
        self.outbox.put(
            Message(
                action="StopTransaction",
                build=lambda: payload | {"transactionId": _number(transaction)},
                is_durable=True,
            )
        )

    # Calls of the controller.

    def _set_profile(self, payload: Json) -> Json:
        profile = profile_from_16(payload["connectorId"], payload["csChargingProfiles"])
        if self.refusal(profile) is not None:
            return {"status": "Rejected"}
        self.store.add(profile)
        return {"status": "Accepted"}

    def _clear_profile(self, payload: Json) -> Json:
        purpose = payload.get("chargingProfilePurpose")
        wanted = None if purpose is None else purpose_of(purpose)

        def matches(profile: Profile) -> bool:
            if "id" in payload:
                return profile.id == int(payload["id"])
            return profile.matches(
                evse=payload.get("connectorId"),
                stack_level=payload.get("stackLevel"),
                purpose=wanted,
            )

        return {"status": "Accepted" if self.store.clear(matches) else "Unknown"}

    def _composite(self, payload: Json) -> Json:
        outlet = self.outlets.get(payload["connectorId"] or 1)
        if outlet is None:
            return {"status": "Rejected"}
        duration_s = float(payload["duration"])
        periods = self.store.composite(self.demand(outlet), self.now_s, duration_s, self.habits)
        unit = payload.get("chargingRateUnit", "A")
        return {
            "status": "Accepted",
            "connectorId": outlet.number,
            "scheduleStart": timestamp(self.now_s),
            "chargingSchedule": {
                "duration": int(duration_s),
                "chargingRateUnit": unit,
                "chargingSchedulePeriod": [
                    {
                        "startPeriod": round(period.start_s),
                        "limit": round(self.in_unit(period.limit, unit), 1),
                    }
                    for period in periods
                ],
            },
        }

    def _get_configuration(self, payload: Json) -> Json:
        known = self._fixed | self._settings
        wanted = payload.get("key") or sorted(known)
        return {
            "configurationKey": [
                {"key": key, "readonly": key in self._fixed, "value": known[key]}
                for key in wanted
                if key in known
            ],
            "unknownKey": [key for key in wanted if key not in known],
        }

    def _change_configuration(self, payload: Json) -> Json:
        key, value = payload["key"], payload["value"]
        if key == "AuthorizationKey":
            self.password = value
            return {"status": "Accepted"}
        if key not in self._settings:
            return {"status": "Rejected" if key in self._fixed else "NotSupported"}
        if not _is_valid(key, value):
            return {"status": "Rejected"}
        self._settings[key] = value
        if key == "HeartbeatInterval":
            self.set_heartbeat(float(value))
        return {"status": "Accepted"}

    def _remote_start(self, payload: Json) -> Json:
        outlet = free_among(self.outlets.values(), payload.get("connectorId"))
        if outlet is None:
            return {"status": "Rejected"}
        raw = payload.get("chargingProfile")
        profile = None if raw is None else profile_from_16(outlet.number, raw)
        until_s = self.now_s + float(self.setting("ConnectionTimeOut"))
        self.start(outlet, RemoteStart(card=payload["idTag"], until_s=until_s, profile=profile))
        return {"status": "Accepted"}

    def _remote_stop(self, payload: Json) -> Json:
        outlet = charging_at(self.outlets.values(), str(payload["transactionId"]))
        if outlet is None:
            return {"status": "Rejected"}
        self.end(outlet, StopReason.REMOTE)
        return {"status": "Accepted"}

    def _reset(self, payload: Json) -> Json:
        hard = payload["type"] == "Hard"
        self.reset_soon(StopReason.HARD_RESET if hard else StopReason.SOFT_RESET)
        return {"status": "Accepted"}

    def _change_availability(self, payload: Json) -> Json:
        number = payload["connectorId"]
        outlets = [o for o in self.outlets.values() if number in (0, o.number)]
        if not outlets:
            return {"status": "Rejected"}
        scheduled = [self.change_availability(o, payload["type"] == "Operative") for o in outlets]
        return {"status": "Scheduled" if any(scheduled) else "Accepted"}

    def _unlock(self, payload: Json) -> Json:
        outlet = self.outlets.get(payload["connectorId"])
        if outlet is None:
            return {"status": "NotSupported"}
        self.end(outlet, StopReason.UNLOCKED)
        return {"status": "Unlocked"}

    def _update_firmware(self, payload: Json) -> Json:
        self.update_firmware(payload["location"])
        return {}

    def _trigger(self, payload: Json) -> Json:
        number = payload.get("connectorId")
        outlets = [o for o in self.outlets.values() if number in (None, 0, o.number)]
        match payload["requestedMessage"]:
            case "StatusNotification":
                for outlet in outlets:
                    self.report_status(outlet)
            case "MeterValues":
                for outlet in outlets:
                    self.report_sample(outlet, "Trigger")
            case "Heartbeat":
                self.outbox.put(Message(action="Heartbeat", build=dict))
            case "BootNotification":
                self.outbox.put(Message(action="BootNotification", build=self.boot))
            case _:
                return {"status": "NotImplemented"}
        return {"status": "Accepted"}


def _number(transaction: Transaction) -> int:
    return int(transaction.id) if transaction.id else _NOT_YET


def _sampled_value(sample: Sample, context: str) -> Json:
    value: Json = {
        "value": f"{sample.value:g}" if sample.unit != "Wh" else f"{sample.value:.0f}",
        "context": context,
        "format": "Raw",
        "measurand": sample.measurand,
        "location": sample.location,
        "unit": sample.unit,
    }
    if sample.phase is not None:
        value["phase"] = sample.phase
    return value


def _is_valid(key: str, value: str) -> bool:
    if _ADJUSTABLE[key] in _FLAGS:
        return value.lower() in _FLAGS
    if key in ("MeterValuesAlignedData", "MeterValuesSampledData"):
        return is_supported(value)
    return bool(value.isascii() and value.isdigit())
