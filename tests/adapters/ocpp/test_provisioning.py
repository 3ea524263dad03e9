from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from adapters.ocpp.capabilities import Capabilities
from adapters.ocpp.dialect import CallFailed
from adapters.ocpp.profiles import RateUnit
from adapters.ocpp.provisioning import (
    Answer,
    Done,
    FallbackHeld,
    ProvisionedEvse,
    ProvisioningView,
    Request,
    Script,
    parse_units,
    provision_v16,
    provision_v201,
)
from adapters.ocpp.quirks import Quirks
from adapters.ocpp.translation import DialectSettings
from controller.site import EvseId
from controller.station import LeaseMode
from tests.adapters.ocpp.scripted_station import accept_everything, assert_valid
from tests.fakes.recording_desk import T0

Station = Callable[[str, dict[str, Any]], "Mapping[str, Any] | CallFailed"]
UNSUPPORTED = CallFailed("error", "NotSupported")
SILENT = CallFailed("timeout")


class Run:
    """Plays a script against a station's answers."""

    def __init__(
        self,
        protocol: str,
        station: Station = accept_everything,
        *,
        evses: int = 2,
        booted: bool = True,
        settings: DialectSettings | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        self.capabilities = capabilities or Capabilities()
        self.steps: list[Request | FallbackHeld] = []
        provisioned = [
            ProvisionedEvse(id=EvseId(f"CP1/{n}"), number=n, fallback_a=6.0)
            for n in range(1, evses + 1)
        ]
        view = ProvisioningView(
            evses=tuple(provisioned),
            booted=booted,
            settings=settings or DialectSettings(),
            station_now=lambda: T0,
        )
        steps = provision_v16 if protocol == "ocpp1.6" else provision_v201
        script = Script(steps(view, self.capabilities))
        step = script.next_step()
        while not isinstance(step, Done):
            assert len(self.steps) < 100, "endless"
            self.steps.append(step)
            answer = None
            if isinstance(step, Request):
                assert_valid(protocol, step.action, step.payload)
                reply = station(step.action, step.payload)
                failed = isinstance(reply, CallFailed)
                answer = Answer(failure=reply) if failed else Answer(payload=reply)
            else:
                self.capabilities.defaults_a[step.evse] = step.fallback_a
            step = script.next_step(answer)
        self.done = step

    def requests(self, action: str) -> list[dict[str, Any]]:
        return [s.payload for s in self.steps if isinstance(s, Request) and s.action == action]

    @property
    def held(self) -> list[str]:
        return [s.evse for s in self.steps if isinstance(s, FallbackHeld)]

    def settings(self) -> dict[str, str]:
        """Return what was set, 1.6 or 2.0.1."""
        changed = {p["key"]: p["value"] for p in self.requests("ChangeConfiguration")}
        for payload in self.requests("SetVariables"):
            for data in payload["setVariableData"]:
                name = f"{data['component']['name']}.{data['variable']['name']}"
                changed[name] = data["attributeValue"]
        return changed


def keys(**values: str) -> Mapping[str, Any]:
    entries = [{"key": k, "readonly": False, "value": value} for k, value in values.items()]
    return {"configurationKey": entries}


def station(**answers: Any) -> Station:
    """Answer some actions in a fixed or computed way, accept the rest."""

    def answer(action: str, payload: dict[str, Any]) -> Any:
        found = answers.get(action)
        if found is None:
            return accept_everything(action, payload)
        return found(payload) if callable(found) else found

    return answer


BOTH = pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])


@BOTH
def test_the_fallback_comes_before_everything_else(protocol: str) -> None:
    run = Run(protocol)
    actions = [s.action if isinstance(s, Request) else "held" for s in run.steps]
    assert actions[:4] == ["SetChargingProfile", "held", "SetChargingProfile", "held"]
    assert run.held == ["CP1/1", "CP1/2"]
    assert run.done.is_complete
    assert run.capabilities.mode_after_provisioning() is LeaseMode.LEASED


@BOTH
def test_current_state_is_asked_for(protocol: str) -> None:
    run = Run(protocol, booted=False)
    asked = [p["requestedMessage"] for p in run.requests("TriggerMessage")]
    assert asked[0] == "BootNotification"
    assert asked.count("StatusNotification") == 2
    assert asked.count("MeterValues") == 2
    assert "BootNotification" not in str(Run(protocol, booted=True).requests("TriggerMessage"))


@BOTH
def test_amperes_refused_then_watts(protocol: str) -> None:
    def watts_only(payload: dict[str, Any]) -> dict[str, str]:
        return {"status": "Rejected" if "'A'" in str(payload) else "Accepted"}

    run = Run(protocol, station(SetChargingProfile=watts_only))
    assert run.held == ["CP1/1", "CP1/2"]
    assert run.capabilities.default_form is not None
    assert run.capabilities.default_form.unit is RateUnit.W
    # The second EVSE is told in watts at once.
    assert len(run.requests("SetChargingProfile")) == 3


def test_a_dc_station_is_told_watts_although_it_takes_amperes_too() -> None:
    run = Run(
        "ocpp1.6",
        station(GetConfiguration=keys(ChargingScheduleAllowedChargingRateUnit="Current,Power")),
        capabilities=Capabilities(is_dc=True, units=frozenset({RateUnit.W})),
    )
    units = {
        p["csChargingProfiles"]["chargingSchedule"]["chargingRateUnit"]
        for p in run.requests("SetChargingProfile")
    }
    assert units == {"W"}


def test_said_again_when_the_station_names_only_watts() -> None:
    run = Run(
        "ocpp1.6",
        station(GetConfiguration=keys(ChargingScheduleAllowedChargingRateUnit="Power")),
    )
    units = [
        p["csChargingProfiles"]["chargingSchedule"]["chargingRateUnit"]
        for p in run.requests("SetChargingProfile")
    ]
    assert units == ["A", "A", "W", "W"]


@BOTH
def test_a_station_that_refuses_every_default_is_uncontrollable(protocol: str) -> None:
    run = Run(protocol, station(SetChargingProfile={"status": "Rejected"}))
    assert run.held == []
    assert run.capabilities.mode_after_provisioning() is LeaseMode.UNCONTROLLABLE
    assert run.done.is_complete


@BOTH
def test_without_smart_charging_one_question_per_evse_is_enough(protocol: str) -> None:
    run = Run(protocol, station(SetChargingProfile=UNSUPPORTED))
    assert len(run.requests("SetChargingProfile")) == 2


def test_a_single_connector_may_be_told_at_connector_0() -> None:
    def only_zero(payload: dict[str, Any]) -> dict[str, str]:
        return {"status": "Accepted" if payload["connectorId"] == 0 else "Rejected"}

    run = Run("ocpp1.6", station(SetChargingProfile=only_zero), evses=1)
    assert run.held == ["CP1/1"]
    assert run.capabilities.default_places == {"CP1/1": 0}


def test_a_foreign_default_in_the_way_is_cleared_v201() -> None:
    answers = iter(["Rejected", "Accepted"])

    def duplicate(payload: dict[str, Any]) -> dict[str, Any]:
        return {"status": next(answers), "statusInfo": {"reasonCode": "DuplicateProfile"}}

    run = Run("ocpp2.0.1", station(SetChargingProfile=duplicate), evses=1)
    assert run.held == ["CP1/1"]
    assert run.requests("ClearChargingProfile") == [
        {
            "chargingProfileCriteria": {
                "chargingProfilePurpose": "TxDefaultProfile",
                "stackLevel": 0,
            }
        }
    ]


@BOTH
def test_a_silent_station_is_left_alone(protocol: str) -> None:
    run = Run(protocol, lambda action, payload: SILENT)
    assert len(run.steps) == 2
    assert not run.done.is_complete
    assert run.capabilities.mode_after_provisioning() is LeaseMode.UNKNOWN


def test_only_what_differs_is_changed_v16() -> None:
    run = Run(
        "ocpp1.6",
        station(
            GetConfiguration=keys(
                MeterValueSampleInterval="60",
                metervaluessampleddata=' "Current.Import.L1, Power.Active.Import,'
                'Energy.Active.Import.Register,Voltage,Current.Offered,SoC"',
                HeartbeatInterval="300",
                WebSocketPingInterval=" 60",
                StopTransactionOnInvalidId="TRUE",
            )
        ),
    )
    assert run.settings() == {"MeterValueSampleInterval": "10", "WebSocketPingInterval": "30"}


def test_only_what_differs_is_changed_v201() -> None:
    present = {
        "SampledDataCtrlr.TxUpdatedInterval": "30",
        "SmartChargingCtrlr.Enabled": "false",
        "OCPPCommCtrlr.HeartbeatInterval": "300",
        "SmartChargingCtrlr.RateUnit": "A,W",
        "SmartChargingCtrlr.ProfileStackLevel": "4",
    }

    def variables(payload: dict[str, Any]) -> dict[str, Any]:
        results = []
        for data in payload["getVariableData"]:
            value = present.get(f"{data['component']['name']}.{data['variable']['name']}")
            status = "Accepted" if value is not None else "UnknownVariable"
            results.append({**data, "attributeStatus": status, "attributeValue": value or ""})
        return {"getVariableResult": results}

    run = Run("ocpp2.0.1", station(GetVariables=variables))
    assert run.capabilities.units == {RateUnit.A, RateUnit.W}
    assert run.capabilities.highest_level == 4
    assert run.settings() == {
        "SampledDataCtrlr.TxUpdatedMeasurands": "Current.Import,Power.Active.Import,"
        "Energy.Active.Import.Register,Voltage,Current.Offered,SoC",
        "SmartChargingCtrlr.Enabled": "true",
        "SampledDataCtrlr.TxUpdatedInterval": "10",
    }


def test_refused_measurands_are_shortened() -> None:
    def fussy(payload: dict[str, Any]) -> dict[str, str]:
        long = payload["key"] == "MeterValuesSampledData" and payload["value"].count(",") > 2
        return {"status": "Rejected" if long else "Accepted"}

    run = Run("ocpp1.6", station(ChangeConfiguration=fussy))
    assert run.settings()["MeterValuesSampledData"] == (
        "Current.Import,Power.Active.Import,Energy.Active.Import.Register"
    )


def test_a_wanted_restart_is_noted_and_never_made() -> None:
    run = Run("ocpp1.6", station(ChangeConfiguration={"status": "RebootRequired"}))
    assert run.capabilities.restart_wanted
    assert run.requests("Reset") == []
    sampled = [p for p in run.requests("ChangeConfiguration") if "Sampled" in p["key"]]
    assert len(sampled) == 1


def test_a_station_that_fails_on_many_keys_is_asked_for_few() -> None:
    def overwhelmed(payload: dict[str, Any]) -> Any:
        if len(payload["key"]) > 5:
            return CallFailed("error", "InternalError")
        return keys(ChargeProfileMaxStackLevel="0")

    run = Run("ocpp1.6", station(GetConfiguration=overwhelmed))
    assert run.capabilities.highest_level == 0
    assert run.capabilities.mode_after_provisioning() is LeaseMode.PERMANENT


def test_a_station_with_room_for_one_profile_is_permanent() -> None:
    run = Run("ocpp1.6", station(GetConfiguration=keys(MaxChargingProfilesInstalled="1")))
    assert run.capabilities.mode_after_provisioning() is LeaseMode.PERMANENT


@BOTH
def test_without_triggers_they_are_asked_once(protocol: str) -> None:
    run = Run(protocol, station(TriggerMessage=UNSUPPORTED))
    assert len(run.requests("TriggerMessage")) == 1
    assert not run.capabilities.takes_triggers


def test_a_trigger_refused_for_a_connector_is_asked_of_the_station() -> None:
    def whole_only(payload: dict[str, Any]) -> dict[str, str]:
        return {"status": "Rejected" if "connectorId" in payload else "Accepted"}

    run = Run("ocpp1.6", station(TriggerMessage=whole_only))
    assert run.requests("TriggerMessage") == [
        {"requestedMessage": "StatusNotification", "connectorId": 1},
        {"requestedMessage": "StatusNotification"},
        {"requestedMessage": "MeterValues", "connectorId": 1},
        {"requestedMessage": "MeterValues"},
    ]


def test_skipped_keys_are_neither_read_nor_written() -> None:
    quirks = Quirks(skipped_keys=frozenset({"MeterValuesSampledData"}))
    run = Run("ocpp1.6", settings=replace(DialectSettings(), quirks=quirks))
    assert "MeterValuesSampledData" not in str(run.steps)


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("Current", {RateUnit.A}),
        ("Power", {RateUnit.W}),
        ("A,W", {RateUnit.A, RateUnit.W}),
        (' "current, POWER" ', {RateUnit.A, RateUnit.W}),
        ("W", {RateUnit.W}),
        ("", None),
        ("amps", None),
    ],
)
def test_units_however_spelled(text: str, units: set[RateUnit] | None) -> None:
    assert units == parse_units(text)
