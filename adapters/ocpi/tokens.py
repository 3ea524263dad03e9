"""Partners' tokens: kept, found, and authorised in real time where their rule asks for it.

Source: OCPI 2.2.1 `mod_tokens`, whitelist types.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import ValidationError

from adapters.ocpi.client import Ask, PartnerClient, PartnerError
from adapters.ocpi.models.tokens import AllowedType, AuthorizationInfo, Token, Whitelist
from adapters.ocpi.partners import Partner, PartnerBook, PartnerState
from controller.ports import Clock
from controller.records import Authorization, TokenStatus
from controller.roaming import Document, DocumentQuery, DocumentStore
from controller.transaction import IdToken

KIND = "ocpi.token"
FRESH = timedelta(seconds=60)
ALLOWED = {
    AllowedType.ALLOWED: TokenStatus.ACCEPTED,
    AllowedType.BLOCKED: TokenStatus.BLOCKED,
    AllowedType.EXPIRED: TokenStatus.EXPIRED,
    AllowedType.NO_CREDIT: TokenStatus.BLOCKED,
    AllowedType.NOT_ALLOWED: TokenStatus.BLOCKED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedToken:
    """A token and whose it is."""

    token: Token
    partner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was decided, and how it will be billed."""

    status: TokenStatus
    owned: OwnedToken
    authorization_reference: str | None = None
    is_asked: bool = False
    """The partner was asked, so that the method is AUTH_REQUEST."""


class TokenBook:
    """All partners' tokens, in the store."""

    def __init__(self, store: DocumentStore) -> None:
        self._store = store

    async def put(self, token: Token, partner: str) -> bool:
        """Keep a token; return whether it is new."""
        body = json.dumps({"partner": partner, "token": token.as_json()})
        return await self._store.put_document(
            Document(kind=KIND, key=key_of(token), body=body, updated_at=token.last_updated)
        )

    async def find(self, uid: str) -> tuple[OwnedToken, ...]:
        """Find all tokens of a uid, whatever the case."""
        found = await self._store.documents(
            DocumentQuery(kind=KIND, prefix=f"{uid.casefold()}|", limit=20)
        )
        return tuple(owned_from(d.body) for d in found)

    async def get(self, country_code: str, party_id: str, uid: str, kind: str) -> OwnedToken | None:
        """Find one token of one party."""
        found = await self._store.document(KIND, _key(uid, country_code, party_id, kind))
        return None if found is None else owned_from(found.body)

    async def count(self) -> int:
        """Count all."""
        return await self._store.count_documents(DocumentQuery(kind=KIND))


class Authorizer:
    """Implements `RoamingDesk` on the roaming server's own loop."""

    def __init__(
        self,
        *,
        book: TokenBook,
        partners: PartnerBook,
        client: PartnerClient,
        clock: Clock,
        location_id: str,
        timeout_s: float,
    ) -> None:
        self._book = book
        self._partners = partners
        self._client = client
        self._clock = clock
        self._location_id = location_id
        self._timeout_s = timeout_s
        self._fresh: dict[str, tuple[datetime, Verdict]] = {}

    async def decide(self, token: IdToken, evse_uids: tuple[str, ...] = ()) -> Verdict | None:
        """Decide on a token; None: nobody knows it.

        A station asks again when the transaction starts: what a partner said a moment ago counts.
        """
        now = self._clock.now()
        self._fresh = {t: v for t, v in self._fresh.items() if now - v[0] < FRESH}
        for owned in await self._book.find(token):
            partner = self._partners.get(owned.partner)
            if partner is None or partner.state is not PartnerState.REGISTERED:
                continue
            fresh = self._fresh.get(token.casefold())
            if fresh is not None and fresh[1].owned == owned:
                return fresh[1]
            verdict = await self._verdict(owned, partner, evse_uids)
            if verdict.is_asked:
                self._fresh[token.casefold()] = (now, verdict)
            return verdict
        return None

    async def _verdict(
        self, owned: OwnedToken, partner: Partner, evse_uids: tuple[str, ...]
    ) -> Verdict:
        token = owned.token
        local = TokenStatus.ACCEPTED if token.valid else TokenStatus.BLOCKED
        if token.whitelist in (Whitelist.ALWAYS, Whitelist.ALLOWED):
            return Verdict(status=local, owned=owned)
        try:
            info = await self._ask(token, partner, evse_uids)
        except PartnerError as error:
            await self._partners.note_error(
                partner.id, f"authorising a token: {error}", self._clock.now()
            )
            may = token.whitelist is Whitelist.ALLOWED_OFFLINE and error.is_offline
            return Verdict(status=local if may else TokenStatus.INVALID, owned=owned)
        return Verdict(
            status=ALLOWED[info.allowed],
            owned=owned,
            authorization_reference=info.authorization_reference,
            is_asked=True,
        )

    async def _ask(
        self, token: Token, partner: Partner, evse_uids: tuple[str, ...]
    ) -> AuthorizationInfo:
        url = partner.endpoint("tokens", "SENDER")
        if url is None:
            raise PartnerError("it offers no tokens module")
        body = {"location_id": self._location_id, "evse_uids": list(evse_uids)}
        ask = Ask(
            method="POST",
            url=f"{url.rstrip('/')}/{token.uid}/authorize?type={token.type.value}",
            body=body,
            timeout_s=self._timeout_s,
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._client.ask(partner, ask)
        except TimeoutError:
            raise PartnerError(f"no answer within {self._timeout_s:g} s", is_offline=True) from None
        try:
            return AuthorizationInfo.model_validate(reply.data)
        except ValidationError as error:
            raise PartnerError("its answer is not an AuthorizationInfo") from error


def authorization_of(verdict: Verdict) -> Authorization:
    """Return what a station is told."""
    group = verdict.owned.token.group_id
    return Authorization(
        status=verdict.status, group=IdToken(group[:20]) if group is not None else None
    )


async def pull(
    partner: Partner, *, client: PartnerClient, book: TokenBook, since: datetime | None
) -> int:
    """Fetch a partner's tokens; return how many were kept.

    Raises:
        PartnerError: It does not answer.
    """
    url = partner.endpoint("tokens", "SENDER")
    if url is None:
        return 0
    if since is not None:
        url = f"{url}?date_from={since.strftime('%Y-%m-%dT%H:%M:%SZ')}"
    kept = 0
    async for item in client.pages(partner, url):
        try:
            token = Token.model_validate(item)
        except ValidationError:
            continue
        if partner.owns(token.country_code, token.party_id):
            await book.put(token, partner.id)
            kept += 1
    return kept


def key_of(token: Token) -> str:
    """Return what a token is stored under."""
    return _key(token.uid, token.country_code, token.party_id, token.type.value)


def _key(uid: str, country_code: str, party_id: str, kind: str) -> str:
    return "|".join(part.casefold() for part in (uid, country_code, party_id, kind))


def owned_from(body: str) -> OwnedToken:
    """Read a stored token."""
    data = json.loads(body)
    return OwnedToken(token=Token.model_validate(data["token"]), partner=data["partner"])
