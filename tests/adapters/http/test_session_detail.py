"""A session's curve and what limited it, on a real store."""

from __future__ import annotations

from datetime import timedelta

from adapters.store.sqlite_store import SqliteStore
from controller.reasons import ReasonChange
from controller.records import Role, Sample
from controller.site import EvseId
from controller.transaction import Transaction
from tests.adapters.http.conftest import Desk, a_session

EVSE = EvseId("CP001/1")


async def booked(store: SqliteStore, session: Transaction) -> None:
    """A session that drew 10 A for an hour and 20 A after, limited by its circuit at first."""
    begin = session.started_at
    await store.open_transaction(session, offline=False)
    await store.save_transaction(session)
    samples = [
        Sample(
            measurement="charger",
            tags={"cp": "CP001", "evse": "1"},
            fields={"i_l1": 10.0 if minute < 60 else 20.0, "limit_a": 32.0, "e_session": 1.0},
            at=begin + timedelta(minutes=minute),
        )
        for minute in range(0, 120, 5)
    ]
    store.put_samples(samples)
    await store.put_reasons(
        [
            ReasonChange(
                evse=EVSE,
                at=begin + timedelta(minutes=minute),
                code=code,
                text=f"{code} text",
                bound_by=bound_by,
                setpoint_a=10.0,
                wording="plan",
                values={"policy": "cheapest"},
            )
            for minute, code, bound_by in (
                (-30, "idle", ""),
                (0, "circuit_full", "main L1"),
                (60, "own_maximum", ""),
                (200, "idle", ""),
            )
        ]
    )
    await store.flush()


def test_a_session_shows_its_curve_and_what_limited_it_when(desk: Desk) -> None:
    session = a_session(1)
    desk.main.run(booked(desk.store, session))
    client = desk.client(desk.add("eva", Role.OPERATOR))

    body = client.get("/api/v1/sessions/CP001/1").json()

    known = [a for a in body["curve"]["drawn_l1"] if a is not None]
    assert (known[0], known[-1]) == (10.0, 20.0)
    assert len(body["curve"]["at"]) == len(body["curve"]["limit_a"])
    assert all(v is None for v in body["curve"]["drawn_l2"])
    assert {(r["wording"], r["values"]["policy"]) for r in body["limited_by"]} == {
        ("plan", "cheapest")
    }
    assert [(r["code"], r["bound_by"], r["until"]) for r in body["limited_by"]] == [
        ("circuit_full", "main L1", "2026-03-01T13:01:00.000Z"),
        ("own_maximum", None, "2026-03-01T14:01:00.000Z"),
    ]


def test_the_reasons_of_a_charger_come_in_pages(desk: Desk) -> None:
    desk.main.run(booked(desk.store, a_session(1)))
    client = desk.client(desk.add("eva", Role.VIEWER))
    query = "from=2026-03-01T11:45:00Z&to=2026-03-02T00:00:00Z&limit=3"

    first = client.get(f"/api/v1/evses/CP001/1/why/changes?{query}").json()
    second = client.get(f"/api/v1/evses/CP001/1/why/changes?{query}&offset=3").json()

    assert [r["code"] for r in first["items"]] == ["idle", "circuit_full", "own_maximum"]
    assert first["items"][0]["at"] == "2026-03-01T11:45:00.000Z"
    assert (first["next_offset"], second["next_offset"]) == (3, None)
    assert [r["code"] for r in second["items"]] == ["idle"]


def test_sessions_are_counted_over_all_pages_by_any_filter(desk: Desk) -> None:
    async def book() -> None:
        for number in range(1, 8):
            session = a_session(number, station="CP001" if number % 2 else "CP002")
            await desk.store.open_transaction(session, offline=False)

    desk.main.run(book())
    client = desk.client(desk.add("eva", Role.OPERATOR))

    body = client.get("/api/v1/sessions?station=CP001&id_token=04a1B2c3D4&limit=3").json()

    assert (body["total"], len(body["items"]), body["next_offset"]) == (4, 3, 3)


def test_a_table_of_series_shares_one_time_axis(desk: Desk) -> None:
    session = a_session(1)
    desk.main.run(booked(desk.store, session))
    client = desk.client(desk.add("eva", Role.VIEWER))

    body = client.get(
        "/api/v1/history?measurement=charger&field=i_l1&field=limit_a&field=soc&tag=cp:CP001"
        "&from=2026-03-01T12:00:00Z&to=2026-03-01T14:00:00Z&step=3600"
    ).json()

    assert body["series"] == {"i_l1": [10.0, 20.0], "limit_a": [32.0, 32.0], "soc": [None, None]}
    assert body["at"] == ["2026-03-01T12:00:00.000Z", "2026-03-01T13:00:00.000Z"]


def test_a_past_moment_is_explained_by_its_recorded_cycle(desk: Desk) -> None:
    control = desk.site.control
    plan, snapshot = control.plan(), control.snapshot()
    assert plan is not None
    assert snapshot is not None

    async def record() -> None:
        desk.store.record(snapshot, plan, "{}")
        await desk.store.flush()

    desk.main.run(record())
    client = desk.client(desk.add("eva", Role.VIEWER))
    path = "/api/v1/evses/CP001/1/why"
    now = client.get(path).json()
    control.publish()

    past = client.get(path, params={"at": now["at"]})
    before = client.get(path, params={"at": "2026-03-01T00:00:00Z"})

    assert past.json() == {**now, "explanation": None}
    assert (
        before.status_code,
        before.json()["type"].rpartition(":")[2],
    ) == (404, "history-not-kept")


def test_reasons_are_found_from_before_the_first_one(desk: Desk) -> None:
    desk.main.run(booked(desk.store, a_session(1)))
    client = desk.client(desk.add("eva", Role.VIEWER))
    query = "from=2026-02-01T00:00:00Z&to=2026-03-02T00:00:00Z"

    found = client.get(f"/api/v1/evses/CP001/1/why/changes?{query}").json()["items"]

    assert [r["code"] for r in found] == ["idle", "circuit_full", "own_maximum", "idle"]
