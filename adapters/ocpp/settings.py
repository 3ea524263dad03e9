"""Settings of the OCPP server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from adapters.ocpp.frames import OCPP16
from controller.site import StationId


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A server certificate with its chain, and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """What TLS is made of."""

    pairs: tuple[KeyPair, ...]
    """One per kind of key: a station that knows only RSA or only ECDSA finds its own."""
    client_ca: Path | None = None
    """Authorities of the stations' certificates (security profile 3)."""
    organisation: str | None = None
    """O that stations' certificates must carry; None: any."""
    rsa_key_exchange: bool = True
    """Offer the two suites without forward secrecy too, last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One port with one security profile."""

    host: str
    port: int
    """0 takes any free port."""
    security_profile: int
    """0: no authentication. 1: HTTP Basic. 2: the same over TLS. 3: TLS with client certificates."""

    @property
    def has_tls(self) -> bool:
        """Tell whether stations connect with `wss://`."""
        return self.security_profile >= 2


@dataclass(frozen=True, slots=True, kw_only=True)
class OcppSettings:
    """How stations may connect and how long things may take."""

    host: str = "127.0.0.1"
    port: int = 9000
    """0 takes any free port."""
    security_profile: int = 1
    """Of the first listener; see `Listener`."""
    also: tuple[Listener, ...] = ()
    """Further listeners, each with its own profile."""
    tls: TlsFiles | None = None
    """Needed from security profile 2 up."""
    default_protocol: str | None = OCPP16
    """Spoken with stations that offer no subprotocol; None refuses them."""
    pinned_protocols: Mapping[StationId, str] = field(default_factory=dict)
    """`ocpp1.6` or `ocpp2.0.1` for stations that must not use the other."""

    call_timeout_s: float = 8.0
    """From sending a CALL to its answer. [s]"""
    command_timeout_s: float = 10.0
    """A whole command, waiting included. [s]"""
    handler_timeout_s: float = 20.0
    """From beginning to handle a station's CALL to our answer. [s]"""
    send_timeout_s: float = 10.0
    """A station that takes no bytes for this long is lost. [s]"""
    ping_interval_s: float = 10.0
    """Silence after which a ping asks for life; with the next, a dead connection is known in 20 s. [s]"""
    ping_timeout_s: float = 10.0
    """Silence after a ping that means the connection is dead. [s]"""
    open_timeout_s: float = 10.0
    """TCP connect to finished handshake. [s]"""
    close_timeout_s: float = 2.0
    """[s]"""
    takeover_ping_s: float = 5.0
    """How long an old connection may take to prove that it lives when a new one comes. [s]"""

    max_frame_bytes: int = 256 * 1024
    max_waiting_calls: int = 100
    """CALLs of ours waiting per station."""
    max_unhandled_calls: int = 64
    """CALLs of a station waiting for their answer."""
    max_connections: int = 4000
    """TCP connections at once, handshakes included."""
    frames_per_s: float = 100.0
    """A station's sustained rate; beyond it, reading is delayed. [1/s]"""
    frames_burst: int = 500
    failures_per_minute: float = 60.0
    """Refused handshakes per address and, per address, identity. [1/min]"""
    failures_burst: int = 20
    connects_per_minute: float = 12.0
    """Accepted connections per identity. [1/min]"""
    connects_burst: int = 10

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """All listeners, the first one first."""
        first = Listener(host=self.host, port=self.port, security_profile=self.security_profile)
        return (first, *self.also)

    @property
    def highest_profile(self) -> int:
        """The best protection that any listener offers."""
        return max(listener.security_profile for listener in self.listeners)
