"""Examples of bodies for the API's description: one site, one morning. A test holds them to their schemas.

A model that shows itself best beside its fields has its example there; here stand the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Example = dict[str, Any]

_AT: Final = "2026-03-02T08:00:00.000Z"
_PHASES: Final[Example] = {"l1": 60, "l2": 60, "l3": 60}
_REASON: Final[Example] = {
    "code": "circuit_full",
    "text": "garage-a L1 is full: 60 A limit, 12 A taken by the building.",
    "bound_by": "garage-a L1",
    "wording": "",
    "values": {"limit_a": "60", "building_a": "12"},
}
_ALARM: Final[Example] = {
    "code": "METER_LOST",
    "subject": "main",
    "text": "Meter main has not been read for 12 s: no answer. The building counts with its worst "
    "case until it is back.",
    "severity": "alarm",
    "begin": _AT,
    "end": None,
    "values": {"age_s": "12", "fault": "no answer"},
}
_STATION: Final[Example] = {
    "id": "CP001",
    "configured": True,
    "connected": True,
    "protocol": "ocpp1.6",
    "lease_mode": "leased",
    "info": {"vendor": "Example", "model": "One", "serial": "4711", "firmware": "1.4.2"},
    "last_boot_at": _AT,
    "last_heard_age_s": 2.1,
    "clock_skew_s": 0.2,
    "jobs": {"firmware": {"status": "Installed", "at": _AT, "request_id": None}},
    "has_secret": True,
    "evses": ["CP001/1"],
}
_ENTRY: Final[Example] = {
    "circuit": "garage-a",
    "evses": {"1": {"max_a": 32, "phases": 3, "fallback_a": 6}},
}
_TOKEN: Final[Example] = {
    "id": "04A1B2C3D4",
    "status": "accepted",
    "label": "Van 7",
    "group": None,
    "expires_at": None,
    "priority": 2,
    "kind": "ISO14443",
    "max_a": None,
    "stations": [],
    "concurrent": 1,
}
_HASHES: Final[Example] = {
    "hash_algorithm": "SHA256",
    "issuer_name_hash": "9f86d081884c7d659a2feaa0c55ad015",
    "issuer_key_hash": "a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "serial_number": "3b9aca07",
}
_UPLOAD: Final[Example] = {
    "id": "9f86d081884c7d65",
    "station": "CP001",
    "kind": "diagnostics",
    "state": "stored",
    "name": "diagnostics.tar.gz",
    "size_bytes": 48213,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "requested_by": "eva",
    "requested_at": _AT,
    "stored_at": "2026-03-02T08:00:31.000Z",
    "file": "/api/v1/uploads/9f86d081884c7d65/file",
}
_ROLLOUT: Final[Example] = {
    "id": "acf3bc45e396",
    "state": "running",
    "location": "https://firmware.example/one-1.5.0.bin",
    "version": "1.5.0",
    "by": "eva",
    "created_at": _AT,
    "stations": [
        {"station": "CP001", "state": "done", "ordered_at": _AT, "text": ""},
        {"station": "CP002", "state": "waiting", "ordered_at": None, "text": "a transaction runs"},
    ],
}
_WHY_STEP: Final[Example] = {
    "circuit": "garage-a",
    "mode": "normal",
    "binds": True,
    "bound_phase": "l1",
    "limit_a": _PHASES,
    "building_a": {"l1": 12, "l2": 3, "l3": 3},
    "committed_a": {"l1": 48, "l2": 32, "l3": 32},
    "headroom_a": {"l1": 0, "l2": 25, "l3": 25},
}
_EXPLANATION: Final[Example] = {
    "text": "garage-a L1 is full: 60 A limit, 12 A taken by the building. It shares garage-a L1 with "
    "CP002/1 and CP003/1. One ampere more there would give it 0.33 A. +1.0 A if garage-a were 63 A.",
    "held_by": [{"subject": "garage-a", "phase": "l1"}],
    "gain_per_ampere": 0.333,
    "missing_a": None,
    "shared_with": ["CP002/1", "CP003/1"],
    "changes": [
        {
            "kind": "larger_limit",
            "gain_a": 1.0,
            "text": "+1.0 A if garage-a were 63 A",
            "circuit": "garage-a",
            "limit_a": 63.0,
            "at": None,
        }
    ],
}
_EFFECT: Final[Example] = {
    "circuits": [],
    "stations": [],
    "policy": [],
    "restart": [],
    "warnings": [],
}
_SESSION: Final[Example] = {
    "id": "CP001/17",
    "transaction_id": "17",
    "station": "CP001",
    "evse": "CP001/1",
    "id_token": "04A1B2C3D4",
    "started_at": _AT,
    "ended_at": "2026-03-02T10:00:00.000Z",
    "end_reason": "Local",
    "energy_wh": 7500,
    "start_wh": 1000,
    "last_wh": 8500,
}

EXAMPLES: Final[Mapping[str, tuple[Example, ...]]] = {
    # --- answers
    "ActionOut": ({"action": "unlock", "subject": "CP001/1", "result": "applied", "answer": {}},),
    "AdoptedOut": (
        {"id": "CP009", "secret": "shown-only-once", "site_file": _ENTRY, "in_site_file": True},
    ),
    "AlarmOut": (_ALARM,),
    "AuditOut": (
        {
            "at": _AT,
            "actor": "eva",
            "action": "set_circuit_limit",
            "subject": "garage-a",
            "before": "",
            "after": '{"l1": 60.0, "l2": 60.0, "l3": 60.0}',
        },
    ),
    "CertificatesOut": ({"items": [_HASHES]},),
    "ConfigChanged": (
        {"version": 8, "state": "trial", "applied": "hot", "effect": _EFFECT, "trial_s": 10.0},
    ),
    "DryRunOut": ({"valid": True, "problems": [], "effect": _EFFECT, "text": "format: site/1\n"},),
    "Health": ({"status": "ready", "cycle_age_s": 0.8},),
    "History": (
        {
            "measurement": "circuit",
            "field": "building_l1",
            "tags": {"circuit": "main"},
            "step_s": 60,
            "points": [{"at": _AT, "value": 41.2}],
        },
    ),
    "ReasonSpan": (
        {"at": _AT, "until": "2026-03-02T08:04:12.000Z", "setpoint_a": 16.0, **_REASON},
    ),
    "RolloutOut": (_ROLLOUT,),
    "RolloutsOut": ({"items": [_ROLLOUT]},),
    "SessionDetail": (
        {
            **_SESSION,
            "curve": {
                "step_s": 60,
                "at": [_AT],
                "drawn_l1": [15.8],
                "drawn_l2": [15.7],
                "drawn_l3": [15.9],
                "limit_a": [16.0],
                "power_w": [10900],
                "energy_wh": [180],
            },
            "limited_by": [{"at": _AT, "until": None, "setpoint_a": 16.0, **_REASON}],
        },
    ),
    "SignedIn": ({"name": "eva", "role": "operator"},),
    "StationOut": (_STATION,),
    "StationDetail": (
        {
            **_STATION,
            "frames": [
                {
                    "at": _AT,
                    "direction": "in",
                    "action": "Heartbeat",
                    "text": '[2,"17","Heartbeat",{}]',
                }
            ],
        },
    ),
    "TokenOut": (_TOKEN,),
    "TokensImported": ({"added": 12, "changed": 1, "same": 87, "deleted": 0},),
    "UploadOut": (_UPLOAD,),
    "VariableOut": (
        {
            "name": "OCPPCommCtrlr.HeartbeatInterval",
            "type": "Actual",
            "value": "300",
            "mutability": "ReadWrite",
            "unit": "s",
            "data_type": "integer",
            "choices": None,
        },
    ),
    "WhyOut": (
        {
            "id": "CP001/1",
            "at": _AT,
            "state": "charging",
            "setpoint_a": 16.0,
            "committed_a": 16.0,
            "drawn_a": {"l1": 15.8, "l2": 15.7, "l3": 15.9},
            "max_a": 32.0,
            "reason": _REASON,
            "chain": [_WHY_STEP],
            "explanation": _EXPLANATION,
            "conditions": [],
        },
    ),
    "WiringOut": (
        {
            "evse": "CP001/1",
            "circuit": "garage-a",
            "meter": "main",
            "verdict": "right",
            "steps": 9,
            "gain": {"l1": 0.98, "l2": 1.01, "l3": 0.99},
            "tells_phases": True,
        },
    ),
    # --- requests
    "AvailabilityRequest": ({"operative": False}, {"operative": True, "evse": 1}),
    "CallRequest": ({"message": "GetLocalListVersion", "payload": {}},),
    "CertificateIn": (
        {"use": "csms_root", "certificate": "-----BEGIN CERTIFICATE-----\nMIIB...\n"},
    ),
    "ConfigurationRequest": ({"values": {"HeartbeatInterval": "300"}, "keep": True},),
    "DataTransferRequest": ({"vendor_id": "com.example", "message_id": "setLight", "data": "50"},),
    "EvseRequest": ({"evse": 1},),
    "FirmwareRequest": ({"location": "https://firmware.example/one-1.5.0.bin", "retries": 3},),
    "HashIn": (_HASHES,),
    "ReportRequest": ({"kind": "full"},),
    "ReservationRequest": (
        {
            "reservation_id": 12,
            "id_token": "04A1B2C3D4",
            "expires_at": "2026-03-02T09:00:00Z",
            "evse": 1,
        },
    ),
    "ResetRequest": ({"kind": "soft"},),
    "RolloutRequest": (
        {
            "location": "https://firmware.example/one-1.5.0.bin",
            "version": "1.5.0",
            "stations": ["CP001", "CP002"],
        },
        {
            "location": "https://firmware.example/one-1.5.0.bin",
            "version": "1.5.0",
            "group": "wallboxes",
        },
    ),
    "SignIn": ({"name": "eva", "password": "a long pass phrase"},),
    "StartRequest": ({"id_token": "04A1B2C3D4"},),
    "TriggerRequest": ({"what": "status", "evse": 1},),
}
"""By the name of the schema."""

PAGES: Final[Mapping[str, str]] = {
    "Alarms": "AlarmOut",
    "Audit": "AuditOut",
    "Circuits": "CircuitOut",
    "Evses": "EvseOut",
    "ReasonSpans": "ReasonSpan",
    "Sessions": "SessionOut",
    "Targets": "TargetOut",
    "Tokens": "TokenOut",
    "UploadsOut": "UploadOut",
    "Users": "UserOut",
    "VariablesOut": "VariableOut",
    "Versions": "VersionOut",
    "WiringList": "WiringOut",
}
"""Pages of items: their examples hold the example of an item."""
_MORE: Final[Mapping[str, Example]] = {"Sessions": {"total": 1}, "VariablesOut": {"at": _AT}}


def add_examples(schemas: dict[str, Any]) -> None:
    """Give every schema its example."""
    for name, examples in EXAMPLES.items():
        schemas[name]["examples"] = list(examples)
    for schema in schemas.values():
        schema["examples"] = [_completed(schema, x, schemas) for x in schema.pop("examples", ())]
    for name, item in PAGES.items():
        page = {"items": schemas[item]["examples"][:1], "next_offset": None}
        schemas[name]["examples"] = [page | _MORE.get(name, {})]
    stations = {"items": [_STATION], "next_offset": None, "pending": [], "approved": []}
    schemas["AllStations"]["examples"] = [stations]
    schemas["SiteOut"]["examples"] = [_site(schemas["CircuitOut"]["examples"][0])]
    for name in [n for n, schema in schemas.items() if not schema["examples"]]:
        del schemas[name]["examples"]


def _completed(schema: Any, value: Any, schemas: Mapping[str, Any]) -> Any:
    """Put back the nulls of an example: the document's maker leaves them out."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    if isinstance(value, list):
        return [_completed(schema.get("items", {}), x, schemas) for x in value]
    if not isinstance(value, dict):
        return value
    known = schema.get("properties", {})
    missing = {name: None for name in schema.get("required", ()) if name not in value}
    return {k: _completed(known.get(k, {}), x, schemas) for k, x in value.items()} | missing


def _site(circuit: Example) -> Example:
    return {
        "id": "depot-nord",
        "name": "Depot Nord",
        "timezone": "Europe/Stockholm",
        "voltage_v": 230.0,
        "mode": "normal",
        "alarms": [],
        "last_cycle": {"solver": "lp", "solve_ms": 3.2, "age_s": 0.4, "at": _AT},
        "circuits": [circuit],
    }
