"""Roll-outs of firmware over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from controller.adoption import AdoptionDesk
from controller.care import StationCare
from controller.commands import ActionRequest, Applied, CommandResult
from controller.records import Role
from controller.rollouts import RolloutDesk
from controller.site import StationId
from tests.adapters.http.conftest import FakeClock, Rig, Site
from tests.adapters.http.test_station_care import Certificates, Secrets
from tests.fakes.control import FakeControl
from tests.fakes.desk import RecordingConditions
from tests.fakes.memory_store import MemoryStore

PATH = "/api/v1/rollouts"
ORDER = {"location": "https://fw.example/2.0", "version": "2.0"}


class Yes:
    """Takes every order."""

    async def act(self, request: ActionRequest, actor: str) -> CommandResult:
        return Applied(self_expiring=False)


def a_site(rig: Rig) -> Site:
    control, clock, store = FakeControl(), FakeClock(), MemoryStore()
    control.publish(now_s=clock.monotonic_s())
    snapshot = control.snapshot()
    assert snapshot is not None
    desk = RolloutDesk(
        documents=store,
        conditions=RecordingConditions(),
        clock=clock,
        actions=Yes(),
        views=dict,
        groups=lambda: {"walls": (StationId("CP001"),)},
    )
    care = StationCare(
        adoption=AdoptionDesk(site=snapshot.site, store=store, clock=clock),
        secrets=Secrets(),
        certificates=Certificates(),
        rollouts=desk,
    )
    return rig.start(control=control, care=care)


def test_a_group_is_rolled_out_listed_and_cancelled(rig: Rig) -> None:
    client = a_site(rig).client(Role.OPERATOR)
    begun = client.post(PATH, json={**ORDER, "group": "walls"})
    assert begun.status_code == 201
    assert client.post(PATH, json={**ORDER, "stations": ["CP001"]}).status_code == 409
    listed = client.get(PATH).json()["items"]
    assert [(r["state"], r["by"], r["stations"][0]["station"]) for r in listed] == [
        ("running", "operator", "CP001")
    ]
    name = begun.json()["id"]
    assert client.post(f"{PATH}/{name}/resume").json()["state"] == "running"
    assert client.post(f"{PATH}/{name}/cancel").json()["state"] == "cancelled"
    assert client.post(f"{PATH}/{name}/cancel").status_code == 409


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (ORDER, 422),
        ({**ORDER, "group": "none"}, 422),
        ({**ORDER, "group": "walls", "stations": ["CP001"]}, 422),
        ({**ORDER, "stations": ["NOPE"]}, 404),
        ({**ORDER, "location": "file:///etc/passwd", "stations": ["CP001"]}, 422),
    ],
)
def test_nonsense_begins_nothing(rig: Rig, body: dict[str, Any], status: int) -> None:
    client = a_site(rig).client(Role.OPERATOR)
    assert client.post(PATH, json=body).status_code == status
    assert client.get(PATH).json() == {"items": []}


def test_a_viewer_begins_nothing(rig: Rig) -> None:
    client = a_site(rig).client(Role.VIEWER)
    assert client.post(PATH, json={**ORDER, "group": "walls"}).status_code == 403


def test_an_unknown_roll_out_is_not_found(rig: Rig) -> None:
    client = a_site(rig).client(Role.OPERATOR)
    assert client.post(f"{PATH}/none/cancel").status_code == 404
