"""API tokens and accounts, remembered for seconds so that the store is not asked each time."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Mapping

from adapters.http.bridge import Bridge
from adapters.http.problems import unavailable
from controller.ports import Clock, Store
from controller.records import Role, User

_MAX_TOKENS = 1024
_HASHES_AT_ONCE = 2
_MOST_SIGN_INS = 10


class Accounts:
    """The store's accounts as seen from the HTTP loop.

    Tokens are remembered by digest only. A token or account that was revoked stops working within
    `cache_s`.
    """

    def __init__(self, *, store: Store, bridge: Bridge, clock: Clock, cache_s: float) -> None:
        self._store = store
        self._bridge = bridge
        self._clock = clock
        self._cache_s = cache_s
        self._by_digest: OrderedDict[bytes, tuple[User | None, float]] = OrderedDict()
        self._roles: Mapping[str, Role] = {}
        self._roles_until_s = float("-inf")
        self._hashing = asyncio.Semaphore(_HASHES_AT_ONCE)
        self._sign_ins = 0

    async def user_by_token(self, token: str) -> User | None:
        """Find the user of an API token."""
        digest = hashlib.sha256(token.encode()).digest()
        now_s = self._clock.monotonic_s()
        known = self._by_digest.get(digest)
        if known is not None and now_s < known[1]:
            return known[0]
        user = await self._bridge.run(self._store.user_by_api_token(token))
        self._by_digest[digest] = (user, now_s + self._cache_s)
        self._by_digest.move_to_end(digest)
        while len(self._by_digest) > _MAX_TOKENS:
            self._by_digest.popitem(last=False)
        return user

    async def user_by_password(self, name: str, password: str) -> User | None:
        """Check a password; few at once, because each check costs much time and memory by design.

        Raises:
            ProblemError: 503, too many are under way.
        """
        if self._sign_ins >= _MOST_SIGN_INS:
            raise unavailable("Many sign-ins are under way.", "Try again in a few seconds.")
        self._sign_ins += 1
        try:
            async with self._hashing:
                return await self._bridge.run(self._store.user_by_password(name, password))
        finally:
            self._sign_ins -= 1

    async def role_of(self, name: str) -> Role | None:
        """Return the present role of an account; None: it is gone."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._roles_until_s:
            users = await self._bridge.run(self._store.users())
            self._roles = {u.name: u.role for u in users}
            self._roles_until_s = now_s + self._cache_s
        return self._roles.get(name)

    async def has_any(self) -> bool:
        """Tell whether there is any account yet."""
        return bool(await self._bridge.run(self._store.users()))
