"""Who may charge: the decision, and what it does to the session."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.desk import Desk, DeskRules
from controller.image import ProcessImage
from controller.records import TokenRecord, TokenStatus, TransactionNoted, TransactionOpened
from controller.site import EvseId, StationId
from controller.tokens import RunningSession, TokenQuestion, TokenRules, decide_token
from controller.transaction import IdToken, TransactionId
from tests.controller.builders import a_site, an_evse, setpoints_a
from tests.controller.test_decide import a_bench
from tests.controller.test_image import HandClock
from tests.fakes.memory_store import MemoryStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CARD, FLEET = IdToken("04AA"), IdToken("FLEET")
CP1, CP2 = StationId("CP001"), StationId("CP002")
CLOSED, FREE = TokenRules(accept_unknown=False), TokenRules(accept_unknown=True)
A_CARD = TokenRecord(id=CARD)
IN_FLEET = TokenRecord(id=CARD, group=FLEET)
ASKS = TokenQuestion(token=CARD, station=CP1, at=NOW)


def a_session(token: str = str(CARD), group: str | None = None) -> RunningSession:
    return RunningSession(
        id=TransactionId("9"),
        station=CP2,
        token=IdToken(token),
        group=IdToken(group) if group is not None else None,
    )


STARTS = replace(ASKS, starting=True, running=(a_session(),))

DECISIONS = [
    ("unknown", None, None, ASKS, CLOSED, "invalid"),
    ("unknown, free", None, None, ASKS, FREE, "accepted"),
    ("known", A_CARD, None, ASKS, CLOSED, "accepted"),
    ("blocked, free", replace(A_CARD, status=TokenStatus.BLOCKED), None, ASKS, FREE, "blocked"),
    ("expired", replace(A_CARD, expires_at=NOW), None, ASKS, CLOSED, "expired"),
    ("not yet", replace(A_CARD, expires_at=NOW + timedelta(1)), None, ASKS, CLOSED, "accepted"),
    ("elsewhere", replace(A_CARD, stations=(CP2,)), None, ASKS, FREE, "invalid"),
    ("here", replace(A_CARD, stations=(CP2, CP1)), None, ASKS, CLOSED, "accepted"),
    ("second session", replace(A_CARD, concurrent=1), None, STARTS, CLOSED, "concurrent_tx"),
    ("two allowed", replace(A_CARD, concurrent=2), None, STARTS, CLOSED, "accepted"),
    (
        "only asking",
        replace(A_CARD, concurrent=1),
        None,
        replace(STARTS, starting=False),
        CLOSED,
        "accepted",
    ),
    (
        "group blocked",
        IN_FLEET,
        TokenRecord(id=FLEET, status=TokenStatus.BLOCKED),
        ASKS,
        CLOSED,
        "blocked",
    ),
    ("group expired", IN_FLEET, TokenRecord(id=FLEET, expires_at=NOW), ASKS, CLOSED, "expired"),
    ("group elsewhere", IN_FLEET, TokenRecord(id=FLEET, stations=(CP2,)), ASKS, FREE, "invalid"),
    (
        "group full",
        IN_FLEET,
        TokenRecord(id=FLEET, concurrent=1),
        replace(ASKS, starting=True, running=(a_session("other", "fleet"),)),
        CLOSED,
        "concurrent_tx",
    ),
    (
        "others do not count",
        replace(IN_FLEET, concurrent=1),
        TokenRecord(id=FLEET, concurrent=2),
        replace(ASKS, starting=True, running=(a_session("other", "fleet"), a_session("x"))),
        CLOSED,
        "accepted",
    ),
]


@pytest.mark.parametrize(
    ("record", "group", "question", "rules", "expected"),
    [row[1:] for row in DECISIONS],
    ids=[row[0] for row in DECISIONS],
)
def test_the_decision(
    record: TokenRecord | None,
    group: TokenRecord | None,
    question: TokenQuestion,
    rules: TokenRules,
    expected: str,
) -> None:
    assert decide_token(record, group, question, rules).status.value == expected


def test_the_stricter_of_token_and_group_holds_and_the_nearer_priority() -> None:
    token = replace(IN_FLEET, max_a=16.0, expires_at=NOW + timedelta(days=9))
    group = TokenRecord(id=FLEET, max_a=10.0, expires_at=NOW + timedelta(days=5), priority=3)

    answer = decide_token(token, group, ASKS, CLOSED)

    assert (answer.max_a, answer.expires_at) == (10.0, NOW + timedelta(days=5))
    assert (answer.priority, answer.group) == (3, FLEET)
    assert decide_token(replace(token, priority=-2), group, ASKS, CLOSED).priority == -2


records = st.builds(
    TokenRecord,
    id=st.just(CARD),
    status=st.sampled_from(list(TokenStatus)),
    expires_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    stations=st.sampled_from([(), (CP1,), (CP2,)]),
    concurrent=st.none() | st.integers(1, 2),
    max_a=st.none() | st.floats(6, 100),
)


@given(records, st.none() | records)
def test_a_group_only_ever_takes_away(token: TokenRecord, group: TokenRecord | None) -> None:
    alone = decide_token(token, None, STARTS, FREE)
    together = decide_token(token, group, STARTS, FREE)

    if together.status is TokenStatus.ACCEPTED:
        assert alone.status is TokenStatus.ACCEPTED
    if alone.max_a is not None:
        assert together.max_a is not None
        assert together.max_a <= alone.max_a


# --- at the desk ------------------------------------------------------------------------------------


class Scene:
    def __init__(self, store: MemoryStore | None = None) -> None:
        clock = HandClock()
        self.store = store or MemoryStore()
        self.desk = Desk(
            site=a_site(evses=2),
            image=ProcessImage(site=a_site(), clock=clock, wake=lambda reason: None),
            store=self.store,
            clock=clock,
            rules=DeskRules(accept_unknown_tokens=False),
        )


def a_start(minute: int, station: str = "CP001") -> TransactionOpened:
    return TransactionOpened(
        station=StationId(station),
        evse=EvseId(f"{station}/1"),
        id=None,
        id_token=CARD,
        at=NOW + timedelta(minutes=minute),
        meter_wh=0.0,
    )


def test_a_second_session_of_a_single_card_is_refused_and_a_repeated_start_is_not() -> None:
    async def run() -> None:
        scene = Scene()
        await scene.store.put_token(replace(A_CARD, concurrent=1))
        first = await scene.desk.open_transaction(a_start(0))
        again = await scene.desk.open_transaction(a_start(0))
        second = await scene.desk.open_transaction(a_start(1, "CP002"))

        assert first.authorization.status is TokenStatus.ACCEPTED
        assert (again.authorization.status, again.repeated) == (TokenStatus.ACCEPTED, True)
        assert second.authorization.status is TokenStatus.CONCURRENT_TX
        assert (await scene.desk.authorize(CP1, CARD)).status is TokenStatus.ACCEPTED

    asyncio.run(run())


def test_a_session_keeps_its_tokens_limit_and_priority() -> None:
    async def run() -> None:
        scene = Scene()
        await scene.store.put_token(replace(A_CARD, max_a=10.0, priority=4))
        receipt = await scene.desk.open_transaction(a_start(0))

        assert (receipt.transaction.max_a, receipt.transaction.priority) == (10.0, 4)
        assert await scene.store.open_transactions() == (receipt.transaction,)

    asyncio.run(run())


def test_a_token_that_comes_later_limits_the_session_that_runs() -> None:
    async def run() -> None:
        scene = Scene()
        await scene.store.put_token(replace(A_CARD, max_a=10.0, concurrent=1))
        receipt = await scene.desk.open_transaction(replace(a_start(0), id_token=None))
        noted = TransactionNoted(station=CP1, id=receipt.transaction.id, at=NOW, id_token=CARD)
        after = await scene.desk.note_transaction(noted)

        assert after is not None
        assert after.authorization.status is TokenStatus.ACCEPTED
        assert after.transaction.max_a == 10.0

    asyncio.run(run())


class SlowStore(MemoryStore):
    async def token(self, token: IdToken) -> TokenRecord | None:
        await asyncio.sleep(3600)
        return None


def test_a_store_that_is_too_slow_knows_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.desk.ANSWER_WITHIN_S", 0.01)

    async def run() -> None:
        answer = await Scene(SlowStore()).desk.authorize(CP1, CARD)

        assert answer.status is TokenStatus.INVALID

    asyncio.run(run())


# --- in the decision --------------------------------------------------------------------------------


def test_a_tokens_maximum_binds_its_session_and_ends_with_it() -> None:
    bench = a_bench(evses=2).plug_in()
    evse = EvseId("CP001/1")
    bench.charging[evse] = replace(bench.charging[evse], max_a=10.0)
    limited = setpoints_a(bench.run(90))
    bench.charging[evse] = replace(bench.charging[evse], max_a=None)
    free = setpoints_a(bench.run(90))

    assert limited["CP001/1"] == pytest.approx(10.0)
    assert limited["CP002/1"] > 10.0
    assert free["CP001/1"] > 10.0


@pytest.mark.parametrize("favoured", ["CP001/1", "CP002/1"])
def test_a_tokens_priority_decides_who_waits(favoured: str) -> None:
    bench = a_bench(evses=2, limit_a=29.0)
    bench.site = a_site(
        circuits=list(bench.site.circuits.values()),
        evses=[an_evse(s, fallback_a=0.0) for s in ("CP001", "CP002")],
    )
    bench.plug_in()
    bench.charging[EvseId(favoured)] = replace(bench.charging[EvseId(favoured)], priority=3)
    served = setpoints_a(bench.run(90))

    assert served[favoured] >= 6.0
    assert sum(a > 0 for a in served.values()) == 1
