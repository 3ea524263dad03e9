"""One demo and one Chromium for all browser tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.web.rig import Demo, Seen, open_page, running_demo, session_of

CHROMIUM = Path("/usr/bin/chromium")
CHARGERS = 6


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo"), chargers=CHARGERS) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """While it is open an event loop runs in this thread: it must not outlive its tests."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=str(CHROMIUM),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield chromium
        chromium.close()


@pytest.fixture
def seen_pages() -> Iterator[list[Seen]]:
    """Pages opened by a test; whatever one of them did wrong fails the test."""
    pages: list[Seen] = []
    yield pages
    for seen in pages:
        assert seen.errors == []
        assert seen.hosts == set()


@pytest.fixture(scope="session")
def session(demo: Demo) -> dict[str, str]:
    """Cookies of the demo's administrator; signing in by hand is tried elsewhere."""
    return session_of(demo)


@pytest.fixture
def page(
    browser: Browser, demo: Demo, session: dict[str, str], seen_pages: list[Seen]
) -> Iterator[Page]:
    """A desktop page, signed in as the demo's administrator."""
    opened, seen = open_page(browser, demo.address, session=session)
    seen_pages.append(seen)
    expect(opened.locator("#main")).to_be_visible()
    yield opened
    opened.context.close()
