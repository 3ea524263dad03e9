"""Changing the site file in the page: dry run, effect, trial, versions."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.web.rig import Demo, eventually

pytestmark = [pytest.mark.timeout(180)]


def versions(demo: Demo) -> list[tuple[int, str]]:
    with demo.api as api:
        items = api.get("/api/v1/config/versions").json()["items"]
    return [(v["version"], v["state"]) for v in items]


def limit_of(demo: Demo, circuit: str) -> float:
    with demo.api as api:
        limit: float = api.get(f"/api/v1/circuits/{circuit}").json()["rating_a"]["l1"]
    return limit


def test_a_change_is_shown_with_its_effect_applied_and_taken_back(page: Page, demo: Demo) -> None:
    number = versions(demo)[0][0]
    page.goto(f"{demo.address}/#/settings")
    field = page.get_by_label("garage-a limit_a")
    expect(field).to_have_value("40")
    expect(page.get_by_role("button", name="Apply")).to_be_disabled()

    field.fill("4")
    field.blur()
    page.get_by_role("button", name="Check").click()
    expect(page.locator(".do")).to_contain_text("Nothing is saved.")
    expect(page.get_by_role("button", name="Apply")).to_be_disabled()

    field.fill("36")
    field.blur()
    page.locator("input[name=note]").fill("a smaller breaker")
    page.get_by_role("button", name="Check").click()
    effect = page.locator(".do .circuit").filter(has_text="garage-a")
    expect(effect).to_contain_text("40 A → 36 A")
    assert limit_of(demo, "garage-a") == 40
    page.get_by_role("button", name="Apply").click()

    expect(page.get_by_role("status").filter(has_text=f"Version {number + 1} run")).to_be_visible()
    eventually(page, lambda: limit_of(demo, "garage-a") == 36, "the limit is not in force")
    eventually(page, lambda: versions(demo)[0] == (number + 1, "running"), "the trial never ends")
    page.goto(f"{demo.address}/#/settings/versions")
    expect(page.locator("tbody tr").first).to_contain_text("a smaller breaker")
    page.locator("tbody tr").nth(1).get_by_role("button", name="Restore").click()
    page.get_by_role("dialog").get_by_role("button", name="Restore").click()
    eventually(page, lambda: limit_of(demo, "garage-a") == 40, "the old limit did not come back")


def test_the_site_file_as_text_names_the_line_of_a_mistake(page: Page, demo: Demo) -> None:
    page.goto(f"{demo.address}/#/settings/text")
    editor = page.get_by_role("textbox", name="Site file")
    expect(editor).to_have_value(re.compile("format: site/1"))
    editor.fill(editor.input_value().replace("device: mcb", "device: string", 1))
    page.get_by_role("button", name="Check").click()

    expect(page.locator(".gutter .wrong")).to_have_count(1)
    expect(page.locator(".problems")).to_contain_text("device")
