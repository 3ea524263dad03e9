"""OCPP 2.0.1: one connected station."""

from __future__ import annotations

from adapters.ocpp.book import StationBook
from adapters.ocpp.configuration import ITEMS, read_variables, write_variables
from adapters.ocpp.dialect import Caller
from adapters.ocpp.operator_actions import Maintenance
from adapters.ocpp.profiles import profile_v201
from adapters.ocpp.provisioning import provision_v201
from adapters.ocpp.station_dialect import StationDialect, Wire
from adapters.ocpp.translation import DialectSettings
from adapters.ocpp.v201_inbound import InboundV201
from adapters.ocpp.v201_outbound import ACTIONS, composite_v201
from controller.ports import Clock, StationDesk

WIRE = Wire(
    profile=profile_v201,
    maintenance=Maintenance(
        actions=ACTIONS,
        read=read_variables,
        write=lambda wanted, capabilities: write_variables(
            wanted, per_message=capabilities.items_per_write or ITEMS
        ),
        reads_all=False,
    ),
    composite=composite_v201,
    provision=provision_v201,
    inbound=InboundV201,
    transaction_may_be_left_out=False,
)


class V201Dialect(StationDialect):
    """Translates between an OCPP 2.0.1 station and the controller."""

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
