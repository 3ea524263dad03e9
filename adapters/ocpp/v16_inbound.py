"""OCPP 1.6: what a station tells us, and what we answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.ocpp.clocks import parse_time
from adapters.ocpp.dialect import Received
from adapters.ocpp.frames import OCPP16
from adapters.ocpp.inbound import Handler, Inbound
from adapters.ocpp.metervalues import entries_v16, register_wh
from adapters.ocpp.states import CHARGE_POINT_STATUS, id_tag_info
from controller.records import TransactionClosed, TransactionNoted, TransactionOpened
from controller.site import EvseId
from controller.station import EvseState, StationInfo
from controller.transaction import IdToken, TransactionId

SILENT_METER = frozenset({"PowerMeterFailure"})
"""Error codes with which meter values are not to be believed."""


class InboundV16(Inbound):
    """Answers the CALLs of one OCPP 1.6 station."""

    protocol = OCPP16

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._silent_meters: set[EvseId] = set()

    def table(self) -> Mapping[str, Handler]:
        """Return the handlers of OCPP 1.6."""
        return {
            "StatusNotification": self._status_notification,
            "Authorize": self._authorize,
            "StartTransaction": self._start_transaction,
            "StopTransaction": self._stop_transaction,
            "MeterValues": self._meter_values,
        }

    def boot_info(self, payload: dict[str, Any]) -> StationInfo:
        """Read what a station says about itself."""
        serial = payload.get("chargePointSerialNumber") or payload.get("chargeBoxSerialNumber", "")
        return StationInfo(
            vendor=payload["chargePointVendor"],
            model=payload["chargePointModel"],
            serial=serial,
            firmware=payload.get("firmwareVersion", ""),
        )

    async def _status_notification(
        self, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        """Report a connector's state. Connector 0 is the station: it says nothing of a vehicle."""
        evse = self._intake.evse(payload["connectorId"])
        error = payload["errorCode"]
        details = (payload.get("vendorErrorCode"), payload.get("info"))
        text = " ".join(str(d) for d in details if d)
        is_station = payload["connectorId"] == 0
        if evse is not None or is_station:
            subject = evse or self._intake.station
            self.only_fault(subject, None if error == "NoError" else error, text)
        if evse is None:
            return {}
        if error in SILENT_METER:
            self._silent_meters.add(evse)
        else:
            self._silent_meters.discard(evse)
        self._intake.set_state(
            evse,
            CHARGE_POINT_STATUS.get(payload["status"], EvseState.UNKNOWN),
            error_code=None if error == "NoError" else error,
            text=text,
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
            data = payload.get("transactionData") or []
            await self.keep_signed(data, transaction=transaction, where=evse or "")
            entries = entries_v16(data)
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
        await self.keep_signed(payload["meterValue"], transaction=transaction, where=evse)
        is_due = transaction is not None and not self._intake.is_noted(evse, transaction, received)
        if is_due and transaction is not None and not self._intake.has_ended(transaction):
            stamps = [entry.at for entry in entries if entry.at is not None]
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
        self._intake.take_samples(evse, entries, received, live=evse not in self._silent_meters)
        return {}
