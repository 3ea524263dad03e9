"""Roaming partners and the back office over HTTP: what is shown, and what never is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import pytest

from adapters.ocpi.ledger import cdr_query, session_query
from adapters.ocpi.overview import PartnerOverview
from adapters.ocpi.partners import KIND, Partner, PartnerState, Party, digest
from adapters.ocpi.pushes import DELIVERED
from adapters.ocpi.tokens import KIND as TOKENS
from adapters.store.sqlite_store import SqliteStore
from controller.alarms import AlarmBook
from controller.records import Role
from controller.roaming import Document, UpstreamLine
from controller.site import StationId
from tests.adapters.http.conftest import Desk, FakeClock, Rig
from tests.fakes.control import NOW

URL = "https://depot.example/ocpi"
PARTNER = Partner(
    id="acme",
    name="Acme",
    state=PartnerState.REGISTERED,
    token_digest=digest("ours"),
    sealed_token="sealed-theirs",
    version="2.2.1",
    versions_url="https://acme.example/versions",
    endpoints={"cdrs/RECEIVER": "https://acme.example/cdrs"},
    hosts=("acme.example",),
    parties=(Party(country_code="NL", party_id="ACM", role="EMSP", name="Acme"),),
    registered_at=(NOW - timedelta(days=1)).isoformat(),
    last_error="push: 503",
    last_error_at=NOW.isoformat(),
)


class Lines:
    """Implements `UpstreamStatus`: every line is down and one message waits."""

    async def lines(self, stations: Sequence[StationId]) -> tuple[UpstreamLine, ...]:
        return tuple(
            UpstreamLine(
                station=s,
                is_connected=False,
                waiting=1,
                profiles=2,
                mapped_ids=3,
                last_error="refused",
            )
            for s in stations
        )


@pytest.fixture
def desk(rig: Rig, tmp_path: Path) -> Iterator[Desk]:
    store = SqliteStore.open(tmp_path / "w.db", conditions=AlarmBook(), clock=FakeClock())
    partners = PartnerOverview(documents=store, url=URL, clock=FakeClock())
    yield Desk(rig.start(store=store, partners=partners, upstream=Lines()), store, rig.main)
    for started in rig.sites:
        started.server.stop()
    rig.main.run(store.close())


def keep(desk: Desk, kind: str, key: str, body: str = "{}") -> None:
    document = Document(kind=kind, key=key, body=body, updated_at=NOW)
    desk.main.run(desk.store.put_document(document))


def test_a_partner_is_shown_with_its_counts_and_without_any_token(desk: Desk) -> None:
    keep(desk, KIND, "acme", json.dumps(asdict(PARTNER)))
    keep(desk, session_query("acme").kind, "S1")
    for cdr in ("C1", "C2", "C3"):
        keep(desk, cdr_query("acme").kind, cdr)
    keep(desk, DELIVERED, "acme|C1")
    keep(desk, DELIVERED, "acme-two|C2")
    keep(desk, TOKENS, "04aa|NL|ACM|RFID")

    answer = desk.client(desk.add("olle", Role.OPERATOR)).get("/api/v1/partners")

    shown = answer.json()
    assert (shown["configured"], shown["tokens"], len(shown["items"])) == (True, 1, 1)
    assert shown["items"][0] == {
        "id": "acme",
        "name": "Acme",
        "state": "registered",
        "version": "2.2.1",
        "parties": [{"country_code": "NL", "party_id": "ACM", "role": "EMSP", "name": "Acme"}],
        "registered_at": "2026-03-01T08:00:00.000Z",
        "last_error": "push: 503",
        "last_error_at": "2026-03-02T08:00:00.000Z",
        "last_heard_at": None,
        "sessions": 1,
        "cdrs": 3,
        "undelivered_cdrs": 2,
    }
    assert not any(s in answer.text for s in ("sealed", PARTNER.token_digest, "acme.example"))


def test_an_invitation_shows_its_token_once_and_keeps_its_digest(desk: Desk) -> None:
    client = desk.client(desk.add("ada", Role.ADMIN))

    made = client.post("/api/v1/partners", json={"name": "Example Mobility"})

    token = made.json()["token_a"]
    kept = desk.main.run(desk.store.document(KIND, "example-mobility"))
    listed = client.get("/api/v1/partners")
    assert made.json()["versions_url"] == f"{URL}/versions"
    assert kept is not None
    assert json.loads(kept.body)["token_digest"] == digest(token)
    assert token not in kept.body + listed.text + repr(
        desk.main.run(desk.store.audit_log(limit=9, offset=0))
    )
    assert [p["state"] for p in listed.json()["items"]] == ["invited"]
    assert "partner.invite" in desk.actions()


@pytest.mark.parametrize("name", ["", "a/b", "Acme", "x" * 41])
def test_a_name_that_cannot_be_is_refused_and_nothing_is_kept(desk: Desk, name: str) -> None:
    keep(desk, KIND, "acme", json.dumps(asdict(PARTNER)))
    client = desk.client(desk.add("ada", Role.ADMIN))

    answer = client.post("/api/v1/partners", json={"name": name})

    assert answer.status_code == 422
    assert [p["id"] for p in client.get("/api/v1/partners").json()["items"]] == ["acme"]


def test_an_operator_invites_nobody(desk: Desk) -> None:
    client = desk.client(desk.add("olle", Role.OPERATOR))

    answer = client.post("/api/v1/partners", json={"name": "Example"})

    assert answer.status_code == 403


def test_each_station_has_a_line_to_the_back_office(desk: Desk) -> None:
    client = desk.client(desk.add("vera", Role.VIEWER))

    shown = client.get("/api/v1/upstream", params={"limit": 1}).json()

    assert shown["configured"] is True
    assert shown["items"] == [
        {
            "station": "CP001",
            "connected": False,
            "waiting": 1,
            "profiles": 2,
            "mapped_ids": 3,
            "last_error": "refused",
        }
    ]


def test_without_roaming_and_back_office_the_lists_are_empty_and_say_so(rig: Rig) -> None:
    client = rig.start().client(Role.ADMIN)

    partners, upstream = client.get("/api/v1/partners"), client.get("/api/v1/upstream")

    assert partners.json() == {"configured": False, "tokens": 0, "items": [], "next_offset": None}
    assert upstream.json() == {"configured": False, "items": [], "next_offset": None}
    refused = client.post("/api/v1/partners", json={"name": "Example"})
    assert (refused.status_code, refused.json()["type"]) == (
        409,
        "urn:wattkeeper:problem:no-roaming",
    )
