"""What rises are paid with: what nobody is committed to, now and once everybody has followed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor

from controller.assess import Assessment
from controller.case import Case, command_of
from controller.commands import SetLimit
from controller.draw import Draw
from controller.ledger import GrantState
from controller.memory import EvseMemory, Memory
from controller.phases import ZERO, PhaseCurrents
from controller.policy import Policy
from controller.site import CircuitId, EvseId
from controller.snapshot import Snapshot
from controller.worth import least_gain_a


@dataclass(slots=True)
class Purse:
    """What circuits can still give, now and once everybody has followed what it was told."""

    now: dict[CircuitId, PhaseCurrents]
    """What nobody is committed to; below 0: others have filled the circuit. [A]"""
    then: dict[CircuitId, PhaseCurrents]
    """The same once what was confirmed has settled. [A]"""
    settled: Mapping[EvseId, PhaseCurrents]
    """What each that has yet to follow a lower limit will then count with. [A]"""

    def settled_of(self, draw: Draw) -> PhaseCurrents:
        """Return what an EVSE counts with once it has followed what it confirmed. [A]"""
        return self.settled.get(draw.evse.id, draw.committed)

    def pay(self, case: Case, limit_a: float, path: tuple[CircuitId, ...]) -> None:
        """Take a rise out of it."""
        after = PhaseCurrents.on(case.draw.phases, limit_a)
        for circuit in path:
            self.now[circuit] -= (after - case.draw.committed).highest(ZERO)
            self.then[circuit] -= (after - self.settled_of(case.draw)).highest(ZERO)


def purse_of(
    snapshot: Snapshot,
    assessment: Assessment,
    draws: Mapping[EvseId, Draw],
    memory: Memory,
    reserve: Mapping[CircuitId, PhaseCurrents],
) -> Purse:
    """Return what circuits can give besides `reserve`, which is kept free for newcomers. [A]"""
    now = {
        c: state.usable - state.committed - reserve[c] for c, state in assessment.circuits.items()
    }
    then, settled = dict(now), {}
    for evse, draw in draws.items():
        held_a = _will_settle_at_a(draw, memory.evse(evse))
        if held_a is None:
            continue
        settled[evse] = PhaseCurrents.on(draw.phases, held_a).lowest(draw.committed)
        for circuit in snapshot.site.path_to_root(draw.evse.circuit):
            then[circuit] += draw.committed - settled[evse]
    return Purse(now=now, then=then, settled=settled)


def _will_settle_at_a(draw: Draw, memory: EvseMemory) -> float | None:
    """Return the lower limit that an EVSE has confirmed and will count with soon; None: no other. [A]"""
    latest = memory.account.latest
    if latest is None or latest.state is not GrantState.CONFIRMED:
        return None
    if not draw.connected or memory.disobeys:
        return None
    held_a = max(latest.limit_a, draw.floor_a)
    return held_a if held_a < draw.committed_a else None


def paid_increases(
    rising: list[Case],
    purse: Purse,
    snapshot: Snapshot,
    assessment: Assessment,
    policy: Policy,
) -> list[SetLimit]:
    """Grant rises out of what nobody is committed to, the lowest EVSE first."""
    commands = []
    for case in sorted(rising, key=lambda c: (c.held_a, c.target.evse)):
        limit_a = _affordable_a(case, purse, snapshot, assessment, policy)
        if limit_a is None:
            continue
        purse.pay(case, limit_a, snapshot.site.path_to_root(case.draw.evse.circuit))
        commands.append(command_of(case, limit_a, policy))
    return commands


def _affordable_a(
    case: Case,
    purse: Purse,
    snapshot: Snapshot,
    assessment: Assessment,
    policy: Policy,
) -> float | None:
    """Return the limit that can be paid for now; None when it is not worth a command. [A].

    What it has yet to give back pays for a rise now. But once it has settled at the rise, and all
    others at what they have confirmed, the circuits must carry that as well.
    """
    evse = case.draw.evse
    path = snapshot.site.path_to_root(evse.circuit)
    limit_a, settled = case.target.limit_a, purse.settled_of(case.draw)
    for circuit in path:
        for phase in case.draw.phases:
            now_a = case.draw.committed.of(phase) + max(0.0, purse.now[circuit].of(phase))
            then_a = settled.of(phase) + purse.then[circuit].of(phase)
            limit_a = min(limit_a, now_a, then_a)
        if assessment.circuits[circuit].is_ramping:
            limit_a = min(limit_a, max(case.held_a + policy.recovery_ramp_a, evse.min_a))
        if assessment.circuits[circuit].is_still:
            limit_a = min(limit_a, max(case.held_a, evse.min_a))
    limit_a = on_step(limit_a, evse.step_a)
    if limit_a < evse.min_a:
        return None
    reaches = limit_a >= case.target.limit_a - 1e-9
    gain_a = limit_a - case.held_a
    worth_a = least_gain_a(case.gap_a, case.target.limit_a, case.step_a, policy)
    return limit_a if gain_a > 0 and (reaches or gain_a >= worth_a - 1e-9) else None


def on_step(current_a: float, step_a: float) -> float:
    """Round down to the charger's step, cleanly. [A]."""
    return round(floor(current_a / step_a + 1e-6) * step_a, 3)
