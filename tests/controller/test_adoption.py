"""Unknown stations: shown, bounded, decided on once, and never let in by being shown."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from controller.adoption import MAX_PENDING, MAX_PENDING_PER_ADDRESS, AdoptionDesk
from controller.care import AdoptedEvse, Approval, Stranger
from controller.site import StationId
from tests.controller.builders import a_site
from tests.controller.test_image import HandClock
from tests.fakes.memory_store import MemoryStore

NEW = StationId("NEW1")
APPROVAL = Approval(circuit="main", evses=(AdoptedEvse(number=1, max_a=16.0, rotation="STR"),))


def a_stranger(identity: str = "NEW1", peer: str = "192.0.2.1") -> Stranger:
    return Stranger(
        identity=identity, peer=peer, protocol="ocpp1.6", security_profile=1, has_password=True
    )


def a_desk(store: MemoryStore | None = None) -> tuple[AdoptionDesk, MemoryStore]:
    kept = store or MemoryStore()
    return AdoptionDesk(site=a_site(), store=kept, clock=HandClock()), kept


def waiting(desk: AdoptionDesk) -> list[str]:
    return [p.stranger.identity for p in desk.pending()]


def test_who_knocks_is_shown_with_what_is_known() -> None:
    desk, _ = a_desk()
    for _ in range(3):
        desk.note(a_stranger())
    desk.note(a_stranger("CP001"))

    (pending,) = desk.pending()
    assert (pending.stranger.identity, pending.attempts) == ("NEW1", 3)


def test_strangers_are_bounded_per_address_and_in_all() -> None:
    desk, _ = a_desk()
    for n in range(1000):
        desk.note(a_stranger(f"GHOST{n}", "192.0.2.66"))
    from_one = len(desk.pending())
    for n in range(1000):
        desk.note(a_stranger(f"OTHER{n}", f"192.0.2.{n}"))

    assert from_one == MAX_PENDING_PER_ADDRESS
    assert len(desk.pending()) == MAX_PENDING


def test_an_approval_gives_a_secret_once_and_is_kept() -> None:
    async def run() -> None:
        desk, store = a_desk()
        desk.note(a_stranger())
        adopted = await desk.approve(NEW, APPROVAL, "ada")

        assert waiting(desk) == []
        assert 16 <= len(adopted.secret) <= 40
        assert await store.station_secret_matches(NEW, adopted.secret.encode())
        assert await a_desk(store)[0].approved() == {NEW: APPROVAL}
        (entry,) = await store.audit_log(limit=9, offset=0)
        assert (entry.actor, entry.action, entry.subject) == ("ada", "station.approved", "NEW1")
        assert adopted.secret not in entry.after
        assert adopted.approval.site_file_entry() == {
            "circuit": "main",
            "evses": {"1": {"max_a": 16.0, "phases": 3, "rotation": "STR"}},
        }

    asyncio.run(run())


def test_a_rejected_station_stays_away_over_restarts_until_it_is_approved() -> None:
    async def run() -> None:
        desk, store = a_desk()
        desk.note(a_stranger())
        await desk.reject(NEW, "ada")
        later, _ = a_desk(store)
        await later.restore()
        later.note(a_stranger())

        assert waiting(desk) == waiting(later) == []
        await later.approve(NEW, APPROVAL, "ada")
        assert await later.approved() == {NEW: APPROVAL}

    asyncio.run(run())


EVSE = APPROVAL.evses[0]
BAD = [
    ((), "at least one"),
    ((EVSE, EVSE), "of its own"),
    ((replace(EVSE, number=0),), "from 1"),
    ((replace(EVSE, max_a=float("nan")),), "max_a"),
    ((replace(EVSE, max_a=0.0),), "max_a"),
    ((replace(EVSE, phases=4),), "phases"),
    ((replace(EVSE, rotation="XYZ"),), "rotation"),
    ((replace(EVSE, fallback_a=32.0),), "fallback_a"),
]


@pytest.mark.parametrize(("evses", "words"), BAD)
def test_what_makes_no_sense_is_refused_and_nothing_is_decided(
    evses: tuple[AdoptedEvse, ...], words: str
) -> None:
    async def run() -> None:
        desk, store = a_desk()
        with pytest.raises(ValueError, match=words):
            await desk.approve(NEW, Approval(circuit="main", evses=evses), "ada")

        assert await desk.approved() == {}
        assert await store.stations() == ()

    asyncio.run(run())


def test_circuits_and_configured_stations_are_checked() -> None:
    async def run() -> None:
        desk, _ = a_desk()
        with pytest.raises(KeyError):
            await desk.approve(NEW, replace(APPROVAL, circuit="cellar"), "ada")
        with pytest.raises(ValueError, match="already"):
            await desk.approve(StationId("CP001"), APPROVAL, "ada")
        with pytest.raises(ValueError, match="already"):
            await desk.reject(StationId("CP001"), "ada")

        assert await desk.approved() == {}

    asyncio.run(run())


class Writer:
    """A site file that takes an entry, is locked, or would not be valid."""

    def __init__(self, answer: bool | str) -> None:
        self.answer = answer
        self.entries: list[tuple[str, str]] = []

    async def add(self, station: StationId, approval: Approval, actor: str) -> bool:
        if isinstance(self.answer, str):
            raise ValueError(self.answer)
        self.entries.append((station, actor))
        return self.answer


@pytest.mark.parametrize("is_written", [True, False])
def test_an_approval_is_written_into_the_site_file_where_that_is_possible(is_written: bool) -> None:
    desk, store = a_desk()
    writer = Writer(is_written)
    desk.write_with(writer)
    adopted = asyncio.run(desk.approve(NEW, APPROVAL, "ada"))

    assert adopted.in_site_file is is_written
    assert writer.entries == [("NEW1", "ada")]
    assert asyncio.run(store.station_secret_matches(NEW, adopted.secret.encode()))


def test_an_entry_that_the_site_file_cannot_hold_is_no_approval() -> None:
    desk, _ = a_desk()
    desk.note(a_stranger())
    desk.write_with(Writer("circuit main: the fallbacks do not fit"))
    with pytest.raises(ValueError, match="do not fit"):
        asyncio.run(desk.approve(NEW, APPROVAL, "ada"))

    assert waiting(desk) == ["NEW1"]
    assert asyncio.run(desk.approved()) == {}
