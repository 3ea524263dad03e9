"""Keeps the stations' local lists as the store has the tokens, and sets what they do offline."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog

from adapters.ocpp.dialect import Caller, CallFailed, Received
from adapters.ocpp.frames import OCPP16
from adapters.ocpp.local_list import ITEMS_PER_MESSAGE, Entries, Held, entries_for, updates
from controller.care import OfflineTokens
from controller.decision import Condition, Severity
from controller.ports import Clock, ConditionSink
from controller.records import TokenRecord, TokenStatus
from controller.roaming import Document
from controller.site import StationId
from controller.transaction import IdToken

log = structlog.get_logger(__name__)

KIND: Final = "local_list"
SETTLE_S: Final = 15.0
"""After connecting, limits and fallbacks come first. [s]"""
_ATTEMPTS: Final = 3
_RETRY_S: Final = 300.0
LOCAL_LIST_REFUSED: Final = "LOCAL_LIST_REFUSED"
LOCAL_LIST_TOO_LONG: Final = "LOCAL_LIST_TOO_LONG"


class TokenBook(Protocol):
    """The part of the store that this needs."""

    async def tokens(self) -> tuple[TokenRecord, ...]:
        """List all tokens."""

    async def put_document(self, document: Document, *, once: bool = False) -> bool:
        """Keep a document."""

    async def document(self, kind: str, key: str) -> Document | None:
        """Find a document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Room:
    """How much a station takes."""

    per_message: int = ITEMS_PER_MESSAGE
    in_all: int | None = None


class LocalListKeeper:
    """An extension: one list per station, differential where it can be, full where it must."""

    actions: frozenset[str] = frozenset()

    def __init__(
        self,
        *,
        store: TokenBook,
        conditions: ConditionSink,
        clock: Clock,
        offline: OfflineTokens,
        settle_s: float = SETTLE_S,
        retry_s: float = _RETRY_S,
    ) -> None:
        self._store = store
        self._conditions = conditions
        self._clock = clock
        self._offline = offline
        self._settle_s = settle_s
        self._retry_s = retry_s
        self._records: tuple[TokenRecord, ...] | None = None
        self._round = 0
        self._narrowed_in = 0
        """Round in which a token lost its right: caches must be cleared from then on."""
        self._changed = asyncio.Condition()

    async def on_call(
        self, caller: Caller, action: str, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        """Answer nothing; it has no actions."""
        raise KeyError(action)

    async def refresh(self) -> None:
        """Look at the tokens; wake the stations' tasks when they changed. Called now and then."""
        records = await self._store.tokens()
        before = self._records
        if records == before:
            return
        async with self._changed:
            self._round += 1
            if before is not None and not _accepted(before) <= _accepted(records):
                self._narrowed_in = self._round
            self._records = records
            self._changed.notify_all()

    async def serve(self, caller: Caller) -> None:
        """Bring the station up to date, again after each change."""
        await asyncio.sleep(self._settle_s)
        if self._records is None:
            await self.refresh()
        seen = self._round
        await self._set_policy(caller)
        room = await self._room(caller)
        cleared_in = self._round
        while True:
            is_done = await self._bring(caller, room)
            if self._narrowed_in > cleared_in:
                cleared_in = self._round
                await _try(caller, "ClearCache", {})
            seen = await self._next_round(seen, None if is_done else self._retry_s)

    async def _next_round(self, seen: int, timeout_s: float | None) -> int:
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: self._round > seen)
        except TimeoutError:
            log.debug("local_list.retry")
        return self._round

    # --- the list ---------------------------------------------------------------------------------

    async def _bring(self, caller: Caller, room: _Room) -> bool:
        """Send what is missing.

        Returns:
            Whether the station holds the list, or cannot hold one.
        """
        wanted = self._wanted(caller, room)
        held = await self._held(caller.station)
        for _ in range(_ATTEMPTS):
            version = await self._version(caller)
            if version is None:
                return True
            status, held = await self._send(caller, held, version, wanted, room)
            if status == "Accepted":
                self._conditions.end(LOCAL_LIST_REFUSED, caller.station)
                return True
            if status in ("NotSupported", "NotImplemented"):
                return True
            held = None  # VersionMismatch, Failed: once more, in full
        self._begin(
            LOCAL_LIST_REFUSED,
            caller.station,
            f"{caller.station} does not take the list of tokens ({status}). Offline it knows only "
            "its old list; look at its memory and at LocalAuthListEnabled.",
        )
        return False

    async def _send(
        self, caller: Caller, held: Held | None, version: int, wanted: Entries, room: _Room
    ) -> tuple[str, Held | None]:
        """Send updates until one is not accepted; remember each that was."""
        for update in updates(
            held=held,
            version=version,
            wanted=wanted,
            protocol=caller.protocol,
            per_message=room.per_message,
        ):
            answer = await _try(caller, "SendLocalList", update.payload)
            status = str(answer.get("status", "Failed")) if answer is not None else "NotSupported"
            if status != "Accepted":
                return status, held
            held = update.after
            await self._remember(caller.station, held)
        return "Accepted", held

    def _wanted(self, caller: Caller, room: _Room) -> Entries:
        if self._offline is OfflineTokens.NONE:
            return {}
        entries = entries_for(
            caller.station,
            self._records or (),
            protocol=caller.protocol,
            at=self._clock.now(),
        )
        if room.in_all is None or len(entries) <= room.in_all:
            self._conditions.end(LOCAL_LIST_TOO_LONG, caller.station)
            return entries
        self._begin(
            LOCAL_LIST_TOO_LONG,
            caller.station,
            f"{caller.station} holds {room.in_all} tokens and there are {len(entries)}: the ones "
            "with the lowest priority are unknown to it while it is offline.",
        )
        first = sorted(self._records or (), key=lambda r: (-r.priority, r.id))
        kept = entries_for(
            caller.station,
            first[: room.in_all],
            protocol=caller.protocol,
            at=self._clock.now(),
        )
        return {key: entry for key, entry in entries.items() if key in kept}

    async def _version(self, caller: Caller) -> int | None:
        """Ask what the station holds; None: it has no local list."""
        answer = await _try(caller, "GetLocalListVersion", {})
        if answer is None:
            return None
        key = "listVersion" if caller.protocol == OCPP16 else "versionNumber"
        version = answer.get(key)
        return version if isinstance(version, int) and version >= 0 else None

    async def _held(self, station: StationId) -> Held | None:
        stored = await self._store.document(KIND, station)
        if stored is None:
            return None
        try:
            return Held.from_json(stored.body)
        except (ValueError, KeyError, TypeError):
            return None

    async def _remember(self, station: StationId, held: Held) -> None:
        await self._store.put_document(
            Document(kind=KIND, key=station, body=held.to_json(), updated_at=self._clock.now())
        )

    def _begin(self, code: str, station: StationId, text: str) -> None:
        self._conditions.begin(
            Condition(code=code, subject=station, text=text, severity=Severity.WARNING)
        )

    # --- what the station does alone --------------------------------------------------------------

    async def _set_policy(self, caller: Caller) -> None:
        """Tell the station what to do with tokens while it has no connection."""
        listed = _text(self._offline is not OfflineTokens.NONE)
        unknown = _text(self._offline is OfflineTokens.ALL)
        if caller.protocol == OCPP16:
            keys = {
                "LocalAuthListEnabled": listed,
                "LocalAuthorizeOffline": listed,
                "AllowOfflineTxForUnknownId": unknown,
            }
            for key, value in keys.items():
                await _try(caller, "ChangeConfiguration", {"key": key, "value": value})
            return
        variables = (
            ("LocalAuthListCtrlr", "Enabled", listed),
            ("AuthCtrlr", "LocalAuthorizeOffline", listed),
            ("AuthCtrlr", "OfflineTxForUnknownIdEnabled", unknown),
        )
        for component, variable, value in variables:
            item = _variable(component, variable) | {"attributeValue": value}
            await _try(caller, "SetVariables", {"setVariableData": [item]})

    async def _room(self, caller: Caller) -> _Room:
        """Ask how many entries the station takes at once and in all."""
        if caller.protocol == OCPP16:
            answer = await _try(
                caller,
                "GetConfiguration",
                {"key": ["SendLocalListMaxLength", "LocalAuthListMaxLength"]},
            )
            found = {
                str(e.get("key")): e.get("value")
                for e in (answer or {}).get("configurationKey", ())
            }
            per_message = found.get("SendLocalListMaxLength")
            in_all = found.get("LocalAuthListMaxLength")
        else:
            entries = _variable("LocalAuthListCtrlr", "Entries") | {"attributeType": "MaxSet"}
            items = _variable("LocalAuthListCtrlr", "ItemsPerMessage")
            answer = await _try(caller, "GetVariables", {"getVariableData": [items, entries]})
            values = [r.get("attributeValue") for r in (answer or {}).get("getVariableResult", ())]
            per_message, in_all = (*values, None, None)[:2]
        most = _number(in_all)
        return _Room(per_message=_number(per_message) or ITEMS_PER_MESSAGE, in_all=most)


async def _try(caller: Caller, action: str, payload: dict[str, Any]) -> dict[str, Any] | None:
    """Make a call; None: the station does not know it or does not answer.

    Raises:
        CallFailed: The connection has ended.
    """
    try:
        return await caller.call(action, payload)
    except CallFailed as failed:
        if failed.kind == "closed":
            raise
        return None


def _accepted(records: Sequence[TokenRecord]) -> set[IdToken]:
    return {r.id for r in records if r.status is TokenStatus.ACCEPTED}


def _variable(component: str, variable: str) -> dict[str, Any]:
    return {"component": {"name": component}, "variable": {"name": variable}}


def _number(text: object) -> int | None:
    digits = str(text).strip() if isinstance(text, str | int) else ""
    return int(digits) if digits.isdecimal() and 0 < int(digits) < 1_000_000 else None


def _text(value: bool) -> str:
    return "true" if value else "false"
