"""One OCPP-J conversation over one websocket.

Receiving, handling, calling and keeping alive are separate tasks: a slow handler never keeps an
answer from being read, and neither a frame nor a handler can end the conversation.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any, Final, Protocol
from uuid import uuid4

import structlog
from websockets.exceptions import ConnectionClosed

from adapters.ocpp import frames
from adapters.ocpp.dialect import CallError, CallFailed, Dialect, Received
from adapters.ocpp.redaction import redacted
from adapters.ocpp.schemas import Checked, check_inbound, check_outbound
from adapters.ocpp.settings import OcppSettings
from adapters.ocpp.throttle import Bucket
from controller.ports import Clock, StationDesk
from controller.site import StationId
from controller.station import FrameLogged, StationHeard

log = structlog.get_logger()

_HEARD_EVERY_S: Final = 1.0
_COMPLAIN_EVERY_S: Final = 1.0
_YIELD_EVERY: Final = 8
"""Frames taken before other stations get their turn."""
_PING_AFTER_TIMEOUTS: Final = 2
_CLOSE_AFTER_TIMEOUTS: Final = 3
_RESULT_COST: Final = 0.05
"""Tokens of an answer frame: it is looked up and dropped when unknown, no handler runs."""
_BYTES_PER_TOKEN: Final = 8192
_TOKENS_PER_BUSY_S: Final = 1000.0
"""Tokens of a second spent on checking and repairing. [1/s]"""
_MAX_REPAIRS_KNOWN: Final = 200
_ON_CLOSE_S: Final = 10.0


class Socket(Protocol):
    """What a session needs of a websocket."""

    transport: asyncio.Transport

    async def recv(self, decode: bool | None = None) -> Any:
        """Return the next message; raise ConnectionClosed at the end."""

    async def send(self, message: str) -> None:
        """Send a text message."""

    async def ping(self) -> Any:
        """Send a ping; return a future that the pong completes."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close with a handshake."""


@dataclass(slots=True)
class SessionStats:
    """Counters of one connection."""

    frames: int = 0
    malformed: int = 0
    unknown_answers: int = 0
    """CALLRESULTs and CALLERRORs that no CALL of ours waits for."""
    dropped_calls: int = 0
    """CALLs beyond the bounded queue."""
    timeouts: int = 0


@dataclass(slots=True, eq=False)
class _Waiting:
    """A CALL of ours from `call()` until its answer."""

    action: str
    payload: dict[str, Any]
    timeout_s: float
    replaces: str | None
    answer: asyncio.Future[dict[str, Any]]

    def fail(self, failure: CallFailed) -> None:
        """Tell the caller, unless it has left."""
        if not self.answer.done():
            self.answer.set_exception(failure)


class _Outbox:
    """CALLs that wait: urgent ones first, each kind in order, one per `replaces` key."""

    def __init__(self) -> None:
        self._urgent: deque[_Waiting] = deque()
        self._normal: deque[_Waiting] = deque()
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._urgent) + len(self._normal)

    def put(self, waiting: _Waiting, *, urgent: bool) -> None:
        """Add a call; it takes the place of the one it replaces where that is no step back."""
        replaced = self._replaced_by(waiting)
        self._filled.set()
        if replaced is not None:
            queue, index = replaced
            old = queue[index]
            old.fail(CallFailed("closed", "Superseded", "a newer call took its place"))
            if queue is self._urgent or not urgent:
                queue[index] = waiting
                return
            queue.remove(old)
        (self._urgent if urgent else self._normal).append(waiting)

    async def pop(self) -> _Waiting:
        """Wait for the next call whose caller still waits."""
        while True:
            while self._urgent or self._normal:
                waiting = (self._urgent or self._normal).popleft()
                if not waiting.answer.done():
                    return waiting
            self._filled.clear()
            await self._filled.wait()

    def discard_abandoned(self) -> None:
        """Forget calls whose callers have left."""
        self._urgent = deque(w for w in self._urgent if not w.answer.done())
        self._normal = deque(w for w in self._normal if not w.answer.done())

    def fail_all(self, failure: CallFailed) -> None:
        """Fail and forget everything that waits."""
        for waiting in (*self._urgent, *self._normal):
            waiting.fail(failure)
        self._urgent.clear()
        self._normal.clear()

    def _replaced_by(self, waiting: _Waiting) -> tuple[deque[_Waiting], int] | None:
        if waiting.replaces is None:
            return None
        for queue in (self._urgent, self._normal):
            for index, old in enumerate(queue):
                if old.replaces == waiting.replaces and not old.answer.done():
                    return queue, index
        return None


class Session:
    """The conversation with one station over one connection. Implements `Caller`."""

    def __init__(
        self,
        *,
        station: StationId,
        protocol: str,
        socket: Socket,
        settings: OcppSettings,
        desk: StationDesk,
        clock: Clock,
    ) -> None:
        self.station = station
        self.protocol = protocol
        self.stats = SessionStats()
        self._socket = socket
        self._settings = settings
        self._desk = desk
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._outbox = _Outbox()
        self._inbox: asyncio.Queue[tuple[frames.Call | frames.Malformed, Received]] = asyncio.Queue(
            settings.max_unhandled_calls
        )
        self._pending: dict[str, tuple[str, asyncio.Future[frames.Frame]]] = {}
        self._bucket = Bucket(
            settings.frames_per_s,
            float(settings.frames_burst),
            float(settings.frames_burst),
            self._loop.time(),
        )
        self._is_closed = False
        self._frame_at_s = self._loop.time()
        self._heard_at_s: float | None = None
        self._timeouts_in_row = 0
        self._complained_at_s = -_COMPLAIN_EVERY_S
        self._unlogged = 0
        self._repairs_known: set[str] = set()

    # --- calling ----------------------------------------------------------------------------------

    async def call(
        self,
        action: str,
        payload: dict[str, Any],
        *,
        timeout_s: float | None = None,
        urgent: bool = False,
        replaces: str | None = None,
    ) -> dict[str, Any]:
        """Send a CALL and wait for its answer; see `Caller`."""
        checked = check_outbound(self.protocol, action, payload)
        if checked.fault is not None:
            raise CallFailed("invalid", checked.fault.code, checked.fault.description)
        if self._is_closed:
            raise CallFailed("closed", "ConnectionClosed", "the connection has ended")
        if len(self._outbox) >= self._settings.max_waiting_calls:
            self._outbox.discard_abandoned()
        if len(self._outbox) >= self._settings.max_waiting_calls:
            raise CallFailed("closed", "OutboxFull", "too many calls wait for this station")
        waiting = _Waiting(
            action=action,
            payload=checked.payload,
            timeout_s=self._settings.call_timeout_s if timeout_s is None else timeout_s,
            replaces=replaces,
            answer=self._loop.create_future(),
        )
        self._outbox.put(waiting, urgent=urgent)
        return await waiting.answer

    async def _send_calls(self) -> None:
        """Send what waits, one CALL in flight."""
        while True:
            waiting = await self._outbox.pop()
            try:
                await self._perform(waiting)
            finally:
                waiting.fail(CallFailed("closed", "ConnectionClosed", "the connection has ended"))

    async def _perform(self, waiting: _Waiting) -> None:
        """Send one CALL and wait for its answer, even when its caller has left."""
        unique_id = str(uuid4())
        answer: asyncio.Future[frames.Frame] = self._loop.create_future()
        self._pending[unique_id] = (waiting.action, answer)
        try:
            text = frames.encode_call(unique_id, waiting.action, waiting.payload)
            await self._send(text, waiting.action)
            async with asyncio.timeout(waiting.timeout_s):
                frame = await answer
        except TimeoutError:
            waiting.fail(CallFailed("timeout", "", f"no answer in {waiting.timeout_s:g} s"))
            await self._after_timeout(waiting.action)
            return
        finally:
            del self._pending[unique_id]
        self._timeouts_in_row = 0
        self._settle(waiting, frame)

    def _settle(self, waiting: _Waiting, frame: frames.Frame) -> None:
        """Hand an answer to the caller."""
        if isinstance(frame, frames.CallErrored):
            waiting.fail(CallFailed("error", frame.code, frame.description))
            return
        if not isinstance(frame, frames.CallResult):
            waiting.fail(CallFailed("invalid", "", "not an answer"))
            return
        checked = check_inbound(self.protocol, waiting.action, frame.payload, answer=True)
        self._note_repairs(waiting.action, checked.repairs)
        if checked.fault is not None:
            waiting.fail(CallFailed("invalid", checked.fault.code, checked.fault.description))
        elif not waiting.answer.done():
            waiting.answer.set_result(checked.payload)

    async def _after_timeout(self, action: str) -> None:
        """Ping after two unanswered CALLs, close after three: many stations then redial and recover."""
        self.stats.timeouts += 1
        self._timeouts_in_row += 1
        self._complain("ocpp.no_answer", action=action, in_row=self._timeouts_in_row)
        if self._timeouts_in_row >= _CLOSE_AFTER_TIMEOUTS:
            log.warning("ocpp.closed_unanswering", station=self.station)
            await self._socket.close(1011, "no answers")
        elif self._timeouts_in_row == _PING_AFTER_TIMEOUTS:
            await self._require_life(self._settings.takeover_ping_s)

    # --- receiving --------------------------------------------------------------------------------

    async def _receive(self) -> None:
        """Read frames for as long as the connection lasts."""
        while True:
            raw = await self._socket.recv(decode=False)
            self.stats.frames += 1
            cost = self._take(raw) + len(raw) / _BYTES_PER_TOKEN
            delay_s = self._bucket.spend(cost, self._loop.time())
            if delay_s > 0.0:
                self._complain("ocpp.flood", delay_s=round(delay_s, 3))
                await asyncio.sleep(delay_s)
            elif self.stats.frames % _YIELD_EVERY == 0:
                await asyncio.sleep(0)

    def _take(self, raw: bytes) -> float:
        """Sort one frame in.

        Returns:
            What it costs the station, besides its length. [token]
        """
        received = Received(monotonic_s=self._clock.monotonic_s(), at=self._clock.now())
        self._note_heard(received.monotonic_s)
        frame = frames.parse(raw, protocol=self.protocol, max_bytes=self._settings.max_frame_bytes)
        action = self._action_of(frame)
        payload = frame.payload if isinstance(frame, frames.Call) else None
        self._log_frame(raw, action, received, inbound=True, payload=payload)
        match frame:
            case frames.CallResult() | frames.CallErrored():
                self._take_answer(frame)
                return _RESULT_COST
            case frames.Call():
                self._queue(frame, received)
            case frames.Malformed():
                self.stats.malformed += 1
                self._complain("ocpp.malformed", reason=frame.description)
                if frame.unique_id is not None:
                    self._queue(frame, received)
            case frames.Ignored():
                self._complain("ocpp.ignored", reason=frame.reason)
        return 1.0

    def _take_answer(self, frame: frames.CallResult | frames.CallErrored) -> None:
        entry = self._pending.get(frame.unique_id)
        if entry is None or entry[1].done():
            self.stats.unknown_answers += 1
        else:
            entry[1].set_result(frame)

    def _queue(self, frame: frames.Call | frames.Malformed, received: Received) -> None:
        try:
            self._inbox.put_nowait((frame, received))
        except asyncio.QueueFull:
            self.stats.dropped_calls += 1
            self._complain("ocpp.call_dropped", waiting=self._inbox.qsize())

    def _action_of(self, frame: frames.Frame) -> str:
        if isinstance(frame, frames.Call):
            return frame.action
        if isinstance(frame, frames.CallResult | frames.CallErrored):
            return self._pending.get(frame.unique_id, ("", None))[0]
        return ""

    # --- handling ---------------------------------------------------------------------------------

    async def _handle_calls(self, dialect: Dialect) -> None:
        """Answer the station's CALLs in order."""
        while True:
            frame, received = await self._inbox.get()
            if isinstance(frame, frames.Malformed):
                text = frames.encode_error(frame.unique_id or "", frame.code, frame.description)
                await self._send(text, "")
                continue
            await self._send(await self._answer(dialect, frame, received), frame.action)

    async def _answer(self, dialect: Dialect, call: frames.Call, received: Received) -> str:
        """Return the frame that answers a CALL, whatever happens in the handler."""
        try:
            return await self._handled(dialect, call, received)
        except CallError as error:
            return frames.encode_error(call.unique_id, error.code, error.description)
        except TimeoutError:
            self._complain("ocpp.handler_slow", action=call.action)
        except Exception:  # noqa: BLE001 - logged below, at a bounded rate
            self._complain("ocpp.handler_failed", action=call.action, exc_info=True)
        return frames.encode_error(call.unique_id, "InternalError", "")

    async def _handled(self, dialect: Dialect, call: frames.Call, received: Received) -> str:
        checked = await self._checked(call)
        if checked.fault is not None:
            self._complain(
                "ocpp.refused", action=call.action[:40], reason=checked.fault.description
            )
            raise CallError(checked.fault.code, checked.fault.description)
        async with asyncio.timeout(self._settings.handler_timeout_s):
            payload = await dialect.on_call(call.action, checked.payload, received)
        answer = check_outbound(self.protocol, call.action, payload, answer=True)
        if answer.fault is not None:
            self._complain("ocpp.bad_answer", action=call.action, reason=answer.fault.description)
            raise CallError("InternalError")
        return frames.encode_result(call.unique_id, answer.payload)

    async def _checked(self, call: frames.Call) -> Checked:
        """Check a CALL; a station whose messages take long to check is served more slowly."""
        began_s = self._loop.time()
        checked = check_inbound(self.protocol, call.action, call.payload)
        self._note_repairs(call.action, checked.repairs)
        now_s = self._loop.time()
        delay_s = self._bucket.spend((now_s - began_s) * _TOKENS_PER_BUSY_S, now_s)
        if delay_s > 0.0:
            await asyncio.sleep(delay_s)
        return checked

    # --- living and ending ------------------------------------------------------------------------

    async def run(self, dialect: Dialect) -> None:
        """Converse until the connection ends. Raises nothing but cancellation."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._receive())
                tasks.create_task(self._handle_calls(dialect))
                tasks.create_task(self._send_calls())
                tasks.create_task(self._keep_alive())
                tasks.create_task(self._open(dialect))
        except* (ConnectionClosed, ConnectionError):
            pass
        except* Exception:
            log.exception("ocpp.session_failed", station=self.station)
        finally:
            self._is_closed = True
            self._outbox.fail_all(
                CallFailed("closed", "ConnectionClosed", "the connection has ended")
            )
            await self._close(dialect)

    def abort(self) -> None:
        """Cut the connection without a closing handshake."""
        self._is_closed = True
        if not self._socket.transport.is_closing():
            self._socket.transport.abort()

    async def is_alive(self, timeout_s: float) -> bool:
        """Ping the station; any frame counts as an answer, since some never send pongs."""
        asked_at_s = self._loop.time()
        try:
            async with asyncio.timeout(timeout_s):
                pong = await self._socket.ping()
        except (TimeoutError, ConnectionClosed):
            return False
        left_s = timeout_s - (self._loop.time() - asked_at_s)
        done, _ = await asyncio.wait([pong], timeout=max(0.0, left_s))
        if done and not pong.cancelled() and pong.exception() is None:
            self._note_heard(self._clock.monotonic_s())
            return True
        return self._frame_at_s > asked_at_s

    async def _keep_alive(self) -> None:
        """Ping when nothing was heard for an interval."""
        is_alive = True
        while is_alive:
            left_s = self._frame_at_s + self._settings.ping_interval_s - self._loop.time()
            if left_s > 0.0:
                await asyncio.sleep(left_s)
            else:
                is_alive = await self._require_life(self._settings.ping_timeout_s)

    async def _require_life(self, timeout_s: float) -> bool:
        """Ping, and cut the connection when nothing comes back; return whether something did."""
        is_alive = await self.is_alive(timeout_s)
        if not is_alive:
            log.warning("ocpp.dead_connection", station=self.station, silent_s=timeout_s)
            self.abort()
        return is_alive

    async def _open(self, dialect: Dialect) -> None:
        try:
            await dialect.on_open()
        except Exception:
            log.exception("ocpp.open_failed", station=self.station)

    async def _close(self, dialect: Dialect) -> None:
        try:
            async with asyncio.timeout(_ON_CLOSE_S):
                await dialect.on_close()
        except Exception:
            log.exception("ocpp.close_failed", station=self.station)

    async def _send(self, text: str, action: str) -> None:
        """Send a frame; a station that takes no bytes is cut off."""
        received = Received(monotonic_s=self._clock.monotonic_s(), at=self._clock.now())
        self._log_frame(text.encode(), action, received, inbound=False)
        if self._socket.transport.get_write_buffer_size() == 0:
            await self._socket.send(text)  # the network took everything so far: this cannot wait
            return
        try:
            async with asyncio.timeout(self._settings.send_timeout_s):
                await self._socket.send(text)
        except TimeoutError:
            log.warning("ocpp.send_stuck", station=self.station)
            self.abort()
            raise ConnectionAbortedError from None

    # --- reporting --------------------------------------------------------------------------------

    def _note_heard(self, now_s: float) -> None:
        self._frame_at_s = self._loop.time()
        if self._heard_at_s is None or now_s - self._heard_at_s >= _HEARD_EVERY_S:
            self._heard_at_s = now_s
            self._desk.post(StationHeard(station=self.station))

    def _log_frame(
        self,
        raw: bytes,
        action: str,
        received: Received,
        *,
        inbound: bool,
        payload: dict[str, Any] | None = None,
    ) -> None:
        self._desk.log_frame(
            FrameLogged(
                station=self.station,
                at=received.at,
                inbound=inbound,
                action=action,
                text=redacted(raw, action, payload),
            )
        )

    def _note_repairs(self, action: str, repairs: tuple[str, ...]) -> None:
        """Report each kind of repair once per connection."""
        fresh = [r for r in repairs if f"{action} {r}" not in self._repairs_known]
        if fresh and len(self._repairs_known) < _MAX_REPAIRS_KNOWN:
            self._repairs_known.update(f"{action} {r}" for r in fresh)
            self._complain("ocpp.repaired", action=action, repairs=fresh[:20])

    def _complain(self, event: str, **facts: object) -> None:
        """Log about this station's behaviour, at most one line a second."""
        now_s = self._loop.time()
        if now_s - self._complained_at_s < _COMPLAIN_EVERY_S:
            self._unlogged += 1
            return
        self._complained_at_s = now_s
        log.warning(event, station=self.station, unlogged=self._unlogged, **facts)
        self._unlogged = 0
