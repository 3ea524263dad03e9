"""OCPP 2.0.1: what a station tells us, and what we answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from adapters.ocpp.clocks import parse_time
from adapters.ocpp.dialect import Received
from adapters.ocpp.faulttable import fault_table
from adapters.ocpp.frames import OCPP201
from adapters.ocpp.inbound import Handler
from adapters.ocpp.metervalues import MeterEntry, entries_v201, register_wh
from adapters.ocpp.states import evse_state, id_token_info
from adapters.ocpp.v201_reports import ReportsV201, SequenceWatch
from controller.records import (
    Authorization,
    TokenStatus,
    TransactionClosed,
    TransactionNoted,
    TransactionOpened,
    TransactionReceipt,
)
from controller.site import EvseId
from controller.station import EvseState, StationInfo
from controller.transaction import IdToken, TransactionId

PROBLEM_VARIABLES = frozenset({"Problem", "Tripped", "Overload", "Fault"})
ANONYMOUS_TYPES = frozenset({"NoAuthorization"})


@dataclass(slots=True)
class _EvseStatus:
    """What makes up the state of one EVSE."""

    connectors: dict[int, str] = field(default_factory=dict)
    charging_state: str | None = None
    problem: str | None = None
    is_over: bool = False
    """A transaction has ended and the vehicle is still plugged in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    """A TransactionEvent, read."""

    kind: str
    transaction: TransactionId
    number: int | None
    token: IdToken | None
    has_token: bool
    at: datetime
    stamped: datetime | None
    seq_no: int
    offline: bool
    charging_state: str | None
    stopped_reason: str
    entries: tuple[MeterEntry, ...]


class InboundV201(ReportsV201):
    """Answers the CALLs of one OCPP 2.0.1 station."""

    protocol = OCPP201

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._status: dict[EvseId, _EvseStatus] = {}
        self._silent_meters: set[EvseId] = set()
        self._sequence = SequenceWatch()
        super().__init__(*args, **kwargs)

    def table(self) -> Mapping[str, Handler]:
        """Return the handlers of OCPP 2.0.1."""
        return {
            "StatusNotification": self._status_notification,
            "Authorize": self._authorize,
            "TransactionEvent": self._transaction_event,
            "MeterValues": self._meter_values,
            "NotifyEvent": self._notify_event,
            **super().table(),
        }

    def boot_info(self, payload: dict[str, Any]) -> StationInfo:
        """Read what a station says about itself."""
        station = payload["chargingStation"]
        return StationInfo(
            vendor=station["vendorName"],
            model=station["model"],
            serial=station.get("serialNumber", ""),
            firmware=station.get("firmwareVersion", ""),
        )

    # --- states

    async def _status_notification(
        self, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        evse = self._intake.evse(payload["evseId"])
        if evse is None:
            return {}
        status = self._status_of(evse)
        connector = payload["connectorStatus"]
        status.connectors[payload["connectorId"]] = connector
        if connector != "Occupied":
            status.is_over = False
        self._report_state(evse)
        return {}

    async def _notify_event(self, payload: dict[str, Any], received: Received) -> dict[str, Any]:
        """Keep problems of an EVSE as its error code; 2.0.1 has no error in StatusNotification."""
        for event in payload["eventData"]:
            self.report_alert(event)
            component, variable = event["component"], event["variable"]["name"]
            place = component.get("evse")
            if variable not in PROBLEM_VARIABLES or place is None:
                continue
            evse = self._intake.evse(place["id"])
            if evse is None:
                continue
            is_on = event["actualValue"].strip().lower() == "true" and not event.get("cleared")
            name = f"{component['name']}.{variable}"
            text = " ".join(str(event[k]) for k in ("techCode", "techInfo") if event.get(k))
            code = event.get("techCode") or name
            self._status_of(evse).problem = code if is_on else None
            if fault_table().components.get(name) == "PowerMeterFailure":
                (self._silent_meters.add if is_on else self._silent_meters.discard)(evse)
            if is_on:
                self.report_fault(evse, name, text)
            else:
                self.end_fault(evse, name)
            self._report_state(evse, text=event.get("techInfo", ""))
        return {}

    def _report_state(self, evse: EvseId, *, text: str = "") -> None:
        status = self._status_of(evse)
        running = self._intake.running(evse) is not None
        state = evse_state(
            status.connectors.values(), status.charging_state, in_transaction=running
        )
        if state is EvseState.CONNECTED and status.is_over and not running:
            state = EvseState.FINISHING
        self._intake.set_state(evse, state, error_code=status.problem, text=text)

    def _status_of(self, evse: EvseId) -> _EvseStatus:
        return self._status.setdefault(evse, _EvseStatus())

    # --- tokens

    async def _authorize(self, payload: dict[str, Any], received: Received) -> dict[str, Any]:
        token = _token(payload["idToken"])
        return {"idTokenInfo": id_token_info(await self._authorization(token))}

    async def _authorization(self, token: IdToken | None) -> Authorization:
        """Decide on a token; without one (NoAuthorization, C01) the station was told not to ask."""
        if token is None:
            return Authorization(status=TokenStatus.ACCEPTED)
        return await self._desk.authorize(self._intake.station, token)

    # --- transactions

    async def _transaction_event(
        self, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        """Book an event, then report states and values if they are of now (E01 to E07)."""
        event = self._read(payload, received)
        evse = self._evse_of(event)
        self._sequence.hear(event.transaction, event.seq_no, event.kind)
        await self.keep_signed(
            payload.get("meterValue") or [], transaction=event.transaction, where=evse or ""
        )
        if not event.offline:
            self._intake.hear(event.stamped, received)
        live = not event.offline and self._intake.is_live(event.stamped, received)
        receipt = await self._store(event, evse, received)
        evse = receipt.transaction.evse if receipt is not None else evse
        if evse is not None and self._desk.fallback_a(evse) is not None:
            if live:
                self._follow(event, evse)
            is_believed = not event.offline and evse not in self._silent_meters
            self._intake.take_samples(evse, event.entries, received, live=is_believed)
        return await self._transaction_answer(event, receipt)

    def _read(self, payload: dict[str, Any], received: Received) -> _Event:
        info = payload["transactionInfo"]
        place = payload.get("evse")
        token = payload.get("idToken")
        return _Event(
            kind=payload["eventType"],
            transaction=TransactionId(info["transactionId"]),
            number=place["id"] if place is not None else None,
            token=_token(token) if token is not None else None,
            has_token=token is not None,
            at=self._intake.booked_at(payload["timestamp"], received),
            stamped=parse_time(payload["timestamp"]),
            seq_no=payload["seqNo"],
            offline=payload.get("offline", False),
            charging_state=info.get("chargingState"),
            stopped_reason=info.get("stoppedReason", "Local"),
            entries=entries_v201(payload.get("meterValue") or []),
        )

    def _evse_of(self, event: _Event) -> EvseId | None:
        """Return the EVSE: named, known from before, or the only one."""
        if event.number is not None and event.number > 0:
            return self._intake.evse_for_booking(event.number)
        return self._intake.evse_of(event.transaction) or self._intake.only_evse()

    async def _store(
        self, event: _Event, evse: EvseId | None, received: Received
    ) -> TransactionReceipt | None:
        """Store an event; one of an unknown transaction opens it, its start may have been lost.

        A start that names no EVSE on a station with several waits for the event that does.
        """
        match event.kind:
            case "Ended":
                return await self._intake.close(
                    TransactionClosed(
                        station=self._intake.station,
                        id=event.transaction,
                        evse=evse,
                        at=event.at,
                        meter_wh=_end_wh(event.entries),
                        reason=event.stopped_reason,
                        id_token=event.token,
                        seq_no=event.seq_no,
                        offline=event.offline,
                    )
                )
            case "Updated":
                return await self._note(event, evse, received)
            case _:
                return await self._open(event, evse, received)

    async def _open(
        self, event: _Event, evse: EvseId | None, received: Received
    ) -> TransactionReceipt | None:
        if evse is None:
            return None
        begin_wh = register_wh(event.entries, "Transaction.Begin")
        return await self._intake.open(
            TransactionOpened(
                station=self._intake.station,
                evse=evse,
                id=event.transaction,
                id_token=event.token,
                at=event.at,
                meter_wh=begin_wh if begin_wh is not None else register_wh(event.entries),
                seq_no=event.seq_no,
                offline=event.offline,
            ),
            received,
        )

    async def _note(
        self, event: _Event, evse: EvseId | None, received: Received
    ) -> TransactionReceipt | None:
        known = self._intake.evse_of(event.transaction) is not None
        receipt = await self._intake.note(
            TransactionNoted(
                station=self._intake.station,
                id=event.transaction,
                at=event.at,
                meter_wh=register_wh(event.entries),
                id_token=event.token,
                seq_no=event.seq_no,
                evse=evse,
            ),
            received,
            due=event.has_token,
        )
        if receipt is not None or known or self._intake.has_ended(event.transaction):
            return receipt
        return await self._open(event, evse, received)

    def _follow(self, event: _Event, evse: EvseId) -> None:
        """Take over the charging state; `Ended` leaves the vehicle plugged in or not."""
        status = self._status_of(evse)
        if event.kind == "Ended":
            status.charging_state = None
            status.is_over = True
            self._report_state(evse)
        elif event.charging_state is not None:
            status.is_over = False
            if event.charging_state != status.charging_state or event.kind == "Started":
                status.charging_state = event.charging_state
                self._report_state(evse)

    async def _transaction_answer(
        self, event: _Event, receipt: TransactionReceipt | None
    ) -> dict[str, Any]:
        """Write the answer: token information only where a token was sent (E01.FR.09)."""
        if not event.has_token:
            return {}
        if event.token is None:
            authorization = Authorization(status=TokenStatus.ACCEPTED)
        elif receipt is not None:
            authorization = receipt.authorization
        else:
            authorization = await self._authorization(event.token)
        return {"idTokenInfo": id_token_info(authorization)}

    async def _meter_values(self, payload: dict[str, Any], received: Received) -> dict[str, Any]:
        """Take in values outside the transaction's own; EVSE 0 is the station's main meter."""
        evse = self._intake.evse(payload["evseId"])
        if evse is not None:
            await self.keep_signed(payload["meterValue"], transaction=None, where=evse)
            entries = entries_v201(payload["meterValue"])
            is_believed = evse not in self._silent_meters
            self._intake.take_samples(evse, entries, received, live=is_believed)
        return {}


def _end_wh(entries: tuple[MeterEntry, ...]) -> float | None:
    """Return the register at the end: of the right context, else the newest. [Wh]"""
    end_wh = register_wh(entries, "Transaction.End")
    return end_wh if end_wh is not None else register_wh(entries)


def _token(token: Mapping[str, Any]) -> IdToken | None:
    """Return the token; None when there is nobody to ask for (NoAuthorization)."""
    text = token["idToken"].strip()
    return IdToken(text) if text and token["type"] not in ANONYMOUS_TYPES else None
