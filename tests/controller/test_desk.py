"""The desk: one record per transaction, whatever is repeated, late or somebody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from controller.desk import Desk, DeskRules, new_transaction_id
from controller.image import ProcessImage
from controller.records import (
    TokenRecord,
    TokenStatus,
    TransactionClosed,
    TransactionNoted,
    TransactionOpened,
)
from controller.site import EvseId, StationId
from controller.transaction import IdToken, TransactionId
from tests.controller.builders import a_site
from tests.controller.test_image import HandClock
from tests.fakes.memory_store import MemoryStore

AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
STATION, EVSE, CARD = StationId("CP001"), EvseId("CP001/1"), IdToken("04AA")
T = TypeVar("T")


class Scene:
    def __init__(self, *, is_free: bool = True) -> None:
        site, clock = a_site(), HandClock()
        self.store = MemoryStore()
        self.image = ProcessImage(site=site, clock=clock, wake=lambda reason: None)
        self.desk = Desk(
            site=site,
            image=self.image,
            store=self.store,
            clock=clock,
            rules=DeskRules(accept_unknown_tokens=is_free),
        )

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run(work)


def opened(
    *, at: datetime = AT, tx: str | None = None, station: StationId = STATION
) -> TransactionOpened:
    return TransactionOpened(
        station=station,
        evse=EvseId(f"{station}/1"),
        id=TransactionId(tx) if tx is not None else None,
        id_token=CARD,
        at=at,
        meter_wh=1000.0,
    )


def closed(tx: TransactionId, *, station: StationId = STATION) -> TransactionClosed:
    return TransactionClosed(
        station=station, id=tx, at=AT + timedelta(hours=1), meter_wh=8500.0, reason="Local"
    )


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_start_that_is_repeated_is_booked_once(scene: Scene) -> None:
    first = scene.run(scene.desk.open_transaction(opened()))
    again = scene.run(scene.desk.open_transaction(opened()))

    assert first.transaction.id == again.transaction.id
    assert (first.repeated, again.repeated) == (False, True)


def test_a_transaction_is_booked_with_its_energy(scene: Scene) -> None:
    tx = scene.run(scene.desk.open_transaction(opened())).transaction.id

    receipt = scene.run(scene.desk.close_transaction(closed(tx)))

    assert receipt is not None
    assert receipt.transaction.energy_wh == 7500.0
    assert scene.run(scene.store.open_transactions()) == ()


def test_a_repeated_end_changes_nothing(scene: Scene) -> None:
    tx = scene.run(scene.desk.open_transaction(opened())).transaction.id
    first = scene.run(scene.desk.close_transaction(closed(tx)))
    again = scene.run(scene.desk.close_transaction(closed(tx)))

    assert first is not None
    assert again is not None
    assert again.repeated
    assert again.transaction == first.transaction


def test_an_ended_session_becomes_one_row_of_the_series(scene: Scene) -> None:
    tx = scene.run(scene.desk.open_transaction(opened())).transaction.id
    for _ in range(2):
        scene.run(scene.desk.close_transaction(closed(tx)))

    rows = [s for s in scene.store.samples if s.measurement == "session"]
    assert [
        (r.fields["transaction"], r.fields["energy_wh"], r.fields["duration_s"]) for r in rows
    ] == [(tx, 7500.0, 3600.0)]


def test_a_station_cannot_end_or_touch_anothers_transaction(scene: Scene) -> None:
    tx = scene.run(scene.desk.open_transaction(opened())).transaction.id
    other = StationId("CP002")

    noted = scene.run(
        scene.desk.note_transaction(
            TransactionNoted(station=other, id=tx, at=AT, meter_wh=9_000_000.0)
        )
    )
    scene.run(scene.desk.close_transaction(closed(tx, station=other)))

    mine = scene.run(scene.store.find_transaction(STATION, tx))
    assert noted is None
    assert mine is not None
    assert (mine.ended_at, mine.last_wh) == (None, 1000.0)


def test_the_end_of_a_transaction_we_never_saw_is_kept(scene: Scene) -> None:
    receipt = scene.run(scene.desk.close_transaction(closed(TransactionId("77"))))

    assert receipt is not None
    assert receipt.transaction.energy_wh is None
    assert receipt.transaction.last_wh == 8500.0


def test_the_register_never_runs_backwards(scene: Scene) -> None:
    tx = scene.run(scene.desk.open_transaction(opened())).transaction.id
    for register_wh in (1500.0, 1200.0):
        scene.run(
            scene.desk.note_transaction(
                TransactionNoted(station=STATION, id=tx, at=AT, meter_wh=register_wh)
            )
        )

    stored = scene.run(scene.store.find_transaction(STATION, tx))
    assert stored is not None
    assert stored.last_wh == 1500.0


@pytest.mark.parametrize(
    ("record", "is_free", "status"),
    [
        (None, True, TokenStatus.ACCEPTED),
        (None, False, TokenStatus.INVALID),
        (TokenRecord(id=CARD), False, TokenStatus.ACCEPTED),
        (TokenRecord(id=CARD, status=TokenStatus.BLOCKED), True, TokenStatus.BLOCKED),
        (
            TokenRecord(id=CARD, expires_at=datetime(2020, 1, 1, tzinfo=UTC)),
            True,
            TokenStatus.EXPIRED,
        ),
    ],
    ids=["unknown, free", "unknown", "known", "blocked", "expired"],
)
def test_a_token_is_decided_by_its_record_then_by_the_rule(
    record: TokenRecord | None, is_free: bool, status: TokenStatus
) -> None:
    scene = Scene(is_free=is_free)
    if record is not None:
        scene.run(scene.store.put_token(record))

    assert scene.run(scene.desk.authorize(STATION, IdToken("04aa"))).status is status


def test_running_transactions_come_back_after_a_restart(scene: Scene) -> None:
    tx = scene.run(scene.desk.open_transaction(opened())).transaction
    scene.run(scene.desk.restore())

    assert scene.image.freeze().stations[STATION].evses[EVSE].transaction == tx


def test_transaction_ids_fit_and_cannot_be_guessed() -> None:
    ids = {int(new_transaction_id()) for _ in range(1000)}

    assert len(ids) == 1000
    assert all(0 < n < 2**31 for n in ids)


def assumed(tx: TransactionId, *, meter_wh: float | None = 5000.0) -> TransactionClosed:
    """The end that is booked because the vehicle has long gone."""
    return TransactionClosed(
        station=STATION,
        id=tx,
        at=AT + timedelta(minutes=40),
        meter_wh=meter_wh,
        reason="Other",
        is_assumed=True,
    )


def test_a_real_end_takes_the_place_of_an_assumed_one_once(scene: Scene) -> None:
    tx = scene.run(scene.desk.open_transaction(opened())).transaction.id
    guess = scene.run(scene.desk.close_transaction(assumed(tx)))
    real = scene.run(scene.desk.close_transaction(closed(tx)))
    again = scene.run(scene.desk.close_transaction(closed(tx)))

    assert guess is not None
    assert real is not None
    assert again is not None
    assert (guess.transaction.energy_wh, guess.transaction.has_final_end) == (4000.0, False)
    assert real.transaction.energy_wh == 7500.0
    assert real.transaction.ended_at == AT + timedelta(hours=1)
    assert real.transaction.end_reason == "Local"
    assert (real.repeated, again.repeated) == (False, True)
    assert again.transaction == scene.run(scene.store.find_transaction(STATION, tx))


def test_a_corrected_session_keeps_its_place_in_the_series(scene: Scene) -> None:
    tx = scene.run(scene.desk.open_transaction(opened())).transaction.id
    scene.run(scene.desk.close_transaction(assumed(tx)))
    scene.run(scene.desk.close_transaction(closed(tx)))

    rows = [s for s in scene.store.samples if s.measurement == "session"]
    assert [r.fields["energy_wh"] for r in rows] == [4000.0, 7500.0]
    assert len({(tuple(r.tags.items()), r.at) for r in rows}) == 1


def test_an_end_is_not_assumed_twice_nor_against_the_stations_word(scene: Scene) -> None:
    tx = scene.run(scene.desk.open_transaction(opened())).transaction.id
    first = scene.run(scene.desk.close_transaction(assumed(tx)))
    second = scene.run(scene.desk.close_transaction(assumed(tx, meter_wh=9000.0)))
    scene.run(scene.desk.close_transaction(closed(tx)))
    third = scene.run(scene.desk.close_transaction(assumed(tx)))

    assert first is not None
    assert second is not None
    assert third is not None
    assert second.transaction == first.transaction
    assert third.transaction.energy_wh == 7500.0


def test_the_late_end_of_a_superseded_transaction_is_booked_as_reported(scene: Scene) -> None:
    old = scene.run(scene.desk.open_transaction(opened())).transaction.id
    scene.run(scene.desk.open_transaction(opened(at=AT + timedelta(hours=2))))
    lost = scene.run(scene.store.find_transaction(STATION, old))
    scene.run(scene.desk.close_transaction(closed(old)))
    kept = scene.run(scene.store.find_transaction(STATION, old))

    assert lost is not None
    assert kept is not None
    assert (lost.energy_wh, lost.has_final_end) == (0.0, False)
    assert (kept.energy_wh, kept.ended_at) == (7500.0, AT + timedelta(hours=1))
    assert len(scene.run(scene.store.open_transactions())) == 1


@pytest.mark.parametrize(
    ("start_wh", "sampled_wh", "ratio", "stop_wh", "proven", "energy_wh"),
    [
        (1000.0, 5000.0, 1.0, 8500.0, 1.0, 7500.0),
        (1.0, 5.0, 1000.0, 8.5, 1000.0, 7500.0),  # kWh as Wh, proven again
        (1.0, 5.0, 1000.0, 8.5, 1.0, 7500.0),  # kWh as Wh, reported on a new connection
        (0.0, 5.0, 1000.0, 8500.0, 1.0, 8500.0),  # only its samples were mislabelled
        (1e6, 5e6, 0.001, 8.5e6, 1.0, 7500.0),  # a thousand times too large
    ],
)
def test_a_late_end_is_booked_in_its_true_unit(
    scene: Scene,
    start_wh: float,
    sampled_wh: float,
    ratio: float,
    stop_wh: float,
    proven: float,
    energy_wh: float,
) -> None:
    start = replace(opened(), meter_wh=start_wh)
    tx = scene.run(scene.desk.open_transaction(start)).transaction.id
    guess = replace(assumed(tx, meter_wh=sampled_wh), scale_ratio=ratio)
    scene.run(scene.desk.close_transaction(guess))
    real = replace(closed(tx), meter_wh=stop_wh, scale_ratio=proven)
    receipt = scene.run(scene.desk.close_transaction(real))

    assert receipt is not None
    assert receipt.transaction.energy_wh == pytest.approx(energy_wh)
