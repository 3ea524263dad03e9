"""The server's certificates while it runs: reloaded when renewed, and reported before they end."""

from __future__ import annotations

import ssl
from datetime import timedelta
from typing import Final

import structlog

from adapters.ocpp.settings import TlsFiles
from adapters.ocpp.tls import TlsError, TlsIdentity
from controller.decision import Condition, Severity
from controller.ports import Clock, ConditionSink

log = structlog.get_logger()

TLS_CERTIFICATE_ENDS: Final = "TLS_CERTIFICATE_ENDS"
TLS_CERTIFICATE_BAD: Final = "TLS_CERTIFICATE_BAD"
_SUBJECT: Final = "ocpp"
WARNED_BEFORE: Final = timedelta(days=30)
ALARMED_BEFORE: Final = timedelta(days=7)


class ServerCertificates:
    """All certificates in use, one identity for each way of asking the station for its own."""

    def __init__(self, *, conditions: ConditionSink, clock: Clock) -> None:
        self._conditions = conditions
        self._clock = clock
        self._identities: dict[bool, TlsIdentity] = {}

    def add(self, files: TlsFiles, *, asks_for_certificate: bool) -> ssl.SSLContext:
        """Return the context for a listener.

        Raises:
            TlsError: The files cannot be used.
        """
        identity = self._identities.get(asks_for_certificate)
        if identity is None:
            identity = TlsIdentity(files, asks_for_certificate=asks_for_certificate)
            self._identities[asks_for_certificate] = identity
        return identity.context

    def watch(self) -> None:
        """Take renewed files into use, and report what ends soon or cannot be used."""
        bad: str | None = None
        for identity in self._identities.values():
            try:
                if identity.reload():
                    log.info("ocpp.certificate_renewed", ends=identity.expires_at.isoformat())
            except TlsError as error:
                bad = str(error)
        if bad is not None:
            self._begin(TLS_CERTIFICATE_BAD, f"{bad} The old one stays in use.", Severity.ALARM)
        else:
            self._conditions.end(TLS_CERTIFICATE_BAD, _SUBJECT)
        self._report_end()

    def _report_end(self) -> None:
        if not self._identities:
            return
        identity = min(self._identities.values(), key=lambda i: i.expires_at)
        left = identity.expires_at - self._clock.now()
        if left > WARNED_BEFORE:
            self._conditions.end(TLS_CERTIFICATE_ENDS, _SUBJECT)
            return
        has_ended = left <= timedelta(0)
        state = (
            "has ended: stations refuse to connect" if has_ended else f"ends in {left.days} days"
        )
        self._begin(
            TLS_CERTIFICATE_ENDS,
            f"The certificate {identity.place} {state}. Renew it with `wattkeeper ca renew`, or put "
            "a new file in its place; it is taken into use without a restart.",
            Severity.ALARM if left <= ALARMED_BEFORE else Severity.WARNING,
        )

    def _begin(self, code: str, text: str, severity: Severity) -> None:
        self._conditions.begin(Condition(code=code, subject=_SUBJECT, text=text, severity=severity))
