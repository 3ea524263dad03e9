"""Plays official test cases against a connection: what the station tells, what an operator asks.

A case is a list of steps. Requests and answers of both sides are checked against the schemas.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.ocpp.book import StationBook
from adapters.ocpp.dialect import CallFailed
from adapters.ocpp.station_dialect import StationDialect
from controller.commands import ActionRequest, Applied, Rejected, StationAction
from controller.records import TokenStatus
from controller.site import EvseId, StationId
from tests.adapters.ocpp.connections import Connection, limit
from tests.adapters.ocpp.scripted_station import accept_everything, stamp
from tests.fakes.desk import RecordingConditions
from tests.fakes.recording_desk import StillClock

NOW = "<now>"
LATER = "<later>"
SEEN: set[tuple[str, str, str, str]] = set()
"""(test, version, direction, message) of everything that was played."""
TOKENS = {
    "GOOD": TokenStatus.ACCEPTED,
    "BAD": TokenStatus.INVALID,
    "BLOCKED": TokenStatus.BLOCKED,
    "EXPIRED": TokenStatus.EXPIRED,
}


@dataclass
class Play:
    """A running case."""

    site: Connection[Any]
    book: StationBook
    name: str
    replies: dict[str, Any] = field(default_factory=dict)
    transaction: Any = None
    result: Any = None

    def note(self, direction: str, message: str) -> None:
        SEEN.add((self.name, self.site.station.protocol, direction, message))

    def filled(self, value: Any) -> Any:
        """Put times and the running transaction into a payload."""
        if isinstance(value, Mapping):
            return {k: self.filled(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.filled(v) for v in value]
        if value == NOW:
            return stamp(self.site.clock)
        if value == LATER:
            return stamp(self.site.clock, before_s=-3600.0)
        return self.transaction if value == "<tx>" else value


Step = Callable[[Play], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """One official case: its id, its title and how it is played, or which test plays it."""

    id: str
    title: str
    steps: tuple[Step, ...] = ()
    node: str = ""
    later: str = ""
    """Why it is not played: cases that may be marked later."""


def case(id_: str, title: str, *steps: Step) -> Case:
    return Case(id=f"TC_{id_}_CSMS", title=title, steps=steps)


def elsewhere(id_: str, title: str, node: str) -> Case:
    return Case(id=f"TC_{id_}_CSMS", title=title, node=node)


def later(id_: str, title: str, reason: str) -> Case:
    return Case(id=f"TC_{id_}_CSMS", title=title, later=reason)


async def play(case: Case, kind: type[StationDialect]) -> None:
    """Play a case on a fresh connection with two EVSEs."""
    running: list[Play] = []

    def script(action: str, payload: dict[str, Any]) -> Any:
        running[0].note("down", action)
        reply = running[0].replies.get(action)
        if callable(reply):
            reply = reply(payload)
        if reply is None:
            return accept_everything(action, payload)
        return reply if isinstance(reply, CallFailed) else copy.deepcopy(reply)

    clock = StillClock()
    book = StationBook(clock=clock, pending_boots=False, sink=RecordingConditions())
    site = Connection(kind, script, tokens=TOKENS, book=book)
    running.append(Play(site=site, book=site.book, name=case.id))
    for step in case.steps:
        await step(running[0])


# --- steps ------------------------------------------------------------------------------------------


def told(action: str, payload: Mapping[str, Any] | None = None, **expected: Any) -> Step:
    """Let the station send a message; the answer holds at least what is expected."""

    async def step(p: Play) -> None:
        p.note("up", action)
        answer = await p.site.tell(action, p.filled(payload or {}))
        assert contains(answer, p.filled(expected)), f"{action}: {answer} lacks {expected}"
        if "transactionId" in answer:
            p.transaction = answer["transactionId"]

    return step


def asks(
    action: StationAction,
    message: str,
    expected: Mapping[str, Any] | None = None,
    /,
    *,
    reply: Any = None,
    evse: int | None = None,
    argument: str = "",
    ok: bool = True,
    **parameters: Any,
) -> Step:
    """Let an operator ask; the station gets a message that holds at least what is expected."""

    async def step(p: Play) -> None:
        p.replies[message] = reply
        before = len(p.site.station.calls)
        request = ActionRequest(
            station=StationId("CP1"),
            evse=None if evse is None else EvseId(f"CP1/{evse}"),
            action=action,
            argument=argument,
            parameters=p.filled(parameters),
        )
        p.result = await p.site.dialect.act(request)
        kind = Applied if ok else Rejected
        assert isinstance(p.result, kind), p.result
        sent = [payload for name, payload in p.site.station.calls[before:] if name == message]
        wanted = p.filled(expected or {})
        assert any(contains(payload, wanted) for payload in sent), f"{sent} lacks {wanted}"

    return step


def relays(
    message: str,
    payload: Mapping[str, Any] | None = None,
    *,
    reply: Any = None,
    ok: bool = True,
    sent: Mapping[str, Any] | None = None,
) -> Step:
    """Let an operator send any message; it arrives as it was given, or (`sent`) in parts."""
    return asks(
        StationAction.CALL,
        message,
        sent if sent is not None else payload or {},
        reply=reply,
        ok=ok,
        message=message,
        payload=dict(payload or {}),
    )


def answered(**expected: Any) -> Step:
    """Check what the operator was told."""

    async def step(p: Play) -> None:
        assert contains(p.result.answer, expected), p.result

    return step


def limits(limit_a: float, expected: Mapping[str, Any], *, reply: Any = None) -> Step:
    """Let the controller grant a limit to the running transaction of EVSE 1."""

    async def step(p: Play) -> None:
        p.replies["SetChargingProfile"] = reply
        await p.site.dialect.apply(limit(limit_a, str(p.transaction)))
        assert any(contains(sent, expected) for sent in p.site.profiles()), p.site.profiles()

    return step


def provisioned(expected: Mapping[str, Any], *, reply: Any = None) -> Step:
    """Let the controller bring the station to its known state."""

    async def step(p: Play) -> None:
        p.replies["SetChargingProfile"] = reply
        await p.site.provision()
        assert any(contains(sent, expected) for sent in p.site.profiles()), p.site.profiles()

    return step


def sees(check: Callable[[Play], object]) -> Step:
    """Check anything."""

    async def step(p: Play) -> None:
        assert check(p)

    return step


def contains(found: Any, wanted: Any) -> bool:
    """Tell whether a payload holds at least what is wanted; `...` stands for anything present."""
    if wanted is ...:
        return found is not None
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            (v is None and k not in found) or (k in found and contains(found[k], v))
            for k, v in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(found, list) and all(any(contains(f, w) for f in found) for w in wanted)
    return bool(found == wanted)
