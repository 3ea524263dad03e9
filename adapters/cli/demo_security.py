"""`wattkeeper demo --secure`: TLS everywhere, and client certificates for one station of each version."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from adapters.bootstrap import RunningController
from adapters.ocpp.settings import KeyPair, Listener, OcppSettings, TlsFiles
from adapters.pki.authority import Authority
from adapters.simulator.setup import Access
from controller.site import StationId

HOST = "127.0.0.1"
CERTIFIED = 2
"""Stations alternate between the versions: the first two are one of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSecurity:
    """An authority for one demo, and what its stations get from it."""

    authority: Authority
    certified: tuple[StationId, ...]

    @classmethod
    def prepare(cls, folder: Path, stations: Sequence[StationId]) -> DemoSecurity:
        """Make the authority and this server's certificates."""
        authority = Authority(folder / "pki")
        now = datetime.now(UTC)
        authority.init("Wattkeeper demo", now)
        authority.issue_server([HOST, "localhost"], now)
        return cls(authority=authority, certified=tuple(stations[:CERTIFIED]))

    def ocpp(self) -> OcppSettings:
        """Listen with TLS and passwords on one port, with client certificates on another."""
        pairs = tuple(
            KeyPair(certificate=issued.certificate, key=issued.key)
            for issued in self.authority.server()
        )
        return OcppSettings(
            host=HOST,
            port=0,
            security_profile=2,
            also=(Listener(host=HOST, port=0, security_profile=3),),
            tls=TlsFiles(
                pairs=pairs,
                client_ca=self.authority.bundle,
                organisation=self.authority.organisation(),
            ),
        )

    def access(
        self, ports: tuple[int, ...], passwords: Mapping[StationId, str]
    ) -> dict[StationId, Access]:
        """Return how each station connects: by password, or by a certificate of its own."""
        by_password, by_certificate = ports
        trusting = self._trusting()
        ways = {
            station: Access(url=f"wss://{HOST}:{by_password}", password=secret, tls=trusting)
            for station, secret in passwords.items()
        }
        for station in self.certified:
            issued = self.authority.issue_station(station, datetime.now(UTC))
            tls = self._trusting()
            tls.load_cert_chain(issued.certificate, issued.key)
            ways[station] = Access(url=f"wss://{HOST}:{by_certificate}", password=None, tls=tls)
        return ways

    def _trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority.bundle))

    def seen(self, controller: RunningController) -> str:
        """Say which stations are connected with a client certificate, and by which protocol."""
        snapshot = controller.operations.snapshot()
        views = snapshot.stations if snapshot is not None else {}
        shown = [
            f"{station} ({views[station].protocol})"
            for station in self.certified
            if station in views and views[station].connected
        ]
        return f"Connected with client certificates: {', '.join(shown) or 'none'}."
