"""OCPP 1.6: what a station tells us, and what we answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from adapters.ocpp.clocks import parse_time, wire_time
from adapters.ocpp.dialect import CallError, Received
from adapters.ocpp.intake import Intake
from adapters.ocpp.metervalues import entries_v16, register_wh
from adapters.ocpp.states import CHARGE_POINT_STATUS, id_tag_info
from adapters.ocpp.translation import DialectSettings
from controller.records import (
    StationRecord,
    TransactionClosed,
    TransactionNoted,
    TransactionOpened,
)
from controller.site import EvseId
from controller.station import EvseState, StationBooted, StationInfo
from controller.transaction import IdToken, TransactionId

log = structlog.get_logger(__name__)

Handler = Callable[[dict[str, Any], Received], Awaitable[dict[str, Any]]]


class InboundV16:
    """Answers the CALLs of one OCPP 1.6 station."""

    def __init__(
        self, intake: Intake, *, settings: DialectSettings, on_boot: Callable[[], None]
    ) -> None:
        self._intake = intake
        self._desk = intake.desk
        self._settings = settings
        self._on_boot = on_boot
        self._handlers: Mapping[str, Handler] = {
            "BootNotification": self._boot_notification,
            "Heartbeat": self._heartbeat,
            "StatusNotification": self._status_notification,
            "Authorize": self._authorize,
            "StartTransaction": self._start_transaction,
            "StopTransaction": self._stop_transaction,
            "MeterValues": self._meter_values,
            "DataTransfer": self._data_transfer,
            "SignCertificate": self._sign_certificate,
            "DiagnosticsStatusNotification": self._take_notice,
            "FirmwareStatusNotification": self._take_notice,
            "SignedFirmwareStatusNotification": self._take_notice,
            "LogStatusNotification": self._take_notice,
            "SecurityEventNotification": self._security_event,
        }

    async def answer(
        self, action: str, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        """Answer one CALL.

        Raises:
            CallError: We do not know the action, or it makes no sense.
        """
        handler = self._handlers.get(action)
        if handler is None:
            raise CallError("NotImplemented", f"{action[:50]} is not known")
        return await handler(payload, received)

    async def _boot_notification(
        self, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        known = self._desk.evses(self._intake.station) is not None
        if known:
            info = StationInfo(
                vendor=payload["chargePointVendor"],
                model=payload["chargePointModel"],
                serial=payload.get("chargePointSerialNumber")
                or payload.get("chargeBoxSerialNumber", ""),
                firmware=payload.get("firmwareVersion", ""),
            )
            await self._desk.save_station(
                StationRecord(
                    id=self._intake.station,
                    vendor=info.vendor,
                    model=info.model,
                    serial=info.serial,
                    firmware=info.firmware,
                    protocol="ocpp1.6",
                    last_boot_at=received.at,
                )
            )
            self._intake.skew.forget()
            self._desk.post(StationBooted(station=self._intake.station, info=info))
            self._on_boot()
        return {
            "status": "Accepted" if known else "Rejected",
            "currentTime": wire_time(self._intake.now()),
            "interval": self._settings.heartbeat_interval_s,
        }

    async def _heartbeat(self, payload: dict[str, Any], received: Received) -> dict[str, Any]:
        return {"currentTime": wire_time(self._intake.now())}

    async def _status_notification(
        self, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        """Report a connector's state. Connector 0 is the station: it says nothing of a vehicle."""
        evse = self._intake.evse(payload["connectorId"])
        error = payload["errorCode"]
        details = (payload.get("vendorErrorCode"), payload.get("info"))
        if evse is None:
            if error != "NoError":
                log.warning("station.error", station=self._intake.station, error=error)
            return {}
        self._intake.set_state(
            evse,
            CHARGE_POINT_STATUS.get(payload["status"], EvseState.UNKNOWN),
            error_code=None if error == "NoError" else error,
            text=" ".join(str(d) for d in details if d),
        )
        return {}

    async def _authorize(self, payload: dict[str, Any], received: Received) -> dict[str, Any]:
        authorization = await self._desk.authorize(self._intake.station, IdToken(payload["idTag"]))
        return {"idTagInfo": id_tag_info(authorization)}

    async def _start_transaction(
        self, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        stamped = parse_time(payload["timestamp"])
        self._intake.hear(stamped, received)
        receipt = await self._intake.open(
            TransactionOpened(
                station=self._intake.station,
                evse=self._intake.evse_for_booking(payload["connectorId"]),
                id=None,
                id_token=IdToken(payload["idTag"]) if payload["idTag"].strip() else None,
                at=self._intake.booked_at(payload["timestamp"], received),
                meter_wh=float(payload["meterStart"]),
                offline=not self._intake.is_live(stamped, received),
            ),
            received,
        )
        return {
            "transactionId": int(receipt.transaction.id),
            "idTagInfo": id_tag_info(receipt.authorization),
        }

    async def _stop_transaction(
        self, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        """Book an end. Always accepted: a refusal would only be repeated for ever.

        An id that was never ours (-1 and 0 stand for one the station did not learn, errata 3.18)
        is taken for the only running transaction, if there is just one.
        """
        token = IdToken(payload["idTag"]) if payload.get("idTag", "").strip() else None
        transaction, evse = self._transaction_to_stop(payload["transactionId"])
        answer: dict[str, Any] = {}
        if transaction is not None:
            entries = entries_v16(payload.get("transactionData") or [])
            meter_wh: float | None = float(payload["meterStop"])
            if meter_wh is not None and meter_wh <= 0.0:
                meter_wh = register_wh(entries, "Transaction.End") or meter_wh
            stamped = parse_time(payload["timestamp"])
            receipt = await self._intake.close(
                TransactionClosed(
                    station=self._intake.station,
                    id=transaction,
                    evse=evse,
                    at=self._intake.booked_at(payload["timestamp"], received),
                    meter_wh=meter_wh,
                    reason=payload.get("reason", "Local"),
                    id_token=token,
                    offline=not self._intake.is_live(stamped, received),
                )
            )
            if receipt is not None and token is not None:
                answer["idTagInfo"] = id_tag_info(receipt.authorization)
        if token is not None and "idTagInfo" not in answer:
            authorization = await self._desk.authorize(self._intake.station, token)
            answer["idTagInfo"] = id_tag_info(authorization)
        return answer

    def _transaction_to_stop(self, number: int) -> tuple[TransactionId | None, EvseId | None]:
        if number > 0:
            transaction = TransactionId(str(number))
            return transaction, self._intake.evse_of(transaction)
        running = self._intake.running_transactions()
        if len(running) != 1:
            return None, None
        return running[0][1], running[0][0]

    async def _meter_values(self, payload: dict[str, Any], received: Received) -> dict[str, Any]:
        entries = entries_v16(payload["meterValue"])
        number = payload.get("transactionId", 0)
        transaction = TransactionId(str(number)) if number > 0 else None
        evse = self._intake.evse(payload["connectorId"])
        if evse is None and transaction is not None:
            evse = self._intake.evse_of(transaction)
        if evse is None:
            return {}
        stamps = [entry.at for entry in entries if entry.at is not None]
        if transaction is not None and not self._intake.has_ended(transaction):
            await self._intake.note(
                TransactionNoted(
                    station=self._intake.station,
                    id=transaction,
                    at=max(stamps, default=received.at),
                    meter_wh=register_wh(entries),
                    evse=evse,
                ),
                received,
                due=False,
            )
        self._intake.take_samples(evse, entries, received, live=True)
        return {}

    async def _data_transfer(self, payload: dict[str, Any], received: Received) -> dict[str, Any]:
        return {"status": "UnknownVendorId"}

    async def _sign_certificate(
        self, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        return {"status": "Rejected"}

    async def _security_event(self, payload: dict[str, Any], received: Received) -> dict[str, Any]:
        log.warning("station.security", station=self._intake.station, type=payload["type"])
        return {}

    async def _take_notice(self, payload: dict[str, Any], received: Received) -> dict[str, Any]:
        log.info("station.job", station=self._intake.station, status=str(payload.get("status", "")))
        return {}
