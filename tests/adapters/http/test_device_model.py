"""A station's own description as it was kept, and how far its jobs are."""

from __future__ import annotations

import json
from typing import Any

from adapters.http.device_model import device_model
from controller.records import Role
from tests.adapters.http.conftest import Site


def entry(component: str, variable: str, value: str, **more: Any) -> dict[str, Any]:
    return {
        "component": {"name": component, **more},
        "variable": {"name": variable},
        "variableAttribute": [{"value": value, "mutability": "ReadOnly"}],
        "variableCharacteristics": {"unit": "W", "dataType": "decimal"},
    }


def test_a_report_becomes_named_variables_without_secrets() -> None:
    items = [
        entry("EVSE", "Power", "22000", evse={"id": 1}),
        entry("SecurityCtrlr", "BasicAuthPassword", "hunter2"),
    ]
    model = device_model(json.dumps({"at": "2026-03-03T10:00:00Z", "items": items}))
    assert [(v.name, v.value, v.unit) for v in model.variables] == [
        ("EVSE@1.Power", "22000", "W"),
        ("SecurityCtrlr.BasicAuthPassword", None, "W"),
    ]


def test_without_a_report_there_are_no_variables(site: Site) -> None:
    answer = site.client(Role.OPERATOR).get("/api/v1/stations/CP001/variables")
    assert answer.json() == {"at": None, "items": [], "next_offset": None}


def test_an_unknown_station_has_no_variables(site: Site) -> None:
    answer = site.client(Role.OPERATOR).get("/api/v1/stations/NOPE/variables")
    assert answer.status_code == 404


def test_a_station_shows_its_jobs(site: Site) -> None:
    answer = site.client(Role.VIEWER).get("/api/v1/stations/CP001")
    assert answer.json()["jobs"] == {}
