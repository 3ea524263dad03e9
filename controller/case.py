"""One EVSE on its way from what it holds to its target."""

from __future__ import annotations

from dataclasses import dataclass

from controller.commands import SetLimit
from controller.draw import Draw
from controller.ledger import Account
from controller.memory import EvseMemory, Memory
from controller.policy import Policy
from controller.targets import Target
from optimizer.values import quick


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One EVSE on its way to its target."""

    draw: Draw
    target: Target
    account: Account
    held_a: float
    """What it holds: the latest grant, or what it may draw without one. [A]"""
    gap_a: float
    """What it lacks of its target. [A]"""
    void_s: float | None
    """What was sent before this is sent once more: it is not obeyed, or named a wrong time. [s]"""

    @property
    def step_a(self) -> float:
        """What its charger can tell apart. [A]"""
        return self.draw.evse.step_a


def case_of(draw: Draw, target: Target, memory: Memory, policy: Policy) -> Case:
    """Return where an EVSE stands on its way to a target."""
    remembered = memory.evse(target.evse)
    latest = remembered.account.latest
    held_a = latest.limit_a if latest is not None else draw.committed_a
    return Case(
        draw=draw,
        target=target,
        account=remembered.account,
        held_a=held_a,
        gap_a=target.limit_a - held_a,
        void_s=_void_s(memory.clock.stepped_s, remembered, policy),
    )


def _void_s(stepped_s: float | None, memory: EvseMemory, policy: Policy) -> float | None:
    """Return the time before which what was sent no longer counts as understood. [s]"""
    if not memory.disobeys or memory.over_since_s is None:
        return stepped_s
    proven_s = memory.over_since_s + policy.disobey_after_s
    return proven_s if stepped_s is None else max(stepped_s, proven_s)


def command_of(case: Case, limit_a: float, policy: Policy) -> SetLimit:
    """Return the command that limits a case's EVSE to `limit_a`, not below what it keeps to. [A]"""
    transaction = case.draw.view.transaction
    return SetLimit(
        evse=case.target.evse,
        limit_a=max(limit_a, case.draw.floor_a),
        lease_s=policy.lease_s,
        transaction=transaction.id if transaction is not None else None,
        cause=case.target.cause,
    )
