"""Alarms on their way to people: grouped, held back at night, tried again, never in the way."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from random import Random

import structlog

from adapters.notify.delivery import DeliveryError, deliver
from adapters.notify.messages import TEST, Message, told
from adapters.notify.settings import Email, NotifySettings, Target
from controller.decision import Alarm, Condition, Severity
from controller.notices import TargetView
from controller.ports import Clock, ConditionSink

log = structlog.get_logger(__name__)

UNDELIVERED = "NOTIFICATION_UNDELIVERED"
CAPACITY = 200
"""Messages that wait for one target; beyond it the oldest go."""
FIRST_RETRY_S = 2.0
LONGEST_RETRY_S = 600.0
GIVE_UP_S = 86_400.0
"""A message that could not be delivered for so long is of no use any more. [s]"""
_LOOK_S = 1.0
_TOLD_AT_NIGHT = frozenset({Severity.ALARM, Severity.CRITICAL})


class _Line:
    """The messages for one target, and how it goes."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.waiting: deque[Message] = deque(maxlen=CAPACITY)
        self.arrived = asyncio.Event()
        self.delivered_at: datetime | None = None
        self.fault = ""

    def put(self, message: Message) -> None:
        self.waiting.append(message)
        self.arrived.set()


class Notifier:
    """Implements `Notifications`. Control loop only; `post` returns at once."""

    def __init__(
        self, settings: NotifySettings, *, conditions: ConditionSink, clock: Clock
    ) -> None:
        """Prepare; `run` delivers.

        Args:
            settings: Who is told.
            conditions: Where to report that somebody cannot be told.
            clock: Time.
        """
        self._conditions = conditions
        self._clock = clock
        self._random = Random()
        self._settings = settings
        self._lines = {t.name: _Line(t) for t in settings.targets}
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._held: list[Alarm] = []
        self._held_since_s: float | None = None
        self._is_running = False

    def configure(self, settings: NotifySettings) -> None:
        """Tell others from now on; what waits for a target that stays, stays."""
        old, self._settings = self._lines, settings
        self._lines = {}
        for target in settings.targets:
            line = old.pop(target.name, None)
            if line is None or line.target != target:
                fresh = _Line(target)
                fresh.waiting.extend(line.waiting if line is not None else ())
                self._stop(target.name)
                line = fresh
            self._lines[target.name] = line
        for name in old:
            self._stop(name)
            self._conditions.end(UNDELIVERED, name)
        if self._is_running:
            self._start()

    # --- alarms -----------------------------------------------------------------------------------

    def post(self, changes: Sequence[Alarm]) -> None:
        """Take alarms that began or ended."""
        news = [a for a in changes if a.condition.code != UNDELIVERED]
        if not news or not self._lines:
            return
        if self._held_since_s is None:
            self._held_since_s = self._clock.monotonic_s()
        self._held.extend(news)
        del self._held[:-1000]
        if any(a.condition.severity is Severity.CRITICAL for a in news):
            self._hand_over()

    async def run(self) -> None:
        """Deliver until cancelled."""
        self._is_running = True
        self._start()
        try:
            while True:
                await asyncio.sleep(min(_LOOK_S, max(0.02, self._settings.group_s)))
                since_s = self._held_since_s
                now_s = self._clock.monotonic_s()
                if since_s is not None and now_s - since_s >= self._settings.group_s:
                    self._hand_over()
        finally:
            self._is_running = False
            for name in tuple(self._workers):
                self._stop(name)

    def _hand_over(self) -> None:
        """Give what is due to everybody; at night only what cannot wait."""
        now = self._clock.now()
        kept: list[Alarm] = []
        if self._settings.is_quiet(now):
            kept = [a for a in self._held if a.condition.severity not in _TOLD_AT_NIGHT]
        due = [a for a in self._held if a not in kept]
        self._held = kept
        self._held_since_s = self._clock.monotonic_s() if kept else None
        for line in self._lines.values():
            alarms = told(due, line.target.least)
            if alarms:
                line.put(Message(id=secrets.token_hex(8), at=now, alarms=alarms))

    # --- delivery ---------------------------------------------------------------------------------

    def _start(self) -> None:
        for name, line in self._lines.items():
            if name not in self._workers:
                self._workers[name] = asyncio.create_task(self._serve(line), name=f"notify-{name}")

    def _stop(self, name: str) -> None:
        worker = self._workers.pop(name, None)
        if worker is not None:
            worker.cancel()

    async def _serve(self, line: _Line) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            while not line.waiting:
                line.arrived.clear()
                await line.arrived.wait()
            message = line.waiting[0]
            if await self._attempt(line, message):
                retry_s = FIRST_RETRY_S
            else:
                await asyncio.sleep(retry_s * self._random.uniform(0.8, 1.2))
                retry_s = min(2 * retry_s, LONGEST_RETRY_S)
                age_s = (self._clock.now() - message.at).total_seconds()
                if age_s < GIVE_UP_S:
                    continue
            if line.waiting and line.waiting[0] is message:
                line.waiting.popleft()

    async def _attempt(self, line: _Line, message: Message) -> bool:
        name = line.target.name
        try:
            await deliver(line.target, message, self._settings)
        except DeliveryError as error:
            self._failed(line, str(error))
            return False
        except Exception as error:
            # One target's defect must not silence the others.
            log.exception("notify.defect", target=name)
            self._failed(line, f"an internal defect ({type(error).__name__})")
            return False
        if line.fault:
            log.info("notify.mended", target=name)
        line.fault = ""
        line.delivered_at = self._clock.now()
        self._conditions.end(UNDELIVERED, name)
        return True

    def _failed(self, line: _Line, fault: str) -> None:
        if not line.fault:
            log.warning("notify.undelivered", target=line.target.name, fault=fault)
        line.fault = fault
        self._conditions.begin(
            Condition(
                code=UNDELIVERED,
                subject=line.target.name,
                text=f"{line.target.name} cannot be told of alarms: {fault}. It is tried again; "
                "check `notifications:` in the site file, and use the test button.",
                severity=Severity.WARNING,
                values={"fault": fault},
            )
        )

    # --- the dashboard ----------------------------------------------------------------------------

    def targets(self) -> tuple[TargetView, ...]:
        """List who is told."""
        return tuple(
            TargetView(
                name=name,
                kind="email" if isinstance(line.target, Email) else "webhook",
                address=_address(line.target),
                least=line.target.least.value,
                waiting=len(line.waiting),
                delivered_at=line.delivered_at,
                fault=line.fault,
            )
            for name, line in self._lines.items()
        )

    async def test(self, target: str) -> str:
        """Send a test message now; return why it failed, or nothing.

        Raises:
            KeyError: There is no such target.
        """
        line = self._lines[target]
        now = self._clock.now()
        alarm = Alarm(condition=TEST, begin=now)
        message = Message(id=secrets.token_hex(8), at=now, alarms=(alarm,))
        return "" if await self._attempt(line, message) else line.fault


def _address(target: Target) -> str:
    """Show where a target is, without what may be a secret in an address's query."""
    if isinstance(target, Email):
        return ", ".join(target.to)
    return target.url.partition("?")[0]
