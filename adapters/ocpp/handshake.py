"""What an opening handshake says: identity, protocol and password. Pure functions."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from adapters.ocpp.frames import OCPP16, OCPP21, OCPP201

MAX_IDENTITY: Final = 48
"""Longest identity of OCPP 2.0.1 (identifierString). [character]"""

_SPELLINGS: Final = {
    "ocpp1.6": OCPP16,
    "ocpp1.6j": OCPP16,
    "ocpp1.6-j": OCPP16,
    "ocpp2.0.1": OCPP201,
    "ocpp2.0.1j": OCPP201,
    "ocpp2.0.1-j": OCPP201,
    "ocpp2.1": OCPP21,
    "ocpp2.1j": OCPP21,
    "ocpp2.1-j": OCPP21,
}
_PREFERENCE: Final = (OCPP201, OCPP21, OCPP16)
"""2.0.1 before 2.1: it is the version that stations are certified for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Negotiated:
    """The protocol to speak."""

    protocol: str
    """`ocpp1.6` or `ocpp2.0.1`."""
    echo: str | None
    """The station's own spelling, to be confirmed; None: it offered nothing."""


def identity_of(target: str) -> str | None:
    """Return the last non-empty segment of a request target, decoded.

    Stations append their identity to whatever URL was typed in, with one slash too many or too few.

    Returns:
        The identity; None when there is none or it could not be shown on a screen.
    """
    path = target.partition("?")[0]
    if "://" in path and not path.startswith("/"):
        path = path.partition("://")[2].partition("/")[2]
    segment = next((part for part in reversed(path.split("/")) if part), "")
    try:
        identity = unquote(segment, errors="strict").strip(" ")
    except UnicodeDecodeError:
        return None
    return identity if 0 < len(identity) <= MAX_IDENTITY and identity.isprintable() else None


def negotiate(
    offered: Sequence[str],
    *,
    available: Collection[str],
    pinned: str | None,
    default: str | None,
) -> Negotiated | None:
    """Choose the protocol.

    Args:
        offered: Subprotocols as the station spells them.
        available: Protocols that are implemented.
        pinned: The only protocol allowed for this station, if one is set.
        default: Protocol of stations that offer nothing; None refuses them.

    Returns:
        The choice; None: nothing in common.
    """
    allowed = [p for p in _PREFERENCE if p in available and pinned in (None, p)]
    if not offered:
        silent = pinned or default
        return Negotiated(protocol=silent, echo=None) if silent in allowed and silent else None
    spellings = {_SPELLINGS.get(name.casefold()): name for name in reversed(offered)}
    for protocol in allowed:
        if protocol in spellings:
            return Negotiated(protocol=protocol, echo=spellings[protocol])
    return None


def subprotocols_of(headers: Sequence[str]) -> tuple[str, ...]:
    """Split the values of `Sec-WebSocket-Protocol`."""
    names = (name.strip() for header in headers for name in header.split(","))
    return tuple(name for name in names if name)


def password_of(headers: Sequence[str], identity: str) -> bytes | None:
    """Read the password from the values of `Authorization`.

    Returns:
        The password as sent, perhaps not text; None unless there is exactly one HTTP Basic
        credential whose user is the identity.
    """
    if len(headers) != 1:
        return None
    scheme, _, encoded = headers[0].strip().partition(" ")
    if scheme.casefold() != "basic":
        return None
    try:
        credentials = base64.b64decode(encoded.strip().encode(), validate=True)
    except (binascii.Error, ValueError):
        return None
    user = identity.encode() + b":"
    return credentials.removeprefix(user) if credentials.startswith(user) else None
