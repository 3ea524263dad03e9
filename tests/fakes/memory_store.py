"""A store in memory, for tests of the controller: same answers as the real one, no disk."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from controller.access import StationSecurity, canonical_secret
from controller.decision import Alarm
from controller.records import (
    AuditEntry,
    Sample,
    SeriesPoint,
    SpooledSample,
    StationRecord,
    TokenImport,
    TokenRecord,
    User,
)
from controller.roaming import Document, DocumentQuery
from controller.site import StationId
from controller.transaction import IdToken, Transaction, TransactionId

Key = tuple[StationId, TransactionId]


def imported(
    known: dict[str, TokenRecord], records: Sequence[TokenRecord], *, replace: bool
) -> TokenImport:
    """Take records into a table by casefolded id."""
    wanted = {r.id.casefold(): r for r in records}
    new = wanted.keys() - known.keys()
    same = {k for k in wanted.keys() - new if known[k] == wanted[k]}
    gone = known.keys() - wanted.keys() if replace else set()
    for key in gone:
        del known[key]
    known.update(wanted)
    return TokenImport(
        added=len(new),
        changed=len(wanted) - len(new) - len(same),
        same=len(same),
        deleted=len(gone),
    )


class MemoryStore:
    """Implements `Store` and `SampleSpool`. Secrets are kept as they are: it is for tests."""

    def __init__(self) -> None:
        self._transactions: dict[Key, Transaction] = {}
        self._starts: dict[tuple[object, ...], Key] = {}
        self._tokens: dict[str, TokenRecord] = {}
        self._stations: dict[StationId, StationRecord] = {}
        self._secrets: dict[StationId, str] = {}
        self._new_secrets: dict[StationId, str] = {}
        self._security: dict[StationId, StationSecurity] = {}
        self._users: dict[str, tuple[User, str | None]] = {}
        self._api_tokens: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._alarms: dict[tuple[str, str, datetime], Alarm] = {}
        self._audit: list[AuditEntry] = []
        self._ranges: dict[str, list[tuple[int, int]]] = {}
        self._documents: dict[tuple[str, str], Document] = {}
        self.samples: list[Sample] = []
        self.quarantined: list[tuple[str, SpooledSample, str]] = []

    async def put_document(self, document: Document, *, once: bool = False) -> bool:
        key = (document.kind, document.key)
        is_new = key not in self._documents
        if is_new or not once:
            self._documents[key] = document
        return is_new

    async def document(self, kind: str, key: str) -> Document | None:
        return self._documents.get((kind, key))

    async def documents(self, query: DocumentQuery) -> tuple[Document, ...]:
        return tuple(self._found(query)[query.offset : query.offset + query.limit])

    async def count_documents(self, query: DocumentQuery) -> int:
        return len(self._found(query))

    async def delete_document(self, kind: str, key: str) -> bool:
        return self._documents.pop((kind, key), None) is not None

    def _found(self, query: DocumentQuery) -> list[Document]:
        found = [
            d
            for d in self._documents.values()
            if d.kind == query.kind
            and d.key.startswith(query.prefix)
            and (query.since is None or d.updated_at >= query.since)
            and (query.until is None or d.updated_at < query.until)
        ]
        return sorted(found, key=lambda d: (d.updated_at, d.key))

    async def open_transaction(self, transaction: Transaction, *, offline: bool) -> Transaction:
        key = (transaction.station, transaction.id)
        token = transaction.id_token
        start = (
            transaction.station,
            transaction.evse,
            transaction.started_at,
            None if token is None else token.casefold(),
            transaction.start_wh,
        )
        known = key if key in self._transactions else self._starts.get(start)
        if known is not None:
            return self._transactions[known]
        self._transactions[key] = transaction
        self._starts[start] = key
        return transaction

    async def find_transaction(
        self, station: StationId, transaction: TransactionId
    ) -> Transaction | None:
        return self._transactions.get((station, transaction))

    async def save_transaction(self, transaction: Transaction) -> None:
        key = (transaction.station, transaction.id)
        stored = self._transactions.get(key)
        self._transactions[key] = transaction if stored is None else _merged(stored, transaction)

    async def open_transactions(self) -> tuple[Transaction, ...]:
        return tuple(t for t in self._by_start() if t.ended_at is None)

    async def transactions(
        self, *, since: datetime | None, until: datetime | None, limit: int, offset: int
    ) -> tuple[Transaction, ...]:
        found = [
            t
            for t in reversed(self._by_start())
            if (since is None or t.started_at >= since) and (until is None or t.started_at < until)
        ]
        return tuple(found[offset : offset + limit])

    def _by_start(self) -> list[Transaction]:
        return sorted(self._transactions.values(), key=lambda t: t.started_at)

    async def token(self, token: IdToken) -> TokenRecord | None:
        return self._tokens.get(token.casefold())

    async def tokens(self) -> tuple[TokenRecord, ...]:
        return tuple(sorted(self._tokens.values(), key=lambda r: r.id))

    async def put_token(self, record: TokenRecord) -> None:
        self._tokens[record.id.casefold()] = record

    async def import_tokens(self, records: Sequence[TokenRecord], *, replace: bool) -> TokenImport:
        return imported(self._tokens, records, replace=replace)

    async def delete_token(self, token: IdToken) -> bool:
        return self._tokens.pop(token.casefold(), None) is not None

    async def station_secret_matches(self, station: StationId, candidate: bytes) -> bool:
        given = canonical_secret(candidate)
        known, new = self._secrets.get(station), self._new_secrets.get(station)
        if known is not None and hmac.compare_digest(canonical_secret(known.encode()), given):
            return True
        if new is None or not hmac.compare_digest(canonical_secret(new.encode()), given):
            return False
        self._secrets[station] = self._new_secrets.pop(station)
        return True

    async def set_station_secret(self, station: StationId, secret: str) -> None:
        self._secrets[station] = secret
        self._new_secrets.pop(station, None)
        self._stations.setdefault(station, StationRecord(id=station))

    async def propose_station_secret(self, station: StationId, secret: str) -> None:
        self._new_secrets[station] = secret

    async def withdraw_station_secret(self, station: StationId) -> None:
        self._new_secrets.pop(station, None)

    async def station_security(self, station: StationId) -> StationSecurity:
        stored = self._security.get(station, StationSecurity())
        return replace(stored, has_new_secret=station in self._new_secrets)

    async def save_station_security(self, station: StationId, security: StationSecurity) -> None:
        self._security[station] = security

    async def save_station(self, record: StationRecord) -> None:
        self._stations[record.id] = record

    async def stations(self) -> tuple[StationRecord, ...]:
        return tuple(
            replace(record, has_secret=station in self._secrets)
            for station, record in sorted(self._stations.items())
        )

    async def save_memory(self, memory: str) -> None:
        self._texts["memory"] = memory

    async def load_memory(self) -> str | None:
        return self._texts.get("memory")

    async def save_overrides(self, overrides: str) -> None:
        self._texts["overrides"] = overrides

    async def load_overrides(self) -> str | None:
        return self._texts.get("overrides")

    async def save_alarm(self, alarm: Alarm) -> None:
        key = (alarm.condition.code, alarm.condition.subject, alarm.begin)
        stored = self._alarms.get(key)
        end = stored.end if stored is not None and stored.end is not None else alarm.end
        self._alarms[key] = replace(alarm, end=end)

    async def alarms(self, *, since: datetime | None, limit: int) -> tuple[Alarm, ...]:
        found = sorted(self._alarms.values(), key=lambda a: a.begin, reverse=True)
        return tuple(a for a in found if since is None or a.begin >= since)[:limit]

    async def open_alarms(self) -> tuple[Alarm, ...]:
        found = (a for a in self._alarms.values() if a.end is None)
        return tuple(sorted(found, key=lambda a: a.begin))

    async def audit(self, entry: AuditEntry) -> None:
        self._audit.append(entry)

    async def audit_log(self, *, limit: int, offset: int) -> tuple[AuditEntry, ...]:
        return tuple(reversed(self._audit))[offset : offset + limit]

    def put_samples(self, samples: Sequence[Sample]) -> None:
        self.samples.extend(samples)

    async def history(
        self,
        *,
        measurement: str,
        field: str,
        tags: Mapping[str, str],
        since: datetime,
        until: datetime,
        step_s: float,
        statistic: str = "mean",
    ) -> tuple[SeriesPoint, ...]:
        steps: dict[int, list[float]] = {}
        for sample in self.samples:
            value = sample.fields.get(field)
            if (
                sample.measurement == measurement
                and tags.items() <= sample.tags.items()
                and since <= sample.at < until
                and isinstance(value, int | float)
            ):
                step = int((sample.at - since).total_seconds() // step_s)
                steps.setdefault(step, []).append(value)
        return tuple(
            SeriesPoint(
                at=since + timedelta(seconds=step * step_s),
                value=sum(v) / len(v) if statistic == "mean" else max(v),
            )
            for step, v in sorted(steps.items())
        )

    async def add_user(self, user: User, password: str | None) -> None:
        self._users[user.name] = (user, password)

    async def user_by_password(self, name: str, password: str) -> User | None:
        user, known = self._users.get(name, (None, None))
        return user if known is not None and known == password else None

    async def issue_api_token(self, name: str) -> str:
        if name not in self._users:
            raise KeyError(name)
        token = "wk_" + secrets.token_urlsafe(32)
        self._api_tokens[token] = name
        return token

    async def user_by_api_token(self, token: str) -> User | None:
        name = self._api_tokens.get(token)
        return None if name is None else self._users[name][0]

    async def users(self) -> tuple[User, ...]:
        return tuple(user for _, (user, _) in sorted(self._users.items()))

    async def spooled(self, *, after: int, limit: int) -> tuple[SpooledSample, ...]:
        rows = self.samples[after : after + limit]
        return tuple(SpooledSample(cursor=after + 1 + i, sample=s) for i, s in enumerate(rows))

    async def newest_cursor(self) -> int:
        return len(self.samples)

    async def upload_cursors(self, target: str) -> tuple[tuple[int, int], ...]:
        return tuple(self._ranges.get(target, ()))

    async def mark_uploaded(self, target: str, first: int, last: int) -> None:
        kept: list[tuple[int, int]] = []
        for low, high in self._ranges.get(target, []):
            if high < first - 1 or low > last + 1:
                kept.append((low, high))
            else:
                first, last = min(first, low), max(last, high)
        self._ranges[target] = sorted([*kept, (first, last)])

    async def quarantine(self, target: str, samples: Sequence[SpooledSample], reason: str) -> None:
        self.quarantined.extend((target, sample, reason) for sample in samples)


def _merged(stored: Transaction, report: Transaction) -> Transaction:
    """A stored end stays; what is known is not erased."""
    first, second = (stored, report) if stored.ended_at is not None else (report, stored)
    ended = stored.ended_at is not None
    return replace(
        first,
        id_token=first.id_token if first.id_token is not None else second.id_token,
        started_at=min(stored.started_at, report.started_at) if ended else report.started_at,
        start_wh=first.start_wh if first.start_wh is not None else second.start_wh,
        last_wh=first.last_wh if first.last_wh is not None else second.last_wh,
        seq_no=first.seq_no if first.seq_no is not None or ended else second.seq_no,
    )
