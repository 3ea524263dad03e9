"""The planner beside the control loop: what it is told, when it plans, what it hands over.

It triggers on the loop and plans on a thread of its own. Whatever fails here ends in a condition and
in no guidance: the allocator goes on without. Signals and demand limits count without any plan.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import structlog

from controller import planning_documents as texts
from controller.alarms import AlarmBook
from controller.decision import Condition, Plan, Severity
from controller.demand import DemandLimit, DemandState, advanced, allowed_w
from controller.errors import StoreUnavailableError
from controller.forecast import Profile
from controller.guidance import NO_GUIDANCE, Guidance
from controller.image import ProcessImage
from controller.memory import Memory
from controller.planner import PlanningInput, PlanningSettings, SitePlan, Solve, plan_site
from controller.planning_archive import PlanningArchive, PlanningStore
from controller.policies import PolicyName
from controller.ports import Clock
from controller.roaming import Document
from controller.signals import MOST_SIGNALS, GridSignal, SignalError, check_signal
from controller.site import CircuitId
from controller.snapshot import Snapshot
from controller.tariffs import Series

log = structlog.get_logger(__name__)

PLAN_EVERY_S = 300.0
PLAN_AT_MOST_EVERY_S = 5.0
"""Changes that come together are planned for together. [s]"""
PLAN_TIMEOUT_S = 20.0
LEARN_EVERY_S = 3600.0
DEMAND_SAVE_S = 60.0
FAILED = "PLAN_FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The latest decision, as the planner sees it."""

    snapshot: Snapshot
    plan: Plan
    memory: Memory


class Planning:
    """Holds what is known ahead, plans, and sets the image's guidance. Runs on the control loop."""

    def __init__(
        self,
        *,
        image: ProcessImage,
        look: Callable[[], Seen | None],
        solve: Solve,
        store: PlanningStore,
        alarms: AlarmBook,
        clock: Clock,
        settings: PlanningSettings,
    ) -> None:
        """Prepare.

        Args:
            image: Takes guidance and signals.
            look: Returns the latest decision.
            solve: The horizon program's solver; called on the planner's thread only.
            store: Keeps prices, signals and so on.
            alarms: Takes conditions.
            clock: Time.
            settings: The site's planning section; a policy picked over the API goes before its.
        """
        self._image = image
        self._look = look
        self._solve = solve
        self._archive = PlanningArchive(store, clock)
        self._alarms = alarms
        self._clock = clock
        self._settings = settings
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="plan")
        self._guidance = NO_GUIDANCE
        self._demand: dict[CircuitId, DemandState] = {}
        self._profiles: dict[CircuitId, dict[str, Profile]] = {}
        self._told: set[tuple[str, str]] = set()
        self._planned_s = float("-inf")
        self._learned_s = float("-inf")
        self._saved_s = float("-inf")
        self._planned_for: object = None
        self._is_failing = False
        self._running: asyncio.Task[None] | None = None
        self._picked: PolicyName | None = None
        self.prices: Series | None = None
        self.pv_w: Series | None = None
        self.signals: dict[str, GridSignal] = {}
        self.site_plan: SitePlan | None = None

    # --- life -------------------------------------------------------------------------------------

    async def restore(self) -> None:
        """Bring back what was known at the last run; what is damaged or over is left out."""
        for document in await self._archive.documents():
            try:
                self._restore(document)
            except ValueError as error:
                log.warning("planning.damaged", document=document.key, error=str(error))
        self._set_signals()

    def _restore(self, document: Document) -> None:
        key, body = document.key, document.body
        if key == texts.PRICES:
            self.prices = texts.series_from_text(body)
        elif key == texts.PV:
            self.pv_w = texts.series_from_text(body)
        elif key == texts.POLICY:
            self._picked = PolicyName(body)
        elif key.startswith(texts.DEMAND):
            circuit = CircuitId(key.removeprefix(texts.DEMAND))
            self._demand[circuit] = texts.demand_from_text(body)
        elif key.startswith(texts.SIGNAL):
            signal = texts.signal_from_text(body)
            if signal.circuit in self._image.site.circuits:
                self.signals[signal.id] = signal

    async def stop(self) -> None:
        """End the thread; guidance ends by itself."""
        if self._running is not None:
            self._running.cancel()
        self._worker.shutdown(wait=False, cancel_futures=True)
        await self._save_demand()

    async def tick(self) -> None:
        """Book demand, let signals begin and end, hand guidance over, and plan when it is due."""
        try:
            self._drop_ended_signals()
            self._set_signals()
            seen = self._look()
            if seen is None:
                return
            self._book_demand(seen)
            self._publish(seen)
            await self._learn_if_due()
            self._plan_if_due(seen)
            if self._clock.monotonic_s() - self._saved_s >= DEMAND_SAVE_S:
                await self._save_demand()
        except StoreUnavailableError as error:
            log.warning("planning.unsaved", error=str(error))

    # --- what is told over the API ----------------------------------------------------------------

    async def put_prices(self, prices: Series | None, actor: str) -> None:
        """Replace or remove the prices that were given for instants."""
        before, self.prices = self.prices, prices
        await self._archive.put_series(texts.PRICES, before, prices, actor)

    async def put_pv(self, pv_w: Series | None, actor: str) -> None:
        """Replace or remove the forecast of the site's own surplus."""
        before, self.pv_w = self.pv_w, pv_w
        await self._archive.put_series(texts.PV, before, pv_w, actor)

    async def put_signal(self, signal: GridSignal, actor: str) -> None:
        """Set a signal; it is durable, and counts from the next cycle, when this returns.

        Raises:
            SignalError: It contradicts the site or itself.
        """
        check_signal(signal, self._image.site, self._clock.now())
        if signal.id not in self.signals and len(self.signals) >= MOST_SIGNALS:
            raise SignalError(f"there are {MOST_SIGNALS} signals already; delete some")
        text = texts.signal_to_text(signal)
        await self._archive.put(texts.SIGNAL + signal.id, text)
        before = self.signals.get(signal.id)
        self.signals[signal.id] = signal
        self._set_signals()
        was = "" if before is None else texts.signal_to_text(before)
        await self._archive.audit(actor, "put_grid_signal", signal.id, was, text)

    async def delete_signal(self, signal_id: str, actor: str) -> bool:
        """Remove a signal; False when there was none."""
        before = self.signals.pop(signal_id, None)
        if before is None:
            return False
        await self._archive.delete(texts.SIGNAL + signal_id)
        self._set_signals()
        was = texts.signal_to_text(before)
        await self._archive.audit(actor, "delete_grid_signal", signal_id, was, "")
        return True

    async def pick_policy(self, policy: PolicyName | None, actor: str) -> None:
        """Pick a policy; None: the site file's again."""
        before, self._picked = self.policy, policy
        if policy is None:
            await self._archive.delete(texts.POLICY)
        else:
            await self._archive.put(texts.POLICY, policy.value)
        self._planned_for = None
        await self._archive.audit(actor, "pick_policy", "site", before.value, self.policy.value)

    def demand(self) -> dict[CircuitId, tuple[DemandLimit, DemandState]]:
        """Return demand limits with what has been measured."""
        return {
            limit.circuit: (limit, self._demand.get(limit.circuit, DemandState()))
            for limit in self._settings.demand
        }

    @property
    def policy(self) -> PolicyName:
        """The policy in force."""
        return self._picked or self._settings.policy

    def reconfigure(self, settings: PlanningSettings) -> None:
        """Go on with other settings, from the next tick; what was told over the API stays."""
        self._settings = settings
        self._planned_for = None

    @property
    def configured(self) -> PolicyName:
        """The site file's policy."""
        return self._settings.policy

    # --- planning ---------------------------------------------------------------------------------

    def _plan_if_due(self, seen: Seen) -> None:
        if self._running is not None and not self._running.done():
            return
        now_s = self._clock.monotonic_s()
        since_s = now_s - self._planned_s
        wanted_for = self._signature(seen)
        is_changed = wanted_for != self._planned_for and since_s >= PLAN_AT_MOST_EVERY_S
        if is_changed or since_s >= PLAN_EVERY_S:
            self._planned_s, self._planned_for = now_s, wanted_for
            self._running = asyncio.get_running_loop().create_task(self._replan(seen))

    def _signature(self, seen: Seen) -> object:
        """Return what a new plan is needed for at once when it changes."""
        vehicles = {e: s.transaction for e, s in seen.plan.evses.items() if s.transaction}
        return (
            vehicles,
            seen.snapshot.overrides,
            self.policy,
            self.prices,
            self.pv_w,
            dict(self.signals),
        )

    async def _replan(self, seen: Seen) -> None:
        given = PlanningInput(
            snapshot=seen.snapshot,
            plan=seen.plan,
            memory=seen.memory,
            policy=self.policy,
            settings=self._settings,
            prices=self.prices,
            pv_w=self.pv_w,
            signals=tuple(self.signals.values()),
            demand=dict(self._demand),
            profiles=dict(self._profiles),
        )
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PLAN_TIMEOUT_S):
                plan = await loop.run_in_executor(self._worker, plan_site, given, self._solve)
        except TimeoutError:
            self._fail(f"it took longer than {PLAN_TIMEOUT_S:.0f} s")
        except Exception as error:
            if not self._is_failing:
                log.exception("plan.failed")
            self._fail(str(error) or type(error).__name__)
        else:
            self._alarms.end(FAILED, "site")
            self._is_failing = False
            self.site_plan, self._guidance = plan, plan.guidance
            self._tell(plan.conditions)
            self._publish(seen)

    def _fail(self, why: str) -> None:
        """Go on without a plan, and say so."""
        self._is_failing = True
        self.site_plan, self._guidance = None, NO_GUIDANCE
        self._tell(())
        self._image.guidance = replace(self._image.guidance, evses={})
        text = (
            f"The planner failed: {why}. Chargers share what there is, without departures and "
            "prices. It tries again within five minutes; report this with the log if it stays."
        )
        self._alarms.begin(
            Condition(
                code=FAILED,
                subject="site",
                text=text,
                severity=Severity.WARNING,
                values={"fault": why},
            )
        )

    def _tell(self, conditions: tuple[Condition, ...]) -> None:
        now = {(c.code, c.subject) for c in conditions}
        for code, subject in self._told - now:
            self._alarms.end(code, subject)
        for condition in conditions:
            self._alarms.begin(condition)
        self._told = now

    def _publish(self, seen: Seen) -> None:
        """Hand over the guidance with what demand limits leave now."""
        voltage_v = seen.snapshot.site.voltage_v
        totals_a = {}
        for limit in self._settings.demand:
            state = self._demand.get(limit.circuit)
            status = seen.plan.circuits.get(limit.circuit)
            if state is None or status is None:
                continue
            left_w = allowed_w(state, limit, at=self._clock.now())
            building_w = sum(status.building_a) * voltage_v
            totals_a[limit.circuit] = max(0.0, left_w - building_w) / voltage_v
        until_s = self._guidance.until_s
        guidance = replace(self._guidance, circuit_total_a=totals_a)
        if until_s is not None and self._clock.monotonic_s() > until_s:
            guidance = Guidance(circuit_total_a=totals_a)
        self._image.guidance = guidance

    # --- demand, signals, forecasts ---------------------------------------------------------------

    def _book_demand(self, seen: Seen) -> None:
        at, site = self._clock.now(), seen.snapshot.site
        for limit in self._settings.demand:
            status = seen.plan.circuits.get(limit.circuit)
            measured = None if status is None else status.measured_a
            power_w = None if measured is None else sum(measured) * site.voltage_v
            self._demand[limit.circuit] = advanced(
                self._demand.get(limit.circuit, DemandState()),
                limit,
                power_w=power_w,
                at=at,
                timezone=site.timezone,
            )

    def _drop_ended_signals(self) -> None:
        now = self._clock.now()
        self.signals = {i: s for i, s in self.signals.items() if s.end_at > now}

    def _set_signals(self) -> None:
        self._image.signals = tuple(self.signals.values())

    async def _learn_if_due(self) -> None:
        """Learn the building's typical day from the stored history, circuit by circuit."""
        now_s = self._clock.monotonic_s()
        if now_s - self._learned_s < LEARN_EVERY_S:
            return
        self._learned_s = now_s
        self._profiles.update(await self._archive.profiles(self._image.site))

    # --- keeping ----------------------------------------------------------------------------------

    async def _save_demand(self) -> None:
        self._saved_s = self._clock.monotonic_s()
        for circuit, state in self._demand.items():
            await self._archive.put(texts.DEMAND + circuit, texts.demand_to_text(state))
