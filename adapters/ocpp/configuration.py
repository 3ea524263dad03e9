"""Reads and writes a station's configuration: keys of 1.6, variables of 2.0.1. Generators without IO.

Names of 2.0.1 are those of `naming.py`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.ocpp.naming import name_of, place_of
from adapters.ocpp.provisioning import Answer, Request
from controller.desired import SECRET

ITEMS = 4
"""Variables per message where the station does not say how many it takes."""
KEYS = 20
"""Configuration keys per message where the station does not say how many it takes."""
MOST_NAMES = 500
WRITTEN = frozenset({"Accepted", "RebootRequired"})

Talk = Generator[Request, Answer, "Outcome"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of reading or writing."""

    values: Mapping[str, str]
    """Read: values by name. Written: the status by name."""
    failures: Mapping[str, str]
    """Names that were refused, or not known, with the reason."""

    def as_answer(self) -> dict[str, Any]:
        """Return it for an operator; secrets are never shown."""
        shown = {n: "***" if SECRET.search(n) else v for n, v in self.values.items()}
        return {"values": shown, "failures": dict(self.failures)}

    def beside(self, wanted: Mapping[str, str]) -> dict[str, dict[str, str | bool | None]]:
        """Return what is wanted beside what was found; secrets are left out."""
        return {
            name: {
                "wanted": value,
                "actual": self.values.get(name),
                "differs": self.values.get(name) != value,
            }
            for name, value in sorted(wanted.items())
            if not SECRET.search(name)
        }


def _batches(names: Sequence[str], size: int) -> list[Sequence[str]]:
    return [names[at : at + size] for at in range(0, len(names), max(1, size))]


# --- 2.0.1 ------------------------------------------------------------------------------------------


def read_variables(names: Sequence[str], *, per_message: int = ITEMS) -> Talk:
    """Read variables, as many per message as the station takes (B06.FR.05).

    Args:
        names: What to read.
        per_message: `DeviceDataCtrlr.ItemsPerMessage[GetVariables]`.
    """
    values: dict[str, str] = {}
    failures: dict[str, str] = _malformed(names)
    for batch in _batches([n for n in names if n not in failures], per_message):
        data = [place_of(name) for name in batch]
        answer = yield Request(action="GetVariables", payload={"getVariableData": data})
        if answer.payload is None:
            failures |= dict.fromkeys(batch, _why(answer))
            continue
        for result in answer.payload.get("getVariableResult", ()):
            name, status = name_of(result), result.get("attributeStatus", "")
            if status == "Accepted":
                values[name] = str(result.get("attributeValue", ""))
            else:
                failures[name] = status
    return Outcome(values=values, failures=failures)


def write_variables(wanted: Mapping[str, str], *, per_message: int = ITEMS) -> Talk:
    """Write variables, as many per message as the station takes (B05.FR.11)."""
    values: dict[str, str] = {}
    failures: dict[str, str] = _malformed(list(wanted))
    for batch in _batches([n for n in wanted if n not in failures], per_message):
        data = [{"attributeValue": wanted[n], **(place_of(n) or {})} for n in batch]
        answer = yield Request(action="SetVariables", payload={"setVariableData": data})
        if answer.payload is None:
            failures |= dict.fromkeys(batch, _why(answer))
            continue
        for result in answer.payload.get("setVariableResult", ()):
            name, status = name_of(result), result.get("attributeStatus", "")
            (values if status in WRITTEN else failures)[name] = status
    return Outcome(values=values, failures=failures)


def _malformed(names: Sequence[str]) -> dict[str, str]:
    return {n: "write it as Component.Variable" for n in names if place_of(n) is None}


def _why(answer: Answer) -> str:
    failure = answer.failure
    return "no answer" if failure is None else f"{failure.kind} {failure.code}".strip()


# --- 1.6 --------------------------------------------------------------------------------------------


def read_keys(names: Sequence[str], *, per_message: int = KEYS) -> Talk:
    """Read configuration keys in chunks of GetConfigurationMaxKeys; no names: all at once."""
    values: dict[str, str] = {}
    failures: dict[str, str] = {}
    for batch in _batches(names, per_message) if names else [()]:
        payload = {"key": list(batch)} if batch else {}
        answer = yield Request(action="GetConfiguration", payload=payload)
        if answer.payload is None:
            failures |= dict.fromkeys(batch or ["*"], _why(answer))
            continue
        for entry in answer.payload.get("configurationKey") or ():
            values[str(entry.get("key", ""))] = str(entry.get("value", ""))
        for name in answer.payload.get("unknownKey") or ():
            failures[str(name)] = "UnknownKey"
    return Outcome(values=values, failures=failures)


def write_keys(wanted: Mapping[str, str]) -> Talk:
    """Write configuration keys, one per message as 1.6 has it."""
    values: dict[str, str] = {}
    failures: dict[str, str] = {}
    for name, value in wanted.items():
        payload = {"key": name, "value": value}
        answer = yield Request(action="ChangeConfiguration", payload=payload)
        status = answer.status or _why(answer)
        (values if status in WRITTEN else failures)[name] = status
    return Outcome(values=values, failures=failures)
