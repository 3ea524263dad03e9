"""Firmware for several simulated stations of both versions, over real sockets and the real API."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from adapters import bootstrap
from adapters.simulator import firmware, station_common, uplink, uptime
from controller.site import EvseId, StationId
from controller.station import StationView
from tests.adapters.running.live_site import LiveSite, live_site, run

NAMES = ["CP001", "CP002", "CP003", "CP004"]
PROTOCOLS = {
    StationId(name): "ocpp1.6" if n % 2 == 0 else "ocpp2.0.1" for n, name in enumerate(NAMES)
}
BUSY = (2, 3)
"""One station of each version with a vehicle."""


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "ROLLOUTS_EVERY_S", 0.2)
    monkeypatch.setattr(uplink, "BACKOFF_FIRST_S", 0.1)
    monkeypatch.setattr(station_common, "AUTHORISE_AFTER_S", 0.1)
    monkeypatch.setattr(uptime, "REBOOT_S", 0.3)
    monkeypatch.setattr(firmware, "STAGE_S", 0.2)


async def begin(site: LiveSite, location: str) -> str:
    body = {"location": location, "version": "2.0.0", "stations": NAMES}
    answer = await site.ask("POST", "/api/v1/rollouts", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def states(site: LiveSite, rollout: str) -> dict[str, str]:
    [found] = [r for r in site.controller.rollouts.all() if r.id == rollout]
    return {s.station: s.state.value for s in found.steps}


def orders(site: LiveSite) -> list[tuple[str, float, bool]]:
    """What the stations were ordered: who, when, and whether a transaction ran there."""
    return sorted(
        ((s.id, o.at_s, o.was_charging) for s in _stations(site) for o in s.firmware.orders),
        key=lambda order: order[1],
    )


def _stations(site: LiveSite) -> list[station_common.VirtualStation]:
    return list(site.simulator.stations.values())


def views(site: LiveSite) -> Mapping[StationId, StationView]:
    snapshot = site.controller.operations.snapshot()
    return snapshot.stations if snapshot is not None else {}


def charging(site: LiveSite) -> set[str]:
    return {s for s, v in views(site).items() if any(e.transaction for e in v.evses.values())}


def test_one_station_after_the_other_and_never_during_a_transaction(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with live_site(
            tmp_path, chargers=4, occupied=BUSY, protocols=PROTOCOLS, tick_s=0.05
        ) as site:
            await site.until(lambda: charging(site) == {"CP003", "CP004"})
            rollout = await begin(site, "https://files.example/wk-2.0.0.bin")
            updating: list[int] = []

            def is_so_far(wanted: dict[str, str]) -> bool:
                now = states(site, rollout)
                updating.append(list(now.values()).count("updating"))
                return now == wanted

            first = dict.fromkeys(NAMES[:2], "done") | dict.fromkeys(NAMES[2:], "waiting")
            await site.until(lambda: is_so_far(first))
            await asyncio.sleep(1.0)  # five looks, in which the busy ones could be ordered
            assert [o[0] for o in orders(site)] == ["CP001", "CP002"]

            for name in NAMES[2:]:
                site.simulator.unplug(EvseId(f"{name}/1"))
            await site.until(lambda: is_so_far(dict.fromkeys(NAMES, "done")))

            assert [o[0] for o in orders(site)] == NAMES
            assert [busy for _, _, busy in orders(site)] == [False] * 4
            assert max(updating) == 1
            assert {s.firmware.version for s in _stations(site)} == {"2.0.0"}
            assert sum(s.firmware.restarted_while_charging for s in _stations(site)) == 0
            shown = (await site.ask("GET", "/api/v1/rollouts")).json()["items"][0]
            assert shown["state"] == "done"

    run(scenario)


@pytest.mark.parametrize("first", ["ocpp1.6", "ocpp2.0.1"])
def test_the_first_failure_keeps_the_others_from_it(tmp_path: Path, first: str) -> None:
    async def scenario() -> None:
        protocols = {StationId(name): first for name in NAMES[:3]}
        async with live_site(
            tmp_path, chargers=4, occupied=(), protocols=PROTOCOLS | protocols, tick_s=0.05
        ) as site:
            await site.until(lambda: len(connected(site)) == 4)
            rollout = await begin(site, "https://files.example/no-firmware")
            await site.until(lambda: "ROLLOUT_PAUSED" in site.alarm_codes())
            await asyncio.sleep(0.6)  # three looks, in which the next could be ordered

            assert [o[0] for o in orders(site)] == ["CP001"]
            assert states(site, rollout)["CP001"] == "failed"
            assert {s.firmware.version for s in _stations(site)} == {"1.0.0"}

    run(scenario)


def connected(site: LiveSite) -> set[str]:
    return {s for s, v in views(site).items() if v.connected and v.info.firmware}
