"""What an office does at a site that is really run: partners, the back office, new stations, who is told."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.web.rig import (
    Seen,
    eventually,
    free_port,
    open_page,
    process,
    read_until,
    sign_in,
    wait_ready,
)

pytestmark = [pytest.mark.timeout(120)]

NAME, PASSWORD = "ada", "correct horse battery"
ANSWERS: dict[str, Any] = {
    "GetConfiguration": {"configurationKey": [], "unknownKey": []},
    "GetDiagnostics": {"fileName": "log.txt"},
}
"""What a station says; to everything else: accepted."""


@dataclass(kw_only=True)
class Office:
    """A running controller with one account."""

    address: str
    ocpp: str
    file: Path
    hook: HTTPServer
    told: list[bytes] = field(default_factory=list)

    def knock(self, station: str) -> int:
        """Let a station connect; return the status of the answer."""
        try:
            with connect(f"{self.ocpp}/{station}", subprotocols=[Subprotocol("ocpp1.6")]):
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code


@contextmanager
def live_station(office: Office, station: str, secret: str) -> Iterator[list[str]]:
    """Run a station that boots and accepts whatever it is asked; yield what that was."""
    word = base64.b64encode(f"{station}:{secret}".encode()).decode()
    heard: list[str] = []
    with connect(
        f"{office.ocpp}/{station}",
        subprotocols=[Subprotocol("ocpp1.6")],
        additional_headers={"Authorization": f"Basic {word}"},
    ) as link:

        def answer() -> None:
            for text in link:
                frame = json.loads(text)
                if frame[0] == 2:
                    heard.append(frame[2])
                    said = ANSWERS.get(frame[2], {"status": "Accepted"})
                    link.send(json.dumps([3, frame[1], said]))

        threading.Thread(target=answer, daemon=True).start()
        boot = {"chargePointVendor": "Example", "chargePointModel": "One"}
        link.send(json.dumps([2, "boot", "BootNotification", boot]))
        yield heard


def hook_server(told: list[bytes]) -> HTTPServer:
    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return HTTPServer(("127.0.0.1", 0), Receiver)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    http, ocpp, ocpi, nobody, files = (free_port() for _ in range(5))
    told: list[bytes] = []
    hook = hook_server(told)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    (folder / "site.yaml").write_text(
        f"""format: site/1
site: {{id: office, name: Office, timezone: Europe/Stockholm, voltage_v: 230}}
circuits:
  main: {{limit_a: 63, device: mcb, building_peak_a: 20}}
stations:
  CP001: {{circuit: main, evses: {{1: {{max_a: 16, fallback_a: 6}}}}}}
ocpp: {{listen: "127.0.0.1:{ocpp}", security_profile: 1, unknown_tokens: reject}}
http: {{listen: "127.0.0.1:{http}"}}
store: {{path: office.db}}
uploads: {{listen: "127.0.0.1:{files}"}}
upstream: {{url: "ws://127.0.0.1:{nobody}/ocpp"}}
billing:
  currency: SEK
  tariff: standard
  tariffs: {{standard: {{elements: [{{prices: [{{type: energy, price: 2.5}}]}}]}}}}
ocpi:
  listen: "127.0.0.1:{ocpi}"
  url: "https://depot.example/ocpi"
  country_code: SE
  party_id: WKP
  operator: Depot Nord AB
  address: Industrigatan 1
  city: Umea
  country: SWE
  latitude: 63.825
  longitude: 20.263
notifications:
  webhooks:
    ops: {{url: "http://127.0.0.1:{hook.server_port}/hooks/depot"}}
    gone: {{url: "http://127.0.0.1:{nobody}/hooks/depot"}}
"""
    )
    with process("run", str(folder / "site.yaml"), folder=folder) as running:
        read_until(folder, "There is no account yet", running)
        address = f"http://127.0.0.1:{http}"
        wait_ready(address)
        body = {"name": NAME, "password": PASSWORD}
        httpx.post(f"{address}/api/v1/setup", json=body).raise_for_status()
        yield Office(
            address=address,
            ocpp=f"ws://127.0.0.1:{ocpp}",
            file=folder / "site.yaml",
            hook=hook,
            told=told,
        )
    hook.shutdown()
    hook.server_close()


@pytest.fixture
def desk(browser: Browser, office: Office, seen_pages: list[Seen]) -> Iterator[Page]:
    """A page, signed in as the administrator of the office."""
    page, seen = open_page(browser, office.address)
    seen_pages.append(seen)
    sign_in(page, NAME, PASSWORD)
    yield page
    page.context.close()


def test_a_partner_is_invited_and_its_token_shown_once(desk: Page, office: Office) -> None:
    desk.goto(f"{office.address}/#/partners")
    expect(desk.get_by_text("No partner is registered.")).to_be_visible()
    desk.get_by_role("button", name="Invite a partner").click()
    desk.locator("dialog input").first.fill("Example Mobility")
    desk.locator("dialog button[type=submit]").click()

    made = desk.get_by_role("dialog", name="example-mobility is invited")
    expect(made).to_contain_text("The token is not shown again.")
    address, token = made.locator("code").all_inner_texts()
    assert address.startswith("https://depot.example/ocpi")
    assert len(token) >= 20
    made.get_by_role("button", name="Close").last.click()
    row = desk.locator("tbody tr").filter(has_text="Example Mobility")
    expect(row).to_contain_text("invited")
    assert token not in desk.content()


def test_the_back_office_page_shows_a_line_that_is_down(desk: Page, office: Office) -> None:
    desk.goto(f"{office.address}/#/backoffice")
    expect(desk.get_by_role("heading", name="Back office")).to_be_visible()
    expect(desk.locator("tbody tr").filter(has_text="CP001")).to_contain_text("down")
    desk.get_by_role("button", name="With messages waiting").click()
    expect(desk.get_by_text("No line like that.")).to_be_visible()

    desk.get_by_role("button", name="Down").click()
    expect(desk.locator("tbody tr")).to_have_count(1)
    desk.get_by_role("link", name="CP001").click()
    expect(desk.get_by_role("dialog", name="CP001")).to_contain_text("offline")


def test_a_new_station_is_adopted_and_stands_in_the_site_file(desk: Page, office: Office) -> None:
    assert office.knock("NEW-1") in (401, 403, 404)
    desk.goto(f"{office.address}/#/stations")
    waiting = desk.locator("section.card").filter(has_text="waits for approval")
    expect(waiting).to_contain_text("NEW-1")
    waiting.get_by_role("button", name="Approve").click()
    desk.locator("dialog input[name=max_a]").fill("16")
    desk.locator("dialog input[name=fallback_a]").fill("6")
    desk.get_by_role("dialog").get_by_role("button", name="Approve").click()

    approved = desk.get_by_role("dialog", name="NEW-1 is approved.")
    assert len(approved.get_by_label("Password").input_value()) >= 16
    expect(approved).to_contain_text("NEW-1 stands in the site file.")
    approved.get_by_role("button", name="Close").click()
    expect(desk.locator("a.line").filter(has_text="NEW-1")).to_be_visible()
    expect(waiting).to_have_count(0)
    eventually(desk, lambda: "NEW-1" in office.file.read_text(), "the site file does not name it")
    assert "fallback_a: 6" in office.file.read_text().partition("NEW-1")[2]


def test_diagnostics_are_asked_for_and_the_file_is_awaited(desk: Page, office: Office) -> None:
    office.knock("NEW-2")
    desk.goto(f"{office.address}/#/stations")
    expect(desk.locator("section.card").filter(has_text="waits for approval")).to_contain_text(
        "NEW-2"
    )
    entry = {"circuit": "main", "evses": [{"number": 1, "max_a": 16, "fallback_a": 6}]}
    approved = desk.request.post(
        f"{office.address}/api/v1/stations/NEW-2/approve",
        data=entry,
        headers={"X-Wattkeeper": "1"},
    ).json()
    with live_station(office, "NEW-2", approved["secret"]) as heard:
        desk.goto(f"{office.address}/#/stations/NEW-2")
        panel = desk.get_by_role("dialog", name="NEW-2")
        expect(panel).to_contain_text("connected")
        panel.get_by_role("button", name="Maintenance").click()
        panel.get_by_role("button", name="Send diagnostics").click()
        expect(desk.locator(".toasts")).to_contain_text(
            "The station was asked for its diagnostics."
        )
        expect(panel.locator("li").filter(has_text="Diagnostics")).to_contain_text("expected")

    assert "GetDiagnostics" in heard


def test_the_test_button_tells_who_is_reached_and_who_is_not(desk: Page, office: Office) -> None:
    desk.goto(f"{office.address}/#/settings/notifications")
    reached = desk.locator("main li").filter(has_text="ops")
    reached.get_by_role("button", name="Send a test").click()
    expect(desk.locator(".toasts")).to_contain_text("ops: delivered")
    expect(reached).to_contain_text("delivered")
    assert b"This is a test message" in b"".join(office.told)

    desk.locator("main li").filter(has_text="gone").get_by_role("button").click()
    expect(desk.locator(".toasts")).to_contain_text("gone: no answer from 127.0.0.1")


def test_alarms_are_said_with_what_to_do_in_the_readers_language(
    browser: Browser, office: Office, seen_pages: list[Seen]
) -> None:
    office.knock("STRANGER-7")
    page, seen = open_page(browser, office.address, language="sv-SE")
    seen_pages.append(seen)
    sign_in(page, NAME, PASSWORD)
    page.goto(f"{office.address}/#/alarms")

    row = page.locator("tbody tr").filter(has_text="STRANGER-7")
    expect(row).to_contain_text("Okänd station")
    expect(row).to_contain_text("godkänn den under Stationer")
    row.get_by_text("Med styrenhetens ord").click()
    expect(row).to_contain_text("A station named STRANGER-7 tries to connect")
    page.get_by_role("button", name="Pågående").click()
    expect(row).to_be_visible()
    page.context.close()
