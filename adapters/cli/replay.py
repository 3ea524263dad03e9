"""`wattkeeper replay RECORDING`: decide a recorded stretch again, or ask what would have been."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from adapters.cli.site_store import NoConditions
from adapters.clock import SystemClock
from adapters.store.cycles import CycleRecord, encode
from adapters.store.errors import StoreError
from adapters.store.sqlite_store import SqliteStore
from controller.codec import CodecError, from_plain, to_plain
from controller.cycle import RECORD_FORMAT
from controller.decide import Decision, decide
from controller.memory import Memory
from controller.phases import PhaseCurrents
from controller.policy import Policy
from controller.site import CircuitId, Site
from controller.snapshot import Snapshot
from optimizer.allocate import Allocator

MOST = 200_000
SHOWN = 5


class ReplayError(Exception):
    """The recording or the question cannot be used; the text says how to mend it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One recorded cycle, ready to be decided again."""

    number: int
    snapshot: Snapshot
    memory: Memory
    policy: Policy
    plan: Mapping[str, Any]
    """As recorded, plain."""


def replay_command(path: Path, questions: Sequence[str], golden: Path | None) -> int:
    """Replay a store's recording; 1 when a decision came out differently without a question."""
    try:
        if not path.is_file():
            raise ReplayError(f"{path}: is not a file. Name the store of the site (store.path).")
        moments = asyncio.run(_moments(path))
        if not moments:
            raise ReplayError(f"{path}: holds no cycles that can be decided again.")
        asked = [_parsed(q) for q in questions]
        if golden is not None:
            write_golden(moments[-1], golden)
            typer.echo(f"{golden}: cycle {moments[-1].number} as a golden scenario")
        return _compared(moments) if not asked else _asked(moments, asked)
    except ReplayError as error:
        typer.echo(str(error), err=True)
        return 2


async def _moments(path: Path) -> list[Moment]:
    try:
        store = SqliteStore.open(path, conditions=NoConditions(), clock=SystemClock())
    except StoreError as error:
        raise ReplayError(str(error)) from error
    try:
        since = datetime(1970, 1, 2, tzinfo=UTC)
        until = datetime(9000, 1, 1, tzinfo=UTC)
        records = await store.cycles(since=since, until=until, limit=MOST)
    finally:
        await store.close()
    return [moment for record in records if (moment := moment_of(record)) is not None]


def moment_of(record: CycleRecord) -> Moment | None:
    """Return a record ready to be decided again; None: an older version wrote it, with less in it."""
    kept = json.loads(record.memory) if record.memory.startswith("{") else {}
    if kept.get("format") != RECORD_FORMAT:
        return None
    try:
        data = json.loads(record.snapshot)
        data["site"] = json.loads(record.site)
        return Moment(
            number=record.id,
            snapshot=from_plain(Snapshot, data, f"cycle {record.id}"),
            memory=from_plain(Memory, kept["memory"], f"cycle {record.id}.memory"),
            policy=from_plain(Policy, kept["policy"], f"cycle {record.id}.policy"),
            plan=json.loads(record.plan),
        )
    except CodecError as error:
        raise ReplayError(f"cycle {record.id} cannot be read: {error}.") from error


def decided(moment: Moment) -> Decision:
    """Decide a moment again."""
    return decide(moment.snapshot, moment.memory, moment.policy, allocate=Allocator().allocate)


def plain_plan(decision: Decision) -> Any:
    """Return a decision's plan as a record holds it."""
    return json.loads(encode(decision.plan))


def _compared(moments: Sequence[Moment]) -> int:
    differing = [m.number for m in moments if plain_plan(decided(m)) != m.plan]
    typer.echo(f"{len(moments)} cycles decided again, {len(differing)} differently")
    for number in differing[:SHOWN]:
        typer.echo(f"  cycle {number}")
    return 1 if differing else 0


# --- what if ------------------------------------------------------------------------------------------


def _parsed(text: str) -> tuple[str, float]:
    key, sign, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not sign or number != number:
        raise ReplayError(
            f"--set {text}: write KEY=NUMBER, as main.limit_a=80, CP001/1.max_a=16 or "
            "policy.lease_s=60."
        )
    return key.strip(), number


def changed(moment: Moment, key: str, value: float) -> Moment:
    """Return the moment with a fuse, a charger or a policy changed.

    Raises:
        ReplayError: There is no such thing.
    """
    subject, _, name = key.rpartition(".")
    site = moment.snapshot.site
    if subject == "policy" and name in {f.name for f in fields(Policy)}:
        return replace(moment, policy=replace(moment.policy, **{name: value}))  # type: ignore[arg-type]
    if CircuitId(subject) in site.circuits and name == "limit_a":
        circuit = site.circuits[CircuitId(subject)]
        circuit = replace(circuit, limit_a=PhaseCurrents.balanced(value))
        site = replace(site, circuits={**site.circuits, circuit.id: circuit})
        return replace(moment, snapshot=replace(moment.snapshot, site=site))
    if any(e.id == subject for e in site.evses()) and name in {"max_a", "min_a", "fallback_a"}:
        snapshot = replace(moment.snapshot, site=_with_evse(site, subject, name, value))
        return replace(moment, snapshot=snapshot)
    raise ReplayError(
        f"--set {key}: this recording has no such key. Ask for CIRCUIT.limit_a, EVSE.max_a or "
        "policy.NAME."
    )


def _with_evse(site: Site, evse: str, name: str, value: float) -> Site:
    stations = {
        s: replace(
            station,
            evses=tuple(
                replace(e, **{name: value}) if e.id == evse else e  # type: ignore[arg-type]
                for e in station.evses
            ),
        )
        for s, station in site.stations.items()
    }
    return replace(site, stations=stations)


def _asked(moments: Sequence[Moment], asked: Sequence[tuple[str, float]]) -> int:
    was_a = would_a = 0.0
    for moment in moments:
        other = moment
        for key, value in asked:
            other = changed(other, key, value)
        was_a += sum(e["setpoint_a"] for e in moment.plan["evses"].values())
        would_a += sum(e.setpoint_a for e in decided(other).plan.evses.values())
    count = len(moments)
    typer.echo(f"{count} cycles, each decided with {', '.join(f'{k}={v:g}' for k, v in asked)}")
    typer.echo(f"  setpoints together  {was_a / count:.1f} A as it was, {would_a / count:.1f} A so")
    typer.echo(
        "  Each cycle starts from what was recorded: later cycles know nothing of the change."
    )
    return 0


def write_golden(moment: Moment, path: Path) -> None:
    """Write a cycle as a golden scenario: what was known, and what must be decided from it."""
    path.write_text(
        json.dumps(
            {
                "snapshot": to_plain(moment.snapshot),
                "memory": to_plain(moment.memory),
                "policy": to_plain(moment.policy),
                "setpoints_a": {e: s["setpoint_a"] for e, s in moment.plan["evses"].items()},
            },
            indent=1,
        )
    )
