"""The HTTP server on its own thread and event loop, so that no client can delay control."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import structlog
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.h11_impl import H11Protocol

from adapters.http.app import create_api, protect
from adapters.http.bridge import Bridge
from adapters.http.services import GridHeartbeat, Services, build_services
from adapters.http.settings import HttpSettings
from adapters.http.shield import PEER, Peer
from controller.administration import SiteStore
from controller.care import StationCare
from controller.configuration import Configuration
from controller.notices import Notifications
from controller.planning import Planning
from controller.ports import Clock, Control
from controller.roaming import PartnerRegister, UpstreamStatus

log = structlog.get_logger(__name__)

_STOP_S = 5.0
_SWEEP_S = 1.0


class ListenError(Exception):
    """The address cannot be listened on. The text names it and the mend."""


class HttpServer:
    """Serves the API, the events and the page.

    `start` is called on the control loop, which the store and the controller are bound to.
    """

    def __init__(
        self,
        *,
        settings: HttpSettings,
        control: Control,
        store: SiteStore,
        clock: Clock,
        setup_code: str = "",
        planning: Planning | None = None,
        configuration: Configuration | None = None,
        care: StationCare | None = None,
        notifications: Notifications | None = None,
        partners: PartnerRegister | None = None,
        upstream: UpstreamStatus | None = None,
        sheds: Callable[[], bool] = lambda: False,
        grid: GridHeartbeat | None = None,
    ) -> None:
        """Prepare to serve.

        Args:
            settings: Where, and what is put up with.
            control: The running controller.
            store: Its store.
            clock: Time.
            setup_code: What lets the first account be made from elsewhere; empty: only from here.
            planning: The planner, where there is one.
            configuration: Changes the site file; None: it cannot be changed while running.
            care: Adoption, secrets, certificates and logs of stations; None: not offered.
            notifications: Who is told of alarms; None: nobody can be.
            partners: The roaming partners; None: no roaming.
            upstream: The lines to the back office; None: there is none.
            sheds: Whether this machine needs what it has for control: no new event streams meanwhile.
            grid: Hears the sender of grid signals; None: nobody has to be heard.
        """
        self._settings = settings
        self._control = control
        self._store = store
        self._clock = clock
        self._setup_code = setup_code
        self._planning = planning
        self._configuration = configuration
        self._care = care
        self._notifications = notifications
        self._partners = partners
        self._upstream = upstream
        self._sheds = sheds
        self._grid = grid
        self._thread: threading.Thread | None = None
        self._server: uvicorn.Server | None = None
        self._stopping = False
        self._port = settings.port

    @property
    def port(self) -> int:
        """The port listened on; after `start`, never 0."""
        return self._port

    def start(self) -> None:
        """Listen, and serve from a new thread. Connections are accepted when this returns.

        Raises:
            ListenError: The address is in use or is not ours.
        """
        _check_certificate(self._settings.tls)
        listener = _listen(self._settings.host, self._settings.port)
        self._port = listener.getsockname()[1]
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=self._serve, args=(listener, loop), name="http", daemon=True
        )
        self._thread.start()
        log.info("http.listening", host=self._settings.host, port=self._port)

    def stop(self) -> None:
        """End all requests and the thread; from the control loop, call it with `asyncio.to_thread`."""
        self._stopping = True
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(_STOP_S)

    def _serve(self, listener: socket.socket, main_loop: asyncio.AbstractEventLoop) -> None:
        try:
            asyncio.run(self._run(listener, main_loop))
        except Exception as error:
            # The thread's boundary: control goes on without HTTP, and the log says why.
            log.critical("http.failed", error=repr(error))
            raise
        finally:
            listener.close()

    async def _run(self, listener: socket.socket, main_loop: asyncio.AbstractEventLoop) -> None:
        bridge = Bridge(
            main_loop,
            timeout_s=self._settings.call_timeout_s,
            max_calls=self._settings.max_calls,
        )
        connections = Connections(head_timeout_s=self._settings.head_timeout_s)
        services = build_services(
            settings=self._settings,
            control=self._control,
            store=self._store,
            clock=self._clock,
            bridge=bridge,
            setup_code=self._setup_code,
            planning=self._planning,
            configuration=self._configuration,
            care=self._care,
            notifications=self._notifications,
            partners=self._partners,
            upstream=self._upstream,
            abort=connections.abort,
            sheds=self._sheds,
            grid=self._grid,
        )
        server = _Server(self._config(services), services)
        connections.watch(server)
        self._server = server
        server.should_exit = self._stopping
        feed = asyncio.create_task(services.feed.run(), name="http-feed")
        sweep = asyncio.create_task(connections.sweep(), name="http-sweep")
        try:
            await server.serve(sockets=[listener])
        finally:
            feed.cancel()
            sweep.cancel()
            await asyncio.gather(feed, sweep, return_exceptions=True)

    def _config(self, services: Services) -> uvicorn.Config:
        tls = self._settings.tls
        app = protect(create_api(services), services)
        if self._settings.trusted_proxies:
            trusting = ProxyHeadersMiddleware(
                cast("Any", app), list(self._settings.trusted_proxies)
            )
            app = cast("ASGIApp", trusting)
        return uvicorn.Config(
            _with_peer(app),
            http=H11Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=self._settings.max_connections,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=16_384,
            ssl_certfile=str(tls[0]) if tls is not None else None,
            ssl_keyfile=str(tls[1]) if tls is not None else None,
        )


class _Server(uvicorn.Server):
    """Ends the event streams first, which otherwise hold up the shutdown."""

    def __init__(self, config: uvicorn.Config, services: Services) -> None:
        super().__init__(config)
        self._services = services

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shut down."""
        self._services.feed.close()
        await super().shutdown(sockets)


class Connections:
    """The open sockets: cuts off those that neither ask nor listen."""

    def __init__(self, *, head_timeout_s: float) -> None:
        self._head_timeout_s = head_timeout_s
        self._server: uvicorn.Server | None = None
        self._idle_since_s: dict[H11Protocol, float] = {}

    def watch(self, server: uvicorn.Server) -> None:
        """Look after a server's connections."""
        self._server = server

    def abort(self, peer: Peer) -> None:
        """Cut off the connection from an address and port, with all that is buffered for it."""
        for protocol in self._open():
            if protocol.client == tuple(peer):
                protocol.transport.abort()

    async def sweep(self) -> None:
        """Cut off connections that do not complete a request in time, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_S)
            self._cut_idle(loop.time())

    def _cut_idle(self, now_s: float) -> None:
        idle: dict[H11Protocol, float] = {}
        for protocol in self._open():
            if protocol.cycle is not None and not protocol.cycle.response_complete:
                continue
            since_s = idle[protocol] = self._idle_since_s.get(protocol, now_s)
            if now_s - since_s > self._head_timeout_s:
                protocol.transport.abort()
        self._idle_since_s = idle

    def _open(self) -> list[H11Protocol]:
        if self._server is None:
            return []
        connections = tuple(self._server.server_state.connections)
        return [c for c in connections if isinstance(c, H11Protocol)]


def _with_peer(app: ASGIApp) -> ASGIApp:
    """Keep the socket's own peer in the scope, whatever a proxy's headers say later."""

    async def with_peer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("client"):
            scope[PEER] = tuple(scope["client"])
        await app(scope, receive, send)

    return with_peer


def _check_certificate(tls: tuple[Path, Path] | None) -> None:
    """Read certificate and key once, so that a wrong one is named at the start."""
    if tls is None:
        return
    certificate, key = tls
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ListenError(
            f"http.tls: {certificate} and {key} cannot be used: "
            f"{getattr(error, 'strerror', None) or error}. Name a certificate and its key, both PEM, "
            "that this user may read."
        ) from error


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With proto 0 asyncio would not set TCP_NODELAY, and each answer would wait 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
        listener.setblocking(False)
    except (OSError, OverflowError) as error:
        listener.close()
        raise ListenError(
            f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}. "
            "End what uses it, or set another `http: {listen: HOST:PORT}` in the site file."
        ) from error
    return listener
