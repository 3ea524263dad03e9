"""Signed-in browsers. They live in memory: a restart signs everybody out."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass

from controller.ports import Clock

COOKIE = "wattkeeper_session"
_MAX_SESSIONS = 4096


@dataclass(slots=True)
class _Session:
    name: str
    begun_s: float
    used_s: float


class BrowserSessions:
    """Random 256-bit ids; only their digests are kept."""

    def __init__(self, *, clock: Clock, idle_s: float, absolute_s: float) -> None:
        self._clock = clock
        self._idle_s = idle_s
        self._absolute_s = absolute_s
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()

    @property
    def absolute_s(self) -> float:
        """Longest life of a session. [s]"""
        return self._absolute_s

    def begin(self, name: str) -> str:
        """Begin a session for a user whose password was right; return its id."""
        key = secrets.token_urlsafe(32)
        now_s = self._clock.monotonic_s()
        self._sessions[_digest(key)] = _Session(name, now_s, now_s)
        while len(self._sessions) > _MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return key

    def use(self, key: str) -> str | None:
        """Return the name of the session's user and count it as used; None: unknown or over."""
        digest = _digest(key)
        session = self._sessions.get(digest)
        if session is None:
            return None
        now_s = self._clock.monotonic_s()
        idle = now_s - session.used_s > self._idle_s
        if idle or now_s - session.begun_s > self._absolute_s:
            del self._sessions[digest]
            return None
        session.used_s = now_s
        self._sessions.move_to_end(digest)
        return session.name

    def count(self, name: str) -> int:
        """Count a user's sessions, unused ones that have not been cleared away included."""
        return sum(s.name == name for s in self._sessions.values())

    def end_all(self, name: str, *, but: str | None = None) -> int:
        """End a user's sessions, perhaps but one; return how many."""
        kept = _digest(but) if but is not None else None
        ended = [d for d, s in self._sessions.items() if s.name == name and d != kept]
        for digest in ended:
            del self._sessions[digest]
        return len(ended)

    def end(self, key: str) -> None:
        """End a session."""
        self._sessions.pop(_digest(key), None)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="replace")).digest()
