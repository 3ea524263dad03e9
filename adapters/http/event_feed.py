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
    delta: bytes
    """What a client gets that asked for changes only."""

    def body_for(self, client: Subscription) -> bytes:
        """Return what one client gets."""
        return self.delta if client.deltas else self.body


@dataclass(slots=True, eq=False)
class Subscription:
    """One client's bounded queue."""

    queue: asyncio.Queue[bytes]
    deltas: bool = False
    """True: this client asked for what changed from cycle to cycle only."""
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
        self._shown: dict[str, dict[str, dict[str, Any]]] = {}
        self._since_full = 0
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
        self._publish_cycle(self._cycle(live))

    def subscribe(self, last_event_id: str | None, *, deltas: bool = False) -> Subscription:
        """Add a client: it gets what it missed, or the latest frame.

        Args:
            last_event_id: What it saw last.
            deltas: It wants a whole frame at first and then only what changed.

        Raises:
            ProblemError: 503, too many clients.
        """
        if len(self._clients) >= self._settings.max_event_clients:
            raise unavailable(
                f"{len(self._clients)} clients listen already.",
                "Close other dashboards, or poll /api/v1/site.",
                code="too-many-listeners",
            )
        missed = self._missed(last_event_id)
        room = self._settings.event_queue + 2 + len(missed or ())
        client = Subscription(queue=asyncio.Queue(room), deltas=deltas)
        for body in self._backlog(client, missed, is_back=last_event_id is not None):
            client.queue.put_nowait(body)
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

    def _missed(self, last_event_id: str | None) -> list[_Event] | None:
        """Return what a client missed; None: that is not known any more."""
        run, _, number = (last_event_id or "").partition("-")
        if run == self._run and number.isdigit() and len(number) < 16:
            last = int(number)
            if self._ring and self._ring[0].number <= last + 1 <= self._number + 1:
                return [e for e in self._ring if e.number > last]
        return None

    def _backlog(
        self, client: Subscription, missed: list[_Event] | None, *, is_back: bool
    ) -> list[bytes]:
        if missed is not None:
            return [e.body_for(client) for e in missed]
        latest = [self._frame.body] if self._frame is not None else []
        # Without an id there is nothing to miss.
        return [b"event: gap\ndata: {}\n\n", *latest] if is_back else latest

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

    def _publish(self, kind: str, data: Mapping[str, Any]) -> None:
        self._number += 1
        body = self._encoded(kind, data)
        self._send(_Event(number=self._number, body=body, delta=body))

    def _publish_cycle(self, frame: dict[str, Any]) -> None:
        """Publish a whole frame, and for those who want no more, what changed since the last."""
        self._number += 1
        body = self._encoded("cycle", frame)
        before = self._shown
        self._shown = {part: {item["id"]: item for item in frame[part]} for part in _PARTS}
        self._since_full += 1
        if not before or self._since_full >= self._settings.event_full_every:
            self._since_full = 0
            delta = body
        else:
            delta = self._encoded("delta", _changes(before, self._shown, frame))
        self._frame = _Event(number=self._number, body=body, delta=delta)
        self._send(self._frame)

    def _encoded(self, kind: str, data: Mapping[str, Any]) -> bytes:
        head = f"id: {self._run}-{self._number}\nevent: {kind}\ndata: ".encode()
        return head + orjson.dumps(data) + b"\n\n"

    def _send(self, event: _Event) -> None:
        self._keep(event)
        for client in tuple(self._clients):
            try:
                client.queue.put_nowait(event.body_for(client))
            except asyncio.QueueFull:
                client.lagged = True
                client.over.set()
                self._clients.discard(client)

    def _keep(self, event: _Event) -> None:
        self._ring.append(event)
        self._ring_bytes += _size(event)
        most = self._settings.event_ring_bytes
        while len(self._ring) > self._settings.event_ring or self._ring_bytes > most:
            self._ring_bytes -= _size(self._ring.popleft())

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


_PARTS = ("circuits", "evses")


def _size(event: _Event) -> int:
    return len(event.body) + (0 if event.delta is event.body else len(event.delta))


def _changes(
    before: Mapping[str, Mapping[str, Mapping[str, Any]]],
    after: Mapping[str, Mapping[str, Mapping[str, Any]]],
    frame: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a frame with only the circuits and EVSEs that are not as they were."""
    head = {name: value for name, value in frame.items() if name not in _PARTS}
    changed = {
        part: [item for key, item in after[part].items() if before[part].get(key) != item]
        for part in _PARTS
    }
    gone = [key for part in _PARTS for key in before[part] if key not in after[part]]
    return {**head, **changed, "gone": gone}


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
            "wording": status.reason.wording,
            "values": status.reason.values,
        },
    }
