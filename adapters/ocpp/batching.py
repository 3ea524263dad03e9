"""Splits messages that a station takes only so many items of, and joins the answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.ocpp.configuration import ITEMS, Outcome, Talk, read_variables
from adapters.ocpp.provisioning import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """How a message is split."""

    items: str
    results: str
    limit: str
    """Variable that says how many items it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedOutcome(Outcome):
    """The joined results of all parts."""

    results: list[Any]
    member: str

    def as_answer(self) -> dict[str, Any]:
        """Return them as the unsplit answer would have held them."""
        return {self.member: self.results}


BATCHES: Mapping[str, Batch] = {
    "GetVariables": Batch(
        items="getVariableData",
        results="getVariableResult",
        limit="DeviceDataCtrlr.ItemsPerMessage[GetVariables]",
    ),
    "SetVariables": Batch(
        items="setVariableData",
        results="setVariableResult",
        limit="DeviceDataCtrlr.ItemsPerMessage[SetVariables]",
    ),
    "SetVariableMonitoring": Batch(
        items="setMonitoringData",
        results="setMonitoringResult",
        limit="MonitoringCtrlr.ItemsPerMessage[SetVariableMonitoring]",
    ),
    "ClearVariableMonitoring": Batch(
        items="id",
        results="clearMonitoringResult",
        limit="MonitoringCtrlr.ItemsPerMessage[ClearVariableMonitoring]",
    ),
}
"""Source: OCPP 2.0.1 B05.FR.11, B06.FR.05, N04.FR.09, N06.FR.07."""


def is_large(action: str, payload: Mapping[str, Any]) -> bool:
    """Tell whether a message may have to be split."""
    batch = BATCHES.get(action)
    return batch is not None and len(payload.get(batch.items, ())) > 1


def split(action: str, payload: Mapping[str, Any]) -> Talk:
    """Ask how many items the station takes, send as many messages as needed, join the results."""
    batch = BATCHES[action]
    known = yield from read_variables([batch.limit])
    size = _size(known.values.get(batch.limit), action)
    items = list(payload[batch.items])
    results: list[Any] = []
    for at in range(0, len(items), size):
        part = {**payload, batch.items: items[at : at + size]}
        answer = yield Request(action=action, payload=part)
        if answer.payload is None:
            failure = answer.failure
            code = "no answer" if failure is None else failure.code or failure.kind
            results.append({"failed": code, "items": len(part[batch.items])})
            continue
        results.extend(answer.payload.get(batch.results, ()))
    return JoinedOutcome(values={}, failures={}, results=results, member=batch.results)


def _size(text: str | None, action: str) -> int:
    if text is not None and text.strip().isascii() and text.strip().isdigit() and int(text) > 0:
        return int(text)
    return ITEMS if action in ("GetVariables", "SetVariables") else 1_000
