"""New passwords for stations: the old one is valid until the station has used the new one."""

from __future__ import annotations

import secrets
from typing import Final, Protocol

from adapters.ocpp.frames import OCPP16
from adapters.ocpp.lines import Lines
from controller.care import StationAnswer
from controller.commands import Applied, CommandResult, NotConnected, Rejected
from controller.ports import Clock
from controller.records import AuditEntry
from controller.site import StationId

SECRET_BYTES: Final = 20
"""Written as 40 hexadecimal digits: the longest that both versions take, and text to those that do
not decode it. Source: OCPP 1.6 security whitepaper, AuthorizationKey; 2.0.1 BasicAuthPassword."""


class SecretStore(Protocol):
    """The part of the store that this needs."""

    async def propose_station_secret(self, station: StationId, secret: str) -> None:
        """Keep a new password beside the old one."""

    async def withdraw_station_secret(self, station: StationId) -> None:
        """Forget the new password."""

    async def audit(self, entry: AuditEntry) -> None:
        """Append to the audit log."""


class RotatingSecrets:
    """Implements `SecretRotation`."""

    def __init__(self, *, lines: Lines, store: SecretStore, clock: Clock) -> None:
        self._lines = lines
        self._store = store
        self._clock = clock

    async def rotate(self, station: StationId, actor: str) -> CommandResult:
        """Send a new password that nobody ever sees."""
        caller = self._lines.get(station)
        if caller is None:
            return NotConnected()
        secret = secrets.token_hex(SECRET_BYTES)
        # Durable first: a station that takes it must never be locked out by our crash.
        await self._store.propose_station_secret(station, secret)
        answer = await (
            self._change_v16(station, secret)
            if caller.protocol == OCPP16
            else self._change_v201(station, secret)
        )
        if isinstance(answer, Rejected | NotConnected):
            await self._store.withdraw_station_secret(station)
        await self._store.audit(
            AuditEntry(
                at=self._clock.now(),
                actor=actor,
                action="station.secret_rotated",
                subject=station,
                after=type(answer).__name__,
            )
        )
        return answer

    async def _change_v16(self, station: StationId, secret: str) -> CommandResult:
        payload = {"key": "AuthorizationKey", "value": secret}
        return (await self._lines.ask(station, "ChangeConfiguration", payload)).result

    async def _change_v201(self, station: StationId, secret: str) -> CommandResult:
        item = {
            "component": {"name": "SecurityCtrlr"},
            "variable": {"name": "BasicAuthPassword"},
            "attributeValue": secret,
        }
        return _outcome(await self._lines.ask(station, "SetVariables", {"setVariableData": [item]}))


def _outcome(answer: StationAnswer) -> CommandResult:
    """Read the status of the one variable that was set."""
    if not isinstance(answer.result, Applied):
        return answer.result
    results = answer.payload.get("setVariableResult") or [{}]
    status = str(results[0].get("attributeStatus", ""))
    return answer.result if status in ("Accepted", "RebootRequired") else Rejected(reason=status)
