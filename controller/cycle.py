"""The control cycle: freeze, decide, send, record. The shell around the pure decision."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import structlog

from controller import persist, series
from controller.alarms import RESTORE_S, AlarmBook
from controller.codec import to_plain
from controller.commands import (
    ActionRequest,
    CommandResult,
    SetLimit,
    StationAction,
    Stop,
    TimedOut,
)
from controller.core import Core
from controller.decide import Allocate, Decision
from controller.decision import Alarm, Condition, Plan, Severity
from controller.errors import StoreUnavailableError
from controller.faults import unheard
from controller.image import ProcessImage
from controller.memory import Memory, fitted_memory
from controller.policy import Policy
from controller.ports import Clock, Fleet, Recorder, Store
from controller.records import Sample
from controller.site import EvseId, Site, StationId
from controller.snapshot import Snapshot
from controller.timing import next_rise_s
from controller.wiring import WiringView, WiringWatch, views

log = structlog.get_logger(__name__)

DEBOUNCE_S = 0.1
RISE_WAKES_APART_S = 1.0
"""A wake waits so long for company before the next decision. [s]"""
CHARGER_SERIES_S = 5.0
RECORD_FORMAT = "before/1"
"""The memory as it was before the decision, and the policy: what replay needs."""
MEMORY_SAVE_TIMEOUT_S = 0.5
LATE_CYCLES_TOLD = 2
TIMELY_CYCLES = 30
"""So many cycles in time end the condition that they are late."""
LATE = Condition(
    code="CYCLES_LATE",
    subject="site",
    text="Control cycles take longer than their interval. Charging stays within all limits and reacts "
    "later; history and checks of the wiring are left out meanwhile. Give this machine more "
    "processor time, or raise policy.interval_s.",
    severity=Severity.WARNING,
)


@dataclass(slots=True, kw_only=True)
class CycleStats:
    """Figures of the loop. Written by the loop, read from anywhere."""

    cycles: int = 0
    failures: int = 0
    overruns: int = 0
    """Cycles that ended after the next one was due."""
    last_ms: float = 0.0
    decide_ms: float = 0.0
    worst_ms: float = 0.0
    commands: int = 0
    completed_s: float | None = None
    wakes: dict[str, int] = field(default_factory=dict)


class Cycle:
    """Runs one decision at a time: on ticks, and at once when something calls for it."""

    def __init__(
        self,
        *,
        image: ProcessImage,
        fleet: Fleet,
        store: Store,
        recorder: Recorder,
        alarms: AlarmBook,
        clock: Clock,
        policy: Policy,
        allocate: Allocate,
        memory: Memory,
        on_plan: Callable[[Plan, tuple[Alarm, ...]], None],
    ) -> None:
        """Wire the loop; `run` starts it."""
        self._image = image
        self._fleet = fleet
        self._store = store
        self._recorder = recorder
        self._alarms = alarms
        self._clock = clock
        self._policy = policy
        self._core = Core(
            image=image, alarms=alarms, policy=policy, allocate=allocate, memory=memory
        )
        self._on_plan = on_plan
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decide")
        self._sending: set[asyncio.Task[None]] = set()
        self._wiring = WiringWatch()
        self._wiring_found: tuple[Condition, ...] = ()
        self._next_series_s = 0.0
        self._next_charger_series_s = 0.0
        self._is_saved = True
        self._record_text = ""
        self._settles_s: float | None = clock.monotonic_s() + RESTORE_S
        self._late = 0
        self._timely = 0
        self._rise_wake_s = float("-inf")
        self.on_success: Callable[[], None] = lambda: None
        """Called after every cycle that went through: the watchdog's food."""
        self.stats = CycleStats()

    @property
    def plan(self) -> Plan | None:
        """The plan of the latest decision."""
        return self._core.plan

    @property
    def snapshot(self) -> Snapshot | None:
        """What the latest decision was made from."""
        return self._core.snapshot

    @property
    def memory(self) -> Memory:
        """What the latest decision remembers."""
        return self._core.memory

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._policy

    @property
    def wiring(self) -> tuple[WiringView, ...]:
        """How far the wiring is known. Safe from any thread."""
        return views(self._image.site, self._wiring.seen)

    async def reconfigure(self, site: Site, policy: Policy) -> None:
        """Go on with another site and policy from the next cycle on; never amid one.

        The ledger stays: what was granted to an EVSE counts on as long as the station may keep it.
        """
        async with self._turn:
            memory = fitted_memory(self._core.memory, self._image.site, site)
            self._image.rebuild(site)
            self._policy = policy
            self._core.reconfigure(policy, memory)
            self._wiring, self._wiring_found = WiringWatch(), ()
        self.wake("configuration")

    def wake(self, reason: str) -> None:
        """Ask for a decision as soon as possible."""
        self.stats.wakes[reason] = self.stats.wakes.get(reason, 0) + 1
        self._wake.set()

    async def run(self) -> None:
        """Decide on every wake until cancelled; a failing cycle never ends the loop."""
        try:
            while True:
                await self._wake.wait()
                await asyncio.sleep(DEBOUNCE_S)
                self._wake.clear()
                await self.run_once()
        finally:
            for task in self._sending:
                task.cancel()
            self._worker.shutdown(wait=False, cancel_futures=True)

    async def run_once(self) -> None:
        """Run one cycle; a defect becomes a condition, never the end of control."""
        started = perf_counter()
        try:
            async with self._turn:
                await self._cycle()
        except Exception:
            self.stats.failures += 1
            log.exception("cycle.failed")
            self._core.fail()
            self._publish_failure()
        else:
            self._core.succeed()
            self.on_success()
            self.stats.cycles += 1
            self.stats.completed_s = self._clock.monotonic_s()
        took_ms = (perf_counter() - started) * 1000
        self.stats.last_ms = took_ms
        self.stats.worst_ms = max(self.stats.worst_ms, took_ms)
        self._watch_pace(took_ms)

    def _watch_pace(self, took_ms: float) -> None:
        """Tell when cycles end after the next one is due, and when they no longer do."""
        is_late = took_ms > self._policy.interval_s * 1000
        self.stats.overruns += is_late
        self._late = self._late + 1 if is_late else 0
        self._timely = 0 if is_late else self._timely + 1
        if self._late >= LATE_CYCLES_TOLD:
            self._alarms.begin(LATE)
        elif self._timely >= TIMELY_CYCLES:
            self._alarms.end(LATE.code, LATE.subject)

    async def _cycle(self) -> None:
        snapshot = self._image.freeze()
        started = perf_counter()
        try:
            decision = await asyncio.get_running_loop().run_in_executor(
                self._worker, self._decide, snapshot
            )
        except Exception:
            self._core.give_back(snapshot)
            raise
        self.stats.decide_ms = (perf_counter() - started) * 1000
        self._core.adopt(snapshot, decision)
        self._send((*decision.wave.decreases, *decision.wave.renewals))
        for stop in decision.wave.stops:
            self._start(self._stop(stop))
        for evse in decision.wave.questions:
            self._start(self._ask(evse))
        await self._send_increases(decision)
        self._record(snapshot, decision)
        self._wake_for_a_rise(snapshot.now_s, decision)

    def _wake_for_a_rise(self, now_s: float, decision: Decision) -> None:
        """Decide again as soon as somebody who shall have more may be told, not at the next tick.

        At most one such wake a second: after a rush there are many of them.
        """
        at_s = next_rise_s(decision.memory, self._policy, now_s)
        if at_s is None or at_s >= now_s + self._policy.interval_s:
            return
        at_s = max(at_s, self._rise_wake_s + RISE_WAKES_APART_S)
        self._rise_wake_s = at_s
        delay_s = max(0.0, at_s - self._clock.monotonic_s())
        asyncio.get_running_loop().call_later(delay_s, self.wake, "rise")

    def _publish_failure(self) -> None:
        """Show the failed cycle; what fails here may be what failed the cycle, and ends nothing."""
        try:
            self._publish_alarms(self.plan.conditions if self.plan is not None else ())
        except Exception:
            log.exception("alarms.unpublished")

    def _decide(self, snapshot: Snapshot) -> Decision:
        before = self._core.memory
        decision = self._core.decide(snapshot)
        _ = decision.plan  # built here, in the worker, not on the loop
        if len(decision.wave):
            self._record_text = recorded(before, self._core.policy)
        return decision

    # --- sending ----------------------------------------------------------------------------------

    def _send(self, commands: Iterable[SetLimit]) -> None:
        for command in commands:
            self.stats.commands += 1
            self._start(self._apply(command, self._core.sent_s(command)))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _apply(self, command: SetLimit, sent_s: float) -> None:
        """Send one command; whatever happens becomes an outcome, so that the ledger never waits for ever."""
        result: CommandResult = TimedOut()
        try:
            async with asyncio.timeout(self._policy.command_timeout_s + 1.0):
                result = await self._fleet.apply(command)
        except TimeoutError:
            log.warning("command.timeout", evse=command.evse)
        except Exception:
            log.exception("command.failed", evse=command.evse)
        self._core.finish(command, result, sent_s=sent_s, done_s=self._clock.monotonic_s())

    async def _ask(self, evse: EvseId) -> None:
        """Ask for meter values; the answer comes as a sample, or not at all."""
        await self._act(evse, StationAction.TRIGGER_METER_VALUES)

    async def _stop(self, stop: Stop) -> None:
        """Ask for the end of a session; if it goes on, a later decision asks again."""
        log.warning("session.stop", evse=stop.evse, transaction=stop.transaction)
        await self._act(stop.evse, StationAction.STOP, stop.transaction)

    async def _act(self, evse: EvseId, action: StationAction, argument: str = "") -> None:
        """Ask a station for something whose effect is seen, not its answer."""
        request = ActionRequest(
            station=StationId(evse.rpartition("/")[0]),
            evse=evse,
            action=action,
            argument=argument,
        )
        try:
            async with asyncio.timeout(self._policy.command_timeout_s + 1.0):
                await self._fleet.act(request)
        except TimeoutError:
            log.info("action.timeout", evse=evse, action=action.value)
        except Exception:
            log.exception("action.failed", evse=evse, action=action.value)

    async def _send_increases(self, decision: Decision) -> None:
        """Send increases after the memory that knows of them is on disk.

        After a crash the ledger must not know less than the stations. If the store cannot save,
        the condition is shown and the increases go out all the same: the leases bound the risk.
        """
        if self._core.must_save(decision, self._clock.monotonic_s()):
            await self._save_memory()
        self._send(decision.wave.increases)

    async def _save_memory(self) -> None:
        now_s = self._clock.monotonic_s()
        text = persist.memory_to_text(self._core.memory, now_s=now_s, at=self._clock.now())
        try:
            async with asyncio.timeout(MEMORY_SAVE_TIMEOUT_S):
                await self._store.save_memory(text)
            self._is_saved = True
        except (TimeoutError, StoreUnavailableError) as error:
            if self._is_saved:
                log.warning("memory.unsaved", error=str(error))
            self._is_saved = False
        except Exception:  # whatever a store does, the increases are booked and must go out
            if self._is_saved:
                log.exception("memory.unsaved")
            self._is_saved = False
        self._core.saved(now_s, is_stored=self._is_saved)

    # --- recording --------------------------------------------------------------------------------

    def _record(self, snapshot: Snapshot, decision: Decision) -> None:
        plan = decision.plan
        if self._late < LATE_CYCLES_TOLD and plan.now_s >= self._next_series_s:
            self._next_series_s = plan.now_s + 1.0
            self._store.put_samples(self._samples(plan))
        if len(decision.wave):
            self._recorder.record(snapshot, plan, self._record_text)
        self._publish_alarms((*plan.conditions, *self._watched(snapshot)))

    def _watched(self, snapshot: Snapshot) -> tuple[Condition, ...]:
        """Return wiring mistakes; a defect of that search must not touch the cycle."""
        if self._late >= LATE_CYCLES_TOLD:
            return self._wiring_found
        try:
            self._wiring_found = self._wiring.observe(snapshot)
        except Exception:
            log.exception("wiring.failed")
            self._wiring_found = ()
        return self._wiring_found

    def _samples(self, plan: Plan) -> list[Sample]:
        samples = [
            *series.of_circuits(plan),
            series.of_allocation(plan, solver_ms=self.stats.decide_ms),
        ]
        if plan.now_s >= self._next_charger_series_s:
            self._next_charger_series_s = plan.now_s + CHARGER_SERIES_S - 0.5
            samples.extend(series.of_evses(plan))
        return samples

    def _publish_alarms(self, conditions: tuple[Condition, ...]) -> None:
        if self._settles_s is not None and self._clock.monotonic_s() >= self._settles_s:
            snapshot = self._core.snapshot
            is_waiting = self._alarms.settle(unheard(snapshot) if snapshot is not None else ())
            self._settles_s = self._settles_s if is_waiting else None
        changes = self._alarms.update(conditions, self._clock.now())
        self._store.put_samples([series.of_alarm(a) for a in changes])
        for alarm in changes:
            _log_alarm(alarm)
            self._start(self._save_alarm(alarm))
        if self.plan is not None:
            self._on_plan(self.plan, changes)

    async def _save_alarm(self, alarm: Alarm) -> None:
        try:
            await self._store.save_alarm(alarm)
        except StoreUnavailableError as error:
            log.warning("alarm.unsaved", code=alarm.condition.code, error=str(error))


def recorded(memory: Memory, policy: Policy) -> str:
    """Return what a record needs beside the snapshot to be decided again to the last bit."""
    return json.dumps(
        {"format": RECORD_FORMAT, "memory": to_plain(memory), "policy": to_plain(policy)}
    )


def _log_alarm(alarm: Alarm) -> None:
    condition = alarm.condition
    if alarm.end is None:
        log.warning(
            "alarm.begin", code=condition.code, subject=condition.subject, text=condition.text
        )
        return
    lasted_s = (alarm.end - alarm.begin).total_seconds()
    log.info("alarm.end", code=condition.code, subject=condition.subject, lasted_s=lasted_s)
