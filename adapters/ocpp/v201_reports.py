"""OCPP 2.0.1: reports in parts, alerts, limits from elsewhere, and what vehicles ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import structlog

from adapters.ocpp.book import CUSTOMERS, MESSAGES, MONITORS, PROFILES, VARIABLES
from adapters.ocpp.dialect import Received
from adapters.ocpp.external import charging_needs, external_limit_a
from adapters.ocpp.inbound import Handler, Inbound
from controller.decision import Severity
from controller.site import EvseId
from controller.station import ChargingNeedsReported, ExternalLimitReported
from controller.transaction import TransactionId

log = structlog.get_logger(__name__)

FIXED_ANSWERS: Mapping[str, Mapping[str, Any]] = {
    "Get15118EVCertificate": {"status": "Failed", "exiResponse": ""},
    "GetCertificateStatus": {"status": "Failed"},
    "ReservationStatusUpdate": {},
}
"""Reports that change nothing here, and requests of ISO 15118 that need a contract certificate pool."""

BEFORE_ACCEPTED = frozenset({"BootNotification", "NotifyReport", "NotifyMonitoringReport"})
"""What a station may send before it was accepted: asking again, and answers to our requests (B02)."""
REPORTS: Mapping[str, tuple[str, str]] = {
    "NotifyReport": (VARIABLES, "reportData"),
    "NotifyMonitoringReport": (MONITORS, "monitor"),
    "NotifyDisplayMessages": (MESSAGES, "messageInfo"),
}
"""Reports that come in parts: kind of the document, and the member that holds the items."""
LEVELS = (
    (3, Severity.CRITICAL),
    (4, Severity.ALARM),
    (6, Severity.WARNING),
    (9, Severity.INFO),
)
"""Highest severity number of OCPP 2.0.1 N04 to how soon somebody should look."""
MAX_MONITORS = 1000
MAX_TRANSACTIONS = 64
"""Transactions whose sequence numbers are watched."""


class SequenceWatch:
    """Finds gaps in the sequence numbers of transactions (E01.FR.07): events that were lost."""

    def __init__(self) -> None:
        self._next: dict[TransactionId, int] = {}
        self.gaps = 0

    def hear(self, transaction: TransactionId, seq_no: int, kind: str) -> bool:
        """Take in an event; return whether events before it are missing."""
        expected = self._next.get(transaction, seq_no if kind != "Started" else 0)
        is_gap = seq_no > expected
        if is_gap:
            self.gaps += 1
            log.warning(
                "station.events_missing", transaction=transaction, missing=seq_no - expected
            )
        if kind == "Ended":
            self._next.pop(transaction, None)
        else:
            self._next[transaction] = max(expected, seq_no + 1)
        while len(self._next) > MAX_TRANSACTIONS:
            del self._next[next(iter(self._next))]
        return is_gap


class ReportsV201(Inbound):
    """The part of OCPP 2.0.1 that is about neither states nor transactions."""

    fixed: ClassVar[Mapping[str, Mapping[str, Any]]] = FIXED_ANSWERS
    """What needs no handler of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._levels: dict[int, Severity] = {}
        super().__init__(*args, **kwargs)

    def table(self) -> Mapping[str, Handler]:
        """Return the handlers of this part."""
        return {
            "NotifyCustomerInformation": self._customer_information,
            "ReportChargingProfiles": self._charging_profiles,
            "NotifyChargingLimit": self._charging_limit,
            "ClearedChargingLimit": self._charging_limit_cleared,
            "NotifyEVChargingNeeds": self._charging_needs,
            "NotifyEVChargingSchedule": self._charging_schedule,
        }

    def may_send(self, action: str) -> bool:
        """Tell whether a station that was not accepted yet may send this (B02.FR.09, B03.FR.07)."""
        return action in BEFORE_ACCEPTED

    async def answer(
        self, action: str, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        """Answer one CALL; reports in parts and fixed answers have no handler of their own."""
        is_pending = self._is_pending and not self.may_send(action)
        if action in REPORTS and not is_pending:
            kind, member = REPORTS[action]
            report = await self.collect(action, payload, payload.get(member) or [], kind=kind)
            if report is not None and kind == MONITORS:
                self._learn_levels(report.items)
            return {}
        if action in self.fixed and not is_pending and action not in self._book.extensions:
            log.info("station.report", station=self._intake.station, action=action)
            return dict(self.fixed[action])
        return await super().answer(action, payload, received)

    def report_alert(self, event: Mapping[str, Any]) -> None:
        """Tell of a monitor that fired, as urgently as it was set up (N07); its end ends it."""
        monitor = event.get("variableMonitoringId")
        level = self._levels.get(monitor) if isinstance(monitor, int) else None
        if level is None or level is Severity.INFO:
            return
        component, variable = event["component"]["name"], event["variable"]["name"]
        code, station = f"MONITOR_{monitor}", self._intake.station
        if event.get("cleared"):
            self._book.end(code, station)
            return
        value = str(event["actualValue"])[:60]
        text = f"{station} reports {component}.{variable} = {value}. Look at the charger."
        values = {"what": f"{component}.{variable}", "value": value}
        self._book.begin(code, station, text, severity=level, values=values)

    def _learn_levels(self, items: tuple[Any, ...]) -> None:
        """Remember how urgent each monitor is (N02)."""
        for item in items:
            for monitor in item.get("variableMonitoring", ()):
                if len(self._levels) < MAX_MONITORS:
                    number = monitor["severity"]
                    self._levels[monitor["id"]] = next(
                        (level for highest, level in LEVELS if number <= highest), Severity.INFO
                    )

    # --- reports

    async def _customer_information(
        self, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        """Keep what a station knows of a customer (N09); the text comes in parts."""
        await self.collect("NotifyCustomerInformation", payload, [payload["data"]], kind=CUSTOMERS)
        return {}

    async def _charging_profiles(
        self, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        """Keep the profiles a station holds (K09)."""
        items = [
            {
                "evse": payload["evseId"],
                "source": payload["chargingLimitSource"],
                "profile": profile,
            }
            for profile in payload["chargingProfile"]
        ]
        await self.collect("ReportChargingProfiles", payload, items, kind=PROFILES)
        return {}

    # --- limits from elsewhere, needs of vehicles

    async def _charging_limit(self, payload: dict[str, Any], received: Received) -> dict[str, Any]:
        """Lower what an EVSE is given to a limit that something else set (K11, K12)."""
        number = payload.get("evseId", 0)
        for evse in self._places(number):
            wiring = self._settings.wiring(evse)
            limit_a = external_limit_a(payload.get("chargingSchedule") or [], wiring)
            self._desk.post(ExternalLimitReported(evse=evse, limit_a=limit_a))
        source = str(payload["chargingLimit"]["chargingLimitSource"])
        log.info("station.external_limit", station=self._intake.station, source=source[:20])
        return {}

    async def _charging_limit_cleared(
        self, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        """Forget a limit that something else set (K13)."""
        for evse in self._places(payload.get("evseId", 0)):
            self._desk.post(ExternalLimitReported(evse=evse, limit_a=None))
        return {}

    def _places(self, number: int) -> tuple[EvseId, ...]:
        """Return the EVSE of a number; 0: all of the station."""
        if number == 0:
            return self._desk.evses(self._intake.station) or ()
        evse = self._intake.evse(number)
        return () if evse is None else (evse,)

    async def _charging_needs(self, payload: dict[str, Any], received: Received) -> dict[str, Any]:
        """Take over what a vehicle asks for (K15); the planner answers with the next limits."""
        evse = self._intake.evse(payload["evseId"])
        if evse is None:
            return {"status": "Rejected"}
        needs = charging_needs(payload["chargingNeeds"])
        self._desk.post(ChargingNeedsReported(evse=evse, needs=needs))
        return {"status": "Accepted"}

    async def _charging_schedule(
        self, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        """Accept a vehicle's own schedule when it keeps to the limit in force (K15.FR.07, K17)."""
        evse = self._intake.evse(payload["evseId"])
        if evse is None:
            return {"status": "Rejected"}
        planned_a = external_limit_a(
            [payload["chargingSchedule"]], self._settings.wiring(evse), highest=True
        )
        limit_a = self._intake.limit_a(evse)
        exceeds = planned_a is not None and limit_a is not None and planned_a > limit_a + 0.5
        return {"status": "Rejected" if exceeds else "Accepted"}
