"""The configuration of a running site: seen before, in force at once, taken back when it fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from controller.site import EvseId, StationId
from tests.adapters.running.live_site import LiveSite, live_site, run


async def put(site: LiveSite, text: str, **more: Any) -> Any:
    return await site.ask("PUT", "/api/v1/config", json={"text": text, "note": "test"}, **more)


def generations(site: LiveSite) -> list[int]:
    """Count registrations of each station's connection; they rise with every reconnection."""
    registry = site.controller.ocpp._registry
    links = [registry.get(StationId(f"CP00{n}")) for n in (1, 2, 3)]
    return [link.generation if link is not None else -1 for link in links]


def test_a_lowered_limit_is_shown_before_and_followed_at_once_on_standing_connections(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with live_site(tmp_path) as site:
            await site.until(lambda: site.drawn_a() > 60)
            before = generations(site)
            text = site.file.read_text().replace("limit_a: 80", "limit_a: 40")
            first = await site.ask("GET", "/api/v1/config")

            tried = (await put(site, text, params={"dry_run": "true"})).json()
            assert tried["problems"] == []
            (garage,) = [c for c in tried["effect"]["circuits"] if c["change"] == "changed"]
            assert (garage["id"], garage["before"]["limit_a"]["l1"]) == ("garage", 80)
            assert garage["after"]["limit_a"]["l1"] == 40
            assert garage["after"]["certificate_headroom_a"]["l1"] == 22
            assert site.drawn_a() > 60

            made = await put(site, text, headers={"If-Match": first.headers["etag"]})
            assert (made.status_code, made.json()["applied"]) == (200, "hot")
            await site.until(lambda: site.drawn_a() <= 40, within_s=8)
            assert generations(site) == before
            await site.until_state(made.json()["version"], "running")
            on_disk = site.file.read_text()
            assert on_disk == text
            assert "# F3 in the cellar" in on_disk

            stale = await put(site, text + "# x\n", headers={"If-Match": first.headers["etag"]})
            assert stale.status_code == 412
            restored = await site.ask("POST", "/api/v1/config/versions/1/restore")
            assert restored.json()["version"] == 3
            await site.until(lambda: site.drawn_a() > 60)
            audit = (await site.ask("GET", "/api/v1/audit")).json()["items"]
            changes = [a for a in audit if a["action"] == "config.change"]
            assert [(a["actor"], a["before"]) for a in changes] == [
                ("ada", '{"version": 2}'),
                ("ada", '{"version": 1}'),
            ]

    run(scenario)


async def refuses_a_typo(site: LiveSite, tell: Callable[[str, object], None]) -> None:
    """A typo is named with its line, and the site goes on as it was."""
    text, asked_s = site.file.read_text(), time.monotonic()
    refused = await put(site, text.replace("limit_a: 80", "limit_a: 8O"))
    tell("fault_t_d_s", time.monotonic() - asked_s)
    assert refused.status_code == 422
    (error,) = refused.json()["errors"]
    assert (error["field"], error["line"]) == ("circuits.garage.limit_a", "8")
    assert site.file.read_text() == text
    running = (await site.ask("GET", "/api/v1/config")).json()
    assert (running["version"], running["state"]) == (1, "running")
    limit_a = (await site.ask("GET", "/api/v1/circuits/garage")).json()["limit_a"]["l1"]
    tell("fault_changed_a", abs(limit_a - 80))
    assert limit_a == 80


def test_a_change_whose_cycles_fail_is_taken_back_with_an_alarm(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async def scenario() -> None:
        async with live_site(tmp_path) as site:
            await site.until(lambda: site.drawn_a() > 60)
            await refuses_a_typo(site, record_property)
            core = site.controller.cycle._core
            sound = core.decide

            def broken(snapshot: Any) -> Any:
                if any(c.limit_a.l1_a == 33 for c in snapshot.site.circuits.values()):
                    raise ZeroDivisionError("a defect that only this site shows")
                return sound(snapshot)

            core.decide = broken  # type: ignore[method-assign]
            text = site.file.read_text()

            made = await put(site, text.replace("limit_a: 80", "limit_a: 33"))
            assert (made.status_code, made.json()["state"]) == (200, "trial")
            again = await put(site, text)
            assert again.json()["type"].endswith("trial-under-way")

            await site.until_state(2, "rolled_back")
            await site.until(lambda: "CONFIG_ROLLED_BACK" in site.alarm_codes())
            (alarm,) = [
                a.condition.text
                for a in site.controller.alarms.active()
                if a.condition.code == "CONFIG_ROLLED_BACK"
            ]
            assert "a control cycle failed" in alarm
            await site.until(lambda: "CYCLE_FAILED" not in site.alarm_codes())
            assert site.file.read_text() == text
            current = (await site.ask("GET", "/api/v1/config")).json()
            assert (current["version"], current["state"]) == (1, "running")
            limit = (await site.ask("GET", "/api/v1/circuits/garage")).json()["limit_a"]["l1"]
            assert limit == 80
            assert site.drawn_a() > 60

    run(scenario)


def test_stations_come_and_go_and_edits_on_disk_are_noticed(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with live_site(tmp_path) as site:
            await site.until(lambda: site.drawn_a() > 60)
            text = site.file.read_text()
            lines = text.splitlines(keepends=True)
            without = "".join(line for line in lines if "CP003" not in line)
            new = "  CP004: {circuit: garage, evses: {1: {max_a: 16, fallback_a: 6}}}\n"

            in_use = await put(site, without)
            assert (in_use.status_code, in_use.json()["detail"].count("CP003/1")) == (409, 1)
            assert "has a running session" in in_use.json()["detail"]
            assert (await site.ask("POST", "/api/v1/evses/CP003/1/pause")).is_success
            operations = site.controller.operations
            await site.until(lambda: _reason(operations.plan(), "CP003/1") == "paused")
            paused = (await put(site, without)).json()
            assert "CP003/1 is paused and keeps its session" in paused["detail"]
            assert "Stop their sessions" in paused["mend"]
            site.simulator.unplug(EvseId("CP003/1"))
            await site.until(lambda: not _is_charging(operations.plan(), "CP003/1"))
            swapped = await put(site, without.replace("policy:", new + "policy:"))
            assert [(s["id"], s["change"]) for s in swapped.json()["effect"]["stations"]] == [
                ("CP003", "removed"),
                ("CP004", "added"),
            ]
            await site.until_state(2, "running")
            evses = (await site.ask("GET", "/api/v1/evses")).json()["items"]
            assert [e["id"] for e in evses] == ["CP001/1", "CP002/1", "CP004/1"]

            site.file.write_text(site.file.read_text() + "# by hand\n")
            seen = (await site.ask("GET", "/api/v1/config")).json()
            mine = seen["text"].replace("limit_a: 80", "limit_a: 70")
            refused = await put(site, mine)
            assert (seen["file_changed"], refused.status_code) == (True, 409)
            assert refused.json()["type"].endswith("file-edited")
            body = {"text": mine, "overwrite": True}
            forced = await site.ask("PUT", "/api/v1/config", json=body)
            assert forced.json()["version"] == 3
            await site.until_state(3, "running")
            assert "# by hand" not in site.file.read_text()

            data = (await site.ask("GET", "/api/v1/config")).json()["data"]
            data["http"]["listen"] = "127.0.0.1:1"
            data["circuits"]["garage"]["limit_a"] = 50
            by_data = (await site.ask("PUT", "/api/v1/config", json={"data": data})).json()
            assert (by_data["applied"], by_data["effect"]["restart"]) == (
                "restart",
                ["http.listen"],
            )
            await site.until_state(4, "running")
            written = site.file.read_text()
            (line,) = [x for x in written.splitlines() if "F3 in the cellar" in x]
            assert "limit_a: 50, device: mcb}" in line
            assert (await site.ask("GET", "/readyz")).status_code == 200

    run(scenario)


def _reason(plan: Any, evse: str) -> str:
    code: str = plan.evses[evse].reason.code.value
    return code


def _is_charging(plan: Any, evse: str) -> bool:
    return plan.evses[evse].transaction is not None
