"""Receivers of notifications on loopback: a web server and a mail server that remember."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Hook:
    """A web server that answers as told and remembers what it got."""

    answers: list[int] = field(default_factory=list)
    """Status codes to give first; then 204."""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self.server is not None
        port: int = self.server.sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}/hooks/depot"

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, body in self.got]

    async def start(self) -> Hook:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def stop(self) -> None:
        assert self.server is not None
        self.server.close()
        await self.server.wait_closed()

    async def received(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.got) < count:
                self.arrived.clear()
                await self.arrived.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (h.partition(":") for h in head[1:] if h)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.got.append((headers, body))
        status = self.answers.pop(0) if self.answers else 204
        extra = "Location: http://127.0.0.1:1/\r\n" if status == 302 else ""
        writer.write(f"HTTP/1.1 {status} X\r\n{extra}Content-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()
        self.arrived.set()


@dataclass
class Mailbox:
    """A mail server that remembers the mails; with a certificate it offers STARTTLS and wants it."""

    mails: list[str] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    in_clear: list[str] = field(default_factory=list)
    """Commands before TLS."""
    signed_in: list[str] = field(default_factory=list)
    _is_encrypted: bool = False
    server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self.server is not None
        port: int = self.server.sockets[0].getsockname()[1]
        return port

    async def start(self, *, at_once: bool = False) -> Mailbox:
        """Listen; `at_once`: TLS from the first byte, as on port 465."""
        tls = self.tls if at_once else None
        self._is_encrypted = at_once
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        return self

    async def stop(self) -> None:
        assert self.server is not None
        self.server.close()
        await self.server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_encrypted = self._is_encrypted
        writer.write(b"220 test\r\n")
        while line := (await reader.readline()).decode().strip():
            word = line.upper().split()[0]
            if not is_encrypted:
                self.in_clear.append(word)
            if word == "STARTTLS" and self.tls is not None:
                writer.write(b"220 go on\r\n")
                await writer.drain()
                await writer.start_tls(self.tls)
                is_encrypted = True
            elif word == "EHLO" and self.tls is not None:
                offer = b"AUTH PLAIN" if is_encrypted else b"STARTTLS"
                writer.write(b"250-test\r\n250 " + offer + b"\r\n")
            elif word == "AUTH":
                self.signed_in.append(base64.b64decode(line.split()[2]).decode())
                writer.write(b"235 welcome\r\n")
            elif word == "DATA":
                writer.write(b"354 go on\r\n")
                mail = await reader.readuntil(b"\r\n.\r\n")
                self.mails.append(mail.decode())
                writer.write(b"250 kept\r\n")
            elif word == "QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"502 no\r\n" if word == "STARTTLS" else b"250 ok\r\n")
        writer.close()
