"""Idempotent actions and conditional changes."""

from __future__ import annotations

import threading
from datetime import datetime

from controller.commands import Rejected
from controller.records import Role
from tests.adapters.http.conftest import Site
from tests.fakes.control import CARD

KEY = {"Idempotency-Key": "3f8a2c"}
UNLOCK = "/api/v1/evses/CP001/1/unlock"


def test_the_same_key_acts_once_and_answers_the_same(site: Site) -> None:
    client = site.client(Role.OPERATOR)

    first = client.post(UNLOCK, headers=KEY)
    second = client.post(UNLOCK, headers=KEY)

    assert (first.status_code, second.json()) == (200, first.json())
    assert second.headers["idempotent-replayed"] == "true"
    assert len(site.control.actions) == 1


def test_two_at_once_act_once(site: Site) -> None:
    codes: list[int] = []

    def press() -> None:
        codes.append(site.client(Role.OPERATOR).post(UNLOCK, headers=KEY).status_code)

    threads = [threading.Thread(target=press) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert codes == [200] * 5
    assert len(site.control.actions) == 1


def test_a_refusal_is_repeated_too(site: Site) -> None:
    site.control.result = Rejected(reason="Rejected")
    client = site.client(Role.OPERATOR)

    codes = [client.post(UNLOCK, headers=KEY).status_code for _ in range(2)]

    assert codes == [409, 409]
    assert len(site.control.actions) == 1


def test_a_defect_is_not_remembered(site: Site) -> None:
    site.control.failure = ZeroDivisionError("planted")
    client = site.client(Role.OPERATOR)
    assert client.post(UNLOCK, headers=KEY).status_code == 500
    site.control.failure = None

    assert client.post(UNLOCK, headers=KEY).status_code == 200


def test_a_key_belongs_to_one_request_and_one_account(site: Site) -> None:
    operator, admin = site.client(Role.OPERATOR), site.client(Role.ADMIN)
    start = "/api/v1/evses/CP001/1/start"
    operator.post(start, json={"id_token": "A"}, headers=KEY)

    other_body = operator.post(start, json={"id_token": "B"}, headers=KEY)
    other_account = admin.post(start, json={"id_token": "B"}, headers=KEY)
    other_path = operator.post(UNLOCK, headers=KEY)

    assert (
        other_body.status_code,
        other_account.status_code,
        other_path.status_code,
    ) == (422, 200, 200)


def test_a_bad_key_is_refused(site: Site) -> None:
    answer = site.client(Role.OPERATOR).post(UNLOCK, headers={"Idempotency-Key": "a b"})

    assert answer.status_code == 400


def test_a_key_is_forgotten_after_a_day(site: Site) -> None:
    client = site.client(Role.OPERATOR)
    client.post(UNLOCK, headers=KEY)

    site.clock.added_s = 86_401.0
    client.post(UNLOCK, headers=KEY)

    assert len(site.control.actions) == 2


def test_a_limit_that_was_changed_meanwhile_is_not_overwritten(site: Site) -> None:
    ada, eva = site.client(Role.OPERATOR), site.client(Role.OPERATOR)
    read = ada.get("/api/v1/circuits/main").headers["etag"]
    eva.patch("/api/v1/circuits/main", json={"limit_a": 60})

    late = ada.patch("/api/v1/circuits/main", json={"limit_a": 90}, headers={"If-Match": read})
    again = ada.get("/api/v1/circuits/main")
    good = ada.patch(
        "/api/v1/circuits/main", json={"limit_a": 90}, headers={"If-Match": again.headers["etag"]}
    )

    assert (late.status_code, good.status_code) == (412, 200)
    assert good.json()["operating_limit_a"]["l1"] == 90


def test_wishes_for_a_charger_are_conditional_too(site: Site) -> None:
    client = site.client(Role.OPERATOR)
    path = "/api/v1/evses/CP001/1"
    read = client.get(path).headers["etag"]

    first = client.patch(path, json={"priority": 3}, headers={"If-Match": read})
    second = client.patch(path, json={"priority": 4}, headers={"If-Match": read})

    assert (first.status_code, second.status_code) == (200, 412)
    assert client.get(path).headers["etag"] == first.headers["etag"]


def test_a_finish_is_estimated_from_the_need_and_the_power(site: Site) -> None:
    client = site.client(Role.OPERATOR)
    path = "/api/v1/evses/CP001/1"

    shown = client.patch(path, json={"energy_need_wh": 4200 + 10_488}).json()

    # 10 488 Wh more at 15.2 A on three phases: an hour.
    at = datetime.fromisoformat(shown["finish_at"])
    cycle_at = datetime.fromisoformat(client.get("/api/v1/site").json()["last_cycle"]["at"])
    assert (at - cycle_at).total_seconds() == 3600.0
    assert shown["finish_text"] == "10.5 kWh more at 10.5 kW."
    assert client.get("/api/v1/evses/CP002/1").json()["finish_at"] is None


def test_the_label_of_a_card_is_for_operators(site: Site) -> None:
    operator, viewer = site.client(Role.OPERATOR), site.client(Role.VIEWER)
    operator.put(f"/api/v1/tokens/{CARD}", json={"label": "Van 7"})

    labels = [c.get("/api/v1/evses/CP001/1").json()["label"] for c in (operator, viewer)]

    assert labels == ["Van 7", None]
