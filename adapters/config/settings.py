"""What the site file says about servers and databases: frozen settings for the other adapters."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from adapters.config.spelling import ListenAddress
from controller.care import OfflineTokens


class UnknownTokens(Enum):
    """What happens with an RFID token that is not in the list."""

    REJECT = "reject"
    ACCEPT = "accept"
    """Charging is free for everybody."""


class InfluxApi(Enum):
    """Which generation of the write interface the server speaks."""

    V1 = "v1"
    V2 = "v2"
    V3 = "v3"


@dataclass(frozen=True, slots=True, kw_only=True)
class OcppListener:
    """A further port for stations."""

    listen: ListenAddress
    security_profile: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OcppTls:
    """Certificates for stations. All paths are absolute."""

    folder: Path
    """Of the own authority."""
    certificates: tuple[tuple[Path, Path], ...]
    """Certificate and key; empty: the own authority's."""
    client_ca: Path | None
    organisation: str | None
    rsa_key_exchange: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OcppSettings:
    """The server that stations connect to."""

    listen: ListenAddress
    security_profile: int
    unknown_tokens: UnknownTokens
    offline_tokens: OfflineTokens
    listeners: tuple[OcppListener, ...]
    data_transfer: frozenset[str]
    """Vendor ids whose own messages are accepted."""
    tls: OcppTls


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadSettings:
    """The receiver for logs and diagnostics."""

    listen: ListenAddress
    host: str | None
    tls: bool
    folder: Path
    """Absolute."""
    max_bytes: int
    keep_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """The dashboard and the HTTP API."""

    listen: ListenAddress
    tls: tuple[Path, Path] | None
    """Certificate and key, absolute; None: http."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """The embedded database."""

    path: Path
    """Absolute."""
    samples_age_s: float = 7 * 86_400.0
    samples_bytes: int = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluxSettings:
    """Upload to InfluxDB. The names of variables stand here, never their values."""

    url: str
    api: InfluxApi
    org: str | None
    bucket: str | None
    token_env: str | None
    database: str | None
    retention_policy: str | None
    user_env: str | None
    password_env: str | None
    gzip: bool
