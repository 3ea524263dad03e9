"""What is known of a station's right to connect: its password's spelling, its least protection."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from controller.site import StationId


@dataclass(frozen=True, slots=True, kw_only=True)
class StationSecurity:
    """How a station must protect its connection."""

    least_profile: int = 0
    """Highest OCPP security profile it has used; a lower one is a downgrade."""
    certificate_name: str | None = None
    """A further name (CN or SAN) that its client certificate may carry, such as a serial number."""
    certificates_from: datetime | None = None
    """Client certificates that became valid before this are refused; None: all are good."""
    has_new_secret: bool = False
    """A new password was sent to it that it has not used yet."""


class StationAccess(Protocol):
    """The part of the store that says how stations may connect. All writes are durable."""

    async def station_security(self, station: StationId) -> StationSecurity:
        """Return what holds for a station; the defaults for one that was never heard of."""

    async def save_station_security(self, station: StationId, security: StationSecurity) -> None:
        """Store it; `has_new_secret` is ignored."""

    async def propose_station_secret(self, station: StationId, secret: str) -> None:
        """Keep a new password beside the old one; the first use of it replaces the old one."""

    async def withdraw_station_secret(self, station: StationId) -> None:
        """Forget the new password; the old one stays."""


def canonical_secret(secret: bytes) -> bytes:
    """Return the one spelling behind all spellings of a station's password.

    OCPP 1.6 defines AuthorizationKey as hexadecimal. Some stations send the text as it was set,
    some the bytes it stands for, some the hexadecimal text of a password that was set as text.
    Hexadecimal text is decoded as often as it can be, so all of them end in the same bytes.
    """
    while secret and len(secret) % 2 == 0:
        try:
            text = secret.decode("ascii")
            decoded = bytes.fromhex(text)
        except ValueError:
            return secret
        if len(decoded) * 2 != len(text):
            return secret  # blanks, which fromhex overlooks, are no hexadecimal digits
        secret = decoded
    return secret
