"""What the relay is started with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """The back office and how long we wait for it."""

    url: str
    """`ws://` or `wss://`; the station's identity is appended."""
    password_env: str | None = None
    """Name of a variable with the password of stations that have none of their own."""
    authority_file: Path | None = None
    """Certificates that its certificate may come from; None: the system's."""
    answer_timeout_s: float = 3.0
    """How long a station's question may wait for the back office; then we answer alone. [s]"""
    call_timeout_s: float = 30.0
    """How long a message may wait for its confirmation before the line counts as dead. [s]"""
    retry_s: float = 2.0
    """First wait between attempts to connect; it doubles up to a minute. [s]"""
    apply_interval_s: float = 5.0
    """How often the back office's profiles are evaluated. [s]"""
    most_volatile: int = 200
    """Messages other than transactions that wait for a line; older ones go."""
