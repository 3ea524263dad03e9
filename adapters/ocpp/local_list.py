"""What a station's local authorization list should hold, and which messages bring it there. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from adapters.ocpp.clocks import wire_time
from adapters.ocpp.frames import OCPP16
from controller.records import TokenRecord, TokenStatus
from controller.site import StationId
from controller.tokens import TokenQuestion, TokenRules, decide_token

MAX_ID_V16: Final = 20
ITEMS_PER_MESSAGE: Final = 20
"""Assumed where a station does not say how many it takes: short enough for small ones."""
_STATUS: Final = {
    TokenStatus.ACCEPTED: "Accepted",
    TokenStatus.BLOCKED: "Blocked",
    TokenStatus.EXPIRED: "Expired",
    TokenStatus.INVALID: "Invalid",
    TokenStatus.CONCURRENT_TX: "ConcurrentTx",
}

_BREAK: Final = "\n"
"""Between kind and token in a key; no token holds it."""

Entries = Mapping[str, dict[str, Any]]
"""Wire entries by id token, folded; in 2.0.1 its kind goes before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The list that a station confirmed to hold."""

    version: int
    digests: Mapping[str, str]
    """Digest of each entry by the keys of `Entries`."""

    def to_json(self) -> str:
        """Write it for the store."""
        return json.dumps({"version": self.version, "digests": dict(self.digests)})

    @classmethod
    def from_json(cls, text: str) -> Held:
        """Read it back."""
        data = json.loads(text)
        return cls(version=int(data["version"]), digests=dict(data["digests"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One SendLocalList and what the station holds when it accepts."""

    payload: dict[str, Any]
    after: Held


def entries_for(
    station: StationId, records: Sequence[TokenRecord], *, protocol: str, at: datetime
) -> Entries:
    """Return the entries of a station: every token as it would be answered there now.

    Blocked tokens are listed too, so that a station that is offline refuses them whatever its cache
    says. Those that OCPP 1.6 cannot write are left out.
    """
    groups = {r.id.casefold(): r for r in records}
    entries: dict[str, dict[str, Any]] = {}
    for record in records:
        if protocol == OCPP16 and len(record.id) > MAX_ID_V16:
            continue
        group = groups.get(record.group.casefold()) if record.group is not None else None
        question = TokenQuestion(token=record.id, station=station, at=at)
        answer = decide_token(record, group, question, TokenRules(accept_unknown=False))
        status = _STATUS[answer.status]
        if protocol == OCPP16:
            entries[record.id.casefold()] = _entry_v16(record, status, answer.expires_at)
        else:
            key = f"{record.kind.value}{_BREAK}{record.id.casefold()}"
            entries[key] = _entry_v201(record, status, answer.expires_at)
    return entries


def _entry_v16(record: TokenRecord, status: str, expires_at: datetime | None) -> dict[str, Any]:
    info: dict[str, Any] = {"status": status}
    if expires_at is not None:
        info["expiryDate"] = wire_time(expires_at.astimezone(UTC))
    if record.group is not None and len(record.group) <= MAX_ID_V16:
        info["parentIdTag"] = record.group
    return {"idTag": record.id, "idTagInfo": info}


def _entry_v201(record: TokenRecord, status: str, expires_at: datetime | None) -> dict[str, Any]:
    info: dict[str, Any] = {"status": status}
    if expires_at is not None:
        info["cacheExpiryDateTime"] = wire_time(expires_at.astimezone(UTC))
    if record.group is not None:
        info["groupIdToken"] = {"idToken": record.group, "type": "Central"}
    return {
        "idToken": {"idToken": record.id, "type": record.kind.value},
        "idTokenInfo": info,
    }


def updates(
    *, held: Held | None, version: int, wanted: Entries, protocol: str, per_message: int
) -> Iterator[Update]:
    """Return the messages that bring a station from what it holds to what it should.

    Args:
        held: What it confirmed last; None: unknown.
        version: What it says it holds now; 0 or less: nothing.
        wanted: What it should hold.
        protocol: OCPP version.
        per_message: Entries that it takes at once.

    Yields:
        A differential update where its version is the one we know, else a full one. Both are cut
        into messages that the station takes; the rest of a full list follows as differentials.
    """
    digests = {key: _digest(entry) for key, entry in wanted.items()}
    if held is not None and held.version == version:
        changed = [k for k in sorted(wanted) if held.digests.get(k) != digests[k]]
        gone = sorted(held.digests.keys() - wanted.keys())
        if not changed and not gone:
            return
        if len(changed) + len(gone) <= max(per_message, len(wanted) // 2):
            yield from _differentials(held, changed, gone, wanted, digests, protocol, per_message)
            return
    elif not wanted and version <= 0:
        return
    yield from _full(max(version, 0) + 1, wanted, digests, protocol, per_message)


def _full(
    version: int, wanted: Entries, digests: Mapping[str, str], protocol: str, per_message: int
) -> Iterator[Update]:
    keys = sorted(wanted)
    first, rest = keys[:per_message], keys[per_message:]
    after = Held(version=version, digests={k: digests[k] for k in first})
    yield Update(
        payload=_payload(version, "Full", [wanted[k] for k in first], protocol), after=after
    )
    yield from _differentials(after, rest, (), wanted, digests, protocol, per_message)


def _differentials(
    held: Held,
    changed: Sequence[str],
    gone: Iterable[str],
    wanted: Entries,
    digests: Mapping[str, str],
    protocol: str,
    per_message: int,
) -> Iterator[Update]:
    steps = [*((key, wanted[key]) for key in changed), *((key, None) for key in gone)]
    after = dict(held.digests)
    for number, start in enumerate(range(0, len(steps), per_message), start=1):
        part = steps[start : start + per_message]
        for key, entry in part:
            if entry is None:
                del after[key]
            else:
                after[key] = digests[key]
        version = held.version + number
        lines = [entry if entry is not None else _removal(key, protocol) for key, entry in part]
        yield Update(
            payload=_payload(version, "Differential", lines, protocol),
            after=Held(version=version, digests=dict(after)),
        )


def _removal(key: str, protocol: str) -> dict[str, Any]:
    """Write an entry without information: it is taken out of the list."""
    if protocol == OCPP16:
        return {"idTag": key}
    kind, _, token = key.partition(_BREAK)
    return {"idToken": {"idToken": token, "type": kind}}


def _payload(
    version: int, kind: str, lines: Sequence[dict[str, Any]], protocol: str
) -> dict[str, Any]:
    """Write the message; an empty list is left out, its schema wants an entry."""
    number = "listVersion" if protocol == OCPP16 else "versionNumber"
    payload: dict[str, Any] = {number: version, "updateType": kind}
    if lines:
        payload["localAuthorizationList"] = list(lines)
    return payload


def _digest(entry: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()[:16]
