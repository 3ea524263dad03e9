"""What the browser tests stand on: real processes, and pages that keep count of what goes wrong in them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, Request, Response, expect

from tests.ports import free_port as free_port

ROOT = Path(__file__).resolve().parents[2]
DESKTOP = (1360, 860)
PHONE = (360, 740)
START_S = 60.0
LONG_MS = 40_000


@contextmanager
def process(*arguments: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a wattkeeper command; its output goes to `output.log` in the folder."""
    with (folder / "output.log").open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "adapters.cli.main", *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            yield running
        finally:
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(15)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def read_until(folder: Path, pattern: str, running: subprocess.Popen[bytes]) -> re.Match[str]:
    """Wait until a process has printed something."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        text = (folder / "output.log").read_text()
        found = re.search(pattern, text)
        if found:
            return found
        assert running.poll() is None, text
        time.sleep(0.1)
    raise AssertionError(f"{pattern} was not printed: {text}")


def wait_ready(address: str) -> None:
    """Wait until the controller decides."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{address} did not get ready")


@dataclass(kw_only=True)
class Demo:
    """A running demo and its only account."""

    address: str
    name: str
    password: str
    token: str

    @property
    def api(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.address, headers={"Authorization": f"Bearer {self.token}"}, timeout=20
        )


@contextmanager
def running_demo(folder: Path, *, chargers: int) -> Iterator[Demo]:
    arguments = ("demo", "--chargers", str(chargers), "--http", str(free_port()))
    with process(*arguments, folder=folder) as running:
        printed = read_until(folder, r"page\s+(\S+?)/?\n(?s:.*)stop", running)[0]
        address = re.search(r"page\s+(\S+?)/?\n", printed)
        account = re.search(r"sign in\s+(\S+) / (\S+)", printed)
        token = re.search(r"API token\s+(\S+)", printed)
        assert address
        assert account
        assert token
        wait_ready(address[1])
        yield Demo(address=address[1], name=account[1], password=account[2], token=token[1])


@dataclass
class Seen:
    """What a page did that it should not."""

    address: str
    hosts: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("request", self._request)
        page.on("response", self._response)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self._said(message.type, message.text))

    def _request(self, request: Request) -> None:
        if not request.url.startswith(("data:", "blob:", self.address)):
            self.hosts.add(request.url)

    def _response(self, response: Response) -> None:
        if response.status >= 500 and response.status != 503:
            self.errors.append(f"{response.status} {response.url}")

    def _said(self, kind: str, text: str) -> None:
        # Chromium reports every refused request by itself, as the first look at an old sign-in.
        if kind == "error" and "Failed to load resource" not in text:
            self.errors.append(text)


def open_page(
    browser: Browser,
    address: str,
    *,
    size: tuple[int, int] = DESKTOP,
    theme: str = "light",
    language: str = "en-GB",
    session: dict[str, str] | None = None,
) -> tuple[Page, Seen]:
    """Open the entrance in a fresh browser context, or the site with the cookies of a session."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if theme == "dark" else "light",
        locale=language,
        accept_downloads=True,
        reduced_motion="reduce",
    )
    for name, value in (session or {}).items():
        context.add_cookies([{"name": name, "value": value, "url": address}])
    page = context.new_page()
    seen = Seen(address)
    seen.watch(page)
    page.goto(address)
    return page, seen


def session_of(demo: Demo) -> dict[str, str]:
    """Sign in without a page; return the cookies."""
    body = {"name": demo.name, "password": demo.password}
    answer = httpx.post(
        f"{demo.address}/api/v1/session", json=body, headers={"X-Wattkeeper": "1"}
    ).raise_for_status()
    return dict(answer.cookies)


def sign_in(page: Page, name: str, password: str) -> None:
    page.locator("input[name=name]").fill(name)
    page.locator("input[name=password]").fill(password)
    page.locator("button[type=submit]").click()
    expect(page.locator("#main")).to_be_visible()


def figure(text: str) -> float:
    """Read the first number of a text."""
    found = re.search(r"-?\d+(?:\.\d+)?", text.replace("\N{MINUS SIGN}", "-"))
    assert found, text
    return float(found[0])


def eventually(page: Page, holds: Callable[[], bool], what: str) -> None:
    """Wait for something that follows from live figures."""
    for _ in range(LONG_MS // 200):
        if holds():
            return
        page.wait_for_timeout(200)
    raise AssertionError(what)


def a_charging_evse(demo: Demo, *, at_least_a: float = 5.0) -> str:
    """Return an EVSE that draws current now; the demo plugs vehicles in by and by."""
    with demo.api as api:
        for _ in range(200):
            for evse in api.get("/api/v1/evses").json()["items"]:
                drawn = max((evse["drawn_a"] or {"l1": 0}).values())
                if evse["state"] == "charging" and drawn >= at_least_a and not evse["paused"]:
                    found: str = evse["id"]
                    return found
            time.sleep(0.3)
    raise AssertionError("no vehicle charges")
