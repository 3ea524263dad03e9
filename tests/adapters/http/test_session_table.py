"""Sessions: pages, filters and CSV for billing."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from controller.records import Role
from tests.adapters.http.conftest import Site, a_session


def ids(site: Site, query: str) -> list[str]:
    body = site.client(Role.OPERATOR).get(f"/api/v1/sessions?{query}").json()
    return [s["transaction_id"] for s in body["items"]]


def test_pages_follow_each_other(site: Site) -> None:
    site.store.sessions = [a_session(n) for n in range(1, 1203)]
    client = site.client(Role.VIEWER)
    seen: list[str] = []
    offset: int | None = 0
    while offset is not None:
        page = client.get(f"/api/v1/sessions?limit=400&offset={offset}").json()
        seen += [s["transaction_id"] for s in page["items"]]
        offset = page["next_offset"]

    assert [str(n) for n in range(1202, 0, -1)] == seen


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("station=CP002", ["2"]),
        ("evse=CP002/1", ["2"]),
        ("id_token=04a1b2c3d4", ["1"]),
        ("state=running", ["3"]),
        ("state=ended", ["2", "1"]),
        ("from=2026-03-01T12:02:00Z", ["3", "2"]),
        ("to=2026-03-01T12:02:00Z", ["1"]),
        ("limit=1&offset=1", ["2"]),
        ("station=nothing", []),
    ],
)
def test_filters(shared: Site, query: str, expected: list[str]) -> None:
    shared.store.sessions = [
        a_session(1),
        a_session(2, station="CP002", id_token="OTHER"),
        a_session(3, id_token=None, ended=False),
    ]

    assert expected == ids(shared, query)


def test_a_viewer_may_not_search_for_tokens(site: Site) -> None:
    answer = site.client(Role.VIEWER).get("/api/v1/sessions?id_token=04A1")

    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["CP001/1", "CP001%2F1"])
def test_one_session(site: Site, path: str) -> None:
    site.store.sessions = [a_session(1)]

    body = site.client(Role.VIEWER).get(f"/api/v1/sessions/{path}").json()

    assert (body["id"], body["energy_wh"]) == ("CP001/1", 7500.0)


def test_csv_holds_every_session(site: Site) -> None:
    site.store.sessions = [a_session(n) for n in range(1, 1203)]

    answer = site.client(Role.OPERATOR).get("/api/v1/sessions.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert len(rows) == 1202
    assert tuple(rows[-1][k] for k in ("id", "energy_wh", "started_at", "id_token")) == (
        "CP001/1",
        "7500",
        "2026-03-01T12:01:00.000Z",
        "04A1B2C3D4",
    )


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_a_cell_is_never_a_formula(shared: Site, text: str) -> None:
    shared.store.sessions = [replace(a_session(1, id_token=text), end_reason=text)]

    rows = list(
        csv.DictReader(
            io.StringIO(shared.client(Role.OPERATOR).get("/api/v1/sessions.csv").text, newline="")
        )
    )

    assert ("'" + text, "'" + text) == (rows[0]["id_token"], rows[0]["end_reason"])


def test_a_figure_keeps_its_sign(shared: Site) -> None:
    shared.store.sessions = [replace(a_session(1), start_wh=-5.0)]

    text = shared.client(Role.OPERATOR).get("/api/v1/sessions.csv").text

    assert ",-5," in text
