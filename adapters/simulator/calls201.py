"""What an OCPP 2.0.1 station does when the controller calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from adapters.simulator.link import Json
from adapters.simulator.outbox import Message
from adapters.simulator.outlet import RemoteStart, StopReason, charging_at, free_among
from adapters.simulator.profile_format import profile_from_201, purpose_of, timestamp
from adapters.simulator.profiles import Kind, Profile, Purpose

if TYPE_CHECKING:
    from adapters.simulator.station201 import Station201

_REPORT_ITEMS = 20


class Calls201:
    """Answers to the calls of the controller."""

    def __init__(self, station: Station201) -> None:
        self._station = station

    def handlers(self) -> Mapping[str, Callable[[Json], Json]]:
        """Return what answers each action of the controller."""
        return {
            "ChangeAvailability": self._change_availability,
            "ClearCache": lambda _: {"status": "Accepted"},
            "ClearChargingProfile": self._clear_profile,
            "DataTransfer": lambda _: {"status": "UnknownVendorId"},
            "GetBaseReport": self._base_report,
            "GetChargingProfiles": self._get_profiles,
            "GetCompositeSchedule": self._composite,
            "GetLocalListVersion": lambda _: {"versionNumber": 0},
            "GetTransactionStatus": self._transaction_status,
            "GetVariables": self._get_variables,
            "RequestStartTransaction": self._request_start,
            "RequestStopTransaction": self._request_stop,
            "Reset": self._reset,
            "SetChargingProfile": self._set_profile,
            "SetVariables": self._set_variables,
            "TriggerMessage": self._trigger,
            "UnlockConnector": self._unlock,
            "UpdateFirmware": self._update_firmware,
        }

    def _update_firmware(self, payload: Json) -> Json:
        self._station.update_firmware(payload["firmware"]["location"], payload["requestId"])
        return {"status": "Accepted"}

    def _get_variables(self, payload: Json) -> Json:
        asked = payload["getVariableData"]
        return {"getVariableResult": [self._station.model.get(entry) for entry in asked]}

    def _set_profile(self, payload: Json) -> Json:
        profile = profile_from_201(payload["evseId"], payload["chargingProfile"])
        reason = self._station.refusal(profile) or self._refusal_of_201(profile)
        if reason is not None:
            return {"status": "Rejected", "statusInfo": {"reasonCode": reason[:20]}}
        self._station.store.add(profile)
        return {"status": "Accepted"}

    def _refusal_of_201(self, profile: Profile) -> str | None:
        # K01.FR.40 and .41: only relative schedules have no start of their own.
        if (profile.start_s is None) != (profile.kind is Kind.RELATIVE):
            return "InvalidSchedule"
        # K01.FR.06, .39, .52 and .53: one level of one purpose, one id; 0 and n exclude each other.
        for held in self._station.store.profiles:
            rivals = held.purpose is profile.purpose and held.stack_level == profile.stack_level
            meets = held.evse == profile.evse or (
                profile.purpose is Purpose.TX_DEFAULT and 0 in (held.evse, profile.evse)
            )
            if rivals and meets and held.id != profile.id:
                return "DuplicateProfile"
        return None

    def _clear_profile(self, payload: Json) -> Json:
        criteria = payload.get("chargingProfileCriteria", {})
        purpose = criteria.get("chargingProfilePurpose")
        wanted = None if purpose is None else purpose_of(purpose)

        def matches(profile: Profile) -> bool:
            if "chargingProfileId" in payload:
                return profile.id == int(payload["chargingProfileId"])
            return profile.matches(
                evse=criteria.get("evseId"),
                stack_level=criteria.get("stackLevel"),
                purpose=wanted,
            )

        return {"status": "Accepted" if self._station.store.clear(matches) else "Unknown"}

    def _get_profiles(self, payload: Json) -> Json:
        criteria = payload["chargingProfile"]
        purpose = criteria.get("chargingProfilePurpose")
        wanted = None if purpose is None else purpose_of(purpose)
        ids = criteria.get("chargingProfileId")
        found = [
            profile
            for profile in self._station.store.profiles
            if (ids is None or profile.id in ids)
            and profile.matches(
                evse=payload.get("evseId"),
                stack_level=criteria.get("stackLevel"),
                purpose=wanted,
            )
        ]
        for index, profile in enumerate(found):
            report = {
                "requestId": payload["requestId"],
                "chargingLimitSource": "CSO",
                "evseId": profile.evse,
                "chargingProfile": [dict(profile.raw)],
                "tbc": index + 1 < len(found),
            }
            self._put("ReportChargingProfiles", report)
        return {"status": "Accepted" if found else "NoProfiles"}

    def _composite(self, payload: Json) -> Json:
        outlet = self._station.outlets.get(payload["evseId"] or 1)
        if outlet is None:
            return {"status": "Rejected"}
        duration_s = float(payload["duration"])
        periods = self._station.store.composite(
            self._station.demand(outlet), self._station.now_s, duration_s, self._station.habits
        )
        unit = payload.get("chargingRateUnit", "A")
        return {
            "status": "Accepted",
            "schedule": {
                "evseId": payload["evseId"],
                "duration": int(duration_s),
                "scheduleStart": timestamp(self._station.now_s),
                "chargingRateUnit": unit,
                "chargingSchedulePeriod": [
                    {
                        "startPeriod": round(period.start_s),
                        "limit": round(self._station.in_unit(period.limit, unit), 1),
                    }
                    for period in periods
                ],
            },
        }

    def _base_report(self, payload: Json) -> Json:
        entries = self._station.model.report()
        for number, start in enumerate(range(0, len(entries), _REPORT_ITEMS)):
            report = {
                "requestId": payload["requestId"],
                "generatedAt": timestamp(self._station.now_s),
                "seqNo": number,
                "tbc": start + _REPORT_ITEMS < len(entries),
                "reportData": entries[start : start + _REPORT_ITEMS],
            }
            self._put("NotifyReport", report)
        return {"status": "Accepted"}

    def _set_variables(self, payload: Json) -> Json:
        results = [self._station.model.set(asked) for asked in payload["setVariableData"]]
        password = self._station.model.actual("SecurityCtrlr", "BasicAuthPassword")
        if password:
            self._station.password = password
        self._station.set_heartbeat(
            float(self._station.model.actual("OCPPCommCtrlr", "HeartbeatInterval"))
        )
        return {"setVariableResult": results}

    def _request_start(self, payload: Json) -> Json:
        outlet = free_among(self._station.outlets.values(), payload.get("evseId"))
        if outlet is None:
            return {"status": "Rejected"}
        raw = payload.get("chargingProfile")
        remote = RemoteStart(
            card=payload["idToken"]["idToken"],
            until_s=self._station.now_s + float(self._station.setting("ConnectionTimeOut")),
            remote_start_id=payload["remoteStartId"],
            profile=None if raw is None else profile_from_201(outlet.number, raw),
        )
        self._station.start(outlet, remote)
        if outlet.transaction is None:
            return {"status": "Accepted"}
        return {"status": "Accepted", "transactionId": outlet.transaction.id}

    def _request_stop(self, payload: Json) -> Json:
        outlet = charging_at(self._station.outlets.values(), payload["transactionId"])
        if outlet is None:
            return {"status": "Rejected"}
        self._station.end(outlet, StopReason.REMOTE)
        return {"status": "Accepted"}

    def _transaction_status(self, payload: Json) -> Json:
        id_ = payload.get("transactionId")
        if id_ is None:
            return {"messagesInQueue": len(self._station.outbox) > 0}
        return {
            "ongoingIndicator": charging_at(self._station.outlets.values(), id_) is not None,
            "messagesInQueue": len(self._station.outbox) > 0,
        }

    def _reset(self, payload: Json) -> Json:
        if payload["type"] == "OnIdle" and any(
            o.transaction for o in self._station.outlets.values()
        ):
            return {"status": "Rejected"}
        self._station.reset_soon(StopReason.SOFT_RESET)
        return {"status": "Accepted"}

    def _change_availability(self, payload: Json) -> Json:
        number = payload.get("evse", {}).get("id", 0)
        outlets = [o for o in self._station.outlets.values() if number in (0, o.number)]
        if not outlets:
            return {"status": "Rejected"}
        operative = payload["operationalStatus"] == "Operative"
        scheduled = [self._station.change_availability(outlet, operative) for outlet in outlets]
        return {"status": "Scheduled" if any(scheduled) else "Accepted"}

    def _unlock(self, payload: Json) -> Json:
        outlet = self._station.outlets.get(payload["evseId"])
        if outlet is None:
            return {"status": "UnknownConnector"}
        if outlet.transaction is not None:
            return {"status": "OngoingAuthorizedTransaction"}
        return {"status": "Unlocked"}

    def _trigger(self, payload: Json) -> Json:
        number = payload.get("evse", {}).get("id", 0)
        outlets = [o for o in self._station.outlets.values() if number in (0, o.number)]
        match payload["requestedMessage"]:
            case "StatusNotification":
                for outlet in outlets:
                    self._station.report_status(outlet)
            case "MeterValues":
                for outlet in outlets:
                    self._station.report_meter_values(outlet, "Trigger")
            case "TransactionEvent":
                for outlet in outlets:
                    if outlet.transaction is not None:
                        self._station.report_sample(outlet, "Trigger")
            case "Heartbeat":
                self._put("Heartbeat", {})
            case _:
                return {"status": "NotImplemented"}
        return {"status": "Accepted"}

    def _put(self, action: str, payload: Json) -> None:
        self._station.outbox.put(Message(action=action, build=lambda: payload))
