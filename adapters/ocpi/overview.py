"""The partners as people are shown them, and the way to invite one without a shell."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import datetime

from adapters.ocpi.ledger import cdr_query, session_query
from adapters.ocpi.partners import KIND, MAX_PARTNERS, Partner, invited, partner_from
from adapters.ocpi.pushes import DELIVERED
from adapters.ocpi.tokens import TokenBook
from controller.ports import Clock
from controller.roaming import (
    Document,
    DocumentQuery,
    DocumentStore,
    Invitation,
    InvitationError,
    PartnerParty,
    PartnerView,
)


class PartnerOverview:
    """Implements `PartnerRegister` on the store; the roaming server reads there what is new."""

    def __init__(self, *, documents: DocumentStore, url: str, clock: Clock) -> None:
        self._documents = documents
        self._url = url
        self._clock = clock

    async def partners(self) -> tuple[PartnerView, ...]:
        """List all, by id."""
        return tuple([await self._counted(p) for p in await self._all()])

    async def count_tokens(self) -> int:
        """Count the id tokens of all partners."""
        return await TokenBook(self._documents).count()

    async def invite(self, name: str) -> Invitation:
        """Let a partner in that is not one yet.

        Raises:
            InvitationError: The name cannot be an id or is taken, or there are too many partners.
        """
        known = await self._all()
        if len(known) >= MAX_PARTNERS:
            raise InvitationError(f"there are {MAX_PARTNERS} partners already; remove one")
        try:
            partner, token = invited(name, taken=frozenset(p.id for p in known))
        except ValueError as error:
            raise InvitationError(str(error)) from None
        document = Document(
            kind=KIND,
            key=partner.id,
            body=json.dumps(asdict(partner)),
            updated_at=self._clock.now(),
        )
        if not await self._documents.put_document(document, once=True):
            raise InvitationError(f"there is a partner {partner.id} already")
        return Invitation(
            partner=view_of(partner), versions_url=f"{self._url}/versions", token=token
        )

    async def _all(self) -> tuple[Partner, ...]:
        found = await self._documents.documents(DocumentQuery(kind=KIND, limit=MAX_PARTNERS))
        return tuple(sorted((partner_from(d.body) for d in found), key=lambda p: p.id))

    async def _counted(self, partner: Partner) -> PartnerView:
        count = self._documents.count_documents
        return replace(
            view_of(partner),
            sessions=await count(session_query(partner.id)),
            cdrs=await count(cdr_query(partner.id)),
            undelivered_cdrs=await self._undelivered(partner),
        )

    async def _undelivered(self, partner: Partner) -> int | None:
        since = _time(partner.registered_at)
        if since is None or partner.endpoint("cdrs", "RECEIVER") is None:
            return None
        count = self._documents.count_documents
        made = await count(replace(cdr_query(partner.id), since=since))
        taken = await count(DocumentQuery(kind=DELIVERED, since=since, prefix=f"{partner.id}|"))
        return max(0, made - taken)


def view_of(partner: Partner) -> PartnerView:
    """Return what of a partner may be shown."""
    return PartnerView(
        id=partner.id,
        name=partner.name,
        state=partner.state.value,
        version=partner.version,
        parties=tuple(
            PartnerParty(country_code=p.country_code, party_id=p.party_id, role=p.role, name=p.name)
            for p in partner.parties
        ),
        registered_at=_time(partner.registered_at),
        last_error=partner.last_error,
        last_error_at=_time(partner.last_error_at),
        last_heard_at=_time(partner.last_heard_at),
    )


def _time(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
