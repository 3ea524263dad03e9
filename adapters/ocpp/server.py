"""The websocket server that stations connect to: admission, registration, and the way back to them."""

from __future__ import annotations

import asyncio
import errno
import http
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from adapters.ocpp.dialect import CallFailed, DialectFactory
from adapters.ocpp.entrance import (
    Admission,
    Caller,
    Entrance,
    Refusal,
    StationSecrets,
)
from adapters.ocpp.extension import ExtendedDialect, Extension, Tap
from adapters.ocpp.notices import Notices
from adapters.ocpp.registry import Link, Registry
from adapters.ocpp.server_certificates import ServerCertificates
from adapters.ocpp.session import Session
from adapters.ocpp.settings import Listener, OcppSettings
from adapters.ocpp.tls import ClientCertificate, TlsError
from controller.care import Stranger
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

_HOUSEKEEPING_S: Final = 30.0
_MAX_ERRANDS: Final = 256
"""Writes on behalf of handshakes under way; more are dropped, they are records, not decisions."""

_library_log = logging.getLogger("adapters.ocpp.websockets")
_library_log.setLevel(logging.CRITICAL)
"""The library logs a traceback for every bad handshake that a stranger sends."""

OCPP_WITHOUT_AUTHENTICATION: Final = "OCPP_WITHOUT_AUTHENTICATION"


class ListenError(Exception):
    """The server cannot listen; the text names the place and the mend."""


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


def _forget(_stranger: Stranger) -> None:
    return None


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
        on_stranger: Callable[[Stranger], None] = _forget,
        extensions: Sequence[Extension] = (),
        taps: Sequence[Tap] = (),
    ) -> None:
        self._settings = settings
        self._desk = desk
        self._store = store
        self._conditions = conditions
        self._clock = clock
        self._dialects = dialects
        self._extensions = extensions
        self._taps = taps
        self._notices = Notices(sink=conditions, clock=clock)
        self._registry = Registry()
        self._entrance = Entrance(
            settings=settings,
            desk=desk,
            store=store,
            registry=self._registry,
            notices=self._notices,
            clock=clock,
            protocols=dialects.keys(),
            on_stranger=on_stranger,
            spawn=self._spawn,
        )
        self._servers: list[Server] = []
        self._certificates = ServerCertificates(conditions=conditions, clock=clock)
        self._housekeeping: asyncio.Task[None] | None = None
        self._errands: set[asyncio.Future[None]] = set()
        self._crowd = Crowd(limit=settings.max_connections)

    # --- life -------------------------------------------------------------------------------------

    @property
    def ports(self) -> tuple[int, ...]:
        """The TCP ports in use, in the order of the listeners.

        Raises:
            RuntimeError: Not started.
        """
        if not self._servers:
            raise RuntimeError("the server is not started")
        return tuple(int(next(iter(server.sockets)).getsockname()[1]) for server in self._servers)

    @property
    def port(self) -> int:
        """The first listener's TCP port; see `ports`."""
        return self.ports[0]

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            ListenError: An address or a certificate cannot be used.
        """
        try:
            for listener in self._settings.listeners:
                self._servers.append(await self._listen(listener))
        except BaseException:
            await self._stop_listening()
            raise
        self._housekeeping = asyncio.create_task(self._keep_house())
        if any(listener.security_profile == 0 for listener in self._settings.listeners):
            self._conditions.begin(_without_authentication())

    async def _listen(self, listener: Listener) -> Server:
        settings = self._settings
        context = self._context(listener)
        try:
            server = await serve(
                self._serve,
                listener.host,
                listener.port,
                process_request=partial(self._process_request, listener),
                select_subprotocol=_confirmed_subprotocol,
                compression=None,
                max_size=settings.max_frame_bytes,
                ping_interval=None,
                open_timeout=settings.open_timeout_s,
                close_timeout=settings.close_timeout_s,
                create_connection=self._make_socket,  # type: ignore[arg-type] # any callable will do
                server_header=None,
                ssl=context,
                ssl_handshake_timeout=settings.open_timeout_s if context else None,
                logger=_library_log,
            )
        except OSError as error:
            raise ListenError(_listen_text(listener.host, listener.port, error)) from error
        log.info(
            "ocpp.listening",
            host=listener.host,
            port=int(next(iter(server.sockets)).getsockname()[1]),
            security_profile=listener.security_profile,
        )
        return server

    def _context(self, listener: Listener) -> ssl.SSLContext | None:
        """Return the TLS of a listener; those of one profile share it."""
        if not listener.has_tls:
            return None
        if self._settings.tls is None:
            raise ListenError(
                f"ocpp.security_profile {listener.security_profile} needs TLS: configure a "
                "certificate under ocpp.tls, run `wattkeeper ca init`, or use security_profile 1"
            )
        asks = listener.security_profile >= 3
        try:
            return self._certificates.add(self._settings.tls, asks_for_certificate=asks)
        except TlsError as error:
            raise ListenError(str(error)) from error

    async def stop(self) -> None:
        """Close all connections and stop listening."""
        if self._housekeeping is not None:
            self._housekeeping.cancel()
            await asyncio.wait({self._housekeeping})
            self._housekeeping = None
        await self._stop_listening()
        await asyncio.gather(*self._errands, return_exceptions=True)

    async def _stop_listening(self) -> None:
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()
        for server in servers:
            await server.wait_closed()

    async def _keep_house(self) -> None:
        self._certificates.watch()
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            self._notices.expire()
            self._certificates.watch()

    def _spawn(self, work: Awaitable[None]) -> None:
        """Run an errand that nobody waits for; a failing store is reported by the store itself."""
        if len(self._errands) >= _MAX_ERRANDS:
            close = getattr(work, "close", None)
            if close is not None:
                close()
            return
        errand = asyncio.ensure_future(work)
        self._errands.add(errand)
        errand.add_done_callback(self._end_errand)

    def _end_errand(self, errand: asyncio.Future[None]) -> None:
        self._errands.discard(errand)
        if not errand.cancelled() and errand.exception() is not None:
            log.warning("ocpp.errand_failed", error=repr(errand.exception()))

    def _make_socket(self, *args: Any, **kwargs: Any) -> StationSocket:
        return StationSocket(*args, crowd=self._crowd, **kwargs)

    def local_host(self, station: StationId) -> str | None:
        """Return our address as a connected station reached it; None: it is not connected."""
        link = self._registry.get(station)
        return link.local_host if link is not None else None

    def tls_without_client_certificates(self) -> ssl.SSLContext | None:
        """Return a context with the server's certificates, kept up to date; None: there are none.

        Raises:
            ListenError: A certificate cannot be used.
        """
        if self._settings.tls is None:
            return None
        try:
            return self._certificates.add(self._settings.tls, asks_for_certificate=False)
        except TlsError as error:
            raise ListenError(str(error)) from error

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

    def renew(self, stations: Iterable[StationId]) -> None:
        """Cut connections, so that their stations come back and are provisioned anew, or refused.

        What they were granted they keep meanwhile.
        """
        for station in stations:
            link = self._registry.get(station)
            if link is not None:
                link.session.abort()

    # --- admission --------------------------------------------------------------------------------

    async def _process_request(
        self, listener: Listener, socket: ServerConnection, request: Request
    ) -> Response | None:
        """Let a handshake in or answer it with an HTTP error."""
        outcome = await self._entrance.admit(_caller(listener, socket), request)
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
        dialect = ExtendedDialect(
            self._dialects[protocol](session), session, self._extensions, self._taps
        )
        old = self._registry.get(station)
        link = self._registry.put(
            station=station,
            peer=admission.peer,
            local_host=str((socket.local_address or ("",))[0]),
            session=session,
            dialect=dialect,
        )
        if old is not None:
            old.session.abort()
        self._entrance.welcome(admission)
        self._desk.post(StationConnected(station=station, protocol=protocol))
        log.info("ocpp.connected", station=station, protocol=protocol, peer=admission.peer)
        try:
            await session.run(dialect)
        finally:
            if self._registry.remove(link):
                self._desk.post(StationDisconnected(station=station))
                log.info("ocpp.disconnected", station=station)


def _caller(listener: Listener, socket: ServerConnection) -> Caller:
    """Return what the connection itself says of who knocks."""
    tls = socket.transport.get_extra_info("ssl_object")
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    return Caller(
        peer=str((socket.remote_address or ("",))[0]),
        listener=listener,
        certificate=ClientCertificate.of(der) if der else None,
    )


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
