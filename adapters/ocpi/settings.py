"""What the roaming server is started with."""

from __future__ import annotations

from dataclasses import dataclass

from controller.pricing import Tariff


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceSettings:
    """Where the site is, as drivers' apps show it."""

    name: str
    address: str
    city: str
    country: str
    """ISO 3166-1 alpha-3."""
    latitude: float
    longitude: float
    timezone: str
    postal_code: str | None = None
    is_published: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorSettings:
    """What every EVSE of the site has, where nothing else is known."""

    standard: str = "IEC_62196_T2"
    format: str = "SOCKET"


@dataclass(frozen=True, slots=True, kw_only=True)
class OcpiSettings:
    """One charge point operator with one location."""

    host: str
    port: int
    url: str
    """How partners reach us, without a slash at the end: `https://depot.example/ocpi`."""
    country_code: str
    party_id: str
    operator: str
    place: PlaceSettings
    tariff: Tariff
    website: str | None = None
    connector: ConnectorSettings = ConnectorSettings()
    allow_private_partners: bool = False
    """True: partners may live on private and loopback addresses and speak plain HTTP."""
    page_limit: int = 100
    max_body_bytes: int = 256 * 1024
    max_pages: int = 200
    """So many pages of a partner's list are fetched at most."""
    call_timeout_s: float = 5.0
    authorize_timeout_s: float = 3.0
    """How long a partner may take over a token before its offline rule counts. [s]"""
    sync_interval_s: float = 10.0
    """How often sessions, states and records are compared with what partners have. [s]"""
    requests_per_s: float = 20.0
    """Of one address."""

    @property
    def party(self) -> tuple[str, str]:
        """Return country code and party id."""
        return self.country_code, self.party_id
