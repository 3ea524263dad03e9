"""OCPP 1.6-J: one connected station."""

from __future__ import annotations

from adapters.ocpp.book import StationBook
from adapters.ocpp.configuration import read_keys, write_keys
from adapters.ocpp.dialect import Caller
from adapters.ocpp.operator_actions import Maintenance
from adapters.ocpp.profiles import profile_v16
from adapters.ocpp.provisioning import provision_v16
from adapters.ocpp.station_dialect import StationDialect, Wire
from adapters.ocpp.translation import DialectSettings
from adapters.ocpp.v16_inbound import InboundV16
from adapters.ocpp.v16_outbound import ACTIONS, composite_v16
from controller.ports import Clock, StationDesk

WIRE = Wire(
    profile=profile_v16,
    maintenance=Maintenance(
        actions=ACTIONS,
        read=read_keys,
        write=lambda wanted, _: write_keys(wanted),
        reads_all=True,
    ),
    composite=composite_v16,
    provision=provision_v16,
    inbound=InboundV16,
    transaction_may_be_left_out=True,
)


class V16Dialect(StationDialect):
    """Translates between an OCPP 1.6 station and the controller. Its connectors are EVSEs here."""

    def __init__(
        self,
        caller: Caller,
        *,
        desk: StationDesk,
        clock: Clock,
        settings: DialectSettings,
        book: StationBook | None = None,
    ) -> None:
        super().__init__(caller, desk=desk, clock=clock, settings=settings, wire=WIRE, book=book)
