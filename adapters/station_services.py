"""Composes the services around stations: adoption, secrets, certificates, local lists."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import structlog

from adapters.ocpp.certificates import CertificateDesk
from adapters.ocpp.extension import Extension
from adapters.ocpp.lines import Lines
from adapters.ocpp.local_list_keeper import LocalListKeeper
from adapters.ocpp.logs import LogDesk
from adapters.ocpp.rotation import RotatingSecrets
from adapters.ocpp.server import OcppServer
from adapters.pki.authority import Authority
from adapters.pki.files import PkiError
from adapters.store.sqlite_store import SqliteStore
from adapters.uploads.book import UploadBook
from adapters.uploads.receiver import UploadListenError, UploadReceiver
from adapters.uploads.settings import UploadSettings
from controller.adoption import AdoptionDesk
from controller.care import OfflineTokens, StationCare
from controller.ports import Clock, ConditionSink
from controller.site import Site, StationId

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRun:
    """The upload receiver as the site file wants it."""

    settings: UploadSettings
    with_tls: bool


class StationServices:
    """One of each, wired to the store and to the connected stations."""

    def __init__(
        self,
        *,
        site: Site,
        store: SqliteStore,
        conditions: ConditionSink,
        clock: Clock,
        authority: Authority | None,
        offline_tokens: OfflineTokens,
        uploads: UploadRun | None,
    ) -> None:
        self._authority = authority
        self._store = store
        self._clock = clock
        self._uploads = uploads
        self._book: UploadBook | None = None
        self._lines = Lines()
        self.adoption = AdoptionDesk(site=site, store=store, clock=clock)
        self.lists = LocalListKeeper(
            store=store, conditions=conditions, clock=clock, offline=offline_tokens
        )
        certificates = CertificateDesk(
            lines=self._lines,
            store=store,
            signer=authority,
            conditions=conditions,
            clock=clock,
        )
        self.extensions: tuple[Extension, ...] = (self._lines, certificates, self.lists)
        self.care = StationCare(
            adoption=self.adoption,
            secrets=RotatingSecrets(lines=self._lines, store=store, clock=clock),
            certificates=certificates,
        )

    async def restore(self) -> None:
        """Bring back what operators decided."""
        await self.adoption.restore()

    async def receive_uploads(self, ocpp: OcppServer) -> Callable[[], Awaitable[None]] | None:
        """Begin to receive what stations are asked for.

        Returns:
            How to stop it; None: the site file does not ask for it.

        Raises:
            UploadListenError: The address or the folder cannot be used.
            ListenError: A certificate cannot be used.
        """
        if self._uploads is None:
            return None
        tls = ocpp.tls_without_client_certificates() if self._uploads.with_tls else None
        if self._uploads.with_tls and tls is None:
            raise UploadListenError("uploads.tls needs certificates: run `wattkeeper ca init`")
        settings = replace(self._uploads.settings, tls=tls)
        book = UploadBook(settings=settings, store=self._store, clock=self._clock)
        await book.restore()
        receiver = UploadReceiver(settings=settings, book=book)
        await receiver.start()

        def url(station: StationId, credentials: str) -> str | None:
            host = ocpp.local_host(station)
            return receiver.url(credentials, host) if host is not None else None

        self._book = book
        logs = LogDesk(
            lines=self._lines, uploads=book, url=url, store=self._store, clock=self._clock
        )
        self.care = replace(self.care, logs=logs)
        return receiver.stop

    async def prune(self) -> None:
        """Let go of files that are too old or too much."""
        if self._book is not None:
            await self._book.prune()

    async def renew_certificates(self) -> None:
        """Renew the server's own certificates in time; the listeners then take them by themselves."""
        if self._authority is None:
            return
        try:
            if await asyncio.to_thread(self._authority.renew_server, self._clock.now()):
                log.info("pki.server_renewed")
        except PkiError as error:
            log.warning("pki.not_renewed", reason=str(error))
