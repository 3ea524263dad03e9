"""`wattkeeper replay RECORDING`: decide a recorded stretch again, or ask what would have been."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from adapters.cli.site_store import NoConditions
from adapters.cli.whatif import Moment, Question, ReplayError, changed, parsed
from adapters.clock import SystemClock
from adapters.store.cycles import CycleRecord, encode
from adapters.store.errors import StoreError
from adapters.store.sqlite_store import SqliteStore
from controller.codec import CodecError, from_plain, to_plain
from controller.cycle import RECORD_FORMAT
from controller.decide import Decision, decide
from controller.memory import Memory
from controller.policy import Policy
from controller.snapshot import Snapshot
from optimizer.allocate import Allocator

MOST = 200_000
SHOWN = 5


def replay_command(path: Path, questions: Sequence[str], golden: Path | None) -> int:
    """Replay a store's recording; 1 when a decision came out differently without a question."""
    try:
        if not path.is_file():
            raise ReplayError(f"{path}: is not a file. Name the store of the site (store.path).")
        moments = asyncio.run(_moments(path))
        if not moments:
            raise ReplayError(f"{path}: holds no cycles that can be decided again.")
        asked = [parsed(q) for q in questions]
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


# --- what if ----------------------------------------------------------------------------------------


def _asked(moments: Sequence[Moment], asked: Sequence[Question]) -> int:
    """Decide every moment as it would have been, and say what came of it beside what happened."""
    was, would = _Tally(), _Tally()
    for moment in moments:
        other = moment
        for question in asked:
            other = changed(other, question)
        was.add(_setpoints_a(moment.plan), moment.snapshot)
        would.add(_setpoints_a(plain_plan(decided(other))), other.snapshot)
    count = len(moments)
    typer.echo(f"{count} cycles, each decided with {', '.join(str(q) for q in asked)}")
    typer.echo(
        f"  setpoints together  {was.total_a / count:.1f} A as it was, {would.total_a / count:.1f} A so"
    )
    typer.echo(
        f"  per vehicle         {was.mean_a:.1f} A as it was, {would.mean_a:.1f} A so"
        f" ({was.vehicles / count:.1f} and {would.vehicles / count:.1f} vehicles)"
    )
    typer.echo(
        f"  without current     {was.idle / count:.1f} vehicles as it was, {would.idle / count:.1f} so"
    )
    typer.echo(
        "  Each cycle starts from what was recorded: later cycles know nothing of the change."
    )
    return 0


class _Tally:
    """Adds up what vehicles are given."""

    def __init__(self) -> None:
        self.total_a = 0.0
        self.vehicles = 0
        self.idle = 0

    def add(self, setpoints_a: Mapping[str, float], snapshot: Snapshot) -> None:
        """Take in a cycle."""
        views = (v for s in snapshot.stations.values() for v in s.evses.values())
        charging = [v.id for v in views if v.transaction is not None]
        self.total_a += sum(setpoints_a.values())
        self.vehicles += len(charging)
        self.idle += sum(setpoints_a.get(e, 0.0) <= 0.0 for e in charging)

    @property
    def mean_a(self) -> float:
        """Current per vehicle and phase. [A]"""
        return self.total_a / self.vehicles if self.vehicles else 0.0


def _setpoints_a(plan: Mapping[str, Any]) -> dict[str, float]:
    return {e: float(s["setpoint_a"]) for e, s in plan["evses"].items()}


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


def read_golden(path: Path) -> tuple[Moment, dict[str, float]]:
    """Read a golden scenario: a moment, and the setpoints that must be decided from it. [A]

    Raises:
        ReplayError: It is none; the text names the place.
    """
    try:
        data = json.loads(path.read_text())
        moment = Moment(
            number=0,
            snapshot=from_plain(Snapshot, data["snapshot"], f"{path.name}.snapshot"),
            memory=from_plain(Memory, data["memory"], f"{path.name}.memory"),
            policy=from_plain(Policy, data["policy"], f"{path.name}.policy"),
        )
        return moment, {str(e): float(a) for e, a in data["setpoints_a"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReplayError(f"{path}: is no golden scenario: {error}.") from error
