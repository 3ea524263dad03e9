"""A server on a real socket around a fake controller and a store in memory."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from adapters.http.server import HttpServer
from adapters.http.settings import HttpSettings
from adapters.store.sqlite_store import SqliteStore
from controller.administration import PastPlan, TransactionQuery
from controller.alarms import AlarmBook
from controller.care import StationCare
from controller.configuration import Configuration
from controller.decision import Alarm
from controller.planning import Planning
from controller.reasons import ReasonChange
from controller.records import (
    AuditEntry,
    Role,
    SeriesPoint,
    StationRecord,
    TokenImport,
    TokenRecord,
    User,
)
from controller.roaming import Document, PartnerRegister, UpstreamStatus
from controller.site import StationId
from controller.transaction import IdToken, Transaction, TransactionId
from tests.fakes.control import CARD, NOW, FakeControl
from tests.fakes.memory_store import imported

T = TypeVar("T")
PASSWORD = "correct horse battery staple"
TOKENS = {role: f"wk_{role.value}_0123456789abcdef" for role in Role}


class FakeClock:
    """Real seconds plus what a test adds."""

    def __init__(self) -> None:
        self.added_s = 0.0

    def monotonic_s(self) -> float:
        return time.monotonic() + self.added_s

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.added_s)


class FakeStore:
    """The part of `Store` that the HTTP side uses. Remembers the threads it was called on."""

    def __init__(self) -> None:
        self.accounts = {role.value: User(name=role.value, role=role) for role in Role}
        self.digests = {_digest(t): role.value for role, t in TOKENS.items()}
        self.sessions: list[Transaction] = []
        self.known: dict[str, TokenRecord] = {}
        self.entries: list[AuditEntry] = []
        self.past_alarms: list[Alarm] = []
        self.records: tuple[StationRecord, ...] = ()
        self.points: tuple[SeriesPoint, ...] = ()
        self.asked: dict[str, object] = {}
        self.threads: set[int] = set()
        self.delay_s = 0.0
        self.token_lookups = 0

    async def _enter(self) -> None:
        self.threads.add(threading.get_ident())
        if self.delay_s:
            await asyncio.sleep(self.delay_s)

    async def find_transaction(
        self, station: StationId, transaction: TransactionId
    ) -> Transaction | None:
        await self._enter()
        return next((t for t in self.sessions if (t.station, t.id) == (station, transaction)), None)

    async def list_transactions(
        self, query: TransactionQuery, *, limit: int, offset: int
    ) -> tuple[Transaction, ...]:
        await self._enter()
        newest = sorted(self.sessions, key=lambda t: t.started_at, reverse=True)
        return tuple([t for t in newest if _keeps(query, t)][offset : offset + limit])

    async def count_transactions(self, query: TransactionQuery) -> int:
        await self._enter()
        return sum(_keeps(query, t) for t in self.sessions)

    async def document(self, kind: str, key: str) -> Document | None:
        await self._enter()
        return None

    async def plan_at(self, at: datetime) -> PastPlan | None:
        await self._enter()
        return None

    async def reasons(self, *_: object, **__: object) -> tuple[ReasonChange, ...]:
        await self._enter()
        return ()

    async def token(self, token: IdToken) -> TokenRecord | None:
        await self._enter()
        return self.known.get(token.casefold())

    async def tokens(self) -> tuple[TokenRecord, ...]:
        await self._enter()
        return tuple(self.known[k] for k in sorted(self.known))

    async def put_token(self, record: TokenRecord) -> None:
        await self._enter()
        self.known[record.id.casefold()] = record

    async def import_tokens(self, records: Sequence[TokenRecord], *, replace: bool) -> TokenImport:
        await self._enter()
        return imported(self.known, records, replace=replace)

    async def delete_token(self, token: IdToken) -> bool:
        await self._enter()
        return self.known.pop(token.casefold(), None) is not None

    async def stations(self) -> tuple[StationRecord, ...]:
        await self._enter()
        return self.records

    async def alarms(self, *, since: datetime | None, limit: int) -> tuple[Alarm, ...]:
        await self._enter()
        return tuple(self.past_alarms[:limit])

    async def audit(self, entry: AuditEntry) -> None:
        await self._enter()
        self.entries.insert(0, entry)

    async def audit_log(self, *, limit: int, offset: int) -> tuple[AuditEntry, ...]:
        await self._enter()
        return tuple(self.entries[offset : offset + limit])

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
        await self._enter()
        self.asked = {"tags": dict(tags), "since": since, "until": until, "step_s": step_s}
        return self.points

    async def user_by_password(self, name: str, password: str) -> User | None:
        await self._enter()
        return self.accounts.get(name) if password == PASSWORD else None

    async def note_token_used(self, token: str, at: datetime) -> None:
        await self._enter()

    async def note_sign_in(self, name: str, at: datetime) -> None:
        await self._enter()

    async def user_by_live_token(self, token: str, at: datetime) -> User | None:
        await self._enter()
        self.token_lookups += 1
        return self.accounts.get(self.digests.get(_digest(token), ""))

    async def users(self) -> tuple[User, ...]:
        await self._enter()
        return tuple(self.accounts.values())


def _keeps(query: TransactionQuery, transaction: Transaction) -> bool:
    t, q = transaction, query
    return (
        (q.since is None or t.started_at >= q.since)
        and (q.until is None or t.started_at < q.until)
        and (q.station is None or t.station == q.station)
        and (q.evse is None or t.evse == q.evse)
        and (q.id_token is None or (t.id_token or "").casefold() == q.id_token.casefold())
        and (q.is_running is None or (t.ended_at is None) is q.is_running)
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def a_session(
    number: int = 1,
    *,
    station: str = "CP001",
    id_token: str | None = CARD,
    ended: bool = True,
) -> Transaction:
    started_at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC) + timedelta(minutes=number)
    return Transaction(
        id=TransactionId(str(number)),
        station=StationId(station),
        evse=f"{station}/1",
        id_token=IdToken(id_token) if id_token else None,
        started_at=started_at,
        start_wh=1000.0,
        last_wh=8500.0,
        ended_at=started_at + timedelta(hours=2) if ended else None,
        end_reason="Local" if ended else None,
    )


@dataclass
class Site:
    """A running server and what stands behind it."""

    control: FakeControl
    store: FakeStore
    clock: FakeClock
    server: HttpServer
    main_thread: int
    clients: list[httpx.Client] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def client(self, role: Role | None = None) -> httpx.Client:
        headers = {} if role is None else {"Authorization": f"Bearer {TOKENS[role]}"}
        client = httpx.Client(base_url=self.url, headers=headers, timeout=10, trust_env=False)
        self.clients.append(client)
        return client

    def signed_in(self, role: Role) -> httpx.Client:
        client = self.client()
        answer = client.post("/api/v1/session", json={"name": role.value, "password": PASSWORD})
        assert answer.status_code == 200
        return client


class MainLoop:
    """Stands for the control loop: an event loop on a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="control", daemon=True)
        self.thread.start()

    def call(self, function: object) -> None:
        async def run() -> None:
            function()  # type: ignore[operator]

        asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()


class Rig:
    """Starts servers for one test and stops them after it."""

    def __init__(self) -> None:
        self.main = MainLoop()
        self.sites: list[Site] = []

    def start(
        self,
        *,
        control: FakeControl | None = None,
        setup_code: str = "",
        store: object = None,
        planning: Planning | None = None,
        care: StationCare | None = None,
        configuration: Configuration | None = None,
        partners: PartnerRegister | None = None,
        upstream: UpstreamStatus | None = None,
        sheds: Callable[[], bool] = lambda: False,
        **settings: object,
    ) -> Site:
        clock = FakeClock()
        if control is None:
            control = FakeControl()
            control.publish(now_s=clock.monotonic_s())
        kept = FakeStore()
        calm: dict[str, object] = {"port": 0, "requests_per_s": 1e6, "request_burst": 1_000_000}
        server = HttpServer(
            settings=HttpSettings(**{**calm, **settings}),  # type: ignore[arg-type]
            control=control,
            store=store or kept,  # type: ignore[arg-type]
            clock=clock,
            setup_code=setup_code,
            planning=planning,
            care=care,
            configuration=configuration,
            partners=partners,
            upstream=upstream,
            sheds=sheds,
        )
        self.main.call(server.start)
        site = Site(control, kept, clock, server, self.main.thread.ident or 0)
        self.sites.append(site)
        return site

    def close(self) -> None:
        for site in self.sites:
            for client in site.clients:
                client.close()
            site.server.stop()
        self.main.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.close()


@dataclass
class Desk:
    """A server on a real store, empty at first."""

    site: Site
    store: SqliteStore
    main: MainLoop

    def add(self, name: str, role: Role, password: str | None = PASSWORD) -> str:
        """Add an account and return an API token of it."""
        at = self.site.clock.now()
        self.main.run(self.store.put_account(name, role, at, password=password))
        work = self.store.add_api_token(name, label="test", at=at, expires_at=None)
        return self.main.run(work)[1]

    def client(self, token: str | None = None) -> httpx.Client:
        client = self.site.client()
        if token is not None:
            client.headers["Authorization"] = f"Bearer {token}"
        return client

    def actions(self) -> list[str]:
        entries = self.main.run(self.store.audit_log(limit=100, offset=0))
        return [e.action for e in reversed(entries)]


@pytest.fixture
def desk(rig: Rig, tmp_path: Path) -> Iterator[Desk]:
    store = SqliteStore.open(tmp_path / "w.db", conditions=AlarmBook(), clock=FakeClock())
    yield Desk(rig.start(store=store, setup_code="ABCDE-FGHJK"), store, rig.main)
    for started in rig.sites:
        started.server.stop()
    rig.main.run(store.close())


@pytest.fixture
def site(rig: Rig) -> Site:
    return rig.start()


@pytest.fixture(scope="session")
def shared() -> Iterator[Site]:
    """A server for tables of requests that do not depend on each other."""
    rig = Rig()
    yield rig.start()
    rig.close()
