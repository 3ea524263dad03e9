"""Who may do what: one table, and everything not in it needs an account."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from controller.records import Role

_RANK = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.ADMIN: 2}

_OPEN = frozenset(
    {
        ("GET", "/"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/api/docs"),
        ("GET", "/api/openapi.json"),
        ("POST", "/api/v1/session"),
        ("GET", "/api/v1/setup"),
        ("POST", "/api/v1/setup"),
    }
)
_PAGE = re.compile(r"/assets/[^/]+$")
_OWN = re.compile(r"/api/v1/session(/|$)")
"""Everybody's own sign-in and password."""
_ADMIN = re.compile(r"/api/v1/(audit|users|config|notifications)(/|$)")
_OPERATOR = re.compile(
    r"/api/v1/(tokens|uploads|partners)(/|\.csv$|$)"
    r"|/api/v1/stations/[^/]+/(configuration|variables)$"
)
_ADMIN_ACTION = re.compile(r"/api/v1/stations/[^/]+/(call$|(secret|certificates)(/|$))")
"""What may send anything, or changes how stations prove themselves."""
_PARTNERS = re.compile(r"/api/v1/partners(/|$)")
"""Who is let in from outside is an administrator's word."""
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class SignedInBy(Enum):
    """What proved who somebody is."""

    API_TOKEN = "api_token"  # noqa: S105 - a name, no secret
    BROWSER_SESSION = "browser_session"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Whoever makes a request."""

    name: str
    role: Role
    by: SignedInBy

    def is_at_least(self, role: Role) -> bool:
        """Tell whether this role includes another."""
        return _RANK[self.role] >= _RANK[role]


def required_role(method: str, path: str) -> Role | None:
    """Return the least role for a request; None: open to everybody.

    `path` may be a request's path or a route's template. Whatever is not named here needs a viewer
    to be read and an operator to be changed, routes that do not exist included.
    """
    reading = method in _READING
    if ("GET" if reading else method, path) in _OPEN or (reading and _PAGE.match(path)):
        return None
    if _ADMIN.match(path) or _ADMIN_ACTION.match(path):
        return Role.ADMIN
    if not reading and _PARTNERS.match(path):
        return Role.ADMIN
    if _OWN.match(path):
        return Role.VIEWER
    if reading and not _OPERATOR.match(path):
        return Role.VIEWER
    return Role.OPERATOR
