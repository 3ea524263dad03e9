"""Labels of id tokens, remembered for seconds."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.http.bridge import Bridge
from controller.ports import Clock, Store


class Labels:
    """What operators call the tokens, by the token in small letters."""

    def __init__(self, *, store: Store, bridge: Bridge, clock: Clock, cache_s: float) -> None:
        self._store = store
        self._bridge = bridge
        self._clock = clock
        self._cache_s = cache_s
        self._labels: Mapping[str, str] = {}
        self._until_s = float("-inf")

    async def known(self) -> Mapping[str, str]:
        """Return all labels."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._until_s:
            records = await self._bridge.run(self._store.tokens())
            self._labels = {r.id.casefold(): r.label for r in records if r.label}
            self._until_s = now_s + self._cache_s
        return self._labels
