"""Maintenance of stations: parameters arrive as they were given, nonsense does not."""

from __future__ import annotations

from typing import Any

import pytest

from controller.commands import StationAction
from controller.records import Role
from tests.adapters.http.conftest import Site


@pytest.mark.parametrize(
    ("path", "body", "action", "parameters"),
    [
        (
            "availability",
            {"operative": False, "evse": 1},
            StationAction.AVAILABILITY,
            {"operative": False},
        ),
        ("report", {"kind": "full"}, StationAction.READ_REPORT, {"kind": "full"}),
        (
            "firmware",
            {"location": "https://fw.example/a"},
            StationAction.UPDATE_FIRMWARE,
            {"location": "https://fw.example/a"},
        ),
        (
            "configuration",
            {"values": {"HeartbeatInterval": "300"}},
            StationAction.WRITE_CONFIGURATION,
            {"values": {"HeartbeatInterval": "300"}, "keep": False},
        ),
        (
            "data-transfer",
            {"vendor_id": "V", "data": {"a": 1}},
            StationAction.TRANSFER_DATA,
            {"vendor_id": "V", "data": {"a": 1}},
        ),
        ("trigger", {"message": "Heartbeat"}, StationAction.TRIGGER, {"message": "Heartbeat"}),
    ],
)
def test_parameters_arrive(
    site: Site, path: str, body: dict[str, Any], action: StationAction, parameters: dict[str, Any]
) -> None:
    answer = site.client(Role.OPERATOR).post(f"/api/v1/stations/CP001/{path}", json=body)
    request, actor = site.control.actions[-1]
    assert answer.json()["result"] == "applied"
    assert (request.action, request.parameters, actor) == (action, parameters, "operator")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("availability", {}),
        ("availability", {"operative": True, "colour": "red"}),
        ("firmware", {"location": "file:///etc/passwd"}),
        ("firmware", {"location": "https://x", "retries": -1}),
        ("configuration", {"values": {}}),
        (
            "reservations",
            {"reservation_id": 1, "id_token": "", "expires_at": "2026-01-01T00:00:00Z"},
        ),
    ],
)
def test_nonsense_is_refused(site: Site, path: str, body: dict[str, Any]) -> None:
    answer = site.client(Role.OPERATOR).post(f"/api/v1/stations/CP001/{path}", json=body)
    assert answer.status_code == 422
    assert site.control.actions == []


def test_an_unknown_station_is_not_found(site: Site) -> None:
    answer = site.client(Role.OPERATOR).post("/api/v1/stations/NOPE/clear-cache")
    assert answer.status_code == 404


def test_any_message_is_for_administrators(site: Site) -> None:
    body = {"message": "SetMonitoringLevel", "payload": {"severity": 4}}
    path = "/api/v1/stations/CP001/call"
    assert site.client(Role.OPERATOR).post(path, json=body).status_code == 403
    assert site.client(Role.ADMIN).post(path, json=body).status_code == 200
    assert site.control.actions[-1][0].parameters == body
