"""What is known about a charger model before talking to it. Behaviour is asked for, never a vendor."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """Deviations of one charger model; the defaults suit a station that keeps to the standard."""

    boot_wait_s: float = 1.0
    """How long a new connection may take to send its BootNotification before we begin. [s]"""
    boot_settle_s: float = 1.0
    """Pause between BootNotification and our first request; some stations are deaf until then. [s]"""
    skipped_keys: frozenset[str] = frozenset()
    """Configuration keys never read or written: some stations restart when they are."""
    writes_configuration: bool = True
    """False: leave the station's configuration as its installer set it."""
