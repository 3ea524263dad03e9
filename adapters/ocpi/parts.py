"""Everything that a request may need, built once per server."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from adapters.ocpi.client import PartnerClient
from adapters.ocpi.commands import Commander
from adapters.ocpi.control import ControlRoom
from adapters.ocpi.ids import PublicIds
from adapters.ocpi.ledger import SessionLedger
from adapters.ocpi.limits import Limits
from adapters.ocpi.locations import Seen
from adapters.ocpi.partners import PartnerBook
from adapters.ocpi.registration import Registrar
from adapters.ocpi.settings import OcpiSettings
from adapters.ocpi.tokens import Authorizer, TokenBook
from adapters.ocpi.web import Door
from controller.ports import Clock
from controller.roaming import DocumentStore
from controller.site import EvseId, Site


@dataclass(slots=True, kw_only=True)
class Board:
    """The states that partners were last told of, and since when."""

    seen: dict[EvseId, Seen] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The object graph of the roaming server."""

    settings: OcpiSettings
    site: Site
    ids: PublicIds
    clock: Clock
    documents: DocumentStore
    partners: PartnerBook
    tokens: TokenBook
    authorizer: Authorizer
    ledger: SessionLedger
    client: PartnerClient
    registrar: Registrar
    commander: Commander
    limits: Limits
    room: ControlRoom
    door: Door
    board: Board
    started_at: datetime
