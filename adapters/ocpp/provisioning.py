"""How a station is brought to a known state after it connects: a script without IO.

A script yields what to ask or to report and is fed the answers, so that it can be tested without a
station. The fallback comes first: safety before comfort. Whatever is refused is tried in a weaker
form, remembered and left; nothing is asked twice, and no station is ever restarted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapters.ocpp.capabilities import Capabilities
from adapters.ocpp.dialect import CallFailed
from adapters.ocpp.naming import name_of, place_of
from adapters.ocpp.profiles import (
    ChargingProfile,
    ProfileForm,
    RateUnit,
    default_forms,
    profile_for,
    profile_v16,
    profile_v201,
)
from adapters.ocpp.translation import DialectSettings
from controller.site import EvseId

TIMEOUTS_TO_GIVE_UP = 2
"""A station that lets so many requests in a row pass unanswered is left alone for a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One CALL to make."""

    action: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a request: the answer's payload, or why there is none."""

    payload: Mapping[str, Any] | None = None
    failure: CallFailed | None = None

    @property
    def status(self) -> str:
        """Status of the answer; empty when there is none."""
        return str(self.payload.get("status", "")) if self.payload is not None else ""

    @property
    def is_timeout(self) -> bool:
        """Whether it was not answered in time."""
        return self.failure is not None and self.failure.kind == "timeout"

    @property
    def is_unsupported(self) -> bool:
        """Whether the station does not know the request at all."""
        return self.failure is not None and self.failure.code in ("NotImplemented", "NotSupported")


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackHeld:
    """A step without a question: an EVSE confirmed its fallback."""

    evse: EvseId
    fallback_a: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The script is over."""

    is_complete: bool
    """False: the station stopped answering; try again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionedEvse:
    """An EVSE and the fallback it has to hold."""

    id: EvseId
    number: int
    fallback_a: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisioningView:
    """What a script has to know."""

    evses: tuple[ProvisionedEvse, ...]
    booted: bool
    """Whether BootNotification came on this connection."""
    settings: DialectSettings
    station_now: Callable[[], datetime]
    """Now, by the station's clock."""


Steps = Generator[Request | FallbackHeld, Answer | None, None]


class Script:
    """Runs the steps one by one."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._started = False
        self._silent = 0

    def next_step(self, answer: Answer | None = None) -> Request | FallbackHeld | Done:
        """Return the next step.

        Args:
            answer: To the request returned last; None at the start and after a report.
        """
        try:
            if not self._started:
                self._started = True
                return next(self._steps)
            if answer is not None:
                self._silent = self._silent + 1 if answer.is_timeout else 0
                if self._silent >= TIMEOUTS_TO_GIVE_UP:
                    self._steps.close()
                    return Done(is_complete=False)
            return self._steps.send(answer)
        except StopIteration:
            return Done(is_complete=True)


def _ask(action: str, payload: dict[str, Any]) -> Generator[Request, Answer | None, Answer]:
    answer = yield Request(action=action, payload=payload)
    return answer if answer is not None else Answer()


def provision_v16(view: ProvisioningView, capabilities: Capabilities) -> Steps:
    """Provision an OCPP 1.6 station: fallbacks, configuration, current state (facts 1.7, 2.1)."""
    yield from hold_fallbacks(view, capabilities, profile_v16)
    values = yield from _get_configuration(view)
    _learn(capabilities, values, KEYS_V16)
    yield from _hold_in_named_unit(view, capabilities, profile_v16)
    if view.settings.quirks.writes_configuration:
        yield from _change_configuration(view, capabilities, values)
    yield from _trigger_v16(view, capabilities)


def provision_v201(view: ProvisioningView, capabilities: Capabilities) -> Steps:
    """Provision an OCPP 2.0.1 station: fallbacks, variables, current state (facts 1.7, 2.2)."""
    yield from hold_fallbacks(view, capabilities, profile_v201)
    values = yield from _get_variables(view)
    _learn(capabilities, values, KEYS_V201)
    yield from _hold_in_named_unit(view, capabilities, profile_v201)
    if view.settings.quirks.writes_configuration:
        yield from _set_variables(view, capabilities, values)
    yield from _trigger_v201(view, capabilities)


# --- fallbacks ------------------------------------------------------------------------------------

Writer = Callable[[ChargingProfile], dict[str, Any]]


def hold_fallbacks(view: ProvisioningView, capabilities: Capabilities, write: Writer) -> Steps:
    """Put the permanent fallback into every EVSE (facts 1.7, set S)."""
    for evse in view.evses:
        yield from _hold_fallback(evse, view, capabilities, write)


def _hold_in_named_unit(view: ProvisioningView, capabilities: Capabilities, write: Writer) -> Steps:
    """Say the fallback again when the station names other units than the one it was said in."""
    form = capabilities.default_form
    if form is None or capabilities.units is None or form.unit in capabilities.units:
        return
    capabilities.default_form = None
    yield from hold_fallbacks(view, capabilities, write)


def _hold_fallback(
    evse: ProvisionedEvse, view: ProvisioningView, capabilities: Capabilities, write: Writer
) -> Steps:
    quirks = view.settings.quirks
    if quirks.limit_key is not None:
        yield from _hold_by_key(evse, quirks.limit_key, capabilities)
        return
    forms = default_forms(capabilities.units, is_relative=quirks.is_relative)
    if capabilities.default_form is not None:
        known = capabilities.default_form
        forms = (known, *(form for form in forms if form != known))
    for form, connector in _places(forms, evse, view):
        profile = profile_for(
            form,
            connector=connector,
            limit_a=evse.fallback_a,
            wiring=view.settings.wiring(evse.id),
            station_now=view.station_now(),
            quirks=quirks,
        )
        answer = yield from _set_default(profile, write)
        if answer.status == "Accepted":
            capabilities.default_form = form
            capabilities.default_places[evse.id] = connector
            capabilities.refused_defaults.discard(evse.id)
            yield FallbackHeld(evse=evse.id, fallback_a=evse.fallback_a)
            return
        if answer.is_timeout:
            return
        if answer.is_unsupported:
            break
    capabilities.refused_defaults.add(evse.id)


def _hold_by_key(evse: ProvisionedEvse, key: str, capabilities: Capabilities) -> Steps:
    """Put the fallback into the configuration key that limits this model."""
    payload = {"key": key, "value": str(math.floor(evse.fallback_a + 1e-6))}
    answer = yield from _ask("ChangeConfiguration", payload)
    if answer.status == "Accepted":
        capabilities.refused_defaults.discard(evse.id)
        yield FallbackHeld(evse=evse.id, fallback_a=evse.fallback_a)
        return
    capabilities.refused_defaults.add(evse.id)


def _places(
    forms: Sequence[ProfileForm], evse: ProvisionedEvse, view: ProvisioningView
) -> Iterator[tuple[ProfileForm, int]]:
    """Return where to set a default; a station with one EVSE may want it at connector 0."""
    known = view.settings.quirks.default_connector
    if known is not None and len(view.evses) == 1:
        yield forms[0], known
    for form in forms:
        yield form, evse.number
    if len(view.evses) == 1 and known != 0:
        yield forms[0], 0


def _set_default(
    profile: ChargingProfile, write: Writer
) -> Generator[Request, Answer | None, Answer]:
    """Set a default; where another back-end left one at its place, clear that and set it again.

    Source: OCPP 2.0.1 K01.FR.06, reason code DuplicateProfile.
    """
    answer = yield from _ask("SetChargingProfile", write(profile))
    info = (answer.payload or {}).get("statusInfo") or {}
    if answer.status != "Rejected" or info.get("reasonCode") != "DuplicateProfile":
        return answer
    yield from _ask(
        "ClearChargingProfile",
        {
            "chargingProfileCriteria": {
                "chargingProfilePurpose": profile.purpose.value,
                "stackLevel": profile.level,
            }
        },
    )
    return (yield from _ask("SetChargingProfile", write(profile)))


# --- what the station says about itself -------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keys:
    """Names, in lower case, under which a version keeps what we learn."""

    units: str
    levels: str
    profiles: str | None = None
    reads: str = ""
    writes: str = ""


KEYS_V16 = _Keys(
    units="chargingscheduleallowedchargingrateunit",
    levels="chargeprofilemaxstacklevel",
    profiles="maxchargingprofilesinstalled",
    reads="getconfigurationmaxkeys",
)
KEYS_V201 = _Keys(
    units="smartchargingctrlr.rateunit",
    levels="smartchargingctrlr.profilestacklevel",
    reads="devicedatactrlr.itemspermessage[getvariables]",
    writes="devicedatactrlr.itemspermessage[setvariables]",
)
UNIT_NAMES = {
    "a": RateUnit.A,
    "current": RateUnit.A,
    "w": RateUnit.W,
    "power": RateUnit.W,
}
"""1.6 says Current and Power, 2.0.1 A and W, stations say either (errata 3.88)."""


def parse_units(text: str) -> frozenset[RateUnit] | None:
    """Read a list of charging rate units, however they are spelled; None: none is readable."""
    names = (name.strip().strip('"').lower() for name in text.split(","))
    units = frozenset(UNIT_NAMES[name] for name in names if name in UNIT_NAMES)
    return units or None


def _learn(capabilities: Capabilities, values: Mapping[str, str], keys: _Keys) -> None:
    if not capabilities.is_dc:
        capabilities.units = parse_units(values.get(keys.units, "")) or capabilities.units
    level = _whole(values.get(keys.levels))
    capabilities.highest_level = level if level is not None else capabilities.highest_level
    capabilities.items_per_read = _whole(values.get(keys.reads)) or capabilities.items_per_read
    capabilities.items_per_write = _whole(values.get(keys.writes)) or capabilities.items_per_write
    if keys.profiles is not None:
        capabilities.most_profiles = _whole(values.get(keys.profiles)) or capabilities.most_profiles
    capabilities.apply_quirks()


def _whole(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


# --- configuration, 1.6 ---------------------------------------------------------------------------

READ_KEYS = (
    "NumberOfConnectors",
    "SupportedFeatureProfiles",
    "ChargeProfileMaxStackLevel",
    "ChargingScheduleAllowedChargingRateUnit",
    "ChargingScheduleMaxPeriods",
    "MaxChargingProfilesInstalled",
    "ConnectorSwitch3to1PhaseSupported",
    "MeterValueSampleInterval",
    "MeterValuesSampledData",
    "ClockAlignedDataInterval",
    "HeartbeatInterval",
    "WebSocketPingInterval",
    "StopTransactionOnInvalidId",
    "GetConfigurationMaxKeys",
)
ESSENTIAL_KEYS = (
    "ChargeProfileMaxStackLevel",
    "ChargingScheduleAllowedChargingRateUnit",
    "MeterValueSampleInterval",
    "MeterValuesSampledData",
)
MEASURANDS = (
    "Current.Import",
    "Power.Active.Import",
    "Energy.Active.Import.Register",
    "Voltage",
    "Current.Offered",
    "SoC",
)
"""What we want sampled; shortened from the end where it is refused."""
SHORTENED = (6, 4, 3, 1)
"""Lengths tried. Few, because some stations store every attempt."""


def _get_configuration(
    view: ProvisioningView,
) -> Generator[Request, Answer | None, dict[str, str]]:
    """Ask for the keys we need; a station that fails on the long list gets a short one."""
    for keys in (READ_KEYS, ESSENTIAL_KEYS):
        wanted = [key for key in keys if key not in view.settings.quirks.skipped_keys]
        answer = yield from _ask("GetConfiguration", {"key": wanted})
        if answer.payload is not None:
            return _configuration(answer.payload)
    return {}


def _configuration(payload: Mapping[str, Any]) -> dict[str, str]:
    """Read a GetConfiguration answer; keys become lower case, values text."""
    values: dict[str, str] = {}
    for entry in payload.get("configurationKey") or []:
        value = entry.get("value")
        if value is not None:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            values[str(entry.get("key", "")).lower()] = text.strip().strip('"')
    return values


def _change_configuration(
    view: ProvisioningView, capabilities: Capabilities, values: Mapping[str, str]
) -> Steps:
    """Set what differs. A key the station did not show is left alone, the two we live by excepted."""
    settings = view.settings
    yield from _change_measurands(view, capabilities, values)
    for key, value in (
        ("MeterValueSampleInterval", str(settings.shortest_sample_s)),
        ("ClockAlignedDataInterval", str(settings.clock_aligned_s)),
        ("HeartbeatInterval", str(settings.heartbeat_interval_s)),
        ("WebSocketPingInterval", str(settings.websocket_ping_s)),
        ("StopTransactionOnInvalidId", "true"),
    ):
        present = values.get(key.lower())
        is_essential = key == "MeterValueSampleInterval"
        if present is None and not is_essential:
            continue
        if present is not None and present.strip().lower() == value:
            continue
        yield from _change(key, value, view, capabilities)


def _change_measurands(
    view: ProvisioningView, capabilities: Capabilities, values: Mapping[str, str]
) -> Steps:
    present = values.get("metervaluessampleddata")
    measurands = view.settings.quirks.measurands or MEASURANDS
    if present is not None and _covers(present, measurands):
        return
    for length in SHORTENED:
        wanted = measurands[:length]
        if present is not None and _covers(present, wanted):
            return
        value = ",".join(wanted)
        status = yield from _change("MeterValuesSampledData", value, view, capabilities)
        if status != "Rejected":
            return


def _covers(present: str, wanted: Sequence[str]) -> bool:
    """Whether a list holds all measurands, `Current.Import.L1` standing for `Current.Import`."""
    listed = [name.strip().strip('"').lower() for name in present.split(",")]
    return all(
        any(name == want.lower() or name.startswith(want.lower() + ".l") for name in listed)
        for want in wanted
    )


def _change(
    key: str, value: str, view: ProvisioningView, capabilities: Capabilities
) -> Generator[Request, Answer | None, str]:
    if key in view.settings.quirks.skipped_keys:
        return "Skipped"
    answer = yield from _ask("ChangeConfiguration", {"key": key, "value": value})
    if answer.status == "RebootRequired":
        capabilities.restart_wanted = True
    return answer.status


# --- variables, 2.0.1 -------------------------------------------------------------------------------

READ_VARIABLES = (
    ("SmartChargingCtrlr", "Enabled"),
    ("SmartChargingCtrlr", "ProfileStackLevel"),
    ("SmartChargingCtrlr", "RateUnit"),
    ("SmartChargingCtrlr", "PeriodsPerSchedule"),
    ("DeviceDataCtrlr", "ItemsPerMessage[GetVariables]"),
    ("DeviceDataCtrlr", "ItemsPerMessage[SetVariables]"),
    ("SampledDataCtrlr", "TxUpdatedInterval"),
    ("SampledDataCtrlr", "TxUpdatedMeasurands"),
    ("AlignedDataCtrlr", "Interval"),
    ("OCPPCommCtrlr", "HeartbeatInterval"),
    ("OCPPCommCtrlr", "WebSocketPingInterval"),
)
FEW_VARIABLES = 3
"""Variables per request for stations that refuse all in one."""


def _get_variables(view: ProvisioningView) -> Generator[Request, Answer | None, dict[str, str]]:
    names = [n for n in READ_VARIABLES if ".".join(n) not in view.settings.quirks.skipped_keys]
    answer = yield from _ask("GetVariables", _get_payload(names))
    if answer.payload is not None:
        return _variables(answer.payload)
    values: dict[str, str] = {}
    for at in range(0, len(names), FEW_VARIABLES):
        answer = yield from _ask("GetVariables", _get_payload(names[at : at + FEW_VARIABLES]))
        if answer.is_unsupported:
            break
        values.update(_variables(answer.payload or {}))
    return values


def _get_payload(names: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {
        "getVariableData": [place_of(f"{component}.{variable}") for component, variable in names]
    }


def _variables(payload: Mapping[str, Any]) -> dict[str, str]:
    """Read a GetVariables answer into `component.variable`, lower case."""
    values: dict[str, str] = {}
    for result in payload.get("getVariableResult") or []:
        if result.get("attributeStatus") == "Accepted" and "attributeValue" in result:
            values[name_of(result).lower()] = str(result["attributeValue"]).strip()
    return values


def _set_variables(
    view: ProvisioningView, capabilities: Capabilities, values: Mapping[str, str]
) -> Steps:
    """Set what differs, each variable in a request of its own, so that one refusal spoils nothing."""
    settings = view.settings
    yield from _set_measurands(view, capabilities, values)
    for component, variable, value in (
        ("SmartChargingCtrlr", "Enabled", "true"),
        ("SampledDataCtrlr", "TxUpdatedInterval", str(settings.shortest_sample_s)),
        ("AlignedDataCtrlr", "Interval", str(settings.clock_aligned_s)),
        ("OCPPCommCtrlr", "HeartbeatInterval", str(settings.heartbeat_interval_s)),
        ("OCPPCommCtrlr", "WebSocketPingInterval", str(settings.websocket_ping_s)),
    ):
        present = values.get(f"{component}.{variable}".lower())
        is_essential = variable == "TxUpdatedInterval"
        if present is None and not is_essential:
            continue
        if present is not None and present.lower() == value:
            continue
        yield from _set(component, variable, value, view, capabilities)


def _set_measurands(
    view: ProvisioningView, capabilities: Capabilities, values: Mapping[str, str]
) -> Steps:
    present = values.get("sampleddatactrlr.txupdatedmeasurands")
    measurands = view.settings.quirks.measurands or MEASURANDS
    for length in SHORTENED:
        wanted = measurands[:length]
        if present is not None and _covers(present, wanted):
            return
        status = yield from _set(
            "SampledDataCtrlr", "TxUpdatedMeasurands", ",".join(wanted), view, capabilities
        )
        if status != "Rejected":
            return


def _set(
    component: str, variable: str, value: str, view: ProvisioningView, capabilities: Capabilities
) -> Generator[Request, Answer | None, str]:
    if f"{component}.{variable}" in view.settings.quirks.skipped_keys:
        return "Skipped"
    data = {
        "attributeValue": value,
        "component": {"name": component},
        "variable": {"name": variable},
    }
    answer = yield from _ask("SetVariables", {"setVariableData": [data]})
    results = (answer.payload or {}).get("setVariableResult") or [{}]
    status = str(results[0].get("attributeStatus", ""))
    if status == "RebootRequired":
        capabilities.restart_wanted = True
    return status


# --- current state ----------------------------------------------------------------------------------


def _trigger_v16(view: ProvisioningView, capabilities: Capabilities) -> Steps:
    if not view.booted:
        yield from _trigger({"requestedMessage": "BootNotification"}, "", capabilities)
    for message in ("StatusNotification", "MeterValues"):
        for evse in view.evses:
            place = {"connectorId": evse.number}
            request = {"requestedMessage": message, **place}
            status = yield from _trigger(request, "connectorId", capabilities)
            if status == "global":
                break


def _trigger_v201(view: ProvisioningView, capabilities: Capabilities) -> Steps:
    if not view.booted:
        yield from _trigger({"requestedMessage": "BootNotification"}, "", capabilities)
    for message in ("StatusNotification", "TransactionEvent", "MeterValues"):
        for evse in view.evses:
            place: dict[str, int] = {"id": evse.number}
            if message == "StatusNotification":
                place["connectorId"] = 1
            request = {"requestedMessage": message, "evse": place}
            status = yield from _trigger(request, "evse", capabilities)
            if status == "global":
                break


def _trigger(
    request: dict[str, Any], place: str, capabilities: Capabilities
) -> Generator[Request, Answer | None, str]:
    """Trigger a message; refused for one place, it is asked once of the whole station.

    Returns:
        The status, or `global` when the whole station was asked.
    """
    if not capabilities.takes_triggers:
        return ""
    answer = yield from _ask("TriggerMessage", request)
    if answer.is_unsupported:
        capabilities.takes_triggers = False
        return ""
    if answer.status != "Rejected" or place not in request:
        return answer.status
    yield from _ask("TriggerMessage", {k: v for k, v in request.items() if k != place})
    return "global"
