"""What one EVSE draws and may draw, and what its vehicle wants."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from controller import ledger
from controller.baseload import DrawBounds
from controller.ledger import Grant
from controller.memory import EvseMemory
from controller.phases import ZERO, PhaseCurrents, PhaseSet
from controller.policy import Policy
from controller.site import Evse
from controller.station import EvseState, EvseView, LeaseMode, StationView, ZeroLimit
from controller.values import replace

BARE_AFTER_S = 10.0
VEHICLE_STATES = frozenset({EvseState.CONNECTED, EvseState.UNKNOWN})
"""States in which a vehicle may begin to draw the fallback without a transaction known to us."""
ACTIVE_STATES = frozenset({EvseState.CHARGING, EvseState.SUSPENDED_EV, EvseState.SUSPENDED_EVSE})
"""States that only a running transaction has."""
FLOWS_A = 1.0
"""More than this is a current, not the noise of a meter. [A]"""
CALM_STATES = frozenset(
    {
        EvseState.AVAILABLE,
        EvseState.CONNECTED,
        EvseState.FINISHING,
        EvseState.RESERVED,
        EvseState.UNAVAILABLE,
    }
)
"""States in which nothing flows."""
UNKNOWN_TRANSACTION_S = 10.0
"""A state may be told so long before the transaction that it belongs to. [s]"""
PHASE_IN_USE_A = 0.5
PHASES_TOLD_APART_A = 3.0
"""Only with so much current on one phase do idle phases tell a single-phase vehicle. [A]"""
ARRIVED_A = 1.0
"""Measured so near to its limit, a vehicle has followed it. [A]"""
SETTLE_MOST_S = 60.0
"""A station that takes longer than this to follow does not follow: no experience counts for more. [s]"""
OVER_A = 0.5
"""Measured above the grants by more than this counts instead of them. [A]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One EVSE's currents at one instant."""

    evse: Evse
    view: EvseView
    connected: bool
    phases: PhaseSet
    """Grid phases that its vehicle can load."""
    measured: PhaseCurrents | None
    """Latest fresh sample per grid phase; None: not known. [A]"""
    committed_a: float
    """What it may draw per phase. [A]"""
    committed: PhaseCurrents
    """What it may draw per grid phase; a measured excess counts where it was measured. [A]"""
    bounds: DrawBounds
    measured_max_a: float | None
    """Highest phase of the fresh sample. [A]"""
    floor_a: float = 0.0
    """The smallest limit that it keeps to; 0: it can be paused. [A]"""
    is_charging: bool = field(init=False)
    """Whether a transaction is running."""
    is_busy: bool = field(init=False)
    """Whether it draws, or may draw, anything."""

    @property
    def fallback_a(self) -> float:
        """What it falls back to; a configured fallback that it cannot hold is its minimum. [A]"""
        return max(self.evse.fallback_a, self.floor_a)

    def __post_init__(self) -> None:
        """Work out once what every decision asks for."""
        object.__setattr__(self, "is_charging", self.view.transaction is not None)
        object.__setattr__(self, "is_busy", self.bounds.most != ZERO or self.committed != ZERO)


def settle_s(station: StationView, policy: Policy) -> float:
    """Return the time that a station has to follow a confirmed limit. [s]

    Experience can only lengthen it: samples are too far apart to prove a shorter one.
    """
    learned_s = station.behaviour.settle_s
    if learned_s is None or learned_s <= policy.settle_s:
        return policy.settle_s
    return min(learned_s, max(SETTLE_MOST_S, policy.settle_s))


def floor_a(evse: Evse, station: StationView) -> float:
    """Return the smallest limit that an EVSE keeps to; 0 where 0 A pauses it. [A]"""
    return 0.0 if station.behaviour.zero_limit.can_pause else evse.min_a


def drawn(
    evse: Evse,
    *,
    station: StationView,
    view: EvseView,
    memory: EvseMemory,
    policy: Policy,
    now_s: float,
) -> Draw:
    """Work out what an EVSE draws and may draw."""
    phases = memory.vehicle_phases or evse.grid_phases
    measured = _measured(evse, view, policy=policy, now_s=now_s)
    committed_a = ledger.committed_a(
        memory.account,
        without_grant_a=_without_grant_a(evse, station, view, policy, now_s),
        now_s=now_s,
        settle_s=settle_s(station, policy),
        linked_s=_linked_s(station),
    )
    if _may_draw_anything(evse, station) or _reads_as_unlimited(evse, station, memory):
        committed_a = max(committed_a, evse.max_a)
    most = PhaseCurrents.on(phases, committed_a)
    if measured is not None and not measured.fits(most, tolerance_a=OVER_A):
        most = most.highest(measured)
    if measured is None:
        most = most.highest(_last_seen_astray(evse, view, memory))
    return Draw(
        evse=evse,
        view=view,
        connected=station.connected,
        phases=phases,
        measured=measured,
        measured_max_a=measured.largest_a if measured is not None else None,
        committed_a=most.largest_a,
        committed=most,
        floor_a=floor_a(evse, station),
        bounds=_bounds(
            measured,
            most,
            evse=evse,
            view=view,
            memory=memory,
            policy=policy,
            settle_s=settle_s(station, policy),
            now_s=now_s,
        ),
    )


def _measured(evse: Evse, view: EvseView, *, policy: Policy, now_s: float) -> PhaseCurrents | None:
    sample = view.sample
    if sample is None or sample.value.terminal_a is None:
        return None
    if sample.age_s(now_s) > policy.sample_stale_s:
        return None
    return evse.rotation.to_grid(sample.value.terminal_a)


def _last_seen_astray(evse: Evse, view: EvseView, memory: EvseMemory) -> PhaseCurrents:
    """Return what a silent EVSE drew when it was heard last, if nothing that we sent allowed it. [A].

    A station that disobeys, or a contactor that is welded, does not fall back by falling silent.
    """
    is_astray = memory.disobeys or (view.transaction is None and view.state not in CALM_STATES)
    if not is_astray or view.sample is None or view.sample.value.terminal_a is None:
        return ZERO
    return evse.rotation.to_grid(view.sample.value.terminal_a)


def _may_draw_anything(evse: Evse, station: StationView) -> bool:
    """Tell whether it is out of reach and cannot be trusted to fall back by itself."""
    return not station.connected and not _falls_back(evse, station)


def _falls_back(evse: Evse, station: StationView) -> bool:
    """Tell whether it is trusted to fall back by itself."""
    is_weak = station.lease_mode in (LeaseMode.PERMANENT, LeaseMode.UNCONTROLLABLE)
    return evse.holds_lease and not is_weak


def bare_from_s(station: StationView) -> float:
    """Return from when on a station without a confirmed fallback is taken to hold none. [s]

    A sound one takes it within seconds of its connection; at one that does not, a vehicle that is
    plugged in begins with its rating.
    """
    return (station.connected_since_s or 0.0) + BARE_AFTER_S


def _linked_s(station: StationView) -> float:
    """Return when the connection began; never, while there is none. [s]"""
    return (station.connected_since_s or 0.0) if station.connected else inf


def _reads_as_unlimited(evse: Evse, station: StationView, memory: EvseMemory) -> bool:
    """Tell whether it may hold a limit that it takes for none."""
    if station.behaviour.zero_limit is not ZeroLimit.UNLIMITED:
        return False
    return any(g.limit_a < evse.min_a for g in memory.account.grants)


def _unreachable_a(evse: Evse, station: StationView) -> float:
    """Return what it counts with out of reach; a fallback that it cannot hold is its minimum. [A]."""
    return max(evse.unreachable_a, floor_a(evse, station))


def _without_grant_a(
    evse: Evse, station: StationView, view: EvseView, policy: Policy, now_s: float
) -> float:
    """Return what it may draw when no grant of ours is in force. [A].

    A vehicle that charges in a transaction that we do not know, as after the loss of the store, may
    hold a limit that we do not know either. One that may have had none has to follow the fallback first.
    """
    if not station.connected:
        return _unreachable_a(evse, station)
    if view.transaction is None and view.state in ACTIVE_STATES:
        is_stray = now_s - view.state_since_s >= UNKNOWN_TRANSACTION_S
        return evse.max_a if is_stray else _unreachable_a(evse, station)
    if view.transaction is None and view.state not in VEHICLE_STATES:
        return 0.0
    if station.lease_mode is LeaseMode.UNCONTROLLABLE:
        return evse.max_a
    if view.fallback_a is not None:
        is_following = (
            view.transaction is not None
            and view.fallback_since_s is not None
            and now_s < view.fallback_since_s + settle_s(station, policy)
        )
        return evse.max_a if is_following and not _falls_back(evse, station) else view.fallback_a
    if view.state is EvseState.CONNECTED and now_s >= bare_from_s(station):
        return evse.max_a
    return evse.max_a if view.transaction is not None else _unreachable_a(evse, station)


def _bounds(
    measured: PhaseCurrents | None,
    most: PhaseCurrents,
    *,
    evse: Evse,
    view: EvseView,
    memory: EvseMemory,
    policy: Policy,
    settle_s: float,
    now_s: float,
) -> DrawBounds:
    taken_s = view.sample.taken_s if view.sample else now_s
    if measured is None or now_s - taken_s > believe_after_s(policy):
        return DrawBounds(
            least=ZERO, last_seen=_presumed(most, evse, view), reported=most, most=most
        )
    moved_s = max(map(followed_from_s, memory.account.grants), default=None)
    latest = memory.account.latest
    has_settled = moved_s is None or taken_s >= moved_s + settle_s
    has_arrived = latest is not None and abs(measured.largest_a - latest.limit_a) <= ARRIVED_A
    if has_settled or has_arrived:
        return DrawBounds(
            least=measured, last_seen=measured, reported=measured, most=most.highest(measured)
        )
    lowest_a = min((g.limit_a for g in memory.account.grants), default=0.0)
    least = measured.lowest(PhaseCurrents.balanced(lowest_a))
    return DrawBounds(least=least, last_seen=measured, reported=most, most=most.highest(measured))


def _presumed(most: PhaseCurrents, evse: Evse, view: EvseView) -> PhaseCurrents:
    """Return what a silent EVSE probably draws: its fallback, while a transaction runs. [A]."""
    if view.transaction is None:
        return ZERO
    return most.lowest(PhaseCurrents.on(evse.grid_phases, evse.fallback_a))


def believe_after_s(policy: Policy) -> float:
    """Return after what time every working station has reported a change. [s]."""
    return policy.sample_interval_s + 2.0


def observed(
    memory: EvseMemory,
    *,
    draw: Draw,
    wanted_a: float,
    policy: Policy,
    settle_s: float,
    now_s: float,
) -> EvseMemory:
    """Learn from the latest sample: the vehicle's phases, what it takes, whether it obeys.

    What has learned nothing is returned as the same object: the next decision can tell.
    """
    if not draw.is_charging or draw.measured is None:
        if memory.under_since_s is None and memory.over_since_s is None:
            return memory
        return replace(memory, under_since_s=None, over_since_s=None)
    phases = _vehicle_phases(draw, memory)
    if phases != memory.vehicle_phases:
        memory = replace(memory, vehicle_phases=phases)
    memory = _learn_demand(memory, draw, wanted_a=wanted_a, policy=policy, now_s=now_s)
    return _learn_obedience(memory, draw, policy=policy, settle_s=settle_s, now_s=now_s)


def _vehicle_phases(draw: Draw, memory: EvseMemory) -> PhaseSet | None:
    sample = draw.view.sample
    if sample is None or draw.measured is None or not sample.value.phases_known:
        return memory.vehicle_phases
    used = tuple(p for p in draw.evse.grid_phases if draw.measured.of(p) > PHASE_IN_USE_A)
    known = memory.vehicle_phases
    if known is not None:
        return tuple(p for p in draw.evse.grid_phases if p in known or p in used)
    if max(draw.measured) < PHASES_TOLD_APART_A:
        return None
    return used


def _learn_demand(
    memory: EvseMemory, draw: Draw, *, wanted_a: float, policy: Policy, now_s: float
) -> EvseMemory:
    granted = memory.account.confirmed
    taken_a = draw.measured_max_a or 0.0
    if granted is None or granted.limit_a <= 0:
        return _with_demand(memory, memory.demand_a, under_since_s=None)
    demand_a = memory.demand_a
    if demand_a is not None and granted.limit_a >= demand_a - 0.5 and taken_a >= demand_a - 1.0:
        return _with_demand(memory, None, under_since_s=None)
    reference_a = min(granted.limit_a, memory.demand_a or granted.limit_a)
    if taken_a >= reference_a - policy.reclaim_gap_a:
        return _with_demand(memory, demand_a, under_since_s=None)
    since_s = memory.under_since_s if memory.under_since_s is not None else now_s
    if now_s - since_s < policy.reclaim_after_s:
        return _with_demand(memory, demand_a, under_since_s=since_s)
    room_a = max(draw.evse.min_a, taken_a + policy.reclaim_room_a)
    return _with_demand(memory, min(room_a, wanted_a), under_since_s=since_s)


def _with_demand(
    memory: EvseMemory, demand_a: float | None, *, under_since_s: float | None
) -> EvseMemory:
    if demand_a == memory.demand_a and under_since_s == memory.under_since_s:
        return memory
    return replace(memory, demand_a=demand_a, under_since_s=under_since_s)


def followed_from_s(grant: Grant) -> float:
    """Return from when on a grant is being followed. [s]"""
    return grant.confirmed_s if grant.confirmed_s is not None else grant.sent_s


def governed_from_s(memory: EvseMemory, view: EvseView, settle_s: float) -> float | None:
    """Return from when on a limit that we know must show in samples; None: there is none. [s]"""
    grants = memory.account.grants
    if grants:
        return followed_from_s(grants[0]) + settle_s
    return memory.arrived_s if view.fallback_a is not None else None


def _highest_a(memory: EvseMemory, draw: Draw) -> float | None:
    grants, fallback_a = memory.account.grants, draw.view.fallback_a
    if grants:
        return max(g.limit_a for g in grants)
    return max(fallback_a, draw.floor_a) if fallback_a is not None else None


def _learn_obedience(
    memory: EvseMemory, draw: Draw, *, policy: Policy, settle_s: float, now_s: float
) -> EvseMemory:
    """Compare samples with what was granted; only those that had time to follow can accuse.

    The oldest grant that is kept is the one that surely took effect. Newer ones, of which the highest
    counts, are no excuse: a station that ignores limits must not be excused by every new limit.
    Before the first grant the fallback governs, from the first ampere on.
    """
    sample, taken_a = draw.view.sample, draw.measured_max_a or 0.0
    governed_s = governed_from_s(memory, draw.view, settle_s)
    highest_a = _highest_a(memory, draw)
    if sample is None or governed_s is None or highest_a is None:
        return memory
    allowed_a = highest_a + max(policy.disobey_gap_a, policy.disobey_ratio * highest_a)
    if taken_a <= allowed_a:
        since_s = memory.obeyed_since_s if memory.obeyed_since_s is not None else now_s
        disobeys = memory.disobeys and now_s - since_s < policy.obey_for_s
        return _with_obedience(memory, None, obeyed_since_s=since_s, disobeys=disobeys)
    if sample.taken_s < governed_s:
        return memory
    since_s = memory.over_since_s if memory.over_since_s is not None else sample.taken_s
    disobeys = memory.disobeys or sample.taken_s - since_s >= policy.disobey_after_s
    return _with_obedience(memory, since_s, obeyed_since_s=None, disobeys=disobeys)


def _with_obedience(
    memory: EvseMemory,
    over_since_s: float | None,
    *,
    obeyed_since_s: float | None,
    disobeys: bool,
) -> EvseMemory:
    is_same = (
        over_since_s == memory.over_since_s
        and obeyed_since_s == memory.obeyed_since_s
        and disobeys == memory.disobeys
    )
    if is_same:
        return memory
    return replace(
        memory, over_since_s=over_since_s, obeyed_since_s=obeyed_since_s, disobeys=disobeys
    )
