"""The way to the stations that are connected now, for services that ask them something."""

from __future__ import annotations

import asyncio
from typing import Any

from adapters.ocpp.dialect import Caller, CallFailed, Received
from controller.care import StationAnswer
from controller.commands import Applied, CommandResult, NotConnected, Rejected, TimedOut
from controller.site import StationId

_ACCEPTING = frozenset({"Accepted", "AcceptedCanceled", "RebootRequired"})


class Lines:
    """An extension that only remembers who is there."""

    actions: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self._callers: dict[StationId, Caller] = {}

    async def on_call(
        self, caller: Caller, action: str, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        """Answer nothing; it has no actions."""
        raise KeyError(action)

    async def serve(self, caller: Caller) -> None:
        """Be reachable for as long as the connection lasts."""
        self._callers[caller.station] = caller
        try:
            await asyncio.Event().wait()
        finally:
            if self._callers.get(caller.station) is caller:
                del self._callers[caller.station]

    def get(self, station: StationId) -> Caller | None:
        """Return the way to a station; None: it is not connected."""
        return self._callers.get(station)

    async def ask(self, station: StationId, action: str, payload: dict[str, Any]) -> StationAnswer:
        """Make a call for an operator; never raises for what a station may do."""
        caller = self.get(station)
        if caller is None:
            return StationAnswer(result=NotConnected())
        try:
            answer = await caller.call(action, payload)
        except CallFailed as failed:
            return StationAnswer(result=_result_of(failed))
        status = str(answer.get("status", "Accepted"))
        result: CommandResult = Applied(self_expiring=False)
        if status not in _ACCEPTING:
            result = Rejected(reason=_reason(status, answer))
        return StationAnswer(result=result, payload=answer)


def _reason(status: str, answer: dict[str, Any]) -> str:
    info = answer.get("statusInfo")
    more = info.get("reasonCode", "") if isinstance(info, dict) else ""
    return f"{status} {more}".strip()


def _result_of(failed: CallFailed) -> CommandResult:
    match failed.kind:
        case "timeout":
            return TimedOut()
        case "closed":
            return NotConnected()
        case _:
            return Rejected(reason=f"{failed.code} {failed.description}".strip())
