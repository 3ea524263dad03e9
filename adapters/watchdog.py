"""Tells systemd that control works, so that it restarts a controller that hangs.

Source: sd_notify(3). Nothing is sent where no service manager listens.
"""

from __future__ import annotations

import os
import socket

READY = b"READY=1"
ALIVE = b"WATCHDOG=1"


class Watchdog:
    """Sends to the socket that the service manager names in `NOTIFY_SOCKET`."""

    def __init__(self, address: str | None = None) -> None:
        """Open the way to the service manager.

        Args:
            address: Path of its socket, `@` first for an abstract one; None: from the environment.
        """
        named = address if address is not None else os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + named[1:] if named.startswith("@") else named
        self._socket: socket.socket | None = None
        if self._address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    def ready(self) -> None:
        """Say that the start is over."""
        self._send(READY)

    def alive(self) -> None:
        """Say that a control cycle has just succeeded; silence makes the manager restart us."""
        self._send(ALIVE)

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: bytes) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(message, self._address)
        except OSError:
            return  # the manager hears nothing and restarts us: that is what it is for
