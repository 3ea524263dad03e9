"""What each EVSE shall be limited to; of those as well that took no part in the allocation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.assess import Assessment
from controller.decision import SiteMode
from controller.draw import Draw
from controller.ledger import Account, GrantState
from controller.memory import Memory
from controller.site import EvseId
from controller.snapshot import Snapshot
from controller.station import LeaseMode
from controller.values import replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What an EVSE shall be limited to, and why."""

    evse: EvseId
    limit_a: float
    cause: str


def at_least(target: Target, draw: Draw) -> Target:
    """Return a target that the station keeps to: not 0 where 0 is refused or read as no limit."""
    return target if target.limit_a >= draw.floor_a else replace(target, limit_a=draw.floor_a)


def targets_outside(
    snapshot: Snapshot,
    *,
    outside: frozenset[EvseId],
    draws: Mapping[EvseId, Draw],
    assessment: Assessment,
    memory: Memory,
    pauses: frozenset[EvseId],
) -> dict[EvseId, Target]:
    """Return targets of connected EVSEs that took no part in the allocation."""
    found: dict[EvseId, Target] = {}
    for evse in sorted(outside):
        draw = draws[evse]
        station = snapshot.stations[draw.evse.station]
        if not draw.connected or station.lease_mode is LeaseMode.UNCONTROLLABLE:
            continue
        account = memory.evse(evse).account
        if not draw.is_charging and account.latest is None:
            continue
        path = snapshot.site.path_to_root(draw.evse.circuit)
        target = _target_outside(
            draw,
            account,
            is_paused=evse in pauses,
            may_keep=_is_uncertain(account)
            and assessment.modes[evse] is not SiteMode.FALLBACK
            and not any(min(assessment.circuits[c].headroom) < 0 for c in path),
        )
        if target is not None:
            found[evse] = target
    return found


def _target_outside(
    draw: Draw, account: Account, *, is_paused: bool, may_keep: bool
) -> Target | None:
    fallback_a = draw.evse.fallback_a
    latest = account.latest
    if not draw.is_charging:
        is_left_over = latest is not None and latest.until_s is None
        if not is_left_over or latest is None or latest.limit_a == fallback_a:
            return None
        return Target(evse=draw.evse.id, limit_a=fallback_a, cause="back to its fallback")
    if is_paused:
        return Target(evse=draw.evse.id, limit_a=0.0, cause="paused")
    held_a = latest.limit_a if latest is not None else draw.committed_a
    if may_keep:
        return Target(evse=draw.evse.id, limit_a=held_a, cause="asked again")
    return Target(evse=draw.evse.id, limit_a=min(held_a, fallback_a), cause="held at its fallback")


def _is_uncertain(account: Account) -> bool:
    """Tell whether its latest command got no answer; it is repeated as it was."""
    return account.latest is not None and account.latest.state is GrantState.UNCERTAIN
