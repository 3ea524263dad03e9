"""Live events: one frame per cycle, and every begin, end and change between two frames."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog

from adapters.http import views
from adapters.http.live import Live
from adapters.http.models import rfc3339
from adapters.http.problems import unavailable
from adapters.http.settings import HttpSettings
from controller.decision import Alarm, EvseStatus, Plan
from controller.phases import PhaseCurrents
from controller.ports import Clock, Control
from controller.site import EvseId

log = structlog.get_logger(__name__)

HEARTBEAT = b": heartbeat\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    number: int
    body: bytes


@dataclass(slots=True, eq=False)
class Subscription:
    """One client's bounded queue."""

    queue: asyncio.Queue[bytes]
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the feed gave up on this client or stopped."""
    lagged: bool = False
    """True: this client was too slow."""


class EventFeed:
    """Watches the controller and hands events to every client; never waits for one.

    Lives on the HTTP loop. Event ids are `run-number`; the run changes with every start, so that an
    id of an earlier run is never mistaken for one of this run.
    """

    def __init__(self, *, control: Control, clock: Clock, settings: HttpSettings) -> None:
        self._control = control
        self._clock = clock
        self._settings = settings
        self._run = secrets.token_hex(4)
        self._number = 0
        self._ring: deque[_Event] = deque()
        self._ring_bytes = 0
        self._frame: _Event | None = None
        self._plan: Plan | None = None
        self._alarms: Mapping[tuple[str, str, str], Alarm] = {}
        self._clients: set[Subscription] = set()

    @property
    def clients(self) -> int:
        """Number of clients listening."""
        return len(self._clients)

    async def run(self) -> None:
        """Watch for ever."""
        broken = False
        while True:
            try:
                self.poll()
            except Exception as error:
                if not broken:
                    log.exception("http.feed_broken", error=repr(error))
                broken = True
            else:
                if broken:
                    log.info("http.feed_mended")
                broken = False
            await asyncio.sleep(self._settings.poll_s)

    def poll(self) -> None:
        """Look once; publish what is new."""
        self._poll_alarms()
        plan = self._control.plan()
        snapshot = self._control.snapshot()
        if plan is None or snapshot is None or plan is self._plan:
            return
        before, self._plan = self._plan, plan
        if before is not None:
            for status in plan.evses.values():
                self._publish_change(before.evses.get(status.id), status, plan)
        live = Live(plan=plan, snapshot=snapshot, overrides=self._control.overrides())
        self._frame = self._publish("cycle", self._cycle(live))

    def subscribe(self, last_event_id: str | None) -> Subscription:
        """Add a client: it gets what it missed, or the latest frame.

        Raises:
            ProblemError: 503, too many clients.
        """
        if len(self._clients) >= self._settings.max_event_clients:
            raise unavailable(
                f"{len(self._clients)} clients listen already.",
                "Close other dashboards, or poll /api/v1/site.",
                code="too-many-listeners",
            )
        backlog = self._backlog(last_event_id)
        queue: asyncio.Queue[bytes] = asyncio.Queue(self._settings.event_queue + len(backlog))
        for body in backlog:
            queue.put_nowait(body)
        client = Subscription(queue=queue)
        self._clients.add(client)
        return client

    def unsubscribe(self, client: Subscription) -> None:
        """Forget a client."""
        self._clients.discard(client)

    def close(self) -> None:
        """End all streams."""
        for client in tuple(self._clients):
            client.over.set()
        self._clients.clear()

    def _backlog(self, last_event_id: str | None) -> list[bytes]:
        run, _, number = (last_event_id or "").partition("-")
        if run == self._run and number.isdigit() and len(number) < 16:
            last = int(number)
            if self._ring and self._ring[0].number <= last + 1 <= self._number + 1:
                return [e.body for e in self._ring if e.number > last]
        latest = [self._frame.body] if self._frame is not None else []
        # Without an id there is nothing to miss.
        return [b"event: gap\ndata: {}\n\n", *latest] if last_event_id else latest

    def _poll_alarms(self) -> None:
        now = {_alarm_key(a): a for a in self._control.alarms()}
        for key, entry in now.items():
            if key not in self._alarms:
                self._publish("alarm", views.alarm(entry).model_dump(mode="json"))
        for key, entry in self._alarms.items():
            if key not in now:
                ended = views.alarm(entry).model_dump(mode="json")
                self._publish("alarm", {**ended, "end": rfc3339(self._clock.now())})
        self._alarms = now

    def _publish_change(self, before: EvseStatus | None, after: EvseStatus, plan: Plan) -> None:
        if before is not None and _kind(before) == _kind(after):
            return
        self._publish(
            "state",
            {
                "id": after.id,
                "at": rfc3339(plan.at),
                "state": after.state.value,
                "connected": after.connected,
                "session_id": _session(after),
                "before": before.state.value if before is not None else None,
            },
        )

    def _publish(self, kind: str, data: Mapping[str, Any]) -> _Event:
        self._number += 1
        text = orjson.dumps(data)
        head = f"id: {self._run}-{self._number}\nevent: {kind}\ndata: ".encode()
        event = _Event(number=self._number, body=head + text + b"\n\n")
        self._keep(event)
        for client in tuple(self._clients):
            try:
                client.queue.put_nowait(event.body)
            except asyncio.QueueFull:
                client.lagged = True
                client.over.set()
                self._clients.discard(client)
        return event

    def _keep(self, event: _Event) -> None:
        self._ring.append(event)
        self._ring_bytes += len(event.body)
        most = self._settings.event_ring_bytes
        while len(self._ring) > self._settings.event_ring or self._ring_bytes > most:
            self._ring_bytes -= len(self._ring.popleft().body)

    def _cycle(self, live: Live) -> dict[str, Any]:
        plan = live.plan
        stats = self._control.stats()
        cycle = views.last_cycle(plan, stats=stats, now_s=self._clock.monotonic_s())
        return {
            "at": rfc3339(plan.at),
            "mode": plan.mode.value,
            "last_cycle": cycle.model_dump(mode="json"),
            "alarms": len(self._alarms),
            "circuits": [c.model_dump(mode="json") for c in views.circuits(live)],
            "evses": [_compact(live, s) for _, s in sorted(plan.evses.items(), key=_by_place)],
        }


def _by_place(item: tuple[EvseId, EvseStatus]) -> tuple[str, int]:
    station, _, number = item[0].rpartition("/")
    return station, int(number)


def _alarm_key(entry: Alarm) -> tuple[str, str, str]:
    return entry.condition.code, entry.condition.subject, entry.begin.isoformat()


def _session(status: EvseStatus) -> str | None:
    if status.transaction is None:
        return None
    return f"{status.id.rpartition('/')[0]}/{status.transaction}"


def _kind(status: EvseStatus) -> tuple[str, bool, str | None]:
    return status.state.value, status.connected, status.transaction


def _figures(current: PhaseCurrents | None) -> dict[str, float | None] | None:
    if current is None:
        return None
    l1, l2, l3 = (views.figure(x) for x in current)
    return {"l1": l1, "l2": l2, "l3": l3}


def _compact(live: Live, status: EvseStatus) -> dict[str, Any]:
    built = live.built(status.id)
    until = views.lease_until(live.plan, status)
    return {
        "id": status.id,
        "circuit": built.circuit if built else None,
        "state": status.state.value,
        "connected": status.connected,
        "drawn_a": _figures(status.drawn_a),
        "power_w": views.figure(status.power_w),
        "energy_wh": views.figure(status.energy_wh),
        "soc_percent": views.figure(status.soc_percent),
        "setpoint_a": views.figure(status.setpoint_a),
        "committed_a": views.figure(status.committed_a),
        "lease_until": rfc3339(until) if until else None,
        "session_id": _session(status),
        "id_token": views.id_token(status.id_token, whole=False),
        "paused": live.override(status.id).paused,
        "reason": {
            "code": status.reason.code.value,
            "text": status.reason.text,
            "bound_by": status.reason.bound_by or None,
        },
    }
