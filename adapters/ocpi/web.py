"""What every request passes: who asks, how often, how much, for whom; and the headers of the answer.

Source: OCPI 2.2.1 `transport_and_format`.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import orjson
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from adapters.ocpi.envelope import OcpiError, Status, answer
from adapters.ocpi.partners import Partner, PartnerBook, PartnerState
from adapters.ocpi.settings import OcpiSettings

log = structlog.get_logger(__name__)

ECHOED = ("X-Request-ID", "X-Correlation-ID")
ROUTED_TO = ("OCPI-to-country-code", "OCPI-to-party-id")
ROUTED_FROM = ("OCPI-from-country-code", "OCPI-from-party-id")
MOST_CLIENTS = 10_000
LOAD_APART_S = 0.2
"""A token that nobody knows makes us read the partners again at most so often. [s]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A partner that showed a valid token."""

    partner: Partner
    is_encoded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which part of a list is asked for."""

    since: datetime | None
    until: datetime | None
    offset: int
    limit: int


class Door:
    """Lets partners in, at a bounded rate."""

    def __init__(self, *, book: PartnerBook, settings: OcpiSettings) -> None:
        self._book = book
        self._settings = settings
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._loaded_s = 0.0

    async def caller(self, request: Request, *, invited: bool = False) -> Caller:
        """Return who asks.

        Args:
            request: The request.
            invited: True: also partners that have only token A, for credentials and versions.

        Raises:
            OcpiError: 429 too often, 401 no valid token.
        """
        self._spend(request.client.host if request.client else "", cost=1.0)
        header = request.headers.get("Authorization", "")
        found = self._book.by_authorization(header)
        if found is None and time.monotonic() - self._loaded_s > LOAD_APART_S:
            self._loaded_s = time.monotonic()
            await self._book.load()
            found = self._book.by_authorization(header)
        if found is None or (found[0].state is PartnerState.INVITED and not invited):
            self._spend(request.client.host if request.client else "", cost=4.0)
            log.warning("ocpi.refused", path=request.url.path, reason="no valid token")
            raise OcpiError(
                Status.CLIENT_ERROR,
                "Invalid or missing token. Register again with a new token A from the operator.",
                http=401,
                headers={"WWW-Authenticate": "Token"},
            )
        return Caller(partner=found[0], is_encoded=found[1])

    def check_routing(self, request: Request, partner: Partner) -> None:
        """Check the routing headers of a functional module.

        Raises:
            OcpiError: It speaks for a party that is not its own, or to one that is not us.
        """
        if partner.version == "2.1.1":
            return
        country, party = (request.headers.get(h) for h in ROUTED_FROM)
        if country and party and not partner.owns(country, party):
            raise OcpiError(
                Status.INVALID_PARAMETERS, f"OCPI-from: {country}*{party} is not your party"
            )
        country, party = (request.headers.get(h) for h in ROUTED_TO)
        if country and party and (country.upper(), party.upper()) != self._settings.party:
            raise OcpiError(
                Status.UNKNOWN_RECEIVER, f"OCPI-to: {country}*{party} is not served here"
            )

    def _spend(self, host: str, *, cost: float) -> None:
        now_s, rate = time.monotonic(), self._settings.requests_per_s
        tokens, at_s = self._buckets.pop(host, (rate * 4, now_s))
        tokens = min(rate * 4, tokens + (now_s - at_s) * rate) - cost
        self._buckets[host] = (max(tokens, -rate * 4), now_s)
        if len(self._buckets) > MOST_CLIENTS:
            self._buckets.popitem(last=False)
        if tokens < 0:
            raise OcpiError(
                Status.CLIENT_ERROR, "Too many requests", http=429, headers={"Retry-After": "5"}
            )


async def body_of(request: Request, *, most: int) -> Any:
    """Read a JSON body.

    Raises:
        OcpiError: 413 too large, 400 no JSON.
    """
    read = bytearray()
    try:
        async for chunk in request.stream():
            read += chunk
            if len(read) > most:
                raise OcpiError(
                    Status.CLIENT_ERROR, f"The body is larger than {most} bytes", http=413
                )
    except ClientDisconnect:
        raise OcpiError(Status.CLIENT_ERROR, "The body is not complete", http=400) from None
    try:
        return orjson.loads(read)
    except orjson.JSONDecodeError:
        raise OcpiError(Status.CLIENT_ERROR, "The body is not JSON", http=400) from None


def page_of(request: Request, *, most: int) -> Page:
    """Read the parameters of a list.

    Raises:
        OcpiError: One of them is not valid.
    """
    query = request.query_params
    return Page(
        since=_instant(query.get("date_from"), "date_from"),
        until=_instant(query.get("date_to"), "date_to"),
        offset=_whole(query.get("offset"), "offset", default=0),
        limit=max(1, min(most, _whole(query.get("limit"), "limit", default=most))),
    )


def paged(
    items: Sequence[Any], *, total: int, page: Page, request: Request, url: str, most: int
) -> Response:
    """Answer a part of a list, with the address of the next."""
    headers = {"X-Total-Count": str(total), "X-Limit": str(most)}
    if page.offset + len(items) < total and items:
        query = dict(request.query_params) | {
            "offset": str(page.offset + len(items)),
            "limit": str(page.limit),
        }
        headers["Link"] = f'<{url}?{urlencode(query)}>; rel="next"'
    return answer(list(items), headers=headers)


def echoed(request: Request) -> Mapping[str, str]:
    """Return the headers that an answer gives back: ids, and sender and receiver swapped."""
    headers = {h: request.headers[h][:64] for h in ECHOED if h in request.headers}
    pairs = (*zip(ROUTED_TO, ROUTED_FROM, strict=True), *zip(ROUTED_FROM, ROUTED_TO, strict=True))
    for asked, given in pairs:
        if asked in request.headers:
            headers[given] = request.headers[asked][:3]
    return {k: v for k, v in headers.items() if v.isascii() and v.isprintable()}


def _instant(text: str | None, name: str) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text[:35])
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise OcpiError(Status.INVALID_PARAMETERS, f"{name}: not a time") from None


def _whole(text: str | None, name: str, *, default: int) -> int:
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise OcpiError(Status.INVALID_PARAMETERS, f"{name}: not a whole number of 0 or more")
    return int(text)
