"""Where samples go, as the site file says it. Secrets are named by environment variable only."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluxSettings:
    """One time-series server: InfluxDB 2 by `bucket`, InfluxDB 1 or 3 by `database`.

    Raises:
        ValueError: Neither or both of `bucket` and `database`, or a URL that cannot be used.
    """

    url: str
    site: str
    """Value of the tag `site`."""
    bucket: str | None = None
    org: str = ""
    token_env: str | None = None
    """Environment variable that holds the API token; None: the server asks for none."""
    database: str | None = None
    is_version_3: bool = False
    """`database` is one of InfluxDB 3: written through `/api/v3/write_lp`, with a token."""
    retention_policy: str | None = None
    """None: the database's default."""
    username: str | None = None
    password_env: str | None = None
    """Environment variable that holds the password of `username`."""
    timeout_s: float = 5.0
    gzip: bool = True
    batch_lines: int = 1_000
    interval_s: float = 2.0
    """New samples are sent so often. [s]"""
    backfill_lines_per_s: float = 5_000.0
    """Bound for what is sent after an outage, so that the server can go on answering."""
    backfill_cpu_share: float = 0.08
    """Bound for what sending it costs of one core: on a small computer it takes longer instead."""

    def __post_init__(self) -> None:
        if (self.bucket is None) == (self.database is None):
            raise ValueError(
                "influx: name either bucket (InfluxDB 2) or database (InfluxDB 1, 3), not both"
            )
        if self.is_version_3 and self.database is None:
            raise ValueError("influx: InfluxDB 3 needs a database")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                f"influx.url {self.url!r}: must be http://HOST:PORT or https://HOST:PORT"
            )
        if parts.username is not None or parts.password is not None or parts.query:
            # The text is not repeated: it holds a secret.
            raise ValueError(
                "influx.url: must not hold a user, a password or a query; use username and "
                "password_env, or token_env"
            )

    @property
    def target(self) -> str:
        """Name of the place, for the spool's cursors. Never holds a secret."""
        place = self.bucket
        if place is None:
            place = f"{self.database}/{self.retention_policy or ''}"
        return f"{self.url.rstrip('/')}|{self.org}|{place}"
