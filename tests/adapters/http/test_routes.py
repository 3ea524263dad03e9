"""What the paths answer and what they ask of the controller and the store."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from controller.commands import ActionRequest, StationAction
from controller.operator import EvseOverride
from controller.phases import Phase, PhaseCurrents
from controller.records import Role, SeriesPoint, StationRecord, TokenStatus
from controller.site import CircuitId, EvseId, MeterId, StationId
from controller.station import EvseState, FrameLogged
from controller.why import Change, ChangeKind, Explanation, HeldBy
from controller.wiring import WiringView
from tests.adapters.http.conftest import NOW, Rig, Site
from tests.fakes.control import (
    FakeControl,
    a_circuit_status,
    a_site,
    an_alarm,
    an_evse_status,
)

EVSE = EvseId("CP001/1")


def balanced(value: float) -> dict[str, float]:
    return {"l1": value, "l2": value, "l3": value}


def test_the_site_in_one_answer(site: Site) -> None:
    site.control.in_force = (an_alarm(),)

    body = site.client(Role.VIEWER).get("/api/v1/site").json()

    assert body["mode"] == "normal"
    assert [a["code"] for a in body["alarms"]] == ["METER_LOST"]
    assert body["alarms"][0]["end"] is None
    assert {"solver", "solve_ms", "age_s", "at"} == set(body["last_cycle"])
    assert (body["last_cycle"]["solver"], body["last_cycle"]["solve_ms"]) == ("lp", 4.2)
    main = next(c for c in body["circuits"] if c["id"] == "main")
    assert balanced(250.0) == main["limit_a"]
    assert balanced(85.0) == main["measured_a"]
    assert balanced(40.0) == main["building_a"]
    assert balanced(48.0) == main["committed_a"]
    assert balanced(162.0) == main["headroom_a"]


def test_what_is_not_measured_is_null_and_never_nought(rig: Rig) -> None:
    control = FakeControl()
    circuit = control.site.circuits[CircuitId("main")]
    evse = control.site.evse(EVSE)
    assert evse is not None
    control.publish(
        circuits={circuit.id: a_circuit_status(circuit, measured_a=None)},
        evses={EVSE: an_evse_status(evse, drawn_a=None, transaction=None, lease_until_s=None)},
    )
    client = rig.start(control=control).client(Role.VIEWER)

    shown = client.get("/api/v1/evses/CP001/1").json()

    assert client.get("/api/v1/circuits/main").json()["measured_a"] is None
    keys = ("drawn_a", "power_w", "energy_wh", "lease_until", "session_id")
    assert [shown[k] for k in keys] == [None] * 5


def test_figures_that_are_no_numbers_are_null(rig: Rig) -> None:
    control = FakeControl()
    circuit = control.site.circuits[CircuitId("main")]
    odd = PhaseCurrents(l1_a=float("nan"), l2_a=float("inf"), l3_a=1.0)
    status = replace(a_circuit_status(circuit), thermal_ratio=odd)
    control.publish(circuits={circuit.id: status})

    body = rig.start(control=control).client(Role.VIEWER).get("/api/v1/circuits").json()

    assert body["items"][0]["thermal_ratio"] == {"l1": None, "l2": None, "l3": 1.0}


@pytest.mark.parametrize(
    ("body", "limit_a"),
    [
        ({"limit_a": 60}, PhaseCurrents.balanced(60.0)),
        ({"limit_a": 0}, PhaseCurrents.balanced(0.0)),
        ({"limit_a": 250}, PhaseCurrents.balanced(250.0)),
        ({"limit_a": {"l1": 10, "l2": 20, "l3": 30}}, PhaseCurrents(l1_a=10, l2_a=20, l3_a=30)),
        ({"limit_a": {"l2": 20}}, PhaseCurrents(l1_a=50, l2_a=20, l3_a=50)),
        ({"limit_a": {"l2": None}}, PhaseCurrents(l1_a=50, l2_a=250, l3_a=50)),
        ({"limit_a": {"l1": None, "l2": None, "l3": None}}, None),
        ({"limit_a": None}, None),
        ({}, PhaseCurrents.balanced(50.0)),
    ],
)
def test_an_operating_limit(
    shared: Site, body: dict[str, object], limit_a: PhaseCurrents | None
) -> None:
    client = shared.client(Role.OPERATOR)
    client.patch("/api/v1/circuits/main", json={"limit_a": 50})

    answer = client.patch("/api/v1/circuits/main", json=body)

    assert answer.status_code == 200
    assert limit_a == shared.control.overrides().circuit_limit_a.get(CircuitId("main"))
    shown = answer.json()["operating_limit_a"]
    assert (list(limit_a) if limit_a else None) == (list(shown.values()) if shown else None)


def test_a_limit_above_the_rating_names_the_rating(site: Site) -> None:
    answer = site.client(Role.OPERATOR).patch(
        "/api/v1/circuits/garage-a", json={"limit_a": {"l1": 10, "l2": 126}}
    )

    assert answer.status_code == 422
    assert "L2 125 A" in answer.json()["detail"]
    assert site.control.overrides().circuit_limit_a == {}


def test_the_actor_is_told_to_the_controller(site: Site) -> None:
    site.client(Role.OPERATOR).patch("/api/v1/circuits/main", json={"limit_a": 60})
    site.client(Role.ADMIN).post("/api/v1/evses/CP001/1/pause")

    assert site.control.actors == ["operator", "admin"]


def test_an_evse_in_full(site: Site) -> None:
    body = site.client(Role.OPERATOR).get("/api/v1/evses/CP001/1").json()

    plan = site.control.plan()
    assert plan is not None
    expected_until = plan.at + timedelta(seconds=1300.0 - plan.now_s)
    assert tuple(body[k] for k in ("id", "station", "evse", "circuit")) == (
        "CP001/1",
        "CP001",
        1,
        "garage-a",
    )
    assert tuple(body[k] for k in ("state", "connected", "setpoint_a", "committed_a")) == (
        "charging",
        True,
        16.0,
        16.0,
    )
    assert balanced(15.2) == body["drawn_a"]
    assert body["lease_until"].endswith("Z")
    shown_until = datetime.fromisoformat(body["lease_until"])
    assert abs((shown_until - expected_until).total_seconds()) < 0.01
    assert body["reason"] == {
        "code": "circuit_full",
        "text": "16.0 A: garage-a is full on L1; 3 vehicles share 48 A.",
        "bound_by": "garage-a L1",
    }
    assert body["session_id"] == "CP001/17"
    assert body["id_token"] == "04A1B2C3D4"
    assert tuple(body[k] for k in ("priority", "max_a", "rating_a", "min_a", "paused")) == (
        0,
        32.0,
        32.0,
        6.0,
        False,
    )


def test_viewers_see_only_the_end_of_a_token(site: Site) -> None:
    viewer = site.client(Role.VIEWER)

    texts = [
        viewer.get(path).text
        for path in ("/api/v1/evses", "/api/v1/sessions", "/api/v1/sessions.csv")
    ]

    assert "…C3D4" in texts[0]
    assert "04A1B2C3D4" not in "".join(texts)


def test_wishes_merge(site: Site) -> None:
    client = site.client(Role.OPERATOR)
    client.patch("/api/v1/evses/CP001/1", json={"priority": 5, "max_a": 16})
    client.patch(
        "/api/v1/evses/CP001/1",
        json={"departure_at": "2026-03-02T07:30:00+01:00", "energy_need_wh": 22000},
    )
    body = client.patch("/api/v1/evses/CP001/1", json={"max_a": None}).json()

    expected = EvseOverride(
        priority=5,
        departure_at=datetime(2026, 3, 2, 6, 30, tzinfo=UTC),
        energy_need_wh=22000.0,
    )
    assert expected == site.control.overrides().evses[EVSE]
    assert (body["priority"], body["max_a"]) == (5, 32.0)
    assert body["departure_at"] == "2026-03-02T06:30:00.000Z"


def test_a_wish_that_changes_nothing_is_not_sent(site: Site) -> None:
    client = site.client(Role.OPERATOR)
    for _ in range(3):
        client.patch("/api/v1/evses/CP001/1", json={"priority": 5})

    assert site.control.actors == ["operator"]


def test_pause_and_resume_keep_the_other_wishes(site: Site) -> None:
    client = site.client(Role.OPERATOR)
    client.patch("/api/v1/evses/CP001/1", json={"max_a": 16})

    assert client.post("/api/v1/evses/CP001/1/pause").json()["paused"]
    assert EvseOverride(max_a=16.0, paused=True) == site.control.overrides().evses[EVSE]
    assert not client.post("/api/v1/evses/CP001/1/resume").json()["paused"]
    assert EvseOverride(max_a=16.0) == site.control.overrides().evses[EVSE]


@pytest.mark.parametrize(
    ("path", "body", "evse", "action", "argument"),
    [
        ("evses/CP001/1/start", {"id_token": "AB12"}, EVSE, StationAction.START, "AB12"),
        ("evses/CP001/1/stop", None, EVSE, StationAction.STOP, "17"),
        ("evses/CP001/1/unlock", None, EVSE, StationAction.UNLOCK, ""),
        ("stations/CP001/reset", None, None, StationAction.SOFT_RESET, ""),
        ("stations/CP001/reset", {"kind": "hard"}, None, StationAction.HARD_RESET, ""),
        ("stations/CP001/trigger", None, None, StationAction.TRIGGER_STATUS, ""),
        (
            "stations/CP001/trigger",
            {"what": "meter_values", "evse": 1},
            EVSE,
            StationAction.TRIGGER_METER_VALUES,
            "",
        ),
        ("stations/CP001/clear-cache", None, None, StationAction.CLEAR_CACHE, ""),
        ("stations/CP001/drill", None, None, StationAction.DRILL, ""),
    ],
)
def test_actions(
    shared: Site,
    path: str,
    body: dict[str, object] | None,
    evse: EvseId | None,
    action: StationAction,
    argument: str,
) -> None:
    answer = shared.client(Role.OPERATOR).post(f"/api/v1/{path}", json=body)

    request = ActionRequest(station=StationId("CP001"), evse=evse, action=action, argument=argument)
    assert (request, "operator") == shared.control.actions[-1]
    assert answer.json()["result"] == "applied"


def test_there_is_nothing_to_stop_without_a_session(rig: Rig) -> None:
    control = FakeControl()
    evse = control.site.evse(EVSE)
    assert evse is not None
    control.publish(evses={EVSE: an_evse_status(evse, state=EvseState.AVAILABLE, transaction=None)})

    answer = rig.start(control=control).client(Role.OPERATOR).post("/api/v1/evses/CP001/1/stop")

    assert answer.status_code == 409
    assert control.actions == []


def test_why_shows_the_chain_up_to_the_grid(site: Site) -> None:
    site.control.in_force = (an_alarm(), an_alarm("STATION_LOST", subject="CP002"))

    body = site.client(Role.VIEWER).get("/api/v1/evses/CP001/1/why").json()

    assert body["reason"]["code"] == "circuit_full"
    assert [(s["circuit"], s["binds"], s["bound_phase"]) for s in body["chain"]] == [
        ("garage-a", True, "l1"),
        ("main", False, None),
    ]
    assert balanced(37.0) == body["chain"][0]["headroom_a"]
    assert [c["code"] for c in body["conditions"]] == ["METER_LOST"]


def test_why_says_what_holds_it_and_what_would_change_it(site: Site) -> None:
    change = Change(
        kind=ChangeKind.LARGER_LIMIT,
        gain_a=4.0,
        text="+4.0 A if garage-a were 63 A",
        circuit=CircuitId("garage-a"),
        limit_a=63.0,
    )
    site.control.explanations[EVSE] = Explanation(
        evse=EVSE,
        text="garage-a L1 is full.",
        held_by=(HeldBy(subject="garage-a", phase="l1"),),
        marginal_factor=1 / 3,
        shared_with=(EvseId("CP002/1"),),
        changes=(change,),
    )

    found = site.client(Role.VIEWER).get("/api/v1/evses/CP001/1/why").json()["explanation"]

    assert found["held_by"] == [{"subject": "garage-a", "phase": "l1"}]
    assert (found["gain_per_ampere"], found["missing_a"]) == (0.333, None)
    assert (found["shared_with"], found["changes"][0]["gain_a"]) == (["CP002/1"], 4.0)
    assert threading.get_ident() not in site.control.threads


def test_stations_show_what_they_are(site: Site) -> None:
    site.store.records = (
        StationRecord(id=StationId("CP001"), last_boot_at=NOW, has_secret=True),
        StationRecord(id=StationId("OLD"), vendor="Gone"),
    )
    client = site.client(Role.VIEWER)

    items = {s["id"]: s for s in client.get("/api/v1/stations").json()["items"]}

    assert sorted(items) == ["CP001", "CP002", "CP003", "OLD"]
    one = items["CP001"]
    assert tuple(one[k] for k in ("protocol", "connected", "lease_mode", "has_secret")) == (
        "ocpp1.6",
        True,
        "leased",
        True,
    )
    assert one["info"]["model"] == "Wall 22"
    assert (items["OLD"]["info"]["vendor"], items["OLD"]["configured"]) == ("Gone", False)


@pytest.mark.parametrize(("role", "text"), [(Role.VIEWER, None), (Role.OPERATOR, "{...}")])
def test_frames_show_their_text_to_operators(site: Site, role: Role, text: str | None) -> None:
    station = StationId("CP001")
    site.control.logged[station] = (
        FrameLogged(station=station, at=NOW, inbound=True, action="Heartbeat", text="{...}"),
    )

    frames = site.client(role).get("/api/v1/stations/CP001").json()["frames"]

    assert [
        {"at": "2026-03-02T08:00:00.000Z", "direction": "in", "action": "Heartbeat", "text": text}
    ] == frames


def test_tokens_are_put_read_and_deleted_and_audited(site: Site) -> None:
    client = site.client(Role.OPERATOR)
    body = {"status": "accepted", "label": "Van 7", "priority": 2}
    for _ in range(2):
        assert client.put("/api/v1/tokens/04a1", json=body).status_code == 200

    assert TokenStatus.ACCEPTED is site.store.known["04a1"].status
    assert [t["id"] for t in client.get("/api/v1/tokens").json()["items"]] == ["04a1"]
    assert client.get("/api/v1/tokens/04A1").json()["label"] == "Van 7"
    assert client.delete("/api/v1/tokens/04A1").status_code == 204
    assert [e.action for e in site.store.entries] == ["token.delete", "token.put"]
    assert "Van 7" in site.store.entries[0].before


def test_tokens_travel_as_a_table(site: Site) -> None:
    client = site.client(Role.OPERATOR)
    table = "id;label;max_a;stations\r\n04A1;'=Van 7;16;CP001 CP002\r\n04A2;;;\r\n"
    client.put("/api/v1/tokens/04FF", json={"status": "blocked"})
    added = client.put("/api/v1/tokens.csv", content=table)
    replaced = client.put("/api/v1/tokens.csv?replace=true", content=table)
    exported = client.get("/api/v1/tokens.csv")

    assert added.json() == {"added": 2, "changed": 0, "same": 0, "deleted": 0}
    assert replaced.json() == {"added": 0, "changed": 0, "same": 2, "deleted": 1}
    assert client.get("/api/v1/tokens/04a1").json()["stations"] == ["CP001", "CP002"]
    assert "04A1,accepted,'=Van 7,,,0,ISO14443,16,CP001 CP002,\r\n" in exported.text
    assert [e.action for e in site.store.entries][:2] == ["tokens.import", "tokens.import"]


def test_a_table_with_a_bad_line_changes_nothing_and_names_it(site: Site) -> None:
    client = site.client(Role.OPERATOR)
    refused = client.put("/api/v1/tokens.csv", content="id,max_a\n04A1,16\n04A2,many\n")

    assert refused.status_code == 422
    assert "line 3: max_a: 'many'" in refused.json()["detail"]
    assert client.get("/api/v1/tokens").json()["items"] == []
    assert client.put("/api/v1/tokens.csv", content=b"id\n\xff\n").status_code == 422


def test_history_asks_the_store(site: Site) -> None:
    site.store.points = (SeriesPoint(at=NOW, value=12.5),)

    body = (
        site.client(Role.VIEWER)
        .get(
            "/api/v1/history",
            params={
                "measurement": "circuit",
                "field": "measured_a",
                "tag": ["circuit:main", "phase:l1"],
                "from": "2026-03-02T00:00:00Z",
                "to": "2026-03-02T08:00:00Z",
                "step": 300,
            },
        )
        .json()
    )

    assert {
        "tags": {"circuit": "main", "phase": "l1"},
        "since": datetime(2026, 3, 2, tzinfo=UTC),
        "until": datetime(2026, 3, 2, 8, tzinfo=UTC),
        "step_s": 300.0,
    } == site.store.asked
    assert body["points"] == [{"at": "2026-03-02T08:00:00.000Z", "value": 12.5}]


def test_history_is_bounded(site: Site) -> None:
    query = "measurement=a&field=b&from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z&step=1"

    answer = site.client(Role.VIEWER).get(f"/api/v1/history?{query}")

    assert answer.status_code == 422
    assert "step of at least" in answer.json()["mend"]


def test_alarms_in_force_and_past_come_once_each(site: Site) -> None:
    lasting = an_alarm(begin=NOW)
    over = an_alarm("DISOBEYS", begin=NOW - timedelta(hours=1), end=NOW)
    site.control.in_force = (lasting,)
    site.store.past_alarms = [lasting, over]
    client = site.client(Role.VIEWER)

    both = client.get("/api/v1/alarms").json()["items"]
    now = client.get("/api/v1/alarms?in_force=true").json()["items"]

    assert [(a["code"], a["end"]) for a in both] == [
        ("METER_LOST", None),
        ("DISOBEYS", "2026-03-02T08:00:00.000Z"),
    ]
    assert [a["code"] for a in now] == ["METER_LOST"]


def test_readiness_follows_the_cycle(site: Site) -> None:
    client = site.client()
    assert client.get("/readyz").status_code == 200

    site.clock.added_s = 6.1

    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


def test_five_hundred_chargers_in_one_answer(rig: Rig) -> None:
    control = FakeControl(a_site(stations=500))
    control.publish()

    answer = rig.start(control=control).client(Role.VIEWER).get("/api/v1/evses")

    assert len(answer.json()["items"]) == 500
    assert answer.elapsed < timedelta(seconds=2)


def test_wiring_shows_what_the_meters_saw_of_each_phase(rig: Rig) -> None:
    control = FakeControl()
    control.wired = (
        WiringView(
            circuit=CircuitId("main"),
            meter=MeterId("grid"),
            evse=EVSE,
            verdict="reversed",
            steps=4,
            gain_ratio={Phase.L2: -0.98},
            tells_phases=True,
        ),
    )

    body = rig.start(control=control).client(Role.VIEWER).get("/api/v1/wiring").json()

    assert body["items"] == [
        {
            "evse": "CP001/1",
            "circuit": "main",
            "meter": "grid",
            "verdict": "reversed",
            "steps": 4,
            "gain": {"l1": None, "l2": -0.98, "l3": None},
            "tells_phases": True,
        }
    ]
    assert body["next_offset"] is None
