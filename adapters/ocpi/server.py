"""The roaming server on its own thread and loop, so that no partner can delay control."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import structlog
import uvicorn

from adapters.ocpi.client import PartnerClient, PartnerError
from adapters.ocpi.commands import Commander
from adapters.ocpi.control import ControlRoom
from adapters.ocpi.guard import Guard
from adapters.ocpi.ids import PublicIds
from adapters.ocpi.ledger import Change, SessionLedger
from adapters.ocpi.limits import Limits
from adapters.ocpi.locations import Seen, location_of, statuses
from adapters.ocpi.models.sessions import AuthMethod
from adapters.ocpi.partners import PartnerBook, PartnerState
from adapters.ocpi.parts import Board, Parts
from adapters.ocpi.pushes import Pusher
from adapters.ocpi.registration import Registrar
from adapters.ocpi.reservations import Reservations
from adapters.ocpi.routes import create_app
from adapters.ocpi.sessions import Place
from adapters.ocpi.settings import OcpiSettings
from adapters.ocpi.tokens import Authorizer, TokenBook, authorization_of, pull
from adapters.ocpi.web import Door
from adapters.vault import Vault
from controller.ports import Clock, Control, Store
from controller.records import Authorization
from controller.roaming import DocumentStore
from controller.site import Site, StationId
from controller.transaction import IdToken

log = structlog.get_logger(__name__)

STOP_S = 5.0
PULL_EVERY = timedelta(hours=6)
PULL_AGAIN = timedelta(minutes=1)
ANSWER_S = 4.5
"""A station waits for its answer: what takes longer is refused. [s]"""


class OcpiListenError(Exception):
    """The address cannot be listened on. The text names it and the mend."""


class OcpiServer:
    """Serves partners and tells them what changes. Implements `RoamingDesk`."""

    def __init__(
        self,
        *,
        settings: OcpiSettings,
        site: Site,
        control: Control,
        store: Store,
        documents: DocumentStore,
        clock: Clock,
        key_file: Path,
    ) -> None:
        self._settings = settings
        self._site = site
        self._control = control
        self._store = store
        self._documents = documents
        self._clock = clock
        self._key_file = key_file
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: uvicorn.Server | None = None
        self._parts: Parts | None = None
        self._pulled: dict[str, str] = {}
        self._pull_after: dict[str, datetime] = {}
        self._is_stopping = False
        self._port = settings.port

    @property
    def port(self) -> int:
        """The port listened on; after `start`, never 0."""
        return self._port

    def start(self) -> None:
        """Listen, and serve from a new thread.

        Raises:
            OcpiListenError: The address is in use or is not ours.
            VaultError: The key file cannot be used.
        """
        vault = Vault.open(self._key_file)
        listener = _listen(self._settings.host, self._settings.port)
        self._port = listener.getsockname()[1]
        main_loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=self._serve, args=(listener, main_loop, vault), name="ocpi", daemon=True
        )
        self._thread.start()
        log.info("ocpi.listening", host=self._settings.host, port=self._port)

    def stop(self) -> None:
        """End all requests and the thread; from the control loop, call it with `asyncio.to_thread`."""
        self._is_stopping = True
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(STOP_S)

    async def authorize(self, station: StationId, token: IdToken) -> Authorization | None:
        """Decide on a partner's token, on the roaming loop; None: no partner knows it."""
        loop, parts = self._loop, self._parts
        if loop is None or parts is None or self._is_stopping:
            return None
        built = self._site.stations.get(station)
        uids = tuple(parts.ids.uid(e.id) for e in built.evses) if built is not None else ()
        future = asyncio.run_coroutine_threadsafe(self._decide(parts, token, uids), loop)
        try:
            async with asyncio.timeout(ANSWER_S):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            log.warning("ocpi.authorize_late", station=station)
            return None

    async def _decide(
        self, parts: Parts, token: IdToken, uids: tuple[str, ...]
    ) -> Authorization | None:
        verdict = await parts.authorizer.decide(token, uids)
        if verdict is None:
            return None
        method = AuthMethod.AUTH_REQUEST if verdict.is_asked else AuthMethod.WHITELIST
        parts.ledger.expect(verdict, method=method, reference=verdict.authorization_reference)
        return authorization_of(verdict)

    # --- the thread -------------------------------------------------------------------------------

    def _serve(
        self, listener: socket.socket, main_loop: asyncio.AbstractEventLoop, vault: Vault
    ) -> None:
        try:
            asyncio.run(self._run(listener, main_loop, vault))
        except Exception as error:
            # The thread's boundary: control goes on without roaming, and the log says why.
            log.critical("ocpi.failed", error=repr(error))
            raise
        finally:
            listener.close()

    async def _run(
        self, listener: socket.socket, main_loop: asyncio.AbstractEventLoop, vault: Vault
    ) -> None:
        parts = await self._build(main_loop, vault)
        pusher = Pusher(
            settings=self._settings,
            client=parts.client,
            partners=parts.partners,
            documents=parts.documents,
            clock=self._clock,
            tariff_at=parts.started_at,
        )
        config = uvicorn.Config(
            create_app(parts),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=100,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=16_384,
        )
        server = uvicorn.Server(config)
        self._server, self._loop, self._parts = server, asyncio.get_running_loop(), parts
        server.should_exit = self._is_stopping
        sync = asyncio.create_task(self._sync_forever(parts, pusher), name="ocpi-sync")
        try:
            await server.serve(sockets=[listener])
        finally:
            sync.cancel()
            await asyncio.gather(sync, return_exceptions=True)
            await parts.commander.close()
            await parts.client.close()

    async def _build(self, main_loop: asyncio.AbstractEventLoop, vault: Vault) -> Parts:
        settings, clock, documents = self._settings, self._clock, self._documents
        ids = await PublicIds.load(
            documents,
            self._site.evses(),
            country_code=settings.country_code,
            party_id=settings.party_id,
            now=clock.now(),
        )
        guard = Guard(allow_private=settings.allow_private_partners)
        partners, tokens = PartnerBook(documents), TokenBook(documents)
        await partners.load()
        client = PartnerClient(settings=settings, guard=guard, vault=vault)
        room = ControlRoom(self._control, main_loop)
        place = Place(site=self._site, settings=settings, ids=ids)
        ledger = SessionLedger(
            store=self._store, documents=documents, tokens=tokens, place=place, clock=clock
        )
        return Parts(
            settings=settings,
            site=self._site,
            ids=ids,
            clock=clock,
            documents=documents,
            partners=partners,
            tokens=tokens,
            authorizer=Authorizer(
                book=tokens,
                partners=partners,
                client=client,
                clock=clock,
                location_id=self._site.id[:36],
                timeout_s=settings.authorize_timeout_s,
            ),
            ledger=ledger,
            client=client,
            registrar=Registrar(
                settings=settings,
                book=partners,
                client=client,
                guard=guard,
                vault=vault,
                clock=clock,
            ),
            commander=Commander(
                site=self._site,
                ids=ids,
                room=room,
                client=client,
                guard=guard,
                partners=partners,
                tokens=tokens,
                ledger=ledger,
                clock=clock,
                reservations=Reservations(documents),
            ),
            limits=Limits(
                site=self._site, documents=documents, ledger=ledger, room=room, clock=clock
            ),
            room=room,
            door=Door(book=partners, settings=settings),
            board=Board(),
            started_at=clock.now().replace(microsecond=0),
        )

    # --- what changes ---------------------------------------------------------------------------------

    async def _sync_forever(self, parts: Parts, pusher: Pusher) -> None:
        while True:
            try:
                await self._sync(parts, pusher)
            except Exception as error:  # noqa: BLE001
                # The task's boundary: the next round tries again, and the log says why.
                log.error("ocpi.sync_failed", error=repr(error))
            await asyncio.sleep(self._settings.sync_interval_s)

    async def _sync(self, parts: Parts, pusher: Pusher) -> None:
        await parts.partners.load()
        changed = self._look(parts)
        changes: list[Change] = [change async for change in parts.ledger.sync()]
        await parts.limits.apply()
        location = None
        if parts.board.seen:
            location = location_of(
                parts.site, settings=parts.settings, ids=parts.ids, seen=parts.board.seen
            )
        await pusher.push(location, changed, changes)
        await self._pull(parts)

    def _look(self, parts: Parts) -> list[str]:
        """Take in the states of all EVSEs; return the uids of those that changed."""
        now = parts.clock.now().replace(microsecond=0)
        changed = []
        for evse, status in statuses(parts.site, parts.room.plan()).items():
            before = parts.board.seen.get(evse)
            if before is None or before.status is not status:
                parts.board.seen[evse] = Seen(status=status, since=now)
                changed.append(parts.ids.uid(evse))
        return changed

    async def _pull(self, parts: Parts) -> None:
        """Fetch the tokens of partners: once after registration, then every few hours."""
        now = parts.clock.now()
        for partner in parts.partners.all():
            if partner.state is not PartnerState.REGISTERED:
                continue
            slot = f"{partner.token_digest}/{int(now.timestamp() // PULL_EVERY.total_seconds())}"
            if self._pulled.get(partner.id) == slot:
                continue
            if now < self._pull_after.get(partner.id, now):
                continue
            try:
                kept = await pull(partner, client=parts.client, book=parts.tokens, since=None)
            except PartnerError as error:
                self._pull_after[partner.id] = now + PULL_AGAIN
                await parts.partners.note_error(partner.id, f"tokens: {error}", now)
                continue
            self._pulled[partner.id] = slot
            log.info("ocpi.tokens_fetched", partner=partner.id, tokens=kept)
            await parts.partners.note_heard(partner.id, now)

    def stats(self) -> Mapping[str, float]:
        """Return how many partners are registered."""
        parts = self._parts
        known = parts.partners.all() if parts is not None else ()
        return {"ocpi_partners": sum(p.state is PartnerState.REGISTERED for p in known)}


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
        listener.setblocking(False)
    except (OSError, OverflowError) as error:
        listener.close()
        raise OcpiListenError(
            f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}. "
            "End what uses it, or set another `ocpi: {listen: HOST:PORT}` in the site file."
        ) from error
    return listener
