"""A station that answers CALLs by a script, and checks every payload against the official schemas."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft4Validator

from adapters.ocpp.dialect import CallFailed, Received
from controller.site import StationId
from tests.fakes.recording_desk import StillClock

Reply = Mapping[str, Any] | CallFailed
Script = Callable[[str, dict[str, Any]], Reply]

FOLDERS = {
    "ocpp1.6": ("v16", "", "Response"),
    "ocpp2.0.1": ("v201", "Request", "Response"),
    "ocpp2.1": ("v21", "Request", "Response"),
}


@cache
def _validator(protocol: str, action: str, *, answer: bool) -> Draft4Validator:
    folder, request, response = FOLDERS[protocol]
    name = f"{action}{response if answer else request}.json"
    text = (resources.files("ocpp") / folder / "schemas" / name).read_text("utf-8-sig")
    return Draft4Validator(json.loads(text, parse_float=Decimal))


def assert_valid(
    protocol: str, action: str, payload: Mapping[str, Any], *, answer: bool = False
) -> None:
    """Check a payload as it would be on the wire."""
    wire = json.loads(json.dumps(payload, allow_nan=False), parse_float=Decimal)
    errors = [e.message for e in _validator(protocol, action, answer=answer).iter_errors(wire)]
    assert errors == [], f"{action}: {errors}"


def accept_everything(action: str, payload: dict[str, Any]) -> Reply:
    """Answer like a willing station that says nothing about itself."""
    match action:
        case "GetConfiguration":
            return {}
        case "GetVariables":
            return {"getVariableResult": [_unknown(d) for d in payload["getVariableData"]]}
        case "SetVariables":
            data = payload["setVariableData"]
            return {"setVariableResult": [_accepted(d) for d in data]}
        case "UnlockConnector":
            return {"status": "Unlocked"}
        case _:
            return {"status": "Accepted"}


def _unknown(data: Mapping[str, Any]) -> dict[str, Any]:
    return {**data, "attributeStatus": "UnknownVariable"}


def _accepted(data: Mapping[str, Any]) -> dict[str, Any]:
    rest = {k: v for k, v in data.items() if k != "attributeValue"}
    return {**rest, "attributeStatus": "Accepted"}


class ScriptedStation:
    """A Caller. Keeps every CALL it got."""

    def __init__(
        self,
        protocol: str,
        script: Script = accept_everything,
        *,
        station: str = "CP1",
    ) -> None:
        self.station = StationId(station)
        self.protocol = protocol
        self.script = script
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.urgent: list[bool] = []
        self.replaces: list[str | None] = []

    async def call(
        self,
        action: str,
        payload: dict[str, Any],
        *,
        timeout_s: float | None = None,
        urgent: bool = False,
        replaces: str | None = None,
    ) -> dict[str, Any]:
        assert_valid(self.protocol, action, payload)
        self.calls.append((action, payload))
        self.urgent.append(urgent)
        self.replaces.append(replaces)
        reply = self.script(action, payload)
        if isinstance(reply, CallFailed):
            raise reply
        return dict(reply)

    def sent(self, action: str) -> list[dict[str, Any]]:
        """Return the payloads of one action."""
        return [payload for name, payload in self.calls if name == action]


def received(clock: StillClock) -> Received:
    """Say that a frame arrived now."""
    return Received(monotonic_s=clock.monotonic_s(), at=clock.now())


def stamp(clock: StillClock, before_s: float = 0.0) -> str:
    """Write a station's time stamp, so many seconds before now."""
    at = datetime.fromtimestamp(clock.now().timestamp() - before_s, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
