"""Free ports for servers that must be told theirs before they start."""

from __future__ import annotations

import random
import socket

_PORTS = (20_000, 32_000)
"""Below those that the system gives to outgoing connections: another test cannot take one meanwhile."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    while True:
        port = random.SystemRandom().randrange(*_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
