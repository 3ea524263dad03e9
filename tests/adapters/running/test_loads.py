"""A battery beside chargers in the running controller: over its real register, seen over the API."""

from __future__ import annotations

from pathlib import Path

from controller.site import EvseId
from tests.adapters.modbus.load_peer import LoadPeer
from tests.adapters.running.live_site import LiveSite, live_site, run

BATTERY = EvseId("battery/1")


def committed_a(site: LiveSite) -> float | None:
    plan = site.controller.cycle.plan
    return plan.evses[BATTERY].committed_a if plan is not None else None


def test_a_battery_takes_what_the_vehicles_leave_and_is_explained(tmp_path: Path) -> None:
    async def scenario() -> None:
        peer = LoadPeer()
        async with peer.listening() as port:
            entry = (
                f"  battery: {{circuit: garage, model: generic/plc, max_a: 32, watchdog_s: 60, "
                f'connection: "tcp://127.0.0.1:{port}"}}'
            )
            async with live_site(tmp_path, limit_a=81, more=f"loads:\n{entry}\n") as site:
                await site.until(lambda: site.drawn_a() > 60 and peer.limit_a() > 0)
                await site.until(lambda: peer.limit_a() <= 20)
                shown = (await site.ask("GET", f"/api/v1/evses/{BATTERY}")).json()
                assert (shown["kind"], shown["state"]) == ("load", "charging")
                assert shown["session_id"] is None
                assert (shown["connected"], shown["fallback_a"]) == (True, 0)
                assert shown["reason"]["text"]
                why = (await site.ask("GET", f"/api/v1/evses/{BATTERY}/why")).json()
                assert why["reason"]["code"] == shown["reason"]["code"]
                sessions = (await site.ask("GET", "/api/v1/sessions")).json()["items"]
                assert {s["station"] for s in sessions} == {"CP001", "CP002", "CP003"}

                paused = await site.ask("POST", f"/api/v1/evses/{BATTERY}/pause")
                assert paused.status_code < 300
                await site.until(lambda: peer.limit_a() == 0 and committed_a(site) == 0)

                text = site.file.read_text().replace(f"loads:\n{entry}\n", "")
                made = await site.ask("PUT", "/api/v1/config", json={"text": text, "note": "sold"})
                assert made.status_code == 200, made.text
                await site.until(lambda: not site.controller.loads.stations)

    run(scenario)
