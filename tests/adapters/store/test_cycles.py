from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

from adapters.store.limits import StoreLimits
from controller.commands import CommandOutcome, NotConnected, SetLimit, TimedOut
from controller.decision import Plan, SiteMode
from controller.site import Circuit, ProtectiveDevice, Site
from controller.snapshot import Snapshot
from optimizer.phases import Phase, PhaseCurrents
from tests.adapters.store.store_site import NOON, opened, run

SPAN = {"since": NOON - timedelta(days=1), "until": NOON + timedelta(days=1)}


def a_site(name: str = "Depot") -> Site:
    circuit = Circuit(
        id="main",
        parent=None,
        limit_a=PhaseCurrents.balanced(63.0),
        device=ProtectiveDevice.MCB,
        meter=None,
        building_peak_a=PhaseCurrents.balanced(20.0),
        margin_a=1.0,
    )
    circuits: Mapping[str, Circuit] = MappingProxyType({"main": circuit})
    return Site(
        id="depot",
        name=name,
        timezone="UTC",
        voltage_v=230.0,
        circuits=circuits,
        stations={},
        meters={},
    )


def a_snapshot(second: int, site: Site) -> Snapshot:
    command = SetLimit(evse="A/1", limit_a=16.0, lease_s=300.0, transaction=None, cause="c")
    outcomes = tuple(
        CommandOutcome(command=command, result=result, sent_s=1.0, done_s=2.0)
        for result in (TimedOut(), NotConnected())
    )
    return Snapshot(
        now_s=float(second),
        at=NOON + timedelta(seconds=second),
        site=site,
        meters={},
        stations={},
        outcomes=outcomes,
    )


def a_plan() -> Plan:
    return Plan(
        now_s=0.0,
        at=NOON,
        mode=SiteMode.NORMAL,
        method="lp",
        circuits={},
        evses={},
        binding={"A/1": ("main", Phase.L2)},
    )


def test_cycle_is_recorded_with_everything_that_replay_needs(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path / "w.db") as store:
            store.record(a_snapshot(0, a_site()), a_plan(), '{"memory": 1}')
            await store.flush()
            (record,) = await store.cycles(**SPAN, limit=10)
            snapshot, plan = json.loads(record.snapshot), json.loads(record.plan)
            assert snapshot["_type"] == "Snapshot"
            results = [o["result"]["_type"] for o in snapshot["outcomes"]]
            assert results == ["TimedOut", "NotConnected"]
            assert plan["binding"] == {"A/1": ["main", "l2"]}
            assert plan["mode"] == "normal"
            circuit = json.loads(record.site)["circuits"]["main"]
            assert circuit["limit_a"]["l1_a"] == 63.0
            assert record.memory == '{"memory": 1}'
            assert record.at == NOON

    run(scenario)


def test_site_is_stored_once_per_configuration(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path / "w.db") as store:
            sites = (a_site("One"), a_site("Two"))
            for second in range(6):
                store.record(a_snapshot(second, sites[second // 3]), a_plan(), "")
            await store.flush()
            records = await store.cycles(**SPAN, limit=10)
            assert [json.loads(r.site)["name"] for r in records] == ["One"] * 3 + ["Two"] * 3

    run(scenario)


def test_ring_keeps_the_newest_cycles(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path / "w.db", limits=StoreLimits(cycles=7)) as store:
            site = a_site()
            for second in range(30):
                store.record(a_snapshot(second, site), a_plan(), "")
                await store.flush()
            await store.prune(NOON)
            records = await store.cycles(**SPAN, limit=99)
            assert list(range(23, 30)) == [(r.at - NOON).seconds for r in records]
            store.record(a_snapshot(30, replace(site, name="New")), a_plan(), "")
            await store.flush()
            assert len(await store.cycles(**SPAN, limit=99)) == 8

    run(scenario)


def test_ring_is_bounded_in_bytes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path / "w.db", limits=StoreLimits(cycles_bytes=2_000)) as store:
            site = a_site()
            for second in range(30):
                store.record(a_snapshot(second, site), a_plan(), "")
                await store.flush()
            await store.prune(NOON)
            assert 1 <= len(await store.cycles(**SPAN, limit=99)) < 15

    run(scenario)


def test_value_that_cannot_be_encoded_costs_only_its_own_cycle(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with opened(tmp_path / "w.db") as store:
            strange = replace(a_plan(), method=object())  # type: ignore[arg-type]
            site = a_site()
            store.record(a_snapshot(0, site), strange, "")
            store.record(a_snapshot(1, site), a_plan(), "")
            await store.flush()
            records = await store.cycles(**SPAN, limit=9)
            assert [(r.at - NOON).seconds for r in records] == [1]
            assert store.stats()["cycles_dropped"] == 1

    run(scenario)
