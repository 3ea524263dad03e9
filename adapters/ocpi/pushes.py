"""What partners are told without asking. What does not arrive is not queued: they are told afresh.

Source: OCPI 2.2.1 `transport_and_format`, "Offline behaviour": a partner that was away re-syncs by GET;
we help by sending the whole present state once it answers again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from adapters.ocpi.client import Ask, PartnerClient, PartnerError
from adapters.ocpi.ledger import Change, cdr_query, session_query
from adapters.ocpi.models.base import OcpiModel, time_text
from adapters.ocpi.models.locations import Location
from adapters.ocpi.models.sessions import Cdr, Session, SessionStatus
from adapters.ocpi.partners import Partner, PartnerBook, PartnerState
from adapters.ocpi.settings import OcpiSettings
from adapters.ocpi.tariffs import to_ocpi
from controller.ports import Clock
from controller.roaming import Document, DocumentQuery, DocumentStore

log = structlog.get_logger(__name__)

DELIVERED = "ocpi.delivered"
AGAIN_AFTER = timedelta(seconds=60)
AGAIN_AT_MOST = timedelta(minutes=15)
RESYNC_CDRS = 500
BILLS_EVERY = timedelta(seconds=30)


@dataclass(slots=True, kw_only=True)
class Line:
    """How a partner stands: whether it has everything, and when it is tried again."""

    is_current: bool = False
    failures: int = 0
    try_at: datetime | None = None
    bills_at: datetime | None = None
    """When the next look for bills is due that somebody else made, credits for example."""


class Pusher:
    """Tells registered partners what changed."""

    def __init__(
        self,
        *,
        settings: OcpiSettings,
        client: PartnerClient,
        partners: PartnerBook,
        documents: DocumentStore,
        clock: Clock,
        tariff_at: datetime,
    ) -> None:
        self._settings = settings
        self._client = client
        self._partners = partners
        self._documents = documents
        self._clock = clock
        self._tariff_at = tariff_at
        self._lines: dict[tuple[str, str], Line] = {}

    async def push(
        self, location: Location | None, changed: Iterable[str], changes: Iterable[Change]
    ) -> None:
        """Tell all partners: EVSEs by uid whose state changed, sessions and CDRs.

        Args:
            location: The site as it stands; None: not known yet.
            changed: uids of EVSEs whose state is new.
            changes: New sessions and CDRs.
        """
        uids, news = tuple(changed), tuple(changes)
        for partner in self._partners.all():
            if partner.state is PartnerState.REGISTERED:
                theirs = [c for c in news if c.partner == partner.id]
                await self._push(partner, location, uids, theirs)

    def states(self) -> dict[str, bool]:
        """Return, by partner, whether everything was delivered."""
        return {partner: line.is_current for (partner, _), line in self._lines.items()}

    async def _push(
        self, partner: Partner, location: Location | None, uids: tuple[str, ...], news: list[Change]
    ) -> None:
        # A new registration is a new line: it is told everything once.
        line = self._lines.setdefault((partner.id, partner.token_digest), Line())
        now = self._clock.now()
        if line.try_at is not None and now < line.try_at:
            line.is_current = False
            return
        try:
            if not line.is_current:
                await self._everything(partner, location)
            else:
                await self._news(partner, location, uids, news)
                if line.bills_at is None or now >= line.bills_at:
                    line.bills_at = now + BILLS_EVERY
                    await self._undelivered(partner)
        except PartnerError as error:
            line.is_current = False
            line.failures += 1
            wait = min(AGAIN_AFTER * 2 ** min(line.failures - 1, 6), AGAIN_AT_MOST)
            line.try_at = now + wait
            log.warning("ocpi.push_failed", partner=partner.id, error=str(error))
            await self._partners.note_error(partner.id, f"push: {error}", now)
            return
        line.is_current, line.failures, line.try_at = True, 0, None

    async def _everything(self, partner: Partner, location: Location | None) -> None:
        if location is not None:
            await self._put(partner, "locations", location.id, location)
        tariff = to_ocpi(
            self._settings.tariff, party=self._settings.party, updated_at=self._tariff_at
        )
        await self._put(partner, "tariffs", tariff.id, tariff)
        for document in await self._documents.documents(
            DocumentQuery(kind=session_query(partner.id).kind, limit=5000)
        ):
            session = Session.model_validate_json(document.body)
            if session.status is SessionStatus.ACTIVE:
                await self._put(partner, "sessions", session.id, session)
        await self._undelivered(partner)

    async def _news(
        self, partner: Partner, location: Location | None, uids: tuple[str, ...], news: list[Change]
    ) -> None:
        for evse in location.evses or [] if location is not None else []:
            if evse.uid in uids and location is not None:
                body = {"status": evse.status.value, "last_updated": time_text(evse.last_updated)}
                await self._send(partner, "PATCH", "locations", f"{location.id}/{evse.uid}", body)
        for change in news:
            if change.session is not None:
                await self._put(partner, "sessions", change.session.id, change.session)
        if any(c.cdr is not None for c in news):
            await self._undelivered(partner)

    async def _undelivered(self, partner: Partner) -> None:
        """Send the CDRs that the partner does not have."""
        url = partner.endpoint("cdrs", "RECEIVER")
        if url is None:
            return
        since = datetime.fromisoformat(partner.registered_at)
        query = DocumentQuery(kind=cdr_query(partner.id).kind, since=since, limit=RESYNC_CDRS)
        for document in await self._documents.documents(query):
            mark = f"{partner.id}|{document.key}"
            if await self._documents.document(DELIVERED, mark) is not None:
                continue
            cdr = Cdr.model_validate_json(document.body)
            await self._client.ask(partner, Ask(method="POST", url=url, body=cdr.as_json()))
            now = self._clock.now()
            await self._documents.put_document(
                Document(kind=DELIVERED, key=mark, body="", updated_at=now)
            )

    async def _put(self, partner: Partner, module: str, name: str, what: OcpiModel) -> None:
        await self._send(partner, "PUT", module, name, what.as_json())

    async def _send(
        self, partner: Partner, method: str, module: str, name: str, body: object
    ) -> None:
        url = partner.endpoint(module, "RECEIVER")
        if url is None or partner.version == "2.1.1":
            return  # it asks for what it wants
        country, party = self._settings.party
        address = f"{url.rstrip('/')}/{country}/{party}/{name}"
        await self._client.ask(partner, Ask(method=method, url=address, body=body))
