"""Errors are problem details with a mend, whatever goes wrong and wherever."""

from __future__ import annotations

import socket

import httpx
import pytest
from structlog.testing import capture_logs

from controller.commands import NotConnected, Rejected, TimedOut
from controller.records import Role
from tests.adapters.http.conftest import TOKENS, Rig, Site
from tests.fakes.control import FakeControl

KEYS = {"type", "title", "status", "detail", "instance", "mend"}


def assert_problem(answer: httpx.Response, status: int, code: str = "") -> None:
    body = answer.json()
    assert status == answer.status_code
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(body) >= KEYS
    assert status == body["status"]
    assert body["mend"].endswith(".")
    if code:
        assert f"urn:wattkeeper:problem:{code}" == body["type"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nothing", None, 404),
        ("GET", "/api/v1/circuits/nothing", None, 404),
        ("GET", "/api/v1/evses/CP001/9", None, 404),
        ("GET", "/api/v1/evses/CP999/1/why", None, 404),
        ("GET", "/api/v1/stations/CP999", None, 404),
        ("GET", "/api/v1/sessions/CP001/404", None, 404),
        ("GET", "/api/v1/tokens/nobody", None, 404),
        ("DELETE", "/api/v1/tokens/nobody", None, 404),
        ("POST", "/api/v1/stations/CP999/reset", None, 404),
        ("POST", "/api/v1/evses/CP999/1/pause", None, 404),
        ("DELETE", "/api/v1/site", None, 405),
        ("POST", "/api/v1/evses/CP001/1/explode", None, 404),
        ("PATCH", "/api/v1/circuits/main", b"{", 422),
        ("PATCH", "/api/v1/circuits/main", b"[]", 422),
        ("PATCH", "/api/v1/circuits/main", b'{"limit_a": NaN}', 422),
        ("PATCH", "/api/v1/circuits/main", b'{"limit_a": -1}', 422),
        ("PATCH", "/api/v1/circuits/main", b'{"limit_a": 1e999}', 422),
        ("PATCH", "/api/v1/circuits/main", b'{"limit_a": "\\ud800"}', 422),
        ("PATCH", "/api/v1/circuits/main", b'{"limit_a": 300}', 422),
        ("PATCH", "/api/v1/circuits/main", b'{"limit_a": {"l4": 3}}', 422),
        ("PATCH", "/api/v1/circuits/main", b'{"rating_a": 3}', 422),
        ("PATCH", "/api/v1/circuits/main", b"9" * 10_000, 400),
        ("PATCH", "/api/v1/circuits/main", b"[" * 100_000, 400),
        ("PATCH", "/api/v1/evses/CP001/1", b'{"max_a": 33}', 422),
        ("PATCH", "/api/v1/evses/CP001/1", b'{"departure_at": "2026-03-02T06:30:00"}', 422),
        ("PATCH", "/api/v1/evses/CP001/1", b'{"departure_at": "0001-01-01T00:00:00+23:00"}', 422),
        ("PATCH", "/api/v1/evses/CP001/1", b'{"priority": 1e30}', 422),
        ("POST", "/api/v1/evses/CP001/1/start", b"{}", 422),
        ("POST", "/api/v1/evses/CP001/1/start", b'{"id_token": "a\\u0000b"}', 422),
        ("PUT", "/api/v1/tokens/" + "x" * 37, b"{}", 422),
        ("PUT", "/api/v1/tokens/a%0ab", b"{}", 404),
        ("PUT", "/api/v1/tokens/A1", b'{"status": "maybe"}', 422),
        ("GET", "/api/v1/sessions?limit=0", None, 422),
        ("GET", "/api/v1/sessions?offset=99999999999999999999", None, 422),
        ("GET", "/api/v1/sessions?from=yesterday", None, 422),
        ("GET", "/api/v1/history", None, 422),
        ("GET", "/api/v1/history?measurement=a&field=b&tag=x", None, 422),
        ("GET", "/api/v1/history?measurement=a&field=b&step=nan", None, 422),
        ("GET", "/api/v1/evses/CP001/1/why?at=2020-01-01T00:00:00Z", None, 404),
    ],
)
def test_every_error_is_a_problem(
    shared: Site, method: str, path: str, body: bytes | None, status: int
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = shared.client(Role.OPERATOR).request(method, path, content=body, headers=headers)

    assert_problem(answer, status)


def test_refusals_before_the_routes_are_problems_too(site: Site) -> None:
    assert_problem(site.client().get("/api/v1/site"), 401, "not-signed-in")
    assert_problem(site.client(Role.VIEWER).get("/api/v1/audit"), 403, "role-too-low")


def test_a_bug_is_a_problem_and_the_next_request_is_served(site: Site) -> None:
    site.control.failure = ZeroDivisionError("secret inside")
    client = site.client(Role.OPERATOR)

    answer = client.patch("/api/v1/circuits/main", json={"limit_a": 60})

    assert_problem(answer, 500, "internal")
    assert "secret" not in answer.text
    assert client.get("/api/v1/site").status_code == 200


@pytest.mark.parametrize(
    ("result", "status", "code"),
    [
        (Rejected(reason="Occupied"), 409, "refused-by-station"),
        (NotConnected(), 409, "station-not-connected"),
        (TimedOut(), 504, "no-answer"),
    ],
)
def test_an_action_that_fails_says_how(site: Site, result: object, status: int, code: str) -> None:
    site.control.result = result  # type: ignore[assignment]

    assert_problem(site.client(Role.OPERATOR).post("/api/v1/evses/CP001/1/stop"), status, code)


def test_before_the_first_cycle_everything_says_not_yet(rig: Rig) -> None:
    client = rig.start(control=FakeControl()).client(Role.OPERATOR)

    for path in ("/api/v1/site", "/api/v1/evses", "/api/v1/stations", "/readyz"):
        assert_problem(client.get(path), 503, "not-ready")
    assert client.get("/metrics").status_code == 200


def test_a_slow_store_is_not_waited_for(rig: Rig) -> None:
    site = rig.start(call_timeout_s=0.2)
    client = site.client(Role.OPERATOR)
    client.get("/api/v1/site")
    site.store.delay_s = 2.0

    assert_problem(client.get("/api/v1/tokens"), 503, "busy")
    assert client.get("/api/v1/site").status_code == 200


def test_a_body_over_the_limit_is_refused_unread(site: Site) -> None:
    client = site.client(Role.OPERATOR)
    content = b" " * 1_000_001

    assert_problem(client.put("/api/v1/tokens/A1", content=content), 413, "body-too-large")


def test_a_body_that_hides_its_size_is_cut(site: Site) -> None:
    head = (
        "PUT /api/v1/tokens/A1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        f"Authorization: Bearer {TOKENS[Role.OPERATOR]}\r\n\r\n"
    )
    piece = b"186A1\r\n" + b" " * 0x186A1 + b"\r\n"
    with socket.create_connection(("127.0.0.1", site.server.port), timeout=5) as peer:
        peer.sendall(head.encode() + piece * 10)
        assert b"413" in peer.recv(4096).split(b"\r\n")[0]


def test_a_body_that_trickles_is_refused(rig: Rig) -> None:
    site = rig.start(body_timeout_s=0.3)
    with socket.create_connection(("127.0.0.1", site.server.port), timeout=5) as peer:
        peer.sendall(
            b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
            b"Content-Type: application/json\r\n\r\n{"
        )
        assert b"408" in peer.recv(4096).split(b"\r\n")[0]


def test_a_client_that_asks_too_often_is_held_back_but_probes_are_not(rig: Rig) -> None:
    site = rig.start(requests_per_s=1.0, request_burst=5)
    client = site.client(Role.VIEWER)
    statuses = [client.get("/api/v1/site").status_code for _ in range(6)]

    assert statuses == [200] * 5 + [429]
    assert_problem(client.get("/api/v1/site"), 429, "too-many-requests")
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("path", ["/", "/nothing", "/api/v1/site", "/healthz"])
def test_every_answer_carries_the_protective_headers(shared: Site, path: str) -> None:
    headers = shared.client().get(path).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]


def test_secrets_never_come_back(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    planted = "planted-5ecret-value"
    bearer = {"Authorization": f"Bearer {planted}"}
    client = site.client()
    with capture_logs() as logs:
        texts = [
            client.post("/api/v1/session", content=body).text
            for body in (
                f'{{"name": "admin", "password": "{planted}"}}',
                f'{{"name": 1, "password": "{planted}"}}',
                f'{{"password": ["{planted}"]}}',
                f'"{planted}"',
                planted,
            )
        ]
        texts.append(client.get("/api/v1/site", headers=bearer).text)
        texts.append(
            client.get("/api/v1/site", headers={"Cookie": f"wattkeeper_session={planted}"}).text
        )
        texts.append(site.client(Role.ADMIN).get("/api/v1/audit").text)
        texts.append(site.client(Role.ADMIN).get("/metrics").text)

    output = capfd.readouterr()
    assert planted not in "".join(texts)
    assert planted not in repr(logs) + output.out + output.err
