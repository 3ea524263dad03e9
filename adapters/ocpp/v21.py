"""OCPP 2.1: one connected station. What 2.0.1 says holds; leases also end by time without a connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from adapters.ocpp.book import StationBook
from adapters.ocpp.dialect import Caller
from adapters.ocpp.frames import OCPP21
from adapters.ocpp.profiles import START_BEFORE_S, ChargingProfile, profile_v201
from adapters.ocpp.station_dialect import StationDialect
from adapters.ocpp.translation import DialectSettings
from adapters.ocpp.v201 import WIRE as WIRE_V201
from adapters.ocpp.v201_inbound import InboundV201
from adapters.ocpp.v201_reports import FIXED_ANSWERS
from controller.ports import Clock, StationDesk


class InboundV21(InboundV201):
    """Answers the CALLs of one OCPP 2.1 station."""

    protocol = OCPP21
    fixed: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **FIXED_ANSWERS,
        "NotifyAllowedEnergyTransfer": {"status": "Rejected"},
        "NotifyDERAlarm": {},
        "NotifyDERStartStop": {},
        "NotifyPriorityCharging": {},
        "PullDynamicScheduleUpdate": {"status": "Rejected"},
        "ReportDERControl": {},
    }
    """Reports that change nothing here; limits are pushed, never pulled."""


def profile_v21(profile: ChargingProfile) -> dict[str, Any]:
    """Write SetChargingProfileRequest of OCPP 2.1.

    A lease also ends when the station has been without us for its length, whatever its clock says
    (`maxOfflineDuration`), and does not come back by itself afterwards.

    Source: OCPP 2.1 K01.FR.101 to 103.
    """
    request = profile_v201(profile)
    if profile.valid_to is not None and profile.duration_s is not None:
        request["chargingProfile"] |= {
            "maxOfflineDuration": max(1, profile.duration_s - START_BEFORE_S),
            "invalidAfterOfflineDuration": True,
        }
    return request


WIRE = replace(WIRE_V201, profile=profile_v21, inbound=InboundV21)


class V21Dialect(StationDialect):
    """Translates between an OCPP 2.1 station and the controller."""

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
