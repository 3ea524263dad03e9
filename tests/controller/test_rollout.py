"""Firmware for several stations: the first is the trial of all, and nothing goes on after a failure."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.commands import ActionRequest, Applied, CommandResult, NotConnected, Rejected
from controller.rollout import UPDATE_S, RolloutState, StepState, from_text, to_text
from controller.rollouts import PAUSED, RolloutDesk, RolloutError, RolloutOrder
from controller.site import EvseId, StationId
from controller.station import EvseState, EvseView, Job, StationInfo, StationView
from controller.transaction import Transaction, TransactionId
from tests.fakes.desk import RecordingConditions
from tests.fakes.memory_store import MemoryStore

CP1, CP2, CP3 = (StationId(f"CP{n}") for n in (1, 2, 3))
T0 = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)


class Clock:
    """Moved by hand."""

    at = T0

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return (self.at - T0).total_seconds()


class Yard:
    """Stations whose views are set by hand, and what they were ordered."""

    def __init__(self) -> None:
        self.views = {s: idle(s) for s in (CP1, CP2, CP3)}
        self.ordered: list[StationId] = []
        self.answer: CommandResult = Applied(self_expiring=False)
        self.store = MemoryStore()
        self.conditions = RecordingConditions()
        self.clock = Clock()
        self.desk = self.new_desk()

    def new_desk(self) -> RolloutDesk:
        return RolloutDesk(
            documents=self.store,
            conditions=self.conditions,
            clock=self.clock,
            actions=self,
            views=lambda: self.views,
            groups=lambda: {"walls": (CP1, CP2)},
        )

    async def act(self, request: ActionRequest, actor: str) -> CommandResult:
        self.ordered.append(request.station)
        return self.answer

    def change(self, station: StationId, **changes: Any) -> None:
        self.views[station] = replace(self.views[station], **changes)

    def come_back(self, station: StationId, **changes: Any) -> None:
        self.change(station, connected=True, info=StationInfo(firmware="2.0"), **changes)

    async def begin(self) -> str:
        order = RolloutOrder(location="https://fw/2.0", version="2.0", stations=(CP1, CP2, CP3))
        rollout = await self.desk.start(order, "anna")
        await self.desk.tick()
        return rollout.id

    def states(self) -> list[StepState]:
        return [s.state for s in self.desk.all()[0].steps]


def idle(station: StationId, **evse: Any) -> StationView:
    name = EvseId(f"{station}/1")
    view = EvseView(id=name, state=EvseState.AVAILABLE, fallback_a=6.0)
    return StationView(
        id=station,
        connected=True,
        info=StationInfo(firmware="1.0"),
        evses={name: replace(view, **evse)},
    )


def charging(station: StationId) -> dict[EvseId, EvseView]:
    transaction = Transaction(
        station=station,
        id=TransactionId("7"),
        evse=EvseId(f"{station}/1"),
        id_token=None,
        started_at=T0,
        start_wh=0.0,
    )
    return dict(idle(station, transaction=transaction).evses)


def test_one_after_the_other_and_only_when_the_last_is_back_and_well() -> None:
    async def body() -> None:
        yard = Yard()
        await yard.begin()
        await yard.desk.tick()
        assert yard.ordered == [CP1]
        yard.change(CP1, connected=False)
        await yard.desk.tick()
        unproven = {e: replace(v, fallback_a=None) for e, v in yard.views[CP1].evses.items()}
        well = yard.views[CP1].evses
        yard.come_back(CP1, evses=unproven)
        await yard.desk.tick()
        assert yard.ordered == [CP1]
        yard.change(CP1, evses=well)
        await yard.desk.tick()
        assert yard.ordered == [CP1, CP2]
        yard.come_back(CP2)
        await yard.desk.tick()
        yard.come_back(CP3)
        await yard.desk.tick()
        assert yard.ordered == [CP1, CP2, CP3]
        assert yard.desk.all()[0].state is RolloutState.DONE

    asyncio.run(body())


def test_never_during_a_transaction_of_the_station() -> None:
    async def body() -> None:
        yard = Yard()
        for station in (CP1, CP2, CP3):
            yard.change(station, evses=charging(station))
        await yard.begin()
        assert yard.ordered == []
        yard.views[CP1] = idle(CP1)
        await yard.desk.tick()
        assert yard.ordered == [CP1]

    asyncio.run(body())


@pytest.mark.parametrize("status", ["DownloadFailed", "InstallationFailed", "InvalidSignature"])
def test_a_failure_stops_everything_until_somebody_goes_on(status: str) -> None:
    async def body() -> None:
        yard = Yard()
        name = await yard.begin()
        yard.change(CP1, jobs={"firmware": Job(status=status, at=T0)})
        await yard.desk.tick()
        await yard.desk.tick()
        assert yard.ordered == [CP1]
        assert f"CP1: it reports {status}" in yard.conditions.in_force[PAUSED, name].text
        yard.change(CP1, jobs={})
        await yard.desk.resume(name)
        await yard.desk.tick()
        assert yard.ordered == [CP1, CP1]
        assert yard.conditions.in_force == {}

    asyncio.run(body())


def test_a_failure_of_an_earlier_update_does_not_count() -> None:
    async def body() -> None:
        yard = Yard()
        old = Job(status="DownloadFailed", at=T0 - timedelta(days=1))
        yard.change(CP1, jobs={"firmware": old})
        await yard.begin()
        await yard.desk.tick()
        assert yard.states()[0] is StepState.UPDATING

    asyncio.run(body())


def test_a_station_that_does_not_come_back_stops_it() -> None:
    async def body() -> None:
        yard = Yard()
        await yard.begin()
        yard.change(CP1, connected=False)
        yard.clock.at += timedelta(seconds=UPDATE_S + 1)
        await yard.desk.tick()
        assert yard.desk.all()[0].state is RolloutState.PAUSED
        assert yard.ordered == [CP1]

    asyncio.run(body())


def test_after_a_restart_nothing_is_ordered_twice_and_it_goes_on() -> None:
    async def body() -> None:
        yard = Yard()
        await yard.begin()
        yard.desk = yard.new_desk()
        await yard.desk.restore()
        await yard.desk.tick()
        assert yard.ordered == [CP1]
        yard.come_back(CP1)
        await yard.desk.tick()
        assert yard.ordered == [CP1, CP2]

    asyncio.run(body())


def test_a_refusal_pauses_and_a_lost_connection_waits() -> None:
    async def body() -> None:
        yard = Yard()
        yard.answer = NotConnected()
        await yard.begin()
        assert yard.states()[0] is StepState.WAITING
        yard.answer = Rejected(reason="NotSupported")
        await yard.desk.tick()
        assert yard.desk.all()[0].state is RolloutState.PAUSED

    asyncio.run(body())


def test_one_is_open_at_a_time_and_a_cancelled_one_orders_nothing() -> None:
    async def body() -> None:
        yard = Yard()
        name = await yard.begin()
        with pytest.raises(RolloutError, match="cancel it first"):
            await yard.begin()
        await yard.desk.cancel(name)
        yard.come_back(CP1)
        await yard.desk.tick()
        assert yard.ordered == [CP1]

    asyncio.run(body())


def test_stations_that_have_it_already_are_left_alone() -> None:
    async def body() -> None:
        yard = Yard()
        yard.come_back(CP1)
        await yard.begin()
        assert yard.ordered == [CP2]

    asyncio.run(body())


def test_its_record_is_read_as_it_was_written() -> None:
    async def body() -> None:
        yard = Yard()
        await yard.begin()
        rollout = yard.desk.all()[0]
        assert from_text(to_text(rollout)) == rollout

    asyncio.run(body())


def test_a_cancellation_while_a_station_is_asked_stays() -> None:
    async def body() -> None:
        yard = Yard()

        async def cancel_first(request: ActionRequest, actor: str) -> CommandResult:
            await yard.desk.cancel(yard.desk.all()[0].id)
            return Rejected(reason="NotSupported")

        yard.act = cancel_first  # type: ignore[method-assign]
        await yard.begin()
        assert yard.desk.all()[0].state is RolloutState.CANCELLED
        assert yard.conditions.in_force == {}

    asyncio.run(body())
