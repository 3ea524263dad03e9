"""The part of a connection that is the same in both versions: provisioning, limits, actions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from adapters.ocpp.capabilities import Capabilities
from adapters.ocpp.dialect import Caller, CallFailed, Received
from adapters.ocpp.intake import Intake
from adapters.ocpp.limiter import Limiter, result_of
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
)
from adapters.ocpp.translation import DialectSettings
from controller.commands import (
    ActionRequest,
    Applied,
    CommandResult,
    Rejected,
    SetLimit,
    StationAction,
    TimedOut,
)
from controller.ports import Clock, StationDesk
from controller.site import EvseId
from controller.transaction import TransactionId

log = structlog.get_logger(__name__)

ACCEPTING = frozenset({"Accepted", "Unlocked", "Scheduled"})
"""Answers that mean yes, of all actions."""
ASKED_BOOT_S = 30.0
"""A BootNotification so soon after we asked for one is the one we asked for. [s]"""


class ActionWriter(Protocol):
    """Writes an operator's action; text says why there is no request."""

    def __call__(
        self,
        action: StationAction,
        *,
        connector: int | None,
        argument: str,
        running: TransactionId | None,
    ) -> Request | str:
        """Write one action."""


class Inbound(Protocol):
    """Answers a station's CALLs."""

    async def answer(
        self, action: str, payload: dict[str, Any], received: Received
    ) -> dict[str, Any]:
        """Answer one CALL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """How one version writes what we ask."""

    profile: Callable[[ChargingProfile], dict[str, Any]]
    action: ActionWriter
    composite: Callable[[int, RateUnit, int], Request]
    provision: Callable[[ProvisioningView, Capabilities], Steps]
    transaction_may_be_left_out: bool


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
        inbound: Callable[[Intake, Callable[[], None]], Inbound],
    ) -> None:
        self._caller = caller
        self._clock = clock
        self._settings = settings
        self._wire = wire
        self._capabilities = Capabilities()
        self._intake = Intake(caller.station, desk=desk, clock=clock, settings=settings)
        self._inbound = inbound(self._intake, self._booted)
        self._limiter = Limiter(
            caller,
            intake=self._intake,
            clock=clock,
            settings=settings,
            capabilities=self._capabilities,
            write=wire.profile,
            transaction_may_be_left_out=wire.transaction_may_be_left_out,
        )
        self._boot_seen = False
        self._boot_asked_s: float | None = None
        self._was_read_back = False
        self._work: asyncio.Queue[SetLimit | None] = asyncio.Queue(maxsize=4)
        """A limit to read back; None: the station booted."""

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

    async def on_open(self) -> None:
        """Provision the station, again after each boot, and read the first limit back."""
        quirks = self._settings.quirks
        try:
            has_booted = await self._boot_within(quirks.boot_wait_s)
            while True:
                if has_booted:
                    await asyncio.sleep(quirks.boot_settle_s)
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
        number = None if request.evse is None else int(request.evse.rpartition("/")[2])
        running = None if request.evse is None else self._intake.running(request.evse)
        written = self._wire.action(
            request.action, connector=number, argument=request.argument.strip(), running=running
        )
        if isinstance(written, str):
            return Rejected(reason=written)
        try:
            async with asyncio.timeout(self._settings.command_timeout_s):
                answer = await self._caller.call(written.action, written.payload)
        except TimeoutError:
            return TimedOut()
        except CallFailed as failed:
            return result_of(failed)
        status = str(answer.get("status", ""))
        return Applied(self_expiring=False) if status in ACCEPTING else Rejected(reason=status)

    def _booted(self) -> None:
        """Note a BootNotification; one that we asked for changes nothing at the station."""
        self._boot_seen = True
        asked_s, self._boot_asked_s = self._boot_asked_s, None
        if asked_s is None or self._clock.monotonic_s() - asked_s > ASKED_BOOT_S:
            self._enqueue(None)

    def _enqueue(self, work: SetLimit | None) -> None:
        if not self._work.full():
            self._work.put_nowait(work)

    async def _boot_within(self, seconds: float | None) -> bool:
        """Wait for the next boot, reading limits back meanwhile; False when the time is over. [s]"""
        try:
            async with asyncio.timeout(seconds):
                while (command := await self._work.get()) is not None:
                    await self._read_back(command)
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
        view = self._view()
        script = Script(self._wire.provision(view, self._capabilities))
        step = script.next_step()
        while not isinstance(step, Done):
            answer: Answer | None = None
            match step:
                case FallbackHeld(evse=evse, fallback_a=fallback_a):
                    self._limiter.hold_default(evse, fallback_a)
                case Request():
                    answer = await self._ask(step)
            step = script.next_step(answer)
        if self._capabilities.restart_wanted:
            log.warning("station.restart_wanted", station=self._caller.station)
        self._limiter.set_mode(self._capabilities.mode_after_provisioning())
        return step.is_complete

    def _view(self) -> ProvisioningView:
        desk = self._intake.desk
        evses = sorted(
            desk.evses(self._caller.station) or (), key=lambda e: int(e.rpartition("/")[2])
        )
        return ProvisioningView(
            evses=tuple(self._provisioned(evse, desk.fallback_a(evse)) for evse in evses),
            booted=self._boot_seen,
            settings=self._settings,
            station_now=lambda: self._intake.skew.station_time(self._clock.now()),
        )

    @staticmethod
    def _provisioned(evse: EvseId, fallback_a: float | None) -> ProvisionedEvse:
        return ProvisionedEvse(
            id=evse, number=int(evse.rpartition("/")[2]), fallback_a=fallback_a or 0.0
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
