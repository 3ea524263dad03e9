"""OCPP 2.1: one connected station. What 2.0.1 says holds; leases also end by time without a connection.

Where the station says that it takes dynamic profiles, the limit of a lease is changed in place. A
station that asks for an update by itself (PullDynamicScheduleUpdate) is refused: an answer would
prolong its lease behind the back of the decisions, which count on its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from adapters.ocpp.book import StationBook
from adapters.ocpp.capabilities import Capabilities
from adapters.ocpp.dialect import Caller
from adapters.ocpp.frames import OCPP21
from adapters.ocpp.naming import place_of
from adapters.ocpp.profiles import START_BEFORE_S, ChargingProfile, profile_v201
from adapters.ocpp.provisioning import ProvisioningView, Request, Steps, provision_v201
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


SUPPORTS = {
    "dynamic": ("SmartChargingCtrlr", "SupportsDynamicProfiles"),
    "offline": ("SmartChargingCtrlr", "SupportsMaxOfflineDuration"),
}
"""What is asked of a 2.1 station besides what 2.0.1 knows."""


def provision_v21(view: ProvisioningView, capabilities: Capabilities) -> Steps:
    """Provision as in 2.0.1, then ask what only 2.1 knows."""
    yield from provision_v201(view, capabilities)
    payload = {"getVariableData": [place_of(".".join(name)) for name in SUPPORTS.values()]}
    answer = yield Request(action="GetVariables", payload=payload)
    results = (answer.payload or {}).get("getVariableResult", ()) if answer is not None else ()
    said = {
        str(result["variable"]["name"]): str(result.get("attributeValue", "")).strip().lower()
        for result in results
        if result.get("attributeStatus") == "Accepted"
    }
    offline = said.get(SUPPORTS["offline"][1])
    capabilities.takes_dynamic = said.get(SUPPORTS["dynamic"][1]) == "true"
    capabilities.takes_offline_duration = None if offline is None else offline == "true"


def dynamic_v21(profile: ChargingProfile, *, with_offline: bool = True) -> dict[str, Any]:
    """Write the SetChargingProfileRequest of a dynamic profile: one period, no start of its own.

    It ends its `duration` after the latest update, and at `validTo` at the latest.

    Args:
        profile: A lease.
        with_offline: False: the station says that it does not know `maxOfflineDuration`.

    Source: OCPP 2.1 K28.FR.01, .02, .13.
    """
    request = profile_v21(profile, with_offline=with_offline)
    body = request["chargingProfile"]
    body["chargingProfileKind"] = "Dynamic"
    [schedule] = body["chargingSchedule"]
    schedule.pop("startSchedule", None)
    if profile.duration_s is not None:
        schedule["duration"] = max(1, profile.duration_s - START_BEFORE_S)
    return request


def profile_v21(profile: ChargingProfile, *, with_offline: bool = True) -> dict[str, Any]:
    """Write SetChargingProfileRequest of OCPP 2.1.

    A lease also ends when the station has been without us for its length, whatever its clock says
    (`maxOfflineDuration`), and does not come back by itself afterwards.

    Args:
        profile: What to write.
        with_offline: False: the station says that it does not know `maxOfflineDuration`.

    Source: OCPP 2.1 K01.FR.101 to 103.
    """
    request = profile_v201(profile)
    if with_offline and profile.valid_to is not None and profile.duration_s is not None:
        request["chargingProfile"] |= {
            "maxOfflineDuration": max(1, profile.duration_s - START_BEFORE_S),
            "invalidAfterOfflineDuration": True,
        }
    return request


WIRE = replace(
    WIRE_V201,
    profile=profile_v21,
    inbound=InboundV21,
    provision=provision_v21,
    dynamic=dynamic_v21,
)


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
        wire = replace(WIRE, profile=self._profile, dynamic=self._dynamic_profile)
        super().__init__(caller, desk=desk, clock=clock, settings=settings, wire=wire, book=book)

    def _profile(self, profile: ChargingProfile) -> dict[str, Any]:
        return profile_v21(profile, with_offline=self._with_offline)

    def _dynamic_profile(self, profile: ChargingProfile) -> dict[str, Any]:
        return dynamic_v21(profile, with_offline=self._with_offline)

    @property
    def _with_offline(self) -> bool:
        return self.capabilities.takes_offline_duration is not False
