"""Calls to partners: bounded in time, size and pages, and only to addresses that the guard allows."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import httpx
import orjson

from adapters.ocpi.guard import ForbiddenUrlError, Guard
from adapters.ocpi.partners import Partner
from adapters.ocpi.settings import OcpiSettings
from adapters.vault import Vault, VaultError

_NEXT = re.compile(r'<([^<>]*)>\s*;\s*rel="?next"?')
MAX_ANSWER_BYTES = 4 * 1024 * 1024


class PartnerError(Exception):
    """A partner did not do what was asked; the text says what happened, without any secret."""

    def __init__(self, text: str, *, is_offline: bool = False) -> None:
        super().__init__(text)
        self.is_offline = is_offline
        """True: it was not reached, or cannot work at the moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a partner answered."""

    data: Any
    status_code: int
    message: str
    next_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request to a partner."""

    method: str
    url: str
    body: Any = None
    headers: Mapping[str, str] | None = None
    timeout_s: float | None = None


class PartnerClient:
    """Speaks to partners with their tokens."""

    def __init__(self, *, settings: OcpiSettings, guard: Guard, vault: Vault) -> None:
        self._settings = settings
        self._guard = guard
        self._vault = vault
        self._http = httpx.AsyncClient(
            follow_redirects=False,
            trust_env=False,
            timeout=settings.call_timeout_s,
            limits=httpx.Limits(max_connections=20),
        )

    async def close(self) -> None:
        """End all connections."""
        await self._http.aclose()

    async def ask(self, partner: Partner, ask: Ask, *, is_functional: bool = True) -> Reply:
        """Ask a registered partner.

        Raises:
            PartnerError: No answer, or one that is none.
        """
        if partner.sealed_token is None:
            raise PartnerError("it has not registered yet")
        try:
            token = self._vault.unseal(partner.sealed_token)
        except VaultError as error:
            raise PartnerError(str(error)) from error
        headers = dict(ask.headers or {})
        if is_functional and partner.version != "2.1.1":
            headers |= self._routing(partner)
        asked = Ask(
            method=ask.method,
            url=ask.url,
            body=ask.body,
            headers=headers,
            timeout_s=ask.timeout_s,
        )
        return await self.ask_with(
            asked, token, encodes=partner.encodes_token, hosts=frozenset(partner.hosts)
        )

    async def ask_with(
        self, ask: Ask, token: str, *, encodes: bool = True, hosts: frozenset[str] | None = None
    ) -> Reply:
        """Ask an address with a token.

        Raises:
            PartnerError: No answer, or one that is none.
        """
        written = base64.b64encode(token.encode()).decode() if encodes else token
        headers = {
            "Authorization": f"Token {written}",
            "X-Request-ID": str(uuid.uuid4()),
            "X-Correlation-ID": str(uuid.uuid4()),
            **(ask.headers or {}),
        }
        try:
            status, content, links = await self._send(ask, headers, hosts)
        except ForbiddenUrlError as error:
            raise PartnerError(f"its address is not called: {error}") from error
        except httpx.HTTPError as error:
            raise PartnerError(f"no answer ({type(error).__name__})", is_offline=True) from error
        return _reply(status, content, links)

    async def pages(self, partner: Partner, url: str, *, limit: int = 100) -> AsyncIterator[Any]:
        """Return all items of a partner's list; bounded, and only on its own hosts.

        Raises:
            PartnerError: It does not end, or does not answer.
        """
        at: str | None = _with_query(url, {"limit": str(limit), "offset": "0"})
        for _ in range(self._settings.max_pages):
            if at is None:
                return
            reply = await self.ask(partner, Ask(method="GET", url=at))
            if not isinstance(reply.data, list):
                raise PartnerError("its list is not a list")
            for item in reply.data[:1000]:
                yield item
            if reply.next_url == at:
                raise PartnerError("its list turns in a circle")
            at = reply.next_url
        raise PartnerError(f"its list does not end after {self._settings.max_pages} pages")

    async def _send(
        self, ask: Ask, headers: Mapping[str, str], hosts: frozenset[str] | None
    ) -> tuple[int, bytes, str]:
        host, port = self._guard.check(ask.url, hosts=hosts)
        address = await self._guard.resolve(host, port)
        parts = urlsplit(ask.url)
        literal = f"[{address}]" if ":" in address else address
        pinned = urlunsplit((parts.scheme, f"{literal}:{port}", parts.path, parts.query, ""))
        content = None if ask.body is None else orjson.dumps(ask.body)
        typed = {"Content-Type": "application/json"} if content is not None else {}
        request = self._http.build_request(
            ask.method,
            pinned,
            content=content,
            headers={**headers, **typed, "Host": parts.netloc},
            extensions={"sni_hostname": host},
            timeout=ask.timeout_s or self._settings.call_timeout_s,
        )
        response = await self._http.send(request, stream=True)
        try:
            content_read = bytearray()
            async for chunk in response.aiter_bytes():
                content_read += chunk
                if len(content_read) > MAX_ANSWER_BYTES:
                    raise ForbiddenUrlError("its answer is too large")
            return response.status_code, bytes(content_read), response.headers.get("Link", "")
        finally:
            await response.aclose()

    def _routing(self, partner: Partner) -> dict[str, str]:
        """Return who speaks to whom. Source: OCPI 2.2.1 `transport_and_format`, message routing."""
        headers = {
            "OCPI-from-country-code": self._settings.country_code,
            "OCPI-from-party-id": self._settings.party_id,
        }
        if partner.parties:
            headers["OCPI-to-country-code"] = partner.parties[0].country_code
            headers["OCPI-to-party-id"] = partner.parties[0].party_id
        return headers


def _reply(status: int, content: bytes, links: str) -> Reply:
    try:
        body = orjson.loads(content) if content else {}
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise PartnerError(f"HTTP {status} without an OCPI answer", is_offline=status >= 500)
    code = body.get("status_code")
    message = str(body.get("status_message") or "")[:200]
    if status >= 300 or not isinstance(code, int):
        raise PartnerError(f"HTTP {status}: {message or 'refused'}", is_offline=status >= 500)
    if not 1000 <= code < 2000:
        raise PartnerError(f"status {code}: {message or 'refused'}", is_offline=code >= 3000)
    found = _NEXT.search(links)
    return Reply(
        data=body.get("data"),
        status_code=code,
        message=message,
        next_url=found.group(1) if found else None,
    )


def _with_query(url: str, query: Mapping[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"
