"""What people are told. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from adapters.notify.settings import RANK, NotifySettings
from controller.decision import Alarm, Condition, Severity

TEST = Condition(
    code="TEST",
    subject="notifications",
    text="This is a test message; everything is all right.",
    severity=Severity.INFO,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message about one or more alarms, oldest first."""

    id: str
    at: datetime
    alarms: tuple[Alarm, ...]

    @property
    def severity(self) -> Severity:
        """The worst of them."""
        return max((a.condition.severity for a in self.alarms), key=RANK.__getitem__)


def subject(message: Message, settings: NotifySettings) -> str:
    """Return one line that says what happened."""
    begun = [a for a in message.alarms if a.end is None]
    first = (begun or list(message.alarms))[0].condition
    what = "over" if not begun else first.severity.value
    more = f" and {len(message.alarms) - 1} more" if len(message.alarms) > 1 else ""
    line = f"[{settings.site}] {what}: {first.code} {first.subject}{more}"
    return " ".join(line.split())[:200]


def body(message: Message, settings: NotifySettings) -> str:
    """Return the text of an e-mail."""
    zone = ZoneInfo(settings.timezone)
    lines = [f"{settings.site}, {message.at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}", ""]
    for alarm in message.alarms:
        condition = alarm.condition
        begin = f"{alarm.begin.astimezone(zone):%Y-%m-%d %H:%M:%S}"
        end = f", over at {alarm.end.astimezone(zone):%H:%M:%S}" if alarm.end is not None else ""
        lines += [
            f"{condition.severity.value.upper()} {condition.code} ({condition.subject})",
            f"  since {begin}{end}",
            f"  {condition.text}",
            "",
        ]
    return "\n".join(lines)


def payload(message: Message, settings: NotifySettings) -> dict[str, Any]:
    """Return the body of a webhook."""
    return {
        "id": message.id,
        "at": _rfc3339(message.at),
        "site": settings.site,
        "severity": message.severity.value,
        "summary": subject(message, settings),
        "alarms": [_alarm(a) for a in message.alarms],
    }


def told(alarms: Sequence[Alarm], least: Severity) -> tuple[Alarm, ...]:
    """Return what somebody wants to know; an alarm that came and went is told once, as over."""
    latest: dict[tuple[str, str, datetime], Alarm] = {}
    for alarm in alarms:
        if RANK[alarm.condition.severity] >= RANK[least]:
            latest[alarm.condition.code, alarm.condition.subject, alarm.begin] = alarm
    return tuple(latest.values())


def _alarm(alarm: Alarm) -> dict[str, Any]:
    return {
        "code": alarm.condition.code,
        "subject": alarm.condition.subject,
        "text": alarm.condition.text,
        "severity": alarm.condition.severity.value,
        "begin": _rfc3339(alarm.begin),
        "end": _rfc3339(alarm.end) if alarm.end is not None else None,
    }


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
