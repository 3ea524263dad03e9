"""OCPP 2.0.1: one connected station."""

from __future__ import annotations

from adapters.ocpp.dialect import Caller
from adapters.ocpp.profiles import profile_v201
from adapters.ocpp.provisioning import provision_v201
from adapters.ocpp.station_dialect import StationDialect, Wire
from adapters.ocpp.translation import DialectSettings
from adapters.ocpp.v201_inbound import InboundV201
from adapters.ocpp.v201_outbound import action_v201, composite_v201
from controller.ports import Clock, StationDesk

WIRE = Wire(
    profile=profile_v201,
    action=action_v201,
    composite=composite_v201,
    provision=provision_v201,
    transaction_may_be_left_out=False,
)


class V201Dialect(StationDialect):
    """Translates between an OCPP 2.0.1 station and the controller."""

    def __init__(
        self, caller: Caller, *, desk: StationDesk, clock: Clock, settings: DialectSettings
    ) -> None:
        super().__init__(
            caller,
            desk=desk,
            clock=clock,
            settings=settings,
            wire=WIRE,
            inbound=lambda intake, on_boot: InboundV201(intake, settings=settings, on_boot=on_boot),
        )
