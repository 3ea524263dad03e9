"""Asks stations for their logs; they send them to our own receiver."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Final, Protocol

from adapters.ocpp.clocks import wire_time
from adapters.ocpp.frames import OCPP16
from adapters.ocpp.lines import Lines
from controller.care import LogKind, LogRequest, StationAnswer, Upload
from controller.commands import Applied, NotConnected, Rejected
from controller.ports import Clock
from controller.records import AuditEntry
from controller.site import StationId

RETRIES: Final = 3
RETRY_S: Final = 60
_LOG_TYPES: Final = {LogKind.DIAGNOSTICS: "DiagnosticsLog", LogKind.SECURITY: "SecurityLog"}


class Uploads(Protocol):
    """Where files are expected and kept."""

    async def expect(self, station: StationId, kind: LogKind, actor: str) -> tuple[Upload, str]:
        """Begin to expect a file; return it with its one-time credentials."""

    async def forget(self, upload: Upload) -> None:
        """Stop expecting it."""

    def uploads(self, station: StationId | None) -> tuple[Upload, ...]:
        """List, newest first."""

    def file_of(self, upload: Upload) -> Any:
        """Return where its file is kept."""


class AuditLog(Protocol):
    """The part of the store that this needs."""

    async def audit(self, entry: AuditEntry) -> None:
        """Append to the audit log."""


class LogDesk:
    """Implements `StationLogs`."""

    def __init__(
        self,
        *,
        lines: Lines,
        uploads: Uploads,
        url: Callable[[StationId, str], str | None],
        store: AuditLog,
        clock: Clock,
    ) -> None:
        """Fetch logs.

        Args:
            lines: The way to the stations.
            uploads: Where files are expected.
            url: From station and credentials to where it sends its file; None: it is not connected.
            store: The audit log.
            clock: Time.
        """
        self._lines = lines
        self._uploads = uploads
        self._url = url
        self._store = store
        self._clock = clock

    async def request(
        self, station: StationId, request: LogRequest, actor: str
    ) -> tuple[Upload | None, StationAnswer]:
        """Ask for a log."""
        caller = self._lines.get(station)
        if caller is None:
            return None, StationAnswer(result=NotConnected())
        upload, credentials = await self._uploads.expect(station, request.kind, actor)
        url = self._url(station, credentials)
        answer = StationAnswer(result=NotConnected())
        if url is not None:
            action, payload = _message(caller.protocol, request, url)
            answer = await self._lines.ask(station, action, payload)
            answer = _nothing_to_send(action, answer)
        await self._audit(station, request, type(answer.result).__name__, actor)
        if isinstance(answer.result, Rejected | NotConnected):
            await self._uploads.forget(upload)
            return None, answer
        return upload, answer

    async def uploads(self, station: StationId | None) -> tuple[Upload, ...]:
        """List, newest first."""
        return self._uploads.uploads(station)

    async def content(self, upload: str) -> tuple[Upload, str]:
        """Return a stored upload and the path of its file."""
        for known in self._uploads.uploads(None):
            if known.id == upload and known.stored_at is not None:
                return known, str(self._uploads.file_of(known))
        raise KeyError(upload)

    async def _audit(
        self, station: StationId, request: LogRequest, outcome: str, actor: str
    ) -> None:
        await self._store.audit(
            AuditEntry(
                at=self._clock.now(),
                actor=actor,
                action=f"station.log_{request.kind.value}",
                subject=station,
                after=outcome,
            )
        )


def _message(protocol: str, request: LogRequest, url: str) -> tuple[str, dict[str, Any]]:
    """Write the request of a version; 1.6 has a message of its own for diagnostics."""
    if protocol == OCPP16 and request.kind is LogKind.DIAGNOSTICS:
        payload: dict[str, Any] = {"location": url, "retries": RETRIES, "retryInterval": RETRY_S}
        if request.since is not None:
            payload["startTime"] = wire_time(request.since)
        if request.until is not None:
            payload["stopTime"] = wire_time(request.until)
        return "GetDiagnostics", payload
    log: dict[str, Any] = {"remoteLocation": url}
    if request.since is not None:
        log["oldestTimestamp"] = wire_time(request.since)
    if request.until is not None:
        log["latestTimestamp"] = wire_time(request.until)
    return "GetLog", {
        "log": log,
        "logType": _LOG_TYPES[request.kind],
        "requestId": secrets.randbelow(2**31 - 1),
        "retries": RETRIES,
        "retryInterval": RETRY_S,
    }


def _nothing_to_send(action: str, answer: StationAnswer) -> StationAnswer:
    """1.6 section 5.9: a station without diagnostics answers without a file name."""
    is_empty = action == "GetDiagnostics" and not answer.payload.get("fileName")
    if is_empty and isinstance(answer.result, Applied):
        return StationAnswer(result=Rejected(reason="it has no diagnostics to send"))
    return answer
