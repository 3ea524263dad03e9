"""Who is told of what, and when not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

from controller.decision import Severity

RANK = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """An address that gets a signed POST."""

    name: str
    url: str
    secret_env: str | None
    """Name of the variable that holds the key of the signature."""
    least: Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Email:
    """A mailbox, through a mail server."""

    name: str
    to: tuple[str, ...]
    sender: str
    host: str
    port: int
    security: str
    """`starttls`, `tls`, or `none` (then without a password)."""
    user: str | None
    password_env: str | None
    least: Severity


Target = Webhook | Email


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySettings:
    """Everything about notifications."""

    site: str
    timezone: str = "UTC"
    targets: tuple[Target, ...] = ()
    quiet: tuple[time, time] | None = None
    """From and to, by the site's clock; warnings wait for the end, alarms do not."""
    group_s: float = 20.0
    """Warnings and alarms so close together become one message; critical ones go at once. [s]"""
    allow_link_local: bool = False

    def is_quiet(self, now: datetime) -> bool:
        """Tell whether people want to sleep now."""
        if self.quiet is None:
            return False
        begin, end = self.quiet
        here = now.astimezone(ZoneInfo(self.timezone)).time()
        if begin <= end:
            return begin <= here < end
        return here >= begin or here < end
