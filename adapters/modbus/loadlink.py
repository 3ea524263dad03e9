"""One controllable load, kept at its limit for as long as the lease of that limit.

To the controller it is a station whose one EVSE is always in use. What OCPP's profiles are there, a
register and the device's watchdog are here: a limit is written again and again so that the watchdog
rests, and never so late that it would outlive its lease. If this process ends, the watchdog acts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

import structlog

from adapters.modbus.loaddevice import (
    AstrayError,
    DeviceError,
    LoadDevice,
    LoadSpec,
    RefusedError,
    UnsentError,
    exceeds,
)
from controller.commands import Applied, CommandResult, NotConnected, Rejected, SetLimit, TimedOut
from controller.decision import Condition, Severity
from controller.ports import Clock, ConditionSink
from controller.readings import EvseSample
from controller.station import (
    EvseSampled,
    EvseState,
    EvseStateChanged,
    FallbackConfirmed,
    LeaseMode,
    LeaseModeFound,
    StationBooted,
    StationConnected,
    StationDisconnected,
    StationEvent,
    StationHeard,
    StationInfo,
    TransactionChanged,
)
from controller.transaction import Transaction, TransactionId

_log = structlog.get_logger()

LOAD: Final = TransactionId("load")
"""A load is always in use; the same id after a restart, so that the ledger goes on. Never stored."""
POLL_S: Final = 2.0
"""How often the limit is read back and the current is read. [s]"""
RETRY_S: Final = 5.0
SILENT_S: Final = 10.0
"""After so long without an answer the load counts as out of reach. [s]"""
REFRESHES: Final = 4
"""A limit is written so often while the watchdog would run out once."""
CORRECT_S: Final = 60.0
"""A device that holds less than it was told is told again at most so often. [s]"""
LATE_S: Final = 15.0
"""A command waits at most so long before it is written; a lease is kept alive so much less. [s]"""
OBEY_FOR_S: Final = 30.0
"""A load that held more than it was told is trusted again after obeying for so long. [s]"""
FORGETS: Final = 3
FORGETS_WITHIN_S: Final = 600.0
"""A limit that was lost so often in so long is no accident: something else writes it. [s]"""
DISOBEYS, OFFLINE, REFUSES = "LOAD_DISOBEYS", "LOAD_OFFLINE", "LOAD_REFUSES"
_TEXTS: Final = {
    DISOBEYS: "{load} holds more than it was told: {why}. Its whole rating is reserved. Look for "
    "another program or energy manager that writes the same registers.",
    OFFLINE: "{load} cannot be reached: {why}. What it may draw by itself stays reserved.",
    REFUSES: "{load} refuses its limit: {why}. What it held before stays reserved. Enable external "
    "control in its settings, and check model and unit.",
}


class Standing(Enum):
    """How far the controller can rely on a load."""

    DOWN = "down"
    """It has not been set up, or does not answer any more."""
    UP = "up"
    ASTRAY = "astray"
    """It answers, and holds more than it was told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grant:
    """The limit that is kept alive."""

    limit_a: float
    until_s: float
    """End of its lease. [s]"""


class LoadLink:
    """Keeps one load at its limit, and tells the controller of it."""

    def __init__(
        self,
        spec: LoadSpec,
        *,
        device: LoadDevice,
        turn: asyncio.Lock,
        post: Callable[[StationEvent], None],
        conditions: ConditionSink,
        clock: Clock,
    ) -> None:
        """Prepare; `announce` and `run` start it.

        Args:
            spec: The load.
            device: Speaks with it.
            turn: Held while something is asked: loads on one line take turns.
            post: Takes what there is to tell.
            conditions: Takes what is wrong.
            clock: Time.
        """
        self.spec = spec
        self.standing = Standing.DOWN
        self._device = device
        self._turn = turn
        self._post = post
        self._conditions = conditions
        self._clock = clock
        self._grant: _Grant | None = None
        self._unsure_a: float | None = None
        self._written_s = float("-inf")
        self._heard_s = float("-inf")
        self._obeys_since_s: float | None = None
        self._forgot_s: list[float] = []
        self._lease_mode = LeaseMode.LEASED if spec.watchdog_s is not None else LeaseMode.PERMANENT

    def announce(self, at: datetime) -> None:
        """Tell that it is there, before a decision could take its last run's grants for ended."""
        evse = self.spec.evse
        transaction = Transaction(
            id=LOAD,
            station=evse.station,
            evse=evse.id,
            id_token=None,
            started_at=at,
            start_wh=None,
        )
        self._post(TransactionChanged(transaction=transaction))
        self._post(LeaseModeFound(station=evse.station, mode=self._lease_mode))

    async def run(self) -> None:
        """Set it up, watch it and keep its limit alive until cancelled."""
        while True:
            await self.watch()
            await asyncio.sleep(POLL_S if self.standing is not Standing.DOWN else RETRY_S)

    async def leave(self) -> None:
        """Bring it to its fallback, if it still listens: nobody will keep its limit any more."""
        async with self._turn:
            if self.standing is Standing.UP:
                try:
                    await self._put(self.spec.evse.fallback_a)
                except DeviceError as error:
                    _log.warning("load.left", load=self.spec.evse.station, fault=str(error))
            self.standing = Standing.DOWN
            self._disconnect(self._lease_mode)
            self._end_conditions()

    async def apply(self, command: SetLimit) -> CommandResult:
        """Write a limit and read it back."""
        async with self._turn:
            if self.standing is not Standing.UP:
                return NotConnected()
            until_s = self._clock.monotonic_s() + command.lease_s
            self._doubt(command.limit_a)
            try:
                await self._put(command.limit_a)
            except AstrayError as error:
                self._go_astray(str(error))
                return Rejected(reason=str(error))
            except RefusedError as error:
                self._begin(REFUSES, str(error))
                return Rejected(reason=str(error))
            except UnsentError:
                return NotConnected()
            except DeviceError:
                return TimedOut()
            self._grant = _Grant(limit_a=command.limit_a, until_s=until_s)
            self._conditions.end(REFUSES, self.spec.evse.id)
            return Applied(self_expiring=self.spec.watchdog_s is not None)

    def _doubt(self, limit_a: float) -> None:
        """Take into account that a limit may or may not arrive: the lower one is kept alive."""
        self._unsure_a = max(limit_a, self._unsure_a or 0.0)
        if self._grant is not None:
            lower_a = min(limit_a, self._grant.limit_a)
            self._grant = _Grant(limit_a=lower_a, until_s=self._grant.until_s)

    # --- watching ---------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Look once: set up what is down, keep alive what is up, tame what went astray."""
        async with self._turn:
            await self._watch()

    async def _watch(self) -> None:
        try:
            match self.standing:
                case Standing.DOWN:
                    await self._device.set_up(self.spec.evse.fallback_a)
                    self._rise()
                case Standing.UP:
                    await self._look()
                case Standing.ASTRAY:
                    await self._tame()
        except AstrayError as error:
            self._go_astray(str(error))
        except DeviceError as error:
            self._lose(str(error))
        else:
            self._heard_s = self._clock.monotonic_s()

    async def _look(self) -> None:
        """Read back, keep the limit alive, and tell what the load draws."""
        expected_a = self._in_force_a()
        held_a = await self._device.held_a()
        is_lower = exceeds(self._device.rounded_a(expected_a), held_a)
        if exceeds(held_a, max(expected_a, self._unsure_a or 0.0)):
            await self._remind(held_a, expected_a)
        elif exceeds(held_a, expected_a) or self._is_due(is_lower=is_lower):
            await self._put(expected_a)
        self._post(StationHeard(station=self.spec.evse.station))
        drawn_a = await self._device.measured_a()
        if drawn_a is not None:
            sample = EvseSample(terminal_a=drawn_a)
            self._post(EvseSampled(evse=self.spec.evse.id, sample=sample))

    def _is_due(self, *, is_lower: bool) -> bool:
        """Tell whether the limit has to be written again: for the watchdog, or as it is not held."""
        idle_s = self._clock.monotonic_s() - self._written_s
        watchdog_s = self.spec.watchdog_s
        if watchdog_s is not None and idle_s >= watchdog_s / REFRESHES:
            return True
        return is_lower and idle_s >= CORRECT_S

    async def _remind(self, held_a: float, expected_a: float) -> None:
        """Set up a device anew that holds more than it was told: it may have been restarted."""
        now_s = self._clock.monotonic_s()
        self._forgot_s = [s for s in self._forgot_s if now_s - s < FORGETS_WITHIN_S] + [now_s]
        told = f"its register says {held_a:.1f} A where {expected_a:.1f} A was written"
        _log.warning("load.forgot", load=self.spec.evse.station, fault=told)
        try:
            await self._device.set_up(expected_a)
        except DeviceError as error:
            raise AstrayError(f"{told}, and {error}") from error
        if len(self._forgot_s) >= FORGETS:
            raise AstrayError(f"{told}, {len(self._forgot_s)} times in ten minutes")

    async def _tame(self) -> None:
        """Write the fallback until it has been held for long enough."""
        fallback_a, now_s = self.spec.evse.fallback_a, self._clock.monotonic_s()
        if exceeds(await self._device.held_a(), fallback_a):
            self._obeys_since_s = None
        await self._device.set_up(fallback_a)
        if self._obeys_since_s is None:
            self._obeys_since_s = now_s
        elif now_s - self._obeys_since_s >= OBEY_FOR_S:
            self._rise()

    async def _put(self, limit_a: float) -> None:
        await self._device.put(limit_a)
        self._written_s, self._unsure_a = self._clock.monotonic_s(), None

    def _in_force_a(self) -> float:
        """Return the limit to be held now: never so long that it could outlive its lease. [A]"""
        grant = self._grant
        if grant is None:
            return self.spec.evse.fallback_a
        outlasts_s = LATE_S + (self.spec.watchdog_s or 0.0)
        if self._clock.monotonic_s() + outlasts_s < grant.until_s:
            return grant.limit_a
        return min(grant.limit_a, self.spec.evse.fallback_a)

    # --- standing ---------------------------------------------------------------------------------

    def _rise(self) -> None:
        """Tell that it is at its fallback and under control."""
        evse, found = self.spec.evse, self.spec.load_map
        self.standing, self._grant, self._unsure_a = Standing.UP, None, None
        self._obeys_since_s, self._forgot_s = None, []
        self._written_s = self._clock.monotonic_s()
        self._end_conditions()
        info = StationInfo(vendor=found.maker, model=found.model)
        self._post(StationConnected(station=evse.station, protocol="modbus"))
        self._post(StationBooted(station=evse.station, info=info))
        self._post(LeaseModeFound(station=evse.station, mode=self._lease_mode))
        self._post(FallbackConfirmed(evse=evse.id, fallback_a=evse.fallback_a))
        self._post(EvseStateChanged(evse=evse.id, state=EvseState.CHARGING))
        _log.info("load.up", load=evse.station)

    def _go_astray(self, text: str) -> None:
        """Tell that it holds more than it was told: its whole rating counts, as if out of reach."""
        if self.standing is not Standing.ASTRAY:
            _log.warning("load.astray", load=self.spec.evse.station, fault=text)
        self.standing, self._grant, self._obeys_since_s = Standing.ASTRAY, None, None
        self._begin(DISOBEYS, text)
        self._disconnect(LeaseMode.PERMANENT)

    def _lose(self, text: str) -> None:
        """Tell that it is out of reach, once it has been so for long enough."""
        is_up = self.standing is Standing.UP
        if is_up and self._clock.monotonic_s() - self._heard_s < SILENT_S:
            return
        self._obeys_since_s = None
        self._begin(OFFLINE, text)
        if is_up:
            _log.warning("load.lost", load=self.spec.evse.station, fault=text)
            self.standing, self._grant = Standing.DOWN, None
            self._disconnect(self._lease_mode)

    def _disconnect(self, mode: LeaseMode) -> None:
        station = self.spec.evse.station
        self._post(LeaseModeFound(station=station, mode=mode))
        self._post(StationDisconnected(station=station))

    def _begin(self, code: str, why: str) -> None:
        evse = self.spec.evse
        condition = Condition(
            code=code,
            subject=evse.id,
            text=_TEXTS[code].format(load=evse.station, why=why),
            severity=Severity.WARNING if code == OFFLINE else Severity.ALARM,
            values={"load": evse.station, "why": why},
        )
        self._conditions.begin(condition)

    def _end_conditions(self) -> None:
        for code in (DISOBEYS, OFFLINE, REFUSES):
            self._conditions.end(code, self.spec.evse.id)
