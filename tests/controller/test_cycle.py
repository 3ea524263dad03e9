"""The loop around the decision: it sends, remembers and survives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from controller.alarms import AlarmBook
from controller.commands import ActionRequest, Applied, Command, CommandResult, StationAction
from controller.cycle import Cycle
from controller.decide import Allocate
from controller.decision import Alarm, Condition, Severity
from controller.image import ProcessImage
from controller.memory import Memory
from controller.operations import Operations
from controller.operator import EvseOverride, Overrides
from controller.phases import PhaseCurrents
from controller.policy import Policy
from controller.readings import EvseSample, GridReading
from controller.site import CircuitId, EvseId, MeterId, StationId
from controller.snapshot import Snapshot
from controller.station import (
    EvseSampled,
    FallbackConfirmed,
    LeaseMode,
    LeaseModeFound,
    StationConnected,
    TransactionChanged,
)
from optimizer.admission import Admission
from optimizer.allocate import Allocator
from optimizer.arrays import Floats
from optimizer.lp import SolverError
from optimizer.problem import Allocation, Problem
from tests.controller.builders import a_site
from tests.controller.test_image import HandClock, a_transaction
from tests.fakes.memory_store import MemoryStore

EVSE = EvseId("CP001/1")


@dataclass
class RecordingFleet:
    """Implements `Fleet`: confirms everything, or hangs, or breaks."""

    commands: list[Command] = field(default_factory=list)
    actions: list[ActionRequest] = field(default_factory=list)
    breaks: bool = False

    async def apply(self, command: Command) -> CommandResult:
        self.commands.append(command)
        if self.breaks:
            raise RuntimeError("a defect in an adapter")
        return Applied(self_expiring=True)

    async def act(self, request: ActionRequest) -> CommandResult:
        self.actions.append(request)
        return Applied(self_expiring=False)


class NoRecorder:
    def record(self, snapshot: Snapshot, plan: object, memory: str) -> None:
        """Keep nothing."""


class BrokenOnce:
    """An allocator with a defect that shows once."""

    def __init__(self) -> None:
        self.calls = 0
        self._real = Allocator()

    def __call__(self, problem: Problem, *, deadline_s: float) -> Allocation:
        self.calls += 1
        if self.calls == 1:
            raise ZeroDivisionError
        return self._real.allocate(problem, deadline_s=deadline_s)


class Scene:
    def __init__(self, allocate: Allocate | None = None) -> None:
        site = a_site(evses=1)
        self.clock, self.store, self.fleet = HandClock(), MemoryStore(), RecordingFleet()
        self.alarms = AlarmBook()
        self.image = ProcessImage(site=site, clock=self.clock, wake=lambda r: self.cycle.wake(r))
        self.cycle = Cycle(
            image=self.image,
            fleet=self.fleet,
            store=self.store,
            recorder=NoRecorder(),
            alarms=self.alarms,
            clock=self.clock,
            policy=Policy(),
            allocate=allocate if allocate is not None else Allocator().allocate,
            memory=Memory(),
            on_plan=lambda plan, changes: None,
        )
        self.operations = Operations(
            image=self.image,
            cycle=self.cycle,
            alarms=self.alarms,
            fleet=self.fleet,
            store=self.store,
            clock=self.clock,
        )

    def charging(self) -> None:
        """A station is connected and a vehicle takes its 6 A."""
        self.image.put_reading(MeterId("main"), GridReading(current=PhaseCurrents.balanced(20.0)))
        station = StationId("CP001")
        for event in (
            StationConnected(station=station, protocol="ocpp1.6"),
            LeaseModeFound(station=station, mode=LeaseMode.LEASED),
            FallbackConfirmed(evse=EVSE, fallback_a=6.0),
            TransactionChanged(transaction=a_transaction()),
            EvseSampled(
                evse=EVSE, sample=EvseSample(terminal_a=(6.0, 6.0, 6.0), phases_known=True)
            ),
        ):
            self.image.post(event)

    async def cycles(
        self, count: int, seconds: float = 1.0, *, building_a: float = 20.0, drawn_a: float = 0.0
    ) -> None:
        for _ in range(count):
            self.clock.at_s += seconds
            self.image.put_reading(
                MeterId("main"),
                GridReading(current=PhaseCurrents.balanced(building_a + drawn_a)),
            )
            await self.cycle.run_once()
            await asyncio.sleep(0)


def test_a_vehicle_gets_its_raise_and_the_memory_is_saved_before() -> None:
    async def scenario() -> Scene:
        scene = Scene()
        scene.charging()
        await scene.cycles(3)
        return scene

    scene = asyncio.run(scenario())

    assert [c.limit_a for c in scene.fleet.commands] == [32.0]
    memory = asyncio.run(scene.store.load_memory())
    assert memory is not None
    assert '"limit_a": 32.0' in memory


def test_a_defect_in_a_decision_is_an_alarm_and_the_next_cycle_goes_on() -> None:
    async def scenario() -> Scene:
        scene = Scene(BrokenOnce())
        scene.charging()
        await scene.cycles(1)
        first = {a.condition.code for a in scene.alarms.active()}
        await scene.cycles(3)
        assert first == {"CYCLE_FAILED"}
        return scene

    scene = asyncio.run(scenario())

    assert scene.fleet.commands
    assert scene.cycle.stats.failures == 1
    assert not {a.condition.code for a in scene.alarms.active()}


def test_a_defect_in_an_adapter_counts_as_a_silent_station() -> None:
    async def scenario() -> Scene:
        scene = Scene()
        scene.fleet.breaks = True
        scene.charging()
        await scene.cycles(3)
        return scene

    scene = asyncio.run(scenario())

    plan = scene.cycle.plan
    assert plan is not None
    assert plan.evses[EVSE].committed_a == 32.0


def test_a_session_that_must_end_is_stopped_at_its_station() -> None:
    """It draws 50 A against its limit, beside a building of 20 A, on 63 A."""

    async def scenario() -> Scene:
        scene = Scene()
        scene.charging()
        await scene.cycles(3)
        for _ in range(40):
            sample = EvseSample(terminal_a=(50.0, 50.0, 50.0), phases_known=True)
            scene.image.post(EvseSampled(evse=EVSE, sample=sample))
            await scene.cycles(1, building_a=20.0, drawn_a=50.0)
        return scene

    scene = asyncio.run(scenario())

    stops = [a for a in scene.fleet.actions if a.action is StationAction.STOP]
    assert stops
    assert {(a.station, a.evse, a.argument) for a in stops} == {("CP001", EVSE, "1")}
    assert "SESSION_STOPPED" in {a.condition.code for a in scene.alarms.active()}


def test_an_operators_limit_is_durable_audited_and_in_force_with_the_next_cycle() -> None:
    async def scenario() -> Scene:
        scene = Scene()
        scene.charging()
        await scene.operations.set_circuit_limit(
            CircuitId("main"), PhaseCurrents.balanced(40.0), "ann"
        )
        await scene.cycles(2)
        return scene

    scene = asyncio.run(scenario())

    plan = scene.operations.plan()
    assert plan is not None
    assert list(plan.circuits[CircuitId("main")].limit_a) == [40.0] * 3
    assert asyncio.run(scene.store.load_overrides()) is not None
    entry = asyncio.run(scene.store.audit_log(limit=1, offset=0))[0]
    assert (entry.actor, entry.action, entry.after) == (
        "ann",
        "set_circuit_limit",
        "[40.0, 40.0, 40.0]",
    )


def test_a_limit_above_the_rating_is_refused_and_changes_nothing() -> None:
    async def scenario() -> str:
        scene = Scene()
        try:
            await scene.operations.set_circuit_limit(
                CircuitId("main"), PhaseCurrents.balanced(64.0), "ann"
            )
        except ValueError as error:
            assert not scene.operations.overrides().circuit_limit_a
            return str(error)
        return ""

    assert "at or below the rating" in asyncio.run(scenario())


def test_overrides_come_back_after_a_restart_without_those_of_things_that_are_gone() -> None:
    async def scenario() -> Scene:
        first = Scene()
        await first.operations.set_evse_override(EVSE, EvseOverride(max_a=10.0), "ann")
        text = await first.store.load_overrides()
        assert text is not None
        second = Scene()
        await second.store.save_overrides(text.replace("CP001/1", "GONE/1"))
        await second.operations.restore()
        gone = second.operations.overrides()
        assert not gone.evses
        await second.store.save_overrides(text)
        await second.operations.restore()
        return second

    scene = asyncio.run(scenario())

    assert scene.operations.overrides().evses[EVSE].max_a == 10.0


class BrokenSolver(Allocator):
    """An allocator whose solver fails: progressive filling answers, in the same cycle."""

    def __init__(self) -> None:
        super().__init__()
        self.is_broken = True
        solver = self._lp.share

        def share(admission: Admission, *, deadline_s: float) -> Floats:
            if self.is_broken:
                raise SolverError("infeasible")
            return solver(admission, deadline_s=deadline_s)

        self._lp.share = share  # type: ignore[method-assign]


def test_a_solver_that_fails_costs_no_cycle_and_is_told_when_it_goes_on(
    record_property: Callable[[str, object], None],
) -> None:
    solver = BrokenSolver()

    async def scenario() -> Scene:
        scene = Scene(solver.allocate)
        scene.charging()
        await scene.cycles(10)
        assert scene.alarms.active() == ()
        await scene.cycles(2)
        return scene

    scene = asyncio.run(scenario())

    assert [c.limit_a for c in scene.fleet.commands] == [32.0]
    assert scene.cycle.stats.failures == 0
    assert [a.condition.code for a in scene.alarms.active()] == ["SOLVER_FAILING"]
    record_property("fault_cycles_lost", scene.cycle.stats.failures)


def test_a_solver_that_works_again_is_forgiven_after_an_hour() -> None:
    solver = BrokenSolver()

    async def scenario() -> Scene:
        scene = Scene(solver.allocate)
        scene.charging()
        await scene.cycles(12)
        solver.is_broken = False
        await scene.cycles(40, seconds=100.0)
        return scene

    scene = asyncio.run(scenario())

    assert "SOLVER_FAILING" not in {a.condition.code for a in scene.alarms.active()}


def test_cycles_that_are_late_twice_are_told_and_leave_history_out(
    record_property: Callable[[str, object], None],
) -> None:
    async def scenario() -> tuple[list[str], list[str]]:
        scene = Scene()
        scene.charging()
        for took_ms in (2_500.0, 2_500.0):
            scene.cycle._watch_pace(took_ms)
        await scene.cycles(1)
        told = [a.condition.code for a in scene.alarms.active()]
        kept = [s.measurement for s in scene.store.samples]
        assert set(kept) == {"event"}, "history is left out"
        await scene.cycles(40)
        return told, [a.condition.code for a in scene.alarms.active()]

    told, later = asyncio.run(scenario())

    assert told == ["CYCLES_LATE"]
    assert later == []
    record_property("fault_late_cycles", late_cycles_until_told())


def late_cycles_until_told() -> int:
    scene, late = Scene(), 0
    while not scene.alarms.active():
        scene.cycle._watch_pace(2_500.0)
        scene.alarms.update((), scene.clock.now())
        late += 1
    return late


def test_an_alarm_of_the_last_run_goes_on_or_ends_once() -> None:
    async def scenario() -> tuple[Scene, tuple[Alarm, ...]]:
        scene = Scene()
        scene.charging()
        begin = scene.clock.now()
        for code in ("METER_LOST", "NO_LEASE"):
            condition = Condition(code=code, subject="x", text="", severity=Severity.ALARM)
            await scene.store.save_alarm(Alarm(condition=condition, begin=begin))
        scene.alarms.restore(await scene.store.open_alarms(), begin)
        await scene.cycles(30)
        assert len(scene.alarms.active()) == 2, "they have time to be told again"
        await scene.cycles(100)
        return scene, await scene.store.alarms(since=None, limit=9)

    scene, stored = asyncio.run(scenario())

    ended = {a.condition.code: a.end is not None for a in stored}
    assert ended["METER_LOST"]
    assert ended["NO_LEASE"]
    assert not {"METER_LOST", "NO_LEASE"} & {a.condition.code for a in scene.alarms.active()}


def test_who_shall_have_more_is_told_as_soon_as_it_may_be_not_at_the_next_tick() -> None:
    async def scenario() -> tuple[list[float], int, int]:
        scene = Scene()
        scene.charging()
        await scene.cycles(3)
        scene.image.overrides = Overrides(evses={EVSE: EvseOverride(max_a=10.0)})
        await scene.cycles(1)
        scene.image.overrides = Overrides()
        await scene.cycles(3)  # two seconds early: the next tick comes first
        long_before = scene.cycle.stats.wakes.get("rise", 0)
        await scene.cycles(1, seconds=1.9)
        for _ in range(100):
            if scene.cycle.stats.wakes.get("rise", 0):
                break
            await asyncio.sleep(0.02)
        limits_a = [c.limit_a for c in scene.fleet.commands]
        return limits_a, long_before, scene.cycle.stats.wakes.get("rise", 0)

    assert asyncio.run(scenario()) == ([32.0, 10.0], 0, 1)
