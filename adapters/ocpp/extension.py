"""What stands beside a dialect on every connection: services with messages of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import structlog

from adapters.ocpp.dialect import Caller, CallFailed, Dialect, Received
from controller.commands import ActionRequest, CommandResult, SetLimit

log = structlog.get_logger()


class Extension(Protocol):
    """A service that serves all stations, whatever their OCPP version."""

    actions: frozenset[str]
    """CALLs of stations that it answers in the dialect's place."""

    async def on_call(
        self, caller: Caller, action: str, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        """Answer one of its CALLs. May not wait for a call of its own."""

    async def serve(self, caller: Caller) -> None:
        """Serve a connected station; runs until it ends or the connection does."""


class Tap(Protocol):
    """Hears every CALL of a station after it was booked, and may have the last word on the answer."""

    async def tap(
        self, caller: Caller, action: str, payload: dict[str, Any], ours: dict[str, Any]
    ) -> dict[str, Any]:
        """Return what the station is answered. May not wait for a call of its own to the station."""


class ExtendedDialect:
    """A dialect with extensions beside it. Implements `Dialect`."""

    def __init__(
        self,
        inner: Dialect,
        caller: Caller,
        extensions: Sequence[Extension],
        taps: Sequence[Tap] = (),
    ) -> None:
        self._inner = inner
        self._caller = caller
        self._extensions = extensions
        self._taps = taps
        self._by_action: Mapping[str, Extension] = {
            action: extension for extension in extensions for action in extension.actions
        }

    async def on_call(
        self, action: str, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        """Answer a CALL: the extension's whose it is, else the dialect's."""
        extension = self._by_action.get(action)
        if extension is None:
            ours = await self._inner.on_call(action, payload, received)
        else:
            ours = await extension.on_call(self._caller, action, payload, received)
        for tap in self._taps:
            ours = await self._tapped(tap, action, payload, ours)
        return ours

    async def _tapped(
        self, tap: Tap, action: str, payload: dict[str, Any], ours: dict[str, Any]
    ) -> dict[str, Any]:
        """Keep a tap's failure from taking the answer that the station waits for."""
        try:
            return await tap.tap(self._caller, action, payload, ours)
        except Exception:
            log.exception("ocpp.tap_failed", station=self._caller.station, action=action)
            return ours

    async def on_open(self) -> None:
        """Begin the dialect and all extensions."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._inner.on_open())
            for extension in self._extensions:
                tasks.create_task(self._serve(extension))

    async def _serve(self, extension: Extension) -> None:
        """Keep an extension's failure from ending the connection."""
        try:
            await extension.serve(self._caller)
        except CallFailed as failed:
            log.info("ocpp.extension_ended", station=self._caller.station, reason=str(failed))
        except Exception:
            log.exception("ocpp.extension_failed", station=self._caller.station)

    async def on_close(self) -> None:
        """End."""
        await self._inner.on_close()

    async def apply(self, command: SetLimit) -> CommandResult:
        """Carry out one limit."""
        return await self._inner.apply(command)

    async def act(self, request: ActionRequest) -> CommandResult:
        """Carry out an operator's action."""
        return await self._inner.act(request)
