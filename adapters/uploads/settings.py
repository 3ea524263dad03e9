"""Settings of the upload receiver."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadSettings:
    """Where files are received, how large they may be and how long they stay."""

    host: str
    port: int
    """0 takes any free port."""
    folder: Path
    tls: ssl.SSLContext | None = None
    public_host: str | None = None
    """Host in the URLs that stations get; None: the address at which the station reached us."""

    max_bytes: int = 64 * 1024 * 1024
    """Of one file."""
    max_total_bytes: int = 1024 * 1024 * 1024
    """Of all files; the oldest go first."""
    keep_s: float = 30 * 86_400.0
    """[s]"""
    valid_s: float = 3600.0
    """How long a station may take to begin. [s]"""
    max_connections: int = 8
    head_timeout_s: float = 10.0
    """[s]"""
    idle_timeout_s: float = 30.0
    """Between two pieces of a file. [s]"""
    total_timeout_s: float = 1800.0
    """[s]"""
    bytes_per_s: float = 8e6
    """Faster senders are slowed down, so that control is not. [byte/s]"""
