"""One attempt to deliver a message: a signed POST, or a mail through a server."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import smtplib
import socket
import ssl
from email.message import EmailMessage
from email.utils import format_datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

import httpx
import orjson

from adapters.notify.messages import Message, body, payload, subject
from adapters.notify.settings import Email, NotifySettings, Target, Webhook

TIMEOUT_S = 10.0
_METADATA = frozenset({ip_address("fd00:ec2::254"), ip_address("100.100.100.200")})
"""Where clouds keep the credentials of a machine, besides the link-local 169.254.169.254."""


class DeliveryError(Exception):
    """It was not delivered; the text says why, without secrets."""


async def deliver(target: Target, message: Message, settings: NotifySettings) -> None:
    """Deliver a message.

    Raises:
        DeliveryError: It was not delivered.
    """
    match target:
        case Webhook():
            await _post(target, message, settings)
        case Email():
            await asyncio.to_thread(_mail, target, message, settings)


# --- webhook ----------------------------------------------------------------------------------------


def signature(secret: str, timestamp: int, text: bytes) -> str:
    """Return the signature of a body, as `t=...,v1=...`: HMAC-SHA-256 over `timestamp.body`."""
    digest = hmac.new(secret.encode(), b"%d." % timestamp + text, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


async def _post(target: Webhook, message: Message, settings: NotifySettings) -> None:
    text = orjson.dumps(payload(message, settings))
    headers = {"Content-Type": "application/json", "User-Agent": "wattkeeper"}
    if target.secret_env is not None:
        secret = os.environ.get(target.secret_env)
        if not secret:
            raise DeliveryError(f"the variable {target.secret_env} is not set")
        headers["X-Wattkeeper-Signature"] = signature(secret, int(message.at.timestamp()), text)
    parts = urlsplit(target.url)
    host = parts.hostname or ""
    address = await _resolved(host, parts.port, settings)
    # To the address that was looked at and no other: a name may point elsewhere a moment later.
    url = httpx.URL(target.url).copy_with(host=str(address))
    headers["Host"] = parts.netloc.rpartition("@")[2]
    try:
        async with httpx.AsyncClient(
            timeout=TIMEOUT_S, follow_redirects=False, trust_env=False
        ) as client:
            answer = await client.post(
                url, content=text, headers=headers, extensions={"sni_hostname": host}
            )
    except httpx.HTTPError as error:
        raise DeliveryError(f"no answer from {host} ({type(error).__name__})") from None
    if not answer.is_success:
        raise DeliveryError(f"{host} answered {answer.status_code}")


async def _resolved(
    host: str, port: int | None, settings: NotifySettings
) -> IPv4Address | IPv6Address:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port or 443, type=socket.SOCK_STREAM
        )
    except OSError:
        raise DeliveryError(f"{host} is not known; check the name and the DNS") from None
    address = ip_address(str(found[0][4][0]).partition("%")[0])
    if is_forbidden(address) and not settings.allow_link_local:
        raise DeliveryError(
            f"{host} is {address}, an address that only this machine's surroundings use; "
            "name another one"
        )
    return address


def is_forbidden(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address never belongs to a receiver of alarms."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    real = mapped or address
    return real.is_link_local or real.is_multicast or real.is_unspecified or real in _METADATA


# --- e-mail -----------------------------------------------------------------------------------------


def _mail(target: Email, message: Message, settings: NotifySettings) -> None:
    mail = EmailMessage()
    mail["Subject"] = subject(message, settings)
    mail["From"] = target.sender
    mail["To"] = ", ".join(target.to)
    mail["Date"] = format_datetime(message.at)
    mail["Message-ID"] = f"<{message.id}@{settings.site}.wattkeeper>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(body(message, settings))
    try:
        with _connected(target) as server:
            if target.user is not None:
                server.login(target.user, _password(target))
            server.send_message(mail)
    except smtplib.SMTPResponseException as error:
        given = error.smtp_error
        said = (given if isinstance(given, str) else given.decode(errors="replace"))[:200]
        raise DeliveryError(f"{target.host} refused: {error.smtp_code} {said}") from None
    except (OSError, smtplib.SMTPException) as error:
        raise DeliveryError(
            f"no delivery through {target.host}:{target.port} ({type(error).__name__})"
        ) from None


def _connected(target: Email) -> smtplib.SMTP:
    if target.security == "tls":
        return smtplib.SMTP_SSL(
            target.host, target.port, timeout=TIMEOUT_S, context=ssl.create_default_context()
        )
    server = smtplib.SMTP(target.host, target.port, timeout=TIMEOUT_S)
    if target.security == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except (OSError, smtplib.SMTPException):
            server.close()
            raise
    return server


def _password(target: Email) -> str:
    password = os.environ.get(target.password_env or "")
    if not password:
        raise DeliveryError(f"the variable {target.password_env} is not set")
    return password
