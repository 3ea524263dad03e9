"""Where values are published, as the site file says it. The password is named, never written."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttSettings:
    """One broker."""

    url: str
    """`mqtt://HOST:PORT`, or `mqtts://HOST:PORT` with TLS."""
    site: str
    name: str
    username: str | None = None
    password_env: str | None = None
    prefix: str = "wattkeeper"
    discovery: str | None = None
    """Prefix that Home Assistant listens to; None: nothing is announced."""
    interval_s: float = 5.0

    @property
    def host(self) -> str:
        """The broker's host."""
        return urlsplit(self.url).hostname or ""

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection is TLS."""
        return urlsplit(self.url).scheme == "mqtts"

    @property
    def port(self) -> int:
        """The broker's port."""
        return urlsplit(self.url).port or (8883 if self.is_encrypted else 1883)

    @property
    def base(self) -> str:
        """What every topic begins with."""
        return f"{self.prefix}/{self.site}"

    @property
    def status_topic(self) -> str:
        """Says `online`, and `offline` when we are gone."""
        return f"{self.base}/status"
