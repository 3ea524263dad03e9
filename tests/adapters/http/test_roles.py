"""Every route and every role: nothing is open by oversight."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from controller.records import Role
from tests.adapters.http.conftest import PASSWORD, Rig, Site, a_session

OPEN = {
    ("GET", "/"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/api/docs"),
    ("GET", "/api/openapi.json"),
    ("POST", "/api/v1/session"),
    ("GET", "/api/v1/setup"),
    ("POST", "/api/v1/setup"),
}
LEAST = {
    ("GET", "/api/v1/audit"): Role.ADMIN,
    ("GET", "/api/v1/tokens"): Role.OPERATOR,
    ("GET", "/api/v1/tokens.csv"): Role.OPERATOR,
    ("GET", "/api/v1/uploads"): Role.OPERATOR,
    ("GET", "/api/v1/uploads/{id}/file"): Role.OPERATOR,
    ("POST", "/api/v1/stations/{id}/secret"): Role.ADMIN,
    ("GET", "/api/v1/stations/{id}/certificates"): Role.ADMIN,
    ("POST", "/api/v1/stations/{id}/certificates"): Role.ADMIN,
    ("POST", "/api/v1/stations/{id}/certificates/delete"): Role.ADMIN,
    ("POST", "/api/v1/stations/{id}/certificates/renew"): Role.ADMIN,
    ("GET", "/api/v1/tokens/{id}"): Role.OPERATOR,
    ("GET", "/api/v1/partners"): Role.OPERATOR,
    ("POST", "/api/v1/partners"): Role.ADMIN,
    ("DELETE", "/api/v1/session"): Role.VIEWER,
    ("GET", "/api/v1/stations/{id}/configuration"): Role.OPERATOR,
    ("GET", "/api/v1/stations/{id}/variables"): Role.OPERATOR,
    ("POST", "/api/v1/stations/{id}/call"): Role.ADMIN,
    ("POST", "/api/v1/session/password"): Role.VIEWER,
}
ADMIN = ("/api/v1/users", "/api/v1/config", "/api/v1/notifications")
RANK = {None: 0, Role.VIEWER: 1, Role.OPERATOR: 2, Role.ADMIN: 3}
VALUES = {
    "/api/v1/circuits": "main",
    "/api/v1/stations": "CP001",
    "/api/v1/tokens": "04A1B2C3D4",
    "/api/v1/sessions": "CP001/1",
}
QUERY = {"/api/v1/history": "?measurement=circuit&field=measured_a"}


def routes(site: Site) -> Iterator[tuple[str, str]]:
    document = site.client().get("/api/openapi.json").json()
    for path, item in document["paths"].items():
        for method in item:
            yield method.upper(), path
    yield from (("GET", "/"), ("GET", "/api/docs"), ("GET", "/api/openapi.json"))


def least(method: str, path: str) -> Role | None:
    if (method, path) in OPEN:
        return None
    if path.startswith(ADMIN):
        return Role.ADMIN
    default = Role.VIEWER if method == "GET" else Role.OPERATOR
    return LEAST.get((method, path), default)


def status_of(site: Site, role: Role | None, method: str, path: str) -> int:
    collection = path.partition("/{")[0]
    url = path.format(
        id=VALUES.get(collection),
        station="CP001",
        evse=1,
        name="ada",
        token="0",
        n=1,
        reservation_id=5,
    ) + QUERY.get(path, "")
    with site.client(role).stream(method, url) as answer:
        return answer.status_code


@pytest.mark.parametrize("role", [None, Role.VIEWER, Role.OPERATOR, Role.ADMIN])
def test_a_role_reaches_exactly_what_it_may(site: Site, role: Role | None) -> None:
    site.store.sessions = [a_session(1)]
    wrong = []
    for method, path in routes(site):
        status = status_of(site, role, method, path)
        allowed = RANK[role] >= RANK[least(method, path)]
        refused = 401 if role is None else 403
        if allowed == (status == refused):
            wrong.append((method, path, status))

    assert wrong == []


def test_the_document_states_the_role_of_each_route(site: Site) -> None:
    document = site.client().get("/api/openapi.json").json()
    stated = {
        (method.upper(), path): operation["x-required-role"]
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }

    expected = {key: getattr(least(*key), "value", "none") for key in stated}
    assert expected == stated


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/nothing",
        "/api/v1/../v1/site",
        "//api/v1/site",
        "/api/v1/site/",
        "/api/v1/%2e%2e/audit",
        "/API/V1/SITE",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/api/v1/config",
    ],
)
def test_paths_that_do_not_exist_need_an_account_too(shared: Site, path: str) -> None:
    methods = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD")

    assert {401} == {status_of(shared, None, method, path) for method in methods}


def test_a_viewer_changes_nothing(site: Site) -> None:
    viewer = site.client(Role.VIEWER)

    answer = viewer.patch("/api/v1/circuits/main", json={"limit_a": 10})

    assert answer.status_code == 403
    assert site.control.actors == []


def test_a_token_that_is_revoked_stops_working_within_seconds(site: Site) -> None:
    client = site.client(Role.ADMIN)
    assert client.get("/api/v1/site").status_code == 200
    site.store.digests.clear()

    site.clock.added_s = 6.0

    assert client.get("/api/v1/site").status_code == 401


def test_a_token_is_looked_up_once_in_a_while(site: Site) -> None:
    client = site.client(Role.VIEWER)
    for _ in range(20):
        client.get("/api/v1/site")

    assert site.store.token_lookups == 1


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer wrong",
        "Basic dmlld2VyOng=",
        "bearer\twk_viewer_0123456789abcdef",
        "Bearer " + "x" * 5000,
    ],
)
def test_what_is_no_token_is_refused(shared: Site, header: str) -> None:
    answer = shared.client().get("/api/v1/site", headers={"Authorization": header})

    assert answer.status_code == 401
    assert "Bearer" in answer.headers["www-authenticate"]


def test_a_wrong_token_beside_a_good_cookie_is_refused(site: Site) -> None:
    client = site.signed_in(Role.ADMIN)

    answer = client.get("/api/v1/site", headers={"Authorization": "Bearer wk_wrong"})

    assert answer.status_code == 401


def test_metrics_are_open_on_loopback_only_when_the_settings_say_so(rig: Rig) -> None:
    closed, opened = rig.start(), rig.start(metrics_open_on_loopback=True)

    forwarded = {"X-Forwarded-For": "198.51.100.7"}
    statuses = (
        closed.client().get("/metrics").status_code,
        opened.client().get("/metrics").status_code,
        opened.client().get("/metrics", headers=forwarded).status_code,
        opened.client().get("/api/v1/site").status_code,
    )
    assert statuses == (401, 200, 401, 401)


def test_the_planted_password_signs_in(site: Site) -> None:
    answer = site.client().post("/api/v1/session", json={"name": "admin", "password": PASSWORD})

    assert answer.json() == {"name": "admin", "role": "admin"}
