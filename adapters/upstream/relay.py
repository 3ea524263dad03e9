"""The relay: what a station says goes up, what the back office asks comes down, smart charging stays here.

Implements the extension and the tap of the OCPP server, by shape.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import structlog

from adapters.upstream import rules
from adapters.upstream.charging import SMART, Asked, ChargingDesk
from adapters.upstream.line import Line, LineDownError, RefusedError
from adapters.upstream.outbox import Outbox, Waiting
from adapters.upstream.profiles import ProfileShelf
from adapters.upstream.settings import UpstreamSettings
from adapters.upstream.wire import Call, Failure, Frame, Json, Result
from controller.ports import Clock, Store
from controller.roaming import DocumentStore
from controller.site import EvseId, Site, StationId
from controller.transaction import IdToken

log = structlog.get_logger(__name__)

RESEND_S = 5.0
"""Wait before a message that was refused or not confirmed is sent again. [s]"""
MOST_BEGAN = 100
MOST_REFUSALS = 3
"""A message that the back office refuses so often is left out, with a line in the log."""


class StationCaller(Protocol):
    """The way to a connected station."""

    station: StationId
    protocol: str

    async def call(
        self, action: str, payload: dict[str, Any], *, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """Send a CALL and wait for its answer."""


class Limiter(Protocol):
    """Where the back office's limits go. Same loop."""

    def plan(self) -> Any:
        """Return the latest plan."""

    async def limit(self, evse: EvseId, limit_a: float | None) -> None:
        """Set or lift the back office's limit on an EVSE."""


Secret = Callable[[StationId], Awaitable[str | None]]
KeepSecret = Callable[[StationId, str], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class Station:
    """Everything of one station's line; it outlives connections of the station."""

    id: StationId
    line: Line
    outbox: Outbox
    desk: ChargingDesk
    caller: StationCaller | None = None
    volatile: deque[tuple[str, Json]] = field(default_factory=deque)
    statuses: dict[str, tuple[str, Json]] = field(default_factory=dict)
    """The latest StatusNotification of each connector: told anew when the line comes up."""
    boot: Json | None = None
    filled: asyncio.Event = field(default_factory=asyncio.Event)
    asked_reports: set[int] = field(default_factory=set)
    answers: dict[int, asyncio.Future[Json]] = field(default_factory=dict)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    next_profile: dict[int, Json] = field(default_factory=dict)
    refusals: int = 0


class Relay:
    """Relays all stations."""

    actions: frozenset[str] = frozenset()
    """It answers no CALL in the dialect's place; see `tap`."""

    def __init__(
        self,
        *,
        settings: UpstreamSettings,
        site: Site,
        store: Store,
        documents: DocumentStore,
        limiter: Limiter,
        clock: Clock,
        secret: Secret,
        keep_secret: KeepSecret,
    ) -> None:
        self._settings = settings
        self._site = site
        self._store = store
        self._documents = documents
        self._limiter = limiter
        self._clock = clock
        self._secret = secret
        self._keep_secret = keep_secret
        self._stations: dict[StationId, Station] = {}

    async def on_call(
        self, caller: StationCaller, action: str, payload: Json, received: object
    ) -> Json:
        """Never used: the dialect answers every CALL, and `tap` hears it."""
        raise NotImplementedError(action)

    async def close(self) -> None:
        """End all lines; what waits stays on the disk."""
        tasks = [t for s in self._stations.values() for t in s.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def states(self) -> dict[StationId, tuple[bool, int, str]]:
        """Return, by station, whether the line is up, how many messages wait, and the last error."""
        return {
            s.id: (s.line.state.is_up, s.outbox.length + len(s.volatile), s.line.state.last_error)
            for s in self._stations.values()
        }

    # --- the station's side -----------------------------------------------------------------------

    async def serve(self, caller: StationCaller) -> None:
        """Serve a connected station until it leaves; its line goes on while messages wait."""
        station = await self._station(caller.station, caller.protocol)
        station.caller = caller
        try:
            await asyncio.Event().wait()
        finally:
            if station.caller is caller:
                station.caller = None

    async def tap(self, caller: StationCaller, action: str, payload: Json, ours: Json) -> Json:
        """Hear a station's CALL after it was booked here; return what the station is answered."""
        station = await self._station(caller.station, caller.protocol)
        if station.caller is None:
            station.caller = caller
        if action in rules.DURABLE and rules.is_durable(action, payload):
            return await self._durable(station, action, payload, ours)
        if action in rules.ASKED:
            return await self._ask(station, action, payload, ours)
        if action in rules.KEPT_HERE or not self._is_theirs(station, action, payload):
            return ours
        if action == "BootNotification":
            station.boot = payload
        if action == "StatusNotification":
            station.statuses[rules.connector_of(payload)] = (action, payload)
        self._later(station, action, payload)
        return ours

    def _is_theirs(self, station: Station, action: str, payload: Json) -> bool:
        """Keep reports that we asked for ourselves from the back office."""
        if action not in rules.REPORTS:
            return True
        return payload.get("requestId") in station.asked_reports

    def _later(self, station: Station, action: str, payload: Json) -> None:
        if not station.line.state.is_up and action in ("Heartbeat", "StatusNotification"):
            return  # told anew when the line comes up
        station.volatile.append((action, payload))
        while len(station.volatile) > self._settings.most_volatile:
            station.volatile.popleft()
        station.filled.set()

    async def _ask(self, station: Station, action: str, payload: Json, ours: Json) -> Json:
        """Let the back office decide while it can be reached; a token of our own list is ours."""
        token = rules.token_of(action, payload)
        if token is not None and await self._store.token(IdToken(token)) is not None:
            return ours
        try:
            theirs = await station.line.ask(
                action, payload, timeout_s=self._settings.answer_timeout_s
            )
        except (LineDownError, RefusedError) as error:
            log.info("upstream.answered_here", station=station.id, action=action, why=str(error))
            return ours
        return theirs if rules.is_answer(action, theirs) else ours

    async def _durable(self, station: Station, action: str, payload: Json, ours: Json) -> Json:
        """Keep a transaction's message; where the line is up, take the back office's word on the token."""
        local = rules.local_transaction(action, payload, ours)
        number = await station.outbox.put(action, payload, local_id=local)
        if action in ("StartTransaction", "TransactionEvent"):
            await self._began(station, payload, local)
        waits = rules.asks_token(action, payload) and station.line.state.is_up
        token = rules.token_of(action, payload)
        if waits and token is not None:
            waits = await self._store.token(IdToken(token)) is None
        if not waits:
            station.filled.set()
            return ours
        answered: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        station.answers[number] = answered
        station.filled.set()
        try:
            async with asyncio.timeout(self._settings.answer_timeout_s):
                return rules.merged(action, ours, await answered)
        except TimeoutError:
            return ours
        finally:
            station.answers.pop(number, None)

    async def _began(self, station: Station, payload: Json, local: str) -> None:
        """Bind the profile that came with a remote start to the transaction that it began."""
        number = rules.evse_of(payload)
        if rules.begins(payload):
            began = station.desk.began
            began[local] = rules.time_of(payload) or self._clock.now()
            while len(began) > MOST_BEGAN:
                del began[next(iter(began))]
        raw = station.next_profile.pop(number, None) or station.next_profile.pop(0, None)
        if raw is not None:
            await station.desk.shelf.put(raw, evse=number, transaction=local, now=self._clock.now())

    # --- one station's line -----------------------------------------------------------------------

    async def _station(self, station: StationId, protocol: str) -> Station:
        known = self._stations.get(station)
        if known is not None and known.line.protocol == protocol:
            return known
        if known is not None:
            for task in known.tasks:
                task.cancel()
        shelf = ProfileShelf(self._documents, station)

        async def answer(call: Call) -> Frame:
            return await self._answer(made, call)

        async def greet() -> None:
            self._greet(made)

        made = Station(
            id=station,
            line=Line(
                station=station,
                protocol=protocol,
                settings=self._settings,
                password=lambda: self._secret(station),
                answer=answer,
                on_up=greet,
            ),
            outbox=Outbox(self._documents, station),
            desk=ChargingDesk(self._site, station, protocol, shelf),
        )
        self._stations[station] = made
        await made.outbox.load()
        await shelf.load()
        made.tasks = [
            asyncio.create_task(made.line.run(), name=f"upstream-{station}"),
            asyncio.create_task(self._pump(made), name=f"upstream-pump-{station}"),
            asyncio.create_task(self._apply_forever(made), name=f"upstream-limit-{station}"),
        ]
        return made

    def _greet(self, station: Station) -> None:
        """Tell a line that came up what a station says after its own connection."""
        station.volatile.clear()
        if station.boot is not None:
            station.volatile.append(("BootNotification", station.boot))
        station.volatile.extend(station.statuses.values())
        station.filled.set()

    async def _pump(self, station: Station) -> None:
        """Send what waits: first what tells of the present, then transactions in their order."""
        while True:
            await station.filled.wait()
            if not station.line.state.is_up:
                await asyncio.sleep(0.2)
                continue
            if station.volatile:
                await self._send_volatile(station)
                continue
            waiting = await station.outbox.first()
            if waiting is None:
                station.filled.clear()
                if station.volatile:
                    station.filled.set()
                continue
            await self._send_durable(station, waiting)

    async def _send_volatile(self, station: Station) -> None:
        action, payload = station.volatile.popleft()
        try:
            await station.line.ask(action, payload)
        except LineDownError:
            station.volatile.appendleft((action, payload))
            await station.line.hang_up()
        except RefusedError as error:
            log.info("upstream.refused", station=station.id, action=action, why=str(error))

    async def _send_durable(self, station: Station, waiting: Waiting) -> None:
        payload = await self._mapped(station, waiting)
        try:
            theirs = await station.line.ask(waiting.action, payload)
        except LineDownError:
            await station.line.hang_up()
            return
        except RefusedError as error:
            station.refusals += 1
            log.warning(
                "upstream.refused", station=station.id, action=waiting.action, why=str(error)
            )
            if station.refusals < MOST_REFUSALS:
                await asyncio.sleep(RESEND_S)
                return
            theirs = {}
        station.refusals = 0
        their_id = theirs.get("transactionId")
        if waiting.action == "StartTransaction" and isinstance(their_id, int):
            await station.outbox.note_id(waiting.local_id, their_id, self._clock.now())
        await station.outbox.done(waiting)
        answered = station.answers.get(waiting.number)
        if answered is not None and not answered.done():
            answered.set_result(theirs)
        if rules.ends(waiting.action, waiting.payload):
            await station.desk.shelf.end(waiting.local_id)

    async def _mapped(self, station: Station, waiting: Waiting) -> Json:
        """Put the back office's id of a 1.6 transaction in the place of ours."""
        if "transactionId" not in waiting.payload or waiting.action == "TransactionEvent":
            return waiting.payload
        theirs = await station.outbox.their_id(waiting.local_id)
        return waiting.payload | {"transactionId": theirs if theirs is not None else -1}

    # --- the back office's side ---------------------------------------------------------------------

    async def _answer(self, station: Station, call: Call) -> Frame:
        """Answer a request of the back office."""
        try:
            payload = await self._served(station, call.action, call.payload)
        except rules.NotPassedError as refused:
            return Failure(id=call.id, code=refused.code, text=str(refused))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return Failure(id=call.id, code="FormationViolation", text=type(error).__name__)
        return Result(id=call.id, payload=payload)

    async def _served(self, station: Station, action: str, payload: Json) -> Json:
        now = self._clock.now()
        if action in SMART:
            return await self._smart(station, action, payload, now)
        refusal = rules.refusal(action, payload)
        if refusal is not None:
            return refusal
        secret = rules.new_secret(action, payload)
        if secret is not None:
            await self._keep_secret(station.id, secret)
            return rules.SECRET_TAKEN[action](payload)
        if action in rules.STARTS:
            return await self._start(station, action, payload)
        if "transactionId" in payload and station.desk.is_old:
            local = await station.outbox.local_id(int(payload["transactionId"]))
            if local is None:
                return {"status": "Rejected"}
            payload = payload | {"transactionId": int(local)}
        if isinstance(payload.get("requestId"), int):
            station.asked_reports.add(payload["requestId"])
        return await self._pass(station, action, payload)

    async def _pass(self, station: Station, action: str, payload: Json) -> Json:
        """Hand a request on unchanged."""
        caller = station.caller
        if caller is None:
            raise rules.NotPassedError("GenericError", "the station is not connected")
        try:
            return await caller.call(action, payload, timeout_s=self._settings.call_timeout_s)
        except Exception as error:
            # Whatever a station answers or fails to: the back office gets the reason, nothing ends.
            code = getattr(error, "code", "") or "GenericError"
            raise rules.NotPassedError(str(code)[:40], str(error)[:200]) from error

    async def _start(self, station: Station, action: str, payload: Json) -> Json:
        """Pass a remote start without its profile; that is ours to evaluate."""
        raw = payload.get("chargingProfile")
        passed = {k: v for k, v in payload.items() if k != "chargingProfile"}
        answer = await self._pass(station, action, passed)
        if raw is not None and answer.get("status") == "Accepted":
            number = payload.get("connectorId") or payload.get("evseId") or 0
            station.next_profile[int(number)] = raw
        return answer

    async def _smart(self, station: Station, action: str, payload: Json, now: datetime) -> Json:
        asked = Asked(payload=payload, plan=self._limiter.plan(), now=now)
        if action == "GetCompositeSchedule":
            return station.desk.composite(asked)
        if action == "GetChargingProfiles":
            reports = station.desk.reports(payload)
            station.volatile.extend(("ReportChargingProfiles", r) for r in reports)
            station.filled.set()
            return {"status": "Accepted" if reports else "NoProfiles"}
        if action == "ClearChargingProfile":
            answer = await station.desk.clear(asked)
        else:
            answer = await station.desk.set_profile(
                asked, transaction=await self._named(station, payload)
            )
        await self._apply(station)
        return answer

    async def _named(self, station: Station, payload: Json) -> str | None:
        """Return our id of the transaction that a profile names."""
        raw = payload.get("csChargingProfiles") or payload.get("chargingProfile") or {}
        theirs = raw.get("transactionId")
        if theirs is None:
            return None
        if not station.desk.is_old:
            return str(theirs)
        return await station.outbox.local_id(int(str(theirs))) or "unknown"

    # --- limits -------------------------------------------------------------------------------------

    async def _apply_forever(self, station: Station) -> None:
        while True:
            await self._apply(station)
            await asyncio.sleep(self._settings.apply_interval_s)

    async def _apply(self, station: Station) -> None:
        """Let what the back office allows now count as one more maximum."""
        limits = station.desk.limits_a(self._limiter.plan(), self._clock.now())
        for evse, limit_a in limits.items():
            await self._limiter.limit(EvseId(evse), limit_a)
