"""From the site file to the settings of notifications."""

from __future__ import annotations

from datetime import time

from adapters.config.loader import SiteFile
from adapters.notify.settings import Email, NotifySettings, Target, Webhook
from controller.decision import Severity


def notify_settings(file: SiteFile) -> NotifySettings:
    """Return who is told of alarms."""
    section = file.document.notifications
    targets: list[Target] = [
        Webhook(name=name, url=e.url, secret_env=e.secret_env, least=Severity(e.least))
        for name, e in section.webhooks.items()
    ]
    targets += [
        Email(
            name=name,
            to=tuple(e.to),
            sender=e.sender,
            host=e.host,
            port=e.port,
            security=e.security,
            user=e.user,
            password_env=e.password_env,
            least=Severity(e.least),
        )
        for name, e in section.emails.items()
    ]
    quiet = section.quiet
    return NotifySettings(
        site=file.site.name,
        timezone=file.site.timezone,
        targets=tuple(targets),
        quiet=None
        if quiet is None
        else (time.fromisoformat(quiet.begin), time.fromisoformat(quiet.end)),
        group_s=section.group_s,
    )
