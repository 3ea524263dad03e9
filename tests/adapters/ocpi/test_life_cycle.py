"""A partner from its registration to the bill, over real HTTP."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.commands import NotConnected, StationAction
from controller.records import TokenRecord, TokenStatus
from controller.roaming import Document
from controller.station import EvseState
from controller.transaction import IdToken
from tests.adapters.ocpi.conftest import EVSE, STATION, Cpo
from tests.adapters.ocpi.peer import Emsp, a_token, an_emsp

Both = tuple[Cpo, Emsp]
CHARGING = {"state": EvseState.CHARGING, "transaction": "4711", "id_token": "04AABBC1"}


def test_registration_gives_both_sides_new_tokens(registered: Both) -> None:
    cpo, emsp = registered

    assert emsp.cpo_token
    assert cpo.partner().state == "registered"
    assert emsp.their_token not in repr(cpo.partner())
    assert emsp.ask("GET", emsp.modules["locations"]).json()["status_code"] == 1000


def test_token_a_opens_nothing_but_the_handshake(cpo: Cpo, emsp: Emsp) -> None:
    token_a = cpo.invite()

    assert emsp.ask("GET", f"{cpo.url}/versions", token=token_a).status_code == 200
    assert emsp.ask("GET", f"{cpo.url}/2.2.1/locations", token=token_a).status_code == 401
    emsp.register(f"{cpo.url}/versions", token_a)
    assert emsp.ask("GET", f"{cpo.url}/versions", token=token_a).status_code == 401


def test_registering_twice_needs_put_and_leaving_closes_the_door(registered: Both) -> None:
    _, emsp = registered
    url = emsp.modules["credentials"]

    assert emsp.ask("POST", url, emsp.credentials()).status_code == 405
    rotated = emsp.ask("PUT", url, emsp.credentials()).json()["data"]["token"]
    assert emsp.ask("GET", url).status_code == 401
    emsp.cpo_token = rotated
    assert emsp.ask("DELETE", url).json()["status_code"] == 1000
    assert emsp.ask("GET", url).status_code == 401


@pytest.mark.parametrize("version", ["2.2.1", "2.1.1"])
def test_raw_tokens_and_the_old_version_work_too(cpo: Cpo, version: str) -> None:
    with an_emsp(encodes=False) as emsp:
        answer = emsp.register(f"{cpo.url}/versions", cpo.invite(), version=version)

        assert answer.json()["status_code"] == 1000, answer.text
        assert not cpo.partner().encodes_token
        location = emsp.ask("GET", emsp.modules["locations"]).json()["data"][0]
        assert ("publish" in location) is (version == "2.2.1")
        assert location["evses"][0]["status"] == "AVAILABLE"


def test_the_location_reveals_no_station(registered: Both) -> None:
    _, emsp = registered
    answer = emsp.ask("GET", emsp.modules["locations"])

    location = answer.json()["data"][0]
    assert "CP001" not in answer.text
    assert len(location["evses"]) == 4
    assert len({e["uid"] for e in location["evses"]}) == 4
    evse = emsp.ask(
        "GET", f"{emsp.modules['locations']}/{location['id']}/{location['evses'][2]['uid']}"
    )
    assert evse.json()["data"] == location["evses"][2]
    assert answer.headers["X-Total-Count"] == "1"
    missing = emsp.ask("GET", f"{emsp.modules['locations']}/{location['id']}/NOTHERE")
    assert (missing.status_code, missing.json()["status_code"]) == (404, 2003)


def test_a_new_partner_is_told_everything_and_then_what_changes(registered: Both) -> None:
    cpo, emsp = registered
    emsp.until(lambda: emsp.of("tariffs", "PUT"))

    assert emsp.of("locations", "PUT")[0]["evses"][0]["status"] == "AVAILABLE"
    assert emsp.of("tariffs", "PUT")[0]["elements"][0]["price_components"][0]["price"] == 0.4
    cpo.show(CP001=CHARGING)
    emsp.until(lambda: emsp.of("locations", "PATCH"))
    assert emsp.of("locations", "PATCH")[0]["status"] == "CHARGING"
    assert emsp.headers[-1]["ocpi-from-party-id"] == "WKP"
    assert emsp.headers[-1]["ocpi-to-party-id"] == "MSP"


def test_tokens_are_fetched_page_by_page_and_pushed_ones_count(registered: Both) -> None:
    cpo, emsp = registered
    known = lambda: cpo.authorize("04AABBC4")  # noqa: E731
    emsp.until(lambda: known() is not None)

    assert known().status is TokenStatus.ACCEPTED
    url = f"{emsp.modules['tokens']}/DE/MSP/04NEW"
    assert emsp.ask("PUT", url, a_token("04NEW")).status_code == 201
    assert emsp.ask("PUT", url, a_token("04NEW")).status_code == 200
    patch = {"valid": False}
    assert emsp.ask("PATCH", url, patch).json()["status_code"] == 2001
    patch["last_updated"] = "2026-02-01T00:00:00Z"  # type: ignore[assignment]
    assert emsp.ask("PATCH", url, patch).json()["status_code"] == 1000
    assert emsp.ask("GET", url).json()["data"]["valid"] is False
    assert cpo.authorize("04new").status is TokenStatus.BLOCKED
    assert cpo.authorize("nobody") is None


@pytest.mark.parametrize(
    ("whitelist", "is_down", "verdict", "status"),
    [
        ("ALWAYS", True, "BLOCKED", TokenStatus.ACCEPTED),
        ("ALLOWED", True, "BLOCKED", TokenStatus.ACCEPTED),
        ("ALLOWED_OFFLINE", False, "NO_CREDIT", TokenStatus.BLOCKED),
        ("ALLOWED_OFFLINE", False, "ALLOWED", TokenStatus.ACCEPTED),
        ("ALLOWED_OFFLINE", True, "ALLOWED", TokenStatus.ACCEPTED),
        ("NEVER", False, "ALLOWED", TokenStatus.ACCEPTED),
        ("NEVER", False, "EXPIRED", TokenStatus.EXPIRED),
        ("NEVER", True, "ALLOWED", TokenStatus.INVALID),
    ],
)
def test_the_whitelist_decides_who_decides(
    registered: Both, whitelist: str, is_down: bool, verdict: str, status: TokenStatus
) -> None:
    cpo, emsp = registered
    url = f"{emsp.modules['tokens']}/DE/MSP/04W"
    emsp.ask("PUT", url, a_token("04W", whitelist=whitelist))
    emsp.is_down, emsp.verdict = is_down, verdict

    assert cpo.authorize("04W").status is status


def start_session(emsp: Emsp, uid: str, **changes: Any) -> Any:
    location = emsp.ask("GET", emsp.modules["locations"]).json()["data"][0]
    body = {
        "response_url": f"{emsp.base}/2.2.1/commands/START_SESSION/1",
        "token": a_token("04APP", type="APP_USER"),
        "location_id": location["id"],
        "evse_uid": uid,
        **changes,
    }
    return emsp.ask("POST", f"{emsp.modules['commands']}/START_SESSION", body).json()


def first_uid(emsp: Emsp) -> str:
    location = emsp.ask("GET", emsp.modules["locations"]).json()["data"][0]
    uid: str = location["evses"][0]["uid"]
    return uid


def test_a_session_from_the_start_command_to_the_cdr(registered: Both) -> None:
    cpo, emsp = registered
    begun = start_session(emsp, first_uid(emsp), authorization_reference="app-7")
    assert begun["data"]["result"] == "ACCEPTED"
    emsp.until(lambda: emsp.of("commands/START_SESSION"))
    assert emsp.of("commands/START_SESSION") == [{"result": "ACCEPTED"}]
    request, actor = cpo.control.actions[0]
    assert (request.action, request.station, request.argument) == (
        StationAction.START,
        STATION,
        "04APP",
    )
    assert actor == "ocpi:msp"

    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=30)
    running = cpo.charge("04APP", started_at=begin)
    cpo.show(CP001={**CHARGING, "id_token": "04APP"})
    emsp.until(lambda: emsp.of("sessions", "PUT"))
    session = emsp.of("sessions", "PUT")[0]
    assert (session["status"], session["auth_method"]) == ("ACTIVE", "COMMAND")
    assert session["authorization_reference"] == "app-7"
    assert session["cdr_token"]["uid"] == "04APP"

    ended = replace(running, last_wh=13_345.0, ended_at=begin + timedelta(minutes=25))
    cpo.run(cpo.store.save_transaction(ended))
    emsp.until(lambda: emsp.of("cdrs"))
    [cdr] = emsp.of("cdrs")
    assert cdr["session_id"] == session["id"]
    assert cdr["total_energy"] == 12.345
    assert sum(d["volume"] for p in cdr["charging_periods"] for d in p["dimensions"][:1]) == 12.345
    assert cdr["total_cost"] == {"excl_vat": 4.938, "incl_vat": 6.1725}
    listed = emsp.ask("GET", emsp.modules["cdrs"]).json()["data"]
    assert [c["id"] for c in listed] == [cdr["id"]]
    last = emsp.ask("GET", emsp.modules["sessions"]).json()["data"][0]
    assert (last["status"], last["kwh"]) == ("COMPLETED", 12.345)


def test_sessions_of_others_are_nobodys_business(registered: Both) -> None:
    cpo, emsp = registered
    cpo.run(cpo.store.put_token(TokenRecord(id=IdToken("04STAFF"))))
    cpo.charge("04STAFF")
    with an_emsp(our_party=("NL", "OTH"), their_token="another-secret") as other:
        other.register(f"{cpo.url}/versions", cpo.invite("other"))
        begin = datetime.now(UTC).replace(microsecond=0)
        emsp.until(lambda: cpo.authorize("04AABBC0") is not None)
        cpo.charge("04AABBC0", id="1", started_at=begin, start_wh=5.0)
        emsp.until(lambda: emsp.of("sessions", "PUT"))

        assert [s["cdr_token"]["uid"] for s in emsp.of("sessions", "PUT")] == ["04AABBC0"]
        assert other.ask("GET", other.modules["sessions"]).json()["data"] == []
        session = emsp.of("sessions", "PUT")[0]["id"]
        body = {"response_url": f"{other.base}/x", "session_id": session}
        stolen = other.ask("POST", f"{other.modules['commands']}/STOP_SESSION", body).json()
        assert stolen["data"]["result"] == "UNKNOWN_SESSION"
        assert cpo.control.actions == []


def test_a_station_that_is_away_answers_for_itself(registered: Both) -> None:
    cpo, emsp = registered
    cpo.control.result = NotConnected()

    start_session(emsp, first_uid(emsp))
    emsp.until(lambda: emsp.of("commands/START_SESSION"))
    assert emsp.of("commands/START_SESSION")[0]["result"] == "EVSE_INOPERATIVE"


def test_a_partners_profile_only_lowers_and_ends_with_the_session(registered: Both) -> None:
    cpo, emsp = registered
    emsp.until(lambda: cpo.authorize("04AABBC1") is not None)
    running = cpo.charge("04AABBC1")
    cpo.show(CP001=CHARGING)
    emsp.until(lambda: emsp.of("sessions", "PUT"))
    session = emsp.of("sessions", "PUT")[0]["id"]
    url = f"{emsp.modules['chargingprofiles']}/{session}"
    profile = {
        "charging_rate_unit": "A",
        "charging_profile_period": [{"start_period": 0, "limit": 10}],
    }
    body = {"charging_profile": profile, "response_url": f"{emsp.base}/profiles/1"}

    assert emsp.ask("PUT", url, body).json()["data"]["result"] == "ACCEPTED"
    assert emsp.ask("PUT", url, body).json()["data"]["result"] == "TOO_OFTEN"
    emsp.until(lambda: cpo.control.overrides().evses.get(EVSE) is not None)
    assert cpo.control.overrides().evses[EVSE].partner_max_a == 10.0
    assert cpo.control.overrides().evses[EVSE].max_a is None
    emsp.until(lambda: emsp.of("profiles/1"))
    active = emsp.ask("GET", f"{url}?duration=60&response_url={emsp.base}/active/1")
    assert active.json()["data"]["result"] == "ACCEPTED"
    emsp.until(lambda: emsp.of("active/1"))
    assert emsp.of("active/1")[0]["profile"]["charging_profile"]["charging_rate_unit"] == "A"

    cpo.run(cpo.store.save_transaction(replace(running, ended_at=datetime.now(UTC))))
    cpo.show()
    emsp.until(lambda: cpo.control.overrides().evses[EVSE].partner_max_a is None)
    assert cpo.control.overrides().evses[EVSE].partner_max_a is None


def test_preferences_reach_the_planner(registered: Both) -> None:
    cpo, emsp = registered
    emsp.until(lambda: cpo.authorize("04AABBC1") is not None)
    cpo.charge("04AABBC1")
    emsp.until(lambda: emsp.of("sessions", "PUT"))
    session = emsp.of("sessions", "PUT")[0]["id"]
    url = f"{emsp.modules['sessions']}/{session}/charging_preferences"
    leave = (datetime.now(UTC) + timedelta(hours=8)).strftime("%Y-%m-%dT%H:%M:%SZ")

    assert emsp.ask("PUT", url, {"profile_type": "GREEN"}).json()["data"] == "DEPARTURE_REQUIRED"
    wishes = {"profile_type": "GREEN", "departure_time": leave, "energy_need": 22.5}
    assert emsp.ask("PUT", url, wishes).json()["data"] == "ACCEPTED"
    assert cpo.control.overrides().evses[EVSE].energy_need_wh == 22_500


def test_a_partner_that_was_away_gets_everything_once(registered: Both) -> None:
    cpo, emsp = registered
    emsp.until(lambda: emsp.of("tariffs", "PUT"))
    emsp.until(lambda: cpo.authorize("04AABBC1") is not None)
    emsp.is_down = True
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
    running = cpo.charge("04AABBC1", started_at=begin)
    cpo.run(
        cpo.store.save_transaction(replace(running, last_wh=2000.0, ended_at=datetime.now(UTC)))
    )
    emsp.until(lambda: cpo.partner().last_error != "")
    assert cpo.partner().last_error.endswith("HTTP 503: refused")
    assert emsp.of("cdrs") == []

    emsp.is_down = False
    answer = emsp.ask("PUT", emsp.modules["credentials"], emsp.credentials())
    emsp.cpo_token = answer.json()["data"]["token"]
    emsp.until(lambda: emsp.of("cdrs"))
    assert [c["total_energy"] for c in emsp.of("cdrs")] == [1]


def test_a_real_end_that_comes_late_is_credited_and_billed_anew(registered: Both) -> None:
    cpo, emsp = registered
    emsp.until(lambda: emsp.of("tariffs", "PUT"))
    emsp.until(lambda: cpo.authorize("04AABBC1") is not None)
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=30)
    running = cpo.charge("04AABBC1", started_at=begin)
    guess = replace(
        running,
        last_wh=2000.0,
        ended_at=begin + timedelta(minutes=10),
        end_reason="Other",
        assumed_scale_ratio=1.0,
    )
    cpo.run(cpo.store.save_transaction(guess))
    emsp.until(lambda: emsp.of("cdrs"))
    real = replace(
        guess,
        last_wh=4500.0,
        ended_at=begin + timedelta(minutes=20),
        end_reason="Local",
        assumed_scale_ratio=None,
    )
    cpo.run(cpo.store.save_transaction(real))
    emsp.until(lambda: len(emsp.of("cdrs")) == 3)

    first, credit, second = emsp.of("cdrs")
    assert (credit["credit"], credit["credit_reference_id"]) == (True, first["id"])
    assert len({first["id"], credit["id"], second["id"]}) == 3
    assert first["session_id"] == second["session_id"]
    assert [c["total_energy"] for c in (first, second)] == [1, 3.5]
    assert second["end_date_time"].startswith(
        (begin + timedelta(minutes=20)).strftime("%Y-%m-%dT%H:%M")
    )
    assert sum(c["total_cost"]["excl_vat"] for c in (first, credit, second)) == pytest.approx(1.4)
    emsp.until(lambda: emsp.of("sessions", "PUT")[-1]["kwh"] == 3.5)
    assert emsp.of("sessions", "PUT")[-1]["status"] == "COMPLETED"


def test_a_place_is_kept_and_given_back(registered: Both) -> None:
    cpo, emsp = registered
    location = emsp.ask("GET", emsp.modules["locations"]).json()["data"][0]
    until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {
        "response_url": f"{emsp.base}/2.2.1/commands/RESERVE_NOW/1",
        "token": a_token("04APP", type="APP_USER"),
        "expiry_date": until,
        "reservation_id": "my-place",
        "location_id": location["id"],
        "evse_uid": location["evses"][0]["uid"],
    }
    url = f"{emsp.modules['commands']}/RESERVE_NOW"
    assert emsp.ask("POST", url, body).json()["data"]["result"] == "ACCEPTED"
    emsp.until(lambda: emsp.of("commands/RESERVE_NOW"))
    late = {**body, "expiry_date": "2020-01-01T00:00:00Z"}
    assert emsp.ask("POST", url, late).json()["status_code"] == 2001

    back = {
        "response_url": f"{emsp.base}/2.2.1/commands/CANCEL_RESERVATION/1",
        "reservation_id": "my-place",
    }
    url = f"{emsp.modules['commands']}/CANCEL_RESERVATION"
    assert emsp.ask("POST", url, back).json()["data"]["result"] == "ACCEPTED"
    emsp.until(lambda: emsp.of("commands/CANCEL_RESERVATION"))
    assert emsp.of("commands/CANCEL_RESERVATION") == [{"result": "CANCELED_RESERVATION"}]
    kept, given_back = (request for request, _ in cpo.control.actions)
    assert kept.action is StationAction.RESERVE
    assert kept.parameters["id_token"] == "04APP"
    assert given_back.parameters == {"reservation_id": kept.parameters["reservation_id"]}
    other = {**back, "reservation_id": "somebody-elses"}
    assert emsp.ask("POST", url, other).json()["data"]["result"] == "REJECTED"


def test_signed_values_reach_the_partner_byte_for_byte(registered: Both) -> None:
    cpo, emsp = registered
    emsp.until(lambda: cpo.authorize("04AABBC1") is not None)
    ocmf = 'OCMF|{"FV":"1.0","RD":[{"RV":1.0}]}|{"SD":"3045 \\u00e5"}'
    old = {"value": ocmf, "format": "SignedData", "context": "Transaction.Begin"}
    new = {
        "value": 2000,
        "context": "Transaction.End",
        "signedMeterValue": {
            "signedMeterData": "AP==/+",
            "signingMethod": "x",
            "encodingMethod": "OCMF",
            "publicKey": "MFkw",
        },
    }
    body = {"values": [{"timestamp": "t", "sampledValue": v} for v in (old, new)]}
    paper = Document(
        kind="signed_meter_value",
        key="CP001|4711|1.0|0",
        body=json.dumps(body),
        updated_at=datetime.now(UTC),
    )
    cpo.run(cpo.store.put_document(paper))
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
    running = cpo.charge("04AABBC1", started_at=begin)
    cpo.run(
        cpo.store.save_transaction(replace(running, last_wh=2000.0, ended_at=datetime.now(UTC)))
    )

    emsp.until(lambda: emsp.of("cdrs"))
    signed = emsp.of("cdrs")[0]["signed_data"]
    assert [v["signed_data"] for v in signed["signed_values"]] == [ocmf, "AP==/+"]
    assert [v["nature"] for v in signed["signed_values"]] == ["Start", "End"]
    assert (signed["encoding_method"], signed["public_key"]) == ("OCMF", "MFkw")
