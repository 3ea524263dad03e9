"""Charging profiles as they travel, in both protocols, and times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from adapters.simulator.link import CallRefusedError, Json
from adapters.simulator.profiles import RECURRENCE_S, Kind, Period, Profile, Purpose

_PURPOSES = {
    "ChargePointMaxProfile": Purpose.MAX,
    "ChargingStationMaxProfile": Purpose.MAX,
    "TxDefaultProfile": Purpose.TX_DEFAULT,
    "TxProfile": Purpose.TX,
}


def timestamp(time_s: float) -> str:
    """Write a moment as OCPP wants it: UTC, milliseconds."""
    moment = datetime.fromtimestamp(time_s, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment_s(text: str | None) -> float | None:
    """Read a moment; one without a zone is UTC. [s]"""
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def purpose_of(name: str) -> Purpose:
    """Return the purpose of a name of either protocol.

    Raises:
        CallRefusedError: If a station does not take profiles of this purpose from outside.
    """
    purpose = _PURPOSES.get(name)
    if purpose is None:
        raise CallRefusedError("PropertyConstraintViolation", f"purpose {name}")
    return purpose


def profile_from_16(connector: int, raw: Json) -> Profile:
    """Read a `csChargingProfiles` of OCPP 1.6.

    Raises:
        CallRefusedError: If it is malformed.
    """
    try:
        return _profile(connector, raw, raw["chargingProfileId"], raw["chargingSchedule"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CallRefusedError("FormationViolation", str(error)) from error


def profile_from_201(evse: int, raw: Json) -> Profile:
    """Read a `chargingProfile` of OCPP 2.0.1.

    Raises:
        CallRefusedError: If it is malformed.
    """
    try:
        return _profile(evse, raw, raw["id"], raw["chargingSchedule"][0])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CallRefusedError("FormatViolation", str(error)) from error


def _profile(evse: int, raw: Json, id_: Any, schedule: Json) -> Profile:
    transaction = raw.get("transactionId")
    kind = Kind(raw["chargingProfileKind"])
    return Profile(
        id=int(id_),
        evse=evse,
        purpose=purpose_of(raw["chargingProfilePurpose"]),
        stack_level=int(raw["stackLevel"]),
        kind=kind,
        unit=_unit(schedule["chargingRateUnit"]),
        periods=tuple(
            Period(
                start_s=float(period["startPeriod"]),
                limit=float(period["limit"]),
                number_phases=period.get("numberPhases"),
            )
            for period in schedule["chargingSchedulePeriod"]
        ),
        start_s=moment_s(schedule.get("startSchedule")),
        duration_s=schedule.get("duration"),
        valid_from_s=moment_s(raw.get("validFrom")),
        valid_to_s=moment_s(raw.get("validTo")),
        recurrence_s=RECURRENCE_S[raw["recurrencyKind"]] if kind is Kind.RECURRING else None,
        transaction=None if transaction is None else str(transaction),
        raw=raw,
    )


def _unit(name: str) -> str:
    if name not in ("A", "W"):
        raise ValueError(f"unit {name}")
    return name
