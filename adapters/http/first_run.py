"""The first account: made by whoever sits at the controller or knows the code that it printed."""

from __future__ import annotations

import hmac
import secrets
from ipaddress import ip_address

from starlette.requests import Request

from adapters.http.shield import PEER

_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without letters and digits that look alike."""
_GROUPS, _GROUP = 2, 5
_FORWARDED = ("x-forwarded-for", "x-forwarded-host", "forwarded", "x-real-ip", "via")


def new_setup_code() -> str:
    """Return a random code of 50 bits, as `ABCDE-FGHJK`."""
    return "-".join(
        "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS)
    )


class FirstRun:
    """Knows the code of this run. It counts until there is an account."""

    def __init__(self, code: str) -> None:
        self._code = code

    def accepts(self, code: str | None) -> bool:
        """Compare a code in constant time; blanks and small letters are forgiven."""
        given = (code or "").strip().upper().replace(" ", "")
        return bool(self._code) and hmac.compare_digest(given.encode(), self._code.encode())


def is_at_the_controller(request: Request) -> bool:
    """Tell whether a request surely comes from this machine.

    Not through a proxy, and to an address of this machine: a page of another site whose name was
    made to point here (DNS rebinding) names that site as the host.
    """
    peer = request.scope.get(PEER) or request.scope.get("client") or ("", 0)
    if any(name in request.headers for name in _FORWARDED):
        return False
    return _is_loopback(peer[0]) and _is_loopback(_host(request.headers.get("host", "")))


def _host(authority: str) -> str:
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    return authority.partition(":")[0]


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
