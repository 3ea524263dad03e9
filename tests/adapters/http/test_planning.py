"""The plan and what is known ahead, over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from controller.demand import DemandLimit
from controller.planner import PlanningSettings
from controller.policies import PolicyName
from controller.records import Role
from controller.site import CircuitId
from tests.adapters.http.conftest import Rig
from tests.controller.test_planning import Scene, a_scene

SETTINGS = PlanningSettings(
    policy=PolicyName.LEAST_LAXITY,
    demand=(DemandLimit(circuit=CircuitId("main"), interval_s=900, limit_w=60_000),),
)


@dataclass
class Desk:
    """A server with a planner behind it."""

    rig: Rig
    scene: Scene
    operator: httpx.Client
    viewer: httpx.Client

    def now(self) -> datetime:
        return self.rig.sites[0].clock.now()

    def tick(self) -> None:
        self.rig.main.run(self.scene.tick())


@pytest.fixture
def desk(rig: Rig) -> Desk:
    async def made() -> Scene:
        return a_scene(settings=SETTINGS)

    scene = rig.main.run(made())
    site = rig.start(planning=scene.planning)
    scene.clock.wall = site.clock.now()
    return Desk(rig, scene, site.client(Role.OPERATOR), site.client(Role.VIEWER))


def a_series(desk: Desk, **change: object) -> dict[str, Any]:
    begin = desk.now().replace(minute=0, second=0, microsecond=0)
    whole = {"begin_at": begin.isoformat(), "step_s": 3600, "values": [0.2, 0.3, 0.1]}
    return {**whole, **change}


def a_signal(desk: Desk, **change: object) -> dict[str, Any]:
    begin = desk.now() - timedelta(minutes=1)
    whole = {
        "circuit": "main",
        "begin_at": begin.isoformat(),
        "end_at": (begin + timedelta(hours=2)).isoformat(),
        "limit_a": 10,
    }
    return {**whole, **change}


def test_before_the_first_plan_there_is_an_empty_one(desk: Desk) -> None:
    answer = desk.viewer.get("/api/v1/plan").json()

    assert (answer["made_at"], answer["evses"]) == (None, [])


def test_the_plan_shows_every_vehicle_and_circuit_over_the_slots(desk: Desk) -> None:
    desk.operator.put("/api/v1/prices", json=a_series(desk))
    desk.tick()

    answer = desk.viewer.get("/api/v1/plan").json()

    assert [e["evse"] for e in answer["evses"]] == ["CP001/1", "CP002/1"]
    slots = len(answer["slot_begin_at"])
    assert slots == len(answer["slot_s"]) == len(answer["evses"][0]["current_a"])
    assert slots == len(answer["circuits"][0]["charging_a"]["l1"])
    assert answer["cost"] > 0


def test_prices_are_kept_shown_and_removed(desk: Desk) -> None:
    put = desk.operator.put("/api/v1/prices", json=a_series(desk))

    shown = desk.viewer.get("/api/v1/prices").json()
    removed = desk.operator.delete("/api/v1/prices")

    assert put.status_code == 200
    assert shown["values"] == [0.2, 0.3, 0.1]
    assert removed.status_code == 204
    assert desk.viewer.get("/api/v1/prices").json()["values"] == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"values": []}, "no values"),
        ({"step_s": 700}, "step_s is"),
        ({"begin_at": "2001-01-01T00:00:00Z"}, "wrong day"),
    ],
)
def test_bad_prices_are_refused_with_a_reason(
    desk: Desk, change: dict[str, object], reason: str
) -> None:
    answer = desk.operator.put("/api/v1/prices", json=a_series(desk, **change))

    assert answer.status_code == 422
    assert reason in answer.json()["detail"]
    assert answer.json()["mend"] != ""


def test_a_price_that_is_no_number_is_refused(desk: Desk) -> None:
    body = '{"begin_at": "2026-03-02T08:00:00Z", "step_s": 3600, "values": [NaN]}'

    answer = desk.operator.put(
        "/api/v1/prices", content=body, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code in (400, 422)


def test_a_signal_is_in_force_at_once_and_can_be_lifted(desk: Desk) -> None:
    put = desk.operator.put("/api/v1/grid-signals/dso-1", json=a_signal(desk))
    frozen = desk.scene.image.freeze().signal_limit_a
    listed = desk.viewer.get("/api/v1/grid-signals").json()["items"]
    lifted = desk.operator.delete("/api/v1/grid-signals/dso-1")

    assert (put.status_code, put.json()["in_force"]) == (200, True)
    assert max(frozen[CircuitId("main")]) == 10
    assert [s["id"] for s in listed] == ["dso-1"]
    assert lifted.status_code == 204
    assert desk.scene.image.freeze().signal_limit_a == {}


@pytest.mark.parametrize(
    "change",
    [{"circuit": "nowhere"}, {"limit_w": 1000}, {"limit_a": None}, {"limit_a": {"l1": 5}}],
    ids=["circuit", "both limits", "no limit", "one phase"],
)
def test_a_bad_signal_is_refused(desk: Desk, change: dict[str, object]) -> None:
    answer = desk.operator.put("/api/v1/grid-signals/dso-1", json=a_signal(desk, **change))

    assert answer.status_code == 422
    assert desk.scene.planning.signals == {}


def test_a_signal_that_is_not_there_is_not_found(desk: Desk) -> None:
    assert desk.viewer.get("/api/v1/grid-signals/none").status_code == 404
    assert desk.operator.delete("/api/v1/grid-signals/none").status_code == 404


def test_a_policy_is_picked_and_given_back(desk: Desk) -> None:
    picked = desk.operator.put("/api/v1/policy", json={"name": "cheapest"}).json()
    back = desk.operator.put("/api/v1/policy", json={"name": None}).json()

    assert picked == {"name": "cheapest", "configured": "least_laxity"}
    assert back["name"] == "least_laxity"


def test_an_unknown_policy_is_refused(desk: Desk) -> None:
    assert desk.operator.put("/api/v1/policy", json={"name": "fastest"}).status_code == 422


def test_demand_shows_the_interval_and_the_peak(desk: Desk) -> None:
    desk.tick()

    item = desk.viewer.get("/api/v1/demand").json()["items"][0]

    assert (item["circuit"], item["limit_w"], item["threshold_w"]) == ("main", 60_000, 60_000)


def test_the_forecast_of_the_sun_may_not_be_negative(desk: Desk) -> None:
    good = desk.operator.put("/api/v1/pv-forecast", json=a_series(desk, values=[0, 5000]))
    bad = desk.operator.put("/api/v1/pv-forecast", json=a_series(desk, values=[-1]))

    assert (good.status_code, bad.status_code) == (200, 422)
    assert desk.viewer.get("/api/v1/pv-forecast").json()["values"] == [0, 5000]
    assert desk.operator.delete("/api/v1/pv-forecast").status_code == 204


@pytest.mark.parametrize("path", ["prices", "pv-forecast", "policy", "grid-signals/x"])
def test_a_viewer_may_look_and_not_touch(desk: Desk, path: str) -> None:
    assert desk.viewer.put(f"/api/v1/{path}", json={}).status_code == 403


def test_without_a_planner_the_routes_say_so(rig: Rig) -> None:
    client = rig.start().client(Role.VIEWER)

    answer = client.get("/api/v1/plan")

    assert (answer.status_code, answer.json()["title"]) == (404, "No planner")


def test_every_operation_has_an_example_in_the_description(desk: Desk) -> None:
    document = desk.viewer.get("/api/openapi.json").json()
    shapes = ("PlanOut", "SeriesIn", "SeriesOut", "SignalIn", "SignalOut", "PolicyIn", "DemandOut")

    assert [s for s in shapes if not document["components"]["schemas"][s].get("examples")] == []
