"""What stations report as wrong, as data: severity and what to do. Read from config/ocpp/faults.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from controller.decision import Severity

FORMAT = "ocpp-faults/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that can be wrong."""

    severity: Severity
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultTable:
    """All faults, by the names of the wire."""

    error_codes: Mapping[str, Fault]
    """OCPP 1.6 ChargePointErrorCode."""
    components: Mapping[str, str]
    """OCPP 2.0.1 `component.variable` to the error code it stands for."""
    security_events: Mapping[str, Fault]
    job_failures: Mapping[str, str]


def shipped_folder(name: str) -> Path:
    """Return a folder of shipped data: package data, or `config/` in a checkout.

    Raises:
        FileNotFoundError: The installation is damaged.
    """
    adapters = Path(__file__).resolve().parents[1]
    places = (adapters / "_catalogue" / name, adapters.parent / "config" / name)
    for place in places:
        if place.is_dir():
            return place
    raise FileNotFoundError(f"no {name} at {places[0]} nor at {places[1]}; install again")


@cache
def fault_table() -> FaultTable:
    """Read the shipped table once."""
    data = YAML(typ="safe", pure=True).load(shipped_folder("ocpp") / "faults.yaml")
    if data.get("format") != FORMAT:
        raise ValueError(f"config/ocpp/faults.yaml is not of format {FORMAT}")
    return FaultTable(
        error_codes={name: _fault(entry) for name, entry in data["error_codes"].items()},
        components=dict(data["components"]),
        security_events={name: _fault(entry) for name, entry in data["security_events"].items()},
        job_failures=dict(data["job_failures"]),
    )


def _fault(entry: Mapping[str, Any]) -> Fault:
    return Fault(severity=Severity(entry["severity"]), mend=str(entry["mend"]))
