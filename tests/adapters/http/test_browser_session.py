"""Signing in with a browser: cookies, forgery, lock-out and first run."""

from __future__ import annotations

import httpx
import pytest

from adapters.http.browser_sessions import COOKIE
from controller.records import Role, User
from tests.adapters.http.conftest import PASSWORD, Rig, Site


def sign_in(client: httpx.Client, name: str, password: str) -> httpx.Response:
    return client.post("/api/v1/session", json={"name": name, "password": password})


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(site: Site) -> None:
    cookie = sign_in(site.client(), "viewer", PASSWORD).headers["set-cookie"]

    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie


def test_a_session_reads(site: Site) -> None:
    client = site.signed_in(Role.VIEWER)

    assert client.get("/api/v1/session").json() == {"name": "viewer", "role": "viewer"}
    assert client.get("/api/v1/site").status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"X-Wattkeeper": "0"}, 403),
        ({"X-Wattkeeper": "1"}, 200),
        ({"X-Wattkeeper": "1", "Origin": "SELF"}, 200),
        ({"X-Wattkeeper": "1", "Origin": "http://evil.example"}, 403),
        ({"X-Wattkeeper": "1", "Origin": "null"}, 403),
        ({"X-Wattkeeper": "1", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"X-Wattkeeper": "1", "Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_changes_from_a_browser_must_come_from_our_own_page(
    shared: Site, headers: dict[str, str], status: int
) -> None:
    client = shared.signed_in(Role.OPERATOR)
    sent = {k: shared.url if v == "SELF" else v for k, v in headers.items()}

    answer = client.post("/api/v1/evses/CP001/1/pause", headers=sent)

    assert status == answer.status_code


def test_another_site_cannot_sign_somebody_in(site: Site) -> None:
    answer = site.client().post(
        "/api/v1/session",
        json={"name": "viewer", "password": PASSWORD},
        headers={"Origin": "http://evil.example"},
    )

    assert answer.status_code == 403


def test_signing_out_ends_the_session_on_the_server(site: Site) -> None:
    client = site.signed_in(Role.VIEWER)
    cookie = {"Cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
    assert site.client().get("/api/v1/site", headers=cookie).status_code == 200

    assert client.delete("/api/v1/session", headers={"X-Wattkeeper": "1"}).status_code == 204

    assert site.client().get("/api/v1/site", headers=cookie).status_code == 401


@pytest.mark.parametrize(("idle_s", "status"), [(3500.0, 200), (3700.0, 401)])
def test_an_idle_session_ends(rig: Rig, idle_s: float, status: int) -> None:
    site = rig.start(session_idle_s=3600.0)
    client = site.signed_in(Role.VIEWER)

    site.clock.added_s = idle_s

    assert status == client.get("/api/v1/site").status_code


def test_a_session_ends_after_its_longest_life_even_in_use(rig: Rig) -> None:
    site = rig.start(session_idle_s=3600.0, session_absolute_s=7200.0)
    client = site.signed_in(Role.VIEWER)

    statuses = []
    for at_s in (3000.0, 6000.0, 7300.0):
        site.clock.added_s = at_s
        statuses.append(client.get("/api/v1/site").status_code)

    assert statuses == [200, 200, 401]


def test_a_lowered_role_counts_for_running_sessions(site: Site) -> None:
    client = site.signed_in(Role.ADMIN)
    assert client.get("/api/v1/audit").status_code == 200
    site.store.accounts["admin"] = User(name="admin", role=Role.VIEWER)

    site.clock.added_s = 6.0

    assert client.get("/api/v1/audit").status_code == 403


def test_an_account_that_is_gone_is_signed_out(site: Site) -> None:
    client = site.signed_in(Role.VIEWER)
    del site.store.accounts["viewer"]

    site.clock.added_s = 6.0

    assert client.get("/api/v1/site").status_code == 401


def test_guessing_is_locked_out_and_the_wait_grows(site: Site) -> None:
    client = site.client()
    statuses = [sign_in(client, "admin", "wrong").status_code for _ in range(5)]
    assert statuses == [401] * 5

    locked = sign_in(client, "admin", PASSWORD)

    assert locked.status_code == 429
    assert int(locked.headers["retry-after"]) >= 1
    site.clock.added_s = 1.1
    assert sign_in(client, "admin", "wrong").status_code == 401
    site.clock.added_s = 2.2
    assert sign_in(client, "admin", "wrong").status_code == 429


def test_a_lock_out_is_audited_once_and_ends(site: Site) -> None:
    client = site.client()
    for _ in range(8):
        sign_in(client, "admin", "wrong")

    site.clock.added_s = 30.0

    assert sign_in(client, "admin", PASSWORD).status_code == 200
    actions = [e.action for e in reversed(site.store.entries)]
    assert actions == ["session.refused", "session.locked", "session.begin"]


def test_trying_many_names_is_locked_out_too(site: Site) -> None:
    client = site.client()
    statuses = [sign_in(client, f"name{n}", "wrong").status_code for n in range(25)]

    assert statuses == [401] * 20 + [429] * 5


def test_signing_in_often_is_no_guessing(site: Site) -> None:
    client = site.client()

    assert {200} == {sign_in(client, "viewer", PASSWORD).status_code for _ in range(30)}


def test_the_first_run_explains_how_to_add_an_account(site: Site) -> None:
    site.store.accounts.clear()

    problem = sign_in(site.client(), "admin", "admin").json()

    assert problem["type"] == "urn:wattkeeper:problem:no-accounts"
    assert "wattkeeper user add NAME --role admin" in problem["mend"]
