"""Limits on how often a client may ask, and how often it may guess. Memory is bounded."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from controller.ports import Clock

_MAX_CLIENTS = 4096
_FREE_FAILURES_PER_NAME = 5
_FREE_FAILURES_PER_CLIENT = 20
_LONGEST_WAIT_S = 900.0
_FORGET_AFTER_S = 3600.0


def client_key(host: str) -> str:
    """Name a client for counting: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        address = ip_address(host)
    except ValueError:
        return host[:64]
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(IPv6Address(int(address) >> 64 << 64))
    return str(address)


class RequestRate:
    """A token bucket per client."""

    def __init__(self, *, clock: Clock, per_s: float, burst: int) -> None:
        self._clock = clock
        self._per_s = per_s
        self._burst = float(burst)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, client: str) -> float:
        """Count a request; return 0 when it may go on, or the time until the next may. [s]"""
        now_s = self._clock.monotonic_s()
        level, at_s = self._buckets.get(client, (self._burst, now_s))
        level = min(self._burst, level + (now_s - at_s) * self._per_s)
        allowed = level >= 1.0
        self._buckets[client] = (level - 1.0 if allowed else level, now_s)
        self._buckets.move_to_end(client)
        while len(self._buckets) > _MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1.0 - level) / self._per_s


@dataclass(slots=True)
class _Failures:
    count: int
    last_s: float
    until_s: float


class SignInGuard:
    """Makes guessing slow: after a few failures each one doubles the wait.

    Failures are counted per name and client, and per client alone, so that neither one name nor
    many names can be tried quickly, and nobody can lock out a colleague from another address.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    def wait_s(self, name: str, client: str) -> float:
        """Return 0 when a sign-in may be tried, or how long it may not. [s]"""
        now_s = self._clock.monotonic_s()
        entries = (self._failures.get(key) for key in _keys(name, client))
        return max((e.until_s - now_s for e in entries if e is not None), default=0.0)

    def attempted(self, name: str, client: str) -> bool:
        """Count an attempt as failed until it succeeds; True when this one began a lock-out.

        Counted before the password is checked, so that guesses made at once do not slip through.
        """
        by_name, by_client = _keys(name, client)
        first = self._count(by_name, _FREE_FAILURES_PER_NAME)
        second = self._count(by_client, _FREE_FAILURES_PER_CLIENT)
        return first or second

    def succeeded(self, name: str, client: str) -> None:
        """Forget the failures of a name at a client, and this attempt of the client."""
        by_name, by_client = _keys(name, client)
        self._failures.pop(by_name, None)
        entry = self._failures.get(by_client)
        if entry is not None:
            entry.count -= 1
            if entry.count < _FREE_FAILURES_PER_CLIENT:
                entry.until_s = entry.last_s

    def _count(self, key: tuple[str, str], free: int) -> bool:
        now_s = self._clock.monotonic_s()
        entry = self._failures.get(key)
        if entry is None or now_s - entry.last_s > _FORGET_AFTER_S:
            entry = self._failures[key] = _Failures(0, now_s, now_s)
        entry.count += 1
        entry.last_s = now_s
        over = entry.count - free
        if over >= 0:
            entry.until_s = now_s + min(_LONGEST_WAIT_S, 2.0 ** min(over, 12))
        self._failures.move_to_end(key)
        while len(self._failures) > _MAX_CLIENTS:
            self._failures.popitem(last=False)
        return over == 0


def _keys(name: str, client: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return (name.casefold()[:64], client), ("", client)
