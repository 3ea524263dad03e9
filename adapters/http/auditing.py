"""Who changed what, written down with every change."""

from __future__ import annotations

from typing import Any

import orjson

from adapters.http.services import Services
from controller.records import AuditEntry


async def audit(
    services: Services,
    actor: str,
    action: str,
    subject: str,
    *,
    before: Any = None,
    after: Any = None,
) -> None:
    """Append to the audit log. Values are shown as JSON; secrets are never among them."""
    entry = AuditEntry(
        at=services.clock.now(),
        actor=actor,
        action=action,
        subject=subject,
        before=_json(before),
        after=_json(after),
    )
    await services.bridge.carry_out(services.store.audit(entry))


def _json(value: Any) -> str:
    return "" if value is None else orjson.dumps(value).decode()
