"""API tokens and accounts, remembered for seconds so that the store is not asked each time."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress

from adapters.http.bridge import Bridge
from adapters.http.problems import ProblemError, unavailable
from controller.administration import SiteStore
from controller.ports import Clock
from controller.records import Role, User

_MAX_TOKENS = 1024
_HASHES_AT_ONCE = 2
_MOST_SIGN_INS = 10
_NOTE_USE_S = 60.0
"""A token's use is written down at most so often. [s]"""


class Accounts:
    """The store's accounts as seen from the HTTP loop.

    Tokens are remembered by digest only. A token or account that was revoked stops working within
    `cache_s`.
    """

    def __init__(self, *, store: SiteStore, bridge: Bridge, clock: Clock, cache_s: float) -> None:
        self._store = store
        self._bridge = bridge
        self._clock = clock
        self._cache_s = cache_s
        self._by_digest: OrderedDict[bytes, tuple[User | None, float]] = OrderedDict()
        self._noted_s: dict[bytes, float] = {}
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
        user = await self._bridge.run(self._store.user_by_live_token(token, self._clock.now()))
        if user is not None:
            await self._note_use(digest, token, now_s)
        self._by_digest[digest] = (user, now_s + self._cache_s)
        self._by_digest.move_to_end(digest)
        while len(self._by_digest) > _MAX_TOKENS:
            self._by_digest.popitem(last=False)
        return user

    async def _note_use(self, digest: bytes, token: str, now_s: float) -> None:
        if now_s - self._noted_s.get(digest, float("-inf")) < _NOTE_USE_S:
            return
        if len(self._noted_s) >= _MAX_TOKENS:
            self._noted_s.clear()
        self._noted_s[digest] = now_s
        with suppress(ProblemError):  # a busy store is no reason to refuse a good token
            await self._bridge.run(self._store.note_token_used(token, self._clock.now()))

    def forget(self) -> None:
        """Ask the store anew: an account or a token has just been changed."""
        self._by_digest.clear()
        self._roles_until_s = float("-inf")

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
