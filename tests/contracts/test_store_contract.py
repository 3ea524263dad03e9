"""What every store promises to the controller, whatever it is made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.store.sqlite_store import SqliteStore
from controller.access import StationSecurity
from controller.decision import Alarm, Condition, Severity
from controller.records import (
    AuditEntry,
    Role,
    Sample,
    SeriesPoint,
    StationRecord,
    TokenImport,
    TokenKind,
    TokenRecord,
    TokenStatus,
    User,
)
from controller.roaming import Document, DocumentQuery
from controller.transaction import IdToken, Transaction, TransactionId
from tests.fakes.memory_store import MemoryStore

Scenario = Callable[[Any], Awaitable[None]]
Run = Callable[[Scenario], None]
NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


class NoConditions:
    def begin(self, condition: Condition) -> None:
        raise AssertionError(condition)

    def end(self, code: str, subject: str) -> None:
        raise AssertionError(code)


class WallClock:
    def monotonic_s(self) -> float:
        return 0.0

    def now(self) -> datetime:
        return NOON


@asynccontextmanager
async def sqlite_store(folder: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore.open(folder / "w.db", conditions=NoConditions(), clock=WallClock())
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture(params=["sqlite", "memory"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    async def on_sqlite(scenario: Scenario) -> None:
        async with sqlite_store(tmp_path) as store:
            await scenario(store)

    async def on_memory(scenario: Scenario) -> None:
        await scenario(MemoryStore())

    runner = on_sqlite if request.param == "sqlite" else on_memory
    return lambda scenario: asyncio.run(runner(scenario))


async def settle(store: Any) -> None:
    if isinstance(store, SqliteStore):
        await store.flush()


def a_transaction(**changes: Any) -> Transaction:
    plain = Transaction(
        id=TransactionId("1"),
        station="CP001",
        evse="CP001/1",
        id_token=IdToken("ABC"),
        started_at=NOON,
        start_wh=1000.0,
    )
    return replace(plain, **changes)


def test_opened_transaction_is_found_with_every_value(run: Run) -> None:
    async def scenario(store: Any) -> None:
        opened = a_transaction(last_wh=1000.5, seq_no=3)
        assert opened == await store.open_transaction(opened, offline=True)
        assert opened == await store.find_transaction("CP001", "1")

    run(scenario)


@pytest.mark.parametrize("absent", [{}, {"id_token": None}, {"start_wh": None}])
def test_repeated_start_returns_the_stored_one(run: Run, absent: dict[str, None]) -> None:
    async def scenario(store: Any) -> None:
        first = a_transaction(**absent)
        await store.open_transaction(first, offline=False)
        again = await store.open_transaction(replace(first, id="2"), offline=False)
        assert first == again
        assert (first,) == await store.open_transactions()

    run(scenario)


def test_repeated_start_ignores_the_case_of_the_token(run: Run) -> None:
    async def scenario(store: Any) -> None:
        await store.open_transaction(a_transaction(), offline=False)
        again = await store.open_transaction(a_transaction(id="2", id_token="abc"), offline=False)
        assert again.id == "1"

    run(scenario)


@pytest.mark.parametrize(
    "other",
    [
        {"evse": "CP001/2"},
        {"started_at": NOON + timedelta(seconds=1)},
        {"id_token": "XYZ"},
        {"id_token": None},
        {"start_wh": 1000.1},
        {"start_wh": None},
        {"station": "CP002", "evse": "CP002/1"},
    ],
)
def test_other_start_is_another_transaction(run: Run, other: dict[str, Any]) -> None:
    async def scenario(store: Any) -> None:
        await store.open_transaction(a_transaction(), offline=False)
        opened = await store.open_transaction(a_transaction(id="2", **other), offline=False)
        assert opened.id == "2"
        assert len(await store.open_transactions()) == 2

    run(scenario)


def test_start_with_a_known_id_returns_the_stored_one(run: Run) -> None:
    async def scenario(store: Any) -> None:
        await store.open_transaction(a_transaction(), offline=False)
        late = a_transaction(started_at=NOON + timedelta(minutes=1), start_wh=None)
        assert a_transaction() == await store.open_transaction(late, offline=True)

    run(scenario)


def test_another_stations_transaction_is_never_found_or_changed(run: Run) -> None:
    async def scenario(store: Any) -> None:
        await store.open_transaction(a_transaction(), offline=False)
        assert await store.find_transaction("CP002", "1") is None
        theirs = a_transaction(
            station="CP002", evse="CP002/1", ended_at=NOON + timedelta(hours=1), end_reason="x"
        )
        await store.save_transaction(theirs)
        assert a_transaction() == await store.find_transaction("CP001", "1")

    run(scenario)


def test_progress_replaces_known_values_and_erases_none(run: Run) -> None:
    async def scenario(store: Any) -> None:
        await store.open_transaction(a_transaction(seq_no=1), offline=False)
        await store.save_transaction(a_transaction(last_wh=1500.0, seq_no=2))
        await store.save_transaction(a_transaction(id_token=None, start_wh=None))
        expected = a_transaction(last_wh=1500.0, seq_no=2)
        assert expected == await store.find_transaction("CP001", "1")

    run(scenario)


def test_stored_end_is_never_undone(run: Run) -> None:
    async def scenario(store: Any) -> None:
        ended = a_transaction(
            last_wh=9000.0, ended_at=NOON + timedelta(hours=1), end_reason="Local", seq_no=9
        )
        await store.open_transaction(a_transaction(), offline=False)
        await store.save_transaction(ended)
        await store.save_transaction(a_transaction(last_wh=5000.0, seq_no=5))
        await store.save_transaction(
            replace(ended, ended_at=NOON + timedelta(hours=2), end_reason="Other", last_wh=1.0)
        )
        assert ended == await store.find_transaction("CP001", "1")
        assert ended == await store.open_transaction(a_transaction(id="7"), offline=True)
        assert await store.open_transactions() == ()

    run(scenario)


def test_a_real_end_replaces_an_assumed_one_and_nothing_else_does(run: Run) -> None:
    async def scenario(store: Any) -> None:
        guess = a_transaction(
            last_wh=5000.0, ended_at=NOON, end_reason="Other", assumed_scale_ratio=1.0
        )
        real = replace(
            guess,
            last_wh=9000.0,
            ended_at=NOON + timedelta(hours=1),
            end_reason="Local",
            assumed_scale_ratio=None,
        )
        await store.open_transaction(a_transaction(), offline=False)
        await store.save_transaction(guess)
        await store.save_transaction(a_transaction(last_wh=6000.0))
        await store.save_transaction(replace(guess, last_wh=7000.0))
        assert guess == await store.find_transaction("CP001", "1")
        await store.save_transaction(real)
        await store.save_transaction(guess)
        assert real == await store.find_transaction("CP001", "1")
        assert len(await store.transactions(since=None, until=None, limit=9, offset=0)) == 1

    run(scenario)


def test_end_without_a_start_is_stored_and_completed_later(run: Run) -> None:
    async def scenario(store: Any) -> None:
        end = NOON + timedelta(hours=1)
        ended = a_transaction(
            id_token=None, started_at=end, start_wh=None, last_wh=9000.0, ended_at=end
        )
        await store.save_transaction(ended)
        await store.save_transaction(a_transaction())
        expected = a_transaction(last_wh=9000.0, ended_at=end)
        assert expected == await store.find_transaction("CP001", "1")

    run(scenario)


def test_transactions_are_listed_by_start_newest_first(run: Run) -> None:
    async def scenario(store: Any) -> None:
        for hour in (1, 3, 0, 2):
            await store.open_transaction(
                a_transaction(id=str(hour), started_at=NOON + timedelta(hours=hour)), offline=False
            )

        async def ids(**query: Any) -> list[str]:
            arguments = {"since": None, "until": None, "limit": 10, "offset": 0, **query}
            return [t.id for t in await store.transactions(**arguments)]

        assert await ids() == ["3", "2", "1", "0"]
        assert await ids(limit=2, offset=1) == ["2", "1"]
        span = {"since": NOON + timedelta(hours=1), "until": NOON + timedelta(hours=3)}
        assert await ids(**span) == ["2", "1"]

    run(scenario)


def test_token_is_found_whatever_its_case(run: Run) -> None:
    async def scenario(store: Any) -> None:
        record = TokenRecord(
            id="04aBcD",
            status=TokenStatus.BLOCKED,
            label="Anna",
            group="fleet",
            expires_at=NOON,
            priority=2,
        )
        await store.put_token(record)
        assert record == await store.token("04ABCD")
        await store.put_token(TokenRecord(id="04ABCD"))
        assert (TokenRecord(id="04ABCD"),) == await store.tokens()
        assert await store.delete_token("04abcd")
        assert not await store.delete_token("04abcd")
        assert await store.token("04ABCD") is None

    run(scenario)


def test_a_station_may_send_its_password_in_every_form(run: Run) -> None:
    async def scenario(store: Any) -> None:
        await store.set_station_secret("CP001", "0123456789ABCDEF")
        await store.set_station_secret("CP002", "correct horse")

        assert await store.station_secret_matches("CP001", b"0123456789abcdef")
        assert await store.station_secret_matches("CP001", bytes.fromhex("0123456789abcdef"))
        assert await store.station_secret_matches("CP001", b"0123456789ABCDEF".hex().encode())
        assert await store.station_secret_matches("CP002", b"correct horse".hex().upper().encode())

    run(scenario)


def test_a_new_password_replaces_the_old_one_when_it_is_used(run: Run) -> None:
    async def scenario(store: Any) -> None:
        await store.set_station_secret("CP001", "old old old old")
        await store.propose_station_secret("CP001", "new new new new")

        assert (await store.station_security("CP001")).has_new_secret
        assert await store.station_secret_matches("CP001", b"old old old old")
        assert await store.station_secret_matches("CP001", b"new new new new")
        assert not await store.station_secret_matches("CP001", b"old old old old")
        assert not (await store.station_security("CP001")).has_new_secret

    run(scenario)


def test_a_withdrawn_password_was_never_valid(run: Run) -> None:
    async def scenario(store: Any) -> None:
        await store.set_station_secret("CP001", "old old old old")
        await store.propose_station_secret("CP001", "new new new new")
        await store.withdraw_station_secret("CP001")

        assert not await store.station_secret_matches("CP001", b"new new new new")
        assert await store.station_secret_matches("CP001", b"old old old old")

    run(scenario)


def test_how_a_station_must_connect_is_kept(run: Run) -> None:
    async def scenario(store: Any) -> None:
        kept = StationSecurity(
            least_profile=3, certificate_name="SN-1", certificates_from=NOON.replace(microsecond=0)
        )
        await store.save_station_security("CP001", kept)

        assert await store.station_security("CP001") == kept
        assert await store.station_security("CP002") == StationSecurity()

    run(scenario)


def test_station_secret_matches_only_its_own_station(run: Run) -> None:
    async def scenario(store: Any) -> None:
        await store.set_station_secret("CP001", "correct horse")
        assert await store.station_secret_matches("CP001", b"correct horse")
        assert not await store.station_secret_matches("CP001", b"Correct horse")
        assert not await store.station_secret_matches("CP001", b"\xff\x00")
        assert not await store.station_secret_matches("CP001", b"")
        assert not await store.station_secret_matches("CP002", b"correct horse")
        await store.set_station_secret("CP001", "new")
        assert not await store.station_secret_matches("CP001", b"correct horse")

    run(scenario)


def test_station_record_and_secret_do_not_touch_each_other(run: Run) -> None:
    async def scenario(store: Any) -> None:
        record = StationRecord(id="B", vendor="V", model="M", last_boot_at=NOON, has_secret=True)
        await store.save_station(record)
        await store.set_station_secret("A", "x")
        await store.save_station(StationRecord(id="A", protocol="ocpp1.6"))
        assert (
            StationRecord(id="A", protocol="ocpp1.6", has_secret=True),
            replace(record, has_secret=False),
        ) == await store.stations()

    run(scenario)


def test_memory_and_overrides_replace_the_last_ones(run: Run) -> None:
    async def scenario(store: Any) -> None:
        assert await store.load_memory() is None
        assert await store.load_overrides() is None
        for text in ('{"n": 1}', '{"n": 2}', '{"ö": 3}'):
            await store.save_memory(text)
        await store.save_overrides("{}")
        assert await store.load_memory() == '{"ö": 3}'
        assert await store.load_overrides() == "{}"

    run(scenario)


def an_alarm(begin: datetime, **changes: Any) -> Alarm:
    condition = Condition(
        code="METER_LOST",
        subject="main",
        text="no reply",
        severity=Severity.ALARM,
        values={"age_s": "12", "fault": "no reply"},
    )
    return replace(Alarm(condition=condition, begin=begin), **changes)


def test_alarm_ends_once_and_lists_newest_first(run: Run) -> None:
    async def scenario(store: Any) -> None:
        first, second = an_alarm(NOON), an_alarm(NOON + timedelta(hours=1))
        await store.save_alarm(first)
        await store.save_alarm(second)
        ended = replace(first, end=NOON + timedelta(minutes=5))
        await store.save_alarm(ended)
        await store.save_alarm(first)
        assert (second, ended) == await store.alarms(since=None, limit=10)
        assert (second,) == await store.alarms(since=None, limit=1)
        assert (second,) == await store.alarms(since=second.begin, limit=10)

    run(scenario)


def test_open_alarms_are_those_without_an_end(run: Run) -> None:
    async def scenario(store: Any) -> None:
        begins = [NOON + timedelta(hours=h) for h in range(3)]
        for begin in reversed(begins):
            await store.save_alarm(an_alarm(begin))
        await store.save_alarm(an_alarm(begins[1], end=begins[2]))
        assert [begins[0], begins[2]] == [a.begin for a in await store.open_alarms()]

    run(scenario)


def test_audit_log_lists_newest_first(run: Run) -> None:
    async def scenario(store: Any) -> None:
        entries = [
            AuditEntry(at=NOON, actor="eva", action=f"a{i}", subject="s", before="1", after="2")
            for i in range(4)
        ]
        for entry in entries:
            await store.audit(entry)
        assert tuple(reversed(entries)) == await store.audit_log(limit=9, offset=0)
        assert (entries[2], entries[1]) == await store.audit_log(limit=2, offset=1)

    run(scenario)


def test_users_sign_in_by_password_or_token(run: Run) -> None:
    async def scenario(store: Any) -> None:
        eva, robot = User(name="eva", role=Role.ADMIN), User(name="bot", role=Role.VIEWER)
        await store.add_user(eva, "secret")
        await store.add_user(robot, None)
        assert (robot, eva) == await store.users()
        assert eva == await store.user_by_password("eva", "secret")
        assert await store.user_by_password("eva", "Secret") is None
        assert await store.user_by_password("bot", "") is None
        assert await store.user_by_password("nobody", "secret") is None
        token = await store.issue_api_token("bot")
        assert token.startswith("wk_")
        assert robot == await store.user_by_api_token(token)
        assert await store.user_by_api_token(token + "x") is None
        await store.add_user(replace(robot, role=Role.OPERATOR), None)
        assert Role.OPERATOR is (await store.user_by_api_token(token)).role
        with pytest.raises(KeyError):
            await store.issue_api_token("nobody")

    run(scenario)


def a_sample(second: int, **changes: Any) -> Sample:
    at = datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(seconds=second)
    plain = Sample(measurement="grid", tags={"meter": "main"}, fields={"p": 1.0}, at=at)
    return replace(plain, **changes)


def test_history_is_the_mean_per_step(run: Run) -> None:
    async def scenario(store: Any) -> None:
        since = a_sample(0).at
        store.put_samples([a_sample(s, fields={"f": 50.0, "p": float(s)}) for s in range(30)])
        store.put_samples([a_sample(70, fields={"p": 7, "text": "a"})])
        store.put_samples([a_sample(5, measurement="charger", fields={"p": 999.0})])
        store.put_samples([a_sample(5, tags={"meter": "solar"}, fields={"p": 999.0})])
        await settle(store)
        query = {"measurement": "grid", "tags": {"meter": "main"}, "since": since}

        def points(*values: tuple[int, float]) -> tuple[SeriesPoint, ...]:
            return tuple(SeriesPoint(at=since + timedelta(seconds=s), value=v) for s, v in values)

        until = since + timedelta(seconds=90)
        by_10 = await store.history(field="p", until=until, step_s=10.0, **query)
        assert points((0, 4.5), (10, 14.5), (20, 24.5), (70, 7.0)) == by_10
        until = since + timedelta(seconds=29)
        by_60 = await store.history(field="p", until=until, step_s=60.0, **query)
        assert points((0, 14.0)) == by_60
        assert await store.history(field="none", until=until, step_s=60.0, **query) == ()
        assert await store.history(field="text", until=until, step_s=60.0, **query) == ()

    run(scenario)


def test_spool_returns_samples_in_order_with_their_types(run: Run) -> None:
    async def scenario(store: Any) -> None:
        fields = {"p": 3.0, "phases": 3, "text": 'a "b"'}
        samples = [a_sample(s, fields=fields) for s in range(5)]
        store.put_samples(samples[:2])
        await settle(store)
        store.put_samples(samples[2:])
        await settle(store)
        assert await store.newest_cursor() == 5
        spooled = await store.spooled(after=1, limit=3)
        assert [s.cursor for s in spooled] == [2, 3, 4]
        assert samples[1:4] == [s.sample for s in spooled]
        assert [float, int, str] == [type(v) for v in spooled[0].sample.fields.values()]
        assert await store.spooled(after=5, limit=3) == ()

    run(scenario)


def test_uploaded_ranges_merge_per_target(run: Run) -> None:
    async def scenario(store: Any) -> None:
        assert await store.upload_cursors("a") == ()
        for first, last in ((1, 10), (21, 30), (41, 50), (11, 15)):
            await store.mark_uploaded("a", first, last)
        assert await store.upload_cursors("a") == ((1, 15), (21, 30), (41, 50))
        await store.mark_uploaded("a", 14, 40)
        assert await store.upload_cursors("a") == ((1, 50),)
        assert await store.upload_cursors("b") == ()

    run(scenario)


def paper(key: str, *, kind: str = "tariff", body: str = "{}", minutes: int = 0) -> Document:
    return Document(kind=kind, key=key, body=body, updated_at=NOON + timedelta(minutes=minutes))


def test_documents_are_listed_by_their_last_change(run: Run) -> None:
    async def scenario(store: Any) -> None:
        assert await store.put_document(paper("b", minutes=1))
        assert await store.put_document(paper("a%", minutes=2))
        assert await store.put_document(paper("a_x", minutes=3))
        assert await store.put_document(paper("b", kind="other"))
        assert not await store.put_document(paper("b", body="[]", minutes=9))

        listed = await store.documents(DocumentQuery(kind="tariff"))
        assert [d.key for d in listed] == ["a%", "a_x", "b"]
        assert listed[-1] == paper("b", body="[]", minutes=9)
        page = await store.documents(DocumentQuery(kind="tariff", limit=1, offset=1))
        assert [d.key for d in page] == ["a_x"]
        window = DocumentQuery(
            kind="tariff", since=NOON + timedelta(minutes=2), until=NOON + timedelta(minutes=3)
        )
        assert [d.key for d in await store.documents(window)] == ["a%"]
        assert await store.count_documents(DocumentQuery(kind="tariff", limit=1)) == 3
        found = await store.documents(DocumentQuery(kind="tariff", prefix="a%"))
        assert [d.key for d in found] == ["a%"]

    run(scenario)


def test_a_document_that_is_put_once_stays(run: Run) -> None:
    async def scenario(store: Any) -> None:
        assert await store.put_document(paper("cdr", body="1"), once=True)
        assert not await store.put_document(paper("cdr", body="2"), once=True)
        stored = await store.document("tariff", "cdr")
        assert stored == paper("cdr", body="1")
        assert await store.delete_document("tariff", "cdr")
        assert not await store.delete_document("tariff", "cdr")
        assert await store.document("tariff", "cdr") is None

    run(scenario)


def test_every_limit_of_a_token_is_kept(run: Run) -> None:
    async def scenario(store: Any) -> None:
        token = TokenRecord(
            id=IdToken("04AA"),
            kind=TokenKind.ISO15693,
            max_a=13.5,
            stations=("CP001", "CP002"),
            concurrent=2,
        )
        await store.put_token(token)

        assert await store.token(IdToken("04aa")) == token

    run(scenario)


def test_an_import_adds_changes_and_deletes_in_one_step(run: Run) -> None:
    async def scenario(store: Any) -> None:
        one, two, three = (TokenRecord(id=IdToken(n)) for n in ("01", "02", "03"))
        await store.put_token(one)
        await store.put_token(two)
        changed = replace(two, label="new")

        assert await store.import_tokens([changed, three], replace=False) == TokenImport(
            added=1, changed=1, same=0, deleted=0
        )
        assert await store.import_tokens([changed], replace=True) == TokenImport(
            added=0, changed=0, same=1, deleted=2
        )
        assert await store.tokens() == (changed,)

    run(scenario)


def test_a_transaction_keeps_what_its_token_allowed(run: Run) -> None:
    async def scenario(store: Any) -> None:
        limited = replace(a_transaction(), max_a=10.0, priority=3)
        await store.open_transaction(limited, offline=False)

        assert await store.open_transactions() == (limited,)

    run(scenario)
