"""Certificates inside stations: their own requests are signed, authorities installed and removed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final, Protocol

import structlog

from adapters.ocpp.dialect import Caller, CallFailed, Received
from adapters.ocpp.frames import OCPP16
from adapters.ocpp.lines import Lines
from adapters.ocpp.throttle import Throttle
from controller.access import StationSecurity
from controller.care import CertificateSigner, CertificateUse, SigningRefused, StationAnswer
from controller.commands import Applied, Rejected
from controller.decision import Condition, Severity
from controller.ports import Clock, ConditionSink
from controller.records import AuditEntry
from controller.site import StationId

log = structlog.get_logger(__name__)

CERTIFICATE_NOT_ISSUED: Final = "CERTIFICATE_NOT_ISSUED"
_PER_MINUTE: Final = 0.2
_BURST: Final = 4
"""A station may ask a few times in a row, then every five minutes."""
_MAX_WAITING: Final = 2
_USES_V16: Final = {
    CertificateUse.CSMS_ROOT: "CentralSystemRootCertificate",
    CertificateUse.MANUFACTURER_ROOT: "ManufacturerRootCertificate",
}
_USES_V201: Final = {
    CertificateUse.CSMS_ROOT: "CSMSRootCertificate",
    CertificateUse.MANUFACTURER_ROOT: "ManufacturerRootCertificate",
}
STATION_CERTIFICATE: Final = "ChargingStationCertificate"
_TAKES_S: Final = 30.0
"""A station may take long to check and store a certificate. [s]"""


class CertificateStore(Protocol):
    """The part of the store that this needs."""

    async def station_security(self, station: StationId) -> StationSecurity:
        """Return names that are bound to a station."""

    async def audit(self, entry: AuditEntry) -> None:
        """Append to the audit log."""


class CertificateDesk:
    """An extension, and implements `StationCertificates`."""

    actions: frozenset[str] = frozenset({"SignCertificate"})

    def __init__(
        self,
        *,
        lines: Lines,
        store: CertificateStore,
        signer: CertificateSigner | None,
        conditions: ConditionSink,
        clock: Clock,
    ) -> None:
        """Serve certificates.

        Args:
            lines: The way to the stations.
            store: Bound names, and the audit log.
            signer: The authority; None: requests are refused.
            conditions: Where refusals are reported.
            clock: Time.
        """
        self._lines = lines
        self._store = store
        self._signer = signer
        self._conditions = conditions
        self._clock = clock
        self._rate = Throttle(per_minute=_PER_MINUTE, burst=_BURST, max_keys=4096)
        self._signed: dict[Caller, asyncio.Queue[str]] = {}

    # --- requests of stations ---------------------------------------------------------------------

    async def on_call(
        self, caller: Caller, action: str, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        """Sign a request; the certificate follows in a call of its own."""
        reason = await self._issue(caller, payload)
        if reason is None:
            self._conditions.end(CERTIFICATE_NOT_ISSUED, caller.station)
            return {"status": "Accepted"}
        log.warning("station.certificate_refused", station=caller.station, reason=reason)
        self._conditions.begin(
            Condition(
                code=CERTIFICATE_NOT_ISSUED,
                subject=caller.station,
                text=f"{caller.station} asks for a certificate and gets none: {reason}. Without one "
                "it cannot use security profile 3; see docs/how-to/secure-chargers.md.",
                severity=Severity.WARNING,
            )
        )
        return {"status": "Rejected"}

    async def _issue(self, caller: Caller, payload: dict[str, Any]) -> str | None:
        """Sign and queue a certificate; say why not otherwise."""
        if self._signer is None:
            return "this site has no authority (`wattkeeper ca init`)"
        if payload.get("certificateType", STATION_CERTIFICATE) != STATION_CERTIFICATE:
            return f"certificates of kind {payload['certificateType']} are not issued here"
        now_s = self._clock.monotonic_s()
        waiting = self._signed.get(caller)
        if not self._rate.is_open(caller.station, now_s) or waiting is None or waiting.full():
            return "it asks too often"
        self._rate.count(caller.station, now_s)
        security = await self._store.station_security(caller.station)
        names = frozenset(filter(None, [security.certificate_name]))
        try:
            chain = await asyncio.to_thread(
                self._signer.sign, payload["csr"], caller.station, names, self._clock.now()
            )
        except SigningRefused as refused:
            return str(refused)
        waiting.put_nowait(chain)
        await self._audit("station", "station.certificate_signed", caller.station, "")
        return None

    async def serve(self, caller: Caller) -> None:
        """Send what was signed for this connection."""
        queue: asyncio.Queue[str] = asyncio.Queue(_MAX_WAITING)
        self._signed[caller] = queue
        try:
            while True:
                await self._deliver(caller, await queue.get())
        finally:
            del self._signed[caller]

    async def _deliver(self, caller: Caller, chain: str) -> None:
        payload: dict[str, Any] = {"certificateChain": chain}
        if caller.protocol != OCPP16:
            payload["certificateType"] = STATION_CERTIFICATE
        try:
            answer = await caller.call("CertificateSigned", payload, timeout_s=_TAKES_S)
        except CallFailed as failed:
            if failed.kind == "closed":
                raise
            answer = {"status": str(failed)}
        log.info(
            "station.certificate_sent", station=caller.station, status=str(answer.get("status"))
        )

    # --- operators --------------------------------------------------------------------------------

    async def installed(self, station: StationId, use: CertificateUse) -> StationAnswer:
        """List by hash; both versions in the shape of 2.0.1."""
        caller = self._lines.get(station)
        if caller is not None and caller.protocol != OCPP16:
            wanted: dict[str, Any] = {"certificateType": [_USES_V201[use]]}
        else:
            wanted = {"certificateType": _USES_V16[use]}
        answer = await self._lines.ask(station, "GetInstalledCertificateIds", wanted)
        if isinstance(answer.result, Rejected) and answer.result.reason.startswith("NotFound"):
            return StationAnswer(result=Applied(self_expiring=False), payload={"items": []})
        found = answer.payload.get("certificateHashData") or [
            chain.get("certificateHashData", {})
            for chain in answer.payload.get("certificateHashDataChain", ())
        ]
        return StationAnswer(result=answer.result, payload={"items": found})

    async def install(
        self, station: StationId, use: CertificateUse, pem: str, actor: str
    ) -> StationAnswer:
        """Install an authority's certificate."""
        caller = self._lines.get(station)
        names = _USES_V16 if caller is None or caller.protocol == OCPP16 else _USES_V201
        answer = await self._lines.ask(
            station, "InstallCertificate", {"certificateType": names[use], "certificate": pem}
        )
        await self._audit(actor, "station.certificate_installed", station, _told(answer))
        return answer

    async def delete(
        self, station: StationId, hash_data: Mapping[str, str], actor: str
    ) -> StationAnswer:
        """Delete the certificate with these hashes."""
        answer = await self._lines.ask(
            station, "DeleteCertificate", {"certificateHashData": dict(hash_data)}
        )
        await self._audit(actor, "station.certificate_deleted", station, _told(answer))
        return answer

    async def renew(self, station: StationId, actor: str) -> StationAnswer:
        """Ask the station to request a new client certificate."""
        caller = self._lines.get(station)
        if caller is None or caller.protocol == OCPP16:
            asked = ("ExtendedTriggerMessage", "SignChargePointCertificate")
        else:
            asked = ("TriggerMessage", "SignChargingStationCertificate")
        answer = await self._lines.ask(station, asked[0], {"requestedMessage": asked[1]})
        await self._audit(actor, "station.certificate_renewal", station, _told(answer))
        return answer

    async def _audit(self, actor: str, action: str, station: StationId, after: str) -> None:
        entry = AuditEntry(
            at=self._clock.now(), actor=actor, action=action, subject=station, after=after
        )
        await self._store.audit(entry)


def _told(answer: StationAnswer) -> str:
    return json.dumps(type(answer.result).__name__)
