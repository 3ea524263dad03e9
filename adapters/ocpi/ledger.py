"""Sessions and CDRs of partners' customers: made from transactions, kept, and never doubled.

A restart changes nothing: what was agreed when a session began lies in the store, and a CDR is
inserted once.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from adapters.ocpi.models.sessions import AuthMethod, Cdr, Session
from adapters.ocpi.models.tariffs import Tariff as OcpiTariff
from adapters.ocpi.models.tokens import Token
from adapters.ocpi.sessions import Place, Terms, cdr_of, credit_of, session_of
from adapters.ocpi.signed import signed_data
from adapters.ocpi.tariffs import from_ocpi, to_ocpi
from adapters.ocpi.tokens import TokenBook, Verdict
from controller.curves import recorded_curve
from controller.metering import usages
from controller.ports import Clock, Store
from controller.pricing import Bill, bill
from controller.roaming import Document, DocumentQuery, DocumentStore
from controller.transaction import Transaction

TERMS = "ocpi.terms"
BILLED = "ocpi.billed"
"""The figures that a session was billed with, by its id."""
LOOK_BACK = timedelta(days=31)
PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """The terms of a session and whose customer it is."""

    terms: Terms
    partner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A session or a CDR that a partner has to hear of."""

    partner: str
    session: Session | None = None
    cdr: Cdr | None = None


class SessionLedger:
    """Makes sessions and CDRs."""

    def __init__(
        self,
        *,
        store: Store,
        documents: DocumentStore,
        tokens: TokenBook,
        place: Place,
        clock: Clock,
    ) -> None:
        self._store = store
        self._documents = documents
        self._tokens = tokens
        self._place = place
        self._clock = clock
        self._zone = ZoneInfo(place.settings.place.timezone)
        self._verdicts: dict[str, tuple[Verdict, AuthMethod, str | None]] = {}
        self._settled: dict[str, str] = {}
        """Sessions that are over, with the figures that they were settled with."""

    def expect(self, verdict: Verdict, *, method: AuthMethod, reference: str | None) -> None:
        """Remember how a token was allowed, for the session that follows."""
        self._verdicts[verdict.owned.token.uid.casefold()] = (verdict, method, reference)
        while len(self._verdicts) > 1000:
            self._verdicts.pop(next(iter(self._verdicts)))

    async def sync(self) -> AsyncIterator[Change]:
        """Bring sessions and CDRs up to date; return what changed."""
        now = self._clock.now()
        async for transaction in self._recent(now):
            session_id = self.session_id(transaction)
            figures = _figures(transaction)
            if figures is not None and self._settled.get(session_id) == figures:
                continue
            agreed = await self._agreed(transaction, now)
            if agreed is None:
                if figures is not None:
                    self._settled[session_id] = figures
                continue
            changed = await self._booked(transaction, agreed, now)
            if changed is not None:
                yield changed
            if figures is not None:
                for cdr in await self._billed(transaction, figures, agreed, now):
                    yield Change(partner=agreed.partner, cdr=cdr)
                self._settled[session_id] = figures

    def session_id(self, transaction: Transaction) -> str:
        """Return a session's public id."""
        return self._place.ids.session(transaction.station, transaction.id)

    async def session(self, partner: str, session_id: str) -> Session | None:
        """Find a partner's session."""
        found = await self._documents.document(_sessions(partner), session_id)
        return None if found is None else Session.model_validate_json(found.body)

    async def transaction_of(self, partner: str, session_id: str) -> Transaction | None:
        """Find the running transaction of a partner's session."""
        if await self.session(partner, session_id) is None:
            return None
        running = await self._store.open_transactions()
        return next((t for t in running if self.session_id(t) == session_id), None)

    async def _recent(self, now: datetime) -> AsyncIterator[Transaction]:
        offset = 0
        while True:
            page = await self._store.transactions(
                since=now - LOOK_BACK, until=None, limit=PAGE, offset=offset
            )
            for transaction in page:
                yield transaction
            if len(page) < PAGE:
                return
            offset += PAGE

    async def _agreed(self, transaction: Transaction, now: datetime) -> Agreed | None:
        """Return the terms of a session; they are fixed when it is first seen."""
        key = self.session_id(transaction)
        stored = await self._documents.document(TERMS, key)
        if stored is not None:
            return _agreed_from(stored.body)
        if transaction.id_token is None:
            return None
        known = self._verdicts.get(transaction.id_token.casefold())
        owned = known[0].owned if known is not None else None
        if owned is None:
            if await self._store.token(transaction.id_token) is not None:
                return None  # the site's own list decides first, and bills itself
            found = await self._tokens.find(transaction.id_token)
            owned = found[0] if found else None
        if owned is None:
            return None
        settings = self._place.settings
        agreed = Agreed(
            terms=Terms(
                token=owned.token,
                auth_method=known[1] if known is not None else AuthMethod.WHITELIST,
                authorization_reference=known[2] if known is not None else None,
                tariff=settings.tariff,
                tariff_at=now,
            ),
            partner=owned.partner,
        )
        await self._documents.put_document(
            Document(
                kind=TERMS, key=key, body=_agreed_text(agreed, settings.party), updated_at=now
            ),
            once=True,
        )
        return agreed

    async def _booked(
        self, transaction: Transaction, agreed: Agreed, now: datetime
    ) -> Change | None:
        made = session_of(
            transaction,
            terms=agreed.terms,
            bill=await self._bill(transaction, agreed.terms, now),
            place=self._place,
            now=now,
        )
        stored = await self._documents.document(_sessions(agreed.partner), made.id)
        if stored is not None:
            before = Session.model_validate_json(stored.body)
            if not _is_news(before, Session.model_validate_json(made.model_dump_json())):
                return None
        await self._documents.put_document(
            Document(
                kind=_sessions(agreed.partner),
                key=made.id,
                body=made.model_dump_json(),
                updated_at=now,
            )
        )
        return Change(partner=agreed.partner, session=made)

    async def _billed(
        self, transaction: Transaction, figures: str, agreed: Agreed, now: datetime
    ) -> tuple[Cdr, ...]:
        """Make the CDR of a session, or take back one whose figures were corrected and make another."""
        made = cdr_of(
            transaction,
            terms=agreed.terms,
            bill=await self._bill(transaction, agreed.terms, now),
            place=self._place,
            now=now,
            signed=await signed_data(self._documents, transaction),
        )
        if made is None:
            return ()
        mark = await self._documents.document(BILLED, made.id)
        mark_now = Document(kind=BILLED, key=made.id, body=figures, updated_at=now)
        number, latest = await self._latest_cdr(agreed.partner, made.id)
        if latest is None:
            await self._documents.put_document(mark_now)
            return await self._put_cdrs(agreed.partner, now, made)
        if mark is not None and mark.body == figures:
            return ()
        bills: tuple[Cdr, ...] = ()
        if mark is not None and not _is_same_bill(latest, made):
            credit = credit_of(latest, now=now, number=number + 1)
            again = made.model_copy(update={"id": replacement_id(made.id, number + 1)})
            bills = await self._put_cdrs(agreed.partner, now, credit, again)
        await self._documents.put_document(mark_now)
        return bills

    async def _latest_cdr(self, partner: str, cdr_id: str) -> tuple[int, Cdr | None]:
        """Return the CDR of a session that counts, and how often it was corrected."""
        number, found = 0, await self._documents.document(_cdrs(partner), cdr_id)
        while found is not None:
            later = replacement_id(cdr_id, number + 1)
            newer = await self._documents.document(_cdrs(partner), later)
            if newer is None:
                return number, Cdr.model_validate_json(found.body)
            number, found = number + 1, newer
        return 0, None

    async def _put_cdrs(self, partner: str, now: datetime, *cdrs: Cdr) -> tuple[Cdr, ...]:
        """Keep CDRs; return those that are new."""
        return tuple(
            [
                cdr
                for cdr in cdrs
                if await self._documents.put_document(
                    Document(
                        kind=_cdrs(partner), key=cdr.id, body=cdr.model_dump_json(), updated_at=now
                    ),
                    once=True,
                )
            ]
        )

    async def _bill(self, transaction: Transaction, terms: Terms, now: datetime) -> Bill:
        curve = await recorded_curve(self._store, transaction, now)
        return bill(terms.tariff, usages(transaction, curve, now=now), zone=self._zone)


async def take_back(
    documents: DocumentStore, partner: str, cdr_id: str, *, now: datetime
) -> Cdr | None:
    """Make the credit CDR of a CDR; None: there is none. Asked again, it stays the same one."""
    found = await documents.document(_cdrs(partner), cdr_id)
    if found is None:
        return None
    credit = credit_of(Cdr.model_validate_json(found.body), now=now)
    document = Document(
        kind=_cdrs(partner), key=credit.id, body=credit.model_dump_json(), updated_at=now
    )
    if not await documents.put_document(document, once=True):
        kept = await documents.document(_cdrs(partner), credit.id)
        return Cdr.model_validate_json(kept.body) if kept is not None else None
    return credit


def session_query(partner: str) -> DocumentQuery:
    """Return the query of a partner's sessions."""
    return DocumentQuery(kind=_sessions(partner))


def cdr_query(partner: str) -> DocumentQuery:
    """Return the query of a partner's CDRs."""
    return DocumentQuery(kind=_cdrs(partner))


def _sessions(partner: str) -> str:
    return f"ocpi.session.{partner}"


def _cdrs(partner: str) -> str:
    return f"ocpi.cdr.{partner}"


def replacement_id(cdr_id: str, number: int) -> str:
    """Return the id of the CDR that takes the place of one that was taken back."""
    return f"{cdr_id[:36]}-R{number}"[:39]


def _figures(transaction: Transaction) -> str | None:
    """Return what a bill is made of; None: it is not over."""
    if transaction.ended_at is None:
        return None
    return json.dumps([transaction.ended_at.isoformat(), transaction.start_wh, transaction.last_wh])


def _is_same_bill(one: Cdr, other: Cdr) -> bool:
    other = Cdr.model_validate_json(other.model_dump_json())
    return (one.end_date_time, one.total_energy) == (other.end_date_time, other.total_energy)


def _is_news(before: Session, after: Session) -> bool:
    """Tell whether a partner has to hear of it: a new state or end, or a minute of progress."""
    if before.status != after.status or before.end_date_time != after.end_date_time:
        return True
    if after.end_date_time is not None and before.kwh != after.kwh:
        return True
    progressed = after.kwh != before.kwh
    return progressed and after.last_updated - before.last_updated >= timedelta(seconds=60)


def _agreed_text(agreed: Agreed, party: tuple[str, str]) -> str:
    terms = agreed.terms
    return json.dumps(
        {
            "partner": agreed.partner,
            "token": terms.token.as_json(),
            "auth_method": terms.auth_method.value,
            "authorization_reference": terms.authorization_reference,
            "tariff": to_ocpi(terms.tariff, party=party, updated_at=terms.tariff_at).as_json(),
        }
    )


def _agreed_from(body: str) -> Agreed:
    data = json.loads(body)
    tariff = OcpiTariff.model_validate(data["tariff"])
    return Agreed(
        partner=data["partner"],
        terms=Terms(
            token=Token.model_validate(data["token"]),
            auth_method=AuthMethod(data["auth_method"]),
            authorization_reference=data["authorization_reference"],
            tariff=from_ocpi(tariff),
            tariff_at=tariff.last_updated,
        ),
    )
