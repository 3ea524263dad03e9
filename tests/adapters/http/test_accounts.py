"""Accounts on a real store: first run, users, tokens, passwords."""

from __future__ import annotations

import httpx
import pytest

from controller.records import Role
from tests.adapters.http.conftest import PASSWORD, Desk

NEW = "another long sentence"
BROWSER = {"X-Wattkeeper": "1"}
ADA = {"name": "ada", "password": PASSWORD}


def signed_in(desk: Desk, name: str) -> httpx.Client:
    client = desk.client()
    answer = client.post("/api/v1/session", json={"name": name, "password": PASSWORD})
    assert answer.status_code == 200
    return client


def test_the_first_account_is_made_at_the_controller_and_signed_in(desk: Desk) -> None:
    client = desk.client()
    assert client.get("/api/v1/setup").json() == {"needed": True, "code_required": False}

    made = client.post("/api/v1/setup", json=ADA)

    assert (made.status_code, made.json()) == (201, {"name": "ada", "role": "admin"})
    assert client.get("/api/v1/users").json()["items"][0]["name"] == "ada"
    assert client.get("/api/v1/setup").json() == {"needed": False, "code_required": False}
    assert client.post("/api/v1/setup", json=ADA).json()["type"].endswith("already-set-up")


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"X-Forwarded-For": "198.51.100.7"}, {"Via": "1.1 proxy"}],
)
def test_from_elsewhere_the_first_account_needs_the_code(
    desk: Desk, headers: dict[str, str]
) -> None:
    client = desk.client()
    assert client.get("/api/v1/setup", headers=headers).json()["code_required"]

    without = client.post("/api/v1/setup", json=ADA, headers=headers)
    wrong = client.post("/api/v1/setup", json={**ADA, "code": "AAAAA-AAAAA"}, headers=headers)
    right = client.post("/api/v1/setup", json={**ADA, "code": "abcde-fghjk "}, headers=headers)

    assert [without.status_code, wrong.status_code, right.status_code] == [403, 403, 201]


def test_guessing_the_code_is_slowed_down(desk: Desk) -> None:
    client = desk.client()
    headers = {"Host": "evil.example"}

    codes = [
        client.post("/api/v1/setup", json={**ADA, "code": "X"}, headers=headers).status_code
        for _ in range(7)
    ]

    assert codes == [403] * 5 + [429] * 2


@pytest.mark.parametrize("asked", [{"password": "short"}, {"name": "a/b"}, {"name": ""}])
def test_a_first_account_needs_a_good_password_and_name(desk: Desk, asked: dict[str, str]) -> None:
    answer = desk.client().post("/api/v1/setup", json={**ADA, **asked})

    assert answer.status_code == 422
    assert "short" not in answer.text.replace("too_short", "")


def test_users_are_added_changed_and_deleted_with_a_trail(desk: Desk) -> None:
    admin = desk.client(desk.add("root", Role.ADMIN))

    added = admin.put("/api/v1/users/eva", json={"role": "viewer", "password": PASSWORD})
    raised = admin.put(
        "/api/v1/users/eva", json={"role": "operator"}, headers={"If-Match": added.headers["etag"]}
    )
    stale = admin.put(
        "/api/v1/users/eva", json={"role": "viewer"}, headers={"If-Match": added.headers["etag"]}
    )
    signed = signed_in(desk, "eva").get("/api/v1/session").json()
    gone = admin.delete("/api/v1/users/eva")

    assert [x.status_code for x in (added, raised, stale, gone)] == [200, 200, 412, 204]
    assert signed == {"name": "eva", "role": "operator"}
    assert desk.actions() == ["user.put", "user.put", "session.begin", "user.delete"]
    assert admin.get("/api/v1/users/eva").status_code == 404
    first = admin.get("/api/v1/audit").json()["items"][-1]
    assert '"role":"viewer"' in first["after"]
    assert PASSWORD not in admin.get("/api/v1/audit").text


def test_a_change_of_role_counts_at_once(desk: Desk) -> None:
    admin = desk.client(desk.add("root", Role.ADMIN))
    eva = desk.client(desk.add("eva", Role.OPERATOR))
    assert eva.get("/api/v1/tokens").status_code == 200

    admin.put("/api/v1/users/eva", json={"role": "viewer"})

    assert eva.get("/api/v1/tokens").status_code == 403


@pytest.mark.parametrize("change", [{"role": "viewer"}, None])
def test_the_last_administrator_stays(desk: Desk, change: dict[str, str] | None) -> None:
    admin = desk.client(desk.add("root", Role.ADMIN))

    refused = (
        admin.delete("/api/v1/users/root")
        if change is None
        else admin.put("/api/v1/users/root", json=change)
    )

    assert refused.status_code == 409
    assert admin.get("/api/v1/users/root").json()["role"] == "admin"


def test_a_new_password_ends_the_other_sessions(desk: Desk) -> None:
    desk.add("eva", Role.OPERATOR)
    here, elsewhere = signed_in(desk, "eva"), signed_in(desk, "eva")

    changed = here.post(
        "/api/v1/session/password", json={"old": PASSWORD, "new": NEW}, headers=BROWSER
    )

    assert changed.status_code == 204
    assert [c.get("/api/v1/session").status_code for c in (here, elsewhere)] == [200, 401]
    old = desk.client().post("/api/v1/session", json={"name": "eva", "password": PASSWORD})
    new = desk.client().post("/api/v1/session", json={"name": "eva", "password": NEW})
    assert [old.status_code, new.status_code] == [401, 200]


def test_a_wrong_old_password_changes_nothing_and_is_slowed_down(desk: Desk) -> None:
    desk.add("eva", Role.OPERATOR)
    client = signed_in(desk, "eva")

    codes = [
        client.post(
            "/api/v1/session/password", json={"old": "wrong", "new": NEW}, headers=BROWSER
        ).status_code
        for _ in range(6)
    ]

    assert codes == [401] * 5 + [429]


def test_a_password_set_by_an_admin_signs_the_user_out(desk: Desk) -> None:
    admin = desk.client(desk.add("root", Role.ADMIN))
    desk.add("eva", Role.VIEWER)
    eva = signed_in(desk, "eva")

    admin.put("/api/v1/users/eva", json={"role": "viewer", "password": NEW})

    assert eva.get("/api/v1/session").status_code == 401


def test_sessions_of_a_user_are_counted_and_ended(desk: Desk) -> None:
    admin = desk.client(desk.add("root", Role.ADMIN))
    desk.add("eva", Role.VIEWER)
    eva = signed_in(desk, "eva")
    assert admin.get("/api/v1/users/eva").json()["sessions"] == 1

    admin.delete("/api/v1/users/eva/sessions")

    assert eva.get("/api/v1/session").status_code == 401


def test_an_api_token_is_made_once_listed_and_revoked(desk: Desk) -> None:
    admin = desk.client(desk.add("root", Role.ADMIN))
    desk.add("bot", Role.VIEWER, None)

    made = admin.post("/api/v1/users/bot/tokens", json={"label": "billing"})
    bot = desk.client(made.json()["token"])
    assert bot.get("/api/v1/site").status_code == 200
    (_, listed) = admin.get("/api/v1/users/bot").json()["tokens"]
    revoked = admin.delete(f"/api/v1/users/bot/tokens/{listed['id']}")

    assert (made.status_code, revoked.status_code) == (201, 204)
    assert (listed["label"], listed["id"]) == ("billing", made.json()["id"])
    assert listed["last_used_at"] is not None
    assert made.json()["token"] not in admin.get("/api/v1/users").text
    assert bot.get("/api/v1/site").status_code == 401


def test_an_api_token_ends_at_its_time(desk: Desk) -> None:
    admin = desk.client(desk.add("root", Role.ADMIN))
    asked = {"label": "week", "expires_at": "2026-03-03T08:00:00Z"}
    token = admin.post("/api/v1/users/root/tokens", json=asked).json()["token"]
    client = desk.client(token)
    assert client.get("/api/v1/session").status_code == 200

    desk.site.clock.added_s = 86_401.0

    assert client.get("/api/v1/session").status_code == 401


def test_a_token_that_has_ended_is_not_made(desk: Desk) -> None:
    admin = desk.client(desk.add("root", Role.ADMIN))

    answer = admin.post("/api/v1/users/root/tokens", json={"expires_at": "2020-01-01T00:00:00Z"})

    assert answer.status_code == 422


def test_refused_sign_ins_are_written_down_once_a_minute_without_what_was_typed(desk: Desk) -> None:
    desk.add("eva", Role.VIEWER)
    for name in ("my secret typed here", "eva", "eva"):
        desk.client().post("/api/v1/session", json={"name": name, "password": "wrong"})

    entries = desk.main.run(desk.store.audit_log(limit=10, offset=0))

    assert [(e.actor, e.action) for e in entries] == [("(unknown)", "session.refused")]
