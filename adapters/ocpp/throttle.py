"""Token buckets: how often somebody may do something, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """Tokens that refill steadily. It may go below zero: the deficit is the time to wait."""

    per_s: float
    """Refill. [1/s]"""
    burst: float
    tokens: float
    at_s: float
    """When `tokens` was true, monotonic. [s]"""

    def spend(self, cost: float, now_s: float) -> float:
        """Spend tokens, whether or not they are there.

        Returns:
            How long to wait before the next thing is done; 0 while tokens are left. [s]
        """
        self._refill(now_s)
        self.tokens -= cost
        return max(0.0, -self.tokens / self.per_s)

    def has_token(self, now_s: float) -> bool:
        """Say whether a whole token is left."""
        self._refill(now_s)
        return self.tokens >= 1.0

    def _refill(self, now_s: float) -> None:
        self.tokens = min(self.burst, self.tokens + (now_s - self.at_s) * self.per_s)
        self.at_s = now_s


class Throttle:
    """A bucket per key. The keys not seen for longest are forgotten first."""

    def __init__(self, *, per_minute: float, burst: int, max_keys: int) -> None:
        self._per_s = per_minute / 60.0
        self._burst = float(burst)
        self._max_keys = max_keys
        self._buckets: OrderedDict[Hashable, Bucket] = OrderedDict()

    def is_open(self, key: Hashable, now_s: float) -> bool:
        """Say whether the key may go on."""
        bucket = self._buckets.get(key)
        return bucket is None or bucket.has_token(now_s)

    def count(self, key: Hashable, now_s: float) -> None:
        """Count one event of the key; while it is closed, further events cost nothing."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = Bucket(self._per_s, self._burst, self._burst, now_s)
            self._buckets[key] = bucket
            if len(self._buckets) > self._max_keys:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        if bucket.has_token(now_s):
            bucket.spend(1.0, now_s)

    def __len__(self) -> int:
        """Count the keys remembered."""
        return len(self._buckets)
