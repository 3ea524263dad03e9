"""What a station tells us, as far as both versions agree: boots, jobs, security, vendor data.

Each version adds a table of handlers of its own. Handlers book and report; none calls the station.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog

from adapters.ocpp.book import DATA_TRANSFER, DAY_S, SIGNED, StationBook
from adapters.ocpp.clocks import wire_time
from adapters.ocpp.dialect import CallError, Received
from adapters.ocpp.faulttable import fault_table
from adapters.ocpp.intake import Intake
from adapters.ocpp.reports import Reassembly, Report
from adapters.ocpp.translation import DialectSettings
from controller.decision import Severity
from controller.records import StationRecord
from controller.station import Job, JobReported, StationBooted, StationInfo

log = structlog.get_logger(__name__)

Handler = Callable[[dict[str, Any], Received], Awaitable[dict[str, Any]]]
OnBoot = Callable[[StationInfo], Awaitable[bool]]
"""Told of every boot of a known station; returns whether it may go on."""

PENDING_INTERVAL_S = 2
"""When a station that was answered Pending is to ask again. [s]"""
MAX_OPEN_FAULTS = 32
JOBS: Mapping[str, str] = {
    "DiagnosticsStatusNotification": "log",
    "FirmwareStatusNotification": "firmware",
    "LogStatusNotification": "log",
    "PublishFirmwareStatusNotification": "publish",
    "SignedFirmwareStatusNotification": "firmware",
}
"""Message to the kind of job it tells about."""
SIGNED_MAX = 200
"""Signed values kept per message."""


class Inbound:
    """Answers the CALLs of one station by a table."""

    protocol: str

    def __init__(
        self, intake: Intake, *, settings: DialectSettings, book: StationBook, on_boot: OnBoot
    ) -> None:
        self._intake = intake
        self._desk = intake.desk
        self._settings = settings
        self._book = book
        self._on_boot = on_boot
        self._reports = Reassembly()
        self._faults: dict[str, set[str]] = {}
        self._is_pending = False
        self._signed_count = itertools.count()
        self._handlers: Mapping[str, Handler] = {
            "BootNotification": self._boot_notification,
            "Heartbeat": self._heartbeat,
            "DataTransfer": self._data_transfer,
            "SecurityEventNotification": self._security_event,
            "SignCertificate": self._sign_certificate,
            **dict.fromkeys(JOBS, self._unreachable),
            **self.table(),
        }

    def table(self) -> Mapping[str, Handler]:
        """Return the handlers of this version; they go before the common ones."""
        return {}

    def boot_info(self, payload: dict[str, Any]) -> StationInfo:
        """Read what a station says about itself."""
        raise NotImplementedError

    def may_send(self, action: str) -> bool:
        """Tell whether a station that was not accepted yet may send this."""
        return True

    async def answer(
        self, action: str, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        """Answer one CALL.

        Raises:
            CallError: We do not know the action, or it makes no sense, or it is not allowed yet.
        """
        if self._is_pending and not self.may_send(action):
            raise CallError("SecurityError", "not accepted yet: send BootNotification first")
        extension = self._book.extensions.get(action)
        if extension is not None:
            return await extension(self._intake.station, payload)
        if action in JOBS and action in self._handlers:
            return self._report_job(JOBS[action], payload, received)
        handler = self._handlers.get(action)
        if handler is None:
            raise CallError("NotImplemented", f"{action[:50]} is not known")
        return await handler(payload, received)

    # --- boot

    async def _boot_notification(
        self, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        """Accept a known station; a brand-new one waits until its fallback lies (B02)."""
        status, interval_s = "Rejected", self._settings.heartbeat_interval_s
        if self._desk.evses(self._intake.station) is not None:
            info = self.boot_info(payload)
            await self._save(info, received)
            self._intake.skew.forget()
            self._desk.post(StationBooted(station=self._intake.station, info=info))
            is_accepted = await self._on_boot(info)
            self._is_pending = not is_accepted
            status = "Accepted" if is_accepted else "Pending"
            interval_s = interval_s if is_accepted else PENDING_INTERVAL_S
        return {
            "status": status,
            "currentTime": wire_time(self._intake.now()),
            "interval": interval_s,
        }

    async def _save(self, info: StationInfo, received: Received) -> None:
        await self._desk.save_station(
            StationRecord(
                id=self._intake.station,
                vendor=info.vendor,
                model=info.model,
                serial=info.serial,
                firmware=info.firmware,
                protocol=self.protocol,
                last_boot_at=received.at,
            )
        )

    async def _heartbeat(self, payload: dict[str, Any], received: Received) -> dict[str, Any]:
        return {"currentTime": wire_time(self._intake.now())}

    # --- vendor data, certificates

    async def _data_transfer(self, payload: dict[str, Any], received: Received) -> dict[str, Any]:
        """Answer what is on the allow-list; everything else is refused by vendor or message."""
        vendor, message = payload["vendorId"], payload.get("messageId")
        known = self._book.data_transfers
        handler = known.get(f"{vendor}/{message}") or known.get(vendor)
        if handler is not None:
            return await handler(self._intake.station, payload)
        if vendor in self._book.accepted_vendors:
            heard = {"at": wire_time(received.at), "message": message, "data": payload.get("data")}
            await self._book.keep(DATA_TRANSFER, f"{self._intake.station}/{vendor}", heard)
            return {"status": "Accepted"}
        is_known_vendor = any(name.partition("/")[0] == vendor for name in known)
        return {"status": "UnknownMessageId" if is_known_vendor else "UnknownVendorId"}

    async def _sign_certificate(
        self, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        """Refuse: this site signs no certificates unless an extension is registered for it."""
        return {"status": "Rejected"}

    # --- jobs and security

    async def _unreachable(self, payload: dict[str, Any], received: Received) -> dict[str, Any]:
        return {}

    def _report_job(self, kind: str, payload: dict[str, Any], received: Received) -> dict[str, Any]:
        """Report how far a job is; a bad end is a condition until the next good one."""
        station, status = self._intake.station, str(payload.get("status", ""))
        log.info("station.job", station=station, kind=kind, status=status)
        job = Job(status=status, at=received.at, request_id=payload.get("requestId"))
        self._desk.post(JobReported(station=station, kind=kind, job=job))
        code = f"{kind.upper()}_FAILED"
        mend = fault_table().job_failures.get(status)
        if mend is not None:
            text = f"{station}: {mend}"
            self._book.begin(
                code, station, text, severity=Severity.ALARM, values={"status": status}
            )
        elif status in ("Installed", "Uploaded", "Published"):
            self._book.end(code, station)
        return {}

    async def _security_event(self, payload: dict[str, Any], received: Received) -> dict[str, Any]:
        """Log every event; those that need somebody are conditions for a day (A04)."""
        kind, station = str(payload["type"]), self._intake.station
        info = str(payload.get("techInfo", ""))[:200]
        log.warning("station.security", station=station, type=kind[:50], info=info)
        fault = fault_table().security_events.get(kind)
        if fault is not None:
            text = f"{station} reports {kind}. {fault.mend}" + (f" It says: {info}" if info else "")
            self._book.begin(
                f"SECURITY_{kind}", station, text, severity=fault.severity, lasts_s=DAY_S
            )
        return {}

    # --- faults

    def report_fault(self, subject: str, code: str, text: str) -> None:
        """Begin the condition of an error code.

        Args:
            subject: EVSE or station.
            code: A code of OCPP 1.6, or what 2.0.1 reported.
            text: What the station adds: vendor code, technical information.
        """
        open_codes = self._faults.setdefault(subject, set())
        if len(open_codes) >= MAX_OPEN_FAULTS:
            return
        table = fault_table()
        fault = (
            table.error_codes.get(code)
            or table.error_codes[table.components.get(code, "OtherError")]
        )
        says = f" It says: {text[:120]}" if text else ""
        open_codes.add(code)
        self._book.begin(
            f"ERROR_{code}",
            subject,
            f"{subject} reports {code}. {fault.mend}{says}",
            severity=fault.severity,
        )

    def only_fault(self, subject: str, code: str | None, text: str) -> None:
        """Begin the condition of an error code and end all others of this subject."""
        for old in self._faults.get(subject, set()) - {code}:
            self._book.end(f"ERROR_{old}", subject)
        self._faults[subject] = self._faults.get(subject, set()) & {code or ""}
        if code is not None:
            self.report_fault(subject, code, text)

    def end_fault(self, subject: str, code: str) -> None:
        """End the condition of one error code."""
        self._faults.setdefault(subject, set()).discard(code)
        self._book.end(f"ERROR_{code}", subject)

    # --- reports in parts

    async def collect(
        self, action: str, payload: dict[str, Any], items: Sequence[Any], *, kind: str
    ) -> Report | None:
        """Take in a part of a report; the whole is kept as a document.

        Args:
            action: Name of the message.
            payload: The message: `requestId`, `seqNo` where it has one, `tbc`.
            items: What the part holds.
            kind: Kind of the document.

        Returns:
            The report when it is complete.
        """
        report = self._reports.add(
            action,
            payload.get("requestId", 0),
            payload.get("seqNo"),
            items,
            tbc=bool(payload.get("tbc", False)),
        )
        if report is None:
            return None
        station = self._intake.station
        if report.is_cut:
            log.warning("station.report_cut", station=station, action=action, kept=report.count)
        body = {
            "request_id": payload.get("requestId"),
            "at": wire_time(self._intake.now()),
            "items": report.items,
        }
        await self._book.keep(kind, station, body)
        return report

    async def keep_signed(
        self, meter_values: Sequence[Mapping[str, Any]], *, transaction: str | None, where: str
    ) -> None:
        """Keep signed meter values as they came, byte for byte (1.6 `SignedData`, 2.0.1 J01.FR.21)."""
        signed = [
            {"timestamp": value.get("timestamp"), "sampledValue": sampled}
            for value in meter_values
            for sampled in value.get("sampledValue", ())
            if sampled.get("format") == "SignedData" or "signedMeterValue" in sampled
        ][:SIGNED_MAX]
        if not signed:
            return
        at = self._intake.now().timestamp()
        key = f"{self._intake.station}|{transaction or '-'}|{at:.6f}|{next(self._signed_count)}"
        await self._book.keep(
            SIGNED, key, {"evse": where, "transaction": transaction, "values": signed}
        )
