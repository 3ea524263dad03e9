"""Which addresses may be called: a partner must not make us ask our own network.

Every URL that comes from outside passes here before it is called, and the connection goes to the
address that was judged, so that a name cannot change its mind in between.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit


class ForbiddenUrlError(Exception):
    """The address must not be called; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """The rules."""

    allow_private: bool
    """True: loopback and private networks, and plain HTTP."""

    def check(self, url: str, *, hosts: frozenset[str] | None = None) -> tuple[str, int]:
        """Judge a URL by its text; return host and port.

        Args:
            url: As the partner sent it.
            hosts: The partner's own hosts; None: not known yet.

        Raises:
            ForbiddenUrlError: It must not be called.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ForbiddenUrlError("this is not a URL") from None
        if parts.scheme not in (("https", "http") if self.allow_private else ("https",)):
            raise ForbiddenUrlError("only https is called")
        if not host or parts.username is not None or parts.password is not None:
            raise ForbiddenUrlError("a host is needed, and no user or password")
        if parts.fragment or any(c in url for c in "\r\n\t \\"):
            raise ForbiddenUrlError("this is not a plain URL")
        if hosts is not None and host.casefold() not in hosts:
            raise ForbiddenUrlError(f"{host} is not a host that this partner registered with")
        return host.casefold(), port or (443 if parts.scheme == "https" else 80)

    async def resolve(self, host: str, port: int) -> str:
        """Return an address of the host that may be called.

        Raises:
            ForbiddenUrlError: No such host, or one of its addresses is not public.
        """
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            raise ForbiddenUrlError(f"{host} is not known") from None
        addresses = [str(entry[4][0]) for entry in found]
        self.check_addresses(host, addresses)
        return addresses[0]

    def check_addresses(self, host: str, addresses: Sequence[str]) -> None:
        """Judge what a name stands for: all of it must be allowed.

        Raises:
            ForbiddenUrlError: One of them must not be called.
        """
        if not addresses:
            raise ForbiddenUrlError(f"{host} is not known")
        for text in addresses:
            address = ipaddress.ip_address(text.partition("%")[0])
            mapped = getattr(address, "ipv4_mapped", None)
            judged = mapped if mapped is not None else address
            is_never = judged.is_link_local or judged.is_multicast or judged.is_unspecified
            if is_never or not (self.allow_private or judged.is_global):
                raise ForbiddenUrlError(f"{host} is not an address on the public network")
