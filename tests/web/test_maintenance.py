"""Looking after stations and planning the hours ahead, in a real browser against a real demo."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.web.rig import LONG_MS, Demo, a_charging_evse, eventually

pytestmark = [pytest.mark.timeout(120)]


def asked(demo: Demo, path: str) -> Any:
    with demo.api as api:
        return api.get(path).raise_for_status().json()


def local(at: datetime) -> str:
    """Write an instant as the browser's input takes it, in the browser's time."""
    return at.astimezone().strftime("%Y-%m-%dT%H:%M")


def test_a_setting_is_kept_its_drift_shown_and_let_go(page: Page, demo: Demo) -> None:
    page.goto(f"{demo.address}/#/stations/CP001")
    panel = page.get_by_role("dialog", name="CP001")
    panel.get_by_role("button", name="Configuration").click()
    panel.get_by_placeholder("Name, value").fill("WebSocketPing")
    panel.get_by_role("button", name="Change WebSocketPingInterval").click()
    panel.get_by_label("WebSocketPingInterval", exact=True).fill("45")
    panel.get_by_role("checkbox").check()
    panel.get_by_role("button", name="Send").click()
    expect(panel.locator("li").filter(has_text="45")).to_contain_text("kept")

    with demo.api as api:
        body = {"values": {"NoSuchSetting": "1"}, "keep": True}
        api.post("/api/v1/stations/CP001/configuration", json=body).raise_for_status()
    panel.get_by_placeholder("Name, value").fill("")
    panel.get_by_role("button", name="Read again").click()
    expect(panel.get_by_text("1 setting differs from what is wanted.")).to_be_visible()
    first = panel.locator(".settings li").first
    expect(first).to_contain_text("NoSuchSetting")
    first.get_by_role("button", name="Write it").click()
    expect(page.locator(".toasts")).to_contain_text("The station refused NoSuchSetting")
    first.get_by_role("button", name="Keep NoSuchSetting no longer").click()
    expect(panel.get_by_text("The station has what is wanted of it.")).to_be_visible()
    wanted = asked(demo, "/api/v1/stations/CP001/configuration")["answer"]["wanted"]
    assert list(wanted) == ["WebSocketPingInterval"]


def test_a_station_of_2_0_1_describes_itself_when_asked(page: Page, demo: Demo) -> None:
    page.goto(f"{demo.address}/#/stations/CP002")
    panel = page.get_by_role("dialog", name="CP002")
    panel.get_by_role("button", name="Variables").click()
    expect(panel.get_by_text("The station has not described itself yet.")).to_be_visible()
    panel.get_by_role("button", name="Ask for a report").click()

    expect(panel.get_by_text(re.compile(r"\d+ variables, reported"))).to_be_visible(timeout=LONG_MS)
    panel.get_by_placeholder("Name, value").fill("ChargingStation.Model")
    expect(panel.locator(".variable")).to_contain_text("Virtual 2.0.1")
    panel.get_by_role("button", name="Maintenance").click()
    expect(panel.get_by_text("This site receives no files of stations.")).to_be_visible()
    assert asked(demo, "/api/v1/stations/CP002/variables")["at"]


def test_a_firmware_is_rolled_out_one_station_at_a_time_until_cancelled(
    page: Page, demo: Demo
) -> None:
    page.goto(f"{demo.address}/#/rollouts")
    expect(page.get_by_text("No firmware was rolled out yet.")).to_be_visible()
    page.get_by_role("button", name="Roll out a firmware").click()
    form = page.get_by_role("dialog")
    form.locator("input[name=location]").fill("https://firmware.example/2.bin")
    form.locator("input[name=version]").fill("2.0.0")
    expect(form.get_by_role("button", name="Begin")).to_be_disabled()
    form.get_by_role("checkbox", name="CP005").check()
    form.get_by_role("checkbox", name="CP006").check()
    form.get_by_role("button", name="Begin").click()

    card = page.get_by_role("region", name="Firmware 2.0.0")
    expect(card).to_contain_text("0 of 2 done")
    expect(page.get_by_role("button", name="Roll out a firmware")).to_be_disabled()
    card.get_by_role("button", name="Cancel the roll-out").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the roll-out").click()
    expect(card).to_contain_text("cancelled")
    states = {r["state"] for r in asked(demo, "/api/v1/rollouts")["items"]}
    assert states == {"cancelled"}


def test_prices_are_pasted_as_they_come_and_removed(page: Page, demo: Demo) -> None:
    page.goto(f"{demo.address}/#/planning")
    page.get_by_role("button", name="Enter prices").click()
    form = page.get_by_role("dialog")
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    form.locator("input[name=begin]").fill(local(hour))
    form.locator("textarea").fill("0,21\n0.19; x")
    expect(form.get_by_role("alert")).to_contain_text("Not a number: x")
    expect(form.get_by_role("button", name="Save")).to_be_disabled()
    form.locator("textarea").fill("0,21\n0.19; -0.05")
    form.get_by_role("button", name="Save").click()

    expect(page.get_by_text("-0.05 to 0.21 per kWh")).to_be_visible()
    kept = asked(demo, "/api/v1/prices")
    assert (kept["values"], kept["step_s"]) == ([0.21, 0.19, -0.05], 3600)
    assert datetime.fromisoformat(kept["begin_at"]) == hour
    card = page.get_by_role("region", name="Prices ahead")
    card.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("No prices are given for the hours ahead.")).to_be_visible()
    assert asked(demo, "/api/v1/prices")["values"] == []


def test_a_limit_for_a_time_is_followed_and_lifted(page: Page, demo: Demo) -> None:
    page.goto(f"{demo.address}/#/planning")
    page.get_by_role("button", name="Limit for a time").click()
    form = page.get_by_role("dialog")
    form.locator("select[name=circuit]").select_option("garage-a")
    now = datetime.now(UTC)
    form.locator("input[name=begin]").fill(local(now - timedelta(minutes=1)))
    form.locator("input[name=end]").fill(local(now - timedelta(minutes=5)))
    expect(form.get_by_role("alert")).to_contain_text("The end must come after the begin.")
    form.locator("input[name=end]").fill(local(now + timedelta(hours=1)))
    form.locator("input[name=amount]").fill("25")
    form.locator("input[name=note]").fill("heat pump test")
    form.get_by_role("button", name="Set limit").click()

    row = page.locator("li").filter(has_text="heat pump test")
    expect(row).to_contain_text("25 A")

    def limit_a() -> float:
        limit: float = asked(demo, "/api/v1/circuits/garage-a")["limit_a"]["l1"]
        return limit

    eventually(page, lambda: limit_a() == 25, "the limit is not in force")
    row.get_by_role("button", name="Lift").click()
    page.get_by_role("dialog").get_by_role("button", name="Lift").click()
    expect(page.get_by_text("No temporary limit is set.")).to_be_visible()
    eventually(page, lambda: limit_a() > 25, "the limit was not lifted")


def test_a_wish_is_added_on_the_planning_page(page: Page, demo: Demo) -> None:
    evse = a_charging_evse(demo)
    with demo.api as api:
        lifted = {"departure_at": None, "energy_need_wh": None, "priority": None}
        api.patch(f"/api/v1/evses/{evse}", json=lifted).raise_for_status()
    page.goto(f"{demo.address}/#/planning")
    page.reload()  # what was wished before is asked for anew
    page.get_by_role("button", name="Add a wish").click()
    page.get_by_role("dialog").get_by_role("button", name=evse).click()
    form = page.get_by_role("dialog", name=f"Change the wishes of {evse}")
    form.locator("input[name=priority]").fill("4")
    form.get_by_role("button", name="Save wishes").click()

    row = page.locator("tbody tr").filter(has_text=evse)
    expect(row).to_contain_text("4")
    assert asked(demo, f"/api/v1/evses/{evse}")["priority"] == 4
