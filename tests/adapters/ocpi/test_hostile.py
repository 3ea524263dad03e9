"""What a partner, or somebody who would like to be one, may try: refused, logged, nothing changed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.ocpi.guard import ForbiddenUrlError, Guard
from adapters.vault import Vault, VaultError
from controller.roaming import DocumentQuery
from tests.adapters.ocpi.conftest import Cpo
from tests.adapters.ocpi.peer import Emsp, a_token, an_emsp
from tests.adapters.ocpi.test_life_cycle import first_uid, start_session

Both = tuple[Cpo, Emsp]
MODULES = (
    ("GET", "locations"),
    ("GET", "sessions"),
    ("GET", "cdrs"),
    ("GET", "tariffs"),
    ("PUT", "tokens/DE/MSP/1"),
    ("POST", "commands/START_SESSION"),
    ("PUT", "chargingprofiles/1"),
    ("GET", "credentials"),
)


def tokens_known(cpo: Cpo) -> int:
    known: int = cpo.run(cpo.store.count_documents(DocumentQuery(kind="ocpi.token")))
    return known


def test_without_a_token_nothing_opens(cpo: Cpo) -> None:
    headers = ["", "Token", "Token wrong", "Bearer x", "Token d3Jvbmc=", "Token " + "A" * 5000]
    with httpx.Client() as client:
        for method, path in MODULES:
            for header in headers:
                sent = {"Authorization": header} if header else {}
                answer = client.request(method, f"{cpo.url}/2.2.1/{path}", headers=sent, json={})

                assert answer.status_code == 401, (method, path, header)
                assert answer.json()["status_code"] == 2000


def test_a_body_is_bounded_and_has_to_be_json(registered: Both) -> None:
    cpo, emsp = registered
    url = f"{emsp.modules['tokens']}/DE/MSP/04X"
    headers = {**emsp.authorization(), "Content-Type": "application/json"}

    large = httpx.put(url, content=b'{"uid": "' + b"A" * 300_000 + b'"}', headers=headers)
    assert large.status_code == 413
    assert httpx.put(url, content=b"{oops", headers=headers).status_code == 400
    for body in (b"[]", b"null", b"3", b'"text"', b"{}"):
        answer = httpx.put(url, content=body, headers=headers)
        assert (answer.status_code, answer.json()["status_code"]) == (200, 2001), body
    assert cpo.authorize("04X") is None


def test_nobody_speaks_for_another_party(registered: Both) -> None:
    cpo, emsp = registered
    foreign = a_token("04F", country_code="NL", party_id="OTH")

    answer = emsp.ask("PUT", f"{emsp.modules['tokens']}/NL/OTH/04F", foreign)
    assert answer.json()["status_code"] == 2001
    answer = emsp.ask("PUT", f"{emsp.modules['tokens']}/DE/MSP/04F", foreign)
    assert answer.json()["status_code"] == 2001
    begun = start_session(emsp, first_uid(emsp), token=foreign)
    assert begun["status_code"] == 2001
    routed = emsp.ask(
        "GET",
        emsp.modules["locations"],
        **{"OCPI-from-country-code": "NL", "OCPI-from-party-id": "OTH"},
    )
    assert routed.json()["status_code"] == 2001
    lost = emsp.ask(
        "GET",
        emsp.modules["locations"],
        **{"OCPI-to-country-code": "NL", "OCPI-to-party-id": "OTH"},
    )
    assert lost.json()["status_code"] == 4001
    assert cpo.authorize("04F") is None
    assert cpo.control.actions == []


def test_a_party_cannot_be_taken_over(registered: Both) -> None:
    cpo, emsp = registered
    with an_emsp(our_party=emsp.our_party, their_token="somebody-elses") as thief:
        answer = thief.register(f"{cpo.url}/versions", cpo.invite("thief"))
        assert answer.json()["status_code"] == 2001
    with an_emsp(our_party=("SE", "WKP")) as mirror:
        answer = mirror.register(f"{cpo.url}/versions", cpo.invite("mirror"))
        assert answer.json()["status_code"] == 2001
    assert cpo.partner("thief").state == "invited"


INSIDE = (
    "http://169.254.169.254/latest/meta-data",
    "http://127.0.0.2:22/",
    "https://[::1]/x",
    "https://user:pass@partner.example/x",
    "ftp://partner.example/x",
    "file:///etc/passwd",
    "//partner.example",
    "https://partner.example/\r\nX: y",
    "https://",
    "",
    "x" * 300,
)


def test_outcomes_go_to_the_partners_own_host_only(registered: Both) -> None:
    cpo, emsp = registered
    uid = first_uid(emsp)
    for url in INSIDE:
        assert start_session(emsp, uid, response_url=url)["status_code"] == 2001, url
    assert cpo.control.actions == []


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("inside", ["10.0.0.5"]),
        ("metadata", ["169.254.169.254"]),
        ("loop", ["127.0.0.1"]),
        ("six", ["fe80::1%eth0"]),
        ("mapped", ["::ffff:192.168.1.1"]),
        ("mixed", ["8.8.8.8", "192.168.1.1"]),
        ("many", ["224.0.0.1"]),
        ("none", []),
        ("zero", ["0.0.0.0"]),  # noqa: S104 - judged, not bound to
    ],
)
def test_names_that_lead_inside_are_not_called(host: str, addresses: list[str]) -> None:
    with pytest.raises(ForbiddenUrlError):
        Guard(allow_private=False).check_addresses(host, addresses)


def test_the_metadata_address_is_never_called_and_public_ones_are() -> None:
    with pytest.raises(ForbiddenUrlError):
        Guard(allow_private=True).check_addresses("metadata", ["169.254.169.254"])
    with pytest.raises(ForbiddenUrlError):
        Guard(allow_private=False).check("http://partner.example/ocpi")
    assert Guard(allow_private=False).check("https://partner.example/ocpi") == (
        "partner.example",
        443,
    )


def test_registration_does_not_call_our_own_network(tmp_path: Path, cpo: Cpo) -> None:
    guard = Guard(allow_private=False)

    async def resolve() -> str:
        return await guard.resolve("localhost", 443)

    with pytest.raises(ForbiddenUrlError):
        asyncio.run(resolve())
    token_a = cpo.invite("probe")
    body = {
        "token": "t",
        "url": "http://169.254.169.254/versions",
        "roles": [
            {
                "role": "EMSP",
                "business_details": {"name": "x"},
                "party_id": "PRB",
                "country_code": "DE",
            }
        ],
    }
    with an_emsp() as emsp:
        answer = emsp.ask("POST", f"{cpo.url}/2.2.1/credentials", body, token=token_a)
    assert answer.json()["status_code"] in (2001, 3001)
    assert cpo.partner("probe").state == "invited"


@pytest.mark.parametrize("trick", ["endless", "elsewhere", "circle"])
def test_lists_that_do_not_end_are_left(cpo: Cpo, emsp: Emsp, trick: str) -> None:
    emsp.tokens = [a_token(f"04E{n}") for n in range(4)]
    emsp.endless = trick == "endless"
    if trick == "elsewhere":
        emsp.next_url = "http://127.0.0.2:1/2.2.1/tokens?offset=2"
    if trick == "circle":
        emsp.next_url = f"{emsp.base}/2.2.1/tokens?limit=100&offset=0"
    emsp.register(f"{cpo.url}/versions", cpo.invite())

    emsp.until(lambda: cpo.partner().last_error != "")

    assert cpo.partner().last_error.startswith("tokens: its")
    assert tokens_known(cpo) <= 4


def test_pages_are_bounded(registered: Both) -> None:
    _, emsp = registered
    url = emsp.modules["sessions"]

    for page in ("limit=0", "limit=99999999", "offset=10", "date_from=2026-01-01"):
        answer = emsp.ask("GET", f"{url}?{page}")
        assert (answer.status_code, answer.headers["X-Limit"]) == (200, "3"), page
    for page in ("limit=-1", "offset=x", "date_from=yesterday", "offset=99999999999", "limit=²"):
        assert emsp.ask("GET", f"{url}?{page}").json()["status_code"] == 2001, page


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(field=st.sampled_from(sorted(a_token())), value=JSON_VALUES, raw=JSON_VALUES)
def test_fuzzed_bodies_change_nothing(registered: Both, field: str, value: Any, raw: Any) -> None:
    cpo, emsp = registered
    with httpx.Client(headers=emsp.authorization(), timeout=10) as client:
        for module, method in (
            ("tokens/DE/MSP/04Z", "PUT"),
            ("commands/START_SESSION", "POST"),
            ("commands/STOP_SESSION", "POST"),
            ("chargingprofiles/x", "PUT"),
            ("sessions/x/charging_preferences", "PUT"),
            ("credentials", "PUT"),
        ):
            content = json.dumps(raw).encode()
            answer = client.request(method, f"{cpo.url}/2.2.1/{module}", content=content)
            assert answer.status_code in (200, 400, 404), answer.text
            assert answer.json()["status_code"] != 1000
        body = json.dumps(a_token("04Z") | {field: value}).encode()
        answer = client.put(f"{cpo.url}/2.2.1/tokens/DE/MSP/04Z", content=body)
        assert answer.status_code in (200, 201), answer.text
    assert cpo.control.actions == []


def test_the_key_of_partners_tokens_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "k"
    sealed = Vault.open(path).seal("secret")

    assert path.stat().st_mode & 0o777 == 0o600
    assert Vault.open(path).unseal(sealed) == "secret"
    path.chmod(0o644)
    with pytest.raises(VaultError, match="chmod 600"):
        Vault.open(path)
    with pytest.raises(VaultError, match="does not open"):
        Vault.open(tmp_path / "other").unseal(sealed)


def test_no_secret_lies_in_the_store_in_clear(registered: Both, tmp_path: Path) -> None:
    cpo, emsp = registered
    cpo.run(cpo.store.flush())

    content = b"".join(p.read_bytes() for p in tmp_path.glob("w.db*"))

    assert emsp.their_token.encode() not in content
    assert emsp.cpo_token.encode() not in content
