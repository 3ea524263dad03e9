"""How the HTTP side listens and what it puts up with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """Frozen settings of the HTTP server. Defaults are the product's."""

    host: str = "127.0.0.1"
    port: int = 8080
    """0 lets the system choose; `HttpServer.port` tells which."""
    tls: tuple[Path, Path] | None = None
    """Certificate with its chain and key, PEM; None: http."""
    interval_s: float = 2.0
    """The controller's cycle: three of them without a plan and `/readyz` says no. [s]"""

    trusted_proxies: tuple[str, ...] = ()
    """Addresses of reverse proxies whose `X-Forwarded-*` headers are believed."""
    metrics_open_on_loopback: bool = False
    """True: `/metrics` needs no account when asked from this machine."""

    max_body_bytes: int = 1_000_000
    body_timeout_s: float = 20.0
    """A request body that takes longer is refused. [s]"""
    send_timeout_s: float = 30.0
    """A client that takes no data for so long is cut off. [s]"""
    head_timeout_s: float = 15.0
    """A connection without a complete request for so long is cut off. [s]"""
    max_connections: int = 512
    requests_per_s: float = 50.0
    """Sustained rate per client address. [1/s]"""
    request_burst: int = 200

    call_timeout_s: float = 5.0
    """Longest wait for the control loop or the store. [s]"""
    action_timeout_s: float = 30.0
    """Longest wait for a charging station to answer an action. [s]"""
    change_timeout_s: float = 30.0
    """Longest wait for a change of the configuration to be checked and put in force. [s]"""
    max_calls: int = 16
    """Calls to the control loop under way at once; more wait their turn."""

    max_event_clients: int = 64
    event_queue: int = 64
    """Events a slow client may lag behind before it is dropped."""
    event_ring: int = 1024
    event_ring_bytes: int = 4_000_000
    event_full_every: int = 150
    """Those who want changes only get a whole frame after so many cycles."""
    heartbeat_s: float = 15.0
    poll_s: float = 0.1
    """How often the feed looks for a new plan. [s]"""

    session_idle_s: float = 12 * 3600.0
    session_absolute_s: float = 7 * 86400.0
    account_cache_s: float = 5.0
    """How long an answer of the store about accounts is believed. [s]"""
