"""The websocket server that stations connect to: admission, registration, and the way back to them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import http
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any, Final, Protocol

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from adapters.ocpp.dialect import CallFailed, DialectFactory
from adapters.ocpp.handshake import (
    Negotiated,
    identity_of,
    negotiate,
    password_forms,
    password_of,
    subprotocols_of,
)
from adapters.ocpp.notices import Notices
from adapters.ocpp.registry import Link, Registry
from adapters.ocpp.session import Session
from adapters.ocpp.settings import OcppSettings
from adapters.ocpp.throttle import Throttle
from controller.commands import (
    ActionRequest,
    Command,
    CommandResult,
    NotConnected,
    Rejected,
    TimedOut,
)
from controller.decision import Condition, Severity
from controller.ports import Clock, ConditionSink, StationDesk
from controller.site import StationId
from controller.station import StationConnected, StationDisconnected

log = structlog.get_logger()

_HOUR_S: Final = 3600.0
_TEN_MINUTES_S: Final = 600.0
_HOUSEKEEPING_S: Final = 30.0
_MAX_REMEMBERED: Final = 4096
"""Addresses and identities whose failures are remembered."""

_library_log = logging.getLogger("adapters.ocpp.websockets")
_library_log.setLevel(logging.CRITICAL)
"""The library logs a traceback for every bad handshake that a stranger sends."""

WRONG_PASSWORD: Final = "WRONG_PASSWORD"  # noqa: S105 - the code of a condition
UNKNOWN_STATION: Final = "UNKNOWN_STATION"
DUPLICATE_IDENTITY: Final = "DUPLICATE_IDENTITY"
STATION_RECONNECTS: Final = "STATION_RECONNECTS"
OCPP_WITHOUT_AUTHENTICATION: Final = "OCPP_WITHOUT_AUTHENTICATION"


class ListenError(Exception):
    """The server cannot listen; the text names the place and the mend."""


class StationSecrets(Protocol):
    """The part of the store that knows the stations' passwords."""

    async def station_secret_matches(self, station: StationId, candidate: bytes) -> bool:
        """Compare in constant time; False for unknown stations, in about the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A handshake that was let in."""

    station: StationId
    peer: str
    negotiated: Negotiated


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A handshake that was turned away."""

    status: http.HTTPStatus
    text: str


@dataclass(slots=True)
class Crowd:
    """Open TCP connections, handshakes included."""

    limit: int
    count: int = 0


class StationSocket(ServerConnection):
    """A websocket with what its handshake found out. Beyond the crowd's limit it is cut at once."""

    def __init__(self, *args: Any, crowd: Crowd, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.admission: Admission | None = None
        self._crowd = crowd

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection."""
        super().connection_made(transport)
        self._crowd.count += 1
        if self._crowd.count > self._crowd.limit:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it out."""
        self._crowd.count -= 1
        super().connection_lost(exc)


class OcppServer:
    """Listens for stations, keeps one session for each, and is the controller's `Fleet`."""

    def __init__(
        self,
        *,
        settings: OcppSettings,
        desk: StationDesk,
        store: StationSecrets,
        conditions: ConditionSink,
        clock: Clock,
        dialects: Mapping[str, DialectFactory],
    ) -> None:
        self._settings = settings
        self._desk = desk
        self._store = store
        self._conditions = conditions
        self._clock = clock
        self._dialects = dialects
        self._notices = Notices(sink=conditions, clock=clock)
        self._registry = Registry()
        self._failures = Throttle(
            per_minute=settings.failures_per_minute,
            burst=settings.failures_burst,
            max_keys=_MAX_REMEMBERED,
        )
        self._connects = Throttle(
            per_minute=settings.connects_per_minute,
            burst=settings.connects_burst,
            max_keys=_MAX_REMEMBERED,
        )
        self._server: Server | None = None
        self._housekeeping: asyncio.Task[None] | None = None
        self._crowd = Crowd(limit=settings.max_connections)

    # --- life -------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The TCP port in use.

        Raises:
            RuntimeError: Not started.
        """
        if self._server is None:
            raise RuntimeError("the server is not started")
        return int(next(iter(self._server.sockets)).getsockname()[1])

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            ListenError: The address cannot be used.
        """
        settings = self._settings
        if settings.security_profile >= 2 and settings.tls is None:
            raise ListenError(
                f"ocpp.security_profile {settings.security_profile} needs TLS: configure a "
                "certificate, or use security_profile 1"
            )
        try:
            self._server = await serve(
                self._serve,
                settings.host,
                settings.port,
                process_request=self._process_request,
                select_subprotocol=_confirmed_subprotocol,
                compression=None,
                max_size=settings.max_frame_bytes,
                ping_interval=None,
                open_timeout=settings.open_timeout_s,
                close_timeout=settings.close_timeout_s,
                create_connection=self._make_socket,  # type: ignore[arg-type] # any callable will do
                server_header=None,
                ssl=settings.tls,
                logger=_library_log,
            )
        except OSError as error:
            raise ListenError(_listen_text(settings.host, settings.port, error)) from error
        self._housekeeping = asyncio.create_task(self._keep_house())
        if settings.security_profile == 0:
            self._conditions.begin(_without_authentication())
        log.info("ocpp.listening", host=settings.host, port=self.port)

    async def stop(self) -> None:
        """Close all connections and stop listening."""
        if self._housekeeping is not None:
            self._housekeeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._housekeeping
            self._housekeeping = None
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            self._notices.expire()

    def _make_socket(self, *args: Any, **kwargs: Any) -> StationSocket:
        return StationSocket(*args, crowd=self._crowd, **kwargs)

    # --- fleet ------------------------------------------------------------------------------------

    async def apply(self, command: Command) -> CommandResult:
        """Carry out one command; see `Fleet`."""
        station = StationId(command.evse.rpartition("/")[0])
        link = self._registry.get(station)
        if link is None:
            return NotConnected()
        return await self._bounded(link, link.dialect.apply(command))

    async def act(self, request: ActionRequest) -> CommandResult:
        """Carry out an operator's action; see `Fleet`."""
        link = self._registry.get(request.station)
        if link is None:
            return NotConnected()
        return await self._bounded(link, link.dialect.act(request))

    async def _bounded(self, link: Link, work: Any) -> CommandResult:
        """Wait for a dialect within the command timeout. What is not known counts as timed out."""
        try:
            async with asyncio.timeout(self._settings.command_timeout_s):
                result: CommandResult = await work
                return result
        except TimeoutError:
            return TimedOut()
        except CallFailed as failure:
            if failure.kind == "error":
                return Rejected(reason=f"{failure.code} {failure.description}".strip())
            return TimedOut()
        except Exception:
            log.exception("ocpp.command_failed", station=link.station)
            return TimedOut()

    # --- admission --------------------------------------------------------------------------------

    async def _process_request(self, socket: ServerConnection, request: Request) -> Response | None:
        """Let a handshake in or answer it with an HTTP error."""
        peer = str((socket.remote_address or ("",))[0])
        outcome = await self._admit(peer, request)
        if isinstance(outcome, Refusal):
            response = socket.respond(outcome.status, outcome.text + "\n")
            if outcome.status is http.HTTPStatus.UNAUTHORIZED:
                response.headers["WWW-Authenticate"] = 'Basic realm="ocpp", charset="UTF-8"'
            if outcome.status is http.HTTPStatus.TOO_MANY_REQUESTS:
                response.headers["Retry-After"] = "60"
            return response
        assert isinstance(socket, StationSocket)  # noqa: S101 - made by _make_socket
        socket.admission = outcome
        return None

    async def _admit(self, peer: str, request: Request) -> Admission | Refusal:
        """Decide on a handshake: identity, password, protocol, rate, duplicate."""
        identity = identity_of(request.path)
        if identity is None:
            self._failures.count(peer, self._clock.monotonic_s())
            return Refusal(
                status=http.HTTPStatus.NOT_FOUND,
                text="The address must end with the station's identity, as in /CP001.",
            )
        station = StationId(identity)
        refusal = await self._authenticate(peer, station, request)
        if refusal is not None:
            return refusal
        negotiated = negotiate(
            subprotocols_of(request.headers.get_all("Sec-WebSocket-Protocol")),
            available=self._dialects.keys(),
            pinned=self._settings.pinned_protocols.get(station),
            default=self._settings.default_protocol,
        )
        if negotiated is None:
            return Refusal(
                status=http.HTTPStatus.BAD_REQUEST,
                text=f"Offer a subprotocol that is spoken here: {', '.join(self._dialects)}.",
            )
        refusal = self._slow_down(station) or await self._contest(peer, station)
        if refusal is not None:
            return refusal
        self._connects.count(station, self._clock.monotonic_s())
        return Admission(station=station, peer=peer, negotiated=negotiated)

    async def _authenticate(
        self, peer: str, station: StationId, request: Request
    ) -> Refusal | None:
        """Check that the station is known and is itself; equally slow for known and unknown."""
        is_known = self._desk.evses(station) is not None
        suspect = (peer, station) if is_known else peer
        now_s = self._clock.monotonic_s()
        if not self._failures.is_open(suspect, now_s):
            return Refusal(
                status=http.HTTPStatus.TOO_MANY_REQUESTS, text="Too many failed attempts."
            )
        is_itself = await self._knows_password(station, request)
        if not is_known:
            self._failures.count(suspect, now_s)
            self._notices.begin(
                UNKNOWN_STATION,
                station,
                f"A station named {station} tries to connect from {peer} and is not in the site "
                "file. If it belongs here, add it under stations: and set its password with "
                f"`wattkeeper station secret {quote(station)}`.",
                severity=Severity.WARNING,
                lasts_s=_HOUR_S,
            )
            return Refusal(status=http.HTTPStatus.NOT_FOUND, text="Unknown station.")
        if is_itself:
            return None
        self._failures.count(suspect, now_s)
        self._notices.begin(
            WRONG_PASSWORD,
            station,
            f"{station} was refused: wrong or missing password, from {peer}. Set the same password "
            f"in the station (AuthorizationKey) and with `wattkeeper station secret {quote(station)}`.",
            severity=Severity.ALARM,
            lasts_s=_HOUR_S,
        )
        return Refusal(status=http.HTTPStatus.UNAUTHORIZED, text="Wrong or missing password.")

    async def _knows_password(self, station: StationId, request: Request) -> bool:
        """Compare the password in all its forms; the number of comparisons never depends on it."""
        if self._settings.security_profile == 0:
            return True
        password = password_of(request.headers.get_all("Authorization"), station)
        matches = [
            await self._store.station_secret_matches(station, form)
            for form in password_forms(password or b"")
        ]
        return bool(password) and any(matches)

    def _slow_down(self, station: StationId) -> Refusal | None:
        """Refuse a station that connects again and again."""
        if self._connects.is_open(station, self._clock.monotonic_s()):
            return None
        self._notices.begin(
            STATION_RECONNECTS,
            station,
            f"{station} connects more than {self._settings.connects_per_minute:g} times a minute: "
            "look for a second station with the same identity, or for a bad network.",
            severity=Severity.WARNING,
            lasts_s=_TEN_MINUTES_S,
        )
        return Refusal(
            status=http.HTTPStatus.TOO_MANY_REQUESTS, text="Too many connections; wait a minute."
        )

    async def _contest(self, peer: str, station: StationId) -> Refusal | None:
        """Refuse a second connection of a station whose first one lives at another address.

        From the same address it is the station itself, back before its old connection was missed.
        """
        link = self._registry.get(station)
        if link is None or link.peer == peer:
            return None
        if not await link.session.is_alive(self._settings.takeover_ping_s):
            return None
        self._notices.begin(
            DUPLICATE_IDENTITY,
            station,
            f"A second station named {station} tries to connect from {peer} while the one at "
            f"{link.peer} is connected. Give each station its own identity; if there is only one, "
            "change its password.",
            severity=Severity.ALARM,
            lasts_s=_TEN_MINUTES_S,
        )
        return Refusal(
            status=http.HTTPStatus.CONFLICT, text="A station with this identity is connected."
        )

    # --- service ----------------------------------------------------------------------------------

    async def _serve(self, socket: ServerConnection) -> None:
        """Register an admitted connection and converse until it ends."""
        assert isinstance(socket, StationSocket)  # noqa: S101 - made by _make_socket
        assert socket.admission is not None  # noqa: S101 - set by _process_request
        admission = socket.admission
        station, protocol = admission.station, admission.negotiated.protocol
        session = Session(
            station=station,
            protocol=protocol,
            socket=socket,
            settings=self._settings,
            desk=self._desk,
            clock=self._clock,
        )
        dialect = self._dialects[protocol](session)
        old = self._registry.get(station)
        link = self._registry.put(
            station=station, peer=admission.peer, session=session, dialect=dialect
        )
        if old is not None:
            old.session.abort()
        self._notices.end(WRONG_PASSWORD, station)
        self._notices.end(UNKNOWN_STATION, station)
        self._desk.post(StationConnected(station=station, protocol=protocol))
        log.info("ocpp.connected", station=station, protocol=protocol, peer=admission.peer)
        try:
            await session.run(dialect)
        finally:
            if self._registry.remove(link):
                self._desk.post(StationDisconnected(station=station))
                log.info("ocpp.disconnected", station=station)


def _confirmed_subprotocol(
    socket: ServerConnection, _offered: Sequence[Subprotocol]
) -> Subprotocol | None:
    """Return the station's own spelling of the protocol that was agreed."""
    admission = socket.admission if isinstance(socket, StationSocket) else None
    echo = admission.negotiated.echo if admission else None
    return Subprotocol(echo) if echo is not None else None


def _listen_text(host: str, port: int, error: OSError) -> str:
    """Say where the server cannot listen, why, and what to do."""
    place = f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return f"{place} is in use: stop the other program, or set another port in ocpp.listen"
    if error.errno == errno.EACCES:
        return f"{place} needs privileges: set a port from 1024 in ocpp.listen"
    return f"cannot listen on {place} ({error.strerror or error}): check ocpp.listen"


def _without_authentication() -> Condition:
    return Condition(
        code=OCPP_WITHOUT_AUTHENTICATION,
        subject="site",
        text="Stations connect without a password: whoever reaches the network can be any station. "
        "Set ocpp.security_profile to 1 and give every station a password.",
        severity=Severity.ALARM,
    )
