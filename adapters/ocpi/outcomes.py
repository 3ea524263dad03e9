"""Outcomes that go to a partner's address after the answer."""

from __future__ import annotations

import asyncio

import structlog

from adapters.ocpi.client import Ask, PartnerError
from adapters.ocpi.models.base import OcpiModel
from adapters.ocpi.partners import Partner
from adapters.ocpi.parts import Parts

log = structlog.get_logger(__name__)

_TASKS: set[asyncio.Task[None]] = set()
AFTER_S = 0.2
"""The answer to the request goes first. [s]"""


def deliver(parts: Parts, partner: Partner, url: str, outcome: OcpiModel) -> None:
    """Send an outcome soon; what cannot be delivered is logged and shown, not repeated."""
    task = asyncio.create_task(_deliver(parts, partner, url, outcome), name="ocpi-outcome")
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)


async def _deliver(parts: Parts, partner: Partner, url: str, outcome: OcpiModel) -> None:
    await asyncio.sleep(AFTER_S)
    try:
        await parts.client.ask(partner, Ask(method="POST", url=url, body=outcome.as_json()))
    except PartnerError as error:
        log.warning("ocpi.outcome_not_delivered", partner=partner.id, error=str(error))
        await parts.partners.note_error(
            partner.id, f"outcome of a profile: {error}", parts.clock.now()
        )
