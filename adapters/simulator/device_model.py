"""The variables that a simulated OCPP 2.0.1 station has, and how they are read and written."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.simulator.admission import PERIODS_MAX, PROFILES_MAX, STACK_LEVEL_MAX
from adapters.simulator.link import Json
from adapters.simulator.samples import DEFAULT_MEASURANDS, is_supported


@dataclass(slots=True, kw_only=True)
class Variable:
    """One variable of one component."""

    component: str
    name: str
    value: str
    data_type: str = "string"
    mutability: str = "ReadWrite"
    instance: str | None = None
    evse: int | None = None
    max_limit: float | None = None

    def identity(self) -> Json:
        """Return component and variable as they travel."""
        component: Json = {"name": self.component}
        if self.evse is not None:
            component["evse"] = {"id": self.evse}
        variable: Json = {"name": self.name}
        if self.instance is not None:
            variable["instance"] = self.instance
        return {"component": component, "variable": variable}

    def report(self) -> Json:
        """Return the entry of a NotifyReport."""
        attribute: Json = {"type": "Actual", "mutability": self.mutability}
        if self.mutability != "WriteOnly":
            attribute["value"] = self.value
        characteristics: Json = {"dataType": self.data_type, "supportsMonitoring": False}
        if self.max_limit is not None:
            characteristics["maxLimit"] = self.max_limit
        return self.identity() | {
            "variableAttribute": [attribute],
            "variableCharacteristics": characteristics,
        }

    def accepts(self, value: str) -> bool:
        """Tell whether a value suits the type."""
        if self.data_type == "boolean":
            return value.lower() in ("true", "false")
        if self.data_type == "integer":
            return value.isascii() and value.isdigit()
        if self.data_type == "MemberList":
            return is_supported(value)
        return True


class DeviceModel:
    """All variables of a station."""

    def __init__(self, variables: list[Variable]) -> None:
        self._variables = variables

    def actual(self, component: str, name: str) -> str:
        """Return a value by component and name."""
        return next(v.value for v in self._variables if (v.component, v.name) == (component, name))

    def report(self) -> list[Json]:
        """Return all variables as entries of a NotifyReport."""
        return [variable.report() for variable in self._variables]

    def get(self, asked: Json) -> Json:
        """Answer one entry of GetVariables."""
        variable = self._find(asked)
        answer = {"component": asked["component"], "variable": asked["variable"]}
        if variable is None:
            return answer | {"attributeStatus": self._unknown(asked)}
        if variable.mutability == "WriteOnly":
            return answer | {"attributeStatus": "Rejected"}
        return answer | {"attributeStatus": "Accepted", "attributeValue": variable.value}

    def set(self, asked: Json) -> Json:
        """Answer one entry of SetVariables."""
        variable = self._find(asked)
        answer = {"component": asked["component"], "variable": asked["variable"]}
        if variable is None:
            return answer | {"attributeStatus": self._unknown(asked)}
        value = str(asked["attributeValue"])
        if variable.mutability == "ReadOnly" or not variable.accepts(value):
            return answer | {"attributeStatus": "Rejected"}
        variable.value = value
        return answer | {"attributeStatus": "Accepted"}

    def _find(self, asked: Json) -> Variable | None:
        component, variable = asked["component"], asked["variable"]
        evse = component.get("evse", {}).get("id")
        wanted = (component["name"], variable["name"], variable.get("instance"), evse)
        return next(
            (v for v in self._variables if (v.component, v.name, v.instance, v.evse) == wanted),
            None,
        )

    def _unknown(self, asked: Json) -> str:
        known = any(v.component == asked["component"]["name"] for v in self._variables)
        return "UnknownVariable" if known else "UnknownComponent"


def variables(
    *, ratings_a: dict[int, float], phases: int, voltage_v: float, units: str
) -> DeviceModel:
    """Return the variables of a station.

    Args:
        ratings_a: Rating by EVSE number. [A]
        phases: Wired phases.
        voltage_v: Line to neutral. [V]
        units: Accepted charging rate units, comma-separated.
    """
    model = [*_communication(), *_metering(), *_transactions(), *_smart_charging(units)]
    for number, rating_a in ratings_a.items():
        model += [
            _fixed("EVSE", "AvailabilityState", "Available", data_type="OptionList", evse=number),
            _fixed(
                "EVSE",
                "Power",
                "0",
                data_type="decimal",
                evse=number,
                max_limit=rating_a * phases * voltage_v,
            ),
            _fixed("EVSE", "SupplyPhases", str(phases), data_type="integer", evse=number),
        ]
    return DeviceModel(model)


def _communication() -> list[Variable]:
    return [
        _number("OCPPCommCtrlr", "HeartbeatInterval", 300),
        _number("OCPPCommCtrlr", "WebSocketPingInterval", 30),
        _number("OCPPCommCtrlr", "OfflineThreshold", 60),
        _fixed("OCPPCommCtrlr", "MessageTimeout", "30", data_type="integer"),
        _fixed("DeviceDataCtrlr", "ItemsPerMessage", "20", data_type="integer"),
        _fixed("ChargingStation", "VendorName", "Wattkeeper"),
        _fixed("ChargingStation", "Model", "Virtual 2.0.1"),
        _fixed("SecurityCtrlr", "SecurityProfile", "1", data_type="integer"),
        Variable(
            component="SecurityCtrlr", name="BasicAuthPassword", value="", mutability="WriteOnly"
        ),
    ]


def _metering() -> list[Variable]:
    return [
        _number("AlignedDataCtrlr", "Interval", 0),
        _number("SampledDataCtrlr", "TxUpdatedInterval", 60),
        _number("SampledDataCtrlr", "TxEndedInterval", 0),
        *(
            Variable(component=c, name=n, value=DEFAULT_MEASURANDS, data_type="MemberList")
            for c, n in (
                ("AlignedDataCtrlr", "Measurands"),
                ("SampledDataCtrlr", "TxUpdatedMeasurands"),
                ("SampledDataCtrlr", "TxStartedMeasurands"),
                ("SampledDataCtrlr", "TxEndedMeasurands"),
            )
        ),
    ]


def _transactions() -> list[Variable]:
    return [
        _fixed("TxCtrlr", "TxStartPoint", "PowerPathClosed", data_type="MemberList"),
        _fixed("TxCtrlr", "TxStopPoint", "EVConnected,Authorized", data_type="MemberList"),
        _number("TxCtrlr", "EVConnectionTimeOut", 60),
        _flag("TxCtrlr", "StopTxOnInvalidId", True),
        _flag("AuthCtrlr", "AuthorizeRemoteStart", False),
        _flag("AuthCtrlr", "LocalAuthorizeOffline", True),
        _flag("AuthCtrlr", "OfflineTxForUnknownIdEnabled", True),
    ]


def _smart_charging(units: str) -> list[Variable]:
    profiles = _fixed(
        "SmartChargingCtrlr", "Entries", "0", data_type="integer", max_limit=PROFILES_MAX
    )
    profiles.instance = "ChargingProfiles"
    return [
        _fixed("SmartChargingCtrlr", "Enabled", "true", data_type="boolean"),
        _fixed("SmartChargingCtrlr", "Available", "true", data_type="boolean"),
        _fixed(
            "SmartChargingCtrlr", "ProfileStackLevel", str(STACK_LEVEL_MAX), data_type="integer"
        ),
        _fixed("SmartChargingCtrlr", "RateUnit", units, data_type="MemberList"),
        _fixed("SmartChargingCtrlr", "PeriodsPerSchedule", str(PERIODS_MAX), data_type="integer"),
        _fixed("SmartChargingCtrlr", "LimitChangeSignificance", "1.0", data_type="decimal"),
        _fixed("SmartChargingCtrlr", "ACPhaseSwitchingSupported", "false", data_type="boolean"),
        profiles,
    ]


def _number(component: str, name: str, value: int) -> Variable:
    return Variable(component=component, name=name, value=str(value), data_type="integer")


def _flag(component: str, name: str, value: bool) -> Variable:
    text = "true" if value else "false"
    return Variable(component=component, name=name, value=text, data_type="boolean")


def _fixed(
    component: str,
    name: str,
    value: str,
    *,
    data_type: str = "string",
    evse: int | None = None,
    max_limit: float | None = None,
) -> Variable:
    return Variable(
        component=component,
        name=name,
        value=value,
        data_type=data_type,
        mutability="ReadOnly",
        evse=evse,
        max_limit=max_limit,
    )
