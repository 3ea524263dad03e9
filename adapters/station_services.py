"""Composes the services around stations: adoption, secrets, certificates, local lists."""

from __future__ import annotations

import asyncio

import structlog

from adapters.ocpp.certificates import CertificateDesk
from adapters.ocpp.extension import Extension
from adapters.ocpp.lines import Lines
from adapters.ocpp.local_list_keeper import LocalListKeeper
from adapters.ocpp.rotation import RotatingSecrets
from adapters.pki.authority import Authority
from adapters.pki.files import PkiError
from adapters.store.sqlite_store import SqliteStore
from controller.adoption import AdoptionDesk
from controller.care import OfflineTokens, StationCare
from controller.ports import Clock, ConditionSink
from controller.site import Site

log = structlog.get_logger(__name__)


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
    ) -> None:
        self._authority = authority
        self._clock = clock
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

    async def renew_certificates(self) -> None:
        """Renew the server's own certificates in time; the listeners then take them by themselves."""
        if self._authority is None:
            return
        try:
            if await asyncio.to_thread(self._authority.renew_server, self._clock.now()):
                log.info("pki.server_renewed")
        except PkiError as error:
            log.warning("pki.not_renewed", reason=str(error))
