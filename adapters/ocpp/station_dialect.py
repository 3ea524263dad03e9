"""The part of a connection that is the same in both versions: provisioning, limits, actions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from adapters.ocpp.book import DESIRED, MODEL, READY, StationBook, model_key
from adapters.ocpp.capabilities import Capabilities
from adapters.ocpp.dialect import Caller, CallFailed, Received
from adapters.ocpp.drill import Drill, Verdict
from adapters.ocpp.dynamic import DynamicProfiles
from adapters.ocpp.inbound import Inbound
from adapters.ocpp.intake import Intake
from adapters.ocpp.limiter import Limiter
from adapters.ocpp.operator_actions import Maintenance, OperatorActions
from adapters.ocpp.profiles import ChargingProfile, RateUnit
from adapters.ocpp.provisioning import (
    Answer,
    Done,
    FallbackHeld,
    ProvisionedEvse,
    ProvisioningView,
    Request,
    Script,
    Steps,
    hold_fallbacks,
)
from adapters.ocpp.translation import DialectSettings
from adapters.ocpp.trust import FirmwareTrust
from controller.commands import (
    ActionRequest,
    Applied,
    CommandResult,
    Rejected,
    SetLimit,
    StationAction,
)
from controller.decision import Severity
from controller.ports import Clock, StationDesk
from controller.site import EvseId
from controller.station import BehaviourFound, Job, JobReported, StationBehaviour, StationInfo

log = structlog.get_logger(__name__)

ASKED_BOOT_S = 30.0
"""A BootNotification so soon after we asked for one is the one we asked for. [s]"""


CONFIG_DRIFT = "CONFIG_DRIFT"
METER_IMPLAUSIBLE = "METER_IMPLAUSIBLE"
DOUBT_S = 600.0
"""How long an implausible value is told after it came last. [s]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillOrder:
    """A drill to be done when the station has time."""

    evse: EvseId


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """How one version writes what we ask."""

    profile: Callable[[ChargingProfile], dict[str, Any]]
    maintenance: Maintenance
    composite: Callable[[int, RateUnit, int], Request]
    provision: Callable[[ProvisioningView, Capabilities], Steps]
    transaction_may_be_left_out: bool
    inbound: type[Inbound]
    dynamic: Callable[[ChargingProfile], dict[str, Any]] | None = None
    """Writes a dynamic profile; None: the version knows none."""


class StationDialect:
    """One connection. A version adds how it reads and writes."""

    def __init__(
        self,
        caller: Caller,
        *,
        desk: StationDesk,
        clock: Clock,
        settings: DialectSettings,
        wire: Wire,
        book: StationBook | None = None,
    ) -> None:
        self._caller = caller
        self._clock = clock
        self._settings = settings
        self._wire = wire
        self._book = book or StationBook(clock=clock, pending_boots=False)
        self._quirks = settings.quirks
        self._info: StationInfo | None = None
        self._capabilities = Capabilities(
            is_dc=settings.is_dc(caller.station),
            units=frozenset({RateUnit.W}) if settings.is_dc(caller.station) else None,
        )
        self._trust = FirmwareTrust(
            caller.station, book=self._book, capabilities=self._capabilities
        )
        self._intake = Intake(caller.station, desk=desk, clock=clock, settings=settings)
        self._inbound = wire.inbound(
            self._intake, settings=settings, book=self._book, on_boot=self._booted
        )
        self._actions = OperatorActions(
            caller,
            intake=self._intake,
            clock=clock,
            settings=settings,
            capabilities=self._capabilities,
            maintenance=wire.maintenance,
            restore=self._restore,
            keep_wanted=self._keep_wanted,
            wanted=self._wanted,
        )
        self._limiter = Limiter(
            caller,
            intake=self._intake,
            clock=clock,
            settings=settings,
            capabilities=self._capabilities,
            write=wire.profile,
            transaction_may_be_left_out=wire.transaction_may_be_left_out,
            on_learned=self._has_learned,
            dynamic=None if wire.dynamic is None else DynamicProfiles(caller, write=wire.dynamic),
        )
        self._intake.on_settled = self._settled
        self._intake.on_doubt = self._doubted
        self._behaviour: StationBehaviour | None = None
        self._has_news = False
        self._boot_seen = False
        self._is_pending = False
        self._boot_asked_s: float | None = None
        self._was_read_back = False
        self._work: asyncio.Queue[SetLimit | DrillOrder | None] = asyncio.Queue(maxsize=4)
        """A limit to read back, or a drill; None: the station booted."""

    @property
    def capabilities(self) -> Capabilities:
        """What the station has shown so far."""
        return self._capabilities

    async def on_call(
        self, action: str, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        """Answer a station's CALL; limits for what it started pass once the answer has left."""
        try:
            return await self._inbound.answer(action, payload, received)
        finally:
            self._intake.gate.open_soon()
            await self._intake.close_stale()
            if (holds_lease := self._trust.shown) is not None:
                await self._follow_drill(holds_lease=holds_lease)
            if self._has_news:
                self._has_news = False
                await self._keep_learned()

    async def on_open(self) -> None:
        """Provision the station, again after each boot, and read the first limit back."""
        try:
            has_booted = await self._boot_within(self._quirks.boot_wait_s)
            if not has_booted:
                await self._recall()
            while True:
                if has_booted:
                    await asyncio.sleep(self._quirks.boot_settle_s)
                await self._book.pace.turn()
                is_complete = await self._provision()
                has_booted = await self._boot_within(
                    None if is_complete else self._settings.retry_s
                )
        except CallFailed as failed:
            log.info("station.provisioning_ended", station=self._caller.station, kind=failed.kind)

    async def on_close(self) -> None:
        """End. Nothing outlives the connection."""

    async def apply(self, command: SetLimit) -> CommandResult:
        """Carry out one limit."""
        result = await self._limiter.apply(command)
        if (
            isinstance(result, Applied)
            and command.transaction is not None
            and not self._was_read_back
        ):
            self._was_read_back = True
            self._enqueue(command)
        return result

    async def act(self, request: ActionRequest) -> CommandResult:
        """Carry out an operator's action."""
        if request.action is StationAction.DRILL:
            return self._order_drill(request)
        return await self._actions.act(request)

    def _order_drill(self, request: ActionRequest) -> CommandResult:
        """Begin a drill; it takes longer than an operator waits, its result is a condition."""
        evses = self._intake.desk.evses(self._caller.station) or ()
        evse = request.evse or (evses[0] if evses else None)
        if evse is None or evse not in evses:
            return Rejected(reason="there is no such EVSE")
        if self._work.full():
            return Rejected(reason="the station is busy with other work; try again in a minute")
        self._enqueue(DrillOrder(evse=evse))
        return Applied(self_expiring=False, answer={"status": "Started", "evse": evse})

    async def _drill(self, evse: EvseId) -> None:
        """Drill, and let trust follow: the result holds for all stations of this model and firmware."""
        drill = Drill(
            self._caller,
            intake=self._intake,
            clock=self._clock,
            settings=self._settings,
            capabilities=self._capabilities,
            limiter=self._limiter,
            wire=self._wire,
        )
        self._report_drill("Running")
        result = await drill.run(evse)
        self._report_drill(result.verdict.value)
        is_failed = result.verdict is Verdict.FAILS
        self._book.begin(
            "LEASE_DRILL",
            evse,
            f"Lease drill at {evse}: {result.verdict.value}. {result.text}. "
            + ("Its full rating is reserved while it is unreachable." if is_failed else ""),
            severity=Severity.ALARM if is_failed else Severity.INFO,
        )
        if result.verdict is Verdict.UNCLEAR or self._info is None:
            return
        key = model_key(self._info)
        learned = await self._book.kept(MODEL, key) or {}
        holds = result.verdict is Verdict.HOLDS
        drilled = {"holds_lease": holds, "drill": result.text}
        await self._book.keep(MODEL, key, learned | drilled)
        self._book.drilled[key] = holds
        await self._follow_drill(holds_lease=holds)

    async def _follow_drill(self, *, holds_lease: bool) -> None:
        """Let trust follow a drill, of this station or of another one of its model and firmware."""
        self._capabilities.know(self._quirks, holds_lease=holds_lease)
        await self._trust.settle()
        self._limiter.set_mode(self._capabilities.mode_after_provisioning())

    def _report_drill(self, status: str) -> None:
        station, job = self._caller.station, Job(status=status, at=self._clock.now())
        self._intake.desk.post(JobReported(station=station, kind="drill", job=job))

    async def _keep_wanted(self, values: Mapping[str, str], keep: bool) -> None:
        """Keep what an operator wrote as the configuration that is to stay, or keep it no longer."""
        station = self._caller.station
        wanted = await self._book.kept(DESIRED, station) or {}
        others = {name: value for name, value in wanted.items() if name not in values}
        after = others | (dict(values) if keep else {})
        if after != wanted:
            await self._book.keep(DESIRED, station, after)

    async def _wanted(self) -> dict[str, str]:
        """Return the configuration to keep: the site file's, and over it what operators wrote."""
        station = self._caller.station
        desired = self._book.desired.get(station)
        wanted = dict(desired.of(self._caller.protocol)) if desired is not None else {}
        return wanted | (await self._book.kept(DESIRED, station) or {})

    async def _reconcile(self) -> None:
        """Bring the configuration that an operator wants to stay into the station; tell of drift."""
        station = self._caller.station
        wanted = await self._wanted()
        if not wanted:
            self._book.end(CONFIG_DRIFT, station)
            return
        drift = await self._actions.reconcile(wanted)
        if not drift:
            self._book.end(CONFIG_DRIFT, station)
            return
        names = ", ".join(f"{name} ({why})" for name, why in sorted(drift.items())[:10])
        self._book.begin(
            CONFIG_DRIFT,
            station,
            f"{station} does not keep its wanted configuration: {names}. Look at the names in its "
            "manual, or take them off the wanted configuration.",
            severity=Severity.WARNING,
        )

    async def _booted(self, info: StationInfo) -> bool:
        """Note a BootNotification; one that we asked for changes nothing at the station.

        Returns:
            Whether the station may go on; a brand-new one waits until its fallback lies.
        """
        self._boot_seen = True
        self._info = info
        await self._recognise(info)
        await self._trust.booted(info)
        if self._capabilities.is_doubted:
            self._limiter.set_mode(self._capabilities.mode_after_provisioning())
        asked_s, self._boot_asked_s = self._boot_asked_s, None
        was_pending, self._is_pending = self._is_pending, False
        if asked_s is not None and self._clock.monotonic_s() - asked_s <= ASKED_BOOT_S:
            return True
        if was_pending:
            return True
        self._is_pending = await self._must_wait(info)
        self._enqueue(None)
        return not self._is_pending

    async def _recognise(self, info: StationInfo) -> None:
        """Take over what is known about the model: shipped quirks, and what a drill has shown."""
        if self._book.catalogue.models:
            self._quirks = self._book.quirks_of(info.vendor, info.model, info.firmware)
        learned = await self._book.kept(MODEL, model_key(info)) or {}
        self._capabilities.recall(learned)
        self._capabilities.know(self._quirks, holds_lease=learned.get("holds_lease"))
        self._report_behaviour()

    def _settled(self, took_s: float) -> None:
        before = self._capabilities.settled_s
        self._capabilities.settled(took_s)
        if self._capabilities.settled_s != before:
            self._has_learned()

    def _doubted(self, evse: EvseId, reason: str) -> None:
        self._book.begin(
            METER_IMPLAUSIBLE,
            evse,
            f"{evse} reports what cannot be: {reason}. It is used for nothing: no limit and no bill "
            "counts it. Look at its meter and at the units in its settings.",
            severity=Severity.WARNING,
            lasts_s=DOUBT_S,
        )

    def _has_learned(self) -> None:
        """Tell what was just learned, and keep it with the next message."""
        self._has_news = True
        self._report_behaviour()

    def _report_behaviour(self) -> None:
        behaviour = self._capabilities.behaviour
        if behaviour != self._behaviour:
            self._behaviour = behaviour
            station = self._caller.station
            self._intake.desk.post(BehaviourFound(station=station, behaviour=behaviour))

    async def _recall(self) -> None:
        """Recognise a station that does not boot on this connection by its last boot."""
        mark = await self._book.kept(READY, self._caller.station)
        if isinstance(mark, dict) and len(mark.get("model", ())) == 4:
            vendor, model, serial, firmware = mark["model"]
            self._info = StationInfo(vendor=vendor, model=model, serial=serial, firmware=firmware)
            await self._recognise(self._info)
        await self._trust.recalled()

    async def _must_wait(self, info: StationInfo) -> bool:
        """Tell whether to answer Pending: once per station, until it is known to hold its fallback."""
        station = self._caller.station
        if not self._book.pending_boots or not self._quirks.takes_pending:
            return False
        if station in self._book.pended:
            return False
        if await self._book.kept(READY, station) == self._ready_mark(info):
            return False
        self._book.pended.add(station)
        return True

    def _ready_mark(self, info: StationInfo) -> dict[str, Any]:
        """Return what has to be the same for a station to count as known to hold its fallback."""
        desk = self._intake.desk
        evses = desk.evses(self._caller.station) or ()
        return {
            "model": [info.vendor, info.model, info.serial, info.firmware],
            "fallback_a": {str(evse): desk.fallback_a(evse) for evse in evses},
        }

    async def _keep_learned(self) -> None:
        """Keep what was learned about the model: units, levels, forms that were taken."""
        if self._info is None:
            return
        known = self._capabilities
        learned = await self._book.kept(MODEL, model_key(self._info)) or {}
        facts = {
            "units": sorted(u.value for u in known.units) if known.units is not None else None,
            "highest_level": known.highest_level,
            "most_profiles": known.most_profiles,
            "default_unit": known.default_form.unit.value if known.default_form else None,
            "limit_purpose": known.limit_form.purpose.value if known.limit_form else None,
            "is_relative": known.limit_form.is_relative if known.limit_form else None,
            "takes_triggers": known.takes_triggers,
            "settled_s": known.settled_s or None,
            "zero_limit": known.zero_limit.value if not known.zero_limit.can_pause else None,
        }
        after = learned | {name: value for name, value in facts.items() if value is not None}
        if after != learned:
            await self._book.keep(MODEL, model_key(self._info), after)

    async def _note_ready(self) -> None:
        """Remember that the station holds its fallback, and let it in where it waits for that."""
        station = self._caller.station
        evses = self._intake.desk.evses(station) or ()
        if self._info is not None and all(e in self._capabilities.defaults_a for e in evses):
            await self._book.keep(READY, station, self._ready_mark(self._info))
        self._book.pended.discard(station)
        if self._is_pending and self._quirks.takes_triggers:
            await self._ask(
                Request(action="TriggerMessage", payload={"requestedMessage": "BootNotification"})
            )

    async def _restore(self) -> None:
        """Put the fallback back after profiles were cleared."""
        self._capabilities.forget_defaults()
        await self._run(hold_fallbacks(self._view(), self._capabilities, self._wire.profile))
        self._limiter.set_mode(self._capabilities.mode_after_provisioning())

    def _enqueue(self, work: SetLimit | DrillOrder | None) -> None:
        if not self._work.full():
            self._work.put_nowait(work)

    async def _boot_within(self, seconds: float | None) -> bool:
        """Wait for the next boot, reading limits back meanwhile; False when the time is over. [s]"""
        try:
            async with asyncio.timeout(seconds):
                while (work := await self._work.get()) is not None:
                    if isinstance(work, DrillOrder):
                        await self._drill(work.evse)
                    else:
                        await self._read_back(work)
        except TimeoutError:
            return False
        return True

    async def _read_back(self, command: SetLimit) -> None:
        """Ask once what the station makes of our limit. A hint for the log: many answer nonsense."""
        form = self._capabilities.limit_form
        unit = form.unit if form is not None else RateUnit.A
        number = int(command.evse.rpartition("/")[2])
        request = self._wire.composite(number, unit, max(1, int(command.lease_s)))
        answer = await self._ask(request)
        log.info(
            "station.composite_schedule",
            station=self._caller.station,
            evse=command.evse,
            limit_a=command.limit_a,
            answer=str(answer.payload)[:300],
        )

    async def _provision(self) -> bool:
        """Run the script once.

        Returns:
            Whether it came to its end; otherwise the station stopped answering.
        """
        self._capabilities.forget_defaults()
        if self._is_pending:
            await self._run(hold_fallbacks(self._view(), self._capabilities, self._wire.profile))
            await self._note_ready()
        view = self._view()
        kept = view.settings.quirks.skipped_keys | (await self._wanted()).keys()
        quirks = replace(view.settings.quirks, skipped_keys=kept)
        view = replace(view, settings=replace(view.settings, quirks=quirks))
        is_complete = await self._run(self._wire.provision(view, self._capabilities))
        if self._capabilities.restart_wanted:
            log.warning("station.restart_wanted", station=self._caller.station)
        self._limiter.set_mode(self._capabilities.mode_after_provisioning())
        await self._note_ready()
        await self._keep_learned()
        await self._reconcile()
        return is_complete

    async def _run(self, steps: Steps) -> bool:
        """Run a script; return whether it came to its end."""
        script = Script(steps)
        step = script.next_step()
        while not isinstance(step, Done):
            answer: Answer | None = None
            match step:
                case FallbackHeld(evse=evse, fallback_a=fallback_a):
                    self._limiter.hold_default(evse, fallback_a)
                case Request():
                    answer = await self._ask(step)
            step = script.next_step(answer)
        return step.is_complete

    def _view(self) -> ProvisioningView:
        desk = self._intake.desk
        evses = sorted(
            desk.evses(self._caller.station) or (), key=lambda e: int(e.rpartition("/")[2])
        )
        return ProvisioningView(
            evses=tuple(self._provisioned(evse, desk.fallback_a(evse)) for evse in evses),
            booted=self._boot_seen,
            settings=replace(self._settings, quirks=self._quirks),
            station_now=lambda: self._intake.skew.station_time(self._clock.now()),
        )

    def _provisioned(self, evse: EvseId, fallback_a: float | None) -> ProvisionedEvse:
        return ProvisionedEvse(
            id=evse,
            number=int(evse.rpartition("/")[2]),
            fallback_a=max(fallback_a or 0.0, self._limiter.floor_a(evse)),
        )

    async def _ask(self, request: Request) -> Answer:
        """Make one CALL.

        Raises:
            CallFailed: The connection has ended.
        """
        asks_boot = request.payload.get("requestedMessage") == "BootNotification"
        if asks_boot:
            self._boot_asked_s = self._clock.monotonic_s()
        try:
            answer = Answer(payload=await self._caller.call(request.action, request.payload))
        except CallFailed as failed:
            if failed.kind == "closed":
                raise
            answer = Answer(failure=failed)
        if asks_boot and answer.status != "Accepted":
            self._boot_asked_s = None
        return answer
