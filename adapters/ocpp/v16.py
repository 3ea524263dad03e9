"""OCPP 1.6-J: one connected station."""

from __future__ import annotations

from adapters.ocpp.dialect import Caller
from adapters.ocpp.profiles import profile_v16
from adapters.ocpp.provisioning import provision_v16
from adapters.ocpp.station_dialect import StationDialect, Wire
from adapters.ocpp.translation import DialectSettings
from adapters.ocpp.v16_inbound import InboundV16
from adapters.ocpp.v16_outbound import action_v16, composite_v16
from controller.ports import Clock, StationDesk

WIRE = Wire(
    profile=profile_v16,
    action=action_v16,
    composite=composite_v16,
    provision=provision_v16,
    transaction_may_be_left_out=True,
)


class V16Dialect(StationDialect):
    """Translates between an OCPP 1.6 station and the controller. Its connectors are EVSEs here."""

    def __init__(
        self, caller: Caller, *, desk: StationDesk, clock: Clock, settings: DialectSettings
    ) -> None:
        super().__init__(
            caller,
            desk=desk,
            clock=clock,
            settings=settings,
            wire=WIRE,
            inbound=lambda intake, on_boot: InboundV16(intake, settings=settings, on_boot=on_boot),
        )
