"""Controllable loads over real sockets: told, read back, kept alive, and never longer than a lease."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from adapters.modbus.connection import Endpoint, Transport
from adapters.modbus.loaddevice import LoadSpec
from adapters.modbus.loadlink import LOAD, OBEY_FOR_S, SILENT_S, LoadLink, Standing
from adapters.modbus.loadmap import load_map
from adapters.modbus.loads import Loads
from controller.alarms import AlarmBook
from controller.commands import (
    ActionRequest,
    Applied,
    CommandResult,
    NotConnected,
    Rejected,
    SetLimit,
    StationAction,
    TimedOut,
)
from controller.core import Core
from controller.image import ProcessImage
from controller.ledger import Account, Grant, GrantState
from controller.memory import EvseMemory, Memory
from controller.phases import PhaseCurrents
from controller.policy import Policy
from controller.readings import GridReading
from controller.site import Evse, EvseId, MeterId, StationId
from controller.station import EvseView, LeaseMode, StationView
from optimizer.allocate import Allocator
from tests.adapters.modbus.load_peer import FALLBACK, LIMIT, MEASURED, TIMEOUT, LoadPeer
from tests.controller.builders import a_circuit, a_site, an_evse
from tests.controller.test_image import HandClock

BATTERY = EvseId("battery/1")
STATION = StationId("battery")
WATCHDOG_S = 60.0
LEASE_S = 300.0


def a_load(**changes: object) -> Evse:
    evse = an_evse("battery", fallback_a=2.0, priority=-50)
    return replace(evse, is_load=True, weight=0.01, min_a=1.0, **changes)  # type: ignore[arg-type]


class Scene:
    """A load, the port that serves it, and what the controller has heard of it."""

    def __init__(self, peer: LoadPeer, port: int, *, model: str = "generic/plc") -> None:
        self.peer = peer
        self.clock = HandClock()
        self.alarms = AlarmBook()
        found = load_map(model).model_copy(update={"silence_s": 0.0})
        watchdog_s = WATCHDOG_S if found.watchdog is not None else None
        evse = a_load(holds_lease=watchdog_s is not None)
        self.image = ProcessImage(
            site=a_site(circuits=[a_circuit(limit_a=32.0, building_peak_a=0.0)], evses=[evse]),
            clock=self.clock,
            wake=lambda reason: None,
        )
        self.spec = LoadSpec(
            evse=evse,
            load_map=found,
            endpoint=Endpoint(transport=Transport.TCP, host="127.0.0.1", port=port, timeout_s=0.1),
            unit=1,
            voltage_v=230.0,
            watchdog_s=watchdog_s,
        )
        self.loads = Loads(post=self.image.post, conditions=self.alarms, clock=self.clock)
        self.loads.announce([self.spec])

    @property
    def link(self) -> LoadLink:
        return self.loads.link(STATION)

    @property
    def station(self) -> StationView:
        return self.image.station_views()[STATION]

    @property
    def view(self) -> EvseView:
        return self.station.evses[BATTERY]

    def alarm_codes(self) -> set[str]:
        self.alarms.update((), self.clock.now())
        return {alarm.condition.code for alarm in self.alarms.active()}

    async def watch(self, *, after_s: float = 2.0) -> None:
        self.clock.at_s += after_s
        await self.link.watch()

    async def limit(self, limit_a: float) -> CommandResult:
        return await self.loads.apply(
            SetLimit(evse=BATTERY, limit_a=limit_a, lease_s=LEASE_S, transaction=LOAD, cause="test")
        )


@asynccontextmanager
async def a_scene(*, model: str = "generic/plc") -> AsyncIterator[Scene]:
    peer = LoadPeer()
    async with peer.listening() as port:
        scene = Scene(peer, port, model=model)
        try:
            yield scene
        finally:
            await scene.loads.stop()


def played(play: Callable[[Scene], Awaitable[None]], *, model: str = "generic/plc") -> None:
    async def scenario() -> None:
        async with a_scene(model=model) as scene:
            await play(scene)

    asyncio.run(scenario())


def test_its_watchdog_and_its_fallback_are_set_up_before_it_counts_as_connected() -> None:
    async def play(scene: Scene) -> None:
        assert scene.view.transaction is not None, "the ledger must know it from the start"
        assert not scene.station.connected
        await scene.watch()
        assert scene.peer.words == {TIMEOUT: 60, FALLBACK: 20, LIMIT: 20}
        assert (scene.station.connected, scene.station.protocol) == (True, "modbus")
        assert (scene.station.lease_mode, scene.view.fallback_a) == (LeaseMode.LEASED, 2.0)

    played(play)


def test_what_the_last_run_granted_counts_after_a_restart_until_its_lease_ends() -> None:
    async def play(scene: Scene) -> None:
        now_s = scene.clock.at_s
        grant = Grant(
            limit_a=20.0,
            sent_s=now_s - 20.0,
            until_s=now_s + 100.0,
            state=GrantState.CONFIRMED,
            confirmed_s=now_s - 19.0,
            transaction=LOAD,
        )
        before = EvseMemory(transaction=LOAD, account=Account(grants=(grant,)))
        core = _core(scene, Memory(evses={BATTERY: before}))
        assert core.decide(scene.image.freeze()).committed_a[BATTERY] == 20.0
        scene.clock.at_s += 120.0
        assert core.decide(scene.image.freeze()).committed_a[BATTERY] == 2.0

    played(play)


def test_a_limit_is_written_and_read_back() -> None:
    async def play(scene: Scene) -> None:
        await scene.watch()
        assert await scene.limit(16.05) == Applied(self_expiring=True)
        assert scene.peer.limit_a() == 16.0, "rounded down to what the register can hold"

    played(play)


def test_a_limit_is_kept_alive_and_never_so_long_that_it_outlives_its_lease() -> None:
    async def play(scene: Scene) -> None:
        await scene.watch()
        began_s = scene.clock.at_s
        await scene.limit(16.0)
        last_s, gaps_s = began_s, []
        while scene.peer.limit_a() > 2.0:
            count = len(scene.peer.writes)
            await scene.watch()
            if len(scene.peer.writes) > count:
                gaps_s.append(scene.clock.at_s - last_s)
                last_s = scene.clock.at_s
        assert max(gaps_s) <= WATCHDOG_S / 2
        assert scene.clock.at_s + WATCHDOG_S <= began_s + LEASE_S

    played(play)


def test_a_refused_limit_changes_nothing_and_says_where_to_look() -> None:
    async def play(scene: Scene) -> None:
        await scene.watch()
        scene.peer.refused = {LIMIT}
        assert isinstance(await scene.limit(16.0), Rejected)
        assert (scene.peer.limit_a(), scene.alarm_codes()) == (2.0, {"LOAD_REFUSES"})
        scene.peer.refused = set()
        assert isinstance(await scene.limit(16.0), Applied)
        assert scene.alarm_codes() == set()

    played(play)


def test_a_write_without_an_answer_may_have_arrived_and_is_no_refusal() -> None:
    async def play(scene: Scene) -> None:
        await scene.watch()
        scene.peer.silent_after = {16}
        assert await scene.limit(16.0) == TimedOut()
        scene.peer.silent_after = set()
        for _ in range(5):
            await scene.watch()
        assert scene.peer.limit_a() == 2.0, "what nobody confirmed is not kept alive"
        assert scene.alarm_codes() == set()

    played(play)


def test_answers_that_get_lost_again_and_again_are_no_disobedience() -> None:
    async def play(scene: Scene) -> None:
        await scene.watch()
        for _ in range(4):
            scene.peer.silent_after = {16}
            assert await scene.limit(16.0) == TimedOut()
            scene.peer.silent_after = set()
            await scene.watch()
        assert (scene.peer.limit_a(), scene.alarm_codes()) == (2.0, set())

    played(play)


def test_a_decrease_whose_answer_is_lost_is_written_again() -> None:
    async def play(scene: Scene) -> None:
        await scene.watch()
        await scene.limit(16.0)
        scene.peer.is_silent = True
        assert await scene.limit(6.0) == TimedOut()
        scene.peer.is_silent = False
        await scene.watch()
        assert scene.peer.limit_a() == 6.0

    played(play)


def test_a_silent_device_is_told_and_counts_as_out_of_reach_until_it_is_set_up_again() -> None:
    async def play(scene: Scene) -> None:
        await scene.watch()
        scene.peer.is_silent = True
        assert await scene.limit(16.0) == TimedOut()
        await scene.watch()
        assert scene.station.connected, "one silence is no loss"
        await scene.watch(after_s=SILENT_S)
        assert (scene.station.connected, scene.alarm_codes()) == (False, {"LOAD_OFFLINE"})
        assert await scene.limit(16.0) == NotConnected()
        scene.peer.is_silent, scene.peer.words = False, {}
        await scene.watch()
        assert (scene.station.connected, scene.alarm_codes()) == (True, set())
        assert scene.peer.words == {TIMEOUT: 60, FALLBACK: 20, LIMIT: 20}

    played(play)


def test_a_device_that_holds_more_than_it_was_told_counts_with_its_rating_until_it_obeys() -> None:
    async def play(scene: Scene) -> None:
        await scene.watch()
        scene.peer.altered[LIMIT] = lambda word: word + 50
        assert isinstance(await scene.limit(16.0), Rejected)
        assert scene.alarm_codes() == {"LOAD_DISOBEYS"}
        assert (scene.station.connected, scene.station.lease_mode) == (False, LeaseMode.PERMANENT)
        decision = _core(scene).decide(scene.image.freeze())
        assert decision.committed_a[BATTERY] == scene.spec.evse.max_a
        scene.peer.altered.clear()
        await scene.watch()
        assert scene.link.standing is Standing.ASTRAY, "not trusted at once"
        for _ in range(round(OBEY_FOR_S / 2) + 1):
            await scene.watch()
        assert (scene.station.connected, scene.alarm_codes()) == (True, set())
        assert scene.station.lease_mode is LeaseMode.LEASED

    played(play)


def test_a_device_that_was_restarted_is_set_up_anew() -> None:
    async def play(scene: Scene) -> None:
        await scene.watch()
        await scene.limit(16.0)
        scene.peer.words = {LIMIT: 320}
        await scene.watch()
        assert scene.peer.words == {TIMEOUT: 60, FALLBACK: 20, LIMIT: 160}
        assert (scene.station.connected, scene.alarm_codes()) == (True, set())

    played(play)


def test_another_program_that_writes_the_same_register_is_found_out() -> None:
    async def play(scene: Scene) -> None:
        await scene.watch()
        await scene.limit(16.0)
        for _ in range(3):
            scene.peer.words[LIMIT] = 320
            await scene.watch()
        assert scene.alarm_codes() == {"LOAD_DISOBEYS"}
        assert not scene.station.connected

    played(play)


@pytest.mark.parametrize(("register", "word"), [(TIMEOUT, 600), (TIMEOUT, 0), (FALLBACK, 320)])
def test_a_watchdog_that_does_not_take_its_settings_is_not_relied_on(
    register: int, word: int
) -> None:
    async def play(scene: Scene) -> None:
        scene.peer.altered[register] = lambda _: word
        await scene.watch()
        assert (scene.station.connected, scene.alarm_codes()) == (False, {"LOAD_DISOBEYS"})

    played(play)


def test_a_device_without_a_watchdog_keeps_its_limit_and_is_known_for_it() -> None:
    async def play(scene: Scene) -> None:
        await scene.watch()
        assert scene.station.lease_mode is LeaseMode.PERMANENT
        assert await scene.limit(16.0) == Applied(self_expiring=False)
        scene.peer.is_silent = True
        await scene.watch()
        await scene.watch(after_s=SILENT_S)
        decision = _core(scene).decide(scene.image.freeze())
        assert decision.committed_a[BATTERY] == scene.spec.evse.max_a

    played(play, model="generic/limit")


def test_what_it_draws_is_told_and_what_it_gives_back_is_nothing() -> None:
    async def play(scene: Scene) -> None:
        scene.peer.words |= {MEASURED: 105, MEASURED + 1: 98, MEASURED + 2: 0}
        await scene.watch()
        await scene.watch()
        assert scene.view.sample is not None
        assert scene.view.sample.value.terminal_a == pytest.approx((10.5, 9.8, 0.0))

    played(play)


def test_a_battery_follows_the_real_decision_over_its_register() -> None:
    async def play(scene: Scene) -> None:
        core = _core(scene)
        seen_a = []
        for second in range(120):
            scene.clock.at_s += 1.0
            if second % 2 == 0:
                await scene.link.watch()
            limit_a = round(scene.peer.limit_a() * 10)
            scene.peer.words |= {MEASURED + n: limit_a for n in range(3)}
            building_a = 8.0 if second < 60 else 20.0
            current = PhaseCurrents.balanced(building_a + scene.peer.limit_a())
            scene.image.put_reading(MeterId("main"), GridReading(current=current))
            snapshot = scene.image.freeze()
            decision = core.decide(snapshot)
            core.adopt(snapshot, decision)
            for command in (
                *decision.wave.decreases,
                *decision.wave.renewals,
                *decision.wave.increases,
            ):
                result = await scene.loads.apply(command)
                sent_s = core.sent_s(command)
                core.finish(command, result, sent_s=sent_s, done_s=scene.clock.at_s)
            seen_a.append(scene.peer.limit_a())
        assert 23.0 <= seen_a[58] <= 24.0
        assert 11.0 <= seen_a[-1] <= 12.0

    played(play)


def test_loads_change_with_the_configuration_and_those_that_go_are_left_at_their_fallback() -> None:
    async def play(scene: Scene) -> None:
        await scene.watch()
        await scene.limit(16.0)
        await scene.loads.follow([scene.spec])
        assert scene.peer.limit_a() == 16.0, "who stays is not touched"
        await scene.loads.follow([])
        assert (scene.peer.limit_a(), scene.loads.stations) == (2.0, frozenset())
        assert await scene.limit(16.0) == NotConnected()

    played(play)


def test_a_load_knows_no_actions_of_a_charger() -> None:
    async def play(scene: Scene) -> None:
        request = ActionRequest(station=STATION, evse=BATTERY, action=StationAction.UNLOCK)
        assert isinstance(await scene.loads.act(request), Rejected)

    played(play)


def _core(scene: Scene, memory: Memory | None = None) -> Core:
    return Core(
        image=scene.image,
        alarms=scene.alarms,
        policy=Policy(increase_interval_s=5.0, newcomers=0),
        allocate=Allocator().allocate,
        memory=memory if memory is not None else Memory(),
    )
